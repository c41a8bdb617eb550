"""Losses of two views' statistics."""

import math
from typing import Any

import numpy as np

from reference.information import CONTEXT as mp

from .entry import Edge, add

Number = Any
Vector = list[Number]


def views(rng: np.random.Generator) -> tuple[Any, ...]:
    """Two views of six samples with three features, of deviations below and above 1."""
    x1 = rng.normal(size=(6, 3)) * np.array([0.5, 1.0, 2.0]) + np.array([0.0, 1.0, 3.0])
    return x1, x1 + 0.3 * rng.normal(size=(6, 3))


def centered_column(x: list[Vector], j: int) -> Vector:
    values = [row[j] for row in x]
    mean = mp.fsum(values) / len(values)
    return [v - mean for v in values]


def barlow_twins(x1: list[Vector], x2: list[Vector], off_diagonal: float = 0.0051) -> Number:
    """Zbontar et al. 2021, eq. 1, entry by entry."""
    n, features, total = len(x1), range(len(x1[0])), mp.mpf(0)
    for i in features:
        for j in features:
            a, b = centered_column(x1, i), centered_column(x2, j)
            deviations = [mp.sqrt(mp.fsum(v * v for v in c) / n + mp.mpf("1e-5")) for c in (a, b)]
            c = mp.fsum(v * w for v, w in zip(a, b, strict=True)) / n / deviations[0] / deviations[1]
            total += (1 - c) ** 2 if i == j else mp.mpf(off_diagonal) * c**2
    return total


BOTH = {"wrt": ("x1", "x2"), "positions": (0, 1)}
add(
    "barlow_twins",
    barlow_twins,
    "batch",
    views,
    options=({"off_diagonal": 0.5}, {}),
    edges=(
        Edge(
            ([[1.0], [-1.0]], [[-1.0], [1.0]]),
            float((1 + 1 / mp.mpf("1.00001")) ** 2),
            "a correlation of -1 / (1 + 1e-5): not quite -1",
        ),
        Edge(([[1e30], [-1e30]], [[-1e30], [1e30]]), 4.0, "a correlation of -1; squares of float32 would overflow"),
        Edge(([[2.0], [2.0]], [[3.0], [3.0]]), 1.0, "constant features: correlation 0", gradient=[[0.0], [0.0]]),
        Edge(([[5.0, 1.0]], [[3.0, 2.0]]), 2.0, "a single sample: correlation 0", gradient=[[0.0, 0.0]]),
        Edge(
            ([[1e4, -1e4], [-1e4, 1e4]], [[1e4, -1e4], [-1e4, 1e4]]),
            1.0,
            "correlations 1 and -1, to 1e-13",
            {"off_diagonal": 0.5},
        ),
        Edge(([[math.nan], [0.0]], [[1.0], [2.0]]), math.nan, "nan is not hidden"),
    ),
    **BOTH,
)


def vicreg(
    x1: list[Vector], x2: list[Vector], invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0
) -> Number:
    """Bardes et al. 2022 as their code has it."""
    n, d = len(x1), len(x1[0])
    apart = mp.fsum((a - b) ** 2 for r, s in zip(x1, x2, strict=True) for a, b in zip(r, s, strict=True)) / (n * d)
    total = mp.mpf(invariance) * apart
    for x in (x1, x2):
        columns = [centered_column(x, j) for j in range(d)]
        cov = [[mp.fsum(v * w for v, w in zip(a, b, strict=True)) / (n - 1) for b in columns] for a in columns]
        short = [max(mp.mpf(0), 1 - mp.sqrt(cov[j][j] + mp.mpf("1e-4"))) for j in range(d)]
        total += mp.mpf(variance) * mp.fsum(short) / d / 2
        total += mp.mpf(covariance) * mp.fsum(cov[i][j] ** 2 for i in range(d) for j in range(d) if i != j) / d
    return total


add(
    "vicreg",
    vicreg,
    "batch",
    views,
    options=({"invariance": 1.0, "variance": 3.0, "covariance": 0.5}, {}),
    edges=(
        Edge(([[0.0], [3.0]], [[1.0], [4.0]]), 25.0, "deviations above 1, all 1 apart", gradient=[[-25.0], [-25.0]]),
        Edge(([[2.0], [2.0]], [[2.0], [2.0]]), 24.75, "constant: 25 (1 - 0.01)", gradient=[[0.0], [0.0]]),
        Edge(([[2.0]], [[2.0]]), 24.75, "a single sample: no variance", gradient=[[0.0]]),
        Edge(
            ([[1.0, 1.0], [3.0, -1.0]], [[1.0, 1.0], [3.0, -1.0]]),
            8.0,
            "a covariance of -2: 2 x 4 / 2, twice",
        ),
        Edge(([[1e4], [-1e4]], [[-1e4], [1e4]]), 1e10, "25 x 4e8"),
        Edge(([[math.nan], [0.0]], [[1.0], [2.0]]), math.nan, "nan is not hidden"),
    ),
    **BOTH,
)

"""Losses of a predicted variance, and of ensembles."""

from typing import Any

import numpy as np

from reference.information import CONTEXT as mp

from .entry import Edge, add

Number = Any


def moments(rng: np.random.Generator) -> tuple[Any, ...]:
    return rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), rng.uniform(0.2, 3.0, (4, 3))


def gaussian_nll(t: Any, p: Any, var: Any, full: bool = False, epsilon: float = 1e-6) -> Any:
    """Minus the logarithm of the density; without `full`, of the density times sqrt(2 pi)."""
    if isinstance(t, list):
        return [gaussian_nll(*entries, full, epsilon) for entries in zip(t, p, var, strict=True)]
    deviation = mp.sqrt(max(var, mp.mpf(epsilon)))
    density = mp.exp(-(((t - p) / deviation) ** 2) / 2) / deviation
    return -mp.log(density / mp.sqrt(2 * mp.pi) if full else density)


add(
    "gaussian_nll",
    gaussian_nll,
    "batch",
    moments,
    options=({}, {"full": True}, {"epsilon": 0.01}),
    wrt=("y_pred", "y_true", "var"),
    positions=(1, 0, 2),
    edges=(
        Edge(([0.0, 1.0], [2.0, 1.0], [1.0, 1.0]), [2.0, 0.0], "4 / 2; an exact fit", gradient=[2.0, 0.0]),
        Edge(([1.0], [1.0], [1.0]), [float(mp.log(2 * mp.pi) / 2)], "log(2 pi) / 2", {"full": True}, [0.0]),
        Edge(([1e4], [-1e4], [1.0]), [2e8], "far off", gradient=[-2e4]),
        Edge(([1.0], [0.0], [2.0]), [0.125 + float(mp.log(4)) / 2], "the floor of 4", {"epsilon": 4.0}, [-0.25]),
    ),
)
add(
    "gaussian_nll",
    gaussian_nll,
    "batch",
    moments,
    wrt=("var",),
    positions=(2,),
    edges=(
        # At the floor: (1 / v - e^2 / v^2) / 2, also below.
        Edge(([1.0], [0.0], [2.0]), [0.125 + float(mp.log(4)) / 2], "passes", {"epsilon": 4.0}, [0.125 - 0.03125]),
        Edge(([1.0], [0.0], [0.0]), [0.125 + float(mp.log(4)) / 2], "var = 0", {"epsilon": 4.0}, [0.125 - 0.03125]),
    ),
)


def ensembles(rng: np.random.Generator) -> tuple[Any, ...]:
    return rng.normal(size=6), rng.normal(size=(6, 5))


def crps(t: list[Any], p: list[list[Any]], fair: bool = False) -> list[Any]:
    """The mean distance to the truth, less half the mean distance of two members."""
    values = []
    for truth, members in zip(t, p, strict=True):
        m = len(members)
        off = mp.fsum(abs(x - truth) for x in members) / m
        apart = mp.fsum(abs(x - y) for x in members for y in members)
        values.append(off - apart / (2 * m * ((m - 1) if fair else m)))
    return values


add(
    "crps",
    crps,
    "batch",
    ensembles,
    options=({}, {"fair": True}),
    wrt=("y_pred", "y_true"),
    positions=(1, 0),
    edges=(
        Edge(([0.0], [[-1.0, 1.0]]), [0.5], "1 - 4 / 8", gradient=[[-0.25, 0.25]]),
        Edge(([0.0], [[-1.0, 1.0]]), [0.0], "1 - 4 / 4", {"fair": True}, [[0.0, 0.0]]),
        Edge(([0.0], [[3.0]]), [3.0], "one member: the absolute error", gradient=[[1.0]]),
        Edge(([0.0], [[-3.0]]), [3.0], "and it has no spread", {"fair": True}, [[-1.0]]),
        Edge(([1.0], [[1.0, 1.0, 1.0]]), [0.0], "all right, all tied", gradient=[[0.0, 0.0, 0.0]]),
        # 4 ties with 4, so |p_i - p_j| of them has slope 0; to 1 each has 1.
        Edge(
            ([0.0], [[4.0, 1.0, 4.0]]),
            [3.0 - 12.0 / 18],
            "(4 + 1 + 4) / 3 - 4 x 3 / 18",
            gradient=[[1 / 3 - 1 / 9, 1 / 3 + 2 / 9, 1 / 3 - 1 / 9]],
        ),
        Edge(([1e4], [[-1e4, -1e4]]), [2e4], "far off", gradient=[[-0.5, -0.5]]),
    ),
)

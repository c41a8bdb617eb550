"""Losses that compare every sample of a batch with every other."""

from typing import Any

import numpy as np

from reference.information import CONTEXT as mp

from .embedding import Number, Vector, batch, cosine
from .entry import Edge, add

HALF = float(mp.log(1 + mp.exp(-1)))
SAME = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
UNIT = {"temperature": 1.0}


def positives_and_negatives(labels: list[int], i: int) -> tuple[list[int], list[int]]:
    others = [j for j in range(len(labels)) if j != i]
    return [j for j in others if labels[j] == labels[i]], [j for j in others if labels[j] != labels[i]]


def ntxent(labels: list[int], x: list[Vector], temperature: float = 0.07) -> tuple[Any, Any]:
    """Chen et al. 2020, eq. 1, pair by pair; the denominator as in Optax."""
    tau, size = mp.mpf(temperature), len(x)
    values = [[mp.mpf(0)] * size for _ in x]
    counts = [[mp.mpf(0)] * size for _ in x]
    for i in range(size):
        positives, negatives = positives_and_negatives(labels, i)
        for p in positives:
            own = mp.exp(cosine(x[i], x[p]) / tau)
            below = own + mp.fsum(mp.exp(cosine(x[i], x[n]) / tau) for n in negatives)
            values[i][p], counts[i][p] = -mp.log(own / below), mp.mpf(1)
    return values, counts


NONE = [[0.0] * 2] * 3
TWO = float(mp.log(2))
ZEROS = [[0.0, TWO, 0.0], [TWO, 0.0, 0.0], [0.0] * 3]
add(
    "ntxent",
    ntxent,
    "batch",
    batch,
    options=({"temperature": 0.5}, {}, {"temperature": 0.001}),
    wrt=("features",),
    positions=(1,),
    edges=(
        Edge(([0, 0, 1], SAME), [[0.0, HALF, 0.0], [HALF, 0.0, 0.0], [0.0] * 3], "log(e + 1) - 1", UNIT),
        Edge(([0, 1, 2], SAME), [[0.0] * 3] * 3, "no positives", gradient=NONE),
        Edge(([1, 1, 1], SAME), [[0.0] * 3] * 3, "no negatives (rosetta 13: 0)", gradient=NONE),
        Edge(([0, 0, 1], [[0.0, 0.0]] * 3), ZEROS, "vectors of 0: log 2", UNIT, gradient=NONE),
        Edge(
            ([0, 0, 1], [[1e4, 0.0], [0.0, 1e4], [1e-4, 0.0]]),
            [[0.0, 1000.0, 0.0], [float(mp.log(2)), 0.0, 0.0], [0.0] * 3],
            "rosetta 13: temperature 1e-3: log(1 + e^1000); log 2",
            {"temperature": 0.001},
        ),
    ),
)


def info_nce(x1: list[Vector], x2: list[Vector], temperature: float = 0.07, symmetric: bool = False) -> list[Number]:
    tau, size, values = mp.mpf(temperature), len(x1), []
    for i in range(size):
        own = mp.exp(cosine(x1[i], x2[i]) / tau)
        value = -mp.log(own / mp.fsum(mp.exp(cosine(x1[i], x2[j]) / tau) for j in range(size)))
        if symmetric:
            back = -mp.log(own / mp.fsum(mp.exp(cosine(x1[j], x2[i]) / tau) for j in range(size)))
            value = (value + back) / 2
        values.append(value)
    return values


add(
    "info_nce",
    info_nce,
    "batch",
    lambda rng: (rng.normal(size=(5, 3)), rng.normal(size=(5, 3))),
    options=({"temperature": 0.5}, {}, {"temperature": 0.3, "symmetric": True}),
    wrt=("x1", "x2"),
    positions=(0, 1),
    edges=(
        Edge(([[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [0.0, 3.0]]), [HALF, HALF], "log(e + 1) - 1", UNIT),
        Edge(([[1.0, 0.0]], [[0.0, 1.0]]), [0.0], "alone", gradient=[[0.0, 0.0]]),
        Edge(([[0.0, 0.0]] * 2, [[0.0, 1.0]] * 2), [float(mp.log(2))] * 2, "vectors of 0", gradient=[[0.0, 0.0]] * 2),
        Edge(
            ([[1e4, 0.0], [1e-4, 0.0]], [[0.0, 1.0], [1.0, 0.0]]),
            [1000.0, float(mp.log1p(mp.exp(-1000)))],
            "log(1 + e^1000); log(1 + e^-1000)",
            {"temperature": 0.001},
        ),
    ),
)


def multi_similarity(
    labels: list[int], x: list[Vector], alpha: float = 2.0, beta: float = 50.0, base: float = 0.5
) -> list[Number]:
    """Wang et al. 2019, anchor by anchor, of all pairs."""
    a, b, lam, values = mp.mpf(alpha), mp.mpf(beta), mp.mpf(base), []
    for i in range(len(x)):
        positives, negatives = positives_and_negatives(labels, i)
        pull = mp.log(1 + mp.fsum(mp.exp(-a * (cosine(x[i], x[p]) - lam)) for p in positives)) / a
        push = mp.log(1 + mp.fsum(mp.exp(b * (cosine(x[i], x[n]) - lam)) for n in negatives)) / b
        values.append(pull + push)
    return values


PULL, PUSH = float(mp.log(1 + mp.exp(-1)) / 2), float(mp.log(1 + mp.exp(-25)) / 50)
add(
    "multi_similarity",
    multi_similarity,
    "batch",
    batch,
    options=({}, {"alpha": 5.0}, {"beta": 3.0}, {"base": -0.25}),
    wrt=("features",),
    positions=(1,),
    edges=(
        Edge(([0, 0, 1], SAME), [PULL + PUSH] * 2 + [float(mp.log(1 + 2 * mp.exp(-25)) / 50)], "s of 1 and 0"),
        Edge(([0], [[1.0, 0.0]]), [0.0], "alone", gradient=[[0.0, 0.0]]),
        Edge(([0, 1], [[1e4, 0.0], [1e-4, 0.0]]), [0.5] * 2, "log(1 + e^5000) / 1e4", {"beta": 1e4}, gradient=NONE[:2]),
    ),
)


def circle(
    labels: list[int], x: list[Vector], gamma: float = 80.0, margin: float = 0.4, detach: bool = True
) -> tuple[Any, Any]:
    """Sun et al. 2020, anchor by anchor; where the weights are constants, they are those of the inputs
    that differences step away from: these have few digits.
    """
    g, m, values, counts = mp.mpf(gamma), mp.mpf(margin), [], []
    held = [[mp.nint(v * 2**20) / 2**20 for v in row] for row in x] if detach else x
    for i in range(len(x)):
        positives, negatives = positives_and_negatives(labels, i)
        pull = push = mp.mpf(0)
        for p in positives:
            weight = max(mp.mpf(0), 1 + m - cosine(held[i], held[p]))
            pull += mp.exp(-g * weight * (cosine(x[i], x[p]) - (1 - m)))
        for n in negatives:
            weight = max(mp.mpf(0), cosine(held[i], held[n]) + m)
            push += mp.exp(g * weight * (cosine(x[i], x[n]) - m))
        values.append(mp.log(1 + pull * push))
        counts.append(mp.mpf(1 if positives and negatives else 0))
    return values, counts


def few_digits(rng: np.random.Generator) -> tuple[Any, ...]:
    labels, x = batch(rng)
    return labels, np.round(x * 4096) / 4096


# w_p = 0.4, s_p - 0.6 = 0.4; w_n = 0.4, s_n - 0.4 = -0.4
AWAY = float(mp.log(1 + mp.exp(-80 * mp.mpf("0.32"))))
add(
    "circle",
    circle,
    "batch",
    few_digits,
    options=({}, {"detach": False}, {"gamma": 3.0}, {"margin": 0.1, "gamma": 10.0, "detach": False}),
    wrt=("features",),
    positions=(1,),
    edges=(
        Edge(([0, 0, 1], SAME), [AWAY, AWAY, 0.0], "log(1 + e^(-80 (0.16 + 0.16)))"),
        Edge(([0, 1, 2], SAME), [0.0] * 3, "no positives", gradient=NONE),
        Edge(([1, 1, 1], SAME), [0.0] * 3, "no negatives", gradient=NONE),
        Edge(
            ([0, 0, 1], [[1e4, 0.0], [-1e4, 0.0], [1e-4, 0.0]]),
            [80 * (2.4 * 1.6 + 1.4 * 0.6), 80 * 2.4 * 1.6, 0.0],
            "w_p 2.4 at s_p -1, w_n 1.4 at s_n 1 and 0 at -1",
        ),
    ),
)

"""Losses of proxies."""

import math
from typing import Any

import numpy as np

from reference.information import CONTEXT as mp

from .embedding import cosine, euclidean
from .entry import Edge, add
from .margin_softmax import TWO, WRT, log1pexp

Number = Any
Vector = list[Number]


def scattered(rng: np.random.Generator) -> tuple[Any, ...]:
    return np.array([2, 0, 2, 0, 1, 0]), rng.normal(size=(6, 3)), rng.normal(size=(4, 3))


def normalised(a: Vector) -> Vector:
    size = mp.sqrt(mp.fsum(v * v for v in a))
    return [v / size for v in a]


def proxy_nca(
    labels: list[int], x: list[Vector], proxies: list[Vector], scale: float = 1.0, plus: bool = False
) -> Vector:
    """Movshovitz-Attias et al. 2017, distance by distance."""
    values = []
    for y, a in zip(labels, x, strict=True):
        near = [mp.exp(-scale * euclidean(normalised(a), normalised(p)) ** 2) for p in proxies]
        below = mp.fsum(e for z, e in enumerate(near) if plus or z != y)
        values.append(-mp.log(near[y] / below))
    return values


add(
    "proxy_nca",
    proxy_nca,
    "batch",
    scattered,
    options=({"scale": 3.0}, {"plus": True, "scale": 9.0}, {}),
    edges=(
        Edge(([0], [[2.0, 0.0]], TWO), [-2.0], "distances 0 and 2; no own proxy below", gradient=[[0.0, 1.0]]),
        Edge(([0], [[2.0, 0.0]], TWO), [log1pexp(-2)], "a softmax of 0 and -2", {"plus": True}),
        Edge(([1], [[16384.0, 0.0]], TWO), [2000.0], "1000 x 2", {"plus": True, "scale": 1000.0}),
        Edge(([0], [[0.0, 0.0]], TWO), [0.0], "no direction: as far from both", gradient=[[0.0, 0.0]]),
        Edge(([0], [[1.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]), [-1.0], "a proxy of 0 is at 1, the other at 2"),
        Edge(([0], [[1.0, 2.0]], [[1.0, 0.0]]), [0.0], "a single proxy", gradient=[[0.0, 0.0]]),
        Edge(([0], [[math.nan, 0.0]], TWO), [math.nan], "nan is not hidden"),
    ),
    **WRT,
)


def proxy_anchor(
    labels: list[int], x: list[Vector], proxies: list[Vector], alpha: float = 32.0, margin: float = 0.1
) -> Number:
    """Kim et al. 2020, proxy by proxy."""
    drawn, repelled = [], []
    for k, p in enumerate(proxies):
        s = [cosine(a, p) for a in x]
        own = [mp.exp(-alpha * (c - mp.mpf(margin))) for c, y in zip(s, labels, strict=True) if y == k]
        other = [mp.exp(alpha * (c + mp.mpf(margin))) for c, y in zip(s, labels, strict=True) if y != k]
        if own:
            drawn.append(mp.log(1 + mp.fsum(own)))
        repelled.append(mp.log(1 + mp.fsum(other)))
    return mp.fsum(drawn) / len(drawn) + mp.fsum(repelled) / len(repelled)


PLAIN = {"alpha": 1.0, "margin": 0.0}
add(
    "proxy_anchor",
    proxy_anchor,
    "batch",
    scattered,
    options=({"alpha": 4.0, "margin": 0.3}, {}),
    edges=(
        Edge(([0], [[2.0, 0.0]], TWO), log1pexp(-1) + math.log(2) / 2, "one proxy present; of two, one repels", PLAIN),
        Edge(([0, 0], [[16384.0, 0.0]] * 2, TWO), float(mp.log(1 + 2 / mp.e) + mp.log(3) / 2), "two of a class", PLAIN),
        Edge(([0], [[-1.0, 0.0]], [[1.0, 0.0]]), 1.1e4, "1e4 (1 + 0.1), nothing else", {"alpha": 1e4}, [[0.0, 0.0]]),
        Edge(([0], [[0.0, 0.0]], TWO), 1.5 * math.log(2), "no direction", PLAIN, [[0.0, 0.0]]),
        Edge(([0], [[math.nan, 0.0]], TWO), math.nan, "nan is not hidden"),
    ),
    **WRT,
)

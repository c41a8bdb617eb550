"""Losses of the angle between two vectors."""

from typing import Any

import numpy as np

from reference.information import CONTEXT as mp

from .entry import Edge, add
from .regression import reals

Vector = list[Any]


def cosine(t: Vector, p: Vector) -> Any:
    dot = mp.fsum(x * y for x, y in zip(t, p, strict=True))
    return dot / mp.sqrt(mp.fsum(x * x for x in t) * mp.fsum(y * y for y in p))


def cosine_similarity(t: Vector, p: Vector) -> Any:
    return -cosine(t, p)


def cosine_distance(t: Vector, p: Vector) -> Any:
    return 1 - cosine(t, p)


def edges(zero: float) -> tuple[Edge, ...]:
    """Those of minus the cosine, and of what is `zero` more."""
    nan = np.nan
    return (
        Edge(
            ([[3.0, 4.0]], [[4.0, 3.0]]),
            [zero - 0.96],
            "(24/25 p - t) / 25",
            gradient=[[0.0336, -0.0448]],
        ),
        Edge(([[1.0, 0.0]], [[0.0, 2.0]]), [zero], "a right angle", gradient=[[-0.5, 0.0]]),
        Edge(([[0.0, 4.0]], [[0.0, 8.0]]), [zero - 1.0], "one direction", gradient=[[0.0, 0.0]]),
        Edge(([[1.0, 0.0]], [[-2.0, 0.0]]), [zero + 1.0], "opposite ones", gradient=[[0.0, 0.0]]),
        Edge(([[1.0, 2.0]], [[0.0, 0.0]]), [zero], "a zero vector: similarity 0, gradient 0", gradient=[[0.0, 0.0]]),
        Edge(([[0.0, 0.0]], [[1.0, 2.0]]), [zero], "a zero vector: similarity 0, gradient 0", gradient=[[0.0, 0.0]]),
        Edge(([[0.0, 0.0]], [[0.0, 0.0]]), [zero], "two zero vectors", gradient=[[0.0, 0.0]]),
        Edge(([[1e4, 0.0]], [[0.0, -1e4]]), [zero], "extremes", gradient=[[-1e-4, 0.0]]),
        Edge(([[1e20, 0.0]], [[1e20, 1e20]]), [zero - 0.5**0.5], "no float32 holds the squares of 1e20"),
        Edge(([[3e38, 0.0]], [[3e38, 3e38]]), [zero - 0.5**0.5], "nor the sum of 3e38"),
        Edge(([[1e-20, 0.0]], [[1e-20, 1e-20]]), [zero - 0.5**0.5], "nor the squares of 1e-20"),
        Edge(([[1.0, 2.0]], [[nan, 0.0]]), [nan], "nan is not hidden"),
        Edge(([[nan, 2.0]], [[0.0, 0.0]]), [nan], "nan is not hidden"),
    )


add("cosine_similarity", cosine_similarity, "row", reals, edges=edges(0.0))
add(
    "cosine_distance",
    cosine_distance,
    "row",
    reals,
    edges=(
        *edges(1.0),
        Edge(([[1.0, 0.0]], [[1.0, 1e-8]]), [5e-17], "angle^2 / 2, of which the difference 1 - cosine has nothing"),
    ),
)

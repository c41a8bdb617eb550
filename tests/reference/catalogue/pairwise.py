"""Losses of pairs of scores."""

from typing import Any

import numpy as np

from reference.information import CONTEXT as mp

from .entry import Edge, add

Number = Any


def margin_ranking(t: list[Any], x1: list[Any], x2: list[Any], margin: float = 0.0) -> list[Any]:
    """By how much the difference of each pair, in the wanted direction, falls short of the margin."""
    if t and isinstance(t[0], list):
        return [margin_ranking(*rows, margin) for rows in zip(t, x1, x2, strict=True)]
    values = []
    for wanted, a, b in zip(t, x1, x2, strict=True):
        lead = a - b if wanted > 0 else b - a
        values.append(max(mp.mpf(0), mp.mpf(margin) - lead))
    return values


def signed_pairs(rng: np.random.Generator) -> tuple[Any, ...]:
    return np.array([[1.0, -1.0, 1.0], [-1.0, 1.0, -1.0]]), rng.normal(size=(2, 3)), rng.normal(size=(2, 3))


add(
    "margin_ranking",
    margin_ranking,
    "batch",
    signed_pairs,
    options=({}, {"margin": 0.7}, {"margin": -0.3}),
    wrt=("x1", "x2"),
    positions=(1, 2),
    edges=(
        Edge(([1.0, -1.0], [2.0, 2.0], [2.0, 2.0]), [0.0, 0.0], "equal scores are at the kink", gradient=[0.0, 0.0]),
        Edge(
            ([1.0, -1.0, 1.0], [3.0, 3.0, 2.0], [1.0, 1.0, 1.0]),
            [0.0, 3.0, 0.0],
            "2 - 1, -2 - 1, and a lead of just the margin",
            {"margin": 1.0},
            gradient=[0.0, 1.0, 0.0],
        ),
        Edge(([1.0, 1.0], [-1e4, 1e4], [1e4, -1e4]), [2e4, 0.0], "far apart", gradient=[-1.0, 0.0]),
        Edge(([1.0], [float("nan")], [1.0]), [float("nan")], "not hidden by the maximum"),
    ),
)

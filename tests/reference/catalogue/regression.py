"""Losses of real numbers."""

from typing import Any

import numpy as np

from reference.information import CONTEXT as mp

from .entry import Edge, add

Number = Any


def reals(rng: np.random.Generator) -> tuple[Any, Any]:
    """Targets and predictions, 4 x 3."""
    return rng.normal(size=(4, 3)), 2 * rng.normal(size=(4, 3))


def half_squared_error(t: Number, p: Number) -> Number:
    """(p - t)^2 / 2."""
    return (p - t) ** 2 / mp.mpf(2)


add(
    "half_squared_error",
    half_squared_error,
    "element",
    reals,
    edges=(Edge(([[1.0, 3.0]], [[1.0, 1.0]]), [1.0], "0 and 2^2 / 2, their mean", gradient=[[0.0, -1.0]]),),
)

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


def smooth_l1(t: Number, p: Number, beta: float = 1.0) -> Number:
    """Girshick 2015, eq. 3, with the beta of torch."""
    e, beta = abs(p - t), mp.mpf(beta)
    return e**2 / (2 * beta) if e < beta else e - beta / 2


def quantile(t: Number, p: Number, q: float = 0.5) -> Number:
    """Koenker & Bassett 1978: the check function."""
    d, q = t - p, mp.mpf(q)
    return max(q * d, (q - 1) * d)


def charbonnier(t: Number, p: Number, epsilon: float = 1e-3) -> Number:
    """sqrt(e^2 + epsilon^2)."""
    return mp.sqrt((t - p) ** 2 + mp.mpf(epsilon) ** 2)


add(
    "half_squared_error",
    half_squared_error,
    "element",
    reals,
    edges=(Edge(([[1.0, 3.0]], [[1.0, 1.0]]), [1.0], "0 and 2^2 / 2, their mean", gradient=[[0.0, -1.0]]),),
)
add(
    "smooth_l1",
    smooth_l1,
    "element",
    reals,
    options=({}, {"beta": 0.25}, {"beta": 3.0}, {"beta": 0.0}),
    edges=(
        Edge(([0.0], [0.0]), 0.0, "an exact fit", gradient=[0.0]),
        Edge(([0.0], [2.0]), 1.0, "e = beta: both pieces give beta / 2 and slope 1", {"beta": 2.0}, [1.0]),
        Edge(([[1.0, 0.0]], [[0.0, -6.0]]), [2.625], "1/4 and 6 - 1", {"beta": 2.0}, [[-0.25, -0.5]]),
        Edge(([[0.0], [0.0]], [[1e4], [-1e4]]), [9999.5, 9999.5], "|e| - 1/2", gradient=[[1.0], [-1.0]]),
        Edge(([0.0], [1e30]), 1e30, "a square of 1e60 is no float32", gradient=[1.0]),
        Edge(([0.0], [1e30]), 0.5e25, "beneath the square of 1e60", {"beta": 1e35}, gradient=[1e-5]),
        Edge(([0.0, 0.0], [3.0, 0.0]), 1.5, "beta = 0: torch's limit, the absolute error", {"beta": 0.0}, [0.5, 0.0]),
        Edge(([0.0, 1.0], [np.nan, 1.0]), np.nan, "nan is not hidden"),
        Edge(([np.nan, 1.0], [0.0, 1.0]), np.nan, "nan is not hidden"),
    ),
)
add(
    "quantile",
    quantile,
    "element",
    reals,
    options=({}, {"q": 0.1}, {"q": 0.875}),
    edges=(
        Edge(([[1.0], [-1.0]], [[3.0], [2.0]]), [0.5, 0.75], "above the target: 1 - q", {"q": 0.75}, [[0.25], [0.25]]),
        Edge(([[3.0], [2.0]], [[1.0], [-1.0]]), [1.5, 2.25], "below it: q", {"q": 0.75}, [[-0.75], [-0.75]]),
        Edge(([2.0], [2.0]), 0.0, "the kink", {"q": 0.9}, gradient=[0.0]),
        Edge(([0.0, 0.0], [1e4, -1e4]), 5000.0, "(0.25 + 0.75) 1e4 / 2", {"q": 0.75}, gradient=[0.125, -0.375]),
        Edge(([[0.0], [0.0]], [[2.0], [-2.0]]), [0.0, 2.0], "q = 1: only too little costs", {"q": 1.0}, [[0], [-1]]),
        Edge(([0.0, 1.0], [np.nan, 1.0]), np.nan, "nan is not hidden", {"q": 0.9}),
    ),
)
add(
    "charbonnier",
    charbonnier,
    "element",
    reals,
    options=({}, {"epsilon": 0.5}, {"epsilon": 2.0}),
    edges=(
        Edge(([1.0], [1.0]), 1e-3, "an exact fit has epsilon", gradient=[0.0]),
        Edge(([[0.0], [0.0]], [[4.0], [-4.0]]), [5.0, 5.0], "3, 4, 5", {"epsilon": 3.0}, gradient=[[0.8], [-0.8]]),
        Edge(([0.0], [2.0]), 8.0**0.5, "e = epsilon", {"epsilon": 2.0}, gradient=[0.5**0.5]),
        Edge(([0.0, 0.0], [1e4, -1e4]), 1e4, "the absolute error", gradient=[0.5, -0.5]),
        Edge(([0.0], [1e30]), 1e30, "a square of 1e60 is no float32", gradient=[1.0]),
        Edge(([0.0, 1.0], [np.nan, 1.0]), np.nan, "nan is not hidden"),
    ),
)

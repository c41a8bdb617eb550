"""Losses of real numbers."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from reference.information import CONTEXT as mp

from .entry import BY_BOTH, Edge, add

Number = Any


def reals(rng: np.random.Generator) -> tuple[Any, Any]:
    return rng.normal(size=(4, 3)), 2 * rng.normal(size=(4, 3))


def above_minus_one(rng: np.random.Generator) -> tuple[Any, Any]:
    return rng.uniform(-0.5, 4.0, (4, 3)), rng.uniform(-0.5, 4.0, (4, 3))


def squared_error(t: Number, p: Number) -> Number:
    return (p - t) ** 2


def absolute_error(t: Number, p: Number) -> Number:
    return abs(p - t)


def percentage_error(t: Number, p: Number, epsilon: float = 1e-7) -> Number:
    """100 |p - t| / max(|t|, epsilon), in percent (Keras)."""
    return 100 * abs(p - t) / max(abs(t), mp.mpf(epsilon))


def squared_log_error(t: Number, p: Number) -> Number:
    return (mp.log1p(p) - mp.log1p(t)) ** 2


def log_cosh(t: Number, p: Number) -> Number:
    return mp.log(mp.cosh(p - t))


def huber(t: Number, p: Number, delta: float = 1.0) -> Number:
    """Huber 1964: e^2 / 2 where |e| <= delta, delta (|e| - delta / 2) beyond."""
    e, delta = abs(p - t), mp.mpf(delta)
    return e**2 / 2 if e <= delta else delta * (e - delta / 2)


def root_of_the_mean(element: Callable[[Number, Number], Number]) -> Callable[[list[Number], list[Number]], Number]:
    return lambda t, p: mp.sqrt(mp.fsum(element(a, b) for a, b in zip(t, p, strict=True)) / len(p))


NOTES = [1.0, 2.0, 3.0, 100.0]
FAR, NEAR = (NOTES, [1.0, 2.0, 3.0, 110.0]), (NOTES, [2.0, 3.0, 4.0, 100.0])
"""The notes' example: one guess is off by 10 at the 100, the other by 1 at each of the three small ones."""


def of_the_notes(far: float, near: float) -> tuple[Edge, Edge]:
    return Edge(FAR, far, "off by 10 at 100"), Edge(NEAR, near, "off by 1 at 1, 2 and 3")


add(
    "mean_squared_error",
    squared_error,
    "element",
    reals,
    edges=(
        *of_the_notes(25.0, 0.75),
        Edge(([[0.0, 0.0]], [[3.0, -1.0]]), [5.0], "(9 + 1) / 2", gradient=[[3.0, -1.0]]),
    ),
    **BY_BOTH,
)
add(
    "mean_absolute_error",
    absolute_error,
    "element",
    reals,
    edges=(
        *of_the_notes(2.5, 0.75),
        Edge(([[0.0, 0.0]], [[0.0, -4.0]]), [2.0], "0 at the kink", gradient=[[0.0, -0.5]]),
    ),
    **BY_BOTH,
)
add(
    "mean_absolute_percentage_error",
    percentage_error,
    "element",
    reals,
    options=({}, {"epsilon": 0.5}),
    edges=(
        *of_the_notes(2.5, 100 * (1 + 1 / 2 + 1 / 3) / 4),
        Edge(([-4.0], [-5.0]), 25.0, "1 of 4", gradient=[-25.0]),
        Edge(([0.0], [1e-9]), 1.0, "100 x 1e-9 / 1e-7", gradient=[1e9]),
        Edge(([3.0], [3.0]), 0.0, "the kink", gradient=[0.0]),
    ),
    **BY_BOTH,
)
add(
    "mean_squared_logarithmic_error",
    squared_log_error,
    "element",
    above_minus_one,
    edges=(
        *of_the_notes(math.log(111 / 101) ** 2 / 4, 0.0742389932991086),  # the notes' 0.0742393 has a wrong digit
        Edge(([0.0], [math.e - 1]), 1.0, "1 + p = e", gradient=[2 / math.e]),
        Edge(([1e-12], [2e-12]), 1e-24 * (1 - 3e-12), "no digit is lost near 0", gradient=[2e-12 * (1 - 3.5e-12)]),
    ),
    **BY_BOTH,
)
add(
    "log_cosh",
    log_cosh,
    "element",
    reals,
    edges=(
        Edge(FAR, (10 - math.log(2) + math.exp(-20)) / 4, "ln cosh 10, by 4"),
        Edge(([1.0], [0.0]), 0.43378083048302719, "ln 1.5430806348152437"),
        Edge(([0.0], [1e-8]), 5e-17, "x^2 / 2; the textbook formula says 0", gradient=[1e-8]),
        Edge(([0.0], [1000.0]), 999.3068528194401, "1000 - ln 2; cosh(1000) is no float64", gradient=[1.0]),
    ),
    **BY_BOTH,
)
add(
    "huber",
    huber,
    "element",
    reals,
    options=({}, {"delta": 0.3}),
    edges=(
        *of_the_notes(9.5 / 4, 1.5 / 4),
        Edge(([[0.0, 0.0]], [[0.5, -3.0]]), [2.0625], "1/8 and 2 (3 - 1)", {"delta": 2.0}, [[0.25, -1.0]]),
    ),
    **BY_BOTH,
)
add(
    "root_mean_squared_error",
    root_of_the_mean(squared_error),
    "row",
    reals,
    edges=(
        *of_the_notes(5.0, math.sqrt(0.75)),
        # e_i / (2 root), root = 5 / sqrt 2
        Edge(([[0.0, 0.0]], [[3.0, 4.0]]), [math.sqrt(12.5)], "3, 4, 5", gradient=[[0.3 * 2**0.5, 0.4 * 2**0.5]]),
        Edge(([[2.0, 7.0]], [[2.0, 7.0]]), [0.0], "an exact fit", gradient=[[0.0, 0.0]]),
    ),
    **BY_BOTH,
)
add(
    "root_mean_squared_logarithmic_error",
    root_of_the_mean(squared_log_error),
    "row",
    above_minus_one,
    edges=(
        *of_the_notes(math.log(111 / 101) / 2, 0.2724683344888148),
        Edge(([[2.0, 7.0]], [[2.0, 7.0]]), [0.0], "an exact fit", gradient=[[0.0, 0.0]]),
    ),
    **BY_BOTH,
)


def half_squared_error(t: Number, p: Number) -> Number:
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

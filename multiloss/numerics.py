"""Elementary functions over any array namespace: `DEFAULTS` for adapters whose framework has nothing better."""

from __future__ import annotations

import math
from typing import Any

Array = Any


def at_least(xp: Any, x: Array, bound: float) -> Array:
    """max(x, bound)."""
    return xp.where(x < bound, xp.full_like(x, bound), x)


def infinite_below(xp: Any, x: Array, bound: float) -> Array:
    """x, and infinity where x < bound."""
    return xp.where(x < bound, xp.full_like(x, math.inf), x)


def unit(xp: Any, x: Array) -> Array:
    """1 where x is 0 or above, else -1."""
    return xp.where(x >= 0, xp.ones_like(x), -xp.ones_like(x))


def times(xp: Any, weight: Array, x: Array) -> Array:
    """weight * x, where a weight of 0 gives 0 against an infinite x."""
    return weight * xp.where((weight == 0) & xp.isinf(x), xp.zeros_like(x), x)


def mix(xp: Any, x: Array, y: Array, weight: Array) -> Array:
    """(1 - weight) * x + weight * y, where a weight of 0 gives 0 against what is infinite."""
    return times(xp, 1 - weight, x) + times(xp, weight, y)


def held(xp: Any, x: Array) -> Array:
    """x, as a constant that keeps its values whatever is written to its source."""
    return xp.stop_gradient(x)


def put_class(xp: Any, values: Array, labels: Array, like: Array, axis: int) -> Array:
    """The value of each sample at its label, 0 at the other classes."""
    at_label = xp.class_range(like, axis) == xp.expand_dims(labels, axis=axis)
    return xp.where(at_label, xp.expand_dims(values, axis=axis), xp.zeros_like(like))


def where_finite(xp: Any, rows: Array, x: Array, y: Array) -> Array:
    """The rows of x where those of `rows` are finite, else of y; (N, D) each."""
    return xp.where(xp.all(xp.isfinite(rows), axis=-1, keepdims=True), x, y)


DEFAULTS = {f.__name__: f for f in (at_least, infinite_below, unit, times, mix, held, put_class, where_finite)}


def sinh(xp: Any, x: Array) -> Array:
    """(exp(x) - exp(-x)) / 2 within about 2 units in the last place, where `exp` is good and `expm1` is not (XLA).

    Below 1 the Taylor series, up to x^19 / 19!, which is 1e-17 of the value there.
    """
    near = xp.where(xp.abs(x) < 1, x, xp.zeros_like(x))
    square = near * near
    series = xp.ones_like(x) * (1 / math.factorial(19))
    for k in range(17, 0, -2):
        series = series * square + 1 / math.factorial(k)
    e = xp.exp(x)
    return xp.where(xp.abs(x) < 1, near * series, 0.5 * (e - 1 / e))


def log1p(xp: Any, x: Array) -> Array:
    """log(1 + x) from arguments of 0 and above: near -0.4 XLA's own is 127 units in the last place off in float64."""
    negative = x < 0
    value = xp.log1p(xp.where(negative, -x / (1 + x), x))
    return xp.where(negative, -value, value)

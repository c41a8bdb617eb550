"""The primitives that NumPy's array API lacks, or that are quicker this way.

What each gives is said in `multiloss.engine` (`numerics`, `norms`, `pairs`, `protocol`), or by the array API standard.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = Any

SAME = {"cumulative_sum": np.cumsum}  # NumPy 2.0 has no cumulative_sum


def stop_gradient(x: Array) -> Array:
    return x  # NumPy records no gradients


def astype(x: Array, dtype: Any) -> Array:
    return np.asarray(x).astype(dtype, copy=False)


def lgamma(x: Array) -> Array:
    return np.asarray(_lgamma(x), x.dtype)


def _log_gamma(x: float) -> float:
    try:
        return math.lgamma(x)
    except (ValueError, OverflowError):  # a pole; a value that no float64 holds
        return math.inf


_lgamma = np.vectorize(_log_gamma, otypes=[np.float64])


def digamma(x: Array) -> Array:
    """The derivative of lgamma."""
    exact = np.asarray(x, np.float64)
    low = exact < 0.5
    z = np.where(low, 1 - exact, exact)
    steps = sum(1 / (z + k) for k in range(10))
    z = z + 10  # where the series has double precision
    square = 1 / (z * z)
    series = square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square * (1 / 240 - square / 132))))
    found = np.log(z) - 0.5 / z - series - steps
    return np.asarray(np.where(low, found - math.pi / np.tan(math.pi * exact), found), x.dtype)


def clamp_min(x: Array, bound: float) -> Array:
    return np.maximum(x, np.asarray(bound, x.dtype))


def signed_margin(target: Array, score: Array, absent: bool = False) -> Array:
    # The default also keeps derivatives from nan, of which NumPy has none.
    return target * (np.where((target == 0) & np.isinf(score), 0, score).astype(score.dtype) if absent else score)


def linear(x: Array, weight: Array) -> Array:
    return x @ weight.T


def pair_squares(x: Array) -> Array:
    found = np.empty((len(x), len(x)), x.dtype)
    for i, row in enumerate(x):
        gap = row - x[i:]
        found[i, i:] = found[i:, i] = np.vecdot(gap, gap)
    return found


def pair_gaps(x: Array, factor: Array) -> Array:
    # Not `weights @ gap`: threads that wait for each other at each row cost more than they save.
    gaps = (np.einsum("j,jd->d", weights, row - x) for row, weights in zip(x, factor, strict=True))
    return np.stack(list(gaps))


def put_rows(table: Array, rows: Array, values: Array) -> Array:
    table = table.copy()
    table[rows] = values
    return table


def segment_sum(values: Array, segments: Array, like: Array) -> Array:
    sums = np.zeros((len(like), *values.shape[1:]), values.dtype)
    np.add.at(sums, segments, values)
    return sums

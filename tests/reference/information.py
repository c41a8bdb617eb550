"""Entropies (Shannon 1948, Kullback & Leibler 1951) and the soft maximum, over the last axis unless told otherwise.

`base=None` means nats, `base=2` bits. Sums that might overflow or cancel are taken with 50 digits in mpmath.
"""

import math
from collections.abc import Callable

import mpmath
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .scalars import log, total

Array = NDArray[np.float64]
CONTEXT = mpmath.mp.clone()
CONTEXT.dps = 50


def _over_last(function: Callable[..., float], *arrays: ArrayLike) -> Array:
    stacked = [np.asarray(a, dtype=np.float64) for a in arrays]
    out = np.empty(stacked[0].shape[:-1])
    for index in np.ndindex(out.shape):
        out[index] = function(*([float(v) for v in a[index]] for a in stacked))
    return out


def _unit(base: float | None) -> float:
    return 1.0 if base is None else math.log(base)


def entropy(p: ArrayLike, base: float | None = None) -> Array:
    """H(p) = -sum p log p, 0 log 0 = 0."""
    return cross_entropy(p, p, base)


def cross_entropy(p: ArrayLike, q: ArrayLike, base: float | None = None) -> Array:
    """H(p, q) = -sum p log q; terms with p = 0 are 0, terms with q = 0 < p infinite."""

    def one(a: list[float], b: list[float]) -> float:
        return -total([x * log(y) for x, y in zip(a, b, strict=True) if x != 0.0]) / _unit(base)

    return _over_last(one, p, q)


def relative_entropy(p: ArrayLike, q: ArrayLike, base: float | None = None) -> Array:
    """KL(p || q) = sum p log(p / q)."""

    def one(a: list[float], b: list[float]) -> float:
        return total([x * (log(x) - log(y)) for x, y in zip(a, b, strict=True) if x != 0.0]) / _unit(base)

    return _over_last(one, p, q)


def _vectors(x: ArrayLike, axis: int) -> Array:
    return np.moveaxis(np.asarray(x, dtype=np.float64), axis, -1)


def logsumexp(x: ArrayLike, axis: int = -1) -> Array:
    """log(sum exp(x)): mpmath's exponents have no limits, so the textbook formula is the right one."""

    def one(z: list[float]) -> float:
        return float(CONTEXT.log(CONTEXT.fsum(CONTEXT.exp(v) for v in z)))

    return _over_last(one, _vectors(x, axis))


def _each(function: Callable[[list[float]], list[float]], x: ArrayLike, axis: int) -> Array:
    vectors = _vectors(x, axis)
    out = np.empty(vectors.shape)
    for index in np.ndindex(vectors.shape[:-1]):
        out[index] = function([float(v) for v in vectors[index]])
    return np.moveaxis(out, -1, axis)


def softmax(x: ArrayLike, axis: int = -1) -> Array:
    """exp(x_k) / sum_j exp(x_j)."""

    def one(z: list[float]) -> list[float]:
        powers = [CONTEXT.exp(v) for v in z]
        return [float(power / CONTEXT.fsum(powers)) for power in powers]

    return _each(one, x, axis)


def log_softmax(x: ArrayLike, axis: int = -1) -> Array:
    """log of softmax: -log(1 + sum_{j != k} exp(x_j - x_k)), so that a value near 0 keeps its digits."""

    def one(z: list[float]) -> list[float]:
        powers = [CONTEXT.exp(v) for v in z]
        others = [CONTEXT.fsum(powers[j] for j in range(len(z)) if j != k) for k in range(len(z))]
        return [float(-CONTEXT.log1p(others[k] / powers[k])) for k in range(len(z))]

    return _each(one, x, axis)

"""Entropy, cross entropy and Kullback-Leibler divergence of distributions, in nats or in any other base."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from multiloss import checks, dispatch, options

Array = Any


def _ready(arrays: dict[str, Any], base: float | None, axis: int) -> tuple[Any, float, list[Array]]:
    base = None if base is None else options.real("base", base)
    if base is not None and not (base > 0 and base != 1):
        raise ValueError(f"base must be positive and not 1, got {base!r}")
    be = dispatch.backend(dispatch.backend_of(arrays.values()))
    like = next((x for x in arrays.values() if be.is_native(x)), None)
    native = {name: be.asarray(x, like, name) for name, x in arrays.items()}
    for name, x in native.items():
        if be.kind(x) not in "fiu":
            raise checks.real_dtype(name, x.dtype)
        values = be.host(x)
        if values is not None:
            checks.in_domain(name, values, checks.PROBABILITY, False, always=True)
    computed = [be.compute(x) for x in native.values()]
    checks.axis_fits(axis, be.shape(computed[0]), next(iter(arrays)))
    if len(computed) == 2 and not checks.same(be.shape(computed[0]), be.shape(computed[1])):
        raise ValueError(f"p and q must have equal shapes, got {be.shape(computed[0])} and {be.shape(computed[1])}")
    return be, 1.0 if base is None else math.log(base), [be.cast_like(x, computed[-1]) for x in computed]


def entropy(p: Any, base: float | None = None, axis: int = -1) -> Array:
    """Entropy: the mean surprise of a distribution.

    .. math:: -\\sum_k p_k \\log p_k, \\quad 0 \\log 0 = 0

    Args:
        p: probabilities, summing to 1 over `axis`.
        base: of the logarithm; None is e (nats), 2 gives bits.

    Returns:
        The shape of p without `axis`.

    Source: Shannon 1948.

    Example:
        >>> import multiloss
        >>> float(multiloss.info.entropy([0.5, 0.5, 0, 0], base=2))
        1.0
    """
    be, unit, (p,) = _ready({"p": p}, base, axis)
    with np.errstate(all="ignore"):
        return -be.xp.sum(be.xp.times(p, be.xp.log(p)), axis=axis) / unit


def cross_entropy(p: Any, q: Any, base: float | None = None, axis: int = -1) -> Array:
    """Cross entropy: the mean surprise of one who expects q and meets p.

    .. math:: -\\sum_k p_k \\log q_k

    Args:
        p: probabilities.
        q: probabilities, the shape of p; infinite where q is 0 and p is not.
        base: of the logarithm; None is e (nats), 2 gives bits.

    Returns:
        The shape of p without `axis`.

    Example:
        >>> import multiloss
        >>> float(multiloss.info.cross_entropy([0.5, 0.5, 0, 0], [0.25] * 4, base=2))
        2.0
    """
    be, unit, (p, q) = _ready({"p": p, "q": q}, base, axis)
    with np.errstate(all="ignore"):
        return -be.xp.sum(be.xp.times(p, be.xp.log(q)), axis=axis) / unit


def kl_divergence(p: Any, q: Any, base: float | None = None, axis: int = -1) -> Array:
    """Kullback-Leibler divergence: the cross entropy beyond the entropy.

    .. math:: \\sum_k p_k \\log(p_k / q_k), \\quad 0 \\log 0 = 0

    Args:
        p: probabilities.
        q: probabilities, the shape of p; infinite where q is 0 and p is not.
        base: of the logarithm; None is e (nats), 2 gives bits.

    Returns:
        The shape of p without `axis`; never negative, but for rounding.

    Source: Kullback & Leibler 1951.

    Example:
        >>> import multiloss
        >>> float(multiloss.info.kl_divergence([0.5, 0.5, 0, 0], [0.25] * 4, base=2))
        1.0
    """
    be, unit, (p, q) = _ready({"p": p, "q": q}, base, axis)
    with np.errstate(all="ignore"):
        return be.xp.sum(be.xp.times(p, be.xp.log(p) - be.xp.log(q)), axis=axis) / unit

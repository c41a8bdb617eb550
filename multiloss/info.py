"""Entropy, cross entropy and Kullback-Leibler divergence of distributions, in nats or in any other base."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from multiloss.engine import checks, dispatch, options

Array = Any


Axis = int | tuple[int, ...] | None


def _summed(term: Callable[..., Array], arrays: dict[str, Any], base: float | None, axis: Axis) -> Array:
    """The sum of `term(xp, *arrays)` over the outcomes, with logarithms of this base."""
    axis = options.axis("axis", axis)
    base = None if base is None else options.real("base", base)
    if base is not None and not (base > 0 and base != 1):
        raise ValueError(f"base must be positive and not 1, got {base!r}")
    be, native = dispatch.native_arrays(arrays)
    for name, x in native.items():
        values = be.host(x)
        if values is not None:
            checks.in_domain(name, values, checks.PROBABILITY, (), x.dtype, always=True)
    computed = [be.compute(x) for x in native.values()]
    checks.axis_fits(axis, be.shape(computed[0]), next(iter(arrays)))
    if len(computed) == 2 and not checks.same(be.shape(computed[0]), be.shape(computed[1])):
        raise ValueError(f"p and q must have equal shapes, got {be.shape(computed[0])} and {be.shape(computed[1])}")
    unit = 1.0 if base is None else math.log(base)
    with dispatch.quiet(be):
        return be.xp.sum(term(be.xp, *(be.cast_like(x, computed[-1]) for x in computed)), axis=axis) / unit


def _log(xp: Any, weight: Array, x: Array) -> Array:
    """The logarithm of x, which the caller multiplies by `weight`; finite where both are 0, as 0 log 0 is 0."""
    return xp.log(xp.safe_log_arg(weight, x))


def entropy(p: Any, base: float | None = None, axis: Axis = -1) -> Array:
    """Entropy: the mean surprise of a distribution.

    .. math:: -\\sum_k p_k \\log p_k, \\quad 0 \\log 0 = 0

    Args:
        p: probabilities, summing to 1 over `axis`.
        base: of the logarithm; None is e (nats), 2 gives bits.
        axis: the axis (or axes) of the outcomes; None for all.

    Returns:
        The shape of p without `axis`. Its gradient is 0 where p is 0: 0 log 0 is a constant (the derivative would be
        infinite).

    Source: Shannon 1948.

    Example:
        >>> import multiloss
        >>> float(multiloss.info.entropy([0.5, 0.5, 0, 0], base=2))
        1.0
    """
    # 0 - x instead of -x, so that a certain outcome has the entropy 0.0, not -0.0.
    return 0 - _summed(lambda xp, p: p * _log(xp, p, p), {"p": p}, base, axis)


def cross_entropy(p: Any, q: Any, base: float | None = None, axis: Axis = -1) -> Array:
    """Cross entropy: the mean surprise at outcomes of p if q was expected.

    .. math:: -\\sum_k p_k \\log q_k

    Args:
        p: probabilities.
        q: probabilities, the shape of p; infinite where q is 0 and p is not.
        base: of the logarithm; None is e (nats), 2 gives bits.
        axis: the axis (or axes) of the outcomes; None for all.

    Returns:
        The shape of p without `axis`. Its gradients are 0 where p and q are 0: 0 log 0 is a constant.

    Example:
        >>> import multiloss
        >>> float(multiloss.info.cross_entropy([0.5, 0.5, 0, 0], [0.25] * 4, base=2))
        2.0
    """
    return 0 - _summed(lambda xp, p, q: p * _log(xp, p, q), {"p": p, "q": q}, base, axis)


def kl_divergence(p: Any, q: Any, base: float | None = None, axis: Axis = -1) -> Array:
    """Kullback-Leibler divergence: the cross entropy beyond the entropy.

    .. math:: \\sum_k p_k \\log(p_k / q_k), \\quad 0 \\log 0 = 0

    Args:
        p: probabilities.
        q: probabilities, the shape of p; infinite where q is 0 and p is not.
        base: of the logarithm; None is e (nats), 2 gives bits.
        axis: the axis (or axes) of the outcomes; None for all.

    Returns:
        The shape of p without `axis`; never negative, but for rounding. Where p is 0 its gradients are finite: by p
        it is -log q, as 0 log 0 is a constant (the derivative would be infinite), and 0 where q is 0 too; by q it
        is 0.

    Source: Kullback & Leibler 1951.

    Example:
        >>> import multiloss
        >>> float(multiloss.info.kl_divergence([0.5, 0.5, 0, 0], [0.25] * 4, base=2))
        1.0
    """
    return _summed(lambda xp, p, q: p * (_log(xp, p, p) - _log(xp, p, q)), {"p": p, "q": q}, base, axis)

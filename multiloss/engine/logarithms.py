"""Logarithms and exponentials that do not overflow and keep the digits of both tails."""

from __future__ import annotations

import math
from typing import Any

from multiloss.engine.definition import shared

Array = Any


def floored_log(xp: Any, p: Array, epsilon: float, weight: Array | None = None) -> Array:
    """log(max(p, epsilon)), with gradient 0 below the floor and 1/p from the floor on, at a tie too. With epsilon 0 and
    times the weight 0 log 0 is 0."""
    return xp.log(xp.clamp_min(p, epsilon) if epsilon > 0 else p if weight is None else xp.safe_log_arg(weight, p))


def log_divisor(xp: Any, p: Array, epsilon: float, weight: Array | None = None) -> Array:
    """What the derivative of `weight * floored_log(p)` divides by: p, and infinity below the floor."""
    if epsilon > 0:
        return xp.inf_below(p, epsilon)
    return p if weight is None else xp.safe_log_arg(weight, p)


def floored_log1m(xp: Any, p: Array, epsilon: float, weight: Array) -> Array:
    """log(max(1 - p, epsilon)), by log1p so that a small p keeps its digits. With epsilon 0, and times the weight,
    0 log 0 is 0."""
    if epsilon == 0:
        return xp.log1p(-xp.safe_log_arg(weight, p, 1.0))
    return xp.clamp_min(xp.log1p(xp.clamp_min(-p, -1.0)), math.log(epsilon))


def log_cosh(xp: Any, x: Array) -> Array:
    """log(cosh(x)), right for small x and for large."""
    # cosh(x) - 1 = 2 sinh(x/2)^2, so log1p keeps the digits near 0. Beyond 40 it is |x| - log 2 in every dtype, and
    # what sinh would overflow on is added outside.
    near = xp.clip(x, -40.0, 40.0)
    half = xp.sinh(0.5 * near)
    return xp.log1p(2 * half * half) + xp.abs(x - near)


def sech_squared(xp: Any, x: Array) -> Array:
    """1 / cosh(x)^2, the derivative of tanh."""
    # By u = exp(-2|x|): 1 - tanh(x)^2 would be 0 from |x| = 9 on in float32.
    u = xp.exp(-2 * xp.abs(x))
    return 4 * u / ((1 + u) * (1 + u))


@shared
def log1p_difference(xp: Any, x: Array, y: Array) -> Array:
    """log(1 + x) - log(1 + y), which keeps its digits where x is near y and near -1."""
    # As log((1 + x) / (1 + y)): dividing by the smaller of both keeps the argument of log1p at 0 or above.
    e = x - y
    sign = xp.sign_or_one(e)
    return sign * xp.log1p(sign * e / (1 + xp.minimum(y, x)))


def chebyshev(xp: Any, x: Array, m: int) -> Array:
    """T_m(x), which is cos(m theta) for x = cos(theta): no arc cosine, whose derivative at 0 is infinite."""
    before, value = xp.ones_like(x), x
    for _ in range(m - 1):
        before, value = value, 2 * x * value - before
    return value


def _largest(xp: Any, x: Array, axis: Any) -> Array:
    """The largest entry over `axis`, which is kept; -inf of none."""
    if 0 not in x.shape:
        return xp.max(x, axis=axis, keepdims=True)
    axes = (
        range(len(x.shape))
        if axis is None
        else [a % len(x.shape) for a in (axis if isinstance(axis, tuple) else (axis,))]
    )
    return xp.full(tuple(1 if i in axes else n for i, n in enumerate(x.shape)), -math.inf, dtype=x.dtype)


def logsumexp(xp: Any, x: Array, *, axis: Any, keepdims: bool = False) -> Array:
    """log(sum(exp(x))) over `axis`, without overflow."""
    top = _largest(xp, x, axis)
    top = xp.where(xp.isfinite(top), top, 0)  # a row of -inf, or one with inf, must not become inf - inf
    total = xp.log(xp.sum(xp.exp(x - top), axis=axis, keepdims=True)) + top
    return total if keepdims else xp.squeeze(total, axis=tuple(range(len(x.shape))) if axis is None else axis)


def log_softmax(xp: Any, x: Array, *, axis: Any) -> Array:
    """x - logsumexp(x) over `axis`, relative to the largest x: logits of 1e4 keep their digits."""
    shifted = x - _largest(xp, x, axis)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))


def softmax(xp: Any, x: Array, *, axis: Any) -> Array:
    """exp(x) divided by its sum over `axis`."""
    e = xp.exp(x - _largest(xp, x, axis))
    return e / xp.sum(e, axis=axis, keepdims=True)


def logsumexp_minus(xp: Any, x: Array, y: Array, *, axis: int) -> Array:
    """logsumexp(x) - y over `axis`, for y one of x: -log softmax(x) there. Both terms are relative to the largest x:
    logits of 1e4 keep their digits."""
    top = xp.stop_gradient(xp.max(x, axis=axis, keepdims=True))
    return xp.log(xp.sum(xp.exp(x - top), axis=axis)) - (y - xp.squeeze(top, axis=axis))


def masked_logsumexp(xp: Any, x: Array, among: Array) -> Array:
    """log(sum(exp(x))) over the last axis, of the entries in the mask `among`; 0 where there is none."""
    low = xp.where(among, x, -math.inf)
    top = xp.stop_gradient(xp.max(low, axis=-1, keepdims=True))
    top = xp.where(top == -math.inf, 0, top)
    e = xp.exp(xp.where(among, x - top, 0))
    total = xp.sum(xp.where(among, e, 0), axis=-1)
    return xp.log(xp.where(total == 0, 1, total)) + xp.squeeze(top, axis=-1)


def log_add(xp: Any, *xs: Array) -> Array:
    """log(exp(x) + exp(y) + ...) element by element, of arrays without infinities."""
    top = xp.stop_gradient(xs[0])
    for x in xs[1:]:
        top = xp.maximum(top, xp.stop_gradient(x))
    total = xp.exp(xs[0] - top)
    for x in xs[1:]:
        total = total + xp.exp(x - top)
    return xp.log(total) + top


def softplus(xp: Any, x: Array) -> Array:
    """log(1 + exp(x)), without overflow, right in both tails."""
    return xp.where(x > 0, x, 0 * x) + xp.log1p(xp.exp(-xp.abs(x)))


def expit(xp: Any, x: Array) -> Array:
    """1 / (1 + exp(-x)), right in both tails."""
    e = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1, e) / (1 + e)


@shared
def _signed_odds(xp: Any, z: Array) -> tuple[Array, Array, Array]:
    """Whether z is positive, |z|, and exp(-|z|), the odds of the less likely of two outcomes."""
    sign = xp.sign_or_one(z)  # not `abs`, whose derivative of 0 at 0 would be missing from a second derivative
    size = sign * z
    return sign > 0, size, xp.exp(-size)


def logistic_loss(xp: Any, z: Array, a: Array, b: Array, *, sums_to_one: bool) -> Array:
    """-a log sigma(z) - b log sigma(-z), for weights a and b of 0 or above; `sums_to_one`: for b = 1 - a."""
    # Written without a negative term: softplus(z) - a z cancels for confident and right predictions.
    positive, size, odds = _signed_odds(xp, z)
    rest = xp.log1p(odds)
    return (rest if sums_to_one else (a + b) * rest) + xp.zero_times(xp.where(positive, b, a), size)


def logistic_slope(xp: Any, z: Array, a: Array, b: Array) -> Array:
    """b sigma(z) - a sigma(-z), the derivative of `logistic_loss` by z."""
    # sigma(|z|) is 1 / (1 + odds) and sigma(-|z|) is odds / (1 + odds), which keeps the digits of its tail.
    positive, _, odds = _signed_odds(xp, z)
    return xp.where(positive, b - a * odds, b * odds - a) / (1 + odds)

"""Elementary functions over any array namespace: `DEFAULTS` for adapters whose framework has nothing better."""

from __future__ import annotations

import math
from types import FunctionType
from typing import Any

from multiloss.engine import norms, pairs
from multiloss.engine.definition import shared

Array = Any


def clamp_min(xp: Any, x: Array, bound: float) -> Array:
    """max(x, bound), whose derivative at a tie is 1; nan stays nan."""
    return xp.where(x < bound, bound, x)


def clamp_min_through(xp: Any, x: Array, bound: float) -> Array:
    """max(x, bound), whose derivative is 1 below the bound, too."""
    return xp.where(x < bound, bound + (x - xp.stop_gradient(x)), x)


def nan_below(xp: Any, x: Array, bound: float) -> Array:
    """A constant factor: 1, and nan where x is below the bound, or nan itself; None where x was read and all factors
    are 1."""
    x = xp.stop_gradient(x)
    return xp.where(x >= bound, xp.ones_like(x), xp.full_like(x, math.nan))


def inf_below(xp: Any, x: Array, bound: float) -> Array:
    """x, and infinity where x < bound, so that a quotient by it is 0 there; nan stays nan."""
    return xp.where(x < bound, math.inf, x)


def sign_or_one(xp: Any, x: Array) -> Array:
    """1 where x is 0 or above, else -1; a constant for derivatives. (A zero with a sign may have that.)"""
    return xp.where(x >= 0, xp.ones_like(x), -xp.ones_like(x))


def zero_times(xp: Any, weight: Array, x: Array) -> Array:
    """weight * x, where a weight of 0 gives 0 even against an infinite x, a constant there. A nan stays one."""
    return weight * xp.where((weight == 0) & xp.isinf(x), 0, x)


_TINY = {32: 2.0**-126, 64: 2.0**-1022}


def tiny(x: Array) -> float:
    """The smallest normal number of x's dtype; the reciprocal of a smaller one may be infinite."""
    return _TINY[bits(x)]


def bits(x: Array) -> int:
    """The width of x's dtype."""
    return 64 if "64" in str(x.dtype) else 32


def safe_log_arg(xp: Any, weight: Array, x: Array, pole: float = 0.0) -> Array:
    """x, and 1 - pole where x is at the pole (0 or 1) and its weight 0: `weight * log(safe_log_arg(weight, x))` has 0
    log 0 = 0 and finite derivatives there, to which the term is a constant."""
    # Replaced before the logarithm and not behind it: derivatives would still meet 0 times infinity there.
    at_pole = (weight == 0) & (xp.abs(x - pole) < tiny(x))
    return xp.where(at_pole, 1.0 - pole, x)


def floored_log(xp: Any, p: Array, epsilon: float, weight: Array | None = None) -> Array:
    """log(max(p, epsilon)), with gradient 0 below the floor and 1/p from the floor on, at a tie too. With epsilon 0 and
    times the weight 0 log 0 is 0."""
    return xp.log(xp.clamp_min(p, epsilon) if epsilon > 0 else p if weight is None else xp.safe_log_arg(weight, p))


def log_divisor(xp: Any, p: Array, epsilon: float, weight: Array | None = None) -> Array:
    """What the derivative of `weight * floored_log(p)` divides by: p, and infinity below the floor."""
    return xp.inf_below(p, epsilon) if epsilon > 0 else p if weight is None else xp.safe_log_arg(weight, p)


def floored_log1m(xp: Any, p: Array, epsilon: float, weight: Array) -> Array:
    """log(max(1 - p, epsilon)), by log1p so that a small p keeps its digits. With epsilon 0, and times the weight,
    0 log 0 is 0."""
    if epsilon == 0:
        return xp.log1p(-xp.safe_log_arg(weight, p, 1.0))
    return xp.clamp_min(xp.log1p(xp.clamp_min(-p, -1.0)), math.log(epsilon))


def floored_power(xp: Any, x: Array, p: float) -> Array:
    """max(x, tiny)^p, of x of 0 or above: finite with p of -1 or above, so that the product with a 0 is 0."""
    return xp.clamp_min(x, tiny(x)) ** p


def power_or_zero(xp: Any, x: Array, p: float) -> Array:
    """x^p where x is above 0, else the constant 0, whatever p is; nan stays nan."""
    nothing = x <= 0
    return xp.where(nothing, 0, xp.where(nothing, 1, x) ** p)


def root(xp: Any, x: Array) -> Array:
    """The square root, whose derivative at 0 is 0."""
    # `where` on both sides of the root: the derivative of sqrt at 0 is infinite, and infinity times 0 is nan.
    zero = x == 0
    return xp.where(zero, 0, xp.sqrt(xp.where(zero, 1, x)))


def scaled_hypot(xp: Any, x: Array, y: float) -> tuple[Array, Array, Array, Array]:
    """A scale by which no square overflows, a constant for derivatives; x, y > 0 and sqrt(x^2 + y^2) over it."""
    scale = xp.stop_gradient(xp.clamp_min(xp.abs(x), y))
    x, y = x / scale, y / scale
    return scale, x, y, xp.sqrt(x * x + y * y)


def signed_margin(xp: Any, target: Array, score: Array, absent: bool = False) -> Array:
    """target * score; a constant where that is infinity, so that a loss which is over there has no derivative of 0
    times infinity. If `absent`, a target of 0 gives 0 against an infinite score; a nan stays one."""
    if absent:
        score = xp.where((target == 0) & xp.isinf(score), 0, score)
    # Replaced before the product: behind it, derivatives would still meet 0 times infinity.
    product = target * score
    none, won = xp.zeros_like(product), product == math.inf
    return xp.where(won, math.inf, xp.where(won, none, target) * xp.where(won, none, score))


def linear(xp: Any, x: Array, weight: Array) -> Array:
    """The product of each row of x, (..., D), and of a weight, (C, D); infinite entries are 0 to its derivatives."""
    finite, rows = (xp.where(xp.isinf(a), 0, a) for a in (x, weight))
    known = xp.stop_gradient(xp.matmul(x, xp.matrix_transpose(weight)))
    total = xp.matmul(finite, xp.matrix_transpose(rows))
    return xp.where(xp.isfinite(known), total, known)


def mix(xp: Any, x: Array, y: Array, weight: Array) -> Array:
    """(1 - weight) * x + weight * y, where a weight of 0 gives 0 against what is infinite."""
    return zero_times(xp, 1 - weight, x) + zero_times(xp, weight, y)


def snapshot(xp: Any, x: Array) -> Array:
    """x, as a constant that keeps its values whatever is written to its source before the backward pass."""
    return xp.stop_gradient(x)


def with_derivative(xp: Any, value: Any, pulled: Any, x: Array) -> Array:
    """value(x), whose derivative takes g, one for each entry of the value, to pulled(x, g): nothing but x is kept for
    it, where its operations would keep large arrays."""
    return value(x)


def one_hot_times(xp: Any, values: Array, labels: Array, like: Array, axis: int) -> Array:
    """An array like `like`: the value of each sample at its label along `axis`, 0 at the other classes."""
    at_label = xp.class_range(like, axis) == xp.expand_dims(labels, axis=axis)
    return xp.where(at_label, xp.expand_dims(values, axis=axis), 0)


def constants(xp: Any, values: Any, like: Array, axis: int) -> Array:
    """Numbers along `axis`, of length 1 on the others; in the dtype and on the device of `like`."""
    shape = [1] * len(like.shape)
    shape[axis] = -1
    return xp.reshape(xp.asarray(values, dtype=like.dtype), tuple(shape))


def ranks(xp: Any, x: Array) -> Array:
    """The place of each entry in ascending order, over the last axis; equal ones in the order in which they stand."""
    return xp.argsort(xp.argsort(x, axis=-1), axis=-1)


def step_rows(
    xp: Any, rows: Array, total: Array, scale: float, by: Array | None, unless: Array | None, finite: bool
) -> Array:
    """rows - scale * total / by, (N, D) each; by: (N, 1), or a scalar, or None. A row stays, bit for bit, where its
    total is not finite (`finite`: they all are), and all do if the scalar `unless` is True."""
    new = rows - (scale if by is None else scale / by) * total
    if finite:
        return new
    moves = xp.all(xp.isfinite(total), axis=-1, keepdims=True)
    return xp.where(moves if unless is None else moves & ~unless, new, rows)


def unique_labels(xp: Any, labels: Array) -> tuple[Array, Array, None]:
    """The classes among the labels (N,), each once, the place of each label's class among them, and how often each is
    there; where shapes have to be known beforehand `labels` itself, for each one place that all of its class share,
    and None."""
    return labels, xp.searchsorted(xp.sort(labels), labels), None


def sums_by_label(xp: Any, values: Array, labels: Array, keep: Array | None) -> tuple[Array, Array, Array]:
    """The labels (M,), the sum of the values (N, D) of each, and their number, of those in the mask `keep`. Each
    label is named once or, where shapes have to be known beforehand, as often as it comes."""
    found, places, counts = xp.unique_labels(labels)
    if keep is not None:
        values = xp.where(keep[:, None], values, 0)
    total = xp.segment_sum(values, places, found)
    if keep is None and counts is not None:
        n = xp.astype(counts, values.dtype)
    else:
        one = xp.ones_like(values[:, 0]) if keep is None else xp.astype(keep, values.dtype)
        n = xp.segment_sum(one, places, found)
    if found is labels:  # the sum of a label is at one of its places
        total, n = xp.take(total, places, axis=0), xp.take(n, places, axis=0)
    return found, total, n


def scan(xp: Any, step: Any, start: tuple[Array, ...], frames: tuple[Array, ...]) -> tuple[Array, ...]:
    """The last state of `state = step(state, frame)`, over the first axis of `frames`; compiled, if it can be, once
    for all of them."""
    state = start
    for t in range(frames[0].shape[0]):
        state = step(state, tuple(x[t, ...] for x in frames))
    return state


def hinge(xp: Any, x: Array) -> Array:
    """max(0, x), whose derivative at 0 is 0; nan stays nan."""
    return xp.where(x <= 0, 0, x)


def finite_part(xp: Any, x: Array) -> Array:
    """x, and 0 where it is infinite; x itself where all of it was read and nothing is."""
    return xp.where(xp.isinf(x), 0, x)


def above_zero(xp: Any, x: Array) -> Array:
    """1 where x is above 0, else 0, also where it is infinite; nan stays nan. Its derivative is 0."""
    nothing = (x <= 0) | xp.isinf(x)
    return xp.where(nothing, 0, xp.ones_like(x) + 0 * xp.where(nothing, 0, x))


_STEPS = {32: (2.0**64, 2.0**32, 2.0**16), 64: (2.0**512, 2.0**256, 2.0**128)}


def power_near(xp: Any, size: Array) -> Array:
    """A power of 2 near a size, 1 for one that is not finite: division by it changes no digit, and numbers up to that
    size then have squares in range."""
    power, size = xp.ones_like(size), xp.where(size < math.inf, size, 1)
    for step in _STEPS[bits(size)]:
        power = xp.where(size / power > step, power * step, power)
        power = xp.where(size / power * step < 1, power / step, power)
    return power


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
    rank, several = len(x.shape), axis if isinstance(axis, tuple) else (axis,)
    axes = range(rank) if axis is None else [a % rank for a in several]
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


def constant(xp: Any, values: Any, like: Array) -> Array:
    """Numbers (of an option) as an array in the dtype of `like`, where that is."""
    return xp.asarray(values, dtype=like.dtype)


def length(xp: Any, x: Array, axis: Any) -> Any:
    """How many elements `axis` (int, tuple, None) spans, at least 1; divides arrays of x's dtype."""
    axes = range(len(x.shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return max(math.prod([x.shape[a] for a in axes]), 1)


def class_count(xp: Any, x: Array, axis: int) -> Any:
    """How many classes `axis` has, to compare labels with."""
    return x.shape[axis]


def class_range(xp: Any, x: Array, axis: int) -> Array:
    """0, 1, ... along `axis` of x, of length 1 on the others; int64, or the widest there is."""
    shape = [1] * len(x.shape)
    shape[axis] = -1
    return xp.reshape(xp.arange(x.shape[axis]), tuple(shape))


def gather(xp: Any, table: Array, rows: Array) -> Array:
    """The rows of a table, as a copy."""
    found = xp.take(table, xp.reshape(rows, (-1,)), axis=0)
    return xp.reshape(found, (*rows.shape, *table.shape[1:]))


DEFAULTS = {
    name: function
    for name, function in (vars(norms) | vars(pairs) | globals()).items()
    if isinstance(function, FunctionType) and name[0] != "_" and function.__code__.co_varnames[:1] == ("xp",)
}
"""Every function above, and of `norms` and `pairs`, that takes a namespace first."""

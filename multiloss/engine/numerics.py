"""Elementary functions over any array namespace: `DEFAULTS` for adapters whose framework has nothing better.

Those of logarithms, of lengths and of pairs of rows have files of their own.
"""

from __future__ import annotations

import math
from types import FunctionType
from typing import Any

from multiloss.engine import logarithms, norms, pairs

Array = Any


def clamp_min(xp: Any, x: Array, bound: float) -> Array:
    """max(x, bound), whose derivative at a tie is 1; nan stays nan."""
    return xp.where(x < bound, bound, x)


def clamp_min_through(xp: Any, x: Array, bound: float) -> Array:
    """max(x, bound), whose derivative is 1 below the bound, too."""
    return xp.where(x < bound, bound + (x - xp.stop_gradient(x)), x)


def nan_below(xp: Any, x: Array, bound: float) -> Array:
    """A constant factor: 1, and nan where x is nan or below the bound; None where x could be read and all are 1."""
    x = xp.stop_gradient(x)
    return xp.where(x >= bound, xp.ones_like(x), xp.full_like(x, math.nan))


def inf_below(xp: Any, x: Array, bound: float) -> Array:
    """x, but infinity where x < bound, so that a quotient by it is 0 there; nan stays nan."""
    return xp.where(x < bound, math.inf, x)


def sign_or_one(xp: Any, x: Array) -> Array:
    """1 where x is 0 or above, else -1; a constant for derivatives. Of -0 it may be either."""
    return xp.where(x >= 0, xp.ones_like(x), -xp.ones_like(x))


def zero_times(xp: Any, weight: Array, x: Array) -> Array:
    """weight * x, and the constant 0 where the weight is 0 and x infinite; nan stays nan."""
    return weight * xp.where((weight == 0) & xp.isinf(x), 0, x)


EXP_RANGE = 80.0
"""exp of this and of minus this are normal numbers in every dtype."""
_TINY = {32: 2.0**-126, 64: 2.0**-1022}


def tiny(x: Array) -> float:
    """The smallest normal number of x's dtype; the reciprocal of a smaller one may be infinite."""
    return _TINY[bits(x)]


def bits(x: Array) -> int:
    """The width of x's dtype."""
    return 64 if "64" in str(x.dtype) else 32


def safe_log_arg(xp: Any, weight: Array, x: Array, pole: float = 0.0) -> Array:
    """x, and 1 - pole where x is at the pole (0 or 1) and its weight 0: in `weight * log(safe_log_arg(weight, x))`
    0 log 0 is the constant 0."""
    # Replaced before the logarithm: replaced behind it, derivatives would still be 0 times infinity.
    at_pole = (weight == 0) & (xp.abs(x - pole) < tiny(x))
    return xp.where(at_pole, 1.0 - pole, x)


def floored_power(xp: Any, x: Array, p: float) -> Array:
    """max(x, tiny)^p, of x of 0 or above: finite with p of -1 or above, so that the product with a 0 is 0."""
    return xp.clamp_min(x, tiny(x)) ** p


def ratio(xp: Any, x: Array, y: Array) -> Array:
    """x / y, and the constant 0 where y is 0."""
    return x / xp.where(y == 0, math.inf, y)


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
    """target * score, and a constant where that is infinity: a loss that is 0 from some margin on would have the
    derivative 0 times infinity. If `absent`, a target of 0 gives 0 against an infinite score; nan stays nan."""
    if absent:
        score = xp.where((target == 0) & xp.isinf(score), 0, score)
    # Replaced before the product: replaced behind it, derivatives would still be 0 times infinity.
    product = target * score
    none, won = xp.zeros_like(product), product == math.inf
    return xp.where(won, math.inf, xp.where(won, none, target) * xp.where(won, none, score))


def linear(xp: Any, x: Array, weight: Array) -> Array:
    """The product of each row of x, (..., D), and each row of a weight, (C, D); derivatives take infinite entries for
    0."""
    finite, rows = (xp.where(xp.isinf(a), 0, a) for a in (x, weight))
    known = xp.stop_gradient(xp.matmul(x, xp.matrix_transpose(weight)))
    total = xp.matmul(finite, xp.matrix_transpose(rows))
    return xp.where(xp.isfinite(known), total, known)


def mix(xp: Any, x: Array, y: Array, weight: Array) -> Array:
    """(1 - weight) * x + weight * y, where a weight of 0 times infinity is 0."""
    return xp.zero_times(1 - weight, x) + xp.zero_times(weight, y)


def snapshot(xp: Any, x: Array) -> Array:
    """x, as a constant that keeps its values even if its source is overwritten before the backward pass."""
    return xp.stop_gradient(x)


def with_derivative(xp: Any, value: Any, pulled: Any, x: Array) -> Array:
    """value(x), whose derivative takes g, one for each entry of the value, to pulled(x, g). It keeps x alone, where the
    operations of `value` would keep large arrays."""
    return value(x)


def one_hot_times(xp: Any, values: Array, labels: Array, like: Array, axis: int) -> Array:
    """An array like `like`: at the label of each sample along `axis` its value, at other classes 0."""
    at_label = xp.class_range(like, axis) == xp.expand_dims(labels, axis=axis)
    return xp.where(at_label, xp.expand_dims(values, axis=axis), 0)


def constants(xp: Any, values: Any, like: Array, axis: int) -> Array:
    """Numbers along `axis`, with length 1 on other axes; in the dtype and on the device of `like`."""
    shape = [1] * len(like.shape)
    shape[axis] = -1
    return xp.reshape(xp.constant(values, like), tuple(shape))


def ranks(xp: Any, x: Array) -> Array:
    """The place of each entry in ascending order, over the last axis; equal ones in the order in which they stand."""
    return xp.argsort(xp.argsort(x, axis=-1), axis=-1)


def step_rows(
    xp: Any, rows: Array, total: Array, scale: float, by: Array | None, unless: Array | None, finite: bool
) -> Array:
    """rows - scale * total / by; rows and total: (N, D), by: (N, 1), a scalar or None. A row stays as it is, bit for
    bit, where its total is not finite (`finite`: all are), and all rows do if the scalar `unless` is True."""
    new = rows - (scale if by is None else scale / by) * total
    if finite:
        return new
    moves = xp.all(xp.isfinite(total), axis=-1, keepdims=True)
    return xp.where(moves if unless is None else moves & ~unless, new, rows)


def unique_labels(xp: Any, labels: Array) -> tuple[Array, Array, None]:
    """The classes among the labels (N,), the place of each label's class among these, and how often each class occurs.

    Where shapes must not depend on values: the labels themselves, for each label a place that all of its class share,
    and None.
    """
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
    """The last state of `state = step(state, frame)` over the first axis of `frames`; a compiler compiles `step`
    once."""
    state = start
    for t in range(frames[0].shape[0]):
        state = step(state, tuple(x[t, ...] for x in frames))
    return state


def hinge(xp: Any, x: Array) -> Array:
    """max(0, x), whose derivative at 0 is 0; nan stays nan."""
    return xp.where(x <= 0, 0, x)


def finite_part(xp: Any, x: Array) -> Array:
    """x, and 0 where it is infinite."""
    return xp.where(xp.isinf(x), 0, x)


def above_zero(xp: Any, x: Array) -> Array:
    """1 where x is above 0 and finite, else 0; nan stays nan. The derivative is 0."""
    nothing = (x <= 0) | xp.isinf(x)
    return xp.where(nothing, 0, xp.ones_like(x) + 0 * xp.where(nothing, 0, x))


_STEPS = {32: (2.0**64, 2.0**32, 2.0**16), 64: (2.0**512, 2.0**256, 2.0**128)}


def power_near(xp: Any, size: Array) -> Array:
    """A power of 2 near a size; 1 if that is not finite. Division by it changes no digit, and numbers up to that size
    have squares in range afterwards."""
    power, size = xp.ones_like(size), xp.where(size < math.inf, size, 1)
    for step in _STEPS[bits(size)]:
        power = xp.where(size / power > step, power * step, power)
        power = xp.where(size / power * step < 1, power / step, power)
    return power


def constant(xp: Any, values: Any, like: Array) -> Array:
    """Numbers (of an option) as an array in the dtype and on the device of `like`."""
    return xp.asarray(values, dtype=like.dtype)


def length(xp: Any, x: Array, axis: Any) -> Any:
    """How many elements `axis` (int, tuple, None) spans, at least 1, as a divisor of arrays of x's dtype."""
    axes = range(len(x.shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return max(math.prod([x.shape[a] for a in axes]), 1)


def class_count(xp: Any, x: Array, axis: int) -> Any:
    """How many classes `axis` has, as a bound of labels."""
    return x.shape[axis]


def class_range(xp: Any, x: Array, axis: int) -> Array:
    """0, 1, ... along `axis` of x, with length 1 on other axes; in the dtype of labels."""
    shape = [1] * len(x.shape)
    shape[axis] = -1
    return xp.reshape(xp.arange(x.shape[axis]), tuple(shape))


def gather(xp: Any, table: Array, rows: Array) -> Array:
    """The rows of a table, as a copy."""
    found = xp.take(table, xp.reshape(rows, (-1,)), axis=0)
    return xp.reshape(found, (*rows.shape, *table.shape[1:]))


DEFAULTS = {
    name: function
    for name, function in (vars(logarithms) | vars(norms) | vars(pairs) | globals()).items()
    if isinstance(function, FunctionType) and name[0] != "_" and function.__code__.co_varnames[:1] == ("xp",)
}
"""Every function above, and of `logarithms`, `norms` and `pairs`, that takes a namespace first."""

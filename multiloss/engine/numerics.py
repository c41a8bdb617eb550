"""Numerical primitives over any array namespace: `DEFAULTS`, for frameworks that have nothing better, and `XLA`, for
those that compile by it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

Array = Any


def clamp_min(xp: Any, x: Array, bound: float) -> Array:
    """max(x, bound), whose derivative at a tie is 1; nan stays nan."""
    return xp.where(x < bound, bound, x)


def nan_below(xp: Any, x: Array, bound: float) -> Array:
    """A constant factor: nan where x is below the bound or nan, else 1. None if x was read and all factors are 1."""
    x = xp.stop_gradient(x)
    return xp.where(x >= bound, xp.ones_like(x), xp.full_like(x, math.nan))


def inf_below(xp: Any, x: Array, bound: float) -> Array:
    """x, but infinity where x < bound, so that a quotient by it is 0 there; nan stays nan."""
    return xp.where(x < bound, math.inf, x)


def sign_or_one(xp: Any, x: Array) -> Array:
    """1 where x is 0 or above, else -1; a constant for derivatives. (-0 may give -1.)"""
    return xp.where(x >= 0, xp.ones_like(x), -xp.ones_like(x))


def zero_times(xp: Any, weight: Array, x: Array) -> Array:
    """weight * x, but the constant 0 where the weight is 0 and x infinite; nan stays nan."""
    return weight * xp.where((weight == 0) & xp.isinf(x), 0, x)


_TINY = {32: 2.0**-126, 64: 2.0**-1022}
"""The smallest normal numbers. Below them a reciprocal may be infinite."""


def tiny(x: Array) -> float:
    """The smallest normal number of x's dtype."""
    return _TINY[_bits(x)]


def _bits(x: Array) -> int:
    return 64 if "64" in str(x.dtype) else 32


def safe_log_arg(xp: Any, weight: Array, x: Array, pole: float = 0.0) -> Array:
    """x, but 1 - pole where x is at the pole (0 or 1) and its weight 0: then 0 log 0 = 0 in
    `weight * log(safe_log_arg(weight, x))`, and that term is a constant for derivatives."""
    # Replaced before the logarithm: behind it, derivatives would still be 0 times infinity.
    at_pole = (weight == 0) & (xp.abs(x - pole) < tiny(x))
    return xp.where(at_pole, 1.0 - pole, x)


def signed_margin(xp: Any, target: Array, score: Array, absent: bool = False) -> Array:
    """target * score; a constant where that is +infinity, so that a loss which is 0 there has no derivative of 0 times
    infinity. If `absent`, a target of 0 gives 0 against an infinite score; nan stays nan."""
    if absent:
        score = xp.where((target == 0) & xp.isinf(score), 0, score)
    # Replaced before the product: behind it, derivatives would still be 0 times infinity.
    product = target * score
    none, won = xp.zeros_like(product), product == math.inf
    return xp.where(won, math.inf, xp.where(won, none, target) * xp.where(won, none, score))


def linear(xp: Any, x: Array, weight: Array) -> Array:
    """(..., C): the products of the rows of x, (..., D), and of a weight, (C, D). Derivatives take infinite entries for
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


def scan(xp: Any, step: Any, start: tuple[Array, ...], frames: tuple[Array, ...]) -> tuple[Array, ...]:
    """The last state of `state = step(state, frame)` over the first axis of `frames`; a compiler compiles `step`
    once."""
    state = start
    for t in range(frames[0].shape[0]):
        state = step(state, tuple(x[t, ...] for x in frames))
    return state


def divisor(xp: Any, size: Array) -> Array:
    """A divisor of numbers up to this size, after which their squares neither overflow nor underflow."""
    # XLA multiplies by the reciprocal, which for 3e38 it takes for 0, as it takes a quarter of 1e-38.
    size = xp.where(size > 1, 0.25 * size, size)
    return xp.where((size > 0) & (size < math.inf), size, 1)


def row_scale(xp: Any, x: Array) -> Array:
    """The `divisor` of each row, a constant near its largest entry; 1 for a row of 0 or one that is not finite."""
    return divisor(xp, xp.stop_gradient(xp.max(xp.abs(x), axis=-1, keepdims=True)))


def row_norm(xp: Any, x: Array) -> Array:
    """The Euclidean length over the last axis, whose derivative at 0 is 0; no square over- or underflows."""
    scale = row_scale(xp, x)
    square = xp.sum((x / scale) * (x / scale), axis=-1)
    some = square > 0
    root = xp.sqrt(xp.where(some, square, 1))
    # nan is not above 0, but must stay nan.
    return xp.squeeze(scale, axis=-1) * xp.where(some | xp.isnan(square), xp.where(some, root, square), 0 * square)


def unit_rows(xp: Any, x: Array, length: Array | None = None) -> Array:
    """x divided by its length over the last axis (which is `row_norm(x)`, if known); a row of 0 stays 0, with
    derivative 0."""
    # x / scale has the same direction, and neither its squares nor those of the derivative over- or underflow.
    u = x / row_scale(xp, x)
    square = xp.sum(u * u, axis=-1, keepdims=True)
    return u / xp.sqrt(xp.where(square == 0, math.inf, square))


def hinge(xp: Any, x: Array) -> Array:
    """max(0, x), whose derivative at 0 is 0; nan stays nan."""
    return xp.where(x <= 0, 0, x)


def finite_part(xp: Any, x: Array) -> Array:
    """x, but 0 where it is infinite."""
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
    for step in _STEPS[_bits(size)]:
        power = xp.where(size / power > step, power * step, power)
        power = xp.where(size / power * step < 1, power / step, power)
    return power


_STRIDE = 32
"""How many entries of a row are compared at a time, so that memory holds N x N x 32 numbers and not N x N x D."""


def _gaps(xp: Any, x: Array) -> Iterator[Array]:
    # Differences are exact for close rows, however far from the origin these are.
    for start in range(0, x.shape[-1], _STRIDE):
        part = x[:, start : min(start + _STRIDE, x.shape[-1])]
        yield part[:, None, :] - part[None, ...]


def pair_squares(xp: Any, x: Array) -> Array:
    """(N, N): the squared Euclidean distances of all pairs of rows of x, (N, D), from their differences, which are
    exact for close rows (|x|^2 + |y|^2 - 2xy is not). Squares have to stay in range."""
    # This and `pair_gaps` take all rows at once, as suits accelerators and torch's compiler. On a CPU, NumPy and JAX
    # are 10 to 30 times faster row by row, which stays in the processor's cache; so do their adapters.
    return sum(xp.sum(gap * gap, axis=-1) for gap in _gaps(xp, x))


def pair_gaps(xp: Any, x: Array, factor: Array) -> Array:
    """(N, D): for each row x_i the sum over j of factor_ij (x_i - x_j), from the differences."""
    factor = factor[..., None]
    return xp.concat([xp.sum(factor * gap, axis=1) for gap in _gaps(xp, x)], axis=-1)


def log_cosh(xp: Any, x: Array) -> Array:
    """log(cosh(x)), right for small x and for large."""
    # cosh(x) - 1 = 2 sinh(x/2)^2, so log1p keeps the digits near 0. Beyond 40, where sinh may overflow, log(cosh(x))
    # grows like |x| in every dtype.
    near = xp.clip(x, -40.0, 40.0)
    half = xp.sinh(0.5 * near)
    return xp.log1p(2 * half * half) + xp.abs(x - near)


def _largest(xp: Any, x: Array, axis: Any) -> Array:
    """The largest entry over `axis`, which is kept; -inf where there are no entries."""
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
    top = xp.where(xp.isfinite(top), top, 0)  # a row of -inf, or with inf, must not give inf - inf
    total = xp.log(xp.sum(xp.exp(x - top), axis=axis, keepdims=True)) + top
    return total if keepdims else xp.squeeze(total, axis=tuple(range(len(x.shape))) if axis is None else axis)


def log_softmax(xp: Any, x: Array, *, axis: Any) -> Array:
    """x - logsumexp(x) over `axis`, relative to the largest x, so that logits of 1e4 keep their digits."""
    shifted = x - _largest(xp, x, axis)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))


def softmax(xp: Any, x: Array, *, axis: Any) -> Array:
    """exp(x) divided by its sum over `axis`."""
    e = xp.exp(x - _largest(xp, x, axis))
    return e / xp.sum(e, axis=axis, keepdims=True)


def softplus(xp: Any, x: Array) -> Array:
    """log(1 + exp(x)), without overflow, right in both tails."""
    return xp.where(x > 0, x, 0 * x) + xp.log1p(xp.exp(-xp.abs(x)))


def expit(xp: Any, x: Array) -> Array:
    """1 / (1 + exp(-x)), right in both tails."""
    e = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1, e) / (1 + e)


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
    f.__name__: f
    for f in (
        logsumexp,
        log_softmax,
        softmax,
        softplus,
        expit,
        constant,
        length,
        class_count,
        class_range,
        gather,
        clamp_min,
        inf_below,
        nan_below,
        sign_or_one,
        zero_times,
        safe_log_arg,
        signed_margin,
        linear,
        mix,
        snapshot,
        with_derivative,
        one_hot_times,
        constants,
        step_rows,
        unique_labels,
        scan,
        log_cosh,
        divisor,
        power_near,
        row_scale,
        row_norm,
        unit_rows,
        hinge,
        finite_part,
        above_zero,
        pair_squares,
        pair_gaps,
    )
}


def _tanh_series(terms: int) -> list[float]:
    """The Taylor coefficients of tanh(x) / x over x^2, from tanh' = 1 - tanh^2."""
    c = [Fraction(1)]
    for n in range(1, terms):
        c.append(-sum((c[i] * c[n - 1 - i] for i in range(n)), Fraction(0)) / (2 * n + 1))
    return [float(x) for x in c]


_TANH = {32: _tanh_series(8), 64: _tanh_series(17)}
"""As many terms as change float32 and float64 below 0.52. Each is a tenth of the one before."""


_SMALL = 0.52


def tanh(xp: Any, x: Array) -> Array:
    """The hyperbolic tangent within 3 units in the last place; XLA's own is 5 (float32) and 7 (float64) off."""
    u, small = xp.exp(-2 * xp.abs(x)), xp.abs(x) < _SMALL
    near = xp.where(small, x, 0)  # the series must not overflow where it is not taken
    series = xp.zeros_like(x)
    for c in reversed(_TANH[_bits(x)]):
        series = series * (near * near) + c
    return xp.where(small, near * series, xp.sign(x) * (1 - u) / (1 + u))


_COSH = {bits: [2 / math.factorial(2 * k + 2) for k in range(terms)] for bits, terms in ((32, 4), (64, 8))}
"""The Taylor coefficients of 2 (cosh(x) - 1) / x^2 over x^2, as many as change float32 and float64 below 0.52."""


def log_cosh_by_exp(xp: Any, x: Array) -> Array:
    """log(cosh(x)) from exp(-2|x|), which its derivative needs, too, so that a compiler computes it once."""
    size, small = xp.abs(x), xp.abs(x) < _SMALL
    near = xp.where(small, x, 0)
    square = near * near
    series = xp.zeros_like(x)
    for c in reversed(_COSH[_bits(x)]):
        series = series * square + c
    # log1p(cosh(x) - 1) keeps the digits near 0, |x| + log(1 + exp(-2|x|)) - log 2 those above.
    log = xp.log1p(xp.where(small, 0.5 * square * series, xp.exp(-2 * size)))
    return xp.where(small, log, (size - math.log(2)) + log)


XLA = {"tanh": tanh, "log_cosh": log_cosh_by_exp}
"""What replaces XLA's own functions and defaults, for frameworks that compile by XLA."""


def log1p(xp: Any, x: Array) -> Array:
    """log(1 + x), computed from arguments of 0 and above: near -0.4 XLA's own is 127 units in the last place off."""
    negative = x < 0
    value = xp.log1p(xp.where(negative, -x / (1 + x), x))
    return xp.where(negative, -value, value)

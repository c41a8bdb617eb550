"""Formulas of Keras that no loss of this library has, as Keras' TensorFlow backend computes them.

Most differ by clipping: Keras clips probabilities to [epsilon, 1 - epsilon], with gradient 0 outside and 1 on the
bounds. Nothing is checked: Keras takes any numbers. The cross entropies are in `keras_crossentropies`.
"""

from __future__ import annotations

from typing import Any

from multiloss.definitions import sequence
from multiloss.definitions.contrastive import any_of, ones_where, pairs
from multiloss.definitions.regression import mean_over
from multiloss.engine.definition import elementwise, of_inputs, over_axis
from multiloss.engine.options import BelowHalf, Positive
from multiloss.porting.keras_crossentropies import CLASSES, within
from multiloss.porting.variants import add

Array = Any


@add
@over_axis(name="keras.kl_divergence")
def kl_divergence(xp: Any, y_true: Array, y_pred: Array, *, axis: Any = -1, epsilon: BelowHalf = 1e-7) -> Array:
    """sum(t log(t / p)) with t and p clipped to [epsilon, 1]."""
    t = xp.clip(y_true, epsilon, 1.0)
    return xp.sum(t * (xp.log(t) - xp.log(xp.clip(y_pred, epsilon, 1.0))), axis=axis)


@kl_divergence.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, epsilon: float) -> Array:
    t, p = xp.clip(y_true, epsilon, 1.0), xp.clip(y_pred, epsilon, 1.0)
    return -t / p * within(xp, y_pred, epsilon, 1.0)


@add
@elementwise(name="keras.mean_squared_logarithmic_error")
def mean_squared_logarithmic_error(xp: Any, y_true: Array, y_pred: Array, *, epsilon: BelowHalf = 1e-7) -> Array:
    """(log(1 + p) - log(1 + t))^2 with p and t at least epsilon."""
    gap = _log_gap(xp, y_true, y_pred, epsilon)
    return gap * gap


def _log_gap(xp: Any, t: Array, p: Array, epsilon: float) -> Array:
    return xp.log1p(xp.clamp_min(p, epsilon)) - xp.log1p(xp.clamp_min(t, epsilon))


@mean_squared_logarithmic_error.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, epsilon: float) -> Array:
    slope = 2 * _log_gap(xp, y_true, y_pred, epsilon) / (1 + xp.clamp_min(y_pred, epsilon))
    return xp.where(y_pred < epsilon, 0, slope)


def floored_direction(xp: Any, x: Array, axis: Any, floor: float) -> tuple[Array, Array, Array]:
    """x / max(|x|, floor); 1 over that divisor (0 for 0 / 0); 1 where the norm is the divisor, else 0."""
    # By the largest entry no square overflows.
    largest = xp.stop_gradient(xp.max(xp.abs(x), axis=axis, keepdims=True))
    scale = xp.where(largest == 0, 1, largest)
    x = x / scale
    size = xp.sqrt(xp.sum(x * x, axis=axis, keepdims=True))
    above = size * scale >= floor
    divisor = xp.where(above, size, floor / scale)
    reciprocal = xp.where(divisor == 0, 0, 1 / xp.where(divisor == 0, 1, divisor))
    return x * reciprocal, reciprocal / scale, xp.where(above, xp.ones_like(size), xp.zeros_like(size))


def cosine(xp: Any, t: Array, p: Array, axis: Any, floor: float) -> Array:
    """The cosine of two vectors, each norm at least `floor`."""
    t, p = (floored_direction(xp, x, axis, floor)[0] for x in (t, p))
    return xp.sum(t * p, axis=axis)


def cosine_gradient(xp: Any, t: Array, p: Array, axis: Any, floor: float) -> Array:
    """Its derivative by p."""
    t = floored_direction(xp, t, axis, floor)[0]
    p, by, above = floored_direction(xp, p, axis, floor)
    return (t - above * xp.sum(t * p, axis=axis, keepdims=True) * p) * by


@add
@over_axis(name="keras.cosine_similarity")
def cosine_similarity(xp: Any, y_true: Array, y_pred: Array, *, axis: Any = -1, epsilon: BelowHalf = 1e-7) -> Array:
    """Minus the cosine of t and p, each norm at least epsilon."""
    return -cosine(xp, y_true, y_pred, axis, epsilon)


@cosine_similarity.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: Any, epsilon: float) -> Array:
    return -cosine_gradient(xp, y_true, y_pred, axis, epsilon)


@add
@over_axis(name="keras.dice")
def dice(xp: Any, y_true: Array, y_pred: Array, *, axis: Any = None, epsilon: BelowHalf = 1e-7) -> Array:
    """1 - 2 sum(t p) / (sum(t) + sum(p) + epsilon)."""
    wrong = y_true * (1 - y_pred) + y_pred * (1 - y_true)
    return (xp.sum(wrong, axis=axis) + epsilon) / (xp.sum(y_true + y_pred, axis=axis) + epsilon)


@dice.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: Any, epsilon: float) -> Array:
    total = xp.sum(y_true + y_pred, axis=axis, keepdims=True) + epsilon
    both = xp.sum(y_true * y_pred, axis=axis, keepdims=True)
    return 2 * (both / total - y_true) / total


@add
@over_axis(name="keras.tversky")
def tversky(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    axis: Any = None,
    alpha: float = 0.5,
    beta: float = 0.5,
    epsilon: BelowHalf = 1e-7,
) -> Array:
    """1 - I / (I + alpha sum(t (1 - p)) + beta sum(p (1 - t)) + epsilon), I = sum(t p)."""
    both, wrong = (xp.sum(x, axis=axis) for x in _regions(y_true, y_pred, alpha, beta))
    return (wrong + epsilon) / (both + wrong + epsilon)


def _regions(t: Array, p: Array, alpha: float, beta: float) -> tuple[Array, Array]:
    return t * p, alpha * (t * (1 - p)) + beta * (p * (1 - t))


@tversky.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: Any, alpha: float, beta: float, epsilon: float) -> Array:
    both, wrong = (xp.sum(x, axis=axis, keepdims=True) for x in _regions(y_true, y_pred, alpha, beta))
    total = both + wrong + epsilon
    return (both / total * (y_true - alpha * y_true + beta * (1 - y_true)) - y_true) / total


def _margins(xp: Any, t: Array, z: Array, axis: int, keep: Array | None) -> Array:
    """max(0, 1 - t z), with the labels of a batch that holds nothing but 0 and 1 as -1 and 1."""
    binary = (t == 0) | (t == 1)
    if keep is not None:
        binary = binary | xp.expand_dims(xp.logical_not(keep), axis=axis)
    gap = 1 - xp.where(xp.all(binary), 2 * t - 1, t) * z
    return xp.where(gap < 0, 0, gap)  # the gradient at the kink is that of `gap`, as of TensorFlow's maximum


@add
@over_axis(name="keras.hinge", **CLASSES)
def hinge(xp: Any, y_true: Array, y_pred: Array, *, axis: int = -1, keep: Array | None = None) -> Array:
    """mean(max(0, 1 - t z)); labels 0 and 1 are -1 and 1 where the whole batch has no others."""
    return mean_over(xp, _margins(xp, y_true, y_pred, axis, keep), axis)


@add
@over_axis(name="keras.squared_hinge", **CLASSES)
def squared_hinge(xp: Any, y_true: Array, y_pred: Array, *, axis: int = -1, keep: Array | None = None) -> Array:
    """mean(max(0, 1 - t z)^2), labels as in `keras.hinge`."""
    h = _margins(xp, y_true, y_pred, axis, keep)
    return mean_over(xp, h * h, axis)


@add
@of_inputs({"labels": "N int", "features": "N D"}, name="keras.circle")
def circle(
    xp: Any,
    labels: Array,
    features: Array,
    *,
    keep: Array | None = None,
    gamma: Positive = 80.0,
    margin: float = 0.4,
    remove_diagonal: bool = True,
) -> tuple[Array, Array]:
    """Circle loss of features that have unit length already, its weights part of the derivative.

    A mean is over the anchors whose value is above 0.
    """
    positive, other = pairs(xp, labels, keep)
    same = xp.expand_dims(labels, axis=0) == xp.expand_dims(labels, axis=1)
    negative = other & xp.logical_not(same)
    if not remove_diagonal:
        positive = same if keep is None else same & xp.expand_dims(keep, axis=0) & xp.expand_dims(keep, axis=1)
    distance = xp.clamp_min(1 - xp.matmul(features, xp.matrix_transpose(features)), 0.0)
    pull = -gamma * xp.clamp_min(margin + distance, 0.0) * (margin - distance)
    push = gamma * xp.clamp_min(1 + margin - distance, 0.0) * ((1 - margin) - distance)
    exponent = xp.masked_logsumexp(pull, positive) + xp.masked_logsumexp(push, negative)
    both = any_of(xp, positive) & any_of(xp, negative)
    values = xp.where(both, xp.softplus(exponent), 0)
    return values, ones_where(xp, values > 0, values)


@add
@of_inputs({"y_true": "N L int<C", "y_pred": "N T C"}, name="keras.ctc")
def ctc(xp: Any, y_true: Array, y_pred: Array) -> Array:
    """Connectionist temporal classification of logits: blank 0, all frames, as many labels as are not 0."""
    lengths = xp.sum(xp.where(y_true == 0, xp.zeros_like(y_true), xp.ones_like(y_true)), axis=1)
    return sequence.ctc.value(xp, y_true, y_pred, lengths)

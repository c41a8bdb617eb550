"""Formulas of Keras that no loss of this library has, as Keras' TensorFlow backend computes them.

Most differ by clipping: Keras clips probabilities to [epsilon, 1 - epsilon], with gradient 0 outside and 1 on the
bounds. Nothing is checked: Keras takes any numbers.
"""

from __future__ import annotations

from typing import Any

from multiloss.definitions import classification as ce
from multiloss.definitions import sequence
from multiloss.definitions.contrastive import any_of, ones_where, pairs
from multiloss.definitions.divergence import normalized, normalized_gradient
from multiloss.definitions.regression import mean_over
from multiloss.engine.definition import elementwise, of_inputs, over_axis, over_labels
from multiloss.engine.options import BelowHalf, OneOrEach, Positive, UnitInterval, single_axis
from multiloss.porting.variants import add

Array = Any


def _within(xp: Any, x: Array, low: float, high: float) -> Array:
    """1 in [low, high], else 0: the derivative of `clip`."""
    return xp.where((x < low) | (x > high), xp.zeros_like(x), xp.ones_like(x))


def _clip(xp: Any, p: Array, epsilon: float) -> Array:
    return xp.clip(p, epsilon, 1.0 - epsilon)


def _unclipped(xp: Any, p: Array, epsilon: float) -> Array:
    return _within(xp, p, epsilon, 1.0 - epsilon)


def _smooth(xp: Any, t: Array, label_smoothing: float) -> Array:
    """Keras counts the classes on the last axis, whatever `axis` is."""
    return ce.smooth(xp, t, -1, label_smoothing)


@add
@over_axis(name="keras.kl_divergence")
def kl_divergence(xp: Any, y_true: Array, y_pred: Array, *, axis: Any = -1, epsilon: BelowHalf = 1e-7) -> Array:
    """sum(t log(t / p)) with t and p clipped to [epsilon, 1]."""
    t = xp.clip(y_true, epsilon, 1.0)
    return xp.sum(t * (xp.log(t) - xp.log(xp.clip(y_pred, epsilon, 1.0))), axis=axis)


@kl_divergence.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, epsilon: float) -> Array:
    t, p = xp.clip(y_true, epsilon, 1.0), xp.clip(y_pred, epsilon, 1.0)
    return -t / p * _within(xp, y_pred, epsilon, 1.0)


@add
@elementwise(name="keras.binary_crossentropy")
def binary_crossentropy(
    xp: Any, y_true: Array, y_pred: Array, *, label_smoothing: UnitInterval = 0.0, epsilon: BelowHalf = 1e-7
) -> Array:
    """-t log p - (1 - t) log(1 - p) with p clipped to [epsilon, 1 - epsilon]."""
    t, p = ce.smooth_pair(y_true, label_smoothing), _clip(xp, y_pred, epsilon)
    return -(t * xp.log(p) + (1 - t) * xp.log(1 - p))


@binary_crossentropy.gradient
def _pair_gradient(xp: Any, y_true: Array, y_pred: Array, *, label_smoothing: float, epsilon: float) -> Array:
    t, p = ce.smooth_pair(y_true, label_smoothing), _clip(xp, y_pred, epsilon)
    return ((1 - t) / (1 - p) - t / p) * _unclipped(xp, y_pred, epsilon)


def _power(xp: Any, x: Array, gamma: float) -> Array:
    return xp.ones_like(x) if gamma == 0 else x**gamma


def _slope(xp: Any, x: Array, gamma: float) -> Array:
    """The derivative of x^gamma; 0 at 0, where it is infinite for gamma < 1."""
    if gamma in (0, 1):
        return xp.full_like(x, gamma)
    if gamma > 1:
        return gamma * x ** (gamma - 1)
    zero = x == 0
    return xp.where(zero, 0, gamma * xp.where(zero, 1, x) ** (gamma - 1))


@add
@elementwise(name="keras.binary_focal_crossentropy")
def binary_focal_crossentropy(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
    label_smoothing: UnitInterval = 0.0,
    epsilon: BelowHalf = 1e-7,
) -> Array:
    """(1 - p_t)^gamma times `keras.binary_crossentropy`; p is clipped in the latter only."""
    t = ce.smooth_pair(y_true, label_smoothing)
    cost = binary_crossentropy.value(xp, t, y_pred, epsilon=epsilon)
    return _side(alpha, t) * _power(xp, _miss(t, y_pred), gamma) * cost


def _miss(t: Array, p: Array) -> Array:
    """1 - p_t."""
    return t * (1 - p) + (1 - t) * p


def _side(alpha: float | None, t: Array) -> Array:
    return 1.0 if alpha is None else t * alpha + (1 - t) * (1 - alpha)


@binary_focal_crossentropy.gradient
def _(
    xp: Any, y_true: Array, y_pred: Array, *, gamma: float, alpha: Any, label_smoothing: float, epsilon: float
) -> Array:
    t = ce.smooth_pair(y_true, label_smoothing)
    miss = _miss(t, y_pred)
    cost = binary_crossentropy.value(xp, t, y_pred, epsilon=epsilon)
    by_cost = _pair_gradient(xp, t, y_pred, label_smoothing=0.0, epsilon=epsilon)
    falling = _slope(xp, miss, gamma) * (1 - 2 * t) * cost
    return _side(alpha, t) * (falling + _power(xp, miss, gamma) * by_cost)


_CLASSES: dict[str, Any] = {"axis": single_axis}


@add
@over_axis(name="keras.categorical_crossentropy", **_CLASSES)
def categorical_crossentropy(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    axis: int = -1,
    from_logits: bool = False,
    label_smoothing: UnitInterval = 0.0,
    epsilon: BelowHalf = 1e-7,
) -> Array:
    """-sum(t log q) with q = p / sum(p), clipped to [epsilon, 1 - epsilon]; of logits -sum(t log softmax(z))."""
    t = _smooth(xp, y_true, label_smoothing)
    if from_logits:
        return -xp.sum(xp.zero_times(t, xp.log_softmax(y_pred, axis=axis)), axis=axis)
    return -xp.sum(t * xp.log(_clip(xp, normalized(xp, y_pred, axis), epsilon)), axis=axis)


@categorical_crossentropy.gradient
def _(
    xp: Any, y_true: Array, y_pred: Array, *, axis: int, from_logits: bool, label_smoothing: float, epsilon: float
) -> Array:
    t = _smooth(xp, y_true, label_smoothing)
    if from_logits:
        return xp.sum(t, axis=axis, keepdims=True) * xp.softmax(y_pred, axis=axis) - t
    q = normalized(xp, y_pred, axis)
    by_q = -t / _clip(xp, q, epsilon) * _unclipped(xp, q, epsilon)
    return normalized_gradient(xp, y_pred, by_q, axis)


@add
@over_labels(name="keras.sparse_categorical_crossentropy")
def sparse_categorical_crossentropy(
    xp: Any, y_true: Array, y_pred: Array, *, axis: int = -1, ignore_index: int | None = None, epsilon: BelowHalf = 1e-7
) -> Array:
    """log(sum(p)) - log(p_y) with p clipped to [epsilon, 1 - epsilon] before it is summed."""
    p = _clip(xp, y_pred, epsilon)
    return xp.log(xp.sum(p, axis=axis)) - xp.log(ce.picked(xp, y_true, p, axis=axis))


@sparse_categorical_crossentropy.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: int, epsilon: float) -> Array:
    p = _clip(xp, y_pred, epsilon)
    of_label = xp.one_hot_times(1 / ce.picked(xp, y_true, p, axis=axis), y_true, y_pred, axis)
    return (1 / xp.sum(p, axis=axis, keepdims=True) - of_label) * _unclipped(xp, y_pred, epsilon)


@add
@over_axis(name="keras.categorical_focal_crossentropy", **_CLASSES)
def categorical_focal_crossentropy(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    axis: int = -1,
    gamma: float = 2.0,
    alpha: OneOrEach = 0.25,
    from_logits: bool = False,
    label_smoothing: UnitInterval = 0.0,
    epsilon: BelowHalf = 1e-7,
) -> Array:
    """-sum(alpha t (1 - q)^gamma log q) with q = p / sum(p), or softmax(z), clipped to [epsilon, 1 - epsilon]."""
    t = _smooth(xp, y_true, label_smoothing)
    q = _clip(xp, _distribution(xp, y_pred, axis, from_logits), epsilon)
    return -xp.sum(_weights(xp, alpha, y_pred) * t * _power(xp, 1 - q, gamma) * xp.log(q), axis=axis)


def _distribution(xp: Any, y_pred: Array, axis: int, from_logits: bool) -> Array:
    return xp.softmax(y_pred, axis=axis) if from_logits else normalized(xp, y_pred, axis)


def _weights(xp: Any, alpha: Any, like: Array) -> Any:
    """One number, or one for each place of the last axis, whatever `axis` is."""
    return xp.constants(alpha, like, -1) if isinstance(alpha, tuple) else alpha


@categorical_focal_crossentropy.gradient
def _(
    xp: Any, y_true: Array, y_pred: Array, *, axis: int, gamma: float, alpha: Any, from_logits: bool,
    label_smoothing: float, epsilon: float,
) -> Array:  # fmt: skip
    t = _smooth(xp, y_true, label_smoothing)
    whole = _distribution(xp, y_pred, axis, from_logits)
    q = _clip(xp, whole, epsilon)
    by_q = _slope(xp, 1 - q, gamma) * xp.log(q) - _power(xp, 1 - q, gamma) / q
    by_q = _weights(xp, alpha, y_pred) * t * by_q * _unclipped(xp, whole, epsilon)
    if from_logits:
        return whole * (by_q - xp.sum(whole * by_q, axis=axis, keepdims=True))
    return normalized_gradient(xp, y_pred, by_q, axis)


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
@over_axis(name="keras.hinge", **_CLASSES)
def hinge(xp: Any, y_true: Array, y_pred: Array, *, axis: int = -1, keep: Array | None = None) -> Array:
    """mean(max(0, 1 - t z)); labels 0 and 1 are -1 and 1 where the whole batch has no others."""
    return mean_over(xp, _margins(xp, y_true, y_pred, axis, keep), axis)


@add
@over_axis(name="keras.squared_hinge", **_CLASSES)
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

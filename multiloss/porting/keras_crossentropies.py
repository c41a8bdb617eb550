"""Cross entropies and focal losses as Keras' TensorFlow backend computes them, of clipped probabilities."""

from __future__ import annotations

from typing import Any

from multiloss.definitions import classification as ce
from multiloss.definitions.divergence import normalized, normalized_gradient
from multiloss.engine.definition import elementwise, over_axis, over_labels
from multiloss.engine.options import BelowHalf, OneOrEach, UnitInterval, single_axis
from multiloss.porting.variants import add

Array = Any


def within(xp: Any, x: Array, low: float, high: float) -> Array:
    """1 in [low, high], else 0: the derivative of `clip`."""
    return xp.where((x < low) | (x > high), xp.zeros_like(x), xp.ones_like(x))


def _clip(xp: Any, p: Array, epsilon: float) -> Array:
    return xp.clip(p, epsilon, 1.0 - epsilon)


def _unclipped(xp: Any, p: Array, epsilon: float) -> Array:
    return within(xp, p, epsilon, 1.0 - epsilon)


def _smooth(xp: Any, t: Array, label_smoothing: float) -> Array:
    """Keras counts the classes on the last axis, whatever `axis` is."""
    return ce.smooth(xp, t, -1, label_smoothing)


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


CLASSES: dict[str, Any] = {"axis": single_axis}


@add
@over_axis(name="keras.categorical_crossentropy", **CLASSES)
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
@over_axis(name="keras.categorical_focal_crossentropy", **CLASSES)
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

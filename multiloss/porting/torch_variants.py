"""Losses of `torch.nn.functional` whose formula, or subgradient at a kink, no loss here has.

Each docstring tells all that differs from the loss of the catalogue whose name it has after "torch.".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np

from multiloss.definitions import classification as ce
from multiloss.definitions.regression import mean_over
from multiloss.engine.checks import MEMBERSHIP
from multiloss.engine.definition import elementwise, of_inputs, over_axis, over_labels
from multiloss.engine.options import Positive, UnitInterval, Vector, single_axis
from multiloss.porting.variants import add

Array = Any

_EPSILON = float(np.float32(1e-12))
"""torch's 1e-12, which is a float32 constant in any dtype: that shows in the ninth digit."""


def weights(name: str, value: Any) -> Any:
    """A number, or numbers in an array of any shape, as nested tuples."""
    if value is None:
        return None
    try:
        if isinstance(value, str | bytes):
            raise TypeError
        array = np.asarray(value.tolist() if hasattr(value, "tolist") else value, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be an array of numbers, got {value!r}") from None
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {array.tolist()}")
    return _tuples(array.tolist())


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


Weights = Annotated[Any, weights]


def _factor(xp: Any, name: str, value: Any, like: Array) -> Array | float:
    """Such an option as an array that broadcasts against `like` from the right, as in torch; None is 1."""
    if value is None:
        return 1.0
    have, want = np.shape(value), tuple(like.shape)
    tail = want[len(want) - len(have) :]
    if len(have) > len(want) or any(n not in (1, m) for n, m in zip(have, tail, strict=True) if m is not None):
        raise ValueError(f"{name} of shape {have} cannot be broadcast to y_pred of shape {want}")
    return xp.constant(value, like)


def _class_table(xp: Any, weight: tuple[float, ...] | None, like: Array, axis: int) -> Array | float:
    """One weight for each class, along `axis`; None is 1."""
    if weight is None:
        return 1.0
    classes = like.shape[axis]
    if classes not in (None, len(weight)):
        raise ValueError(f"weight must be one for each of the {classes} classes, got {len(weight)}")
    return xp.constants(weight, like, axis)


@add
@over_labels(name="torch.cross_entropy")
def cross_entropy(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    axis: int = 1,
    weight: Vector | None = None,
    label_smoothing: UnitInterval = 0.0,
    ignore_index: int | None = -100,
) -> Array:
    """Cross entropy of labels with class weights and smoothing: each class's term of the smoothing has its own weight.

    .. math:: -(1 - s) w_y \\log p_y - \\tfrac{s}{K} \\sum_k w_k \\log p_k

    The mean is over the sum of w_y.
    """
    log_p = xp.log_softmax(y_pred, axis=axis)
    return -xp.sum(xp.zero_times(_smoothed(xp, y_true, y_pred, axis, weight, label_smoothing), log_p), axis=axis)


def _smoothed(
    xp: Any, y_true: Array, y_pred: Array, axis: int, weight: tuple[float, ...] | None, label_smoothing: float
) -> Array:
    return _class_table(xp, weight, y_pred, axis) * ce.one_hot(xp, y_true, y_pred, axis, label_smoothing)


@cross_entropy.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: int, weight: Any, label_smoothing: float) -> Array:
    t = _smoothed(xp, y_true, y_pred, axis, weight, label_smoothing)
    return xp.sum(t, axis=axis, keepdims=True) * xp.softmax(y_pred, axis=axis) - t


@cross_entropy.counting
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: int, weight: Any) -> Array:
    return xp.sum(_smoothed(xp, y_true, y_pred, axis, weight, 0.0), axis=axis)


@add
@over_axis(name="torch.cross_entropy_of_probabilities", axis=single_axis)
def cross_entropy_of_probabilities(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    axis: int = 1,
    weight: Vector | None = None,
    label_smoothing: UnitInterval = 0.0,
) -> Array:
    """Cross entropy of probabilities with class weights: the weights are inside the sum, and not in the denominator.

    .. math:: -\\sum_k w_k t'_k \\log p_k, \\quad t' = t (1 - s) + s / K
    """
    t = _class_table(xp, weight, y_pred, axis) * ce.smooth(xp, y_true, axis, label_smoothing)
    return -xp.sum(xp.zero_times(t, xp.log_softmax(y_pred, axis=axis)), axis=axis)


@cross_entropy_of_probabilities.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: int, weight: Any, label_smoothing: float) -> Array:
    t = _class_table(xp, weight, y_pred, axis) * ce.smooth(xp, y_true, axis, label_smoothing)
    return xp.sum(t, axis=axis, keepdims=True) * xp.softmax(y_pred, axis=axis) - t


@add
@of_inputs(
    {"y_true": "... int<C", "features": "... D", "weight": "C D", "bias": "C"}, name="torch.linear_cross_entropy"
)
def linear_cross_entropy(
    xp: Any,
    y_true: Array,
    features: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    class_weight: Vector | None = None,
    label_smoothing: UnitInterval = 0.0,
    ignore_index: int | None = -100,
) -> tuple[Array, Array]:
    """`torch.cross_entropy` of the logits W x + b: with class weights, which the mean is over the sum of."""
    logits = xp.matmul(features, xp.matrix_transpose(weight))
    logits = logits if bias is None else logits + bias
    values = cross_entropy.value(
        xp, y_true, logits, axis=-1, weight=class_weight, label_smoothing=label_smoothing, ignore_index=ignore_index
    )
    return values, xp.sum(_smoothed(xp, y_true, logits, -1, class_weight, 0.0), axis=-1)


def _reduced(xp: Any, values: Array, axis: Any) -> Array:
    return values if axis == () else mean_over(xp, values, axis)


def _share(xp: Any, gradient: Array, axis: Any) -> Array:
    return gradient if axis == () else gradient / xp.length(gradient, axis)


def _probabilities(options: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"y_true": MEMBERSHIP, "y_pred": MEMBERSHIP}


def _undershoot(options: Mapping[str, Any]) -> float | None:
    return None if options["weight"] is not None else 1.0


@add
@over_axis(
    name="torch.binary_cross_entropy",
    domain=_probabilities,
    undershoot=_undershoot,
)
def binary_cross_entropy(xp: Any, y_true: Array, y_pred: Array, *, axis: Any = (), weight: Weights = None) -> Array:
    """Binary cross entropy of probabilities: logarithms are -100 at least, the derivative is at most 1e12.

    .. math:: -w (t \\max(\\log p, -100) + (1 - t) \\max(\\log(1 - p), -100))
    """
    one, zero = (xp.clamp_min(log, -100.0) for log in (xp.log(y_pred), xp.log1p(-y_pred)))
    factor = _factor(xp, "weight", weight, y_pred)
    return _reduced(xp, -factor * (y_true * one + (1 - y_true) * zero), axis)


@binary_cross_entropy.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: Any, weight: Any) -> Array:
    slope = (y_pred - y_true) / xp.clamp_min((1 - y_pred) * y_pred, _EPSILON)
    return _share(xp, _factor(xp, "weight", weight, y_pred) * slope, axis)


@add
@over_axis(name="torch.binary_cross_entropy_with_logits")
def binary_cross_entropy_with_logits(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    axis: Any = (),
    weight: Weights = None,
    pos_weight: Weights = None,
) -> Array:
    """Binary cross entropy of logits with weights of any shape, which the mean is not divided by.

    .. math:: -w (v\\, t \\log \\sigma(z) + (1 - t) \\log \\sigma(-z))
    """
    v = _factor(xp, "pos_weight", pos_weight, y_pred)
    values = ce.binary_crossentropy.value(xp, y_true, y_pred, from_logits=True, pos_weight=v)
    return _reduced(xp, _factor(xp, "weight", weight, y_pred) * values, axis)


@binary_cross_entropy_with_logits.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: Any, weight: Any, pos_weight: Any) -> Array:
    v = _factor(xp, "pos_weight", pos_weight, y_pred)
    slope = ce.pair_gradient(xp, y_true, y_pred, from_logits=True, epsilon=0.0, pos_weight=v)
    return _share(xp, _factor(xp, "weight", weight, y_pred) * slope, axis)


def _clamped(xp: Any, x: Array) -> Array:
    """max(0, x), whose derivative at 0 is 1, as torch's is. (That of a maximum is 1/2 in JAX.)"""
    return xp.where(x < 0, 0, x)


@add
@elementwise(name="torch.hinge_embedding_loss")
def hinge_embedding_loss(xp: Any, y_true: Array, y_pred: Array, *, margin: float = 1.0) -> Array:
    """Hinge loss of distances, whose gradient at the margin is -1; a target that is neither 1 nor -1 counts as both."""
    zero = xp.zeros_like(y_pred)
    near = xp.where(y_true == -1, zero, y_pred)
    return near + xp.where(y_true == 1, zero, _clamped(xp, margin - y_pred))


@hinge_embedding_loss.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, margin: float) -> Array:
    one, zero = xp.ones_like(y_pred), xp.zeros_like(y_pred)
    far = xp.where((y_true == 1) | (margin - y_pred < 0), zero, one)
    return xp.where(y_true == -1, zero, one) - far


@add
@of_inputs({"y_true": "...", "x1": "...", "x2": "..."}, name="torch.margin_ranking_loss")
def margin_ranking_loss(xp: Any, y_true: Array, x1: Array, x2: Array, *, margin: float = 0.0) -> Array:
    """Margin ranking loss, whose gradient at the kink (equal scores, with a margin of 0) is that of the wrong order."""
    return _clamped(xp, margin - y_true * (x1 - x2))


@add
@of_inputs({"y_true": "...", "x1": "... D", "x2": "... D"}, name="torch.cosine_embedding_loss")
def cosine_embedding_loss(xp: Any, y_true: Array, x1: Array, x2: Array, *, margin: float = 0.0) -> Array:
    """Cosine embedding loss with 1e-12 added to each squared length; a target that is neither 1 nor -1 counts 0."""
    square = [xp.sum(x * x, axis=-1) + _EPSILON for x in (x1, x2)]
    cosine = xp.sum(x1 * x2, axis=-1) / xp.sqrt(square[0] * square[1])
    zero = xp.zeros_like(cosine)
    return xp.where(y_true == 1, 1 - cosine, xp.where(y_true == -1, _clamped(xp, cosine - margin), zero))


@add
@of_inputs({"anchor": "... D", "positive": "... D", "negative": "... D"}, name="torch.triplet_margin_loss")
def triplet_margin_loss(
    xp: Any,
    anchor: Array,
    positive: Array,
    negative: Array,
    *,
    margin: float = 1.0,
    power: Positive = 2.0,
    swap: bool = False,
    epsilon: float = 1e-6,
) -> Array:
    """Triplet loss, whose gradient at the kink is that above it; of two negative distances that tie each has a half."""

    def distance(x: Array, y: Array) -> Array:
        return xp.power_norm(x - y + epsilon, power)

    far = distance(anchor, negative)
    if swap:
        other = distance(positive, negative)
        far = xp.where(other == far, 0.5 * (far + other), xp.where(other < far, other, far))
    return _clamped(xp, margin + distance(anchor, positive) - far)

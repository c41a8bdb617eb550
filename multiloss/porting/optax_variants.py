"""Formulas of Optax that no loss of this library has. Nothing is checked, as Optax takes any numbers."""

from __future__ import annotations

import math
from typing import Any, Literal

from multiloss.engine.definition import of_inputs, over_axis
from multiloss.engine.options import Axis, NonNegative, Positive, Vector
from multiloss.porting.keras_variants import cosine, cosine_gradient
from multiloss.porting.variants import add

Array = Any


@add
@over_axis(name="optax.cosine_similarity")
def cosine_similarity(xp: Any, y_true: Array, y_pred: Array, *, axis: Any = -1, epsilon: NonNegative = 0.0) -> Array:
    """The cosine of t and p, each squared norm at least epsilon."""
    return cosine(xp, y_true, y_pred, axis, epsilon**0.5)


@cosine_similarity.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: Any, epsilon: float) -> Array:
    return cosine_gradient(xp, y_true, y_pred, axis, epsilon**0.5)


@add
@over_axis(name="optax.cosine_distance")
def cosine_distance(xp: Any, y_true: Array, y_pred: Array, *, axis: Any = -1, epsilon: NonNegative = 0.0) -> Array:
    """1 - `optax.cosine_similarity`."""
    return 1 - cosine(xp, y_true, y_pred, axis, epsilon**0.5)


@cosine_distance.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: Any, epsilon: float) -> Array:
    return -cosine_gradient(xp, y_true, y_pred, axis, epsilon**0.5)


def _log_softmax(xp: Any, z: Array, axis: Any) -> Array:
    z = z - xp.stop_gradient(xp.max(z, axis=axis, keepdims=True))
    return z - xp.log(xp.sum(xp.exp(z), axis=axis, keepdims=True))


@add
@over_axis(name="optax.softmax_cross_entropy")
def softmax_cross_entropy(xp: Any, y_true: Array, y_pred: Array, *, axis: Any = -1, poly_epsilon: float = 0.0) -> Array:
    """-sum(t log p) + poly_epsilon sum(t (1 - p)), p = softmax(z), the classes on several axes."""
    log_p = _log_softmax(xp, y_pred, axis)
    return -xp.sum(xp.zero_times(y_true, log_p) + poly_epsilon * y_true * xp.expm1(log_p), axis=axis)


@softmax_cross_entropy.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: Any, poly_epsilon: float) -> Array:
    p = xp.exp(_log_softmax(xp, y_pred, axis))
    total, right = (xp.sum(x, axis=axis, keepdims=True) for x in (y_true, y_true * p))
    return total * p - y_true - poly_epsilon * p * (y_true - right)


def _chances(xp: Any, z: Array, logits: bool) -> Array:
    """Probabilities over the last axis: the softmax, or the sigmoid of a single class."""
    if not logits:
        return z
    return xp.expit(z) if z.shape[-1] == 1 else xp.softmax(z, axis=-1)


def _regions(xp: Any, t: Array, p: Array, axis: Any, smooth: float, alpha: float, beta: float) -> Array:
    """1 - (I + s) / (I + alpha FP + beta FN + s) of each class; `axis` None: all but the first and the last."""
    axis = tuple(range(1, len(p.shape) - 1)) if axis is None else axis
    wrong = alpha * (p * (1 - t)) + beta * (t * (1 - p))
    both, wrong = (x if axis == () else xp.sum(x, axis=axis) for x in (t * p, wrong))
    total = both + wrong + smooth
    return wrong / xp.where(total == 0, math.inf, total)


def _refuse_mask(keep: Array | None) -> None:
    if keep is not None:
        raise ValueError("the Dice losses of Optax take no mask; leave the samples out of the arrays")


_IMAGES = {"y_true": "... C", "y_pred": "... C"}


@add
@of_inputs(_IMAGES, name="optax.dice_loss")
def dice_loss(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    keep: Array | None = None,
    smooth: NonNegative = 1.0,
    alpha: float = 0.5,
    beta: float = 0.5,
    class_weights: Vector | None = None,
    apply_softmax: bool = True,
    over_classes: Literal["mean", "sum", "none"] = "mean",
    ignore_background: bool = False,
    over: Axis = None,
) -> Array:
    """Tversky loss of each sample and class, summed over the axes `over` (None: all but the first and the last).

    `over_classes` reduces the classes, `reduction` the samples.
    """
    _refuse_mask(keep)
    values = _regions(xp, y_true, _chances(xp, y_pred, apply_softmax), over, smooth, alpha, beta)
    if class_weights is not None:
        values = values * xp.constants(class_weights, values, -1)
    if ignore_background and y_pred.shape[-1] > 1:
        values = values[..., 1:]
    if over_classes == "none":
        return values
    return xp.mean(values, axis=-1) if over_classes == "mean" else xp.sum(values, axis=-1)


@add
@of_inputs({"y_true": "...", "y_pred": "..."}, name="optax.binary_dice_loss")
def binary_dice_loss(
    xp: Any, y_true: Array, y_pred: Array, *, keep: Array | None = None, smooth: NonNegative = 1.0
) -> Array:
    """`optax.dice_loss` of one class, from its logits, with or without an axis for it."""
    _refuse_mask(keep)
    if y_pred.shape[-1] != 1:
        y_true, y_pred = (xp.expand_dims(x, axis=-1) for x in (y_true, y_pred))
    return xp.mean(_regions(xp, y_true, xp.expit(y_pred), None, smooth, 0.5, 0.5), axis=-1)


@add
@of_inputs(
    _IMAGES,
    name="optax.multiclass_generalized_dice_loss",
    whole_batch=True,
)
def multiclass_generalized_dice_loss(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    keep: Array | None = None,
    smooth: NonNegative = 1.0,
    apply_softmax: bool = True,
    ignore_background: bool = False,
) -> Array:
    """The mean of all Dice losses of samples and classes, a class weighted by 1 / (its sum^2 + 1e-7)."""
    _refuse_mask(keep)
    values = _regions(xp, y_true, _chances(xp, y_pred, apply_softmax), None, smooth, 0.5, 0.5)
    size = xp.sum(y_true, axis=tuple(range(len(y_true.shape) - 1)))
    weight = 1 / (size * size + 1e-7)
    weight = weight / xp.sum(weight) * xp.length(weight, None)
    values = values * weight
    return xp.mean(values[..., 1:] if ignore_background and y_pred.shape[-1] > 1 else values)


@add
@of_inputs({"anchor": "... D", "positive": "... D", "negative": "... D"}, name="optax.triplet_margin_loss")
def triplet_margin_loss(
    xp: Any,
    anchor: Array,
    positive: Array,
    negative: Array,
    *,
    norm_degree: Positive = 2.0,
    margin: float = 1.0,
    eps: float = 1e-6,
) -> Array:
    """max(0, d(a, p) - d(a, n) + margin), d(x, y) = (sum((x - y)^k) + eps)^(1/k): no absolute value."""

    def distance(x: Array, y: Array) -> Array:
        # With a whole exponent a negative base has a real power.
        power = (x - y) ** (int(norm_degree) if norm_degree.is_integer() else norm_degree)
        return (xp.sum(power, axis=-1) + eps) ** (1 / norm_degree)

    return xp.hinge(distance(anchor, positive) - distance(anchor, negative) + margin)

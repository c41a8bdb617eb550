"""Margin losses of many classes: the score of the right class against those of the others."""

from __future__ import annotations

import math
from typing import Annotated, Any

from multiloss.definitions import classification as ce
from multiloss.definitions.classification import ClassWeight, IgnoreIndex
from multiloss.definitions.margin import step
from multiloss.engine.checks import BINARY
from multiloss.engine.definition import over_axis, over_labels, shared
from multiloss.engine.options import integer, single_axis

Array = Any
Keras = Annotated[
    bool, "the right class is in the maximum, with a score of 0, as in Keras: then the loss is at least 1 - z_y."
]


def _rivals(xp: Any, t: Array, z: Array, keras: bool) -> Array:
    """z of the wrong classes; at the right one -inf or, as Keras has it, 0."""
    return -xp.signed_margin(1 - t, -z, absent=True) if keras else xp.where(t > 0, -math.inf, z)


def _crammer_singer(xp: Any, t: Array, z: Array, axis: int, keras: bool) -> Array:
    z_y = xp.sum(xp.signed_margin(t, z, absent=True), axis=axis)
    return ce.with_nan(xp, xp.clamp_min(1 + xp.max(_rivals(xp, t, z, keras), axis=axis) - z_y, 0.0), z, axis)


def _crammer_singer_gradient(xp: Any, t: Array, z: Array, axis: int, keras: bool) -> Array:
    rivals = _rivals(xp, t, z, keras)
    active = step(xp, 1 + xp.max(rivals, axis=axis) - xp.sum(xp.zero_times(t, z), axis=axis))
    first = xp.one_hot_times(xp.ones_like(active), xp.argmax(rivals, axis=axis), z, axis)
    return xp.zero_times(xp.expand_dims(active, axis=axis), xp.zero_times(first, 1 - t) - t)


@over_axis(axis=single_axis, classes=True, domain=lambda _: {"y_true": BINARY})
def categorical_hinge(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    axis: int = -1,
    keras: Keras = False,
    class_weight: ClassWeight = None,
) -> Array:
    """Multiclass hinge loss of one-hot targets.

    .. math:: \\max(0,\\; 1 + \\max_{j \\ne y} z_j - z_y)

    Args:
        y_true: one-hot targets, the shape of `y_pred`; 1 at y.
        y_pred: scores z over the K classes.
        axis: the axis of the classes.

    Returns:
        One value per sample, in the unit of the scores. The gradient is 0 at the kink; of several largest wrong
        scores the first one has it.

    Raises:
        ValueError: targets that are neither 0 nor 1, by the first call, where values can be read.

    Source: Crammer & Singer 2001. `optax.losses.multiclass_hinge_loss`; `keras.losses.CategoricalHinge` is
    `keras=True`. (`multi_margin` is torch's sum over the classes.)

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("categorical_hinge", backend="numpy")
        >>> float(loss([[1, 0, 0]], [[0.5, 0.25, -1.0]]))
        0.75
    """
    return _crammer_singer(xp, y_true, y_pred, axis, keras)


@categorical_hinge.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: int, keras: bool) -> Array:
    return _crammer_singer_gradient(xp, y_true, y_pred, axis, keras)


@categorical_hinge.hessian
def _(xp: Any, y_true: Array, y_pred: Array) -> Array:
    return xp.zeros_like(y_pred)


@over_labels()
def multiclass_hinge(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    axis: int = -1,
    keras: Keras = False,
    class_weight: ClassWeight = None,
    ignore_index: IgnoreIndex = None,
) -> Array:
    """Multiclass hinge loss: `categorical_hinge` of integer labels.

    .. math:: \\max(0,\\; 1 + \\max_{j \\ne y} z_j - z_y)

    Args:
        y_true: integer labels y in [0, K), the shape of `y_pred` without `axis`.
        y_pred: scores z over the K classes.
        axis: the axis of the classes.

    Returns:
        One value per sample, in the unit of the scores. The gradient is 0 at the kink; of several largest wrong
        scores the first one has it.

    Raises:
        TypeError: labels that are no integers.
        ValueError: a label outside [0, K), where values can be read.

    Source: Crammer & Singer 2001. `optax.losses.multiclass_hinge_loss`.

    Example:
        >>> import multiloss
        >>> float(multiloss.get("multiclass_hinge", backend="numpy")([0], [[0.5, 0.25, -1.0]]))
        0.75
    """
    return _crammer_singer(xp, ce.one_hot(xp, y_true, y_pred, axis), y_pred, axis, keras)


@multiclass_hinge.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: int, keras: bool) -> Array:
    return _crammer_singer_gradient(xp, ce.one_hot(xp, y_true, y_pred, axis), y_pred, axis, keras)


@multiclass_hinge.hessian
def _(xp: Any, y_true: Array, y_pred: Array) -> Array:
    return xp.zeros_like(y_pred)


def _one_or_two(name: str, value: Any) -> int:
    number = integer(name, value)
    if number not in (1, 2):
        raise ValueError(f"{name} must be 1 or 2, got {number}")
    return number


@over_labels()
def multi_margin(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    axis: int = -1,
    margin: float = 1.0,
    power: Annotated[int, _one_or_two] = 1,
    class_weight: ClassWeight = None,
    ignore_index: IgnoreIndex = None,
) -> Array:
    """Multiclass hinge loss summed over the wrong classes.

    .. math:: \\frac1K \\sum_{j \\ne y} \\max(0,\\; m - z_y + z_j)^p

    Args:
        y_true: integer labels y in [0, K), the shape of `y_pred` without `axis`.
        y_pred: scores z over the K classes.
        axis: the axis of the classes.
        margin: m, in the unit of the scores.
        power: p, 1 or 2.

    Returns:
        One value per sample. The gradient is 0 at the kinks.

    Raises:
        TypeError: labels that are no integers.
        ValueError: a label outside [0, K), where values can be read.

    Source: Weston & Watkins 1999, divided by K. `torch.nn.MultiMarginLoss`.

    Example:
        >>> import multiloss
        >>> float(multiloss.get("multi_margin", backend="numpy")([0], [[0.5, 0.25, -1.0]]))
        0.25
    """
    short = _short(xp, y_true, y_pred, axis=axis, margin=margin)
    return xp.sum(short if power == 1 else short * short, axis=axis) / xp.length(y_pred, axis)


@shared
def _short(xp: Any, y_true: Array, z: Array, *, axis: int, margin: float) -> Array:
    """max(0, m - z_y + z_j) of each wrong class; 0 at the label."""
    of_label = xp.take_along_axis(z, xp.expand_dims(y_true, axis=axis), axis=axis)
    return (1 - ce.one_hot(xp, y_true, z, axis)) * xp.clamp_min(margin + (z - of_label), 0.0)


def _against_label(xp: Any, y_true: Array, y_pred: Array, axis: int, each: Array, sign: float) -> Array:
    """A derivative by each wrong class, divided by K; at the label their sum times `sign`."""
    each = each / xp.length(y_pred, axis)
    return each + sign * xp.one_hot_times(xp.sum(each, axis=axis), y_true, y_pred, axis)


@multi_margin.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: int, margin: float, power: int) -> Array:
    short = _short(xp, y_true, y_pred, axis=axis, margin=margin)
    return _against_label(xp, y_true, y_pred, axis, step(xp, short) if power == 1 else 2 * short, -1.0)


@multi_margin.hessian
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: int, margin: float, power: int) -> Array:
    if power == 1:
        return xp.zeros_like(y_pred)
    short = _short(xp, y_true, y_pred, axis=axis, margin=margin)
    return _against_label(xp, y_true, y_pred, axis, 2 * step(xp, short), 1.0)


@over_labels()
def multiclass_perceptron(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    axis: int = -1,
    class_weight: ClassWeight = None,
    ignore_index: IgnoreIndex = None,
) -> Array:
    """Multiclass perceptron loss: how far the score of the right class is below the largest.

    .. math:: \\max_j z_j - z_y

    Args:
        y_true: integer labels y in [0, K), the shape of `y_pred` without `axis`.
        y_pred: scores z over the K classes.
        axis: the axis of the classes.

    Returns:
        One value per sample, in the unit of the scores. The gradient is 0 where z_y is the largest score; of several
        largest scores the first one has it.

    Raises:
        TypeError: labels that are no integers.
        ValueError: a label outside [0, K), where values can be read.

    Source: Collins 2002. `optax.losses.multiclass_perceptron_loss`.

    Example:
        >>> import multiloss
        >>> float(multiloss.get("multiclass_perceptron", backend="numpy")([0], [[0.5, 2.0, -1.0]]))
        1.5
    """
    return ce.with_nan(xp, xp.max(y_pred, axis=axis) - ce.picked(xp, y_true, y_pred, axis=axis), y_pred, axis)


@multiclass_perceptron.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: int) -> Array:
    active = step(xp, xp.max(y_pred, axis=axis) - ce.picked(xp, y_true, y_pred, axis=axis))
    first = xp.one_hot_times(active, xp.argmax(y_pred, axis=axis), y_pred, axis)
    return first - xp.one_hot_times(active, y_true, y_pred, axis)


@multiclass_perceptron.hessian
def _(xp: Any, y_true: Array, y_pred: Array) -> Array:
    return xp.zeros_like(y_pred)

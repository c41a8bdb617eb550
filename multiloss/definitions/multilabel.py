"""Losses of samples that have several right classes."""

from __future__ import annotations

import math
from typing import Any

from multiloss.definitions import classification as ce
from multiloss.definitions.margin import step
from multiloss.engine.checks import LABEL_SETS, PROBABILITY
from multiloss.engine.definition import elementwise, over_axis
from multiloss.engine.options import single_axis

Array = Any


@elementwise(domain=lambda _: {"y_true": PROBABILITY})
def multilabel_soft_margin(xp: Any, y_true: Array, y_pred: Array) -> Array:
    """Logistic loss of each class on its own, averaged over the classes: binary cross entropy of logits.

    .. math:: -t \\log \\sigma(z) - (1 - t) \\log \\sigma(-z), \\quad \\sigma(z) = 1 / (1 + e^{-z})

    Args:
        y_true: 1 for each right class and 0 for the others (or probabilities t), any shape.
        y_pred: logits z, the shape of `y_true`.

    Returns:
        One value per element, in nats; averaged over `axis`, which is that of the classes.

    Source: `torch.nn.MultiLabelSoftMarginLoss`.

    Example:
        >>> import multiloss
        >>> f"{multiloss.get('multilabel_soft_margin', backend='numpy')([[1, 0]], [[0.0, 0.0]]):.6f}"
        '0.693147'
    """
    return ce.binary_crossentropy.value(xp, y_true, y_pred, from_logits=True)


@multilabel_soft_margin.gradient
def _(xp: Any, y_true: Array, y_pred: Array) -> Array:
    return ce.pair_gradient(xp, y_true, y_pred, from_logits=True, epsilon=0.0)


@multilabel_soft_margin.hessian
def _(xp: Any, y_true: Array, y_pred: Array) -> Array:
    return ce.pair_hessian(xp, y_true, y_pred, from_logits=True, epsilon=0.0)


@over_axis(axis=single_axis, classes=True, domain=lambda _: {"y_true": LABEL_SETS})
def multilabel_margin(xp: Any, y_true: Array, y_pred: Array, *, axis: int = -1) -> Array:
    """Hinge loss of every right class against every wrong one.

    .. math:: \\frac1K \\sum_{j \\in Y} \\sum_{i \\notin Y} \\max(0,\\; 1 - z_j + z_i)

    All pairs of classes are compared: samples x classes x classes numbers.

    Args:
        y_true: the right classes Y, integers, the shape of `y_pred`; entries behind the first -1 do not count.
        y_pred: scores z over the K classes.
        axis: the axis of the classes.

    Returns:
        One value per sample; 0 without right classes, or without wrong ones. A class that is named twice counts twice,
        as in torch. A number of K or above, where it is not refused, makes the value nan. The gradient is 0 at the
        kinks.

    Raises:
        TypeError: class numbers that are no integers.
        ValueError: a number that is neither a class nor -1, by the first call, where values can be read.

    Source: `torch.nn.MultiLabelMarginLoss`.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("multilabel_margin", backend="numpy")
        >>> f"{loss([[3, 0, -1, 1]], [[0.1, 0.2, 0.4, 0.8]]):.6f}"
        '0.850000'
    """
    axis %= len(y_pred.shape)
    times, invalid = _named(xp, y_true, y_pred, axis)
    value = xp.sum(_pairs(xp, times, axis) * xp.clamp_min(_gaps(xp, y_pred, axis), 0.0), axis=(axis, axis + 1))
    return xp.where(invalid, math.nan, value / xp.length(y_pred, axis))


def _named(xp: Any, y_true: Array, y_pred: Array, axis: int) -> tuple[Array, Array]:
    """How often each class is named before the first -1, and whether a number is named that is no class."""
    # Labels have the dtype of the scores, which is exact for them (up to 2^24 in float32).
    over = xp.cumulative_sum(xp.astype(y_true < 0, y_pred.dtype), axis=axis) > 0
    classes = xp.astype(xp.class_range(xp.expand_dims(y_pred, axis=axis), axis + 1), y_pred.dtype)
    labels = xp.expand_dims(y_true, axis=axis + 1)  # entries on `axis`, classes on the next
    hit = (classes == labels) & ~xp.expand_dims(over, axis=axis + 1)
    invalid = ((y_true >= xp.length(y_pred, axis)) | xp.isnan(y_true)) & ~over
    return xp.sum(xp.astype(hit, y_pred.dtype), axis=axis), xp.any(invalid, axis=axis)


def _pairs(xp: Any, times: Array, axis: int) -> Array:
    """How often right class j (on `axis`) stands against wrong class i (on the next)."""
    wrong = 1 - xp.sign(times)
    return xp.expand_dims(times, axis=axis + 1) * xp.expand_dims(wrong, axis=axis)


def _gaps(xp: Any, z: Array, axis: int) -> Array:
    """1 - (z_j - z_i), likewise."""
    return 1 - (xp.expand_dims(z, axis=axis + 1) - xp.expand_dims(z, axis=axis))


@multilabel_margin.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: int) -> Array:
    axis %= len(y_pred.shape)
    times, invalid = _named(xp, y_true, y_pred, axis)
    each = _pairs(xp, times, axis) * step(xp, _gaps(xp, y_pred, axis)) / xp.length(y_pred, axis)
    gradient = xp.sum(each, axis=axis) - xp.sum(each, axis=axis + 1)
    return xp.where(xp.expand_dims(invalid, axis=axis), 0, gradient)


@multilabel_margin.hessian
def _(xp: Any, y_true: Array, y_pred: Array) -> Array:
    return xp.zeros_like(y_pred)

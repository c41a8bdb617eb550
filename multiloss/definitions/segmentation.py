"""Losses of regions: masks or one-hot classes against probabilities, as ratios of sums over space.

Each sample has a ratio of its own, or each class of a sample if the class axis is not among those that are summed: the
mean is then one over images and classes.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

from multiloss.engine.checks import MEMBERSHIP
from multiloss.engine.definition import over_axis, shared
from multiloss.engine.options import NonNegative, Positive

Array = Any
Space = Annotated[
    Any,
    "the spatial axes, which are summed: (1, 2) for N, H, W and N, H, W, C; (2, 3) for N, C, H, W; None makes the "
    "whole batch one region. The default, -1, takes flattened images (N, P) or (N, C, P): of N, H, W it makes each "
    "row a region of its own.",
]
FalsePositives = Annotated[NonNegative, "the weight of false positives, 0 or above."]
FalseNegatives = Annotated[NonNegative, "the weight of false negatives, 0 or above."]


def _domain(_: Any) -> dict[str, Any]:
    return {"y_true": MEMBERSHIP, "y_pred": MEMBERSHIP}


def _sum(xp: Any, x: Array, axis: Any) -> Array:
    """The sum over the region, whose axes stay with length 1."""
    return xp.sum(x, axis=axis, keepdims=True)


def _one_each(xp: Any, x: Array, axis: Any) -> Array:
    """One number for each region: x without the axes that `_sum` kept."""
    return xp.sum(x, axis=axis)


def _mismatch(xp: Any, t: Array, p: Array) -> Array:
    """t (1 - p) + (1 - t) p = t + p - 2 t p."""
    return xp.mix(p, 1 - p, t)


@over_axis(domain=_domain, symmetric=True)
def dice(
    xp: Any, y_true: Array, y_pred: Array, *, axis: Space = -1, smooth: NonNegative = 0.0, squared: bool = False
) -> Array:
    """Dice loss: one minus the soft Dice coefficient of two regions.

    .. math:: 1 - \\frac{2 \\sum_i t_i p_i + s}{\\sum_i t_i + \\sum_i p_i + s}

    Args:
        y_true: probabilities t (or a mask of 0 and 1), any shape.
        y_pred: probabilities p, the shape of `y_true`.
        smooth: s, 0 or above, added to both terms of the fraction.
        squared: square t and p in the denominator, as the paper does.

    Returns:
        One value in [0, 1] per sample (and class); 0 with gradient 0 where both regions are empty.

    Source: Milletari et al. 2016 (`squared=True`). `keras.losses.Dice` sums over the batch too unless it is given
    `axis`, and is 1 for two empty regions; `optax.losses.dice_loss` adds its `smooth` of 1 to half of both terms
    (`smooth=2` here) and averages over the classes.

    Example:
        >>> import multiloss
        >>> dice = multiloss.get("dice", backend="numpy")
        >>> f"{dice([[1, 1, 0, 0]], [[1.0, 0.0, 0.0, 0.0]]):.6f}"
        '0.333333'
    """
    wrong, total = _dice_sums(xp, y_true, y_pred, axis=axis, smooth=smooth, squared=squared)
    return _one_each(xp, xp.ratio(wrong, total), axis)


@shared
def _dice_sums(
    xp: Any, y_true: Array, y_pred: Array, *, axis: Any, smooth: float, squared: bool
) -> tuple[Array, Array]:
    """Numerator and denominator of the loss: sums without a negative term, where 1 minus the fraction would cancel."""
    if squared:
        e = y_pred - y_true
        wrong, total = _sum(xp, e * e, axis), _sum(xp, y_true * y_true + y_pred * y_pred, axis)
    else:
        wrong, total = _sum(xp, _mismatch(xp, y_true, y_pred), axis), _sum(xp, y_true, axis) + _sum(xp, y_pred, axis)
    return wrong, total + smooth


@dice.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: Any, smooth: float, squared: bool) -> Array:
    wrong, total = _dice_sums(xp, y_true, y_pred, axis=axis, smooth=smooth, squared=squared)
    value = xp.ratio(wrong, total)
    if squared:
        return xp.ratio(2 * ((y_pred - y_true) - y_pred * value), total)
    # (1 - 2 t - value) / total, of ratios of sums alone, which cost nothing.
    return xp.ratio(1 - value, total) - xp.ratio(2 + 0 * total, total) * y_true


@dice.hessian
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: Any, smooth: float, squared: bool) -> Array:
    wrong, total = _dice_sums(xp, y_true, y_pred, axis=axis, smooth=smooth, squared=squared)
    value = xp.ratio(wrong, total)
    if squared:
        slope = xp.ratio(2 * ((y_pred - y_true) - y_pred * value), total)
        return xp.ratio(2 - 2 * value - 4 * y_pred * slope, total)
    return xp.ratio(-2 * xp.ratio((1 - 2 * y_true) - value, total), total)


@over_axis(domain=_domain)
def generalized_dice(xp: Any, y_true: Array, y_pred: Array, *, axis: Any = -1, class_axis: int | None = None) -> Array:
    """Generalized Dice loss: one ratio over all classes, in which small regions weigh as much as large ones.

    .. math:: 1 - 2 \\frac{\\sum_c w_c \\sum_i t_{ci} p_{ci}}{\\sum_c w_c \\sum_i (t_{ci} + p_{ci})}

    .. math:: w_c = \\frac{1}{(\\sum_i t_{ci})^2}

    Args:
        y_true: one-hot or soft targets t, any shape.
        y_pred: probabilities p, the shape of `y_true`.
        axis: all axes of one ratio, the spatial ones and that of the classes: (1, 2, 3) for N, H, W, C and for
            N, C, H, W. -1 takes the classes alone: a ratio for each pixel.
        class_axis: which of them holds the classes; None: the last of them (N, H, W, C). 1 for N, C, H, W.

    Returns:
        One value in [0, 1] per sample. A class that the target lacks takes the largest weight of those that it has;
        0 with gradient 0 where target and prediction are empty.

    Raises:
        ValueError: `class_axis` is not among `axis`.

    Source: Sudre et al. 2017; absent classes as in NiftyNet. The weights are constants of the prediction.
    `optax.losses.multiclass_generalized_dice_loss` averages a Dice loss of each class instead.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("generalized_dice", backend="numpy", axis=(1, 2))
        >>> t, p = [[[1, 0], [0, 1], [0, 1]]], [[[0.5, 0.5], [0, 1], [0, 1.0]]]
        >>> f"{loss(t, p):.6f}"
        '0.238095'
    """
    _, wrong, total = _weighted_sums(xp, y_true, y_pred, axis=axis, class_axis=class_axis)
    return _one_each(xp, xp.ratio(wrong, total), axis)


@shared
def _weighted_sums(
    xp: Any, y_true: Array, y_pred: Array, *, axis: Any, class_axis: int | None
) -> tuple[Array, Array, Array]:
    """The weights of the classes, and numerator and denominator of the loss."""
    rank = len(y_pred.shape)
    axes = [i % rank for i in (range(rank) if axis is None else axis if isinstance(axis, tuple) else (axis,))]
    if not axes or (class_axis is not None and class_axis % rank not in axes):
        raise ValueError(f"axis must name all axes of the ratio, class_axis {class_axis} among them, got {axis}")
    classes = max(axes) if class_axis is None else class_axis % rank
    weight = _class_weights(xp, xp.sum(y_true, axis=tuple(i for i in axes if i != classes), keepdims=True), classes)
    wrong = xp.sum(weight * _mismatch(xp, y_true, y_pred), axis=axis, keepdims=True)
    return weight, wrong, xp.sum(weight * (y_true + y_pred), axis=axis, keepdims=True)


def _class_weights(xp: Any, size: Array, classes: int) -> Array:
    """(smallest size / size)^2: 1 / size^2 without overflow, as a common factor leaves the ratio; 1 if absent."""
    absent = size == 0
    present = xp.where(absent, math.inf, size)
    least = xp.sum if 0 in tuple(size.shape) else xp.min  # an empty array has no minimum
    ratio = xp.where(absent, 1, least(present, axis=classes, keepdims=True) / present)
    return ratio * ratio


@generalized_dice.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: Any, class_axis: int | None) -> Array:
    weight, wrong, total = _weighted_sums(xp, y_true, y_pred, axis=axis, class_axis=class_axis)
    return xp.ratio(weight * ((1 - 2 * y_true) - xp.ratio(wrong, total)), total)


@generalized_dice.hessian
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: Any, class_axis: int | None) -> Array:
    weight, wrong, total = _weighted_sums(xp, y_true, y_pred, axis=axis, class_axis=class_axis)
    slope = xp.ratio(weight * ((1 - 2 * y_true) - xp.ratio(wrong, total)), total)
    return xp.ratio(-2 * weight * slope, total)


@over_axis(domain=_domain)
def tversky(
    xp: Any, y_true: Array, y_pred: Array, *, axis: Space = -1, alpha: FalsePositives = 0.5, beta: FalseNegatives = 0.5
) -> Array:
    """Tversky loss: Dice with a weight for false positives and one for false negatives.

    .. math:: 1 - \\frac{I}{I + \\alpha \\sum_i p_i (1 - t_i) + \\beta \\sum_i t_i (1 - p_i)}

    .. math:: I = \\sum_i t_i p_i

    Args:
        y_true: probabilities t (or a mask of 0 and 1), any shape.
        y_pred: probabilities p, the shape of `y_true`.

    Returns:
        One value in [0, 1] per sample (and class); 0 with gradient 0 where the fraction is 0 / 0, as of two empty
        regions. `dice` where both weights are 0.5, `jaccard` where they are 1.

    Source: Salehi et al. 2017. `keras.losses.Tversky` has alpha and beta the other way round up to Keras 3.15,
    against its own documentation, and sums over the batch too unless it is given `axis`; `optax.losses.dice_loss` has
    them as here.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("tversky", backend="numpy", alpha=1.0, beta=0.0)
        >>> float(loss([[1, 0]], [[1.0, 1.0]])), float(loss([[1, 1]], [[1.0, 0.0]]))
        (0.5, 0.0)
    """
    wrong, total = _tversky_sums(xp, y_true, y_pred, axis=axis, alpha=alpha, beta=beta)
    return _one_each(xp, xp.ratio(wrong, total), axis)


@shared
def _tversky_sums(
    xp: Any, y_true: Array, y_pred: Array, *, axis: Any, alpha: float, beta: float
) -> tuple[Array, Array]:
    """Numerator and denominator of the loss, without a negative term."""
    wrong = alpha * _sum(xp, y_pred * (1 - y_true), axis) + beta * _sum(xp, y_true * (1 - y_pred), axis)
    return wrong, wrong + _sum(xp, y_true * y_pred, axis)


@tversky.gradient
def _tversky_slope(xp: Any, y_true: Array, y_pred: Array, *, axis: Any, alpha: float, beta: float) -> Array:
    wrong, total = _tversky_sums(xp, y_true, y_pred, axis=axis, alpha=alpha, beta=beta)
    right = 1 - xp.ratio(wrong, total)
    # (alpha right - ((alpha + beta - 1) right + 1) t) / total, of ratios of sums alone, which cost nothing.
    return xp.ratio(alpha * right, total) - xp.ratio((alpha + beta - 1) * right + 1, total) * y_true


@tversky.hessian
def _tversky_curve(xp: Any, y_true: Array, y_pred: Array, *, axis: Any, alpha: float, beta: float) -> Array:
    _, total = _tversky_sums(xp, y_true, y_pred, axis=axis, alpha=alpha, beta=beta)
    slope = _tversky_slope(xp, y_true, y_pred, axis=axis, alpha=alpha, beta=beta)
    total_slope = y_true + alpha * (1 - y_true) - beta * y_true
    return xp.ratio(-2 * total_slope * slope, total)


@over_axis(domain=_domain)
def focal_tversky(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    axis: Space = -1,
    alpha: FalsePositives = 0.3,
    beta: FalseNegatives = 0.7,
    gamma: Positive = 0.75,
) -> Array:
    """Focal Tversky loss: a power of the Tversky loss.

    .. math:: \\left(1 - \\frac{I}{I + \\alpha \\sum_i p_i (1 - t_i) + \\beta \\sum_i t_i (1 - p_i)}\\right)^\\gamma

    .. math:: I = \\sum_i t_i p_i

    Args:
        y_true: probabilities t (or a mask of 0 and 1), any shape.
        y_pred: probabilities p, the shape of `y_true`.
        gamma: the power, positive; below 1 it raises the gradient of regions that fit well already. 1 is `tversky`.

    Returns:
        One value in [0, 1] per sample (and class); 0 where the fraction is 0 / 0, as of two empty regions. The gradient
        of an exact fit is 0 unless `gamma` is 1.

    Source: Abraham & Khan 2018, who write the power 1 / gamma (with gamma = 4 / 3) and alpha for the weight of false
    negatives.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("focal_tversky", backend="numpy", alpha=1.0, beta=1.0, gamma=0.5)
        >>> float(loss([[1, 1, 1, 1]], [[1.0, 1.0, 1.0, 0.0]]))
        0.5
    """
    tversky_loss = xp.ratio(*_tversky_sums(xp, y_true, y_pred, axis=axis, alpha=alpha, beta=beta))
    return _one_each(xp, _power(xp, tversky_loss, gamma), axis)


def _power(xp: Any, x: Array, p: float) -> Array:
    return x if p == 1 else xp.power_or_zero(x, p)


@focal_tversky.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: Any, alpha: float, beta: float, gamma: float) -> Array:
    slope = _tversky_slope(xp, y_true, y_pred, axis=axis, alpha=alpha, beta=beta)
    if gamma == 1:
        return slope
    tversky_loss = xp.ratio(*_tversky_sums(xp, y_true, y_pred, axis=axis, alpha=alpha, beta=beta))
    return gamma * _power(xp, tversky_loss, gamma - 1) * slope


@focal_tversky.hessian
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: Any, alpha: float, beta: float, gamma: float) -> Array:
    curve = _tversky_curve(xp, y_true, y_pred, axis=axis, alpha=alpha, beta=beta)
    if gamma == 1:
        return curve
    slope = _tversky_slope(xp, y_true, y_pred, axis=axis, alpha=alpha, beta=beta)
    tversky_loss = xp.ratio(*_tversky_sums(xp, y_true, y_pred, axis=axis, alpha=alpha, beta=beta))
    first, second = (_power(xp, tversky_loss, gamma - n) for n in (1, 2))
    return gamma * ((gamma - 1) * second * slope * slope + first * curve)


@over_axis(domain=_domain, symmetric=True)
def jaccard(xp: Any, y_true: Array, y_pred: Array, *, axis: Space = -1) -> Array:
    """Jaccard loss: one minus the soft intersection over union of two regions.

    .. math:: 1 - \\frac{\\sum_i t_i p_i}{\\sum_i (t_i + p_i - t_i p_i)}

    Args:
        y_true: probabilities t (or a mask of 0 and 1), any shape.
        y_pred: probabilities p, the shape of `y_true`.

    Returns:
        One value in [0, 1] per sample (and class); 0 with gradient 0 where both regions are empty. With Dice loss D it
        is 2 D / (1 + D).

    Source: Jaccard 1901; soft: Rahman & Wang 2016. Keras, torch and Optax have it as a metric at most.

    Example:
        >>> import multiloss
        >>> float(multiloss.get("jaccard", backend="numpy")([[1, 1, 0, 0]], [[1.0, 0.0, 0.0, 0.0]]))
        0.5
    """
    wrong, total = _tversky_sums(xp, y_true, y_pred, axis=axis, alpha=1.0, beta=1.0)
    return _one_each(xp, xp.ratio(wrong, total), axis)


@jaccard.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: Any) -> Array:
    return _tversky_slope(xp, y_true, y_pred, axis=axis, alpha=1.0, beta=1.0)


@jaccard.hessian
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: Any) -> Array:
    return _tversky_curve(xp, y_true, y_pred, axis=axis, alpha=1.0, beta=1.0)

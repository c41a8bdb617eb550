"""Losses of relative errors: percentages of the target, and errors of logarithms."""

from __future__ import annotations

from typing import Any

from multiloss.definitions.regression import mean_over, root_gradient
from multiloss.engine.checks import ABOVE_MINUS_ONE
from multiloss.engine.definition import elementwise, over_axis, shared
from multiloss.engine.logarithms import log1p_difference
from multiloss.engine.options import NonNegative

Array = Any


@elementwise(aliases=("mape",))
def mean_absolute_percentage_error(xp: Any, y_true: Array, y_pred: Array, *, epsilon: NonNegative = 1e-7) -> Array:
    """Mean absolute percentage error, in percent.

    .. math:: 100 \\cdot |p - t| / \\max(|t|, \\epsilon)

    Args:
        y_true: targets t, any shape; where |t| is below `epsilon` the value is huge, not infinite.
        y_pred: predictions p, the shape of `y_true`.
        epsilon: floor of |t|, in its unit; 0 is the bare formula.

    Returns:
        One value per element, in percent; averaged over `axis`. The gradient at p = t is 0.

    Source: `keras.losses.MeanAbsolutePercentageError` (percent; other libraries give the fraction).

    Example:
        >>> import multiloss
        >>> float(multiloss.get("mape", backend="numpy")([100.0], [110.0]))
        10.0
    """
    return 100 * xp.abs(_relative_error(xp, y_true, y_pred, epsilon=epsilon))


@mean_absolute_percentage_error.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, epsilon: float = 1e-7) -> Array:
    # In this order XLA computes it in one pass with the value, twice as fast.
    return 100 * (xp.sign(_relative_error(xp, y_true, y_pred, epsilon=epsilon)) / _floored_size(xp, y_true, epsilon))


@mean_absolute_percentage_error.hessian
def _(xp: Any, y_true: Array, y_pred: Array) -> Array:
    return xp.zeros_like(y_pred)


@shared
def _relative_error(xp: Any, y_true: Array, y_pred: Array, *, epsilon: float) -> Array:
    return (y_pred - y_true) / _floored_size(xp, y_true, epsilon)


def _floored_size(xp: Any, t: Array, epsilon: float) -> Array:
    return xp.clamp_min(xp.abs(t), epsilon)


@elementwise(aliases=("smape",), symmetric=True)
def symmetric_mean_absolute_percentage_error(xp: Any, y_true: Array, y_pred: Array) -> Array:
    """Symmetric mean absolute percentage error, in percent: the error over the mean of both sizes.

    .. math:: 200 \\cdot \\frac{|p - t|}{|p| + |t|}, \\quad 0 \\text{ where both are } 0

    Args:
        y_true: targets t, any shape.
        y_pred: predictions p, the shape of `y_true`.

    Returns:
        One value per element, from 0 to 200 percent; averaged over `axis`. The gradient is 0 where p = t, and wherever
        the signs differ, for the value is 200 there.

    Source: Makridakis & Hibon 2000, as the M3 and M4 competitions measure. Others give the fraction, or halve it.

    Example:
        >>> import multiloss
        >>> float(multiloss.get("smape", backend="numpy")([100.0, 0.0], [300.0, 0.0]))
        50.0
    """
    t, p, total = _halves(xp, y_true, y_pred)
    return 200 * (xp.abs(p - t) / total)


@shared
def _halves(xp: Any, y_true: Array, y_pred: Array) -> tuple[Array, Array, Array]:
    """t / 2, p / 2 and the sum of their sizes, infinite where that is 0. Halves, so that the sum does not overflow."""
    t, p = 0.5 * y_true, 0.5 * y_pred
    total = xp.abs(t) + xp.abs(p)
    return t, p, xp.where(total == 0, float("inf"), total)


@symmetric_mean_absolute_percentage_error.gradient
def _(xp: Any, y_true: Array, y_pred: Array) -> Array:
    t, p, total = _halves(xp, y_true, y_pred)
    # The quotient rule gives a difference that cancels; |t| + t sign(p), which is 2|t| or 0, is its exact value.
    return 100 * xp.sign(p - t) * ((xp.abs(t) + t * xp.sign(p)) / total) / total


@symmetric_mean_absolute_percentage_error.hessian
def _(xp: Any, y_true: Array, y_pred: Array) -> Array:
    t, p, total = _halves(xp, y_true, y_pred)
    return -100 * xp.sign(p - t) * ((xp.abs(t) * xp.sign(p) + t) / total) / total / total


@elementwise(aliases=("msle",), symmetric=True, domain=lambda _: {"y_true": ABOVE_MINUS_ONE, "y_pred": ABOVE_MINUS_ONE})
def mean_squared_logarithmic_error(xp: Any, y_true: Array, y_pred: Array) -> Array:
    """Mean squared logarithmic error.

    .. math:: (\\log(1 + p) - \\log(1 + t))^2

    Args:
        y_true: targets t above -1, any shape.
        y_pred: predictions p above -1, the shape of `y_true`.

    Returns:
        One value per element, without unit; averaged over `axis`. The first call refuses -1 and below.

    Source: the mean squared error of log(1 + x). `keras.losses.MeanSquaredLogarithmicError` clips both at 1e-7 first,
    so that it has no gradient for negative predictions; nothing is clipped here.

    Example:
        >>> import multiloss
        >>> value = multiloss.get("msle", backend="numpy")([1, 2, 3, 100], [1, 2, 3, 110.0])
        >>> f"{value:.7f}"
        '0.0022283'
    """
    log_ratio = log1p_difference(xp, y_pred, y_true)
    return log_ratio * log_ratio


@mean_squared_logarithmic_error.gradient
def _(xp: Any, y_true: Array, y_pred: Array) -> Array:
    return 2 * log1p_difference(xp, y_pred, y_true) / (1 + y_pred)


@mean_squared_logarithmic_error.hessian
def _(xp: Any, y_true: Array, y_pred: Array) -> Array:
    return 2 * (1 - log1p_difference(xp, y_pred, y_true)) / ((1 + y_pred) * (1 + y_pred))


@over_axis(
    aliases=("rmsle",),
    symmetric=True,
    is_root=True,
    domain=lambda _: {"y_true": ABOVE_MINUS_ONE, "y_pred": ABOVE_MINUS_ONE},
)
def root_mean_squared_logarithmic_error(xp: Any, y_true: Array, y_pred: Array, *, axis: Any = -1) -> Array:
    """Root mean squared logarithmic error: the root of each sample's mean squared logarithmic error.

    .. math:: \\sqrt{\\tfrac{1}{n} \\sum_i (\\log(1 + p_i) - \\log(1 + t_i))^2}

    Args:
        y_true: targets t above -1, any shape.
        y_pred: predictions p above -1, the shape of `y_true`.
        axis: the mean inside the root goes over it; over an axis of length 1 this is an absolute value, and warns.

    Returns:
        One value per sample, without unit. The gradient of an exact fit is 0.

    Source: the measure of several forecasting competitions. Keras has neither loss nor metric of this name.

    Example:
        >>> import multiloss
        >>> value = multiloss.get("rmsle", backend="numpy")([1, 2, 3, 100], [1, 2, 3, 110.0])
        >>> f"{value:.7f}"
        '0.0472048'
    """
    log_ratio = log1p_difference(xp, y_pred, y_true)
    return xp.root(mean_over(xp, log_ratio * log_ratio, axis))


@root_mean_squared_logarithmic_error.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: Any = -1) -> Array:
    return root_gradient(xp, log1p_difference(xp, y_pred, y_true), axis) / (1 + y_pred)

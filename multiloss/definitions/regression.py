"""Losses of real numbers: y_true and y_pred have equal shapes, one value per element (roots: per sample)."""

from __future__ import annotations

import math
from typing import Any

from multiloss.engine.definition import elementwise, over_axis, shared
from multiloss.engine.options import NonNegative, Positive, UnitInterval

Array = Any


def error(xp: Any, y_true: Array, y_pred: Array) -> Array:
    """p - t, for losses that are functions of it alone."""
    return y_pred - y_true


@elementwise(aliases=("mse",), symmetric=True, residual=error)
def mean_squared_error(xp: Any, y_true: Array, y_pred: Array) -> Array:
    """Mean squared error.

    .. math:: (p - t)^2

    Args:
        y_true: targets t, any shape.
        y_pred: predictions p, the shape of `y_true`.

    Returns:
        One value per element, in the squared unit of the inputs; averaged over `axis`.

    Source: Gauss 1809 (least squares). `keras.losses.MeanSquaredError`, `torch.nn.MSELoss`,
    `optax.losses.squared_error` (`optax.losses.l2_loss` is half of it).

    Example:
        >>> import multiloss
        >>> float(multiloss.get("mse", backend="numpy")([1, 2, 3, 100], [1, 2, 3, 110.0]))
        25.0
    """
    e = y_pred - y_true
    return e * e


@mean_squared_error.gradient
def _(xp: Any, y_true: Array, y_pred: Array) -> Array:
    return 2 * (y_pred - y_true)


@mean_squared_error.hessian
def _(xp: Any, y_true: Array, y_pred: Array) -> Array:
    return xp.full_like(y_pred, 2)


@elementwise(symmetric=True, residual=error)
def half_squared_error(xp: Any, y_true: Array, y_pred: Array) -> Array:
    """Half the squared error, whose gradient is the error.

    .. math:: \\tfrac12 (p - t)^2

    Args:
        y_true: targets t, any shape.
        y_pred: predictions p, the shape of `y_true`.

    Returns:
        One value per element, in the squared unit of the inputs; averaged over `axis`.

    Source: Bishop 2006. `optax.losses.l2_loss`.

    Example:
        >>> import multiloss
        >>> float(multiloss.get("half_squared_error", backend="numpy")([1.0, 3.0], [1.0, 1.0]))
        1.0
    """
    e = y_pred - y_true
    return 0.5 * e * e


@half_squared_error.gradient
def _(xp: Any, y_true: Array, y_pred: Array) -> Array:
    return y_pred - y_true


@half_squared_error.hessian
def _(xp: Any, y_true: Array, y_pred: Array) -> Array:
    return xp.ones_like(y_pred)


@elementwise(aliases=("mae",), symmetric=True)
def mean_absolute_error(xp: Any, y_true: Array, y_pred: Array) -> Array:
    """Mean absolute error.

    .. math:: |p - t|

    Args:
        y_true: targets t, any shape.
        y_pred: predictions p, the shape of `y_true`.

    Returns:
        One value per element, in the unit of the inputs; averaged over `axis`. The gradient at p = t is 0.

    Source: Laplace 1774. `keras.losses.MeanAbsoluteError`, `torch.nn.L1Loss`.

    Example:
        >>> import multiloss
        >>> float(multiloss.get("mae", backend="numpy")([1, 2, 3, 100], [1, 2, 3, 110.0]))
        2.5
    """
    return xp.abs(y_pred - y_true)


@mean_absolute_error.gradient
def _(xp: Any, y_true: Array, y_pred: Array) -> Array:
    return xp.sign(y_pred - y_true)


@mean_absolute_error.hessian
def _(xp: Any, y_true: Array, y_pred: Array) -> Array:
    return xp.zeros_like(y_pred)


@over_axis(aliases=("rmse",), symmetric=True, is_root=True)
def root_mean_squared_error(xp: Any, y_true: Array, y_pred: Array, *, axis: Any = -1) -> Array:
    """Root mean squared error: the root of each sample's mean squared error.

    .. math:: \\sqrt{\\tfrac{1}{n} \\sum_i (p_i - t_i)^2}

    Args:
        y_true: targets t, any shape.
        y_pred: predictions p, the shape of `y_true`.
        axis: the mean inside the root goes over it; over an axis of length 1 this is the absolute error, and warns.

    Returns:
        One value per sample, in the unit of the inputs. The gradient of an exact fit is 0.

    Source: Gauss 1809, the root of his mean. Keras has it as a metric only.

    Example:
        >>> import multiloss
        >>> float(multiloss.get("rmse", backend="numpy")([1, 2, 3, 100], [1, 2, 3, 110.0]))
        5.0
    """
    e = y_pred - y_true
    return xp.root(mean_over(xp, e * e, axis))


@root_mean_squared_error.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: Any = -1) -> Array:
    return root_gradient(xp, y_pred - y_true, axis)


def mean_over(xp: Any, x: Array, axis: Any, **keep: Any) -> Array:
    """The mean over `axis`; 0 where there is nothing."""
    return xp.sum(x, axis=axis, **keep) / xp.length(x, axis)


def root_gradient(xp: Any, e: Array, axis: Any) -> Array:
    """The derivative by e of the root of the mean of e^2; 0 where that root is 0."""
    size = xp.root(mean_over(xp, e * e, axis, keepdims=True))
    return e / xp.where(size == 0, math.inf, size * xp.length(e, axis))


@elementwise(aliases=("logcosh", "log_cosh_loss"), symmetric=True, residual=error)
def log_cosh(xp: Any, y_true: Array, y_pred: Array) -> Array:
    """Log-cosh: half the squared error near zero, the absolute error minus log 2 far out.

    .. math:: \\log \\cosh(p - t)

    Args:
        y_true: targets t, any shape.
        y_pred: predictions p, the shape of `y_true`.

    Returns:
        One value per element; averaged over `axis`. The gradient is tanh(p - t).

    Source: Green 1990 (a potential for images). `keras.losses.LogCosh`, `optax.losses.log_cosh`; both lose every digit
    for small errors.

    Example:
        >>> import multiloss
        >>> value = multiloss.get("log_cosh", backend="numpy")([0.0], [1000.0])
        >>> f"{value:.5f}"
        '999.30685'
    """
    return xp.log_cosh(y_pred - y_true)


@log_cosh.gradient
def _(xp: Any, y_true: Array, y_pred: Array) -> Array:
    return xp.tanh(y_pred - y_true)


@log_cosh.hessian
def _(xp: Any, y_true: Array, y_pred: Array) -> Array:
    return xp.sech_squared(y_pred - y_true)


@elementwise(aliases=("huber_loss",), symmetric=True, residual=error)
def huber(xp: Any, y_true: Array, y_pred: Array, *, delta: Positive = 1.0) -> Array:
    """Huber loss: quadratic near zero, linear beyond `delta`.

    .. math:: \\tfrac12 e^2 \\text{ if } e = |p - t| \\le \\delta, \\text{ else } \\delta (e - \\tfrac12 \\delta)

    Args:
        y_true: targets t, any shape.
        y_pred: predictions p, the shape of `y_true`.
        delta: the error at which the parabola becomes a line, in the unit of the inputs; positive.

    Returns:
        One value per element; averaged over `axis`.

    Source: Huber 1964. `keras.losses.Huber`, `torch.nn.HuberLoss`, `optax.losses.huber_loss`.

    Example:
        >>> import multiloss
        >>> float(multiloss.get("huber", backend="numpy", delta=2.0)([0.0], [5.0]))
        8.0
    """
    e = y_pred - y_true  # squared with its sign: the second derivative of |e| would be 0 at e = 0
    return xp.where(xp.abs(e) <= delta, 0.5 * e * e, delta * (xp.abs(e) - 0.5 * delta))


@huber.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, delta: float = 1.0) -> Array:
    e = y_pred - y_true
    return xp.where(xp.abs(e) <= delta, e, delta * xp.sign(e))


@huber.hessian
def _(xp: Any, y_true: Array, y_pred: Array, *, delta: float = 1.0) -> Array:
    return xp.where(xp.abs(y_pred - y_true) <= delta, xp.ones_like(y_pred), xp.zeros_like(y_pred))


@elementwise(aliases=("smooth_l1_loss",), symmetric=True, residual=error)
def smooth_l1(xp: Any, y_true: Array, y_pred: Array, *, beta: NonNegative = 1.0) -> Array:
    """Smooth L1 loss: quadratic near zero, the absolute error minus a constant beyond `beta`; Huber's over `beta`.

    .. math:: \\tfrac12 e^2 / \\beta \\text{ if } e = |p - t| < \\beta, \\text{ else } e - \\tfrac12 \\beta

    Args:
        y_true: targets t, any shape.
        y_pred: predictions p, the shape of `y_true`.
        beta: the error at which the parabola becomes a line, in the unit of the inputs; 0 is the absolute error.

    Returns:
        One value per element, in the unit of the inputs; averaged over `axis`. The gradient is at most 1 in size.

    Source: Girshick 2015, eq. 3 (beta 1). `torch.nn.SmoothL1Loss`.

    Example:
        >>> import multiloss
        >>> float(multiloss.get("smooth_l1", backend="numpy", beta=2.0)([0.0], [5.0]))
        4.0
    """
    e = y_pred - y_true
    if beta == 0:
        return xp.abs(e)
    near = xp.clip(e, -beta, beta)
    return (near / beta) * (e - 0.5 * near)  # in this order no square overflows


@smooth_l1.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, beta: float) -> Array:
    e = y_pred - y_true
    return xp.sign(e) if beta == 0 else xp.clip(e / beta, -1.0, 1.0)


@smooth_l1.hessian
def _(xp: Any, y_true: Array, y_pred: Array, *, beta: float) -> Array:
    if beta == 0:
        return xp.zeros_like(y_pred)
    near = xp.abs(y_pred - y_true) < beta
    return xp.where(near, xp.full_like(y_pred, 1 / beta), xp.zeros_like(y_pred))


@elementwise(aliases=("pinball",))
def quantile(xp: Any, y_true: Array, y_pred: Array, *, q: UnitInterval = 0.5) -> Array:
    """Quantile (pinball) loss, whose best constant prediction is the q-quantile of the targets.

    .. math:: \\max(q (t - p),\\; (q - 1)(t - p))

    Args:
        y_true: targets t, any shape.
        y_pred: predicted quantiles p, the shape of `y_true`.
        q: the quantile's level, in [0, 1]. Predictions below the target cost q, those above it 1 - q per unit.

    Returns:
        One value per element, in the unit of the inputs; averaged over `axis`. The gradient at p = t is 0.

    Source: Koenker & Bassett 1978. `sklearn.metrics.mean_pinball_loss`; Keras, torch and Optax have none.

    Example:
        >>> import multiloss
        >>> float(multiloss.get("quantile", backend="numpy", q=0.75)([1.0, 3.0], [3.0, 1.0]))
        1.0
    """
    e = y_pred - y_true
    return _slope(xp, e, q) * xp.abs(e)


def _slope(xp: Any, e: Array, q: float) -> Array:
    """1 - q above the target, q below it."""
    return xp.where(e > 0, xp.full_like(e, 1 - q), xp.full_like(e, q))


@quantile.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, q: float) -> Array:
    e = y_pred - y_true
    return _slope(xp, e, q) * xp.sign(e)


@quantile.hessian
def _(xp: Any, y_true: Array, y_pred: Array) -> Array:
    return xp.zeros_like(y_pred)


@elementwise(symmetric=True, residual=error)
def charbonnier(xp: Any, y_true: Array, y_pred: Array, *, epsilon: Positive = 1e-3) -> Array:
    """Charbonnier loss: the absolute error, rounded off at zero.

    .. math:: \\sqrt{(p - t)^2 + \\epsilon^2}

    Args:
        y_true: targets t, any shape.
        y_pred: predictions p, the shape of `y_true`.
        epsilon: the value of an exact fit, and the size of the errors that are rounded off; positive.

    Returns:
        One value per element, in the unit of the inputs; averaged over `axis`. An exact fit has `epsilon`, not 0.

    Source: the form of Lai et al. 2017 and of image restoration since. Charbonnier et al. 1994 have
    2 sqrt(1 + e^2) - 2. Keras, torch and Optax have none.

    Example:
        >>> import multiloss
        >>> float(multiloss.get("charbonnier", backend="numpy", epsilon=3.0)([0.0], [4.0]))
        5.0
    """
    scale, _, _, size = _hypot(xp, y_true, y_pred, epsilon=epsilon)
    return scale * size


@shared
def _hypot(xp: Any, y_true: Array, y_pred: Array, *, epsilon: float) -> tuple[Array, Array, Array, Array]:
    """A scale; error, epsilon and value over it."""
    return xp.scaled_hypot(y_pred - y_true, epsilon)


@charbonnier.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, epsilon: float) -> Array:
    _, e, _, size = _hypot(xp, y_true, y_pred, epsilon=epsilon)
    return e / size


@charbonnier.hessian
def _(xp: Any, y_true: Array, y_pred: Array, *, epsilon: float) -> Array:
    scale, _, floor, size = _hypot(xp, y_true, y_pred, epsilon=epsilon)
    return floor / size * (floor / size) / (size * scale)  # epsilon^2 / value^3

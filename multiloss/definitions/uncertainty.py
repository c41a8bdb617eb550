"""Losses of forecasts that say how sure they are: a mean with its variance, and an ensemble."""

from __future__ import annotations

import math
from typing import Any

from multiloss.engine.checks import POSITIVE
from multiloss.engine.definition import of_inputs, shared
from multiloss.engine.options import NonNegative

Array = Any


@of_inputs(
    {"y_true": "...", "y_pred": "...", "var": "..."},
    domain=lambda _: {"var": POSITIVE},
    spread=("var",),
)
def gaussian_nll(
    xp: Any, y_true: Array, y_pred: Array, var: Array, *, full: bool = False, epsilon: NonNegative = 1e-6
) -> Array:
    """Negative log likelihood of a normal distribution, of predicted mean and variance.

    .. math:: \\tfrac12 \\Big(\\log v + \\frac{(t - p)^2}{v}\\Big), \\quad v = \\max(\\sigma^2, \\epsilon)

    Args:
        y_true: t, (...).
        y_pred: p, the mean, (...), in the unit of t.
        var: the variance (not its root, nor its logarithm), in that unit's square; positive. Of the shape of p, or one
            for each row of it, or with length 1 on some axes (a variance for each output, (1, D)), or one number.
        full: add log(2 pi) / 2, which makes it the likelihood itself.
        epsilon: the floor of the variance.

    Returns:
        One value per element, (...). Below the floor the gradient is the one at the floor, so that a variance that is
        too small can still grow.

    Raises:
        ValueError: a variance that is not positive, at the first call.

    Source: Nix & Weigend 1994. torch: `gaussian_nll_loss`, whose `eps` this epsilon is. Keras and Optax have none.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("gaussian_nll", backend="numpy", reduction="none")
        >>> loss([0.0, 1.0], [2.0, 1.0], [1.0, 1.0]).tolist()
        [2.0, 0.0]
    """
    v, e, weighed = _errors(xp, y_true, y_pred, var, epsilon=epsilon)
    value = 0.5 * (xp.log(v) + e * weighed)
    return value + 0.5 * math.log(2 * math.pi) if full else value


@shared
def _errors(xp: Any, y_true: Array, y_pred: Array, var: Array, *, epsilon: float) -> tuple[Array, Array, Array]:
    """v, t - p, and that over v. The derivative of v by the variance is 1 below the floor, too."""
    v, e = xp.clamp_min_through(var, epsilon), y_true - y_pred
    return v, e, e / v


@gaussian_nll.gradient
def _(xp: Any, y_true: Array, y_pred: Array, var: Array, *, epsilon: float) -> Array:
    return -_errors(xp, y_true, y_pred, var, epsilon=epsilon)[2]


@gaussian_nll.gradient("y_true")
def _(xp: Any, y_true: Array, y_pred: Array, var: Array, *, epsilon: float) -> Array:
    return _errors(xp, y_true, y_pred, var, epsilon=epsilon)[2]


@gaussian_nll.gradient("var")
def _(xp: Any, y_true: Array, y_pred: Array, var: Array, *, epsilon: float) -> Array:
    v, e, weighed = _errors(xp, y_true, y_pred, var, epsilon=epsilon)
    return 0.5 * (1 - e * weighed) / v


@of_inputs({"y_true": "...", "y_pred": "... M"})
def crps(xp: Any, y_true: Array, y_pred: Array, *, fair: bool = False) -> Array:
    """Continuous ranked probability score of an ensemble: how far its members are off, less how far apart they are.

    .. math:: \\frac1M \\sum_i |p_i - t| - \\frac{1}{2 M^2} \\sum_{i, j} |p_i - p_j|

    Args:
        y_true: t, (...).
        y_pred: p, the M members, (..., M), in any order, in the unit of t.
        fair: divide the second sum by 2 M (M - 1), which does not reward a small ensemble for a small spread. One
            member alone has no spread then either.

    Returns:
        One value per sample, (...), in the unit of t. With one member it is the absolute error. Costs M log M. At ties
        the gradient of an absolute value is 0.

    Source: Gneiting & Raftery 2007, eq. 21; `fair`: Ferro 2014. torch, Keras and Optax have none.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("crps", backend="numpy", reduction="none")
        >>> loss([0.0, 0.0], [[-1.0, 1.0], [2.0, 2.0]]).tolist()
        [0.5, 2.0]
    """
    d = y_pred - xp.expand_dims(y_true, axis=-1)
    side, surplus, pairs = _places(xp, y_true, y_pred, fair=fair)
    return xp.sum(side * d, axis=-1) / xp.length(d, -1) - xp.sum(surplus * d, axis=-1) / pairs


@shared
def _places(xp: Any, y_true: Array, y_pred: Array, *, fair: bool) -> tuple[Array, Array, Any]:
    """sign(p_i - t); how many members are below p_i, less how many are above; what the sum over pairs is divided by."""
    d = xp.stop_gradient(y_pred - xp.expand_dims(y_true, axis=-1))
    # Equal members that stand before i count in both ranks, so they cancel.
    surplus = xp.astype(xp.ranks(d) - xp.ranks(-d), d.dtype)
    m = xp.length(d, -1)
    return xp.sign(d), surplus, m * (xp.length(d[..., 1:], -1) if fair else m)


@crps.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, fair: bool) -> Array:
    d = y_pred - xp.expand_dims(y_true, axis=-1)
    _, surplus, pairs = _places(xp, y_true, y_pred, fair=fair)
    return xp.sign(d) / xp.length(d, -1) - surplus / pairs


@crps.gradient("y_true")
def _(xp: Any, y_true: Array, y_pred: Array) -> Array:
    d = xp.expand_dims(y_true, axis=-1) - y_pred
    return xp.sum(xp.sign(d), axis=-1) / xp.length(d, -1)

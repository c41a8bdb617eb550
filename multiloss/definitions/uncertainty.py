"""Losses of forecasts that say how sure they are: a mean with its variance, and an ensemble."""

from __future__ import annotations

import math
from typing import Any

from multiloss.checks import POSITIVE
from multiloss.definition import of_inputs
from multiloss.options import flag, non_negative

Array = Any


@of_inputs(
    {"y_true": "...", "y_pred": "...", "var": "..."},
    readers={"full": flag, "epsilon": non_negative},
    domain=lambda _: {"var": POSITIVE},
)
def gaussian_nll(
    xp: Any, y_true: Array, y_pred: Array, var: Array, *, full: bool = False, epsilon: float = 1e-6
) -> Array:
    """Negative log likelihood of a normal distribution, of predicted mean and variance.

    .. math:: \\tfrac12 \\Big(\\log v + \\frac{(t - p)^2}{v}\\Big), \\quad v = \\max(\\sigma^2, \\epsilon)

    Args:
        y_true: t, (...).
        y_pred: p, the mean, (...), in the unit of t.
        var: the variance (not its root, nor its logarithm), (...), in that unit's square; positive.
        full: add log(2 pi) / 2, which makes it the likelihood itself.
        epsilon: the floor of the variance.

    Returns:
        One value per element, (...). The gradient passes through the floor: below it, it is the one at the floor, so
        that a variance too small can still grow.

    Raises:
        ValueError: a variance that is not positive, at the first call.

    Source: Nix & Weigend 1994. torch: `gaussian_nll_loss`, whose `eps` this epsilon is. Keras and Optax have none.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("gaussian_nll", backend="numpy", reduction="none")
        >>> loss([0.0, 1.0], [2.0, 1.0], [1.0, 1.0]).tolist()
        [2.0, 0.0]
    """
    # Below the floor var enters as a 0 with derivative 1.
    v = xp.where(var < epsilon, epsilon + (var - xp.stop_gradient(var)), var)
    e = y_true - y_pred
    value = 0.5 * (xp.log(v) + e * (e / v))
    return value + 0.5 * math.log(2 * math.pi) if full else value


@of_inputs({"y_true": "...", "y_pred": "... M"}, readers={"fair": flag})
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
    side = xp.sign(xp.stop_gradient(d))  # JAX has 1 for the derivative of abs at 0
    # The sum over j of sign(p_i - p_j) is how many are below less how many are above. Stable orders from both ends
    # count equal ones before i both ways, which leaves 0 for them.
    below, above = _ranks(xp, xp.stop_gradient(d)), _ranks(xp, -xp.stop_gradient(d))
    surplus = xp.astype(below - above, d.dtype)
    m = xp.length(d, -1)
    others = xp.length(d[..., 1:], -1) if fair else m
    return xp.sum(side * d, axis=-1) / m - xp.sum(surplus * d, axis=-1) / (m * others)


def _ranks(xp: Any, x: Array) -> Array:
    """Which place each entry has in order, over the last axis; equal ones in the order they stand in."""
    return xp.argsort(xp.argsort(x, axis=-1), axis=-1)

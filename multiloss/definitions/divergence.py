"""Losses of two distributions over one axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multiloss.checks import PROBABILITY
from multiloss.definition import over_axis
from multiloss.options import below_half

Array = Any


def floored_log(xp: Any, p: Array, epsilon: float, weight: Array | None = None) -> Array:
    """log(max(p, epsilon)), with gradient 0 below the floor and 1/p from the floor on, at a tie too.

    `weight` is what it is to be multiplied with: without a floor, 0 log 0 = 0.
    """
    return xp.log(xp.at_least(p, epsilon) if epsilon > 0 else _weighed(xp, p, weight))


def floored_reciprocal(xp: Any, p: Array, epsilon: float, weight: Array | None = None) -> Array:
    """The derivative of `floored_log`: 1/p, and 0 below the floor."""
    return 1 / (xp.infinite_below(p, epsilon) if epsilon > 0 else _weighed(xp, p, weight))


def _weighed(xp: Any, p: Array, weight: Array | None) -> Array:
    return p if weight is None else xp.off_pole(weight, p)


def normalized(xp: Any, p: Array, axis: Any) -> Array:
    """p divided by its sum over `axis`."""
    return p / xp.sum(p, axis=axis, keepdims=True)


def normalized_gradient(xp: Any, p: Array, gradient: Array, axis: Any) -> Array:
    """The derivative with respect to p, from `gradient`, that with respect to p / sum(p)."""
    total = xp.sum(p, axis=axis, keepdims=True)
    return (gradient - xp.sum(xp.times(p, gradient), axis=axis, keepdims=True) / total) / total


def _probabilities(options: Mapping[str, Any]) -> Mapping[str, Any]:
    return {} if options["normalize"] else {"y_true": PROBABILITY, "y_pred": PROBABILITY}


@over_axis(aliases=("kl", "kld", "kullback_leibler_divergence"), readers={"epsilon": below_half}, domain=_probabilities)
def kl_divergence(
    xp: Any, y_true: Array, y_pred: Array, *, axis: Any = -1, epsilon: float = 1e-7, normalize: bool = False
) -> Array:
    """Kullback-Leibler divergence of the prediction from the target, in nats.

    .. math:: \\sum_k t_k \\log(t_k / p_k), \\quad 0 \\log 0 = 0

    Args:
        y_true: probabilities t, summing to 1 over `axis`.
        y_pred: probabilities p, the shape of `y_true`.
        axis: the axis (or axes) of the outcomes.
        epsilon: floor of each logarithm's argument; below it the gradient is 0. 0 is the bare formula, in which
            0 log 0 is a constant: its infinite derivative by t is left out.
        normalize: divide both by their sum over `axis` first.

    Returns:
        One value per sample, in nats; never negative for distributions, but for rounding and `epsilon`.

    Source: Kullback & Leibler 1951, eq. 2.4. `keras.losses.KLDivergence`; `torch.nn.KLDivLoss(reduction="batchmean")`
    and `optax.losses.kl_divergence` of log p.

    Example:
        >>> import multiloss
        >>> kl = multiloss.get("kl_divergence", backend="numpy")
        >>> f"{kl([0.5, 0.5, 0, 0], [0.25, 0.25, 0.25, 0.25]):.6f}"
        '0.693147'
    """
    if normalize:
        y_true, y_pred = normalized(xp, y_true, axis), normalized(xp, y_pred, axis)
    # A difference of logarithms, not the logarithm of a ratio: t / p overflows for small p.
    log_ratio = floored_log(xp, y_true, epsilon, y_true) - floored_log(xp, y_pred, epsilon, y_true)
    return xp.sum(y_true * log_ratio, axis=axis)


@kl_divergence.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: Any, epsilon: float, normalize: bool) -> Array:
    if not normalize:
        return -y_true * floored_reciprocal(xp, y_pred, epsilon, y_true)
    t, p = normalized(xp, y_true, axis), normalized(xp, y_pred, axis)
    return normalized_gradient(xp, y_pred, -t * floored_reciprocal(xp, p, epsilon, t), axis)


@kl_divergence.hessian
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: Any, epsilon: float, normalize: bool) -> Array:
    if normalize:
        raise NotImplementedError("no closed-form second derivative with normalize=True")
    reciprocal = floored_reciprocal(xp, y_pred, epsilon, y_true)
    # In this order: the square alone may be infinite where the target is 0.
    return y_true * reciprocal * reciprocal

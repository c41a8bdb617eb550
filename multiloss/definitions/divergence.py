"""Losses of two distributions over one axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multiloss.checks import PROBABILITY
from multiloss.definition import over_axis
from multiloss.options import below_half

Array = Any


def floored_log(xp: Any, p: Array, epsilon: float) -> Array:
    """log(max(p, epsilon)), with gradient 0 below the floor and 1/p from the floor on, at a tie too."""
    if epsilon == 0:
        return xp.log(p)
    low = p < epsilon
    return xp.log(xp.where(low, xp.full_like(p, epsilon), p))


def floored_reciprocal(xp: Any, p: Array, epsilon: float) -> Array:
    """The derivative of `floored_log`: 1/p, and 0 below the floor."""
    if epsilon == 0:
        return 1 / p
    low = p < epsilon
    return xp.where(low, xp.zeros_like(p), 1 / xp.where(low, xp.ones_like(p), p))


def times(xp: Any, weight: Array, x: Array) -> Array:
    """weight * x, where a weight of 0 gives 0 even against an infinite x: 0 log 0 = 0. A nan stays one."""
    return weight * xp.where((weight == 0) & xp.isinf(x), xp.zeros_like(x), x)


def normalized(xp: Any, p: Array, axis: Any) -> Array:
    """p divided by its sum over `axis`."""
    return p / xp.sum(p, axis=axis, keepdims=True)


def normalized_gradient(xp: Any, p: Array, gradient: Array, axis: Any) -> Array:
    """The derivative with respect to p, from `gradient`, that with respect to p / sum(p)."""
    total = xp.sum(p, axis=axis, keepdims=True)
    return (gradient - xp.sum(times(xp, p, gradient), axis=axis, keepdims=True) / total) / total


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
        epsilon: floor of each logarithm's argument; below it the gradient is 0. 0 is the bare formula.
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
    log_ratio = floored_log(xp, y_true, epsilon) - floored_log(xp, y_pred, epsilon)
    return xp.sum(times(xp, y_true, log_ratio), axis=axis)


@kl_divergence.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: Any, epsilon: float, normalize: bool) -> Array:
    if not normalize:
        return -times(xp, y_true, floored_reciprocal(xp, y_pred, epsilon))
    t, p = normalized(xp, y_true, axis), normalized(xp, y_pred, axis)
    return normalized_gradient(xp, y_pred, -times(xp, t, floored_reciprocal(xp, p, epsilon)), axis)


@kl_divergence.hessian
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: Any, epsilon: float, normalize: bool) -> Array:
    if normalize:
        raise NotImplementedError("no closed-form second derivative with normalize=True")
    reciprocal = floored_reciprocal(xp, y_pred, epsilon)
    return times(xp, y_true, reciprocal * reciprocal)

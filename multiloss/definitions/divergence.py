"""Losses of two distributions over one axis."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Annotated, Any

from multiloss.engine.checks import LOG_PROBABILITY, NON_NEGATIVE, PROBABILITY
from multiloss.engine.definition import over_axis, shared
from multiloss.engine.logarithms import floored_log, log_divisor
from multiloss.engine.options import BelowHalf, Increasing, single_axis

Array = Any
LogInput = Annotated[bool, "whether `y_pred` holds logarithms, as in Optax."]
LogTarget = Annotated[bool, "whether `y_true` holds logarithms."]


def normalized(xp: Any, p: Array, axis: Any) -> Array:
    """p divided by its sum over `axis`."""
    return p / xp.sum(p, axis=axis, keepdims=True)


def normalized_gradient(xp: Any, p: Array, gradient: Array, axis: Any) -> Array:
    """The derivative with respect to p, from `gradient`, that with respect to p / sum(p)."""
    total = xp.sum(p, axis=axis, keepdims=True)
    return (gradient - xp.sum(xp.zero_times(p, gradient), axis=axis, keepdims=True) / total) / total


def _probabilities(options: Mapping[str, Any]) -> Mapping[str, Any]:
    if options.get("normalize"):
        return {}
    return {
        "y_true": LOG_PROBABILITY if options.get("log_target") else PROBABILITY,
        "y_pred": LOG_PROBABILITY if options.get("log_input") else PROBABILITY,
    }


@over_axis(aliases=("kl", "kld", "kullback_leibler_divergence"), domain=_probabilities)
def kl_divergence(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    axis: Any = -1,
    epsilon: BelowHalf = 1e-7,
    normalize: bool = False,
    log_input: LogInput = False,
    log_target: LogTarget = False,
) -> Array:
    """Kullback-Leibler divergence of the prediction from the target, in nats.

    .. math:: \\sum_k t_k \\log(t_k / p_k), \\quad 0 \\log 0 = 0

    Args:
        y_true: probabilities t, summing to 1 over `axis`, or their logarithms.
        y_pred: probabilities p, or their logarithms; the shape of `y_true`.
        axis: the axis (or axes) of the outcomes.
        epsilon: floor of each logarithm's argument; below it the gradient is 0. 0 is the bare formula, in which
            0 log 0 is a constant, without its infinite derivative by t. Logarithms that are given have no floor.
        normalize: divide both by their sum over `axis` first. With `log_input` the prediction may then be logits.

    Returns:
        One value per sample, in nats; never negative for distributions, but for rounding and `epsilon`.

    Source: Kullback & Leibler 1951. `keras.losses.KLDivergence`; `torch.nn.KLDivLoss(reduction="batchmean")`
    and `optax.losses.kl_divergence` with `log_input`.

    Example:
        >>> import multiloss
        >>> kl = multiloss.get("kl_divergence", backend="numpy")
        >>> f"{kl([0.5, 0.5, 0, 0], [0.25, 0.25, 0.25, 0.25]):.6f}"
        '0.693147'
    """
    if log_input or log_target:
        t, log_t, log_p = _logarithms(xp, y_true, y_pred, axis, epsilon, normalize, log_input, log_target)
        return xp.sum(t * (log_t - log_p), axis=axis)
    if normalize:
        y_true, y_pred = normalized(xp, y_true, axis), normalized(xp, y_pred, axis)
    # A difference of logarithms, not the logarithm of a ratio, which loses the digits of p near t = 1 and overflows.
    log_ratio = floored_log(xp, y_true, epsilon, y_true) - floored_log(xp, y_pred, epsilon, y_true)
    return xp.sum(y_true * log_ratio, axis=axis)


def _logarithms(
    xp: Any, y_true: Array, y_pred: Array, axis: Any, epsilon: float, normalize: bool, log_input: bool, log_target: bool
) -> tuple[Array, Array, Array]:
    """t, log t and log p, where y_true or y_pred holds logarithms; the logarithms are finite where t is 0."""
    t = _target(xp, y_true, axis, normalize, log_target)
    if log_target:
        log_t = _weighed_log(xp, t, _log_normalized(xp, y_true, axis, normalize))
    else:
        log_t = floored_log(xp, t, epsilon, t)
    if log_input:
        return t, log_t, _weighed_log(xp, t, _log_normalized(xp, y_pred, axis, normalize))
    return t, log_t, floored_log(xp, normalized(xp, y_pred, axis) if normalize else y_pred, epsilon, t)


def _target(xp: Any, y_true: Array, axis: Any, normalize: bool, log_target: bool) -> Array:
    if log_target:
        return xp.exp(_log_normalized(xp, y_true, axis, normalize))
    return normalized(xp, y_true, axis) if normalize else y_true


def _log_normalized(xp: Any, x: Array, axis: Any, normalize: bool) -> Array:
    return x - xp.logsumexp(x, axis=axis, keepdims=True) if normalize else x


def _weighed_log(xp: Any, weight: Array, log: Array) -> Array:
    """A logarithm that was given, and 0 where it is -inf and its weight 0: 0 log 0 = 0."""
    return xp.where((weight == 0) & (log == -math.inf), 0, log)


@kl_divergence.gradient
def _(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    axis: Any,
    epsilon: float,
    normalize: bool,
    log_input: bool,
    log_target: bool,
) -> Array:
    t = _target(xp, y_true, axis, normalize, log_target)
    if log_input and normalize:
        return xp.exp(_log_normalized(xp, y_pred, axis, True)) - t
    if log_input:
        return -t
    if not normalize:
        return -t / log_divisor(xp, y_pred, epsilon, t)
    p = normalized(xp, y_pred, axis)
    return normalized_gradient(xp, y_pred, -t / log_divisor(xp, p, epsilon, t), axis)


@kl_divergence.hessian
def _(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    axis: Any,
    epsilon: float,
    normalize: bool,
    log_input: bool,
    log_target: bool,
) -> Array:
    if log_input and normalize:
        p = xp.exp(_log_normalized(xp, y_pred, axis, True))
        return p * (1 - p)
    if log_input:
        return xp.zeros_like(y_pred)
    if normalize:
        raise NotImplementedError("no closed-form second derivative with normalize=True")
    t = _target(xp, y_true, axis, False, log_target)
    p = log_divisor(xp, y_pred, epsilon, t)
    return t / p / p  # in this order: the square may be 0 where the target is


def _measures(options: Mapping[str, Any]) -> Mapping[str, Any]:
    logarithms = {"y_true": options["log_target"], "y_pred": options["log_input"]}
    return {name: NON_NEGATIVE for name, logarithm in logarithms.items() if not logarithm}


@over_axis(domain=_measures)
def generalized_kl_divergence(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    axis: Any = -1,
    epsilon: BelowHalf = 1e-7,
    log_input: LogInput = False,
    log_target: LogTarget = False,
) -> Array:
    """Kullback-Leibler divergence of amounts that need not sum to 1 (I-divergence), in nats.

    .. math:: \\sum_k t_k \\log(t_k / p_k) - t_k + p_k, \\quad 0 \\log 0 = 0

    Args:
        y_true: amounts t, 0 or above, or their logarithms.
        y_pred: amounts p, 0 or above, or their logarithms; the shape of `y_true`.
        axis: the axis (or axes) that is summed over.
        epsilon: floor of each logarithm's argument, below which its derivative is 0; 0 is the bare formula, with
            0 log 0 a constant. Logarithms that are given have no floor.

    Returns:
        One value per sample, in the unit of the amounts; never negative, but for rounding and `epsilon`. Of
        distributions it is `kl_divergence`.

    Source: Csiszar 1975; Lee & Seung 2001. `optax.losses.generalized_kl_divergence` with `log_input`.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("generalized_kl_divergence", backend="numpy")
        >>> f"{loss([2.0, 0.0], [1.0, 3.0]):.6f}"
        '3.386294'
    """
    if log_input or log_target:
        t, log_t, log_p = _logarithms(xp, y_true, y_pred, axis, epsilon, False, log_input, log_target)
    else:
        t = y_true
        log_t, log_p = floored_log(xp, y_true, epsilon, t), floored_log(xp, y_pred, epsilon, t)
    p = xp.exp(y_pred) if log_input else y_pred
    return xp.sum(t * (log_t - log_p) + (p - t), axis=axis)


@generalized_kl_divergence.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, epsilon: float, log_input: bool, log_target: bool) -> Array:
    t = xp.exp(y_true) if log_target else y_true
    return xp.exp(y_pred) - t if log_input else 1 - t / log_divisor(xp, y_pred, epsilon, t)


@generalized_kl_divergence.hessian
def _(xp: Any, y_true: Array, y_pred: Array, *, epsilon: float, log_input: bool, log_target: bool) -> Array:
    if log_input:
        return xp.exp(y_pred)
    t = xp.exp(y_true) if log_target else y_true
    p = log_divisor(xp, y_pred, epsilon, t)
    return t / p / p


@over_axis(
    aliases=("jsd", "jensen_shannon_divergence"),
    domain=_probabilities,
    symmetric=True,
)
def js_divergence(xp: Any, y_true: Array, y_pred: Array, *, axis: Any = -1, epsilon: BelowHalf = 1e-7) -> Array:
    """Jensen-Shannon divergence of two distributions, in nats: how far both are from their mean.

    .. math:: \\tfrac12 \\sum_k t_k \\log\\frac{t_k}{m_k} + p_k \\log\\frac{p_k}{m_k}, \\quad m = \\tfrac12 (t + p)

    Args:
        y_true: probabilities t, summing to 1 over `axis`.
        y_pred: probabilities p, the shape of `y_true`.
        axis: the axis (or axes) of the outcomes.
        epsilon: floor of each logarithm's argument, below which its derivative is 0. 0 is the bare formula, with
            0 log 0 = 0: finite, but its gradient is infinite where p is 0 and t is not.

    Returns:
        One value per sample, in nats, from 0 to log 2, but for rounding and `epsilon`.

    Source: Lin 1991. (`scipy.spatial.distance.jensenshannon` is its square root.) Keras, torch and Optax have
    none.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("js_divergence", backend="numpy")
        >>> f"{loss([1.0, 0.0], [0.0, 1.0]):.6f}"
        '0.693147'
    """
    m = 0.5 * (y_true + y_pred)
    log_t, log_p = (floored_log(xp, x, epsilon, x) for x in (y_true, y_pred))
    log_m = floored_log(xp, m, epsilon, m)
    return 0.5 * xp.sum(y_true * (log_t - log_m) + y_pred * (log_p - log_m), axis=axis)


@js_divergence.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, epsilon: float) -> Array:
    m = 0.5 * (y_true + y_pred)
    log_ratio = floored_log(xp, y_pred, epsilon, m) - floored_log(xp, m, epsilon, m)
    if epsilon == 0:
        return 0.5 * log_ratio
    # p times the derivative of log p, and m times that of log m: 1 above the floor, 0 below.
    return 0.5 * (log_ratio + y_pred / xp.inf_below(y_pred, epsilon) - m / xp.inf_below(m, epsilon))


@js_divergence.hessian
def _(xp: Any, y_true: Array, y_pred: Array, *, epsilon: float) -> Array:
    m = 0.5 * (y_true + y_pred)
    return 0.5 / log_divisor(xp, y_pred, epsilon, m) - 0.25 / log_divisor(xp, m, epsilon, m)


@over_axis(
    aliases=("emd_1d",),
    axis=single_axis,
    domain=_probabilities,
    symmetric=True,
)
def wasserstein_1d(
    xp: Any, y_true: Array, y_pred: Array, *, axis: int = -1, positions: Increasing | None = None
) -> Array:
    """Wasserstein-1 (earth mover's) distance of two distributions over the same ordered positions.

    .. math:: \\sum_{k < K} (x_{k+1} - x_k) \\left|\\sum_{j \\le k} t_j - p_j\\right|

    Args:
        y_true: probabilities t, summing to 1 over `axis`.
        y_pred: probabilities p, the shape of `y_true`.
        axis: the axis of the K ordered outcomes.
        positions: x, where they lie, increasing; None: 0, 1, ..., K - 1.

    Returns:
        One value per sample, in the unit of the positions: how much probability moves, times how far. The gradient is
        that of sums of p: only its differences along `axis` matter for distributions. Where both cumulative
        distributions are equal its part is 0.

    Raises:
        ValueError: positions that are not as many as the outcomes, or not increasing.

    Source: Vallender 1974; `scipy.stats.wasserstein_distance` of weights. Keras, torch and Optax have none.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("wasserstein_1d", backend="numpy", positions=[0.0, 1.0, 5.0])
        >>> float(loss([1.0, 0.0, 0.0], [0.0, 0.5, 0.5]))
        3.0
    """
    spacing, ahead = _ahead(xp, y_true, y_pred, axis=axis, positions=positions)
    return xp.sum(spacing * xp.abs(ahead), axis=axis)


@shared
def _ahead(
    xp: Any, y_true: Array, y_pred: Array, *, axis: int, positions: tuple[float, ...] | None
) -> tuple[Array, Array]:
    """The distance from each position to the next, 0 from the last, and CDF_p - CDF_t."""
    if positions is None:
        # No boolean times a number: XLA makes `where` of it, and would hide a nan at the last position.
        after = xp.class_count(y_pred, axis) - 1 - xp.class_range(y_pred, axis)
        spacing = xp.astype(xp.minimum(after, 1), y_pred.dtype)
    else:
        if y_pred.shape[axis] not in (None, len(positions)):
            raise ValueError(
                f"positions must be one for each outcome on axis {axis} of y_pred, {y_pred.shape[axis]}, "
                f"got {len(positions)}"
            )
        gaps = [after - before for before, after in itertools.pairwise(positions)]
        spacing = xp.constants((*gaps, 0.0), y_pred, axis)
    return spacing, xp.cumulative_sum(y_pred - y_true, axis=axis)


@wasserstein_1d.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: int, positions: tuple[float, ...] | None) -> Array:
    spacing, ahead = _ahead(xp, y_true, y_pred, axis=axis, positions=positions)
    slope = spacing * xp.sign(ahead)
    # p_k is part of the sums from k on.
    before = xp.cumulative_sum(slope, axis=axis) - slope
    return xp.sum(slope, axis=axis, keepdims=True) - before


@wasserstein_1d.hessian
def _(xp: Any, y_true: Array, y_pred: Array) -> Array:
    return xp.zeros_like(y_pred)

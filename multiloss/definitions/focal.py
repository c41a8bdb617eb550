"""Focal losses: cross entropy with less weight on what is predicted well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multiloss.definitions import classification as ce
from multiloss.definitions.divergence import normalized, normalized_gradient
from multiloss.definitions.margin import step
from multiloss.engine.definition import elementwise, over_axis, over_labels, per_class
from multiloss.engine.numerics import log_divisor, tiny
from multiloss.engine.options import BelowHalf, NonNegative, OneOrEach, UnitInterval, Vector, single_axis

Array = Any

_FAR = 80.0
"""exp of it is finite in every dtype, and nothing beside its reciprocal."""


def _power(xp: Any, miss: Array, gamma: float) -> Array:
    """miss^gamma, 0 for 0, with finite derivatives there: 0."""
    if gamma == 0:
        return xp.ones_like(miss)
    return step(xp, miss) * xp.clamp_min(miss, tiny(miss)) ** gamma


def _lower(xp: Any, miss: Array, gamma: float) -> Array:
    """miss^(gamma - 1), finite: what it multiplies is 0 where miss is."""
    return xp.clamp_min(miss, tiny(miss)) ** (gamma - 1)


def _undershoot(options: Mapping[str, Any]) -> float | None:
    return ce.undershoot(options, options["alpha"])


@elementwise(domain=ce.domain, undershoot=_undershoot)
def binary_focal_crossentropy(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    gamma: NonNegative = 2.0,
    alpha: UnitInterval | None = None,
    from_logits: bool = False,
    label_smoothing: UnitInterval = 0.0,
    epsilon: BelowHalf = 1e-7,
) -> Array:
    """Focal loss of two outcomes, in nats.

    .. math:: \\alpha_t (1 - p_t)^\\gamma \\, (-t' \\log p - (1 - t') \\log(1 - p))

    .. math:: p_t = t' p + (1 - t') (1 - p), \\quad \\alpha_t = t' \\alpha + (1 - t') (1 - \\alpha)

    with t' = t (1 - s) + s / 2.

    Args:
        y_true: probabilities t of the outcome 1 (or labels 0 and 1), any shape.
        y_pred: probabilities p, or logits z with p = 1 / (1 + exp(-z)); the shape of `y_true`.
        gamma: how fast the weight falls, 0 or above; 0 is binary cross entropy.
        alpha: weight of the outcome 1, in [0, 1]; that of 0 is 1 - alpha. None weighs neither.
        from_logits: whether `y_pred` holds logits; then nothing is clipped.
        label_smoothing: s in [0, 1].
        epsilon: floor of p and of 1 - p in the logarithms, for probabilities; below it these have gradient 0.

    Returns:
        One value per element, in nats; averaged over `axis`. The gradient is finite for every gamma.

    Source: Lin et al. 2017, eq. 5. `optax.losses.sigmoid_focal_loss`; `keras.losses.BinaryFocalCrossentropy`, whose
    alpha counts with `apply_class_balancing=True` only.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("binary_focal_crossentropy", backend="numpy")
        >>> f"{loss([1.0, 0.0], [0.9, 0.2]):.6f}"
        '0.004990'
    """
    t = ce.smooth_pair(y_true, label_smoothing)
    cost = ce.binary_crossentropy.value(xp, t, y_pred, from_logits=from_logits, epsilon=epsilon)
    return _balanced(alpha, t, _power(xp, _miss(xp, t, y_pred, from_logits), gamma) * cost)


def _balanced(alpha: float | None, t: Array, x: Array) -> Array:
    return x if alpha is None else (t * alpha + (1 - t) * (1 - alpha)) * x


def _miss(xp: Any, t: Array, y_pred: Array, from_logits: bool) -> Array:
    """1 - p_t, with the digits of both tails."""
    if from_logits:
        return xp.mix(xp.expit(y_pred), xp.expit(-y_pred), t)
    return _size(xp, xp.mix(y_pred, 1 - y_pred, t))


def _size(xp: Any, miss: Array) -> Array:
    """|1 - p|: where rounding put p above 1 powers of it stay small, and what is no probability shows in the sign of
    the cost."""
    return xp.abs(miss)


def _slope(xp: Any, t: Array, z: Array) -> tuple[Array, Array]:
    """The first and second derivative of log(1 - p_t) by the logit, without a quotient of two vanishing numbers."""
    # p (1 - p) / (1 - p_t) is 1 / (t / p + (1 - t) / (1 - p)).
    near = xp.clip(z, -_FAR, _FAR)
    up, down = (1 - t) * xp.exp(near), t * xp.exp(-near)
    share = 1 / (1 + up + down)
    return (1 - 2 * t) * share, (1 - 2 * t) * share * (share * (down - up))


@binary_focal_crossentropy.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, gamma: float, alpha: Any, label_smoothing: float, **how: Any) -> Array:
    t = ce.smooth_pair(y_true, label_smoothing)
    miss = _miss(xp, t, y_pred, how["from_logits"])
    cost = ce.binary_crossentropy.value(xp, t, y_pred, **how)
    by_cost = ce.pair_gradient(xp, t, y_pred, **how)
    if how["from_logits"]:
        slope, _ = _slope(xp, t, y_pred)
        return _balanced(alpha, t, _power(xp, miss, gamma) * (gamma * slope * cost + by_cost))
    falling = gamma * _lower(xp, miss, gamma) * cost * (1 - 2 * t)
    return _balanced(alpha, t, falling + xp.zero_times(_power(xp, miss, gamma), by_cost))


@binary_focal_crossentropy.hessian
def _(xp: Any, y_true: Array, y_pred: Array, *, gamma: float, alpha: Any, label_smoothing: float, **how: Any) -> Array:
    t = ce.smooth_pair(y_true, label_smoothing)
    miss = _miss(xp, t, y_pred, how["from_logits"])
    cost = ce.binary_crossentropy.value(xp, t, y_pred, **how)
    by_cost, curve = (f(xp, t, y_pred, **how) for f in (ce.pair_gradient, ce.pair_hessian))
    power = _power(xp, miss, gamma)
    if how["from_logits"]:
        first, second = _slope(xp, t, y_pred)
        inner = gamma * (gamma * first * first + second) * cost + 2 * gamma * first * by_cost + curve
        return _balanced(alpha, t, power * inner)
    side, lower = 1 - 2 * t, _lower(xp, miss, gamma)
    twice = gamma * (gamma - 1) * lower * (cost / xp.clamp_min(miss, tiny(miss))) * side * side
    return _balanced(alpha, t, twice + 2 * gamma * lower * side * by_cost + power * curve)


def _alpha(xp: Any, alpha: Any, like: Array, axis: int) -> Any:
    """A factor for each class."""
    return 1.0 if alpha is None else per_class(xp, "alpha", alpha, like, axis)


@over_axis(axis=single_axis, classes=True, domain=ce.domain, undershoot=_undershoot)
def categorical_focal_crossentropy(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    axis: int = -1,
    gamma: NonNegative = 2.0,
    alpha: OneOrEach | None = None,
    from_logits: bool = False,
    label_smoothing: UnitInterval = 0.0,
    class_weight: Vector | None = None,
    epsilon: BelowHalf = 1e-7,
    normalize: bool = False,
) -> Array:
    """Focal loss of a target distribution and a prediction over the classes, in nats.

    .. math:: -\\sum_k t'_k\\, \\alpha_k (1 - p_k)^\\gamma \\log p_k, \\quad t' = t (1 - s) + s / K

    Args:
        y_true: one-hot or soft targets t, the shape of `y_pred`.
        y_pred: probabilities p over the K classes, or logits z with p = softmax(z).
        axis: the axis of the classes.
        gamma: how fast the weight falls, 0 or above; 0 is categorical cross entropy.
        alpha: one weight per class, or one number for all of them; None is 1.
        from_logits: whether `y_pred` holds logits; then nothing is clipped.
        label_smoothing: s in [0, 1].
        class_weight: one weight per class; multiplies the sample weight by sum_k t_k weight_k, so that
            `reduction="weighted_mean"` divides by it, which alpha never does.
        epsilon: floor of each logarithm's argument for probabilities; below it that has gradient 0.
        normalize: divide the probabilities by their sum over `axis` first, as Keras does.

    Returns:
        One value per sample, in nats. The gradient is finite for every gamma.

    Source: Lin et al. 2017, eq. 5, for more classes. `keras.losses.CategoricalFocalCrossentropy` (whose alpha is 0.25
    by default, for all classes).

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("categorical_focal_crossentropy", backend="numpy", from_logits=True)
        >>> f"{loss([[1, 0, 0]], [[3.1, 3.0, 3.0]]):.6f}"
        '0.428566'
    """
    t = ce.smooth(xp, y_true, axis, label_smoothing)
    log_p = ce.log_probabilities(xp, y_pred, axis, from_logits, epsilon, normalize, t)
    miss = _class_miss(xp, y_pred, log_p, axis, from_logits, normalize)
    weight = t * _alpha(xp, alpha, y_pred, axis) * _power(xp, miss, gamma)
    return -xp.sum(xp.zero_times(weight, log_p) if from_logits else weight * log_p, axis=axis)


def _class_miss(xp: Any, y_pred: Array, log_p: Array, axis: int, from_logits: bool, normalize: bool) -> Array:
    """1 - p of each class."""
    if from_logits:
        return -xp.expm1(log_p)
    return _size(xp, 1 - (normalized(xp, y_pred, axis) if normalize else y_pred))


@categorical_focal_crossentropy.gradient
def _(
    xp: Any, y_true: Array, y_pred: Array, *, axis: int, alpha: Any, label_smoothing: float, class_weight: Any,
    **how: Any,
) -> Array:  # fmt: skip
    t = ce.smooth(xp, y_true, axis, label_smoothing)
    return _class_gradient(xp, t, y_pred, axis, _alpha(xp, alpha, y_pred, axis), **how)


def _class_gradient(
    xp: Any, t: Array, y_pred: Array, axis: int, alpha: Any, gamma: float, from_logits: bool, epsilon: float,
    normalize: bool,
) -> Array:  # fmt: skip
    if from_logits:
        by_log, p, _ = _by_log(xp, t, y_pred, axis, alpha, gamma)
        return by_log - p * xp.sum(by_log, axis=axis, keepdims=True)
    p = normalized(xp, y_pred, axis) if normalize else y_pred
    log_p = ce.log_probabilities(xp, p, axis, False, epsilon, False, t)
    miss = _size(xp, 1 - p)
    falling = gamma * _lower(xp, miss, gamma) * log_p
    gradient = t * alpha * (falling - _power(xp, miss, gamma) / log_divisor(xp, p, epsilon, t))
    return normalized_gradient(xp, y_pred, gradient, axis) if normalize else gradient


def _by_log(xp: Any, t: Array, z: Array, axis: int, alpha: Any, gamma: float) -> tuple[Array, Array, Array]:
    """The derivative by each log p, p, and the second derivative by each log p."""
    log_p = xp.log_softmax(z, axis=axis)
    p, miss = xp.exp(log_p), -xp.expm1(log_p)
    surprise = xp.zero_times(p, log_p)  # 0 for p = 0
    lower = _lower(xp, miss, gamma)
    first = gamma * lower * surprise - _power(xp, miss, gamma)
    steep = (gamma - 1) * p * (surprise / xp.clamp_min(miss, tiny(miss)))
    second = gamma * lower * (2 * p + surprise - steep)
    return t * alpha * first, p, t * alpha * second


@categorical_focal_crossentropy.hessian
def _(
    xp: Any, y_true: Array, y_pred: Array, *, axis: int, alpha: Any, label_smoothing: float, class_weight: Any,
    **how: Any,
) -> Array:  # fmt: skip
    t = ce.smooth(xp, y_true, axis, label_smoothing)
    return _class_hessian(xp, t, y_pred, axis, _alpha(xp, alpha, y_pred, axis), **how)


def _class_hessian(
    xp: Any, t: Array, y_pred: Array, axis: int, alpha: Any, gamma: float, from_logits: bool, epsilon: float,
    normalize: bool,
) -> Array:  # fmt: skip
    if normalize and not from_logits:
        raise NotImplementedError("no closed-form second derivative with normalize=True")
    if from_logits:
        first, p, second = _by_log(xp, t, y_pred, axis, alpha, gamma)
        slope, curve = (xp.sum(x, axis=axis, keepdims=True) for x in (first, second))
        return second * (1 - p) * (1 - p) + p * p * (curve - second) - p * (1 - p) * slope
    miss, one = _size(xp, 1 - y_pred), 1 / log_divisor(xp, y_pred, epsilon, t)
    log_p = ce.log_probabilities(xp, y_pred, axis, False, epsilon, False, t)
    lower = _lower(xp, miss, gamma)
    curved = gamma * lower * (2 * one - (gamma - 1) * (log_p / xp.clamp_min(miss, tiny(miss))))
    return t * alpha * (curved + _power(xp, miss, gamma) * one * one)


@over_labels(domain=ce.label_domain, undershoot=_undershoot)
def sparse_categorical_focal_crossentropy(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    axis: int = -1,
    gamma: NonNegative = 2.0,
    alpha: OneOrEach | None = None,
    from_logits: bool = False,
    label_smoothing: UnitInterval = 0.0,
    class_weight: Vector | None = None,
    ignore_index: int | None = None,
    epsilon: BelowHalf = 1e-7,
    normalize: bool = False,
) -> Array:
    """Focal loss of integer labels and a prediction over the classes, in nats.

    .. math:: -\\alpha_y (1 - p_y)^\\gamma \\log p_y

    With label smoothing it is `categorical_focal_crossentropy` of the smoothed labels.

    Args:
        y_true: integer labels y in [0, K), the shape of `y_pred` without `axis`.
        y_pred: probabilities p over the K classes, or logits z with p = softmax(z).
        axis: the axis of the classes.
        gamma: how fast the weight falls, 0 or above; 0 is sparse categorical cross entropy.
        alpha: one weight per class, or one number for all of them; None is 1.
        from_logits: whether `y_pred` holds logits; then nothing is clipped.
        label_smoothing: s in [0, 1].
        class_weight: one weight per class; multiplies the sample weight by weight_y.
        ignore_index: samples with this label are masked, in the count too.
        epsilon: floor of each logarithm's argument for probabilities; below it that has gradient 0.
        normalize: divide the probabilities by their sum over `axis` first.

    Returns:
        One value per sample, in nats. The gradient is finite for every gamma.

    Raises:
        TypeError: labels that are no integers.
        ValueError: a label outside [0, K), where values can be read.

    Source: Lin et al. 2017, eq. 5, for more classes.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("sparse_categorical_focal_crossentropy", backend="numpy", from_logits=True)
        >>> f"{loss([0], [[3.1, 3.0, 3.0]]):.6f}"
        '0.428566'
    """
    t = ce.one_hot(xp, y_true, y_pred, axis, label_smoothing)
    how = {"from_logits": from_logits, "epsilon": epsilon, "normalize": normalize}
    return categorical_focal_crossentropy.value(xp, t, y_pred, axis=axis, gamma=gamma, alpha=alpha, **how)


@sparse_categorical_focal_crossentropy.gradient
def _(
    xp: Any, y_true: Array, y_pred: Array, *, axis: int, alpha: Any, label_smoothing: float, class_weight: Any,
    ignore_index: Any, **how: Any,
) -> Array:  # fmt: skip
    t = ce.one_hot(xp, y_true, y_pred, axis, label_smoothing)
    return _class_gradient(xp, t, y_pred, axis, _alpha(xp, alpha, y_pred, axis), **how)


@sparse_categorical_focal_crossentropy.hessian
def _(
    xp: Any, y_true: Array, y_pred: Array, *, axis: int, alpha: Any, label_smoothing: float, class_weight: Any,
    ignore_index: Any, **how: Any,
) -> Array:  # fmt: skip
    t = ce.one_hot(xp, y_true, y_pred, axis, label_smoothing)
    return _class_hessian(xp, t, y_pred, axis, _alpha(xp, alpha, y_pred, axis), **how)

"""Focal losses: cross entropy with less weight on what is predicted well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from multiloss.definitions import classification as ce
from multiloss.definitions.classification import (
    ClassWeight,
    Epsilon,
    FromLogits,
    IgnoreIndex,
    LabelSmoothing,
    Normalize,
)
from multiloss.definitions.divergence import normalized, normalized_gradient
from multiloss.definitions.margin import step
from multiloss.engine.definition import elementwise, over_axis, over_labels, per_class
from multiloss.engine.logarithms import log_divisor
from multiloss.engine.numerics import EXP_RANGE, tiny
from multiloss.engine.options import NonNegative, OneOrEach, UnitInterval, single_axis

Array = Any
Gamma = Annotated[NonNegative, "how fast the weight falls, 0 or above; 0 is cross entropy."]
Alpha = Annotated[
    OneOrEach | None,
    "one factor per class, or one number for all; None is 1. Weighted means divide by `class_weight`, not by alpha.",
]


def _undershoot(options: Mapping[str, Any]) -> float | None:
    return ce.undershoot(options, options["alpha"])


def _power(xp: Any, miss: Array, gamma: float) -> Array:
    """miss^gamma, and 0^0 = 1; its derivative at 0 is 0."""
    if not isinstance(gamma, (int, float)):  # traced, on JAX
        return xp.where(gamma == 0, 1, step(xp, miss) * xp.floored_power(miss, gamma))
    return xp.ones_like(miss) if gamma == 0 else step(xp, miss) * xp.floored_power(miss, gamma)


def _distance_to_1(xp: Any, p: Array) -> Array:
    """1 - p, and p - 1 for a p above 1: rounding may give one, and what is no probability shows in its logarithm."""
    return xp.abs(1 - p)


@elementwise(domain=ce.domain, undershoot=_undershoot)
def binary_focal_crossentropy(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    gamma: Gamma = 2.0,
    alpha: UnitInterval | None = None,
    from_logits: FromLogits = False,
    label_smoothing: LabelSmoothing = 0.0,
    epsilon: Epsilon = 1e-7,
) -> Array:
    """Focal loss of two outcomes, in nats.

    .. math:: \\alpha_t (1 - p_t)^\\gamma \\, (-t' \\log p - (1 - t') \\log(1 - p))

    .. math:: p_t = t' p + (1 - t') (1 - p), \\quad \\alpha_t = t' \\alpha + (1 - t') (1 - \\alpha)

    with t' = t (1 - s) + s / 2.

    Args:
        y_true: probabilities t of the outcome 1 (or labels 0 and 1), any shape.
        y_pred: probabilities p, or logits z with p = 1 / (1 + exp(-z)); the shape of `y_true`.
        alpha: weight of the outcome 1, in [0, 1]; that of 0 is 1 - alpha. None weighs neither.

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
    """alpha_t x."""
    return x if alpha is None else (t * alpha + (1 - t) * (1 - alpha)) * x


def _miss(xp: Any, t: Array, y_pred: Array, from_logits: bool) -> Array:
    """1 - p_t = t (1 - p) + (1 - t) p."""
    if from_logits:
        return xp.mix(xp.expit(y_pred), xp.expit(-y_pred), t)
    return xp.abs(xp.mix(y_pred, 1 - y_pred, t))  # as in `_distance_to_1`


def _log_miss_slopes(xp: Any, t: Array, z: Array) -> tuple[Array, Array]:
    """The first and second derivative of log(1 - p_t) by z."""
    # The first is (1 - 2t) p (1 - p) / (1 - p_t), of which numerator and denominator may vanish together. With
    # p = 1 / (1 + exp(-z)) the quotient is 1 / (1 + (1 - t) exp(z) + t exp(-z)).
    near = xp.clip(z, -EXP_RANGE, EXP_RANGE)
    up, down = (1 - t) * xp.exp(near), t * xp.exp(-near)
    share = 1 / (1 + up + down)
    return (1 - 2 * t) * share, (1 - 2 * t) * share * (share * (down - up))


@binary_focal_crossentropy.gradient
def _(
    xp: Any, y_true: Array, y_pred: Array, *, gamma: float, alpha: Any, from_logits: bool, label_smoothing: float,
    epsilon: float,
) -> Array:  # fmt: skip
    t = ce.smooth_pair(y_true, label_smoothing)
    miss = _miss(xp, t, y_pred, from_logits)
    cost = ce.binary_crossentropy.value(xp, t, y_pred, from_logits=from_logits, epsilon=epsilon)
    slope = ce.pair_gradient(xp, t, y_pred, from_logits=from_logits, epsilon=epsilon)
    if from_logits:
        log_miss, _ = _log_miss_slopes(xp, t, y_pred)
        return _balanced(alpha, t, _power(xp, miss, gamma) * (gamma * log_miss * cost + slope))
    falling = gamma * xp.floored_power(miss, gamma - 1) * cost * (1 - 2 * t)
    return _balanced(alpha, t, falling + xp.zero_times(_power(xp, miss, gamma), slope))


@binary_focal_crossentropy.hessian
def _(
    xp: Any, y_true: Array, y_pred: Array, *, gamma: float, alpha: Any, from_logits: bool, label_smoothing: float,
    epsilon: float,
) -> Array:  # fmt: skip
    t = ce.smooth_pair(y_true, label_smoothing)
    miss = _miss(xp, t, y_pred, from_logits)
    cost = ce.binary_crossentropy.value(xp, t, y_pred, from_logits=from_logits, epsilon=epsilon)
    slope = ce.pair_gradient(xp, t, y_pred, from_logits=from_logits, epsilon=epsilon)
    curve = ce.pair_hessian(xp, t, y_pred, from_logits=from_logits, epsilon=epsilon)
    power = _power(xp, miss, gamma)
    if from_logits:
        first, second = _log_miss_slopes(xp, t, y_pred)
        falling = gamma * (gamma * first * first + second) * cost
        return _balanced(alpha, t, power * (falling + 2 * gamma * first * slope + curve))
    side, lower = 1 - 2 * t, xp.floored_power(miss, gamma - 1)
    falling = gamma * (gamma - 1) * lower * (cost / xp.clamp_min(miss, tiny(miss))) * side * side
    return _balanced(alpha, t, falling + 2 * gamma * lower * side * slope + power * curve)


@over_axis(axis=single_axis, classes=True, domain=ce.domain, undershoot=_undershoot)
def categorical_focal_crossentropy(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    axis: int = -1,
    gamma: Gamma = 2.0,
    alpha: Alpha = None,
    from_logits: FromLogits = False,
    label_smoothing: LabelSmoothing = 0.0,
    class_weight: ClassWeight = None,
    epsilon: Epsilon = 1e-7,
    normalize: Normalize = False,
) -> Array:
    """Focal loss of a target distribution and a prediction over the classes, in nats.

    .. math:: -\\sum_k t'_k\\, \\alpha_k (1 - p_k)^\\gamma \\log p_k, \\quad t' = t (1 - s) + s / K

    Args:
        y_true: one-hot or soft targets t, the shape of `y_pred`.
        y_pred: probabilities p over the K classes, or logits z with p = softmax(z).
        axis: the axis of the classes.

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
    if from_logits:
        miss = -xp.expm1(log_p)
    else:
        miss = _distance_to_1(xp, normalized(xp, y_pred, axis) if normalize else y_pred)
    weight = t * _class_factor(xp, alpha, y_pred, axis) * _power(xp, miss, gamma)
    return -xp.sum(xp.zero_times(weight, log_p) if from_logits else weight * log_p, axis=axis)


def _class_factor(xp: Any, alpha: Any, like: Array, axis: int) -> Any:
    """alpha_k."""
    return 1.0 if alpha is None else per_class(xp, "alpha", alpha, like, axis)


@categorical_focal_crossentropy.gradient
def _class_gradient(
    xp: Any, y_true: Array, y_pred: Array, *, axis: int, gamma: float, alpha: Any, from_logits: bool,
    label_smoothing: float, epsilon: float, normalize: bool,
) -> Array:  # fmt: skip
    t, alpha = ce.smooth(xp, y_true, axis, label_smoothing), _class_factor(xp, alpha, y_pred, axis)
    if from_logits:
        by_log_p, _, p = _by_log_p(xp, t * alpha, y_pred, axis, gamma)
        return by_log_p - p * xp.sum(by_log_p, axis=axis, keepdims=True)
    p = normalized(xp, y_pred, axis) if normalize else y_pred
    log_p = ce.log_probabilities(xp, p, axis, False, epsilon, False, t)
    miss = _distance_to_1(xp, p)
    falling = gamma * xp.floored_power(miss, gamma - 1) * log_p
    by_p = t * alpha * (falling - _power(xp, miss, gamma) / log_divisor(xp, p, epsilon, t))
    return normalized_gradient(xp, y_pred, by_p, axis) if normalize else by_p


def _by_log_p(xp: Any, weight: Array, z: Array, axis: int, gamma: float) -> tuple[Array, Array, Array]:
    """The first and second derivative of -w (1 - p)^gamma log p by log p, and p = softmax(z)."""
    log_p = xp.log_softmax(z, axis=axis)
    p, miss = xp.exp(log_p), -xp.expm1(log_p)
    p_log_p = xp.zero_times(p, log_p)
    lower = xp.floored_power(miss, gamma - 1)
    first = gamma * lower * p_log_p - _power(xp, miss, gamma)
    steep = (gamma - 1) * p * (p_log_p / xp.clamp_min(miss, tiny(miss)))
    second = gamma * lower * (2 * p + p_log_p - steep)
    return weight * first, weight * second, p


@categorical_focal_crossentropy.hessian
def _class_hessian(
    xp: Any, y_true: Array, y_pred: Array, *, axis: int, gamma: float, alpha: Any, from_logits: bool,
    label_smoothing: float, epsilon: float, normalize: bool,
) -> Array:  # fmt: skip
    if normalize and not from_logits:
        raise NotImplementedError("no closed-form second derivative with normalize=True")
    t, alpha = ce.smooth(xp, y_true, axis, label_smoothing), _class_factor(xp, alpha, y_pred, axis)
    if from_logits:
        first, second, p = _by_log_p(xp, t * alpha, y_pred, axis, gamma)
        slope, curve = (xp.sum(x, axis=axis, keepdims=True) for x in (first, second))
        return second * (1 - p) * (1 - p) + p * p * (curve - second) - p * (1 - p) * slope
    miss, reciprocal = _distance_to_1(xp, y_pred), 1 / log_divisor(xp, y_pred, epsilon, t)
    log_p = ce.log_probabilities(xp, y_pred, axis, False, epsilon, False, t)
    steep = (gamma - 1) * (log_p / xp.clamp_min(miss, tiny(miss)))
    falling = gamma * xp.floored_power(miss, gamma - 1) * (2 * reciprocal - steep)
    return t * alpha * (falling + _power(xp, miss, gamma) * reciprocal * reciprocal)


@over_labels(domain=ce.label_domain, undershoot=_undershoot)
def sparse_categorical_focal_crossentropy(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    axis: int = -1,
    gamma: Gamma = 2.0,
    alpha: Alpha = None,
    from_logits: FromLogits = False,
    label_smoothing: LabelSmoothing = 0.0,
    class_weight: ClassWeight = None,
    ignore_index: IgnoreIndex = None,
    epsilon: Epsilon = 1e-7,
    normalize: Normalize = False,
) -> Array:
    """Focal loss of integer labels and a prediction over the classes, in nats.

    .. math:: -\\alpha_y (1 - p_y)^\\gamma \\log p_y

    With label smoothing it is `categorical_focal_crossentropy` of the smoothed labels.

    Args:
        y_true: integer labels y in [0, K), the shape of `y_pred` without `axis`.
        y_pred: probabilities p over the K classes, or logits z with p = softmax(z).
        axis: the axis of the classes.

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
    xp: Any, y_true: Array, y_pred: Array, *, axis: int, label_smoothing: float, class_weight: Any, ignore_index: Any,
    **options: Any,
) -> Array:  # fmt: skip
    t = ce.one_hot(xp, y_true, y_pred, axis, label_smoothing)
    return _class_gradient(xp, t, y_pred, axis=axis, label_smoothing=0.0, **options)


@sparse_categorical_focal_crossentropy.hessian
def _(
    xp: Any, y_true: Array, y_pred: Array, *, axis: int, label_smoothing: float, class_weight: Any, ignore_index: Any,
    **options: Any,
) -> Array:  # fmt: skip
    t = ce.one_hot(xp, y_true, y_pred, axis, label_smoothing)
    return _class_hessian(xp, t, y_pred, axis=axis, label_smoothing=0.0, **options)

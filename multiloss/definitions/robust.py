"""Class losses made robust against wrong labels, or otherwise bent away from cross entropy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
from multiloss.engine.definition import over_axis, over_labels
from multiloss.engine.options import OpenUnit, single_axis

Array = Any


def _undershoot(options: Mapping[str, Any]) -> float | None:
    return ce.undershoot(options, 1 + options["poly_epsilon"])  # near p = 1 the value is that times 1 - p


@over_labels(domain=ce.label_domain, undershoot=ce.undershoot)
def generalized_cross_entropy(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    axis: int = -1,
    q: OpenUnit = 0.7,
    from_logits: FromLogits = False,
    class_weight: ClassWeight = None,
    ignore_index: IgnoreIndex = None,
) -> Array:
    """Generalized cross entropy: between cross entropy (q towards 0) and the absolute error 1 - p (q = 1).

    .. math:: \\frac{1 - p_y^q}{q}

    Args:
        y_true: integer labels y in [0, K), the shape of `y_pred` without `axis`.
        y_pred: probabilities p over the K classes, or logits z with p = softmax(z).
        axis: the axis of the classes.
        q: in (0, 1].

    Returns:
        One value per sample, in [0, 1 / q]. Where p is 0 its derivative is infinite; the gradient is the one at the
        smallest normal number instead: huge, but finite.

    Raises:
        TypeError: labels that are no integers.
        ValueError: a label outside [0, K), where values can be read.

    Source: Zhang & Sabuncu 2018. `keras.losses.CategoricalGeneralizedCrossEntropy` (q = 0.5 by default, and a
    nan gradient at p = 0).

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("generalized_cross_entropy", backend="numpy", q=0.5)
        >>> float(loss([0], [[0.25, 0.75]]))
        1.0
    """
    if from_logits:
        log_p = ce.picked(xp, y_true, xp.log_softmax(y_pred, axis=axis), axis=axis)
        return -xp.expm1(q * log_p) / q
    log_p = xp.log(ce.picked(xp, y_true, y_pred, axis=axis))
    return ce.with_nan(xp, -xp.expm1(q * log_p) / q, y_pred, axis)


@generalized_cross_entropy.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: int, q: float, from_logits: bool) -> Array:
    if from_logits:
        log_p, t = xp.log_softmax(y_pred, axis=axis), ce.one_hot(xp, y_true, y_pred, axis)
        power = xp.exp(q * xp.expand_dims(ce.picked(xp, y_true, log_p, axis=axis), axis=axis))
        return power * (xp.exp(log_p) - t)
    p = ce.picked(xp, y_true, y_pred, axis=axis)
    return xp.one_hot_times(-xp.floored_power(p, q - 1), y_true, y_pred, axis)


@generalized_cross_entropy.hessian
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: int, q: float, from_logits: bool) -> Array:
    if from_logits:
        log_p, t = xp.log_softmax(y_pred, axis=axis), ce.one_hot(xp, y_true, y_pred, axis)
        power = xp.exp(q * xp.expand_dims(ce.picked(xp, y_true, log_p, axis=axis), axis=axis))
        p = xp.exp(log_p)
        return power * (p * (1 - p) - q * (p - t) * (p - t))
    p = ce.picked(xp, y_true, y_pred, axis=axis)
    return xp.one_hot_times((1 - q) * xp.floored_power(p, q - 2), y_true, y_pred, axis)


@over_axis(axis=single_axis, classes=True, domain=ce.domain, undershoot=_undershoot)
def poly_cross_entropy(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    axis: int = -1,
    poly_epsilon: float = 2.0,
    from_logits: FromLogits = False,
    label_smoothing: LabelSmoothing = 0.0,
    class_weight: ClassWeight = None,
    epsilon: Epsilon = 1e-7,
    normalize: Normalize = False,
) -> Array:
    """Poly-1 cross entropy: cross entropy with another first coefficient of its series in 1 - p.

    .. math:: \\sum_k t'_k (-\\log p_k + \\epsilon_1 (1 - p_k)), \\quad t' = t (1 - s) + s / K

    Args:
        y_true: one-hot or soft targets t, the shape of `y_pred`.
        y_pred: probabilities p over the K classes, or logits z with p = softmax(z).
        axis: the axis of the classes.
        poly_epsilon: what is added to the coefficient 1 of (1 - p); 0 is categorical cross entropy.

    Returns:
        One value per sample, in nats.

    Source: Leng et al. 2022. `optax.losses.poly_loss_cross_entropy`, of logits.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("poly_cross_entropy", backend="numpy", poly_epsilon=1.0)
        >>> f"{loss([[1, 0]], [[0.5, 0.5]]):.6f}"
        '1.193147'
    """
    t = ce.smooth(xp, y_true, axis, label_smoothing)
    how: dict[str, Any] = {"from_logits": from_logits, "epsilon": epsilon, "normalize": normalize}
    return ce.categorical_crossentropy.value(xp, t, y_pred, axis=axis, **how) + poly_epsilon * _miss(
        xp, t, y_pred, axis, **how
    )


def _miss(xp: Any, t: Array, y_pred: Array, axis: int, from_logits: bool, normalize: bool, epsilon: float) -> Array:
    """sum_k t_k (1 - p_k)."""
    if from_logits:
        return -xp.sum(t * xp.expm1(xp.log_softmax(y_pred, axis=axis)), axis=axis)
    return xp.sum(t * (1 - (normalized(xp, y_pred, axis) if normalize else y_pred)), axis=axis)


@poly_cross_entropy.gradient
def _(
    xp: Any, y_true: Array, y_pred: Array, *, axis: int, poly_epsilon: float, label_smoothing: float,
    class_weight: Any, **how: Any,
) -> Array:  # fmt: skip
    return _poly_gradient(xp, ce.smooth(xp, y_true, axis, label_smoothing), y_pred, axis, poly_epsilon, **how)


def _poly_gradient(xp: Any, t: Array, y_pred: Array, axis: int, poly_epsilon: float, **how: Any) -> Array:
    gradient = ce.class_gradient(xp, t, y_pred, axis, **how)
    if how["from_logits"]:
        p = xp.softmax(y_pred, axis=axis)
        return gradient - poly_epsilon * p * (t - xp.sum(t * p, axis=axis, keepdims=True))
    added = -poly_epsilon * t
    return gradient + (normalized_gradient(xp, y_pred, added, axis) if how["normalize"] else added)


@poly_cross_entropy.hessian
def _(
    xp: Any, y_true: Array, y_pred: Array, *, axis: int, poly_epsilon: float, label_smoothing: float,
    class_weight: Any, **how: Any,
) -> Array:  # fmt: skip
    return _poly_hessian(xp, ce.smooth(xp, y_true, axis, label_smoothing), y_pred, axis, poly_epsilon, **how)


def _poly_hessian(xp: Any, t: Array, y_pred: Array, axis: int, poly_epsilon: float, **how: Any) -> Array:
    curve = ce.class_hessian(xp, t, y_pred, axis, **how)
    if not how["from_logits"]:
        return curve
    p = xp.softmax(y_pred, axis=axis)
    return curve - poly_epsilon * p * (1 - 2 * p) * (t - xp.sum(t * p, axis=axis, keepdims=True))


@over_labels(domain=ce.label_domain, undershoot=_undershoot)
def sparse_poly_cross_entropy(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    axis: int = -1,
    poly_epsilon: float = 2.0,
    from_logits: FromLogits = False,
    label_smoothing: LabelSmoothing = 0.0,
    class_weight: ClassWeight = None,
    ignore_index: IgnoreIndex = None,
    epsilon: Epsilon = 1e-7,
    normalize: Normalize = False,
) -> Array:
    """Poly-1 cross entropy of integer labels.

    .. math:: -\\log p_y + \\epsilon_1 (1 - p_y)

    With label smoothing it is `poly_cross_entropy` of the smoothed labels.

    Args:
        y_true: integer labels y in [0, K), the shape of `y_pred` without `axis`.
        y_pred: probabilities p over the K classes, or logits z with p = softmax(z).
        axis: the axis of the classes.
        poly_epsilon: what is added to the coefficient 1 of (1 - p); 0 is sparse categorical cross entropy.

    Returns:
        One value per sample, in nats.

    Raises:
        TypeError: labels that are no integers.
        ValueError: a label outside [0, K), where values can be read.

    Source: Leng et al. 2022.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("sparse_poly_cross_entropy", backend="numpy", poly_epsilon=1.0)
        >>> f"{loss([0], [[0.5, 0.5]]):.6f}"
        '1.193147'
    """
    t = ce.one_hot(xp, y_true, y_pred, axis, label_smoothing)
    how = {"from_logits": from_logits, "epsilon": epsilon, "normalize": normalize}
    return poly_cross_entropy.value(xp, t, y_pred, axis=axis, poly_epsilon=poly_epsilon, **how)


@sparse_poly_cross_entropy.gradient
def _(
    xp: Any, y_true: Array, y_pred: Array, *, axis: int, poly_epsilon: float, label_smoothing: float,
    class_weight: Any, ignore_index: Any, **how: Any,
) -> Array:  # fmt: skip
    t = ce.one_hot(xp, y_true, y_pred, axis, label_smoothing)
    return _poly_gradient(xp, t, y_pred, axis, poly_epsilon, **how)


@sparse_poly_cross_entropy.hessian
def _(
    xp: Any, y_true: Array, y_pred: Array, *, axis: int, poly_epsilon: float, label_smoothing: float,
    class_weight: Any, ignore_index: Any, **how: Any,
) -> Array:  # fmt: skip
    t = ce.one_hot(xp, y_true, y_pred, axis, label_smoothing)
    return _poly_hessian(xp, t, y_pred, axis, poly_epsilon, **how)


@over_labels()
def squentropy(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    axis: int = -1,
    class_weight: ClassWeight = None,
    ignore_index: IgnoreIndex = None,
) -> Array:
    """Squentropy: cross entropy, and the mean square of the logits of the wrong classes.

    .. math:: -\\log \\mathrm{softmax}(z)_y + \\frac{1}{K - 1} \\sum_{j \\ne y} z_j^2

    Args:
        y_true: integer labels y in [0, K), the shape of `y_pred` without `axis`.
        y_pred: logits z over the K classes.
        axis: the axis of the classes.

    Returns:
        One value per sample.

    Raises:
        TypeError: labels that are no integers.
        ValueError: a label outside [0, K), where values can be read.

    Source: Hui, Belkin, Wright 2023.

    Example:
        >>> import multiloss
        >>> f"{multiloss.get('squentropy', backend='numpy')([0], [[1.0, 1.0, 1.0]]):.6f}"
        '2.098612'
    """
    wrong = y_pred * (1 - ce.one_hot(xp, y_true, y_pred, axis))
    cost = ce.sparse_categorical_crossentropy.value(xp, y_true, y_pred, axis=axis, from_logits=True)
    return cost + xp.sum(wrong * wrong, axis=axis) / _others(xp, y_pred, axis)


def _others(xp: Any, y_pred: Array, axis: int) -> Any:
    classes = xp.length(y_pred, axis)
    return max(classes - 1, 1) if isinstance(classes, int) else xp.clamp_min(classes - 1, 1.0)


@squentropy.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: int) -> Array:
    t = ce.one_hot(xp, y_true, y_pred, axis)
    return xp.softmax(y_pred, axis=axis) - t + (2 / _others(xp, y_pred, axis)) * y_pred * (1 - t)


@squentropy.hessian
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: int) -> Array:
    p = xp.softmax(y_pred, axis=axis)
    return p * (1 - p) + (2 / _others(xp, y_pred, axis)) * (1 - ce.one_hot(xp, y_true, y_pred, axis))

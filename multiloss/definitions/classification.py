"""Cross entropies: predictions are probabilities or logits of classes, targets are distributions or integer labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from multiloss.definitions.divergence import normalized, normalized_gradient
from multiloss.engine.checks import LOG_PROBABILITY, PROBABILITY
from multiloss.engine.definition import elementwise, over_axis, over_labels, per_class, shared
from multiloss.engine.logarithms import floored_log, floored_log1m, log_divisor, logistic_loss, logistic_slope
from multiloss.engine.options import BelowHalf, UnitInterval, Vector, non_negative, one_or_each, single_axis

Array = Any

FromLogits = Annotated[bool, "whether `y_pred` holds logits, of which nothing is floored."]
LabelSmoothing = Annotated[UnitInterval, "s, in [0, 1]."]
ClassWeight = Annotated[
    Vector | None,
    "one weight per class; multiplies the sample weight by weight_y (of targets t: by sum_k t_k weight_k).",
]
IgnoreIndex = Annotated[int | None, "samples with this label are masked, in the count too."]
Epsilon = Annotated[
    BelowHalf, "floor of each logarithm's argument, for probabilities; below it the logarithm's gradient is 0."
]
Normalize = Annotated[bool, "divide the probabilities by their sum over `axis` first, as Keras does."]


def domain(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Targets are probabilities; so are predictions that are neither logits nor normalised first."""
    raw = options["from_logits"] or options.get("normalize")
    return {"y_true": PROBABILITY, **({} if raw else {"y_pred": PROBABILITY})}  # torch.compile of 2.7 knows no `|`


def label_domain(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same where the targets are labels."""
    return {name: x for name, x in domain(options).items() if name == "y_pred"}


def undershoot(options: Mapping[str, Any], weights: Any = None) -> float | None:
    """The `undershoot` of -log p, whose slope at p = 1 is -1, times weights. None for logits and negative weights."""
    each = weights if isinstance(weights, tuple) else (weights or 0.0,)
    return None if options["from_logits"] or min(each) < 0 else max(1.0, *each)


def log_probabilities(
    xp: Any, y_pred: Array, axis: int, from_logits: bool, epsilon: float, normalize: bool, weight: Array | None = None
) -> Array:
    """log p over the classes, which will be multiplied by `weight` (see `floored_log`)."""
    if from_logits:
        return xp.log_softmax(y_pred, axis=axis)
    return floored_log(xp, normalized(xp, y_pred, axis) if normalize else y_pred, epsilon, weight)


def smooth(xp: Any, y_true: Array, axis: int, label_smoothing: float) -> Array:
    """Targets mixed with the uniform distribution."""
    if label_smoothing == 0:
        return y_true
    return y_true * (1 - label_smoothing) + label_smoothing / xp.length(y_true, axis)


def class_gradient(
    xp: Any, t: Array, y_pred: Array, axis: int, from_logits: bool, epsilon: float, normalize: bool
) -> Array:
    """The derivative of -sum_k t_k log p_k by p or, from logits, by z."""
    if from_logits:
        return xp.sum(t, axis=axis, keepdims=True) * xp.softmax(y_pred, axis=axis) - t
    p = normalized(xp, y_pred, axis) if normalize else y_pred
    by_p = -t / log_divisor(xp, p, epsilon, t)
    return normalized_gradient(xp, y_pred, by_p, axis) if normalize else by_p


def class_hessian(
    xp: Any, t: Array, y_pred: Array, axis: int, from_logits: bool, epsilon: float, normalize: bool
) -> Array:
    """The diagonal of its second derivative."""
    if from_logits:
        p = xp.softmax(y_pred, axis=axis)
        return xp.sum(t, axis=axis, keepdims=True) * p * (1 - p)
    if normalize:
        raise NotImplementedError("no closed-form second derivative with normalize=True")
    p = log_divisor(xp, y_pred, epsilon, t)
    return t / p / p


@over_axis(aliases=("cce",), axis=single_axis, classes=True, domain=domain, undershoot=undershoot)
def categorical_crossentropy(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    axis: int = -1,
    from_logits: FromLogits = False,
    label_smoothing: LabelSmoothing = 0.0,
    class_weight: ClassWeight = None,
    epsilon: Epsilon = 1e-7,
    normalize: Normalize = False,
) -> Array:
    """Cross entropy of a target distribution and a prediction over the classes, in nats.

    .. math:: -\\sum_k t'_k \\log p_k, \\quad t' = t (1 - s) + s / K

    Args:
        y_true: one-hot or soft targets t, the shape of `y_pred`.
        y_pred: probabilities p over the K classes, or logits z with p = softmax(z).
        axis: the axis of the classes.

    Returns:
        One value per sample, in nats.

    Source: Bridle 1990. `keras.losses.CategoricalCrossentropy`, `torch.nn.CrossEntropyLoss` (probability targets),
    `optax.losses.softmax_cross_entropy`.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("categorical_crossentropy", backend="numpy", from_logits=True)
        >>> f"{loss([[1, 0, 0]], [[3.1, 3.0, 3.0]]):.6f}"
        '1.033069'
    """
    t = smooth(xp, y_true, axis, label_smoothing)
    log_p = log_probabilities(xp, y_pred, axis, from_logits, epsilon, normalize, t)
    # log p of a logit of -inf is -inf, and has no floor.
    return -xp.sum(xp.zero_times(t, log_p) if from_logits else t * log_p, axis=axis)


@categorical_crossentropy.gradient
def _(
    xp: Any, y_true: Array, y_pred: Array, *, axis: int, from_logits: bool, label_smoothing: float, epsilon: float,
    normalize: bool,
) -> Array:  # fmt: skip
    t = smooth(xp, y_true, axis, label_smoothing)
    return class_gradient(xp, t, y_pred, axis, from_logits, epsilon, normalize)


@categorical_crossentropy.hessian
def _(
    xp: Any, y_true: Array, y_pred: Array, *, axis: int, from_logits: bool, label_smoothing: float, epsilon: float,
    normalize: bool,
) -> Array:  # fmt: skip
    t = smooth(xp, y_true, axis, label_smoothing)
    return class_hessian(xp, t, y_pred, axis, from_logits, epsilon, normalize)


@over_labels(aliases=("scce",), domain=label_domain, undershoot=undershoot)
def sparse_categorical_crossentropy(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    axis: int = -1,
    from_logits: FromLogits = False,
    label_smoothing: LabelSmoothing = 0.0,
    class_weight: ClassWeight = None,
    ignore_index: IgnoreIndex = None,
    epsilon: Epsilon = 1e-7,
    normalize: Normalize = False,
) -> Array:
    """Cross entropy of integer labels and a prediction over the classes, in nats.

    .. math:: -(1 - s) \\log p_y - \\tfrac{s}{K} \\sum_k \\log p_k

    Args:
        y_true: integer labels y in [0, K), the shape of `y_pred` without `axis`.
        y_pred: probabilities p over the K classes, or logits z with p = softmax(z).
        axis: the axis of the classes (1 for torch's N, C, H, W).

    Returns:
        One value per sample, in nats.

    Raises:
        TypeError: labels that are no integers.
        ValueError: a label outside [0, K), where values can be read.

    Source: Bridle 1990. `keras.losses.SparseCategoricalCrossentropy`, `torch.nn.CrossEntropyLoss`,
    `optax.losses.softmax_cross_entropy_with_integer_labels`.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("scce", backend="numpy", from_logits=True)
        >>> f"{loss([0], [[3.1, 3.0, 3.0]]):.6f}"
        '1.033069'
    """
    if label_smoothing > 0:
        log_p = log_probabilities(xp, y_pred, axis, from_logits, epsilon, normalize)
        of_label = -(1 - label_smoothing) * picked(xp, y_true, log_p, axis=axis)
        return of_label - label_smoothing * xp.mean(log_p, axis=axis)
    if from_logits:
        return xp.logsumexp_minus(y_pred, picked(xp, y_true, y_pred, axis=axis), axis=axis)
    p = normalized(xp, y_pred, axis) if normalize else y_pred
    return with_nan(xp, -floored_log(xp, picked(xp, y_true, p, axis=axis), epsilon), p, axis)


def with_nan(xp: Any, values: Array, y_pred: Array, axis: int) -> Array:
    """One value per sample, of the label's entry alone; nan where another entry of `y_pred` is."""
    wrong = xp.isnan(xp.sum(y_pred, axis=axis))
    return xp.where(wrong, float("nan"), values)


@shared
def picked(xp: Any, labels: Array, x: Array, *, axis: int) -> Array:
    """The entry of x at each sample's label."""
    return xp.squeeze(xp.take_along_axis(x, xp.expand_dims(labels, axis=axis), axis=axis), axis=axis)


def one_hot(xp: Any, labels: Array, like: Array, axis: int, label_smoothing: float = 0.0) -> Array:
    """1 at each sample's label, 0 elsewhere, smoothed."""
    one = xp.ones_like(labels, dtype=like.dtype)
    return smooth(xp, xp.one_hot_times(one, labels, like, axis), axis, label_smoothing)


@sparse_categorical_crossentropy.gradient
def _(
    xp: Any, y_true: Array, y_pred: Array, *, axis: int, from_logits: bool, label_smoothing: float, epsilon: float,
    normalize: bool,
) -> Array:  # fmt: skip
    if label_smoothing == 0 and not from_logits and not normalize:  # -1 / p_y at the label, 0 elsewhere
        p_y = picked(xp, y_true, y_pred, axis=axis)
        return xp.one_hot_times(-1 / log_divisor(xp, p_y, epsilon), y_true, y_pred, axis)
    t = one_hot(xp, y_true, y_pred, axis, label_smoothing)
    if from_logits:
        return xp.softmax(y_pred, axis=axis) - t
    return class_gradient(xp, t, y_pred, axis, from_logits, epsilon, normalize)


@sparse_categorical_crossentropy.hessian
def _(
    xp: Any, y_true: Array, y_pred: Array, *, axis: int, from_logits: bool, label_smoothing: float, epsilon: float,
    normalize: bool,
) -> Array:  # fmt: skip
    t = one_hot(xp, y_true, y_pred, axis, label_smoothing)
    return class_hessian(xp, t, y_pred, axis, from_logits, epsilon, normalize)


@over_labels(domain=lambda _: {"y_pred": LOG_PROBABILITY}, undershoot=lambda _: 1.0)
def nll(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    axis: int = -1,
    class_weight: ClassWeight = None,
    ignore_index: IgnoreIndex = None,
) -> Array:
    """Negative log-likelihood of integer labels, in nats.

    .. math:: -x_y, \\quad x = \\log p

    Args:
        y_true: integer labels y in [0, K), the shape of `y_pred` without `axis`.
        y_pred: log-probabilities x over the K classes, 0 or below.
        axis: the axis of the classes (1 for torch's N, C, H, W).
        class_weight: one weight per class; multiplies the sample weight by weight_y (torch's mean with weights is
            `reduction="weighted_mean"`).

    Returns:
        One value per sample, in nats.

    Raises:
        TypeError: labels that are no integers.
        ValueError: a label outside [0, K), or log-probabilities above 0, where values can be read.

    Source: `torch.nn.NLLLoss`.

    Example:
        >>> import multiloss
        >>> float(multiloss.get("nll", backend="numpy")([0, 1], [[-0.25, -1.5], [-3.0, -0.05]]))
        0.15
    """
    return with_nan(xp, -picked(xp, y_true, y_pred, axis=axis), y_pred, axis)


@nll.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: int) -> Array:
    return -one_hot(xp, y_true, y_pred, axis)


@nll.hessian
def _(xp: Any, y_true: Array, y_pred: Array) -> Array:
    return xp.zeros_like(y_pred)


@elementwise(aliases=("bce",), domain=domain, undershoot=lambda o: undershoot(o, o["pos_weight"]))
def binary_crossentropy(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    from_logits: FromLogits = False,
    label_smoothing: LabelSmoothing = 0.0,
    epsilon: BelowHalf = 1e-7,
    pos_weight: Annotated[float | tuple[float, ...], one_or_each(non_negative)] | None = None,
    axis: Any = -1,
) -> Array:
    """Cross entropy of two outcomes, in nats.

    .. math:: -w t' \\log p - (1 - t') \\log(1 - p), \\quad t' = t (1 - s) + s / 2

    Args:
        y_true: probabilities t of the outcome 1 (or labels 0 and 1), any shape.
        y_pred: probabilities p, or logits z with p = 1 / (1 + exp(-z)); the shape of `y_true`.
        epsilon: floor of p and of 1 - p, each on its own, for probabilities; below it the gradient is 0.
        pos_weight: w, what an outcome of 1 counts, 0 or above (torch's); None is 1. A list has one number per class,
            along `axis` (where that is `()` or None, the last, as torch's).

    Returns:
        One value per element, in nats; averaged over `axis`.

    Source: the logistic likelihood, Cox 1958. `keras.losses.BinaryCrossentropy`, `torch.nn.BCELoss`,
    `torch.nn.BCEWithLogitsLoss`, `optax.losses.sigmoid_binary_cross_entropy`.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("bce", backend="numpy")
        >>> f"{loss([1.0, 0.0], [0.9, 0.2]):.6f}"
        '0.164252'
    """
    t = smooth_pair(y_true, label_smoothing)
    a, b = _weighed(xp, pos_weight, t, axis), 1 - t
    if from_logits:
        return logistic_loss(xp, y_pred, a, b, sums_to_one=pos_weight is None)
    return -a * floored_log(xp, y_pred, epsilon, a) - b * floored_log1m(xp, y_pred, epsilon, b)


def smooth_pair(t: Array, label_smoothing: float) -> Array:
    """The targets of two outcomes, mixed with 1/2."""
    return t if label_smoothing == 0 else t * (1 - label_smoothing) + label_smoothing / 2


def _weighed(xp: Any, pos_weight: Any, t: Array, axis: Any) -> Array:
    """w t."""
    return t if pos_weight is None else per_class(xp, "pos_weight", pos_weight, t, axis) * t


@binary_crossentropy.gradient
def pair_gradient(
    xp: Any, y_true: Array, y_pred: Array, *, from_logits: bool, epsilon: float, label_smoothing: float = 0.0,
    pos_weight: Any = None, axis: Any = -1,
) -> Array:  # fmt: skip
    """The derivative of `binary_crossentropy`."""
    t = smooth_pair(y_true, label_smoothing)
    a, b = _weighed(xp, pos_weight, t, axis), 1 - t
    if from_logits:
        return logistic_slope(xp, y_pred, a, b)
    return b / log_divisor(xp, 1 - y_pred, epsilon, b) - a / log_divisor(xp, y_pred, epsilon, a)


@binary_crossentropy.hessian
def pair_hessian(
    xp: Any, y_true: Array, y_pred: Array, *, from_logits: bool, epsilon: float, label_smoothing: float = 0.0,
    pos_weight: Any = None, axis: Any = -1,
) -> Array:  # fmt: skip
    """Its second derivative."""
    if from_logits and pos_weight is None:
        return xp.expit(y_pred) * xp.expit(-y_pred)
    t = smooth_pair(y_true, label_smoothing)
    a, b = _weighed(xp, pos_weight, t, axis), 1 - t
    if from_logits:
        return (a + b) * xp.expit(y_pred) * xp.expit(-y_pred)
    p, q = log_divisor(xp, y_pred, epsilon, a), log_divisor(xp, 1 - y_pred, epsilon, b)
    return a / p / p + b / q / q

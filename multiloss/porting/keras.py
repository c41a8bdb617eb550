"""What the losses of `keras.losses` (3.15) are here: classes reduce, functions give one value per sample.

Where Keras' backends disagree, TensorFlow's is meant. Keras' epsilon is taken as 1e-7, its default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multiloss.options import real
from multiloss.porting.rows import RefusedError, Row, Rows, adder, refuses

ROWS: Rows = {}
source = adder(ROWS, "y_true y_pred", of_functions={"reduction": "none", "name": None, "dtype": "own"})

_REDUCTIONS = {
    "sum_over_batch_size": "mean",
    "mean": "mean",
    "mean_with_sample_weight": "weighted_mean",
    "sum": "sum",
    "none": "none",
    None: "none",
}
_DEFAULT = "sum_over_batch_size"
_DTYPES = {
    "own": (),  # that of a function's arrays
    "float64": (),
    None: ("a Keras class casts its arrays to floatx first, float32 unless changed; here float64 stays float64",),
}

_SHAPES = (
    "Keras aligns (N,) with (N, 1), and broadcasts other shapes (its functions hinge, kl_divergence and poisson those, "
    "too, to N x N); here unequal shapes are refused, and the keras backend alone aligns (N,) with (N, 1)"
)
_NOTHING = "an empty batch gives an array of shape (0,) in Keras; here 0"
_LOGITS = "logits given as probabilities are clipped, with a loss of about 0 or 16 and gradient 0, and no error"
_CLIPPED = "probabilities are clipped to [1e-7, 1 - 1e-7], and the gradient is 0 outside"
_INFINITE = "an infinite logit gives nan in Keras; here the limit, where there is one"
_INTEGERS = "labels are integers here; Keras cuts 1.9 to 1"
_LAST = "Keras' TensorFlow backend has the classes on the last axis only; here they may be on any"
_SOFTMAX = (
    "of targets that do not sum to 1, TensorFlow's gradient is softmax(z) - t, not that of the value, "
    "sum(t) softmax(z) - t, which is given here"
)
_SWITCHED = (
    "on TensorFlow, Keras takes probabilities that come from its own softmax or sigmoid back to their logits; here "
    "probabilities are what they are"
)


def _reduction(reduction: Any) -> str:
    if reduction not in _REDUCTIONS:
        raise ValueError(f"reduction must be one of {', '.join(map(repr, _REDUCTIONS))}, got {reduction!r}")
    return _REDUCTIONS[reduction]


def _row(loss: str, reduction: Any, dtype: Any, *notes: str, **options: Any) -> Row:
    other = (f"dtype {dtype} says what Keras computes in; here it is float32 at least, and that of the arrays",)
    reduced = _reduction(reduction)
    shared = (_SHAPES,) if reduced == "none" else (_SHAPES, _NOTHING)
    return Row(loss, *notes, *_DTYPES.get(dtype, other), *shared, reduction=reduced, **options)


@source("keras.losses.MeanSquaredError", "keras.losses.mean_squared_error")
def mean_squared_error(reduction: Any = _DEFAULT, name: Any = None, dtype: Any = None) -> Row:
    """Mean of squared errors over the last axis, then over samples."""
    return _row("mean_squared_error", reduction, dtype)


@source("keras.losses.MeanAbsoluteError", "keras.losses.mean_absolute_error")
def mean_absolute_error(reduction: Any = _DEFAULT, name: Any = None, dtype: Any = None) -> Row:
    """Mean of absolute errors over the last axis, then over samples; gradient 0 for no error."""
    return _row("mean_absolute_error", reduction, dtype)


@source("keras.losses.MeanAbsolutePercentageError", "keras.losses.mean_absolute_percentage_error")
def mean_absolute_percentage_error(reduction: Any = _DEFAULT, name: Any = None, dtype: Any = None) -> Row:
    """100 times the mean of |t - p| / max(|t|, 1e-7), in percent."""
    notes = ("in percent: 100 times what other libraries give", "a target of 0 counts as 1e-7, so values of 1e9 appear")
    return _row("mean_absolute_percentage_error", reduction, dtype, *notes)


@source("keras.losses.MeanSquaredLogarithmicError", "keras.losses.mean_squared_logarithmic_error")
def mean_squared_logarithmic_error(reduction: Any = _DEFAULT, name: Any = None, dtype: Any = None) -> Row:
    """Mean of (log(1 + max(p, 1e-7)) - log(1 + max(t, 1e-7)))^2."""
    return _row(
        "keras.mean_squared_logarithmic_error",
        reduction,
        dtype,
        "predictions below 1e-7, and all negative ones, count as 1e-7 and have gradient 0",
        "Keras takes log(x + 1), which loses the digits of small x; here it is log1p",
    )


@source("keras.losses.CosineSimilarity", "keras.losses.cosine_similarity")
def cosine_similarity(axis: Any = -1, reduction: Any = _DEFAULT, name: Any = None, dtype: Any = None) -> Row:
    """Minus the cosine of two vectors, each norm at least 1e-7."""
    return _row(
        "keras.cosine_similarity",
        reduction,
        dtype,
        "minus the cosine; torch and Optax have the other sign",
        "vectors of a norm below 1e-7 are divided by 1e-7, so their value is smaller than the cosine",
        "Keras gives 0 for vectors whose squares overflow (1e20 in float32, 1e200 in float64); here the cosine",
        axis=axis,
    )


@source("keras.losses.Huber", "keras.losses.huber")
def huber(delta: Any = 1.0, reduction: Any = _DEFAULT, name: Any = None, dtype: Any = None) -> Row:
    """Mean of e^2 / 2 up to delta, and of delta |e| - delta^2 / 2 beyond."""
    note = "an infinite error has a gradient of nan in Keras; here delta"
    return _row("huber", reduction, dtype, note, delta=delta)


@source("keras.losses.LogCosh", "keras.losses.log_cosh")
def log_cosh(reduction: Any = _DEFAULT, name: Any = None, dtype: Any = None) -> Row:
    """Mean of e + softplus(-2 e) - log 2."""
    return _row(
        "log_cosh",
        reduction,
        dtype,
        "unless floatx is float64, Keras rounds log 2 to float32: in float64 each of its values is 1.9e-9 too small, "
        "and negative for no error; here log 2 is exact",
        "Keras takes the difference of terms near log 2, which loses the digits of small errors; here they are kept",
    )


_CONVERTED = (
    "labels 0 and 1 become -1 and 1 only where the whole batch holds no others, as in Keras: the value of a sample "
    "depends on its batch"
)


@source("keras.losses.Hinge", "keras.losses.hinge")
def hinge(reduction: Any = _DEFAULT, name: Any = None, dtype: Any = None) -> Row:
    """Mean of max(0, 1 - t z), labels -1 and 1, or 0 and 1 in all of the batch."""
    return _row("keras.hinge", reduction, dtype, _CONVERTED)


@source("keras.losses.SquaredHinge", "keras.losses.squared_hinge")
def squared_hinge(reduction: Any = _DEFAULT, name: Any = None, dtype: Any = None) -> Row:
    """Mean of max(0, 1 - t z)^2, labels -1 and 1, or 0 and 1 in all of the batch."""
    return _row("keras.squared_hinge", reduction, dtype, _CONVERTED)


@source("keras.losses.CategoricalHinge", "keras.losses.categorical_hinge")
def categorical_hinge(reduction: Any = _DEFAULT, name: Any = None, dtype: Any = None) -> Row:
    """max(0, 1 + max((1 - t) z) - sum(t z)) of one-hot targets."""
    return _row(
        "categorical_hinge",
        reduction,
        dtype,
        "the right class stands in the maximum with a score of 0, so the loss is at least 1 - z_y; torch and Optax "
        "leave it out",
        "at the kink the gradient is 0 here, and of equal largest scores the first has it; TensorFlow gives the slope "
        "there, and shares it",
        keras=True,
        validate=False,
    )


@source("keras.losses.KLDivergence", "keras.losses.kl_divergence")
def kl_divergence(reduction: Any = _DEFAULT, name: Any = None, dtype: Any = None) -> Row:
    """sum(t log(t / p)) over the last axis, with t and p clipped to [1e-7, 1]."""
    return _row(
        "keras.kl_divergence",
        reduction,
        dtype,
        "both arguments are clipped to [1e-7, 1]; a prediction outside has gradient 0",
        "takes probabilities; torch and Optax take log-probabilities as predictions",
        "nothing is normalised: predictions that sum to 2 give a negative value",
        "log-probabilities given to it are clipped: a plausible number with gradient 0",
    )


@source("keras.losses.Poisson", "keras.losses.poisson")
def poisson(reduction: Any = _DEFAULT, name: Any = None, dtype: Any = None) -> Row:
    """Mean of p - t log(p + 1e-7), p a rate."""
    return _row(
        "poisson",
        reduction,
        dtype,
        "takes rates; torch's PoissonNLLLoss takes their logarithms by default, and has 1e-8 for 1e-7",
        "a rate below -1e-7 has the value nan, but a finite gradient",
        epsilon=1e-7,
        validate=False,
    )


@source("keras.losses.BinaryCrossentropy", "keras.losses.binary_crossentropy")
def binary_crossentropy(
    from_logits: Any = False,
    label_smoothing: Any = 0.0,
    axis: Any = -1,
    reduction: Any = _DEFAULT,
    name: Any = None,
    dtype: Any = None,
) -> Row:
    """Mean of -t log p - (1 - t) log(1 - p), p clipped to [1e-7, 1 - 1e-7], or of logits."""
    options = {"label_smoothing": label_smoothing, "axis": axis}
    notes = ("labels are smoothed to t (1 - s) + s / 2",) if label_smoothing else ()
    if from_logits:
        logits = {"from_logits": True, "validate": False}
        return _row("binary_crossentropy", reduction, dtype, *notes, _INFINITE, **options, **logits)
    return _row("keras.binary_crossentropy", reduction, dtype, *notes, _CLIPPED, _LOGITS, _SWITCHED, **options)


@source("keras.losses.BinaryFocalCrossentropy", "keras.losses.binary_focal_crossentropy")
def binary_focal_crossentropy(
    apply_class_balancing: Any = False,
    alpha: Any = 0.25,
    gamma: Any = 2.0,
    from_logits: Any = False,
    label_smoothing: Any = 0.0,
    axis: Any = -1,
    reduction: Any = _DEFAULT,
    name: Any = None,
    dtype: Any = None,
) -> Row:
    """Mean of (1 - p_t)^gamma times binary cross entropy; alpha counts with apply_class_balancing only."""
    options = {"alpha": alpha if apply_class_balancing else None, "gamma": gamma, "label_smoothing": label_smoothing}
    notes = ["alpha weighs the label 1, 1 - alpha the label 0"]
    if not apply_class_balancing:
        notes = ["alpha has no effect without apply_class_balancing=True"]
    if real("gamma", gamma) < 1:
        notes.append(
            "for gamma < 1 Keras' gradient is nan or infinite where a sample is predicted with certainty, and right; "
            "here it is finite"
        )
    if not from_logits:
        notes += [_CLIPPED + " (in the logarithms alone)", _LOGITS, _SWITCHED]
        return _row("keras.binary_focal_crossentropy", reduction, dtype, *notes, axis=axis, **options)
    notes += [
        "Keras takes 1 - p_t as a difference, which loses the digits of confident samples; here they are kept",
        "Keras' other backends clip sigmoid(z): certain, wrong logits have gradient 0; on TensorFlow it is as here",
    ]
    return _row(
        "binary_focal_crossentropy", reduction, dtype, *notes, axis=axis, from_logits=True, validate=False, **options
    )


def _smoothing_notes(label_smoothing: Any, axis: Any, alpha: Any = None) -> list[str]:
    notes = []
    if label_smoothing:
        notes.append("labels are smoothed to t (1 - s) + s / K")
    if axis != -1 and label_smoothing:
        notes.append("K is the length of the last axis, whatever axis is: a fault of Keras, kept here")
    if axis != -1 and not isinstance(alpha, int | float | None):
        notes.append("the weights of alpha go along the last axis, whatever axis is: a fault of Keras, kept here")
    return notes


@source("keras.losses.CategoricalCrossentropy", "keras.losses.categorical_crossentropy")
def categorical_crossentropy(
    from_logits: Any = False,
    label_smoothing: Any = 0.0,
    axis: Any = -1,
    reduction: Any = _DEFAULT,
    name: Any = None,
    dtype: Any = None,
) -> Row:
    """-sum(t log p), p divided by its sum and clipped to [1e-7, 1 - 1e-7], or of logits."""
    options: dict[str, Any] = {"label_smoothing": label_smoothing, "axis": axis}
    notes = _smoothing_notes(label_smoothing, axis)
    if not from_logits:
        notes += ["probabilities are divided by their sum first; torch's nll_loss does not", _CLIPPED, _LOGITS]
        return _row("keras.categorical_crossentropy", reduction, dtype, *notes, _SWITCHED, **options)
    notes += [_SOFTMAX, _INFINITE]
    options["from_logits"] = True
    if axis == -1:
        return _row("categorical_crossentropy", reduction, dtype, *notes, **options, validate=False)
    return _row("keras.categorical_crossentropy", reduction, dtype, *notes, **options)  # which smooths as Keras does


@source("keras.losses.CategoricalFocalCrossentropy", "keras.losses.categorical_focal_crossentropy")
def categorical_focal_crossentropy(
    alpha: Any = 0.25,
    gamma: Any = 2.0,
    from_logits: Any = False,
    label_smoothing: Any = 0.0,
    axis: Any = -1,
    reduction: Any = _DEFAULT,
    name: Any = None,
    dtype: Any = None,
) -> Row:
    """-sum(alpha t (1 - p)^gamma log p), p clipped to [1e-7, 1 - 1e-7], from logits too."""
    notes = [
        "alpha multiplies everything: a single number scales the loss, a list weighs the classes",
        *_smoothing_notes(label_smoothing, axis, alpha),
    ]
    if from_logits:
        notes.append("softmax(z) is clipped to [1e-7, 1 - 1e-7] too: logits of a wrong class at 1e4 have gradient 0")
    else:
        notes += ["probabilities are divided by their sum first", _CLIPPED, _LOGITS]
    options = {"alpha": alpha, "gamma": gamma, "from_logits": from_logits}
    return _row(
        "keras.categorical_focal_crossentropy",
        reduction,
        dtype,
        *notes,
        axis=axis,
        label_smoothing=label_smoothing,
        **options,
    )


@source("keras.losses.SparseCategoricalCrossentropy", "keras.losses.sparse_categorical_crossentropy")
def sparse_categorical_crossentropy(
    from_logits: Any = False,
    ignore_class: Any = None,
    reduction: Any = _DEFAULT,
    axis: Any = -1,
    name: Any = None,
    dtype: Any = None,
) -> Row:
    """-log p_y of integer labels, p clipped to [1e-7, 1 - 1e-7] and then divided by its sum, or of logits."""
    notes = [_INTEGERS]
    if ignore_class is not None:
        notes.append("ignored samples have 0, and leave the mean")
    if axis != -1:
        notes.append(_LAST)
    options = {"ignore_index": ignore_class, "axis": axis}
    if from_logits:
        more = {"from_logits": True}
        return _row("sparse_categorical_crossentropy", reduction, dtype, *notes, _INFINITE, **options, **more)
    notes += [
        "probabilities are clipped before they are divided by their sum; on Keras' other backends after it",
        _CLIPPED,
        _LOGITS,
        _SWITCHED,
    ]
    return _row("keras.sparse_categorical_crossentropy", reduction, dtype, *notes, **options)


_GENERALIZED = (
    _INTEGERS,
    "probabilities are taken as they are, neither clipped nor divided by their sum",
    "where p_y is 0 Keras' gradient is nan or infinite; here it is huge, but finite",
)


@source("keras.losses.CategoricalGeneralizedCrossEntropy")
def categorical_generalized_cross_entropy(
    q: Any = 0.5, reduction: Any = _DEFAULT, name: Any = None, dtype: Any = None
) -> Row:
    """(1 - p_y^q) / q of integer labels and probabilities, q in (0, 1)."""
    if not 0 < real("q", q) < 1:
        raise ValueError(f"q must be in (0, 1), got {q!r}")
    return _row("generalized_cross_entropy", reduction, dtype, *_GENERALIZED, q=q)


@source("keras.losses.categorical_generalized_cross_entropy")
def generalized_cross_entropy_function(q: Any, reduction: Any = None, name: Any = None, dtype: Any = None) -> Row:
    """(1 - p_y^q) / q of integer labels and probabilities; q has no default."""
    return _row("generalized_cross_entropy", reduction, dtype, *_GENERALIZED, q=q)


@source("keras.losses.CTC", "keras.losses.ctc")
def ctc(reduction: Any = _DEFAULT, name: Any = None, dtype: Any = None) -> Row:
    """Connectionist temporal classification of logits (N, T, C); blank 0, and 0 pads the labels."""
    return _row(
        "keras.ctc",
        reduction,
        dtype,
        "logits, (N, T, C), all frames; torch takes log-probabilities, (T, N, C)",
        "a sample has as many labels as are not 0, so padding stands behind them",
        "a plain mean over the batch; torch's mean divides each value by the number of labels first",
        "Keras computes it in float32 whatever comes, and is right to 1e-6 or so; here float64 is float64",
        "labels that do not fit into the frames have a value near 700 on TensorFlow; here inf, with gradient 0",
        _INTEGERS,
    )


_REGIONS = (
    "without axis the whole batch is one region and gives one number; other libraries average over samples",
    "1e-7 is added below the fraction; two empty regions have the loss 1 and gradient 0",
)


@source("keras.losses.Dice", "keras.losses.dice")
def dice(reduction: Any = _DEFAULT, name: Any = None, axis: Any = None, dtype: Any = None) -> Row:
    """1 - 2 sum(t p) / (sum(t) + sum(p) + 1e-7), over the whole batch unless there is an axis."""
    notes = _REGIONS if axis is None else _REGIONS[1:]
    return _row("keras.dice", reduction, dtype, *notes, axis=axis)


@source("keras.losses.Tversky", "keras.losses.tversky")
def tversky(
    alpha: Any = 0.5,
    beta: Any = 0.5,
    reduction: Any = _DEFAULT,
    name: Any = None,
    axis: Any = None,
    dtype: Any = None,
) -> Row:
    """1 - I / (I + alpha sum(t (1 - p)) + beta sum(p (1 - t)) + 1e-7), I = sum(t p)."""
    swapped = "alpha weighs false negatives and beta false positives, against Keras' documentation; elsewhere swapped"
    notes = (swapped, *(_REGIONS if axis is None else _REGIONS[1:]))
    return _row("keras.tversky", reduction, dtype, *notes, axis=axis, alpha=alpha, beta=beta)


_CIRCLE = (
    "features are taken as they are: divide them by their norms before",
    "a mean is over the anchors whose value is above 0",
    "the weights are part of the derivative; the paper takes them as constants",
)


@source("keras.losses.Circle", data="labels features")
def circle(
    gamma: Any = 80.0,
    margin: Any = 0.4,
    remove_diagonal: Any = True,
    reduction: Any = _DEFAULT,
    name: Any = None,
    dtype: Any = None,
) -> Row:
    """Circle loss of integer labels and features of unit length."""
    options: Mapping[str, Any] = {"gamma": gamma, "margin": margin, "remove_diagonal": remove_diagonal}
    return _row("keras.circle", reduction, dtype, *_CIRCLE, **options)


@source("keras.losses.circle", data="labels features")
def circle_function(
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: Any = True,
    gamma: Any = 80,
    margin: Any = 0.4,
    reduction: Any = None,
    name: Any = None,
    dtype: Any = None,
) -> Row:
    """Circle loss of each anchor, of integer labels and features of unit length."""
    if ref_labels is not None or ref_embeddings is not None:
        raise RefusedError("ref_labels and ref_embeddings are arrays of a call; no loss here takes reference features")
    return circle(gamma, margin, remove_diagonal, reduction, name, dtype)


refuses(ROWS, "keras.losses.Loss", "it is the base class, and computes nothing; multiloss.register makes a loss")
refuses(ROWS, "keras.losses.deserialize", "it makes a loss of its configuration; give the loss")
refuses(ROWS, "keras.losses.get", "it makes a loss of its name; give the loss")
refuses(ROWS, "keras.losses.serialize", "it gives a loss's configuration; multiloss losses have config()")

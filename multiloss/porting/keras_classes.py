"""The cross entropies of `keras.losses` (3.15), of two classes and of several, as losses of this library."""

from __future__ import annotations

from typing import Any

from multiloss.engine.options import real
from multiloss.porting.keras_common import DEFAULT, INTEGERS, row, source
from multiloss.porting.rows import Row

_LOGITS = "logits given as probabilities are clipped, with a loss of about 0 or 16 and gradient 0, and no error"
_CLIPPED = "probabilities are clipped to [1e-7, 1 - 1e-7], and the gradient is 0 outside"
_INFINITE = "an infinite logit gives nan in Keras; here the limit, where there is one"
_LAST = "Keras' TensorFlow backend has the classes on the last axis only; here they may be on any"
_SOFTMAX = (
    "of targets that do not sum to 1, TensorFlow's gradient is softmax(z) - t, not that of the value, "
    "sum(t) softmax(z) - t, which is given here"
)
_SWITCHED = (
    "on TensorFlow, Keras takes probabilities that come from its own softmax or sigmoid back to their logits; here "
    "probabilities are what they are"
)


@source("keras.losses.BinaryCrossentropy", "keras.losses.binary_crossentropy")
def binary_crossentropy(
    from_logits: Any = False,
    label_smoothing: Any = 0.0,
    axis: Any = -1,
    reduction: Any = DEFAULT,
    name: Any = None,
    dtype: Any = None,
) -> Row:
    """Mean of -t log p - (1 - t) log(1 - p), p clipped to [1e-7, 1 - 1e-7], or of logits."""
    options = {"label_smoothing": label_smoothing, "axis": axis}
    notes = ("labels are smoothed to t (1 - s) + s / 2",) if label_smoothing else ()
    if from_logits:
        logits = {"from_logits": True, "validate": False}
        return row("binary_crossentropy", reduction, dtype, *notes, _INFINITE, **options, **logits)
    return row("keras.binary_crossentropy", reduction, dtype, *notes, _CLIPPED, _LOGITS, _SWITCHED, **options)


@source("keras.losses.BinaryFocalCrossentropy", "keras.losses.binary_focal_crossentropy",
        back={"apply_class_balancing": lambda options: options.get("alpha") is not None})  # fmt: skip
def binary_focal_crossentropy(
    apply_class_balancing: Any = False,
    alpha: Any = 0.25,
    gamma: Any = 2.0,
    from_logits: Any = False,
    label_smoothing: Any = 0.0,
    axis: Any = -1,
    reduction: Any = DEFAULT,
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
        return row("keras.binary_focal_crossentropy", reduction, dtype, *notes, axis=axis, **options)
    notes += [
        "Keras takes 1 - p_t as a difference, which loses the digits of confident samples; here they are kept",
        "Keras' other backends clip sigmoid(z): certain, wrong logits have gradient 0; on TensorFlow it is as here",
    ]
    return row(
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
    reduction: Any = DEFAULT,
    name: Any = None,
    dtype: Any = None,
) -> Row:
    """-sum(t log p), p divided by its sum and clipped to [1e-7, 1 - 1e-7], or of logits."""
    options: dict[str, Any] = {"label_smoothing": label_smoothing, "axis": axis}
    notes = _smoothing_notes(label_smoothing, axis)
    if not from_logits:
        notes += ["probabilities are divided by their sum first; torch's nll_loss does not", _CLIPPED, _LOGITS]
        return row("keras.categorical_crossentropy", reduction, dtype, *notes, _SWITCHED, **options)
    notes += [_SOFTMAX, _INFINITE]
    options["from_logits"] = True
    if axis == -1:
        return row("categorical_crossentropy", reduction, dtype, *notes, **options, validate=False)
    return row("keras.categorical_crossentropy", reduction, dtype, *notes, **options)  # which smooths as Keras does


@source("keras.losses.CategoricalFocalCrossentropy", "keras.losses.categorical_focal_crossentropy")
def categorical_focal_crossentropy(
    alpha: Any = 0.25,
    gamma: Any = 2.0,
    from_logits: Any = False,
    label_smoothing: Any = 0.0,
    axis: Any = -1,
    reduction: Any = DEFAULT,
    name: Any = None,
    dtype: Any = None,
) -> Row:
    """-sum(alpha t (1 - p)^gamma log p), p clipped to [1e-7, 1 - 1e-7], from logits too."""
    notes = [
        "alpha multiplies everything: a single number scales the loss, a list weighs the classes",
        *_smoothing_notes(label_smoothing, axis, alpha),
    ]
    if not isinstance(alpha, int | float):
        notes.append("Keras rounds a list of alpha to float32, 1e-8 of the value; here it is as given")
    if from_logits:
        notes.append("softmax(z) is clipped to [1e-7, 1 - 1e-7] too: logits of a wrong class at 1e4 have gradient 0")
    else:
        notes += ["probabilities are divided by their sum first", _CLIPPED, _LOGITS]
    options = {"alpha": alpha, "gamma": gamma, "from_logits": from_logits}
    return row(
        "keras.categorical_focal_crossentropy",
        reduction,
        dtype,
        *notes,
        axis=axis,
        label_smoothing=label_smoothing,
        **options,
    )


@source("keras.losses.SparseCategoricalCrossentropy", "keras.losses.sparse_categorical_crossentropy",
        back={"ignore_class": "ignore_index"})  # fmt: skip
def sparse_categorical_crossentropy(
    from_logits: Any = False,
    ignore_class: Any = None,
    reduction: Any = DEFAULT,
    axis: Any = -1,
    name: Any = None,
    dtype: Any = None,
) -> Row:
    """-log p_y of integer labels, p clipped to [1e-7, 1 - 1e-7] and then divided by its sum, or of logits."""
    notes = [INTEGERS]
    if ignore_class is not None:
        notes.append("ignored samples have 0, and leave the mean")
    if axis != -1:
        notes.append(_LAST)
    options = {"ignore_index": ignore_class, "axis": axis}
    if from_logits:
        more = {"from_logits": True}
        return row("sparse_categorical_crossentropy", reduction, dtype, *notes, _INFINITE, **options, **more)
    notes += [
        "probabilities are clipped before they are divided by their sum; on Keras' other backends after it",
        _CLIPPED,
        _LOGITS,
        _SWITCHED,
    ]
    return row("keras.sparse_categorical_crossentropy", reduction, dtype, *notes, **options)


_GENERALIZED = (
    INTEGERS,
    "probabilities are taken as they are, neither clipped nor divided by their sum",
    "where p_y is 0 Keras' gradient is nan or infinite; here it is huge, but finite",
)


@source("keras.losses.CategoricalGeneralizedCrossEntropy")
def categorical_generalized_cross_entropy(
    q: Any = 0.5, reduction: Any = DEFAULT, name: Any = None, dtype: Any = None
) -> Row:
    """(1 - p_y^q) / q of integer labels and probabilities, q in (0, 1)."""
    if not 0 < real("q", q) < 1:
        raise ValueError(f"q must be in (0, 1), got {q!r}")
    return row("generalized_cross_entropy", reduction, dtype, *_GENERALIZED, q=q)


@source("keras.losses.categorical_generalized_cross_entropy")
def generalized_cross_entropy_function(q: Any, reduction: Any = None, name: Any = None, dtype: Any = None) -> Row:
    """(1 - p_y^q) / q of integer labels and probabilities; q has no default."""
    return row("generalized_cross_entropy", reduction, dtype, *_GENERALIZED, q=q)

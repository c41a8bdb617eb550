"""The losses of `keras.losses` (3.15) as losses of this library. Classes reduce, functions give one value per sample.

If Keras' backends disagree, this is what TensorFlow's does. Keras' epsilon is assumed to be its default, 1e-7.
Cross entropies are in `keras_classes.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multiloss.porting import keras_classes, keras_common
from multiloss.porting.keras_common import DEFAULT, INTEGERS, row, source
from multiloss.porting.rows import RefusedError, Row, refuses

__all__ = ["ROWS", "keras_classes"]

ROWS = keras_common.ROWS


@source("keras.losses.MeanSquaredError", "keras.losses.mean_squared_error")
def mean_squared_error(reduction: Any = DEFAULT, name: Any = None, dtype: Any = None) -> Row:
    """Mean of squared errors over the last axis, then over samples."""
    return row("mean_squared_error", reduction, dtype)


@source("keras.losses.MeanAbsoluteError", "keras.losses.mean_absolute_error")
def mean_absolute_error(reduction: Any = DEFAULT, name: Any = None, dtype: Any = None) -> Row:
    """Mean of absolute errors over the last axis, then over samples; gradient 0 for no error."""
    return row("mean_absolute_error", reduction, dtype)


@source("keras.losses.MeanAbsolutePercentageError", "keras.losses.mean_absolute_percentage_error")
def mean_absolute_percentage_error(reduction: Any = DEFAULT, name: Any = None, dtype: Any = None) -> Row:
    """100 times the mean of |t - p| / max(|t|, 1e-7), in percent."""
    notes = ("in percent: 100 times what other libraries give", "a target of 0 counts as 1e-7, so values of 1e9 appear")
    return row("mean_absolute_percentage_error", reduction, dtype, *notes)


@source("keras.losses.MeanSquaredLogarithmicError", "keras.losses.mean_squared_logarithmic_error")
def mean_squared_logarithmic_error(reduction: Any = DEFAULT, name: Any = None, dtype: Any = None) -> Row:
    """Mean of (log(1 + max(p, 1e-7)) - log(1 + max(t, 1e-7)))^2."""
    return row(
        "keras.mean_squared_logarithmic_error",
        reduction,
        dtype,
        "predictions below 1e-7, and all negative ones, count as 1e-7 and have gradient 0",
        "Keras takes log(x + 1), which loses the digits of small x; here it is log1p",
    )


@source("keras.losses.CosineSimilarity", "keras.losses.cosine_similarity")
def cosine_similarity(axis: Any = -1, reduction: Any = DEFAULT, name: Any = None, dtype: Any = None) -> Row:
    """Minus the cosine of two vectors, each norm at least 1e-7."""
    return row(
        "keras.cosine_similarity",
        reduction,
        dtype,
        "minus the cosine; torch and Optax have the other sign",
        "vectors of a norm below 1e-7 are divided by 1e-7, so their value is smaller than the cosine",
        "Keras gives 0 for vectors whose squares overflow (1e20 in float32, 1e200 in float64); here the cosine",
        axis=axis,
    )


@source("keras.losses.Huber", "keras.losses.huber")
def huber(delta: Any = 1.0, reduction: Any = DEFAULT, name: Any = None, dtype: Any = None) -> Row:
    """Mean of e^2 / 2 up to delta, and of delta |e| - delta^2 / 2 beyond."""
    note = "an infinite error has a gradient of nan in Keras; here delta"
    return row("huber", reduction, dtype, note, delta=delta)


@source("keras.losses.LogCosh", "keras.losses.log_cosh")
def log_cosh(reduction: Any = DEFAULT, name: Any = None, dtype: Any = None) -> Row:
    """Mean of e + softplus(-2 e) - log 2."""
    return row(
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
def hinge(reduction: Any = DEFAULT, name: Any = None, dtype: Any = None) -> Row:
    """Mean of max(0, 1 - t z), labels -1 and 1, or 0 and 1 in all of the batch."""
    return row("keras.hinge", reduction, dtype, _CONVERTED)


@source("keras.losses.SquaredHinge", "keras.losses.squared_hinge")
def squared_hinge(reduction: Any = DEFAULT, name: Any = None, dtype: Any = None) -> Row:
    """Mean of max(0, 1 - t z)^2, labels -1 and 1, or 0 and 1 in all of the batch."""
    return row("keras.squared_hinge", reduction, dtype, _CONVERTED)


@source("keras.losses.CategoricalHinge", "keras.losses.categorical_hinge")
def categorical_hinge(reduction: Any = DEFAULT, name: Any = None, dtype: Any = None) -> Row:
    """max(0, 1 + max((1 - t) z) - sum(t z)) of one-hot targets."""
    return row(
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
def kl_divergence(reduction: Any = DEFAULT, name: Any = None, dtype: Any = None) -> Row:
    """sum(t log(t / p)) over the last axis, with t and p clipped to [1e-7, 1]."""
    return row(
        "keras.kl_divergence",
        reduction,
        dtype,
        "both arguments are clipped to [1e-7, 1]; a prediction outside has gradient 0",
        "takes probabilities; torch and Optax take log-probabilities as predictions",
        "nothing is normalised: predictions that sum to 2 give a negative value",
        "log-probabilities given to it are clipped: a plausible number with gradient 0",
    )


@source("keras.losses.Poisson", "keras.losses.poisson")
def poisson(reduction: Any = DEFAULT, name: Any = None, dtype: Any = None) -> Row:
    """Mean of p - t log(p + 1e-7), p a rate."""
    return row(
        "poisson",
        reduction,
        dtype,
        "takes rates; torch's PoissonNLLLoss takes their logarithms by default, and has 1e-8 for 1e-7",
        "a rate below -1e-7 has the value nan, but a finite gradient",
        epsilon=1e-7,
        validate=False,
    )


@source("keras.losses.CTC", "keras.losses.ctc")
def ctc(reduction: Any = DEFAULT, name: Any = None, dtype: Any = None) -> Row:
    """Connectionist temporal classification of logits (N, T, C); blank 0, and 0 pads the labels."""
    return row(
        "keras.ctc",
        reduction,
        dtype,
        "logits, (N, T, C), all frames; torch takes log-probabilities, (T, N, C)",
        "a sample has as many labels as are not 0, so padding stands behind them",
        "a plain mean over the batch; torch's mean divides each value by the number of labels first",
        "Keras computes it in float32 whatever comes, and is right to 1e-6 or so; here float64 is float64",
        "labels that do not fit into the frames have a value near 700 on TensorFlow; here inf, with gradient 0",
        INTEGERS,
    )


_REGIONS = (
    "without axis the whole batch is one region and gives one number; other libraries average over samples",
    "1e-7 is added below the fraction; two empty regions have the loss 1 and gradient 0",
)


@source("keras.losses.Dice", "keras.losses.dice")
def dice(reduction: Any = DEFAULT, name: Any = None, axis: Any = None, dtype: Any = None) -> Row:
    """1 - 2 sum(t p) / (sum(t) + sum(p) + 1e-7), over the whole batch unless there is an axis."""
    notes = _REGIONS if axis is None else _REGIONS[1:]
    return row("keras.dice", reduction, dtype, *notes, axis=axis)


@source("keras.losses.Tversky", "keras.losses.tversky")
def tversky(
    alpha: Any = 0.5,
    beta: Any = 0.5,
    reduction: Any = DEFAULT,
    name: Any = None,
    axis: Any = None,
    dtype: Any = None,
) -> Row:
    """1 - I / (I + alpha sum(t (1 - p)) + beta sum(p (1 - t)) + 1e-7), I = sum(t p)."""
    swapped = "alpha weighs false negatives and beta false positives, against Keras' documentation; elsewhere swapped"
    version = (
        "so Keras has it up to 3.15, and a written form means that; Keras 3.16 exchanges alpha and beta: an object is "
        "asked which it has"
    )
    notes = (swapped, version, *(_REGIONS if axis is None else _REGIONS[1:]))
    return row("keras.tversky", reduction, dtype, *notes, axis=axis, alpha=alpha, beta=beta)


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
    reduction: Any = DEFAULT,
    name: Any = None,
    dtype: Any = None,
) -> Row:
    """Circle loss of integer labels and features of unit length."""
    options: Mapping[str, Any] = {"gamma": gamma, "margin": margin, "remove_diagonal": remove_diagonal}
    return row("keras.circle", reduction, dtype, *_CIRCLE, **options)


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

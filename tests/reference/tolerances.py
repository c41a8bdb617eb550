"""How large a rounding error may be: the sum of the absolute values of the terms that a formula adds.

A computed sum of n terms, each right to c units in the last place, is off by at most (n + c) x unit x (sum of the
terms' absolute values). Where a formula adds terms of one sign that is the value itself; `magnitude` is it per
sample, `gradient_magnitude` per element of the gradient. Tests multiply by (n + c) x unit and allow no more.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import classification
from .losses import CLASS_LOSSES, Axis, outer_shape, per_sample, per_sample_gradient, samples, targets
from .scalars import divide, sigmoid, total

Array = NDArray[np.float64]


def magnitude(name: str, y_true: ArrayLike, y_pred: ArrayLike, *, axis: Axis = -1, **options: Any) -> Array:
    """Per-sample sum of the terms' absolute values."""
    pred = np.asarray(y_pred)
    if name not in CLASS_LOSSES and not options.get("from_logits"):
        return np.abs(per_sample(name, y_true, y_pred, axis=axis, **options))
    out = np.zeros(outer_shape(pred.shape, axis))
    for place, elements in samples(pred.shape, axis):
        t = targets(name, y_true, place, elements)
        p = [float(pred[index]) for index in elements]
        if name == "binary_crossentropy":
            out[place] = total([_binary(a, b, **options) for a, b in zip(t, p, strict=True)]) / len(p)
        elif name == "kl_divergence":
            out[place] = _kl(t, p, **options)
        else:
            out[place] = _categorical(t, p, **options)
    return out


def _binary(t: float, p: float, **options: Any) -> float:
    """From logits a soft target mixes terms of the size of the logit (max(z, 0) - t z); a hard one does not."""
    soft = 0.0 < t * (1.0 - options.get("label_smoothing", 0.0)) + options.get("label_smoothing", 0.0) / 2.0 < 1.0
    return classification.binary(t, p, **options) + (abs(p) if soft else 0.0)


def _kl(t: list[float], p: list[float], epsilon: float = 1e-7, normalize: bool = False) -> float:
    """t log t and t log p have opposite signs; a division by the sum adds a relative error to each argument: t."""
    if normalize:
        t, p = [v / total(t) for v in t], [v / total(p) for v in p]
    terms = [
        a * (abs(math.log(max(a, epsilon))) + abs(math.log(max(b, epsilon))) + normalize)
        for a, b in zip(t, p, strict=True)
        if a > 0.0
    ]
    return total(terms)


def _categorical(t: list[float], p: list[float], **options: Any) -> float:
    """From logits the differences z_k - max z carry a unit of max |z|; a hard target's tail still has to be right."""
    value = classification.categorical(t, p, **options)
    weights = [abs(v) for v in classification.smoothed(t, options.get("label_smoothing", 0.0))]
    if options.get("from_logits"):
        return value + total(weights) * (max(p) - min(p) + math.log(len(p)))
    return value + (total(weights) if options.get("normalize") else 0.0)


def gradient_magnitude(name: str, y_true: ArrayLike, y_pred: ArrayLike, *, axis: Axis = -1, **options: Any) -> Array:
    """The same for each element of the per-sample gradient."""
    pred = np.asarray(y_pred)
    out = np.abs(per_sample_gradient(name, y_true, y_pred, axis=axis, **options))
    s, from_logits = options.get("label_smoothing", 0.0), options.get("from_logits", False)
    epsilon = options.get("epsilon", 1e-7)
    for place, elements in samples(pred.shape, axis):
        t = targets(name, y_true, place, elements)
        p = [float(pred[index]) for index in elements]
        if name == "binary_crossentropy":
            for index, a, b in zip(elements, t, p, strict=True):
                a = a * (1.0 - s) + s / 2.0
                if 0.0 < a < 1.0:
                    right = 0.0 if 1.0 - b < epsilon else divide(1.0 - a, 1.0 - b)
                    left = 0.0 if b < epsilon else divide(a, b)
                    out[index] = (sigmoid(b) + a if from_logits else left + right) / len(p)
        elif name in CLASS_LOSSES and from_logits:
            t = classification.smoothed(t, s)
            powers = classification.exponentials(p)
            for k, index in enumerate(elements):
                share = powers[k] / total(powers)
                out[index] = total(t) * share * (1.0 + max(p) - p[k]) + abs(t[k])
        elif name in CLASS_LOSSES and options.get("normalize"):
            size = total(p)
            shares = t if name != "kl_divergence" else [v / total(t) for v in t]
            shares = classification.smoothed(shares, s)
            slopes = [classification.floored_log_slope(a, b / size, epsilon) for a, b in zip(shares, p, strict=True)]
            mean = total([slopes[k] * p[k] / size for k in range(len(p))])
            for k, index in enumerate(elements):
                out[index] = (slopes[k] + mean) / size
    return out

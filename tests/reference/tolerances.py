"""How large a rounding error may be: the sum of the absolute values of the terms that a formula adds.

A computed sum of n terms, each right to c units in the last place, is off by at most (n + c) x unit x (sum of the
terms' absolute values). Where a formula adds terms of one sign that is the value itself; `magnitude` is it per
sample, `gradient_magnitude` per element of the gradient. Tests multiply by (n + c) x unit and allow no more.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .losses import CLASS_LOSSES, SPARSE, Axis, gradient, per_sample, samples, targets

Array = NDArray[np.float64]


def _finite(x: ArrayLike) -> NDArray[Any]:
    """Masked samples may hold anything, which has no size."""
    return np.where(np.isfinite(x), x, 0.5) if np.asarray(x).dtype.kind == "f" else np.asarray(x)


def _vectors(name: str, y_true: ArrayLike, y_pred: ArrayLike, axis: Axis, options: dict[str, Any]) -> tuple[Any, Any]:
    """Targets as the formula has them (one-hot, normalised, smoothed), and predictions, along one last axis."""
    t, p = targets(name, y_true, axis), samples(y_pred, axis).astype(np.float64)
    t = np.eye(p.shape[-1])[t] if name == SPARSE else t.astype(np.float64)
    if name == "kl_divergence" and options.get("normalize"):
        t = t / t.sum(-1, keepdims=True)
    s = options.get("label_smoothing", 0.0)
    return t * (1 - s) + s / (p.shape[-1] if name in CLASS_LOSSES else 2), p


def magnitude(name: str, y_true: ArrayLike, y_pred: ArrayLike, *, axis: Axis = -1, **options: Any) -> Array:
    y_true, y_pred = _finite(y_true), _finite(y_pred)
    value = np.abs(per_sample(name, y_true, y_pred, axis=axis, **options))
    t, p = _vectors(name, y_true, y_pred, axis, options)
    normalize, epsilon = options.get("normalize", False), options.get("epsilon", 1e-7)
    if name == "kl_divergence":
        # t log t and t log p have opposite signs; a division by the sum adds a relative error to each argument: t.
        p = p / p.sum(-1, keepdims=True) if normalize else p
        logs = (np.abs(np.log(np.maximum(x, epsilon))) for x in (t, p))
        return np.sum(t * (sum(logs) + normalize), -1)
    if options.get("from_logits") and name in CLASS_LOSSES:
        # The differences z_k - max z carry a unit of max |z|; a hard target's tail still has to be right.
        return value + np.abs(t).sum(-1) * (np.ptp(p, -1) + np.log(p.shape[-1]))
    if options.get("from_logits"):
        # A soft target mixes terms of the size of the logit (max(z, 0) - t z); a hard one does not.
        return value + np.mean(np.where((t > 0) & (t < 1), np.abs(p), 0.0), -1)
    return value + (np.abs(t).sum(-1) if normalize else 0.0)


def gradient_magnitude(name: str, y_true: ArrayLike, y_pred: ArrayLike, *, axis: Axis = -1, **options: Any) -> Array:
    """The same for each element of the per-sample gradient."""
    y_true, y_pred = _finite(y_true), _finite(y_pred)
    plain = np.abs(gradient(name, y_true, y_pred, axis=axis, reduction="none", **options))
    t, p = _vectors(name, y_true, y_pred, axis, options)
    epsilon = options.get("epsilon", 1e-7)
    sizes = samples(plain, axis)

    def quotient(a: Array, b: Array) -> Array:
        return np.where(b < epsilon, 0.0, a / np.where(b == 0, 1.0, b))

    if name == "binary_crossentropy":
        both = 1 / (1 + np.exp(-p)) + t if options.get("from_logits") else quotient(t, p) + quotient(1 - t, 1 - p)
        sizes = np.where((t > 0) & (t < 1), both / p.shape[-1], sizes)
    elif name in CLASS_LOSSES and options.get("from_logits"):
        powers = np.exp(p - p.max(-1, keepdims=True))
        share = powers / powers.sum(-1, keepdims=True)
        sizes = t.sum(-1, keepdims=True) * share * (1 + p.max(-1, keepdims=True) - p) + np.abs(t)
    elif name in CLASS_LOSSES and options.get("normalize"):
        size = p.sum(-1, keepdims=True)
        each = quotient(t, p / size)
        sizes = (each + np.sum(each * p / size, -1, keepdims=True)) / size
    out, where = np.zeros(plain.shape), samples(np.arange(plain.size).reshape(plain.shape), axis)
    out.flat[where] = sizes
    return out

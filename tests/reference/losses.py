"""Losses of the catalogue over any axis, with weights, masks and reductions: one loop over the samples.

Elementwise losses average over `axis`, the two roots take the root of that average, class losses sum over it.
"""

import functools
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .catalogue import ENTRIES
from .catalogue.entry import STEP
from .information import CONTEXT as mp
from .reductions import coefficients, from_left, reduce

Array = NDArray[np.float64]
Axis = int | tuple[int, ...] | None
Index = tuple[int, ...]
SPARSE = "sparse_categorical_crossentropy"
CLASS_LOSSES = ("kl_divergence", "categorical_crossentropy", SPARSE)
LOSSES = (
    "mean_squared_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_logarithmic_error",
    "log_cosh",
    "huber",
    "binary_crossentropy",
    "root_mean_squared_error",
    "root_mean_squared_logarithmic_error",
    *CLASS_LOSSES,
)


def axes(axis: Axis, ndim: int) -> Index:
    """`axis` as a tuple of numbers in [0, ndim); None is all of them."""
    if axis is None:
        return tuple(range(ndim))
    return tuple(a % ndim for a in ((axis,) if isinstance(axis, int) else axis))


def samples(x: ArrayLike, axis: Axis) -> NDArray[Any]:
    """The elements of each sample along one last axis; the others are those of the per-sample values."""
    array = np.asarray(x)
    inner = axes(axis, array.ndim)
    outer = [a for a in range(array.ndim) if a not in inner]
    size = int(np.prod([array.shape[a] for a in inner]))
    return np.transpose(array, (*outer, *inner)).reshape(*(array.shape[a] for a in outer), size)


def outer_shape(shape: Index, axis: Axis) -> Index:
    return samples(np.empty(shape), axis).shape[:-1]


def targets(name: str, y_true: ArrayLike, axis: Axis) -> NDArray[Any]:
    """The target of each sample: its elements, or its label."""
    return np.asarray(y_true) if name == SPARSE else samples(y_true, axis)


def value_of(name: str, t: Any, p: list[Any], **options: Any) -> Any:
    entry = ENTRIES[name][0]
    t = int(t) if name == SPARSE else [mp.mpf(float(v)) for v in t]
    if entry.kind == "row":
        return entry.formula(t, p, **options)
    return mp.fsum(entry.formula(a, b, **options) for a, b in zip(t, p, strict=True)) / len(p)


def slopes(name: str, t: Any, p: list[Any], **options: Any) -> list[Any]:
    """The derivative of that value by each of its elements: central differences, and 0 where both sides cancel, as at a
    kink. A probability of 1e-26 is the derivative of a value near 20, which is why there are more digits.
    """
    found = []
    with mp.workdps(90):
        here = value_of(name, t, p, **options)
        for k, x in enumerate(p):
            up, down = (value_of(name, t, [*p[:k], x + s, *p[k + 1 :]], **options) - here for s in (STEP, -STEP))
            cancels = abs(up - down) < 1e-9 * (abs(up) + abs(down))
            found.append(mp.mpf(0) if cancels else (up - down) / (2 * STEP))
    return found


def exactly(p: NDArray[Any]) -> list[Any]:
    return [mp.mpf(float(v)) for v in p]


@functools.cache
def exact(name: str, y_true: float, y_pred: float, **options: Any) -> tuple[Any, Any]:
    """Value and derivative (by `y_pred`) of one element of an elementwise loss, as mpmath numbers."""
    p = exactly(np.array([y_pred]))
    return value_of(name, [y_true], p, **options), slopes(name, [y_true], p, **options)[0]


def weight_and_mask(
    name: str,
    y_true: ArrayLike,
    y_pred: ArrayLike,
    axis: Axis,
    sample_weight: ArrayLike | None,
    mask: ArrayLike | None,
    class_weight: ArrayLike | None,
    ignore_index: int | None,
) -> tuple[Array, NDArray[np.bool_]]:
    """Weight and mask of each sample: `class_weight` multiplies the weight, an ignored label is a masked sample.

    The class weight of a label is w[label], that of a target vector sum_k w_k t_k (unsmoothed).
    """
    shape, t = outer_shape(np.shape(y_pred), axis), targets(name, y_true, axis)
    weights = from_left(1.0 if sample_weight is None else sample_weight, shape).astype(np.float64)
    kept = from_left(True if mask is None else mask, shape).astype(bool)
    if ignore_index is not None:
        kept = kept & (t != ignore_index)
    if class_weight is not None:
        each = np.asarray(class_weight, dtype=np.float64)
        weights = weights * np.where(kept, each[np.where(kept, t, 0)] if name == SPARSE else t @ each, 1.0)
    return weights, kept


def loss(
    name: str,
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    reduction: str = "mean",
    sample_weight: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    axis: Axis = -1,
    class_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    **options: Any,
) -> Array:
    """The reduced value of the whole batch (0-d; per sample for `reduction="none"`)."""
    weights, kept = weight_and_mask(name, y_true, y_pred, axis, sample_weight, mask, class_weight, ignore_index)
    t, p, values = targets(name, y_true, axis), samples(y_pred, axis), np.zeros(kept.shape)
    for place in np.ndindex(kept.shape):
        if kept[place]:
            values[place] = float(value_of(name, t[place], exactly(p[place]), **options))
    return reduce(values, reduction, weights, kept)


def per_sample(name: str, y_true: ArrayLike, y_pred: ArrayLike, **options: Any) -> Array:
    return loss(name, y_true, y_pred, reduction="none", **options)


def gradient(
    name: str,
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    reduction: str = "mean",
    sample_weight: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    axis: Axis = -1,
    class_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    **options: Any,
) -> Array:
    """The gradient of `loss` (of its sum for `reduction="none"`) with respect to `y_pred`; exactly 0 where masked."""
    weights, kept = weight_and_mask(name, y_true, y_pred, axis, sample_weight, mask, class_weight, ignore_index)
    factors = coefficients(weights.shape, reduction, weights, kept)
    t, p, out = targets(name, y_true, axis), samples(y_pred, axis), np.zeros(np.shape(y_pred))
    where = samples(np.arange(out.size).reshape(out.shape), axis)
    for place in np.ndindex(kept.shape):
        if kept[place]:
            found = slopes(name, t[place], exactly(p[place]), **options)
            out.flat[where[place]] = [float(factors[place] * x) for x in found]
    return out

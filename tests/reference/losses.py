"""The losses by name: one loop over the samples, one over the elements of each.

Elementwise losses average over `axis`, the two roots take the root of that average, class losses sum over it.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import classification, divergence, regression
from .reductions import coefficients, from_left, reduce
from .scalars import total

Array = NDArray[np.float64]
Axis = int | tuple[int, ...] | None
Index = tuple[int, ...]

#: name -> (value, derivative) of one element
ELEMENTWISE: dict[str, tuple[Callable[..., float], Callable[..., float]]] = {
    "mean_squared_error": (regression.squared_error, regression.squared_error_slope),
    "mean_absolute_error": (regression.absolute_error, regression.absolute_error_slope),
    "mean_absolute_percentage_error": (regression.percentage_error, regression.percentage_error_slope),
    "mean_squared_logarithmic_error": (regression.squared_log_error, regression.squared_log_error_slope),
    "log_cosh": (regression.log_cosh, regression.log_cosh_slope),
    "huber": (regression.huber, regression.huber_slope),
    "binary_crossentropy": (classification.binary, classification.binary_slope),
}
#: name -> (d, its derivative): the value is sqrt(mean of d^2)
ROOTS: dict[str, tuple[Callable[..., float], Callable[..., float]]] = {
    "root_mean_squared_error": (lambda t, p: p - t, lambda t, p: 1.0),
    "root_mean_squared_logarithmic_error": (regression.log_ratio, regression.log_ratio_slope),
}
#: name -> (value, gradient) of one sample's vectors
CLASS_LOSSES: dict[str, tuple[Callable[..., float], Callable[..., list[float]]]] = {
    "kl_divergence": (divergence.kl_divergence, divergence.kl_divergence_slope),
    "categorical_crossentropy": (classification.categorical, classification.categorical_slope),
    "sparse_categorical_crossentropy": (classification.categorical, classification.categorical_slope),
}
SPARSE = "sparse_categorical_crossentropy"
LOSSES = (*ELEMENTWISE, *ROOTS, *CLASS_LOSSES)


def axes(axis: Axis, ndim: int) -> Index:
    """`axis` as a tuple of numbers in [0, ndim); None is all of them."""
    if axis is None:
        return tuple(range(ndim))
    return tuple(a % ndim for a in ((axis,) if isinstance(axis, int) else axis))


def samples(shape: Index, axis: Axis) -> Iterator[tuple[Index, list[Index]]]:
    """For each sample: its place among the per-sample values, and the places of its elements in `y_pred`."""
    inner = axes(axis, len(shape))
    outer = [a for a in range(len(shape)) if a not in inner]
    for place in np.ndindex(tuple(shape[a] for a in outer)):
        elements = []
        for within in np.ndindex(tuple(shape[a] for a in inner)):
            index = [0] * len(shape)
            for a, i in zip(outer, place, strict=True):
                index[a] = i
            for a, i in zip(inner, within, strict=True):
                index[a] = i
            elements.append(tuple(index))
        yield place, elements


def outer_shape(shape: Index, axis: Axis) -> Index:
    """The shape of the per-sample values."""
    inner = axes(axis, len(shape))
    return tuple(n for a, n in enumerate(shape) if a not in inner)


def targets(name: str, y_true: ArrayLike, place: Index, elements: list[Index]) -> list[float]:
    """One sample's targets; for integer labels the one-hot vector."""
    array = np.asarray(y_true)
    if name == SPARSE:
        return classification.one_hot(int(array[place]), len(elements))
    return [float(array[index]) for index in elements]


def per_sample(name: str, y_true: ArrayLike, y_pred: ArrayLike, *, axis: Axis = -1, **options: Any) -> Array:
    """One value per sample: mean (or root of the mean) of the elements over `axis`, for class losses their sum."""
    pred = np.asarray(y_pred)
    values = np.zeros(outer_shape(pred.shape, axis))
    for place, elements in samples(pred.shape, axis):
        t = targets(name, y_true, place, elements)
        p = [float(pred[index]) for index in elements]
        if name in CLASS_LOSSES:
            values[place] = CLASS_LOSSES[name][0](t, p, **options)
        elif name in ROOTS:
            root = math.hypot(*(ROOTS[name][0](a, b, **options) for a, b in zip(t, p, strict=True)))
            values[place] = root / math.sqrt(len(p))
        else:
            each = [ELEMENTWISE[name][0](a, b, **options) for a, b in zip(t, p, strict=True)]
            values[place] = total(each) / len(each)
    return values


def per_sample_gradient(name: str, y_true: ArrayLike, y_pred: ArrayLike, *, axis: Axis = -1, **options: Any) -> Array:
    """The gradient of each sample's value with respect to its own elements, in the shape of `y_pred`.

    Means: slope / n. Roots: d sqrt(mean d^2) = d_i d_i' / (n root), and 0 at the exact fit.
    """
    pred = np.asarray(y_pred)
    out = np.zeros(pred.shape)
    for place, elements in samples(pred.shape, axis):
        t = targets(name, y_true, place, elements)
        p = [float(pred[index]) for index in elements]
        n = len(p)
        if name in CLASS_LOSSES:
            slopes = CLASS_LOSSES[name][1](t, p, **options)
        elif name in ROOTS:
            difference, slope = ROOTS[name]
            d = [difference(a, b) for a, b in zip(t, p, strict=True)]
            root = math.hypot(*d) / math.sqrt(n)
            slopes = [0.0 if root == 0.0 else d[i] / root / n * slope(t[i], p[i]) for i in range(n)]
        else:
            slopes = [ELEMENTWISE[name][1](a, b, **options) / n for a, b in zip(t, p, strict=True)]
        for index, value in zip(elements, slopes, strict=True):
            out[index] = value
    return out


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
    pred = np.asarray(y_pred)
    shape = outer_shape(pred.shape, axis)
    weights = np.ones(shape) if sample_weight is None else from_left(sample_weight, shape).astype(np.float64)
    kept = np.ones(shape, dtype=bool) if mask is None else from_left(mask, shape).astype(bool)
    for place, elements in samples(pred.shape, axis):
        if ignore_index is not None and int(np.asarray(y_true)[place]) == ignore_index:
            kept[place] = False
        if class_weight is not None and kept[place]:
            t = targets(name, y_true, place, elements)
            by_class = [float(w) for w in np.asarray(class_weight)]
            weights[place] *= total([t[k] * by_class[k] for k in range(len(t))])
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
    values = per_sample(name, y_true, y_pred, axis=axis, **options)
    weights, kept = weight_and_mask(name, y_true, y_pred, axis, sample_weight, mask, class_weight, ignore_index)
    return reduce(values, reduction, weights, kept)


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
    slopes = per_sample_gradient(name, y_true, y_pred, axis=axis, **options)
    weights, kept = weight_and_mask(name, y_true, y_pred, axis, sample_weight, mask, class_weight, ignore_index)
    factors = coefficients(weights.shape, reduction, weights, kept)
    out = np.zeros(slopes.shape)
    for place, elements in samples(slopes.shape, axis):
        for index in elements:
            if kept[place]:
                out[index] = factors[place] * slopes[index]
    return out

"""From per-sample values to one number: reductions, weights and masks (contract, section 2), element by element."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .scalars import divide, total

Array = NDArray[np.float64]
REDUCTIONS = ("mean", "weighted_mean", "sum", "batchmean", "none")


def from_left(array: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.generic]:
    """`array` repeated to `shape`, its axes aligned with the first ones of `shape` (the batch comes first)."""
    given = np.asarray(array)
    return np.broadcast_to(given.reshape(given.shape + (1,) * (len(shape) - given.ndim)), shape)


def coefficients(
    shape: tuple[int, ...], reduction: str, sample_weight: ArrayLike | None = None, mask: ArrayLike | None = None
) -> Array:
    """What each per-sample value is multiplied by in the reduced value (in the sum, for "none"); 0 where masked.

    * "mean": weight / number of unmasked values
    * "weighted_mean": weight / sum of the unmasked weights (0 if all of them are 0)
    * "sum", "none": weight
    * "batchmean": weight / size of the first dimension (1 for a single value)
    """
    weights = np.ones(shape) if sample_weight is None else from_left(sample_weight, shape).astype(np.float64)
    kept = np.ones(shape, dtype=bool) if mask is None else from_left(mask, shape).astype(bool)
    count = 0
    unmasked = []
    for index in np.ndindex(shape):
        if kept[index]:
            count += 1
            unmasked.append(float(weights[index]))
    if reduction == "mean":
        divisor = float(count)
    elif reduction == "weighted_mean":
        divisor = total(unmasked)
    elif reduction == "batchmean":
        divisor = float(shape[0]) if shape else 1.0
    elif reduction in ("sum", "none"):
        divisor = 1.0
    else:
        raise ValueError(reduction)
    out = np.zeros(shape)
    for index in np.ndindex(shape):
        if kept[index] and weights[index] != 0.0:
            out[index] = divide(float(weights[index]), divisor)
    return out


def reduce(
    values: ArrayLike, reduction: str, sample_weight: ArrayLike | None = None, mask: ArrayLike | None = None
) -> Array:
    """The reduced value, 0-d, or for "none" the weighted values with 0 where masked. Nothing left gives 0."""
    given = np.asarray(values, dtype=np.float64)
    factors = coefficients(given.shape, reduction, sample_weight, mask)
    kept = np.ones(given.shape, dtype=bool) if mask is None else from_left(mask, given.shape)
    out = np.zeros(given.shape)
    for index in np.ndindex(given.shape):
        if kept[index]:  # a masked nan must not come in, not even as nan * 0
            out[index] = factors[index] * given[index]
    if reduction == "none":
        return out
    return np.asarray(total([float(v) for v in out.ravel()]))

"""From per-sample values to one number: reductions, weights and masks (contract, section 2)."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

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

    The weight, divided by: the number of unmasked values ("mean"), the sum of their weights ("weighted_mean"), the size
    of the first dimension ("batchmean"; 1 of a single value), 1 ("sum", "none"). Nothing divided by nothing is 0.
    """
    kept = np.ones(shape, bool) if mask is None else from_left(mask, shape).astype(bool)
    weights = np.where(kept, 1.0 if sample_weight is None else from_left(sample_weight, shape), 0.0)
    divisor = {
        "mean": kept.sum(),
        "weighted_mean": math.fsum(weights.ravel()),
        "batchmean": shape[0] if shape else 1,
        "sum": 1,
        "none": 1,
    }[reduction]
    return weights / divisor if weights.any() else weights


def reduce(
    values: ArrayLike, reduction: str, sample_weight: ArrayLike | None = None, mask: ArrayLike | None = None
) -> Array:
    """The reduced value, 0-d, or for "none" the weighted values with 0 where masked, whatever was there."""
    given = np.asarray(values, dtype=np.float64)
    kept = np.ones(given.shape, bool) if mask is None else from_left(mask, given.shape)
    out = coefficients(given.shape, reduction, sample_weight, mask) * np.where(kept, given, 0.0)
    return out if reduction == "none" else np.asarray(math.fsum(out.ravel()))

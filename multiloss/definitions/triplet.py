"""The triplet loss of a batch, whose labels say which pairs are positive and which negative."""

from __future__ import annotations

import math
from typing import Any, Literal

from multiloss.definitions.contrastive import any_of, nothing, ones_where, pairs
from multiloss.engine.definition import of_inputs
from multiloss.engine.options import NonNegative

Array = Any


@of_inputs({"labels": "N int", "features": "N D"})
def triplet(
    xp: Any,
    labels: Array,
    features: Array,
    *,
    keep: Array | None = None,
    margin: NonNegative = 0.2,
    mining: Literal["hard", "semihard", "all"] = "hard",
    squared: bool = False,
    normalize: bool = False,
) -> tuple[Array, Array]:
    """Triplet loss of a batch: an anchor's negatives shall be farther than its positives, by a margin.

    .. math:: \\max(0, d_{ip} - d_{in} + m)

    Args:
        labels: integer classes, (N,).
        features: embeddings, (N, D).
        margin: m, a distance (`squared`: a squared one), 0 or above.
        mining: which triplets. `"hard"`: of each anchor the farthest positive and the nearest negative. `"semihard"`:
            of each positive pair the nearest negative that is farther than the positive, or else the farthest
            negative. `"all"`: every one.
        squared: whether d is the squared Euclidean distance.
        normalize: whether features are divided by their length first.

    Returns:
        `"hard"`: one value per anchor, (N,), zeros included in the mean. `"semihard"`: one per positive pair, (N, N),
        row the anchor. `"all"`: for each positive pair the sum over its negatives, (N, N), which counts for as many as
        are above 0, so that the mean is over those. Anchors without a positive or without a negative have 0 and leave
        the mean. Takes N x N memory and N x N x D time.

    Source: `"hard"` and `"all"`: Hermans, Beyer & Leibe 2017 (eq. 5, batch hard, and batch all over the non-zero
        ones). `"semihard"`: Schroff, Kalenichenko & Philbin 2015, sec. 3.2, whose distances are `squared=True,
        normalize=True`. Not in Keras, torch and Optax; torch's `triplet_margin` takes given ones.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("triplet", backend="numpy", reduction="none", margin=1.0)
        >>> loss([0, 0, 1], [[0.0, 0.0], [3.0, 4.0], [0.0, 5.5]]).tolist()
        [0.5, 2.6458980337503153, 0.0]
    """
    d = xp.pair_distances(xp.unit_rows(features) if normalize else features, squared=squared)
    positive, other = pairs(xp, labels, keep)
    negative = other & xp.logical_not(positive)
    counted = positive & xp.expand_dims(any_of(xp, negative), axis=-1)
    if mining == "hard":
        counted = any_of(xp, counted)
        gap = xp.max_among(d, positive) + xp.max_among(-d, negative)  # farthest positive minus nearest negative
        values = xp.hinge(xp.squeeze(gap + margin, axis=-1))
        counts = ones_where(xp, counted, values)
    elif mining == "semihard":
        values = xp.hinge(d - _semihard_negative(xp, d, negative) + margin)
        counts = ones_where(xp, counted, d)
    else:
        values, counts = _sum_over_negatives(xp, d, negative, margin)
        counts = xp.where(counted, counts, 0)
    values = xp.where(counted, values, 0)
    # Sorting and maxima hide a nan among the distances of an anchor.
    is_nan = xp.any(xp.isnan(d) & other, axis=-1) | xp.isnan(nothing(xp, features))
    return xp.where(is_nan if mining == "hard" else xp.expand_dims(is_nan, axis=-1), math.nan, values), counts


def _sorted_negatives(xp: Any, d: Array, negative: Array) -> Array:
    """(N, N): the columns of each anchor, the nearest negative first and what is no negative last."""
    return xp.argsort(xp.stop_gradient(xp.where(negative, d, math.inf)), axis=-1)


def _semihard_negative(xp: Any, d: Array, negative: Array) -> Array:
    """(N, N): for each d_ip, the least d_in above it, or else the largest d_in."""
    order = _sorted_negatives(xp, d, negative)
    place = xp.count_below(d, negative, d, inclusive=True)
    last = xp.sum(ones_where(xp, negative, d), axis=-1, keepdims=True) - 1
    place = xp.where(place > last, last + xp.zeros_like(place), place)
    place = xp.astype(xp.where(place < 0, 0, place), order.dtype)  # -1 without negatives
    return xp.take_along_axis(d, xp.take_along_axis(order, place, axis=-1), axis=-1)


def _sum_over_negatives(xp: Any, d: Array, negative: Array, margin: float) -> tuple[Array, Array]:
    """(N, N): for each d_ip, the sum over n of max(0, d_ip - d_in + m), and how many terms are above 0."""
    # The k nearest negatives have terms above 0: their sum is k (d_ip + m) minus the sum of the k least d_in. All are
    # taken relative to the nearest negative, so that both stay small.
    order = _sorted_negatives(xp, d, negative)
    d = d - xp.stop_gradient(-xp.max_among(-d, negative))
    bound = d + margin
    k = xp.count_below(d, negative, bound, inclusive=False)
    sums = xp.cumulative_sum(xp.take_along_axis(xp.where(negative, d, 0), order, axis=-1), axis=-1)
    some = k > 0
    place = xp.astype(xp.where(some, k - 1, 0), order.dtype)
    return xp.where(some, k * bound - xp.take_along_axis(sums, place, axis=-1), 0), k

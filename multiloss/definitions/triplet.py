"""The triplet loss of a batch: its triplets are mined from labels."""

from __future__ import annotations

import math
from typing import Any, Literal

from multiloss.definitions.contrastive import any_of, nothing, ones_where, pairs
from multiloss.engine.definition import of_inputs
from multiloss.engine.options import NonNegative

Array = Any


def distances(xp: Any, x: Array, squared: bool) -> Array:
    """(N, N): the Euclidean distance of each two rows, exact for close ones; its gradient at 0 is 0."""

    def pulled(x: Array, g: Array) -> Array:
        return xp.pair_gaps(x, 2 * (g + xp.permute_dims(g, (1, 0))))

    # By a power of 2, which changes no digit: the differences stay exact, and their squares in range.
    scale = xp.power_near(xp.stop_gradient(xp.max(xp.abs(x))))
    square = xp.with_derivative(xp.pair_squares, pulled, x / scale)
    if squared:
        return scale * (scale * square)
    equal = square == 0
    return scale * xp.where(equal, 0, xp.sqrt(xp.where(equal, 1, square)))


def largest(xp: Any, x: Array, among: Array) -> Array:
    """(N, 1): the largest entry of each row of those in the mask; 0 where there is none."""
    top = xp.max(xp.where(among, x, -math.inf), axis=-1, keepdims=True)
    return xp.where(xp.expand_dims(any_of(xp, among), axis=-1), top, 0)


def number_below(xp: Any, x: Array, among: Array, bounds: Array, *, inclusive: bool) -> Array:
    """(N, N): of the entries of a row of x that are in the mask, how many are below each bound of that row (or equal
    to it).
    """
    low = xp.where(among, x, math.inf)
    # One sorted row of both; among equals those first that come first here.
    joined = xp.concat([low, bounds] if inclusive else [bounds, low], axis=-1)
    order = xp.argsort(xp.stop_gradient(joined), axis=-1)
    one, zero = ones_where(xp, among, x), xp.zeros_like(x)
    counted = xp.concat([one, zero] if inclusive else [zero, one], axis=-1)
    before = xp.cumulative_sum(xp.take_along_axis(counted, order, axis=-1), axis=-1)
    # Where in the order each of them is: the inverse of a permutation is what sorts it.
    number = xp.take_along_axis(before, xp.argsort(order, axis=-1), axis=-1)
    width = x.shape[-1]
    if width is None:
        width = xp.class_count(x, -1)
    return number[:, width:] if inclusive else number[:, :width]


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
    d = distances(xp, xp.unit_rows(features) if normalize else features, squared)
    positive, other = pairs(xp, labels, keep)
    negative = other & xp.logical_not(positive)
    has_negative = xp.expand_dims(any_of(xp, negative), axis=-1)
    found = positive & has_negative
    if mining == "hard":
        has = any_of(xp, found)
        gap = xp.squeeze(largest(xp, d, positive) + largest(xp, -d, negative) + margin, axis=-1)
        values, counts = xp.hinge(gap), ones_where(xp, has, gap)
        values = xp.where(has, values, 0)
    elif mining == "semihard":
        values, counts = xp.hinge(d - _semihard(xp, d, negative) + margin), ones_where(xp, found, d)
        values = xp.where(found, values, 0)
    else:
        values, counts = _all(xp, d, negative, margin)
        values, counts = (xp.where(found, x, 0) for x in (values, counts))
    # Sorting and maxima pass nan over.
    spoilt = xp.any(xp.isnan(d) & other, axis=-1) | xp.isnan(nothing(xp, features))
    spoilt = spoilt if mining == "hard" else xp.expand_dims(spoilt, axis=-1)
    return xp.where(spoilt, math.nan, values), counts


def _semihard(xp: Any, d: Array, negative: Array) -> Array:
    """(N, N): the distance of the negative that goes with each positive."""
    nearer = number_below(xp, d, negative, d, inclusive=True)
    last = xp.sum(ones_where(xp, negative, d), axis=-1, keepdims=True) - 1
    place = xp.where(nearer > last, last + xp.zeros_like(nearer), nearer)
    order = xp.argsort(xp.stop_gradient(xp.where(negative, d, math.inf)), axis=-1)
    place = xp.astype(xp.where(place < 0, 0, place), order.dtype)
    return xp.take_along_axis(d, xp.take_along_axis(order, place, axis=-1), axis=-1)


def _all(xp: Any, d: Array, negative: Array, margin: float) -> tuple[Array, Array]:
    """(N, N): the sum over the negatives nearer than each distance and the margin, of what is missing; their number."""
    # From the nearest negative on, which changes no difference, and keeps sums of what is alike small.
    base = xp.stop_gradient(-largest(xp, -d, negative))
    bounds, x = d - base + margin, d - base
    number = number_below(xp, x, negative, bounds, inclusive=False)
    order = xp.argsort(xp.stop_gradient(xp.where(negative, x, math.inf)), axis=-1)
    taken = xp.where(negative, x, 0)
    sums = xp.cumulative_sum(xp.take_along_axis(taken, order, axis=-1), axis=-1)
    some = number > 0
    place = xp.astype(xp.where(some, number - 1, 0), order.dtype)
    total = number * bounds - xp.take_along_axis(sums, place, axis=-1)
    return xp.where(some, total, 0), number

"""Distances between the rows of a batch, and what is looked up among them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

Array = Any

_STRIDE = 32
"""How many entries of a row are compared at a time, so that memory holds N x N x 32 numbers and not N x N x D."""


def _gaps(xp: Any, x: Array) -> Iterator[Array]:
    # Differences are exact for close rows, however far from the origin these are.
    for start in range(0, x.shape[-1], _STRIDE):
        part = x[:, start : min(start + _STRIDE, x.shape[-1])]
        yield part[:, None, :] - part[None, ...]


def pair_squares(xp: Any, x: Array) -> Array:
    """(N, N): the squared Euclidean distances of all pairs of rows of x, (N, D), from their differences, which are
    exact for close rows (|x|^2 + |y|^2 - 2xy is not). Squares have to stay in range."""
    # This and `pair_gaps` take all rows at once, as suits accelerators and torch's compiler. On a CPU, NumPy and JAX
    # are 10 to 30 times faster row by row, which stays in the processor's cache; so do their adapters.
    return sum(xp.sum(gap * gap, axis=-1) for gap in _gaps(xp, x))


def pair_gaps(xp: Any, x: Array, factor: Array) -> Array:
    """(N, D): for each row x_i the sum over j of factor_ij (x_i - x_j), from their differences."""
    factor = factor[..., None]
    return xp.concat([xp.sum(factor * gap, axis=1) for gap in _gaps(xp, x)], axis=-1)


def pair_distances(xp: Any, x: Array, *, squared: bool = False) -> Array:
    """(N, N): the Euclidean distance of each two rows of x, (N, D), or its square; the gradient at 0 is 0."""

    def pulled(x: Array, g: Array) -> Array:
        return xp.pair_gaps(x, 2 * (g + xp.permute_dims(g, (1, 0))))

    # Divided by a power of 2, which changes no digit: differences stay exact, and their squares in range.
    scale = xp.power_near(xp.stop_gradient(xp.max(xp.abs(x))))
    square = xp.with_derivative(xp.pair_squares, pulled, x / scale)
    if squared:
        return scale * (scale * square)
    return scale * xp.root(square)


def max_among(xp: Any, x: Array, among: Array) -> Array:
    """(N, 1): the largest entry of each row of x of those in the mask, 0 where there is none."""
    largest = xp.max(xp.where(among, x, -math.inf), axis=-1, keepdims=True)
    return xp.where(xp.any(among, axis=-1, keepdims=True), largest, 0)


def count_below(xp: Any, x: Array, among: Array, bounds: Array, *, inclusive: bool) -> Array:
    """(N, N): how many entries of a row of x, of those in the mask, are below each bound of that row (`inclusive`: or
    equal to it)."""
    # Entries and bounds are sorted together; a bound's place tells how many entries come before it. The sort is stable,
    # so of equal numbers those come first that stand first in `joined`.
    entries = xp.where(among, x, math.inf)
    one, zero = xp.where(among, xp.ones_like(x), xp.zeros_like(x)), xp.zeros_like(x)
    joined = xp.concat([entries, bounds] if inclusive else [bounds, entries], axis=-1)
    counted = xp.concat([one, zero] if inclusive else [zero, one], axis=-1)
    order = xp.argsort(xp.stop_gradient(joined), axis=-1)
    before = xp.cumulative_sum(xp.take_along_axis(counted, order, axis=-1), axis=-1)
    number = xp.take_along_axis(before, xp.argsort(order, axis=-1), axis=-1)  # argsort inverts a permutation
    width = x.shape[-1]
    if width is None:
        width = xp.class_count(x, -1)
    return number[:, width:] if inclusive else number[:, :width]

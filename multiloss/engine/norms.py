"""Lengths and directions of vectors, without powers that leave the range of the dtype."""

from __future__ import annotations

import math
from typing import Any

Array = Any


def divisor(xp: Any, size: Array) -> Array:
    """What numbers up to this size are divided by, so that their squares neither overflow nor underflow."""
    # XLA multiplies by the reciprocal, and that of 3e38 is 0 to it, as is the quarter of 1e-38.
    size = xp.where(size > 1, 0.25 * size, size)
    return xp.where((size > 0) & (size < math.inf), size, 1)


def row_scale(xp: Any, x: Array) -> Array:
    """What each row is divided by, a constant near its largest entry; 1 for a row of 0 or one that is not finite."""
    return divisor(xp, xp.stop_gradient(xp.max(xp.abs(x), axis=-1, keepdims=True)))


def row_norm(xp: Any, x: Array) -> Array:
    """The Euclidean length over the last axis, whose derivative at 0 is 0; no square over- or underflows."""
    scale = row_scale(xp, x)
    square = xp.sum((x / scale) * (x / scale), axis=-1)
    some = square > 0
    root = xp.sqrt(xp.where(some, square, 1))
    # nan is no 0 either: it stays.
    return xp.squeeze(scale, axis=-1) * xp.where(some | xp.isnan(square), xp.where(some, root, square), 0 * square)


def unit_rows(xp: Any, x: Array, length: Array | None = None) -> Array:
    """x divided by its length over the last axis (`row_norm`, where that is known); a row of 0 stays one, with
    derivative 0."""
    # The direction is that of x / scale, whose squares neither overflow nor underflow; so are those of its derivative.
    u = x / row_scale(xp, x)
    square = xp.sum(u * u, axis=-1, keepdims=True)
    return u / xp.sqrt(xp.where(square == 0, math.inf, square))


def power_norm(xp: Any, x: Array, power: float, inside: float = 0.0) -> Array:
    """(sum |x|^power + inside)^(1/power) over the last axis, whose gradient at 0 is 0."""
    finite = xp.finite_part(x)
    value = _finite_norm(xp, finite, power, inside)
    if finite is x:
        return value
    # What is infinite is added as a constant: its derivative would be infinity by infinity.
    return value + xp.sum(xp.where(xp.isinf(x), xp.full_like(x, math.inf), xp.zeros_like(x)), axis=-1)


def _finite_norm(xp: Any, x: Array, power: float, inside: float) -> Array:
    x = _with_entry(xp, x, power, inside)
    if power == 2:
        return xp.row_norm(x)
    if power == 1:
        return xp.sum(xp.abs(x), axis=-1)
    ratios, scale = _ratios(xp, x)
    total = xp.sum(ratios**power, axis=-1)
    none = total == 0
    return xp.squeeze(scale, axis=-1) * xp.where(none, 0, xp.where(none, 1, total) ** (1 / power))


def _with_entry(xp: Any, x: Array, power: float, inside: float) -> Array:
    """x with one entry more, whose power is `inside`, so that it is scaled as all others are."""
    return xp.concat([x, xp.full_like(x[..., :1], inside ** (1 / power))], axis=-1) if inside else x


def _ratios(xp: Any, x: Array) -> tuple[Array, Array]:
    """|x| over a number near the largest of its row, so that no power leaves the range; and that number, (..., 1)."""
    scale = xp.row_scale(x)
    ratio = xp.abs(x / scale)
    # The largest ratio is 1, or 4, whose 64th power is beyond float32: it becomes 1, too.
    large = xp.stop_gradient(xp.max(ratio, axis=-1, keepdims=True)) > 2
    quarter = xp.where(large, xp.full_like(scale, 0.25), xp.ones_like(scale))
    return ratio * quarter, scale / quarter


def power_norm_slope(xp: Any, x: Array, norm: Array, power: float, inside: float = 0.0) -> Array:
    """The derivative of `power_norm` (here `norm`): sign(x) (|x| / norm)^(power - 1); 0 where x is 0, or infinite."""
    x = xp.finite_part(x)
    if power == 1:
        return xp.sign(x)
    if power == 2 and not inside:
        return xp.unit_rows(x, norm)
    width = x.shape[-1]
    x = _with_entry(xp, x, power, inside)
    ratios, _ = _ratios(xp, x)
    # From the sum of powers: a quotient by the norm would have its rounding `power` times.
    total = xp.sum(ratios**power, axis=-1, keepdims=True)
    divisor = xp.where(total == 0, math.inf, total) ** (1 - 1 / power)
    return (xp.sign(x) * (ratios ** (power - 1) / divisor))[..., :width]


def direction(xp: Any, x: Array, axis: Any) -> tuple[Array, Array, Array, Array]:
    """x / |x| over `axis` (0 stays 0, with derivative 0); scale and factor, |x| being scale / factor; 1 where |x| is
    above 0, else 0."""
    # Divided by its largest entry, so that no square overflows. That is a constant for derivatives, since the direction
    # does not depend on it; a quarter of it, as in `divisor`. Of no entries there is no largest.
    largest = xp.sum if 0 in tuple(x.shape) else xp.max
    quarter = 0.25 * xp.stop_gradient(largest(xp.abs(x), axis=axis, keepdims=True))
    zero = quarter == 0
    scale = xp.where(zero, math.inf, quarter)
    x = x / scale
    # A factor and no divisor: XLA would divide by its product with the scale, which may overflow.
    factor = 1 / xp.sqrt(xp.where(zero, 1, xp.sum(x * x, axis=axis, keepdims=True)))
    # Where a traced length hides that there are no entries, the largest is -inf, and counts as above 0.
    return x * factor, scale, factor, xp.abs(xp.sign(quarter))

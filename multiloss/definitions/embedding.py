"""Losses of embeddings whose pairs or triplets are given, and what the losses of embeddings share."""

from __future__ import annotations

import math
from typing import Any

from multiloss.checks import PROBABILITY
from multiloss.definition import of_inputs
from multiloss.options import non_negative

Array = Any


def norm(xp: Any, x: Array) -> Array:
    """The Euclidean length over the last axis, whose gradient at 0 is 0; no square overflows or underflows."""
    scale = xp.stop_gradient(xp.max(xp.abs(x), axis=-1, keepdims=True))
    scale = xp.where((scale > 0) & (scale < math.inf), scale, xp.ones_like(scale))
    square = xp.sum((x / scale) * (x / scale), axis=-1)
    some = square > 0
    root = xp.sqrt(xp.where(some, square, xp.ones_like(square)))
    # nan is no 0 either: it stays.
    return xp.squeeze(scale, axis=-1) * xp.where(some | xp.isnan(square), xp.where(some, root, square), 0 * square)


def unit_rows(xp: Any, x: Array) -> Array:
    """x divided by its length over the last axis; a row of 0 stays one, with gradient 0."""
    length = norm(xp, x)
    length = xp.where(length == 0, xp.full_like(length, math.inf), length)
    return x / xp.expand_dims(length, axis=-1)


@of_inputs(
    {"y_true": "...", "x1": "... D", "x2": "... D"},
    readers={"margin": non_negative},
    domain=lambda _: {"y_true": PROBABILITY},
)
def contrastive(xp: Any, y_true: Array, x1: Array, x2: Array, *, margin: float = 1.0) -> Array:
    """Contrastive loss: similar pairs are pulled together, others pushed apart up to a margin.

    .. math:: \\tfrac12 t d^2 + \\tfrac12 (1 - t) \\max(0, m - d)^2, \\quad d = \\lVert x_1 - x_2 \\rVert

    Args:
        y_true: t, 1 for a similar pair and 0 for a dissimilar one, (...); the paper's Y is 1 - t.
        x1: embeddings, (..., D).
        x2: the other of each pair, (..., D).
        margin: m, the distance from which a dissimilar pair counts no more.

    Returns:
        One value per pair, (...). The gradient of two equal points is 0.

    Source: Hadsell, Chopra & LeCun 2006, eq. 4.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("contrastive", backend="numpy", reduction="none")
        >>> loss([1.0, 0.0], [[0.0, 0.0], [0.0, 0.0]], [[3.0, 4.0], [0.0, 0.5]]).tolist()
        [12.5, 0.125]
    """
    d = norm(xp, x1 - x2)
    short = xp.at_least(margin - d, 0.0)
    return 0.5 * y_true * d * d + 0.5 * (1 - y_true) * short * short


def masked_logsumexp(xp: Any, x: Array, among: Array) -> Array:
    """log(sum(exp(x))) over the last axis, of the entries in the mask `among`; 0 where there is none."""
    low = xp.where(among, x, xp.full_like(x, -math.inf))
    top = xp.stop_gradient(xp.max(low, axis=-1, keepdims=True))
    top = xp.where(top == -math.inf, xp.zeros_like(top), top)
    e = xp.exp(xp.where(among, x - top, xp.zeros_like(x)))
    total = xp.sum(xp.where(among, e, xp.zeros_like(e)), axis=-1)
    return xp.log(xp.where(total == 0, xp.ones_like(total), total)) + xp.squeeze(top, axis=-1)

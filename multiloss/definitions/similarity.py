"""Losses of the angle between two vectors: `axis` holds the vectors."""

from __future__ import annotations

from typing import Any

from multiloss.engine.definition import over_axis, shared

Array = Any


@over_axis(symmetric=True)
def cosine_similarity(xp: Any, y_true: Array, y_pred: Array, *, axis: Any = -1) -> Array:
    """Minus the cosine of the angle between two vectors, so that less is better.

    .. math:: -\\frac{t \\cdot p}{\\lVert t \\rVert \\lVert p \\rVert}

    Args:
        y_true: vectors t, any shape.
        y_pred: vectors p, the shape of `y_true`.
        axis: the axis (or axes) of the vectors.

    Returns:
        One value per vector, from -1 (same direction) to 1; 0 where a vector is 0, and the gradient is 0 there, too.

    Source: Salton & McGill 1983. `keras.losses.CosineSimilarity` (minus, too); `torch.nn.CosineSimilarity` and
    `optax.losses.cosine_similarity` have the other sign. All floor norms, and lose those of 1e20 in float32.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("cosine_similarity", backend="numpy")
        >>> f"{loss([3.0, 4.0], [4.0, 3.0]):.2f}"
        '-0.96'
    """
    u, v, *_ = _directions(xp, y_true, y_pred, axis=axis)
    return -xp.sum(u * v, axis=axis)


@over_axis(symmetric=True)
def cosine_distance(xp: Any, y_true: Array, y_pred: Array, *, axis: Any = -1) -> Array:
    """One minus the cosine of the angle between two vectors.

    .. math:: 1 - \\frac{t \\cdot p}{\\lVert t \\rVert \\lVert p \\rVert}

    Args:
        y_true: vectors t, any shape.
        y_pred: vectors p, the shape of `y_true`.
        axis: the axis (or axes) of the vectors.

    Returns:
        One value per vector, from 0 (same direction) to 2, never below 0; 1 where a vector is 0, and the gradient is 0
        there.

    Source: Salton & McGill 1983. `optax.losses.cosine_distance`; `torch.nn.CosineEmbeddingLoss` of similar pairs;
    `keras.losses.CosineSimilarity` plus 1.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("cosine_distance", backend="numpy")
        >>> f"{loss([3.0, 4.0], [4.0, 3.0]):.2f}"
        '0.04'
    """
    _, _, _, distance, *_ = _directions(xp, y_true, y_pred, axis=axis)
    return xp.sum(distance, axis=axis)


@cosine_similarity.gradient
@cosine_distance.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: Any) -> Array:
    # -(u - cos v) / |p|, written as -((u - v) + (1 - cos) v), which keeps its digits where u and v nearly agree.
    _, v, gap, distance, scale, factor = _directions(xp, y_true, y_pred, axis=axis)
    return -((gap + distance * v) * factor) / scale


@shared
def _directions(xp: Any, y_true: Array, y_pred: Array, *, axis: Any) -> tuple[Any, ...]:
    """u = t / |t|, v = p / |p|, u - v, 1 - cos (`axis` of length 1), and scale and factor: |p| is scale / factor."""
    u, *_, t_exists = xp.direction(y_true, axis)
    v, scale, factor, p_exists = xp.direction(y_pred, axis)
    gap = u - v
    # |u - v|^2 / 2 is 1 - cosine without cancellation, except where a vector is 0.
    half = 0.5 * xp.sum(gap * gap, axis=axis, keepdims=True)
    most = 0 if 0 in tuple(y_pred.shape) else 1  # the distance of a vector of 0; vectors of no entries have none
    both = t_exists * p_exists
    return u, v, gap, both * half + (most - both), scale, factor

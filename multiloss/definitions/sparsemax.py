"""Losses of sparsemax, the projection of logits onto the simplex: classes far below have probability 0."""

from __future__ import annotations

from typing import Any

from multiloss.definitions import classification as ce
from multiloss.definitions.classification import ClassWeight, IgnoreIndex
from multiloss.definitions.margin import step
from multiloss.engine.checks import BINARY
from multiloss.engine.definition import elementwise, over_labels

Array = Any


def _project(xp: Any, z: Array, axis: int) -> tuple[Array, Array]:
    """z relative to its largest entry, and the threshold tau: p = max(0, z - tau) sums to 1 (Martins & Astudillo,
    algorithm 1)."""
    z = z - xp.stop_gradient(xp.max(z, axis=axis, keepdims=True))
    ordered = -xp.sort(-xp.clamp_min(z, -1.0), axis=axis)  # entries of -1 or below are outside; so -inf may be -1
    rank = xp.astype(xp.class_range(z, axis), z.dtype) + 1
    inside = xp.astype(1 + rank * ordered > xp.cumulative_sum(ordered, axis=axis), z.dtype)
    size = xp.clamp_min(xp.sum(inside, axis=axis, keepdims=True), 1.0)  # 0 of a row with nan
    return z, (xp.sum(inside * ordered, axis=axis, keepdims=True) - 1) / size


def _probabilities(xp: Any, z: Array, tau: Array) -> Array:
    return xp.clamp_min(z - tau, 0.0)


@over_labels()
def sparsemax(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    axis: int = -1,
    class_weight: ClassWeight = None,
    ignore_index: IgnoreIndex = None,
) -> Array:
    """Sparsemax loss: what cross entropy is to softmax, for the projection p of the logits onto the simplex.

    .. math:: -z_y + \\tfrac12 \\sum_{j \\in S} (z_j^2 - \\tau^2) + \\tfrac12

    S are the classes with p_j = z_j - tau > 0, and tau makes p sum to 1.

    Args:
        y_true: integer labels y in [0, K), the shape of `y_pred` without `axis`.
        y_pred: logits z over the K classes.
        axis: the axis of the classes.

    Returns:
        One value per sample, exactly 0 where z_y is 1 or more above all others. The gradient is p - e_y, with e_y the
        one-hot label.

    Raises:
        TypeError: labels that are no integers.
        ValueError: a label outside [0, K), where values can be read.

    Source: Martins & Astudillo 2016. `optax.losses.multiclass_sparsemax_loss`.

    Example:
        >>> import multiloss
        >>> float(multiloss.get("sparsemax", backend="numpy")([0], [[0.0, 0.0]]))
        0.25
    """
    z, tau = _project(xp, y_pred, axis)
    e = _probabilities(xp, z, tau) - ce.one_hot(xp, y_true, z, axis)
    # The formula as a sum without cancellation: |p - e_y|^2 / 2 + max(0, tau - z_y).
    below = xp.clamp_min(xp.squeeze(tau, axis=axis) - ce.picked(xp, y_true, z, axis=axis), 0.0)
    return ce.with_nan(xp, 0.5 * xp.sum(e * e, axis=axis) + below, y_pred, axis)


@sparsemax.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: int) -> Array:
    z, tau = _project(xp, y_pred, axis)
    return _probabilities(xp, z, tau) - ce.one_hot(xp, y_true, z, axis)


@sparsemax.hessian
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: int) -> Array:
    z, tau = _project(xp, y_pred, axis)
    inside = step(xp, z - tau)
    return inside * (1 - 1 / xp.clamp_min(xp.sum(inside, axis=axis, keepdims=True), 1.0))


@elementwise(domain=lambda _: {"y_true": BINARY})
def binary_sparsemax(xp: Any, y_true: Array, y_pred: Array) -> Array:
    """Sparsemax loss of two outcomes: a hinge whose corner is a parabola.

    .. math:: \\tfrac14 (u + 1)^2 \\text{ if } |u| < 1, \\quad \\max(0, u) \\text{ else}

    u is -z for the label 1 and z for the label 0.

    Args:
        y_true: labels, 0 or 1, any shape.
        y_pred: logits z, the shape of `y_true`.

    Returns:
        One value per element; averaged over `axis`.

    Raises:
        ValueError: other labels than these, by the first call, where values can be read.

    Source: Martins & Astudillo 2016. `optax.losses.sparsemax_loss`.

    Example:
        >>> import multiloss
        >>> float(multiloss.get("binary_sparsemax", backend="numpy")([1, 0], [0.0, 3.0]))
        1.625
    """
    u = -xp.signed_margin(2 * y_true - 1, y_pred)
    bent = xp.clip(u, -1.0, 1.0) + 1
    return 0.25 * bent * bent + xp.clamp_min(u - 1, 0.0)


@binary_sparsemax.gradient
def _(xp: Any, y_true: Array, y_pred: Array) -> Array:
    side = 1 - 2 * y_true
    return xp.zero_times(xp.clip(side * y_pred, -1.0, 1.0) + 1, 0.5 * side)


@binary_sparsemax.hessian
def _(xp: Any, y_true: Array, y_pred: Array) -> Array:
    return 0.5 * step(xp, 1 - xp.abs((1 - 2 * y_true) * y_pred))

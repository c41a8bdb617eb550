"""Center loss: the value of one sample, and Eq. 4, the step of the centers. Pure.

Source: Wen, Zhang, Li, Qiao, "A Discriminative Feature Learning Approach for Deep Face Recognition", ECCV 2016.
"""

from __future__ import annotations

from typing import Any

from multiloss.definition import over_axis

Array = Any


@over_axis(name="center")
def distance(xp: Any, y_true: Array, y_pred: Array, *, axis: int = -1, per_feature: bool = False) -> Array:
    """Center loss (Wen et al., ECCV 2016, Eq. 2): half the squared distance of a feature vector to its class's center.

    .. math:: \\tfrac12 \\lVert x - c_y \\rVert^2

    While training, each class j that occurs n_j times in the batch moves by Eq. 4, with the centers from before:

    .. math:: c_j \\leftarrow c_j - \\alpha \\frac{\\sum_{i: y_i = j} (c_j - x_i)}{1 + n_j}

    Args:
        labels: integer classes y, one a sample; they may repeat. Absent classes do not move.
        features: x, (..., D).
        alpha: the step of the centers, in [0, 1].
        per_feature: divide the value by D, as the published TensorFlow code does.

    Returns:
        One value per sample, in the squared unit of the features. The gradient with respect to x is x - c_y; the
        centers get none.
    """
    e = y_pred - y_true
    value = 0.5 * xp.sum(e * e, axis=axis)
    return value / xp.length(e, axis) if per_feature else value


@distance.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: int, per_feature: bool) -> Array:
    e = y_pred - y_true
    return e / xp.length(e, axis) if per_feature else e


@distance.hessian
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: int, per_feature: bool) -> Array:
    one = xp.ones_like(y_pred)
    return one / xp.length(one, axis) if per_feature else one


def moved(xp: Any, rows: Array, labels: Array, features: Array, keep: Array, alpha: float) -> tuple[Array, Array]:
    """Eq. 4 for the classes of one batch, never touching the table.

    Args:
        rows: the centers of each sample's class, (N, D).
        labels: the classes, (N,).
        features: x, (N, D), in the dtype of the rows.
        keep: which samples count, (N,) boolean.
        alpha: the step.

    Returns:
        The labels in sorted order, (N,), and the row that each one's center becomes, (N, D): samples of one class
        come with the same row. A class that a non-finite feature touches keeps its row, bit for bit.
    """
    order = xp.argsort(labels)
    ordered = xp.take(labels, order, axis=0)
    rows = xp.take(rows, order, axis=0)
    keep = xp.take(keep, order, axis=0)
    # Samples of one class are neighbours now; number the classes of the batch 0, 1, ...: sums cost the batch only.
    new = xp.concat([xp.zeros_like(ordered[:1]), xp.astype(ordered[1:] != ordered[:-1], ordered.dtype)], axis=0)
    segments = xp.cumulative_sum(new, axis=0)
    # The direct difference: |x|^2 + |c|^2 - 2xc loses every digit once |x| is far larger than |x - c|.
    difference = xp.where(keep[:, None], rows - xp.take(features, order, axis=0), xp.zeros_like(rows))
    total = xp.take(xp.segment_sum(difference, segments), segments, axis=0)
    present = xp.astype(keep, rows.dtype)
    n = xp.take(xp.segment_sum(present, segments), segments, axis=0)
    finite = xp.all(xp.isfinite(total), axis=-1, keepdims=True)
    step = xp.where(finite, total, xp.zeros_like(total)) / (1 + n)[:, None]
    return ordered, xp.where(finite & (n > 0)[:, None], rows - alpha * step, rows)

"""Center loss: the value of one sample, and the step of the centers (Eq. 4, or that of a preset). Pure.

Source: Wen, Zhang, Li, Qiao, "A Discriminative Feature Learning Approach for Deep Face Recognition", ECCV 2016.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multiloss.engine.definition import over_axis
from multiloss.engine.table import Rule, Table

Array = Any


PRESETS: Mapping[str | None, tuple[Rule, Mapping[str, Any]]] = {
    None: (Rule(), {}),
    "paper": (Rule(), {"reduction": "sum"}),
    "tensorflow": (
        Rule(source="EncodeTS/TensorFlow_Center_Loss, the code of the notes"),
        {"reduction": "sum", "per_feature": True, "centers_init": "zeros"},
    ),
    "caffe": (Rule(source="ydwen/caffe-face, without the solver's momentum"), {"alpha": 0.01}),
    "facenet": (
        Rule(factor=2.0, by_class=False, source="davidsandberg/facenet; alpha is 1 - alfa"),
        {"alpha": 0.05, "per_feature": True, "centers_init": "zeros"},
    ),
    "kaiyangzhou": (
        Rule(
            factor=2.0,
            step_factor=2.0,
            by_class=False,
            by_batch=True,
            source="KaiyangZhou/pytorch-center-loss, SGD on the centers; alpha is its lr, times the weight of the loss "
            "where the script does not divide the centers' gradient by it",
        ),
        {"centers_init": "normal"},
    ),
    "jxgu1016": (
        Rule(by_batch=True, source="jxgu1016/MNIST_center_loss_pytorch; alpha is the lr of its centers"),
        {"centers_init": "normal"},
    ),
}
"""name -> what is computed, and the options' defaults that differ: the steps that popular implementations make."""


@over_axis(
    name="center",
    aliases=("center_loss",),
    table=Table(sharded=True, presets=PRESETS),
)
def distance(
    xp: Any, y_true: Array, y_pred: Array, *, axis: int = -1, per_feature: bool = False, factor: float = 1.0
) -> Array:
    """Center loss (Wen et al., ECCV 2016): half the squared distance of a feature vector to its class's center.

    Per sample, Eq. 2 without its sum:

    .. math:: \\tfrac12 \\lVert x - c_y \\rVert^2

    While training, each class j that occurs n_j times in the batch moves by Eq. 4, with the centers from before:

    .. math:: c_j \\leftarrow c_j - \\alpha \\frac{\\sum_{i: y_i = j} (c_j - x_i)}{1 + n_j}

    Args:
        labels: integer classes y, one a sample; they may repeat. Absent classes do not move.
        features: x, (..., D).
        alpha: the step of the centers, in [0, 1].
        per_feature: divide the value by D, as the published TensorFlow code does.
        factor: multiplies the value; 1 but for presets.

    Returns:
        One value per sample, in the squared unit of the features. The gradient with respect to x is x - c_y; the
        centers get none.
    """
    e = y_pred - y_true
    return 0.5 * _scale(xp, e, axis, per_feature, factor) * xp.sum(e * e, axis=axis)


def _scale(xp: Any, e: Array, axis: int, per_feature: bool, factor: float) -> Any:
    return factor / xp.length(e, axis) if per_feature else factor


@distance.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: int, per_feature: bool, factor: float) -> Array:
    e = y_pred - y_true
    return e if factor == 1 and not per_feature else _scale(xp, e, axis, per_feature, factor) * e


@distance.hessian
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: int, per_feature: bool, factor: float) -> Array:
    return _scale(xp, y_pred, axis, per_feature, factor) * xp.ones_like(y_pred)


def class_sums(xp: Any, rows: Array, labels: Array, features: Array, keep: Array | None) -> tuple[Array, Array, Array]:
    """What the step needs of each class of a batch, never touching the table.

    Args:
        rows: the centers of each sample's class, (N, D).
        labels: the classes, (N,).
        features: x, (N, D), in the dtype of the rows.
        keep: which samples count, (N,) boolean; None: all.

    Returns:
        Classes, (M,): each of the batch once, or, where their number has to be known beforehand, `labels` itself; for
        each the sum of c_j - x_i over its samples, (M, D), and their number, (M,).
    """
    classes, places, counts = xp.unique_labels(labels)
    # The direct difference: |x|^2 + |c|^2 - 2xc loses every digit once |x| is far larger than |x - c|.
    difference = rows - features
    if keep is not None:
        difference = xp.where(keep[:, None], difference, 0)
    total = xp.segment_sum(difference, places, classes)
    if keep is None and counts is not None:
        n = xp.astype(counts, rows.dtype)
    else:
        present = xp.ones_like(rows[:, 0]) if keep is None else xp.astype(keep, rows.dtype)
        n = xp.segment_sum(present, places, classes)
    if classes is labels:  # a sum is where its class's first sample is
        total, n = (xp.take(x, places, axis=0) for x in (total, n))
    return classes, total, n


def moved(
    xp: Any,
    rows: Array,
    total: Array,
    n: Array,
    batch: Any,
    alpha: float,
    rule: Rule,
    extra: Array | None = None,
    finite: bool = False,
    unless: Array | None = None,
) -> Array:
    """The rows after their step.

    Args:
        rows: the centers of some classes, (M, D).
        total: the sum of c_j - x_i over each class, (M, D).
        n: the number of its samples, (M,).
        batch: the number of samples that count.
        alpha: the step.
        rule: what divides the sum.
        extra: what some losses of the family add to the divided sum, (M, D); it moves classes without samples, too.
        finite: whether all sums are known to be.
        unless: a scalar; if it is True, no row moves.

    Returns:
        (M, D). A class without samples, and one that a non-finite feature touches, keeps its row, bit for bit.
    """
    scale, by = alpha * rule.step_factor, None
    if rule.by_batch:
        by = xp.where(batch == 0, 1, batch)
    if rule.by_class:
        by = (1 + n)[:, None] if by is None else by * (1 + n)[:, None]
    if extra is not None:
        total = (scale if by is None else scale / by) * total
        total = total + scale * xp.where(batch > 0, extra, 0)
        scale, by = 1.0, None
    # A class without samples has the sum 0, which leaves every bit.
    return xp.step_rows(rows, total, scale, by, unless, finite)

"""Center loss, as Wen, Zhang, Li and Qiao have it in "A Discriminative Feature Learning Approach for Deep Face
Recognition", ECCV 2016: c is the center of a sample's class, x its features."""

from __future__ import annotations

from typing import Annotated, Any

from multiloss.definitions.center_presets import PRESETS
from multiloss.engine.definition import over_axis
from multiloss.engine.table import Rule, Table

Array = Any


@over_axis(aliases=("center_loss",), table=Table(sharded=True, presets=PRESETS))
def center(
    xp: Any,
    c: Array,
    x: Array,
    *,
    axis: int = -1,
    per_feature: Annotated[bool, "divide the value by D, as the published TensorFlow code does"] = False,
    factor: Annotated[float, "multiplies the value; 1 but for presets"] = 1.0,
) -> Array:
    """Center loss (Wen et al., ECCV 2016): half the squared distance of a feature vector to its class's center.

    Per sample, Eq. 2 without its sum:

    .. math:: \\tfrac12 \\lVert x - c_y \\rVert^2

    While training, each class j that occurs n_j times in the batch moves by Eq. 4, with the centers from before:

    .. math:: c_j \\leftarrow c_j - \\alpha \\frac{\\sum_{i: y_i = j} (c_j - x_i)}{1 + n_j}

    Args:
        labels: integer classes y, one a sample; they may repeat. Absent classes do not move.
        features: x, (..., D).

    Returns:
        One value per sample, in the squared unit of the features. The gradient with respect to x is x - c_y (Eq. 3);
        the centers get none.
    """
    e = x - c
    return 0.5 * _scale(xp, e, axis, per_feature, factor) * xp.sum(e * e, axis=axis)


@center.gradient
def _(xp: Any, c: Array, x: Array, *, axis: int, per_feature: bool, factor: float) -> Array:
    e = x - c
    return e if factor == 1 and not per_feature else _scale(xp, e, axis, per_feature, factor) * e


@center.hessian
def _(xp: Any, c: Array, x: Array, *, axis: int, per_feature: bool, factor: float) -> Array:
    return _scale(xp, x, axis, per_feature, factor) * xp.ones_like(x)


def _scale(xp: Any, x: Array, axis: int, per_feature: bool, factor: float) -> Any:
    return factor / xp.length(x, axis) if per_feature else factor


def class_sums(xp: Any, c: Array, labels: Array, x: Array, keep: Array | None) -> tuple[Array, Array, Array]:
    """The sum and the number in Eq. 4, for each class of a batch.

    Args:
        c: the center of each sample's class, (N, D).
        labels: the classes, (N,).
        x: the features, (N, D), in the dtype of c.
        keep: which samples count, (N,) boolean; None: all.

    Returns:
        The classes, (M,), as `sums_by_label` names them; the sum of c_j - x_i of each, (M, D); its n_j, (M,).
    """
    # The difference comes first: n c - sum(x) loses every digit where x is far larger than c - x.
    return xp.sums_by_label(c - x, labels, keep)


def moved(
    xp: Any,
    c: Array,
    total: Array,
    n: Array,
    batch: Any,
    alpha: float,
    rule: Rule,
    extra: Array | None = None,
    finite: bool = False,
    unless: Array | None = None,
) -> Array:
    """The centers after their step: Eq. 4, where `rule` is that of the paper.

    Args:
        c: the centers of some classes, (M, D).
        total: the sum of c_j - x_i over each class, (M, D).
        n: the number of its samples, (M,).
        batch: the number of samples that count.
        alpha: the step.
        rule: what divides the sum.
        extra: what some losses of the family add to the divided sum, (M, D); it moves classes without samples, too.
        finite: whether all sums are known to be.
        unless: a scalar; if it is True, no center moves.

    Returns:
        (M, D). A class without samples, and one that a non-finite feature touches, keeps its center, bit for bit.
    """
    step, divisor = alpha * rule.step_factor, (1 + n)[:, None] if rule.by_class else None
    if rule.by_batch:
        size = xp.where(batch == 0, 1, batch)
        divisor = size if divisor is None else size * divisor
    if extra is not None:
        total = (step if divisor is None else step / divisor) * total + step * xp.where(batch > 0, extra, 0)
        step, divisor = 1.0, None
    return xp.step_rows(c, total, step, divisor, unless, finite)  # a sum of 0, of no samples, leaves every bit

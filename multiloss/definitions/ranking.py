"""Losses of ranked lists: y_true holds relevances, y_pred scores; a list runs along one axis."""

from __future__ import annotations

from typing import Any, Literal

from multiloss.engine.definition import over_axis, shared
from multiloss.engine.options import single_axis

Array = Any


@over_axis(axis=single_axis)
def ranknet(xp: Any, y_true: Array, y_pred: Array, *, axis: int = -1, pairs: Literal["mean", "sum"] = "mean") -> Array:
    """RankNet: the logistic loss of each pair of a list's items that one of them should win.

    .. math:: \\frac{1}{n} \\sum_{i, j: t_i > t_j} \\log(1 + e^{z_j - z_i})

    Args:
        y_true: relevances t, any real numbers; only their order counts, and items of one relevance make no pair.
        y_pred: scores z, the shape of `y_true`.
        axis: the axis of the items of a list. All pairs of a list are held at once: (..., L, L) numbers.
        pairs: "mean" divides by the number n of the list's pairs, "sum" (the paper) does not.

    Returns:
        One value per list, in nats; 0 for a list without such a pair, which leaves the mean (not `batchmean`).

    Source: Burges et al. 2005, the cross entropy with target probability 1. `torch.nn.SoftMarginLoss` of z_i - z_j is
    one pair of it.

    Example:
        >>> import multiloss
        >>> ranknet = multiloss.get("ranknet", backend="numpy")
        >>> f"{ranknet([[2, 1, 0]], [[1.0, 1.0, 1.0]]):.6f}"
        '0.693147'
    """
    wins, gaps = _pairs(xp, y_true, y_pred, axis=axis)
    return xp.sum(xp.zero_times(wins, xp.softplus(-gaps)), axis=_both(y_pred, axis)) / _number(xp, wins, axis, pairs)


@ranknet.counting
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: int) -> Array:
    if y_true.shape[axis] == 0:  # `max` has no value there
        return xp.sum(y_true, axis=axis)
    one = xp.ones_like(top := xp.max(y_true, axis=axis))
    return xp.where(top == xp.min(y_true, axis=axis), 0 * one, one)  # a list with nan counts


@ranknet.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: int, pairs: str) -> Array:
    wins, gaps = _pairs(xp, y_true, y_pred, axis=axis)
    first, second = _both(y_pred, axis)
    slope = wins * xp.expit(-gaps)  # the derivative by z_j, and minus that by z_i
    by = xp.expand_dims(_number(xp, wins, axis, pairs), axis=first)
    return (xp.sum(slope, axis=first) - xp.sum(slope, axis=second)) / by


@ranknet.hessian
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: int, pairs: str) -> Array:
    wins, gaps = _pairs(xp, y_true, y_pred, axis=axis)
    first, second = _both(y_pred, axis)
    bend = wins * xp.expit(-gaps) * xp.expit(gaps)
    by = xp.expand_dims(_number(xp, wins, axis, pairs), axis=first)
    return (xp.sum(bend, axis=first) + xp.sum(bend, axis=second)) / by


def _both(x: Array, axis: int) -> tuple[int, int]:
    """The axes of i and j among the pairs of a list."""
    first = axis % len(x.shape)
    return first, first + 1


@shared
def _pairs(xp: Any, y_true: Array, y_pred: Array, *, axis: int) -> tuple[Array, Array]:
    """For each pair of a list 1 where t_i > t_j, else 0 (nan where t_i or t_j is), and z_i - z_j."""
    first, second = _both(y_pred, axis)

    def gaps(x: Array) -> Array:
        return xp.expand_dims(x, axis=second) - xp.expand_dims(x, axis=first)

    return xp.clamp_min(xp.sign(gaps(y_true)), 0.0), gaps(y_pred)


def _number(xp: Any, wins: Array, axis: int, pairs: str) -> Array:
    """n, what the sum over a list's pairs is divided by; 1 where there are none."""
    first = axis % (len(wins.shape) - 1)
    number = xp.clamp_min(xp.sum(wins, axis=(first, first + 1)), 1.0)
    return number if pairs == "mean" else xp.ones_like(number)


@over_axis(axis=single_axis)
def listnet(xp: Any, y_true: Array, y_pred: Array, *, axis: int = -1) -> Array:
    """ListNet: the cross entropy of who comes first in a list, by the relevances and by the scores.

    .. math:: -\\sum_i \\mathrm{softmax}(t)_i \\log \\mathrm{softmax}(z)_i

    Args:
        y_true: relevances t, any real numbers. Items with -inf here and in `y_pred` are no part of the list.
        y_pred: scores z, the shape of `y_true`.
        axis: the axis of the items of a list.

    Returns:
        One value per list, in nats; at z = t it is the entropy of softmax(t), not 0.

    Source: Cao et al. 2007, the loss of top one probabilities. `torch.nn.CrossEntropyLoss` and
    `optax.losses.ranking_softmax_loss` give it of softmax(t).

    Example:
        >>> import multiloss
        >>> listnet = multiloss.get("listnet", backend="numpy")
        >>> f"{listnet([[1.0, 1.0]], [[3.0, 3.0]]):.6f}"
        '0.693147'
    """
    return -xp.sum(xp.zero_times(xp.softmax(y_true, axis=axis), xp.log_softmax(y_pred, axis=axis)), axis=axis)


@listnet.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: int) -> Array:
    return xp.softmax(y_pred, axis=axis) - xp.softmax(y_true, axis=axis)


@listnet.hessian
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: int) -> Array:
    p = xp.softmax(y_pred, axis=axis)
    return p * (1 - p)


@over_axis(axis=single_axis)
def ranking_softmax(xp: Any, y_true: Array, y_pred: Array, *, axis: int = -1) -> Array:
    """Ranking softmax: the cross entropy of the relevances, as they are, and the scores' softmax.

    .. math:: -\\sum_i t_i \\log \\mathrm{softmax}(z)_i

    Args:
        y_true: relevances t, 0 and above; they need not sum to 1.
        y_pred: scores z, the shape of `y_true`; -inf where an item of relevance 0 is no part of the list.
        axis: the axis of the items of a list.

    Returns:
        One value per list, in nats times the unit of the relevances; 0 for a list without a relevant item.

    Source: Cao et al. 2007 with t in place of softmax(t). `optax.losses.ranking_softmax_loss`, whose `where` is -inf in
    `y_pred` here; for relevances that sum to 1, `torch.nn.CrossEntropyLoss` and `categorical_crossentropy` from logits.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("ranking_softmax", backend="numpy")
        >>> f"{loss([[2, 0]], [[3.0, 3.0]]):.6f}"
        '1.386294'
    """
    return -xp.sum(xp.zero_times(y_true, xp.log_softmax(y_pred, axis=axis)), axis=axis)


@ranking_softmax.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: int) -> Array:
    return xp.sum(y_true, axis=axis, keepdims=True) * xp.softmax(y_pred, axis=axis) - y_true


@ranking_softmax.hessian
def _(xp: Any, y_true: Array, y_pred: Array, *, axis: int) -> Array:
    p = xp.softmax(y_pred, axis=axis)
    return xp.sum(y_true, axis=axis, keepdims=True) * p * (1 - p)

"""Value and derivative of each element (of class losses: value of each sample) together, faster than the definition's
two: what `fast` asks first. In place where that can be: on the CPU memory takes as long as arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from multiloss_torch import compat, reading
from multiloss_torch.kernels import Both, near, whole

_NONE = 0
_NO_OVERFLOW = 80.0
"""exp of it is finite in every dtype."""


def _of_bits(options: Any, axis: Any, y_true: Tensor, y_pred: Tensor) -> Both | None:
    return _bits(_LOGITS, axis, y_true, y_pred)


_LOGITS = {"from_logits": True, "label_smoothing": 0, "pos_weight": None}


def _bits(options: Any, axis: Any, y_true: Tensor, y_pred: Tensor) -> Both | None:
    """Two outcomes, from their probabilities or their logits."""
    if options["pos_weight"] is not None or not reading.can_read(y_pred):
        return None
    return (_bits_from_logits if options["from_logits"] else _bits_from_probabilities)(options, axis, y_true, y_pred)


def _bits_from_probabilities(options: Any, axis: Any, y_true: Tensor, y_pred: Tensor) -> Both | None:
    """Where no probability is at the floor; torch's own kernel takes four times as long for many."""
    floor, s = options["epsilon"], options["label_smoothing"]
    least, most = y_pred.aminmax()
    if not (floor > 0 and least.item() >= floor and 1 - most.item() >= floor):
        return None
    least, most = y_true.aminmax()
    if not (least.item() >= 0 and most.item() <= 1):
        return None
    t = y_true if s == 0 else y_true * (1 - s) + s / 2
    values = y_pred.neg().log1p_().lerp_(y_pred.log(), t).neg_()
    # (1 - t) / (1 - p) - t / p without a difference of two rounded terms.
    return values, (y_pred - t).div_(torch.rsub(y_pred, 1).mul_(y_pred))


def _bits_from_logits(options: Any, axis: Any, y_true: Tensor, y_pred: Tensor) -> Both | None:
    """log(1 + exp(-z)) for the target 1 and log(1 + exp(z)) for 0, both right in both tails."""
    # F.binary_cross_entropy_with_logits loses the digits of confident answers: its gradient is sigmoid(z) - t.
    if options["label_smoothing"] != 0:
        return None
    least, most = torch.addcmul(y_true, y_true, y_true, value=-1).aminmax()
    if least.item() != 0 or most.item() != 0:
        return None
    side = torch.rsub(y_true, 1, alpha=2)
    away = side * y_pred
    if not away.max().item() <= _NO_OVERFLOW:
        return None
    odds = away.exp_()
    return odds.log1p(), side.mul_(odds).div_(odds.add_(1))


def _margin_of_logits(options: Any, axis: Any, y_true: Tensor, y_pred: Tensor) -> Both | None:
    """One exp for value and derivative."""
    if not reading.can_read(y_pred):
        return None
    t = y_true if options["labels"] == "+-1" else 2 * y_true - 1
    away = (t * y_pred).neg_()
    least, most = away.aminmax()
    if not (most.item() <= _NO_OVERFLOW and least.item() > -math.inf):
        return None
    odds = away.exp_()
    return odds.log1p(), (t * odds).div_(odds.add_(1)).neg_()


def _margins(options: Any, axis: Any, y_true: Tensor, y_pred: Tensor) -> Both | None:
    """In place; torch's own takes five times as long, and hides nan."""
    if not reading.can_read(y_pred):
        return None
    labels, classes = y_true.unsqueeze(axis), y_pred.shape[axis]
    right = y_pred.gather(axis, labels)
    gap = (y_pred - right).add_(options["margin"]).clamp_(min=0)
    gap.scatter_(axis, labels, right - right)  # 0, but nan of what is not finite
    if options["power"] == 1:
        values, each = gap.sum(axis), gap.sign()
    else:
        values, each = torch.linalg.vecdot(gap, gap, dim=axis), 2 * gap
    if not math.isfinite(values.sum().item()):  # `sign` makes 0 of nan
        return None
    each.scatter_(axis, labels, each.sum(axis, keepdim=True).neg_())
    return values.div_(classes), each.div_(classes)


def _margins_of_sets(options: Any, axis: Any, y_true: Tensor, y_pred: Tensor) -> Both | None:
    """torch's, without pairs of classes in memory."""
    if compat.multilabel_margin_loss_backward is None:
        return None
    if not reading.can_read(y_pred) or axis % y_pred.ndim != y_pred.ndim - 1 or not near(y_pred):
        return None
    scores, numbers = y_pred.reshape(-1, y_pred.shape[-1]), whole(y_true.reshape(-1, y_pred.shape[-1]))
    if numbers is None:
        return None
    try:
        values, hits = compat.multilabel_margin_loss_forward(scores, numbers, _NONE)
    except (IndexError, RuntimeError):  # no class numbers
        return None
    gradient = compat.multilabel_margin_loss_backward(torch.ones_like(values), scores, numbers, _NONE, hits)
    return values.reshape(y_pred.shape[:-1]), gradient.reshape(y_pred.shape)


def _dice(options: Any, axis: Any, y_true: Tensor, y_pred: Tensor) -> Both | None:
    if options["squared"]:
        return None
    return _ratio(0.5, 0.5, 0.5 * options["smooth"], axis, y_true, y_pred)


def _tversky(options: Any, axis: Any, y_true: Tensor, y_pred: Tensor) -> Both | None:
    return _ratio(options["alpha"], options["beta"], 0.0, axis, y_true, y_pred)


def _ratio(alpha: float, beta: float, more: float, axis: Any, t: Tensor, p: Tensor) -> Both | None:
    """A part that is wrong of a region, whose derivative is linear in t: three sums and one pass more."""
    if not reading.can_read(p) or axis == ():
        return None
    axes = tuple(range(p.ndim)) if axis is None else axis
    nothing = p.new_zeros(())
    part = torch.lerp(p, nothing, t)  # p (1 - t), without the difference of p and t p
    false_positive = part.sum(axes, keepdim=True)
    false_negative = torch.lerp(t, nothing, p, out=part).sum(axes, keepdim=True)
    wrong = alpha * false_positive + beta * false_negative
    total = wrong + torch.mul(t, p, out=part).sum(axes, keepdim=True) + more
    total = total.masked_fill_(total == 0, math.inf)
    value = wrong / total
    if not math.isfinite(value.sum().item()):
        return None
    right = 1 - value
    slope = ((alpha + beta) * right + value) / total
    gradient = torch.addcmul(alpha * right / total, t, slope, value=-1, out=part)
    return value.sum(axes), gradient


KERNELS: dict[str | None, Callable[..., Both | None]] = {
    "binary_crossentropy": _bits,
    "dice": _dice,
    "multi_margin": _margins,
    "multilabel_margin": _margins_of_sets,
    "multilabel_soft_margin": _of_bits,
    "soft_margin": _margin_of_logits,
    "tversky": _tversky,
}
"""name -> function of (options, axis, y_true, y_pred): the value of each element (or sample) and the derivative by each
element, for `fast`; both new memory."""

"""torch's own fused kernels: name -> function of (options, axis, y_true, y_pred) that gives the mean of all values.

A kernel is asked only for a plain mean (no weights, no mask, labels that can be read, y_pred in a compute dtype, not
empty); None hands the call to the definition. The mean of the means over an axis is the mean over everything.
The functions of `torch.nn.functional` stand before these ones, and check and broadcast what was checked here already.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from multiloss.pipeline import sample_shape
from multiloss_torch.ops import is_plain

_aten, _nn = torch.ops.aten, torch._C._nn
_MEAN, _SUM = 1, 2
_NO_LABEL = -(2**63)
"""What torch may ignore: it refuses any other label out of range, and those of -100 have to be, too."""
_FEW = 4096
"""Below so many elements another pass over them costs less than another node in the graph."""
_LINEAR = 40
"""Where softplus(z) goes over into z: their difference, exp(-40), is below the last place in every dtype."""


def _mean_squared_error(options: Any, axis: Any, y_true: Tensor, y_pred: Tensor) -> Tensor:
    return _nn.mse_loss(y_pred, y_true, _MEAN)


def _mean_absolute_error(options: Any, axis: Any, y_true: Tensor, y_pred: Tensor) -> Tensor:
    return _nn.l1_loss(y_pred, y_true, _MEAN)


def _huber(options: Any, axis: Any, y_true: Tensor, y_pred: Tensor) -> Tensor:
    return _nn.huber_loss(y_pred, y_true, _MEAN, options["delta"])


def _binary_crossentropy(options: Any, axis: Any, y_true: Tensor, y_pred: Tensor) -> Tensor | None:
    # torch stops the logarithms at -100 and the gradient's denominator at 1e-12, and refuses targets that are no
    # probabilities; where no probability is at the floor both are the same loss.
    epsilon, s = options["epsilon"], options["label_smoothing"]
    if options["from_logits"]:
        return _few_bits(options, y_true, y_pred) if y_pred.numel() < _FEW else None
    if epsilon < 1e-11 or not _within(y_pred, epsilon):
        return None
    try:
        return _nn.binary_cross_entropy(y_pred, y_true if s == 0 else y_true * (1 - s) + s / 2, None, _MEAN)
    except RuntimeError:  # targets that are no probabilities
        return None


def _few_bits(options: Any, y_true: Tensor, y_pred: Tensor) -> Tensor | None:
    """softplus(-z) for the target 1 and softplus(z) for 0: three nodes cost less than an `autograd.Function`."""
    if options["label_smoothing"] != 0 or not _constant(y_true) or not torch.equal(y_true * y_true, y_true):
        return None
    return _nn.softplus(torch.rsub(y_true, 1, alpha=2) * y_pred, 1, _LINEAR).mean()


def _categorical_crossentropy(options: Any, axis: Any, y_true: Tensor, y_pred: Tensor) -> Tensor | None:
    if options["class_weight"] is not None:
        return None
    value = _cross_entropy(options, axis, y_true, y_pred)
    # Where a logit is -inf and its target 0, torch gives nan for 0 log 0.
    return None if value is None or math.isnan(value.item()) else value


def _sparse_categorical_crossentropy(options: Any, axis: Any, y_true: Tensor, y_pred: Tensor) -> Tensor | None:
    # torch gives a nan gradient to an ignored row of nan, so masks stay with the pipeline.
    if options["class_weight"] is not None or options["ignore_index"] is not None:
        return None
    kernel = _cross_entropy if options["from_logits"] else _picked
    try:
        return kernel(options, axis, y_true, y_pred)
    except (IndexError, RuntimeError):  # labels out of range; the pipeline says it better
        return None


def _picked(options: Any, axis: int, y_true: Tensor, y_pred: Tensor) -> Tensor | None:
    """As `nll_loss`: only the entries at the labels are read, so nan elsewhere is left to the definition."""
    epsilon = options["epsilon"]
    if options["normalize"] or options["label_smoothing"] != 0 or epsilon == 0:
        return None
    least = y_pred.detach().min().item()
    if math.isnan(least):
        return None
    if axis % y_pred.ndim == min(1, y_pred.ndim - 1) and y_pred.numel() < _FEW:
        log_p = (y_pred if least >= epsilon else y_pred.clamp(min=epsilon)).log()
        return _nn.nll_loss_nd(log_p, y_true, None, _MEAN, _NO_LABEL)
    picked = y_pred.gather(axis, y_true.unsqueeze(axis))
    return (picked if least >= epsilon else picked.clamp(min=epsilon)).log().mean().neg()


def _kl_divergence(options: Any, axis: Any, y_true: Tensor, y_pred: Tensor) -> Tensor | None:
    """`kl_div` has no floor, so it is asked only where no probability is below, and of few: `fused` is faster."""
    epsilon = options["epsilon"]
    if options["normalize"] or epsilon == 0 or y_pred.numel() >= _FEW or not _constant(y_true):
        return None
    if not y_pred.detach().min().item() >= epsilon or not _zero_or_above(y_true, epsilon):
        return None
    samples = math.prod(sample_shape(y_pred.shape, axis))
    return torch.kl_div(y_pred.log(), y_true, _SUM) / samples


def _zero_or_above(x: Tensor, epsilon: float) -> bool:
    return bool(x.min().item() >= epsilon or ((x == 0) | (x >= epsilon)).all().item())


def _cross_entropy(options: Any, axis: int, y_true: Tensor, y_pred: Tensor) -> Tensor | None:
    # torch wants the classes on axis 1 (0 for a single sample).
    if not options["from_logits"] or axis % y_pred.ndim != min(1, y_pred.ndim - 1):
        return None
    return _nn.cross_entropy_loss(y_pred, y_true, None, _MEAN, _NO_LABEL, options["label_smoothing"])


def _within(x: Tensor, epsilon: float) -> bool:
    """Whether x and 1 - x are at least `epsilon` everywhere."""
    least, most = x.detach().aminmax()
    return least.item() >= epsilon and 1 - most.item() >= epsilon


def _constant(x: Tensor) -> bool:
    """Whether nobody can ask for a derivative by x."""
    return not x.requires_grad and forward_ad._current_level < 0


def can_read(x: Tensor) -> bool:
    """Whether x has values, on the CPU."""
    return x.device.type == "cpu" and is_plain(x)


def _bits_from_logits(options: Any, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor] | None:
    """softplus(-z) for the target 1 and softplus(z) for 0, both right in both tails."""
    # F.binary_cross_entropy_with_logits loses the digits of confident answers: its gradient is sigmoid(z) - t.
    if not options["from_logits"] or options["label_smoothing"] != 0 or not can_read(y_pred):
        return None
    least, most = torch.addcmul(y_true, y_true, y_true, value=-1).aminmax()
    if least.item() != 0 or most.item() != 0:
        return None
    side = torch.rsub(y_true, 1, alpha=2)
    away = side * y_pred
    value, parts = _aten.log_sigmoid_forward(away.neg_())
    return value.neg_(), _aten.log_sigmoid_backward(side, away, parts)


def _distance(options: Any, reduction: str, rows: Tensor, features: Tensor) -> Tensor | None:
    """Center loss as half a squared error, of which torch has the derivative in one kernel, too."""
    if reduction == "none":
        return None
    count = (
        1 if reduction == "sum" else math.prod(features.shape[:1] if reduction == "batchmean" else features.shape[:-1])
    )
    scale = 0.5 * options["factor"] / (features.shape[-1] if options["per_feature"] else 1)
    return _nn.mse_loss(features, rows, _SUM) * (scale / max(count, 1))


REDUCED = {"center": _distance}
"""name -> function of (options, reduction, y_true, y_pred): the loss of samples that all count alike, or None."""

BOTH = {"binary_crossentropy": _bits_from_logits}
"""name -> function of (options, y_true, y_pred): the value of each element and its derivative, for `fused`."""

ANYWHERE = ("mean_squared_error", "mean_absolute_error", "huber")
"""Which of `MEAN` read no values: compiled, transformed and on accelerators, too."""

MEAN: dict[str | None, Callable[..., Tensor | None]] = {
    "binary_crossentropy": _binary_crossentropy,
    "kl_divergence": _kl_divergence,
    "mean_squared_error": _mean_squared_error,
    "mean_absolute_error": _mean_absolute_error,
    "huber": _huber,
    "categorical_crossentropy": _categorical_crossentropy,
    "sparse_categorical_crossentropy": _sparse_categorical_crossentropy,
}

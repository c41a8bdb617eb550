"""ctc by torch's own kernel, value and gradient in one call, where it gives what the definition gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from multiloss.engine import pipeline
from multiloss_torch import arrays as be
from multiloss_torch import kernels, mode


class _Ctc(torch.autograd.Function):
    """The values, with the gradient that the kernel gave; second derivatives are those of the definition."""

    @staticmethod
    def forward(ctx: Any, spec: Any, found: tuple[Tensor, Tensor], y_pred: Tensor, *others: Any) -> Tensor:
        ctx.spec, ctx.others = spec, others
        ctx.save_for_backward(y_pred, found[1])
        return found[0]

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        y_pred, slope = ctx.saved_tensors
        if not torch.is_grad_enabled():
            return None, None, slope * g[:, None, None], None, None, None
        y_pred = y_pred.view_as(y_pred)
        y_true, *lengths = ctx.others
        values = pipeline.evaluate(be, ctx.spec, y_true, y_pred, *lengths, None, None, labels_checked=True)
        (slope,) = torch.autograd.grad(values, y_pred, g, create_graph=True, materialize_grads=True)
        return None, None, slope, None, None, None


def ctc(spec: Any, inputs: list[Any]) -> Tensor | None:
    """The loss of checked inputs without weights and mask; None where the definition has to answer."""
    y_true, y_pred, label_lengths, input_lengths = inputs
    if spec.reduction not in ("none", *kernels.COUNTED) or not mode.is_eager(y_pred) or not mode.can_read(y_pred):
        return None
    if y_pred.dtype not in (torch.float32, torch.float64) or not y_pred.numel() or not y_true.numel():
        return None
    options, (n, frames, _) = spec.kwargs, y_pred.shape
    here = y_pred.device  # the default device may be another one
    lengths = torch.full((n,), y_true.shape[1], device=here) if label_lengths is None else label_lengths.long()
    until = torch.full((n,), frames, device=here) if input_lengths is None else input_lengths.long()
    read = torch.arange(y_true.shape[1], device=here) < lengths[:, None]
    # The definition has no alignment for a blank among the labels, where torch has one, and does not read what is
    # behind a length, which may be nan.
    if ((y_true == options["blank"]) & read).any() or not until.min() > 0 or not y_pred.isfinite().all():
        return None
    asked = y_pred.requires_grad and torch.is_grad_enabled()
    with torch.set_grad_enabled(asked):
        # In float64, since the kernel adds logarithms that grow with the number of frames, and loses digits by that.
        leaf = y_pred.detach().double().requires_grad_(asked)
        log_p = torch.log_softmax(leaf, -1).transpose(0, 1)
        values = torch.nn.functional.ctc_loss(
            log_p, y_true.long(), until, lengths, options["blank"], "none", options["zero_infinity"]
        )
        if not values.isfinite().all():  # without an alignment torch's gradient is nan
            return None
        if options["normalize"] is not None:
            values = values / lengths.clamp(min=1)
    if not asked:
        return _reduced(spec, values.to(y_pred.dtype))
    (slope,) = torch.autograd.grad(values.sum(), leaf)
    found = values.detach().to(y_pred.dtype), slope.to(y_pred.dtype)
    each = dataclasses.replace(spec, reduction="none")
    return _reduced(spec, _Ctc.apply(each, found, y_pred, y_true, label_lengths, input_lengths))


def _reduced(spec: Any, values: Tensor) -> Tensor:
    """Without weights and mask the other reductions are all the mean."""
    return values if spec.reduction == "none" else values.sum() if spec.reduction == "sum" else values.mean()


KERNELS: dict[str | None, Callable[[Any, list[Any]], Tensor | None]] = {"ctc": ctc}
"""name -> function of (spec, inputs): the loss, or None."""

"""Value and gradient of a loss in one pass: what eager torch runs where it has no kernel of its own.

The closed form makes the gradient as cheap as the value, and both share their parts; in blocks that stay in the
processor's cache they take about as long as one of them. Under `torch.compile`, `torch.func` and forward mode the
closed form is recorded instead (`autograd.closed_form`).
"""

from __future__ import annotations

import dataclasses
import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

import multiloss_torch as be
from multiloss import pipeline

_BLOCK = 65536
"""Elements a block and thread: a few arrays of this size fit into a processor's cache."""


def applies(spec: Any, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None) -> bool:
    """Whether nothing but the gradient by `y_pred` can be asked of this call, eagerly, in reverse mode."""
    return (
        spec.definition.grad is not None
        and not y_true.requires_grad
        and (sample_weight is None or not sample_weight.requires_grad)
        and be.signature(y_pred) is not None
        and torch.autograd.forward_ad._current_level < 0
    )


class _ValueAndGradient(torch.autograd.Function):
    # Not with `setup_context`, which costs an inspect.signature a call.
    @staticmethod
    def forward(ctx: Any, spec: Any, trusted: bool, *inputs: Any) -> Tensor:
        ctx.spec, ctx.trusted = spec, trusted
        ctx.save_for_backward(*inputs)
        value, ctx.gradient = value_and_gradient(spec, trusted, *inputs)
        return value

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        gradient, ctx.gradient = ctx.gradient, None
        if torch.is_grad_enabled():  # to be differentiated once more
            inputs = ctx.saved_tensors
            gradient = g * pipeline.value_and_gradient(be, ctx.spec, *inputs, trusted=ctx.trusted)[1]
            return None, None, None, be.cast_like(gradient, inputs[1]), None, None
        if gradient is None:  # another pass over a retained graph
            gradient = value_and_gradient(ctx.spec, ctx.trusted, *ctx.saved_tensors)[1]
        return None, None, None, gradient if _is_one(g) else gradient * g, None, None


def _is_one(g: Tensor) -> bool:
    """Whether the loss itself is differentiated, so that nothing is left to multiply."""
    try:
        return g.device.type == "cpu" and g.item() == 1
    except RuntimeError:  # a batch of factors (`is_grads_batched`) has no one value
        return False


def differentiable(spec: Any, trusted: bool, *inputs: Any) -> Tensor:
    """The loss of (y_true, y_pred, sample_weight, mask) where `applies` holds."""
    return _ValueAndGradient.apply(spec, trusted, *inputs)


def value_and_gradient(
    spec: Any, trusted: bool, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The loss and its gradient, in the dtype of `y_pred`; nothing is recorded."""
    each = _each(spec) if trusted and sample_weight is None and mask is None and y_pred.numel() else None
    with torch.no_grad():
        if each is None:
            inputs = y_true, y_pred, sample_weight, mask
            value, gradient = pipeline.value_and_gradient(be, spec, *inputs, trusted=trusted)
        else:
            total, gradient = _sum_and_derivative(each, y_true, be.compute(y_pred))
            scale = 1 / _count(spec, y_pred.shape)
            value, gradient = total * scale, gradient * scale
    return value, be.cast_like(gradient, y_pred) if y_pred.is_floating_point() else gradient


@lru_cache(maxsize=None)
def _each(spec: Any) -> Any:
    """The loss without its reduction, where that divides the sum of all values by a number; else None."""
    options = spec.kwargs
    weighted = options.get("class_weight") is not None or options.get("ignore_index") is not None
    if weighted or spec.reduction == "none":
        return None
    return dataclasses.replace(spec, reduction="none", axis=() if spec.definition.kind == "elementwise" else spec.axis)


def _count(spec: Any, shape: Any) -> int:
    """That number."""
    samples = pipeline.sample_shape(shape, spec.axis)
    inner = math.prod(shape) // math.prod(samples) if spec.definition.kind == "elementwise" else 1
    if spec.reduction == "sum":
        return inner
    return inner * (samples[0] if samples and spec.reduction == "batchmean" else math.prod(samples))


def _sum_and_derivative(each: Any, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of all values, and the derivative by each element: in blocks of whole samples, where these are rows."""
    size = _BLOCK * torch.get_num_threads()
    rows = y_pred.is_contiguous() and y_true.is_contiguous() and each.axis in ((), -1, y_pred.ndim - 1)
    if y_pred.numel() <= size or y_pred.device.type != "cpu" or not rows:
        values, gradient = _values_and_derivative(each, y_true, y_pred)
        return values.sum(), gradient
    shape = (-1,) if each.axis == () else (-1, y_pred.shape[-1])
    length = max(1, size // math.prod(shape[1:]))
    total, gradient = y_pred.new_zeros(()), torch.empty_like(y_pred)
    true = y_true.view(-1) if each.definition.has_labels else y_true.view(shape)
    blocks = (x.split(length) for x in (true, y_pred.view(shape), gradient.view(shape)))
    for t, p, out in zip(*blocks, strict=True):
        values, part = _values_and_derivative(each if each.axis == () else _of_rows(each), t, p)
        total += values.sum()
        out.copy_(part)
    return total, gradient


@lru_cache(maxsize=None)
def _of_rows(each: Any) -> Any:
    return dataclasses.replace(each, axis=-1)


def _values_and_derivative(each: Any, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
    return pipeline.values_and_derivative(be, each, pipeline.prepare(be, each, y_true, y_pred, None, None, True))

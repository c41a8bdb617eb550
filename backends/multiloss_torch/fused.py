"""Value and gradient of a loss in one pass: what eager torch runs where it has no kernel of its own.

The closed form makes the gradient as cheap as the value, and both share their parts; in blocks that stay in the
processor's cache they take about as long as one of them. Under `torch.compile`, `torch.func` and forward mode the
closed form is recorded instead (`autograd.closed_form`).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

import multiloss_torch as be
from multiloss import pipeline
from multiloss.layout import sample_shape
from multiloss_torch import compat, reading
from multiloss_torch.both import BOTH
from multiloss_torch.kernels import Both

BLOCK = 262144
"""Elements a block and thread: a few arrays of this size fit into a processor's cache, and malloc keeps their pages."""


def applies(spec: Any, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None) -> bool:
    """Whether nothing but the gradient by `y_pred` can be asked of this call, eagerly, in reverse mode."""
    return (
        spec.definition.grad is not None
        and not y_true.requires_grad
        and (sample_weight is None or not sample_weight.requires_grad)
        and be.signature(y_pred) is not None
        and not compat.in_forward_mode()
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
            _, gradients = pipeline.value_and_gradients(be, ctx.spec, *inputs, wrt=("y_pred",), trusted=ctx.trusted)
            gradient = g * gradients["y_pred"]
            return None, None, None, be.cast_like(gradient, inputs[1]), None, None
        if gradient is None:  # another pass over a retained graph
            gradient = value_and_gradient(ctx.spec, ctx.trusted, *ctx.saved_tensors)[1]
        return None, None, None, gradient if is_one(g) else gradient * g, None, None


def is_one(g: Tensor) -> bool:
    """Whether the loss itself is differentiated, so that nothing is left to multiply."""
    try:
        return reading.can_read(g) and g.item() == 1
    except RuntimeError:  # a batch of factors (`is_grads_batched`) has no one value
        return False


def differentiable(spec: Any, trusted: bool, *inputs: Any) -> Tensor:
    """The loss of (y_true, y_pred, sample_weight, mask) where `applies` holds."""
    return _ValueAndGradient.apply(spec, trusted, *inputs)


def value_and_gradient(
    spec: Any, trusted: bool, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The loss and its gradient, in the dtype of `y_pred`; nothing is recorded."""
    found, low = None, pipeline.lowest(spec, y_pred.dtype)
    with torch.no_grad():
        plain = trusted and sample_weight is None and mask is None and y_pred.numel() and _sums(spec)
        if plain and (low is None or reading.can_read(y_pred)):
            p = be.compute(y_pred)
            t = be.labels(y_true) if spec.definition.has_labels else be.cast_like(y_true, p)
            found = _scaled(spec, t, p, 1 / _count(spec, p.shape), low)
        if found is None:
            inputs = y_true, y_pred, sample_weight, mask
            value, gradients = pipeline.value_and_gradients(be, spec, *inputs, wrt=("y_pred",), trusted=trusted)
            found = value, gradients["y_pred"]
    value, gradient = found
    return value, be.cast_like(gradient, y_pred) if y_pred.is_floating_point() else gradient


@lru_cache(maxsize=None)
def _sums(spec: Any) -> bool:
    """Whether the reduction divides the sum of all values by a number."""
    options = spec.kwargs
    weighted = options.get("class_weight") is not None or options.get("ignore_index") is not None
    return not weighted and spec.definition.counts is None and spec.reduction != "none"


def _count(spec: Any, shape: Any) -> int:
    """That number."""
    samples = sample_shape(shape, spec.axis)
    inner = math.prod(shape) // math.prod(samples) if spec.definition.kind == "elementwise" else 1
    if spec.reduction == "sum":
        return inner
    return inner * (samples[0] if samples and spec.reduction == "batchmean" else math.prod(samples))


def _scaled(spec: Any, y_true: Tensor, y_pred: Tensor, scale: float, low: float | None) -> Both | None:
    """The sum of all values, and its derivative, times `scale`: in blocks of whole samples, where these are rows. None
    where a value may be below `low`: which samples that makes nan, the pipeline decides."""
    definition, axis = spec.definition, spec.axis
    # A list of numbers is one of classes: it needs their axis.
    flat = definition.kind == "elementwise" and not any(isinstance(x, tuple) for x in spec.kwargs.values())
    size = BLOCK * torch.get_num_threads()
    rows = y_pred.is_contiguous() and y_true.is_contiguous() and (flat or axis in (-1, y_pred.ndim - 1))
    if y_pred.numel() <= size or not reading.can_read(y_pred) or not rows:
        pair = _at_once(definition, axis, spec.kwargs, y_true, y_pred)
        if pair is not None:  # nothing of it is anybody else's memory
            return pair[0].sum() * scale, pair[1].mul_(scale)
        pair = _by_definition(definition, axis, spec.kwargs, y_true, y_pred, low)
        return None if pair is None else (pair[0].sum() * scale, pair[1] * scale)
    shape = (-1,) if flat else (-1, y_pred.shape[-1])
    length = max(1, size // math.prod(shape[1:]))
    total, gradient = y_pred.new_zeros(()), torch.empty_like(y_pred)
    true = y_true.view(-1) if definition.has_labels else y_true.view(shape)
    blocks = (x.split(length) for x in (true, y_pred.view(shape), gradient.view(shape)))
    for t, p, out in zip(*blocks, strict=True):
        pair = _at_once(definition, -1, spec.kwargs, t, p)
        pair = _by_definition(definition, -1, spec.kwargs, t, p, low) if pair is None else pair
        if pair is None:
            return None
        values, part = pair
        total += values.sum()
        torch.mul(part, scale, out=out)
    return total * scale, gradient


def _at_once(definition: Any, axis: Any, options: Any, y_true: Tensor, y_pred: Tensor) -> Both | None:
    """All values, and the derivative by each element, where there is a faster way than the definition's."""
    kernel = BOTH.get(definition.kernel)
    return None if kernel is None else kernel(options, axis, y_true, y_pred)


def _by_definition(
    definition: Any, axis: Any, options: Any, y_true: Tensor, y_pred: Tensor, low: float | None
) -> Both | None:
    """The same by the definition; None where a value may be below `low`."""
    xp = be.xp.sharing()
    if definition.takes_axis:
        options = {**options, "axis": axis}
    gradient = definition.grad(xp, y_true, y_pred, **options)
    values = definition.value(xp, y_true, y_pred, **options)
    return (values, gradient) if low is None or be.xp.nan_below(values, low) is None else None

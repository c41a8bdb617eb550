"""Value and gradients of a loss in one pass: what eager torch runs where torch has no kernel of its own.

The closed form makes a gradient as cheap as the value, and both share their parts; in blocks that stay in the
processor's cache they take about as long as one of them. Under `torch.compile`, `torch.func` and forward mode the
closed form is recorded instead (`autograd.closed_form`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

import multiloss_torch as be
from multiloss import pipeline
from multiloss.layout import Layout, layout
from multiloss_torch import compat, reading
from multiloss_torch.kernels import TOGETHER

BLOCK = 262144
"""Elements a block and thread: a few arrays of this size fit into a processor's cache, and malloc keeps their pages."""

Found = tuple[Tensor, list[Tensor]]
"""Values, and the derivative by each input that is asked for."""


def asked(spec: Any, arrays: Sequence[Any]) -> tuple[str, ...]:
    """The inputs whose gradients an eager call in reverse mode has to record, if each has a closed form; () where
    nothing is recorded, or another way has to answer."""
    *inputs, weight, _ = arrays
    definition = spec.definition
    if not torch.is_grad_enabled() or spec.reduction == "none" or (weight is not None and weight.requires_grad):
        return ()
    names = tuple(name for name, x in zip(definition.inputs, inputs, strict=True) if x is not None and x.requires_grad)
    closed = names and all(name in definition.gradients for name in names)
    return names if closed and applies(spec, arrays) else ()


def applies(spec: Any, arrays: Sequence[Any]) -> bool:
    """Whether the inputs are plain tensors, and nothing is compiled or differentiated forwards."""
    inputs = arrays[: len(spec.definition.inputs)]
    return all(x is None or reading.is_plain(x) for x in inputs) and not compat.in_forward_mode()


class _ValueAndGradients(torch.autograd.Function):
    # Not with `setup_context`, which costs an inspect.signature a call.
    @staticmethod
    def forward(ctx: Any, spec: Any, trusted: bool, names: tuple[str, ...], *arrays: Any) -> Tensor:
        ctx.spec, ctx.trusted, ctx.names = spec, trusted, names
        ctx.save_for_backward(*arrays)
        value, ctx.gradients = value_and_gradients(spec, trusted, names, arrays)
        return value

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        found, ctx.gradients = ctx.gradients, None
        inputs = ctx.spec.definition.inputs
        if torch.is_grad_enabled():  # to be differentiated once more
            arrays = ctx.saved_tensors
            _, again = pipeline.value_and_gradients(be, ctx.spec, *arrays, wrt=ctx.names, trusted=ctx.trusted)
            found = [be.cast_like(again[name] * g, arrays[inputs.index(name)]) for name in ctx.names]
        else:
            if found is None:  # another pass over a retained graph
                found = value_and_gradients(ctx.spec, ctx.trusted, ctx.names, ctx.saved_tensors)[1]
            found = found if is_one(g) else [gradient * g for gradient in found]
        by_name = dict(zip(ctx.names, found, strict=True))
        return None, None, None, *(by_name.get(name) for name in inputs), None, None


def is_one(g: Tensor) -> bool:
    """Whether the loss itself is differentiated, so that nothing is left to multiply."""
    try:
        return reading.can_read(g) and g.item() == 1
    except RuntimeError:  # a batch of factors (`is_grads_batched`) has no one value
        return False


def differentiable(spec: Any, trusted: bool, names: tuple[str, ...], arrays: Sequence[Any]) -> Tensor:
    """The loss, recorded with its gradients by the inputs of these names (`asked`)."""
    value: Tensor = _ValueAndGradients.apply(spec, trusted, names, *arrays)
    return value


def value_and_gradients(spec: Any, trusted: bool, names: tuple[str, ...], arrays: Sequence[Any]) -> Found:
    """The loss and its gradients by the inputs of these names, in the dtypes of these; nothing is recorded."""
    *inputs, weight, mask = arrays
    found = None
    with torch.no_grad():
        if trusted and weight is None and mask is None and inputs[1].numel() and _sums(spec):
            found = _sum_and_gradients(spec, names, _ready(spec, inputs))
        if found is None:
            value, by_name = pipeline.value_and_gradients(be, spec, *arrays, wrt=names, trusted=trusted)
            found = value, [by_name[name] for name in names]
    value, gradients = found
    places = [arrays[spec.definition.inputs.index(name)] for name in names]
    return value, [
        be.cast_like(gradient, x) if x.is_floating_point() else gradient
        for gradient, x in zip(gradients, places, strict=True)
    ]


@lru_cache(maxsize=None)
def _sums(spec: Any) -> bool:
    """Whether the reduction divides the sum of all values by a number."""
    options = spec.kwargs
    weighted = options.get("class_weight") is not None or options.get("ignore_index") is not None
    return not weighted and spec.definition.counts is None and spec.reduction != "none"


def _ready(spec: Any, inputs: Sequence[Any]) -> dict[str, Tensor]:
    """Inputs by name, in the dtypes that the definition takes."""
    names, main = spec.definition.inputs, be.compute(inputs[1])
    given = {name: x for name, x in zip(names, inputs, strict=True) if x is not None}
    how = layout(be, spec, given)
    return {name: be.labels(x) if how.is_label(name) else be.cast_like(x, main) for name, x in given.items()}


def _sum_and_gradients(spec: Any, names: tuple[str, ...], inputs: dict[str, Tensor]) -> Found | None:
    """The reduced loss and its gradients, in blocks of whole samples where these are rows. None where a value may be
    that of no probability: which samples that makes nan, the pipeline decides."""
    main = inputs[spec.definition.inputs[1]]
    low = pipeline.lowest(spec, main.dtype)
    if low is not None and not reading.can_read(main):
        return None
    how = layout(be, spec, inputs)
    scale = 1 / _count(spec, how, main.shape)
    size = BLOCK * torch.get_num_threads()
    largest = max(x.numel() for x in inputs.values())
    rows = _rows(spec, how, inputs) if largest > size and reading.can_read(main) else None
    if rows is None:
        found = _values_and_derivatives(spec, names, spec.axis, inputs, low)
        return None if found is None else (found[0].sum() * scale, [x * scale for x in found[1]])
    count = len(next(iter(rows.values())))
    length = max(1, size * count // largest)
    total, gradients = main.new_zeros(()), [torch.empty_like(inputs[name]) for name in names]
    outs = [gradient.view(rows[name].shape) for name, gradient in zip(names, gradients, strict=True)]
    for start in range(0, count, length):
        part = slice(start, start + length)
        found = _values_and_derivatives(spec, names, -1, {name: x[part] for name, x in rows.items()}, low)
        if found is None:
            return None
        total += found[0].sum()
        for out, derivative in zip(outs, found[1], strict=True):
            torch.mul(derivative, scale, out=out[part])
    return total * scale, gradients


def _count(spec: Any, how: Layout, shape: Any) -> int:
    """What the sum of all values is divided by."""
    samples = how.samples
    inner = math.prod(shape) // math.prod(samples) if spec.definition.kind == "elementwise" else 1
    if spec.reduction == "sum":
        return inner
    return inner * (samples[0] if samples and spec.reduction == "batchmean" else math.prod(samples))


def _rows(spec: Any, how: Layout, inputs: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """Views of the inputs with the samples (of an elementwise loss: the elements) along one axis; None where what is
    within a sample is not on the last axes."""
    # A list of numbers is one of classes: it needs their axis.
    flat = spec.definition.kind == "elementwise" and not any(isinstance(x, tuple) for x in spec.kwargs.values())
    if not flat and spec.definition.kind != "of_inputs" and len(how.inner("y_pred", inputs["y_pred"].ndim)) != 1:
        return None
    found = {}
    for name, x in inputs.items():
        inner = () if flat else how.inner(name, x.ndim)
        if not x.is_contiguous() or inner != tuple(range(x.ndim - len(inner), x.ndim)) or len(inner) > 1:
            return None
        found[name] = x.view(-1, *x.shape[x.ndim - len(inner) :])
    return found


def _values_and_derivatives(
    spec: Any, names: tuple[str, ...], axis: Any, inputs: dict[str, Tensor], low: float | None
) -> Found | None:
    """The value of each element (or sample) and the derivatives by each element: by a kernel, else by the definition.
    None where a value may be below `low`."""
    definition, options = spec.definition, spec.kwargs
    given = [inputs.get(name) for name in definition.inputs]
    kernel = TOGETHER.get(definition.kernel)
    if kernel is not None and names == ("y_pred",):
        found = kernel(options, axis, *given)
        if found is not None:
            return found[0], [found[1]]
    xp = be.xp.sharing()
    if definition.takes_axis:
        options = {**options, "axis": axis}
    derivatives = [definition.gradients[name](xp, *given, **options) for name in names]
    values = definition.value(xp, *given, **options)
    if low is not None and be.xp.nan_below(values, low) is not None:
        return None
    return values, derivatives

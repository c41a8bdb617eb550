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

from multiloss.engine import pipeline
from multiloss.engine.layout import Layout, layout
from multiloss.engine.samples import lowest
from multiloss_torch import arrays as be
from multiloss_torch import compat, mode
from multiloss_torch.kernels import COUNTED, TOGETHER

BLOCK = 262144
"""Elements a block and thread: a few arrays of this size fit into a processor's cache, and malloc keeps their pages."""

Found = tuple[Tensor, list[Tensor]]
"""Values, and the derivative by each input that is asked for."""


def plan(spec: Any, labels_checked: bool, arrays: Sequence[Any]) -> Plan | None:
    """How the loss of checked inputs, `sample_weight` and `mask` is computed; None where torch has to record its
    operations: while it compiles, under torch.func, of subclasses, in forward mode."""
    inputs = arrays[: len(spec.definition.inputs)]
    return Plan(spec, labels_checked, arrays) if mode.is_eager(*inputs) else None


class Plan:
    """How a loss and its gradients are computed for arrays of one kind: of these shapes and dtypes.

    All that the kind decides is decided once. For a small batch that takes longer than the arithmetic, so a loss keeps
    the plan for its next batches of this kind, and calls it with their inputs.
    """

    def __init__(self, spec: Any, labels_checked: bool, arrays: Sequence[Any]) -> None:
        *inputs, weight, mask = arrays
        self.spec, self.labels_checked = spec, labels_checked
        self.positions = {name: i for i, name in enumerate(spec.definition.inputs) if inputs[i] is not None}
        self.scale: float | None = None
        """What multiplies the sum of all values; None where the loss is not only that: with weights, a mask."""
        self.is_kept = False
        """Whether other arrays of this kind can take it: only their labels are left to look at."""
        if labels_checked and weight is None and mask is None and inputs[1].numel() and _sums(spec):
            self._measure(inputs)

    def _measure(self, inputs: Sequence[Any]) -> None:
        spec, main = self.spec, be.compute(inputs[1])
        given = {name: inputs[i] for name, i in self.positions.items()}
        readable, self.low = mode.can_read(main), lowest(spec, main.dtype)
        if self.low is not None and not readable:  # which samples become nan, the pipeline decides
            return
        how = layout(be, spec, given)
        self.count = _count(spec, how, main.shape)
        self.scale = 1 / self.count
        self.dtypes = [torch.int64 if how.is_label(name) else main.dtype for name in spec.definition.inputs]
        self.labels: list[tuple[int, Any]] = [
            (i, how.known_most(name)[0]) for name, i in self.positions.items() if how.has_range(name)
        ]
        self.is_kept = all(x is None or x.dtype == kind for x, kind in zip(inputs, self.dtypes, strict=True))
        largest, size = max(x.numel() for x in given.values()), BLOCK * torch.get_num_threads()
        self.rows = _rows(spec, how, inputs) if largest > size and readable else None
        self.share = size / largest
        """Which part of the rows fits into the cache."""

    def __call__(self, *inputs: Any) -> Tensor | None:
        """The loss of other arrays of this kind; None where they have to be looked at more closely."""
        if compat.in_forward_mode() or not all(be.labels_fit(inputs[i], most) for i, most in self.labels):
            return None
        return self.loss((*inputs, None, None))

    def loss(self, arrays: Sequence[Any]) -> Tensor | None:
        """The loss of inputs, `sample_weight` and `mask`, recorded with the gradients that are asked for; None where
        torch has to record its operations."""
        if self.spec.reduction == "none":
            return None
        names: tuple[str, ...] = ()
        if torch.is_grad_enabled():
            names = tuple(name for name, i in self.positions.items() if arrays[i].requires_grad)
            weight, gradients = arrays[-2], self.spec.definition.gradients
            if not all(name in gradients for name in names) or (weight is not None and weight.requires_grad):
                return None
        if names:
            value: Tensor = _ValueAndGradients.apply(self, names, *arrays)
            return value
        found = self._sum((), arrays)
        return None if found is None else found[0]

    @torch.no_grad()
    def value_and_gradients(self, names: tuple[str, ...], arrays: Sequence[Any]) -> Found:
        """The loss and its gradients by the inputs of these names, in the dtypes of these; nothing is recorded."""
        found = self._sum(names, arrays)
        if found is not None and self.is_kept:
            return found
        if found is None:
            spec = self.spec
            value, by_name = pipeline.value_and_gradients(
                be, spec, *arrays, wrt=names, labels_checked=self.labels_checked
            )
            found = value, [by_name[name] for name in names]
        places = [arrays[self.positions[name]] for name in names]
        return found[0], [
            be.cast_like(gradient, x) if x.is_floating_point() else gradient
            for gradient, x in zip(found[1], places, strict=True)
        ]

    def _sum(self, names: tuple[str, ...], arrays: Sequence[Any]) -> Found | None:
        """The loss and its gradients as sums over all values; None where the pipeline has to answer."""
        if self.scale is None:
            return None
        given = list(arrays[: len(self.dtypes)])
        if not self.is_kept:
            given = [None if x is None else x.to(kind) for x, kind in zip(given, self.dtypes, strict=True)]
        if self.rows is not None and all(x is None or x.is_contiguous() for x in given):
            return self._sum_in_blocks(names, given)
        found = _values_and_derivatives(self.spec, names, self.spec.axis_in(given[1].ndim), given, self.low)
        if found is None:
            return None
        total = found[0].mean() if found[0].numel() == self.count else found[0].sum() * self.scale
        return total, [x * self.scale for x in found[1]]

    def _sum_in_blocks(self, names: tuple[str, ...], given: list[Any]) -> Found | None:
        """The same in blocks of whole samples (of an elementwise loss: of elements)."""
        rows: list[Any] = [
            None if x is None else x.view(-1, *inner) for x, inner in zip(given, self.rows or (), strict=True)
        ]
        total, count = given[1].new_zeros(()), len(rows[1])
        gradients = [torch.empty_like(given[self.positions[name]]) for name in names]
        outs = [
            gradient.view(rows[self.positions[name]].shape) for name, gradient in zip(names, gradients, strict=True)
        ]
        length = max(1, int(count * self.share))
        for start in range(0, count, length):
            part = slice(start, start + length)
            block = [None if x is None else x[part] for x in rows]
            found = _values_and_derivatives(self.spec, names, -1, block, self.low)
            if found is None:
                return None
            total += found[0].sum()
            for out, derivative in zip(outs, found[1], strict=True):
                torch.mul(derivative, self.scale, out=out[part])
        return total * self.scale, gradients


class _ValueAndGradients(torch.autograd.Function):
    # Not with `setup_context`, which costs an inspect.signature a call.
    @staticmethod
    def forward(ctx: Any, plan: Plan, names: tuple[str, ...], *arrays: Any) -> Tensor:
        ctx.plan, ctx.names = plan, names
        ctx.save_for_backward(*arrays)
        value, ctx.gradients = plan.value_and_gradients(names, arrays)
        return value

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        found, ctx.gradients = ctx.gradients, None
        plan, names = ctx.plan, ctx.names
        if torch.is_grad_enabled():  # to be differentiated once more
            arrays = ctx.saved_tensors
            _, again = pipeline.value_and_gradients(
                be, plan.spec, *arrays, wrt=names, labels_checked=plan.labels_checked
            )
            found = [be.cast_like(again[name] * g, arrays[plan.positions[name]]) for name in names]
        else:
            if found is None:  # another pass over a retained graph
                found = plan.value_and_gradients(names, ctx.saved_tensors)[1]
            found = found if is_one(g) else [gradient * g for gradient in found]
        by_name = dict(zip(names, found, strict=True))
        return None, None, *(by_name.get(name) for name in plan.spec.definition.inputs), None, None


def is_one(g: Tensor) -> bool:
    """Whether the loss itself is differentiated, so that nothing is left to multiply."""
    try:
        return mode.can_read(g) and g.item() == 1
    except RuntimeError:  # a batch of factors (`is_grads_batched`) has no one value
        return False


@lru_cache(maxsize=None)
def _sums(spec: Any) -> bool:
    """Whether the loss is the sum of all values times a number, and has closed forms."""
    options = spec.kwargs
    weighted = options.get("class_weight") is not None or options.get("ignore_index") is not None
    closed = spec.definition.inputs[1] in spec.definition.gradients
    return closed and not weighted and spec.definition.counts is None and spec.reduction in COUNTED


def _count(spec: Any, how: Layout, shape: Any) -> int:
    """What the sum of all values is divided by."""
    samples = how.samples
    inner = math.prod(shape) // math.prod(samples) if spec.definition.kind == "elementwise" else 1
    if spec.reduction == "sum":
        return inner
    return inner * (samples[0] if samples and spec.reduction == "batchmean" else math.prod(samples))


def _rows(spec: Any, how: Layout, inputs: Sequence[Any]) -> list[tuple[int, ...]] | None:
    """The shape of one row of each input, with the samples (of an elementwise loss: the elements) along one axis; None
    where what is within a sample is not on the last axis."""
    # A list of numbers is one of classes: it needs their axis.
    flat = spec.definition.kind == "elementwise" and not any(isinstance(x, tuple) for x in spec.kwargs.values())
    if not flat and spec.definition.kind != "of_inputs" and len(how.inner("y_pred", inputs[1].ndim)) != 1:
        return None
    found = []
    for name, x in zip(spec.definition.inputs, inputs, strict=True):
        inner = () if flat or x is None else how.inner(name, x.ndim)
        if x is not None and (len(inner) > 1 or inner != tuple(range(x.ndim - len(inner), x.ndim))):
            return None
        found.append(() if x is None else tuple(x.shape[x.ndim - len(inner) :]))
    return found


def _values_and_derivatives(
    spec: Any, names: tuple[str, ...], axis: Any, given: Sequence[Any], low: float | None
) -> Found | None:
    """The value of each element (or sample) and the derivatives by each element: by a kernel, else by the definition.
    None where a value may be below `low`."""
    definition, options = spec.definition, spec.kwargs
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

"""The closed-form gradient of a definition as torch's derivative of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from multiloss_torch import compat

_UNKNOWN = object()


class _ClosedForm(torch.autograd.Function):
    """value(*arrays), with the derivatives that are given (`protocol.Adapter.closed_form`).

    They are computed by recorded operations, so second derivatives follow from them.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Any, gradients: Any, *arrays: Tensor) -> Tensor:
        return value(*arrays)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.value, ctx.gradients, *arrays = inputs
        ctx.save_for_backward(*arrays)
        ctx.save_for_forward(*arrays)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        arrays, asked = ctx.saved_tensors, ctx.needs_input_grad[2:]
        found: list[Tensor | None] = [None] * len(arrays)
        for i, x in enumerate(arrays):
            if not asked[i] or ctx.gradients.get(i, _UNKNOWN) is None:
                continue
            if i in ctx.gradients:
                gradient, axes = ctx.gradients[i]
                found[i] = _expand(g, axes) * gradient(*arrays)
            else:
                (found[i],) = torch.func.vjp(_of_one(ctx.value, arrays, i), x)[1](g)
        return None, None, *found


class _ClosedFormWithJvp(_ClosedForm):
    """The same, with forward mode, too. torch.compile cannot trace this one."""

    generate_vmap_rule = True

    @staticmethod
    def jvp(ctx: Any, _: Any, __: Any, *tangents: Any) -> Any:
        arrays, total = ctx.saved_tensors, None
        for i, (x, tangent) in enumerate(zip(arrays, tangents, strict=True)):
            if tangent is None or ctx.gradients.get(i, _UNKNOWN) is None:
                continue
            if i in ctx.gradients:
                gradient, axes = ctx.gradients[i]
                change = gradient(*arrays) * tangent
                change = change.sum(dim=axes) if axes else change
            else:
                change = _along(_of_one(ctx.value, arrays, i), x, tangent)
            total = change if total is None else total + change
        return torch.zeros_like(ctx.value(*arrays)) if total is None else total


def _of_one(value: Any, arrays: Any, i: int) -> Any:
    """The value as a function of one of its arrays."""
    return lambda x: value(*arrays[:i], x, *arrays[i + 1 :])


def _along(function: Any, x: Tensor, tangent: Tensor) -> Tensor:
    """The derivative of function(x) along a tangent, by two reverse passes, since forward mode does not nest."""
    out, pull = torch.func.vjp(function, x)
    return torch.func.vjp(lambda g: pull(g)[0], torch.ones_like(out))[1](tangent)[0]


def _expand(g: Tensor, axes: tuple[int, ...]) -> Tensor:
    """g with the axes that the value lacks, of length 1."""
    for axis in axes:
        g = g.unsqueeze(axis)
    return g


def closed_form(value: Any, gradients: Any, *arrays: Tensor) -> Tensor:
    closed = [arrays[i] for i, gradient in gradients.items() if gradient is not None]
    if torch.compiler.is_compiling():
        if not any(x.requires_grad for x in closed):
            return value(*arrays)
        return _ClosedForm.apply(value, gradients, *arrays)
    if not any(_is_recorded(x) for x in closed) or compat.nests_forward_mode():
        return value(*arrays)
    return _ClosedFormWithJvp.apply(value, gradients, *arrays)


class _PulledBack(torch.autograd.Function):
    """value(x), whose derivative takes g to pulled(x, g)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, value: Any, pulled: Any) -> Tensor:
        return value(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        x, ctx.value, ctx.pulled = inputs
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return ctx.pulled(ctx.saved_tensors[0], g), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Any, *_: Any) -> Tensor:
        return _along(ctx.value, ctx.saved_tensors[0], tangent)


def pulled_back(value: Any, pulled: Any, x: Tensor) -> Tensor:
    """`numerics.with_derivative`; compiled code has the derivative of the operations."""
    if torch.compiler.is_compiling() or not _is_recorded(x) or compat.nests_forward_mode():
        return value(x)
    return _PulledBack.apply(x, value, pulled)


def _is_recorded(x: Tensor) -> bool:
    return (x.requires_grad and torch.is_grad_enabled()) or compat.is_transformed(x) or compat.in_forward_mode()

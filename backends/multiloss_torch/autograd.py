"""The closed-form gradient of a definition as torch's derivative of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from multiloss_torch import compat


class _ClosedForm(torch.autograd.Function):
    """value(t, p), whose derivative by p is gradient(t, p, *constants), and by t that of the expression. All are
    recorded, so second derivatives follow."""

    generate_vmap_rule = True

    @staticmethod
    def forward(y_true: Tensor, y_pred: Tensor, value: Any, gradient: Any, axis: Any, *constants: Tensor) -> Tensor:
        return value(y_true, y_pred)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        y_true, y_pred, ctx.value, ctx.gradient, ctx.axis, *constants = inputs
        ctx.save_for_backward(y_true, y_pred, *constants)
        ctx.save_for_forward(y_true, y_pred, *constants)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        y_true, y_pred, *constants = ctx.saved_tensors
        by_true = by_pred = None
        if ctx.needs_input_grad[0]:
            (by_true,) = torch.func.vjp(lambda t: ctx.value(t, y_pred), y_true)[1](g)
        if ctx.needs_input_grad[1]:
            by_pred = _expand(g, ctx.axis, y_pred.ndim) * ctx.gradient(y_true, y_pred, *constants)
        return by_true, by_pred, None, None, None, *(None for _ in constants)


class _ClosedFormWithJvp(_ClosedForm):
    """The same with forward mode, which torch.compile cannot trace."""

    generate_vmap_rule = True

    @staticmethod
    def jvp(ctx: Any, t_tangent: Any, p_tangent: Any, *_: Any) -> Tensor:
        y_true, y_pred, *constants = ctx.saved_tensors
        total = None if t_tangent is None else _along(lambda t: ctx.value(t, y_pred), y_true, t_tangent)
        if p_tangent is not None:
            tangent = ctx.gradient(y_true, y_pred, *constants) * p_tangent
            if ctx.axis != ():
                tangent = tangent.sum() if ctx.axis is None else tangent.sum(dim=ctx.axis)
            total = tangent if total is None else total + tangent
        return total


def _along(function: Any, x: Tensor, tangent: Tensor) -> Tensor:
    """The derivative of function(x) along a tangent, by two reverse passes: forward mode does not nest."""
    out, pull = torch.func.vjp(function, x)
    return torch.func.vjp(lambda g: pull(g)[0], torch.ones_like(out))[1](tangent)[0]


def _expand(g: Tensor, axis: Any, rank: int) -> Tensor:
    """The axes that the value consumed, back with length 1."""
    if axis is None or axis == ():
        return g
    for item in sorted(a % rank for a in (axis if isinstance(axis, tuple) else (axis,))):
        g = g.unsqueeze(item)
    return g


def closed_form(value: Any, gradient: Any, y_true: Tensor, y_pred: Tensor, axis: Any, *constants: Tensor) -> Tensor:
    """value(y_true, y_pred) with its derivative by y_pred in closed form; by y_true that of the expression."""
    if torch.compiler.is_compiling():
        if not y_pred.requires_grad:
            return value(y_true, y_pred)
        return _ClosedForm.apply(y_true, y_pred, value, gradient, axis, *constants)
    if not _is_recorded(y_pred) or compat.nests_forward_mode():
        return value(y_true, y_pred)
    return _ClosedFormWithJvp.apply(y_true, y_pred, value, gradient, axis, *constants)


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
    """value(x), whose derivative takes g to pulled(x, g); compiled, that of its operations."""
    if torch.compiler.is_compiling() or not _is_recorded(x) or compat.nests_forward_mode():
        return value(x)
    return _PulledBack.apply(x, value, pulled)


def _is_recorded(x: Tensor) -> bool:
    return (x.requires_grad and torch.is_grad_enabled()) or compat.is_transformed(x) or compat.in_forward_mode()

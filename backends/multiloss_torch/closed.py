"""Losses of other inputs in closed form: what `fused` is to losses of (y_true, y_pred).

`CLOSED` has, of plain calls (no weights, no mask, a mean, all inputs of one compute dtype on the CPU), the value of
each sample and the derivative by each input that is asked for. A call that finds values for which its formula is not
the definition's gives None, and the definition answers; so it does where a derivative is differentiated once more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

import multiloss_torch as be
from multiloss import pipeline
from multiloss_torch import compat, fused, reading

_TYPES = (Tensor, torch.nn.Parameter)
_SMALL, _LARGE = 1e-15, 1e15
"""Between these the square of a length, and of what makes up its digits, is a number in every dtype."""

Found = tuple[Tensor, list[Tensor | None]]
Asked = tuple[bool, ...]


def kind_of(spec: Any, arrays: Sequence[Any]) -> Any:
    """Shapes and dtype of inputs (with weights and mask) for which the closed form may stand in for the definition;
    None of others."""
    *inputs, weight, mask = arrays
    if spec.definition.kernel not in CLOSED or weight is not None or mask is not None:
        return None
    if torch.compiler.is_compiling() or type(inputs[0]) not in _TYPES:
        return None
    dtype = inputs[0].dtype
    if dtype not in (torch.float32, torch.float64):
        return None
    for x in inputs:
        if type(x) not in _TYPES or x.dtype != dtype or not reading.can_read(x) or not x.numel():
            return None
    if compat.in_forward_mode():
        return None
    return (dtype, *(x.shape for x in inputs)) if spec.reduction in ("mean", "weighted_mean") else None


class _Closed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spec: Any, found: Found, *inputs: Tensor) -> Tensor:
        ctx.spec = spec
        ctx.save_for_backward(*inputs)
        value, ctx.gradients = found
        return value

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        gradients, ctx.gradients = ctx.gradients, None
        asked = ctx.needs_input_grad[2:]
        if torch.is_grad_enabled():  # to be differentiated once more
            inputs = [x.view_as(x) for x in ctx.saved_tensors]  # whatever else depends on one stays out of this
            value = pipeline.evaluate(be, ctx.spec, *inputs, None, None, trusted=True)
            wanted = [x for x, ask in zip(inputs, asked, strict=True) if ask]
            found = iter(torch.autograd.grad(value, wanted, g, create_graph=True, materialize_grads=True))
            return None, None, *(next(found) if ask else None for ask in asked)
        if gradients is None:  # another pass over a retained graph
            both = _both(ctx.spec, asked, ctx.saved_tensors)
            assert both is not None  # it was not, of these inputs
            gradients = both[1]
        if not fused.is_one(g):
            gradients = [x if x is None else x * g for x in gradients]
        return None, None, *gradients


def differentiable(spec: Any, arrays: Sequence[Any]) -> Tensor | None:
    """The mean, of arrays that have a `kind_of`; None where the definition has to answer."""
    inputs = arrays[:-2]
    asked = tuple(x.requires_grad for x in inputs) if torch.is_grad_enabled() else (False,) * len(inputs)
    found = _both(spec, asked, inputs)
    if found is None or not math.isfinite(found[0].item()):  # what is nan or infinite, and where, the definition says
        return None
    if not any(asked):
        return found[0]
    value: Tensor = _Closed.apply(spec, found, *inputs)
    return value


def _both(spec: Any, asked: Asked, inputs: Sequence[Tensor]) -> Found | None:
    """The mean and its derivatives: in blocks of whole samples that stay in the processor's cache."""
    function, options = CLOSED[spec.definition.kernel], spec.kwargs
    vectors = [bool(shape.letters) for shape in spec.definition.shapes.values()]
    count = inputs[0].numel() // (inputs[0].shape[-1] if vectors[0] else 1)
    most = fused.BLOCK * torch.get_num_threads()
    with torch.no_grad():
        if max(x.numel() for x in inputs) <= most:
            found = function(options, asked, 1 / count, *inputs)
            return None if found is None else (found[0].mean(), found[1])
        flat = [x.reshape(-1, x.shape[-1]) if rows else x.reshape(-1) for x, rows in zip(inputs, vectors, strict=True)]
        gradients = [torch.empty_like(x) if ask else None for x, ask in zip(flat, asked, strict=True)]
        total, length = inputs[0].new_zeros(()), max(1, most * count // max(x.numel() for x in inputs))
        for start in range(0, count, length):
            part = slice(start, start + length)
            found = function(options, asked, 1 / count, *(x[part] for x in flat))
            if found is None:
                return None
            total += found[0].sum()
            for out, gradient in zip(gradients, found[1], strict=True):
                if out is not None and gradient is not None:
                    out[part] = gradient
        shaped = [g if g is None else g.view(x.shape) for g, x in zip(gradients, inputs, strict=True)]
        return total / count, shaped


def _gaussian_nll(options: Any, asked: Asked, scale: float, t: Tensor, p: Tensor, v: Tensor) -> Found | None:
    least = v.min().item()
    if not (least > 0 and least >= options["epsilon"]):
        return None
    e = t - p
    ratio = e / v
    value = v.log().addcmul_(e, ratio).mul_(0.5)
    if options["full"]:
        value += 0.5 * math.log(2 * math.pi)
    by_t = ratio * scale if asked[0] else None
    by_p = ratio * -scale if asked[1] else None
    by_v = torch.rsub(e.mul_(ratio), 1).div_(v).mul_(0.5 * scale) if asked[2] else None
    return value, [by_t, by_p, by_v]


def _margin_ranking(options: Any, asked: Asked, scale: float, t: Tensor, x1: Tensor, x2: Tensor) -> Found | None:
    if asked[0]:
        return None
    short = (x1 - x2).mul_(t)
    value = torch.rsub(short, options["margin"]).clamp_(min=0)
    slope = value.sign().mul_(t).mul_(-scale) if any(asked) else None
    if slope is not None and not math.isfinite(slope.sum().item()):  # 0 times an infinite target
        return None
    by_x2 = None if slope is None or not asked[2] else -slope
    return value, [None, slope if asked[1] else None, by_x2]


def _cosine_embedding(options: Any, asked: Asked, scale: float, t: Tensor, x1: Tensor, x2: Tensor) -> Found | None:
    long1, long2 = _length(x1), _length(x2)
    if asked[0] or long1 is None or long2 is None:
        return None
    u = x1 / long1
    apart = torch.addcdiv(u, x2, long2, value=-1)
    # 1 - c is half the squared distance of unit vectors, which keeps its digits where they are close.
    lost = torch.linalg.vecdot(apart, apart).mul_(0.5)
    cosine = torch.linalg.vecdot(x1, x2).div_(long1.squeeze(-1)).div_(long2.squeeze(-1))
    over = cosine.sub_(options["margin"])
    similar, other = t == 1, (t == -1) & (over > 0)
    value = torch.where(similar, lost, torch.where(other, over, 0 * t))
    if not any(asked):
        return value, [None, None, None]
    side, lost = (similar.to(t.dtype) - other.to(t.dtype)).unsqueeze(-1).mul_(scale), lost.unsqueeze(-1)
    # Of the first -(v - c u), which is u - v - (1 - c) u; of the second v - u - (1 - c) v, v = u - apart.
    by_x1 = torch.addcmul(apart, lost, u, value=-1).mul_(side / long1) if asked[1] else None
    by_x2 = torch.addcmul(apart, lost, u - apart).mul_(side / long2).neg_() if asked[2] else None
    return value, [None, by_x1, by_x2]


def _triplet_margin(options: Any, asked: Asked, scale: float, a: Tensor, p: Tensor, n: Tensor) -> Found | None:
    added = options["epsilon"]
    if options["power"] != 2 or options["swap"] or (added and options["epsilon_in"] != "difference"):
        return None
    near, far = a - p, a - n
    if added:
        near, far = near.add_(added), far.add_(added)
    to_p, to_n = _length(near), _length(far)
    if to_p is None or to_n is None:
        return None
    value = (to_p - to_n).add_(options["margin"]).clamp_(min=0)
    if any(asked):
        active = value.sign().mul_(scale)
        near, far = near.mul_(active / to_p), far.mul_(active / to_n)
    by_a = near - far if asked[0] else None
    return value.squeeze(-1), [by_a, near.neg_() if asked[1] else None, far if asked[2] else None]


def _length(x: Tensor) -> Tensor | None:
    """The Euclidean length over the last axis, kept; None where one is 0 or its square is no number."""
    length: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    least, most = length.aminmax()
    return length if least.item() >= _SMALL and most.item() <= _LARGE else None


CLOSED: dict[str | None, Callable[..., Found | None]] = {
    "cosine_embedding": _cosine_embedding,
    "gaussian_nll": _gaussian_nll,
    "margin_ranking": _margin_ranking,
    "triplet_margin": _triplet_margin,
}
"""name -> function of (options, whether each derivative is asked for, scale, *inputs): the value of each sample, and
the derivatives times `scale`; nothing of it is another's memory."""

"""The primitives that torch's array API lacks, or that torch has a better function for.

What each gives is said in `multiloss.engine` (`numerics`, `norms`, `pairs`, `protocol`), or by the array API standard.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F

from multiloss.engine import numerics, xla
from multiloss_torch import autograd, compat, mode

Array = Any

SAME = {"expit": torch.sigmoid, "constant": mode.constant, "with_derivative": autograd.pulled_back}


def stop_gradient(x: Array) -> Array:
    return x.detach()


@torch.library.custom_op("multiloss::held", mutates_args=())
def _held(x: torch.Tensor) -> torch.Tensor:
    return x.clone()


@_held.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


def snapshot(x: Array) -> Array:
    # A compiled backward pass would read the buffer again after it has moved. The compiler cannot look into this
    # operation, so the copy is made before.
    return _held(x.detach()) if torch.compiler.is_compiling() else x.detach()


def astype(x: Array, dtype: torch.dtype) -> Array:
    return x.to(dtype)


def where(condition: Array, x: Any, y: Any) -> Array:
    if isinstance(x, (int, float)) and torch.is_tensor(y) and y.is_floating_point():
        return y.masked_fill(condition, x)  # torch.where would make an array of the number first
    return torch.where(condition, x, y)


# Of axis=() torch would reduce everything; by the standard it leaves x as it is.


def sum(x: Array, *, axis: Any = None, keepdims: bool = False) -> Array:  # noqa: A001
    if axis == ():
        return x
    return torch.sum(x) if axis is None and not keepdims else torch.sum(x, dim=axis, keepdim=keepdims)


def prod(x: Array, *, axis: Any) -> Array:
    if not isinstance(axis, int):  # torch takes no tuple
        axes = range(x.ndim) if axis is None else axis
        x, axis = x.movedim(tuple(axes), tuple(range(len(axes)))).flatten(0, len(axes) - 1), 0
    return torch.prod(x, dim=axis)


def mean(x: Array, *, axis: Any = None, keepdims: bool = False) -> Array:
    if axis == ():
        return x
    return torch.mean(x) if axis is None and not keepdims else torch.mean(x, dim=axis, keepdim=keepdims)


def logsumexp(x: Array, *, axis: Any, keepdims: bool = False) -> Array:
    if axis == ():
        return x
    return torch.logsumexp(x, dim=tuple(range(x.ndim)) if axis is None else axis, keepdim=keepdims)


def log_softmax(x: Array, *, axis: int) -> Array:
    return F.log_softmax(x, dim=axis)


def softmax(x: Array, *, axis: int) -> Array:
    return F.softmax(x, dim=axis)


def softplus(x: Array) -> Array:
    # The default threshold of 20 is too low for float64: exp(-20) is 2e-9.
    return F.softplus(x, threshold=40.0)


# On the CPU an operation that makes a boolean tensor takes as long as a logarithm; `threshold` makes none.


def clamp_min(x: Array, bound: float) -> Array:
    if torch.compiler.is_compiling():
        return numerics.clamp_min(torch, x, bound)
    return torch.threshold(x, mode.before(bound, x.dtype), bound)  # a nan passes its derivative on, which clamp makes 0


def inf_below(x: Array, bound: float) -> Array:
    if torch.compiler.is_compiling():
        return numerics.inf_below(torch, x, bound)
    return torch.threshold(x, mode.before(bound, x.dtype), math.inf)


def length(x: Array, axis: Any) -> Any:
    found = numerics.length(None, x, axis)
    # `torch.jit.trace` makes tensors of lengths, and a number over an integer tensor is float32.
    return found.to(x.dtype) if isinstance(found, torch.Tensor) else found


def sign_or_one(x: Array) -> Array:
    if torch.compiler.is_exporting():  # ONNX has no copysign
        return torch.where(x.detach() >= 0, 1.0, -1.0).to(x.dtype)
    return torch.copysign(torch.ones((), dtype=x.dtype, device=x.device), x.detach())


def abs(x: Array) -> Array:  # noqa: A001
    # The derivative at nan must be nan; that of torch.abs is 0.
    if (not x.requires_grad and mode.is_plain(x)) or mode.is_finite(x):
        return torch.abs(x)
    return torch.where(x == 0, torch.abs(x), x * sign(x.detach()))  # |-0| is 0


def sign(x: Array) -> Array:
    # nan stays nan, which torch.sign makes 0.
    if torch.compiler.is_compiling():  # inductor takes a product with 0 for 0
        return torch.where(isnan(x), x.detach(), torch.sign(x))
    return torch.sign(x) if mode.is_finite(x) else torch.sign(x) + 0 * x.clamp(-1, 1)


def minimum(x: Array, y: Any) -> Array:
    return torch.minimum(x, y) if torch.is_tensor(x) and torch.is_tensor(y) else _bounded(x, y, "max")


def maximum(x: Array, y: Any) -> Array:
    return torch.maximum(x, y) if torch.is_tensor(x) and torch.is_tensor(y) else _bounded(x, y, "min")


def _bounded(x: Any, y: Any, side: str) -> Array:
    """Where one of both is a number."""
    tensor, number = (x, y) if torch.is_tensor(x) else (y, x)
    return torch.clamp(tensor, **{side: number})


def clip(x: Array, min: Any = None, max: Any = None) -> Array:  # noqa: A002
    return torch.clamp(x, min, max)


# What torch.compile makes of `torch.isinf` and `torch.sinh` on the CPU takes several times as long as these.


def isnan(x: Array) -> Array:
    return x != x if torch.compiler.is_compiling() else torch.isnan(x)


def isinf(x: Array) -> Array:
    return torch.abs(x) == math.inf if torch.compiler.is_compiling() else torch.isinf(x)


def isfinite(x: Array) -> Array:
    return torch.abs(x) < math.inf if torch.compiler.is_compiling() else torch.isfinite(x)


def tanh(x: Array) -> Array:
    return xla.tanh(torch, x) if torch.compiler.is_compiling() else torch.tanh(x)


def linear(x: Array, weight: Array) -> Array:
    product = x @ weight.mT
    if mode.is_finite(product):
        return product
    finite, rows = (torch.where(isinf(a), torch.zeros_like(a), a) for a in (x, weight))
    known = product.detach()
    return torch.where(isfinite(known), finite @ rows.mT, known)


def power_near(size: Array) -> Array:
    exponent = torch.frexp(size).exponent.clamp(-120 if size.dtype == torch.float32 else -1000)
    return torch.ldexp(torch.ones_like(size), torch.where(size.isfinite(), exponent - 1, 0))


def one_hot_times(values: Array, labels: Array, like: Array, axis: int) -> Array:
    if torch.compiler.is_compiling():  # a comparison joins the pass of what follows; a scatter is a pass of its own
        at_label = class_range(like, axis).to(torch.int32) == labels.unsqueeze(axis).to(torch.int32)
        return torch.where(at_label, values.unsqueeze(axis), 0.0)
    return torch.zeros_like(like).scatter(axis, labels.unsqueeze(axis), values.unsqueeze(axis))


def take_along_axis(x: Array, indices: Array, *, axis: int) -> Array:
    return torch.gather(x, axis, indices)


# array_api_compat's own versions of these look their namespace up, which torch.compile warns of.


def take(x: Array, indices: Array, *, axis: int) -> Array:
    return torch.index_select(x, axis, indices)


def sort(x: Array, *, axis: int = -1) -> Array:
    return torch.sort(x, dim=axis)[0]


def argsort(x: Array, *, axis: int = -1, stable: bool = True) -> Array:
    if torch.onnx.is_in_onnx_export():  # ONNX keeps no order of equal entries: no value depends on it
        return torch.argsort(x, dim=axis)
    return torch.argsort(x, dim=axis, stable=stable)


def cumulative_sum(x: Array, *, axis: int = 0) -> Array:
    return torch.cumsum(x, dim=axis)


def permute_dims(x: Array, axes: Any) -> Array:
    return torch.permute(x, axes)


def searchsorted(x: Array, values: Array) -> Array:
    return torch.searchsorted(x, values.contiguous())


def concat(arrays: Any, *, axis: int = 0) -> Array:
    return torch.cat(arrays, dim=axis)


def all(x: Array, *, axis: Any = None, keepdims: bool = False) -> Array:  # noqa: A001
    return torch.all(x) if axis is None else torch.all(x, dim=axis, keepdim=keepdims)


def class_range(x: Array, axis: int) -> Array:
    shape = [1] * x.ndim
    shape[axis] = -1
    return torch.arange(x.shape[axis], device=x.device).reshape(shape)


def gather(table: Array, rows: Array) -> Array:
    # `table[rows]` costs five times as much.
    return table.index_select(0, rows.reshape(-1)).reshape((*rows.shape, *table.shape[1:]))


def step_rows(rows: Array, total: Array, scale: float, by: Array | None, unless: Array | None, finite: bool) -> Array:
    if by is None:
        new = torch.sub(rows, total, alpha=scale)
    elif scale <= 1:  # addcdiv multiplies before it divides, so a larger scale could overflow
        new = torch.addcdiv(rows, total, by, value=-scale)
    else:
        new = rows - scale / by * total
    if finite or (unless is None and mode.is_finite(total)):
        return new
    if torch.compiler.is_compiling():  # inductor takes a product with 0 for 0
        moves = isfinite(total).all(-1, keepdim=True)
    elif mode.is_plain(total) and not mode.can_read(total):
        # On an accelerator: fewer operations, which on the CPU take five times as long. A row whose step leaves the
        # range stays, too.
        moves = torch.linalg.vector_norm(new, math.inf, dim=-1, keepdim=True) < math.inf
    else:  # 0 times nan or infinity is nan; `isfinite` and `all` cost five times as much
        moves = (total * 0).sum(-1, keepdim=True) == 0
    return torch.where(moves if unless is None else moves & ~unless, new, rows)


def put_rows(table: Array, rows: Array, values: Array) -> Array:
    return table.index_put((rows,), values)


def scan(step: Any, start: tuple[Array, ...], frames: tuple[Array, ...]) -> tuple[Array, ...]:
    if torch.compiler.is_compiling() and compat.COMPILES_LOOPS and frames[0].shape[0]:
        return compat.compiled_scan(step, start, frames)
    return numerics.scan(torch, step, start, frames)


def unique_labels(labels: Array) -> tuple[Array, Array, Array | None]:
    if not mode.can_read(labels):  # how many classes there are is unknown there, or costs a wait
        return labels, searchsorted(torch.sort(labels).values, labels), None
    classes, places, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    return classes, places, counts


def segment_sum(values: Array, segments: Array, like: Array) -> Array:
    sums = values.new_zeros((like.shape[0], *values.shape[1:]))
    return sums.index_add_(0, segments, values) if mode.is_plain(values) else sums.index_add(0, segments, values)

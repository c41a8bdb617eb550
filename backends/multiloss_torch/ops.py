"""The primitives that torch's array API lacks, or that torch has a better function for."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F

Array = Any


def stop_gradient(x: Array) -> Array:
    """x, as a constant."""
    return x.detach()


def astype(x: Array, dtype: torch.dtype) -> Array:
    """x in another dtype."""
    return x.to(dtype)


def where(condition: Array, x: Any, y: Any) -> Array:
    """x where the condition holds, else y."""
    return torch.where(condition, x, y)


def sum(x: Array, *, axis: Any = None, keepdims: bool = False) -> Array:  # noqa: A001
    """The sum over `axis`; () leaves x as it is (torch would sum everything)."""
    if axis == ():
        return x
    return torch.sum(x) if axis is None and not keepdims else torch.sum(x, dim=axis, keepdim=keepdims)


def mean(x: Array, *, axis: Any = None, keepdims: bool = False) -> Array:
    """The mean over `axis`."""
    if axis == ():
        return x
    return torch.mean(x) if axis is None and not keepdims else torch.mean(x, dim=axis, keepdim=keepdims)


def logsumexp(x: Array, *, axis: int, keepdims: bool = False) -> Array:
    """log(sum(exp(x))) over `axis`, without overflow."""
    axes = tuple(range(x.ndim)) if axis is None else axis
    return torch.logsumexp(x, dim=axes, keepdim=keepdims)


def log_softmax(x: Array, *, axis: int) -> Array:
    """x - logsumexp(x) over `axis`."""
    return F.log_softmax(x, dim=axis)


def softmax(x: Array, *, axis: int) -> Array:
    """exp(x) divided by its sum over `axis`."""
    return F.softmax(x, dim=axis)


def softplus(x: Array) -> Array:
    """log(1 + exp(x)), right in both tails."""
    # The default threshold of 20 is too low for float64: exp(-20) is 2e-9.
    return F.softplus(x, threshold=40.0)


def expit(x: Array) -> Array:
    """1 / (1 + exp(-x)), right in both tails."""
    return torch.sigmoid(x)


def take_along_axis(x: Array, indices: Array, *, axis: int) -> Array:
    """The entries of x at `indices` along `axis`."""
    return torch.gather(x, axis, indices)


# array_api_compat's own versions of these look their namespace up, which torch.compile warns of.


def take(x: Array, indices: Array, *, axis: int) -> Array:
    """The entries of x at `indices` of one axis."""
    return torch.index_select(x, axis, indices)


def argsort(x: Array, *, axis: int = -1) -> Array:
    """The order that sorts x, stable."""
    return torch.argsort(x, dim=axis, stable=True)


def concat(arrays: Any, *, axis: int = 0) -> Array:
    """Arrays one after the other."""
    return torch.cat(arrays, dim=axis)


def cumulative_sum(x: Array, *, axis: int = 0) -> Array:
    """The running sum."""
    return torch.cumsum(x, dim=axis)


def all(x: Array, *, axis: Any = None, keepdims: bool = False) -> Array:  # noqa: A001
    """Whether all entries over `axis` are true."""
    return torch.all(x) if axis is None else torch.all(x, dim=axis, keepdim=keepdims)


def length(x: Array, axis: Any) -> int:
    """How many elements `axis` spans, at least 1."""
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return max(math.prod([x.shape[a] for a in axes]), 1)


def class_count(x: Array, axis: int) -> int:
    """The number of classes."""
    return x.shape[axis]


def class_range(x: Array, axis: int) -> Array:
    """0, 1, ... along `axis`."""
    shape = [1] * x.ndim
    shape[axis] = -1
    return torch.arange(x.shape[axis], device=x.device).reshape(shape)


def gather(table: Array, rows: Array) -> Array:
    """The rows of a table, as a copy."""
    return table[rows]


def put_rows(table: Array, rows: Array, values: Array) -> Array:
    """A table with some rows replaced; the table given stays."""
    return table.index_put((rows,), values)


def segment_sum(values: Array, segments: Array) -> Array:
    """Sums of the values of each segment; as many segments as values."""
    return torch.zeros_like(values).index_add(0, segments, values)

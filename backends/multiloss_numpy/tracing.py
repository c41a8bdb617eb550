"""Gradients of definitions without a closed form, through the `autograd` package."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import autograd
import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp, primitive
from autograd.tracer import getval

from multiloss.engine import numerics, pipeline
from multiloss.engine.protocol import Combined
from multiloss_numpy import arrays as plain
from multiloss_numpy import ops

Array = Any


_lgamma = primitive(ops.lgamma)
defvjp(_lgamma, lambda _, x: lambda g: g * ops.digamma(x))
_abs = primitive(np.abs)
defvjp(_abs, lambda _, x: lambda g: g * np.sign(x))  # autograd's own is x / |x|, which is nan where x is infinite


def _traced_ops() -> dict[str, Any]:
    """The differentiable primitives, over autograd's NumPy."""

    def take_along_axis(x: Array, indices: Array, *, axis: int) -> Array:
        index: list[Any] = list(np.indices(indices.shape, sparse=True))
        index[axis % len(indices.shape)] = getval(indices)
        return x[tuple(index)]

    def sort(x: Array, *, axis: int = -1) -> Array:
        return take_along_axis(x, np.argsort(getval(x), axis=axis, kind="stable"), axis=axis)

    def where(condition: Array, x: Array, y: Array) -> Array:
        # autograd's own gives derivatives in the shape of the result, not in those of x and y.
        shape = np.broadcast_shapes(*(np.shape(getval(a)) for a in (condition, x, y)))
        x, y = (a if np.shape(getval(a)) == shape else anp.broadcast_to(a, shape) for a in (x, y))
        return anp.where(getval(condition), x, y)

    def clip(x: Array, min: Any = None, max: Any = None) -> Array:  # noqa: A002
        return anp.clip(x, min, max)

    def with_derivative(value: Any, pulled: Any, x: Array) -> Array:
        found = primitive(value)
        defvjp(found, lambda _, x: lambda g: pulled(x, g))
        return found(x)

    return {
        **{k: v for k, v in vars(plain.xp).items() if k != "_base" and k not in numerics.DEFAULTS},
        "stop_gradient": getval,
        "take_along_axis": take_along_axis,
        "sort": sort,
        "where": where,
        "argsort": lambda x, *, axis=-1, stable=True: np.argsort(getval(x), axis=axis, kind="stable"),
        "argmax": lambda x, *, axis=None: np.argmax(getval(x), axis=axis),
        "gather": lambda table, rows: table[getval(rows)],
        "with_derivative": with_derivative,
        "pair_squares": primitive(ops.pair_squares),
        "pair_gaps": primitive(ops.pair_gaps),
        "matrix_transpose": lambda x: anp.swapaxes(x, -1, -2),
        "permute_dims": lambda x, axes: anp.transpose(x, axes),
        "concat": lambda arrays, *, axis=0: anp.concatenate(arrays, axis),
        "cumulative_sum": lambda x, *, axis=0: anp.cumsum(x, axis),
        "abs": _abs,
        "acos": anp.arccos,
        "lgamma": _lgamma,
        "pow": anp.power,
        "astype": lambda x, dtype: x if x.dtype == dtype else x.astype(dtype),
        "softplus": lambda x: anp.logaddexp(0, x),
        "expit": lambda x: 0.5 * (1 + anp.tanh(0.5 * x)),
        "clip": clip,
        "zeros_like": lambda x: np.zeros(x.shape, x.dtype),
        "ones_like": lambda x, dtype=None: np.ones(x.shape, dtype or x.dtype),
        "full_like": lambda x, value: np.full(x.shape, value, x.dtype),
    }


def value_and_gradients(
    spec: Any, arrays: list[Any], labels_checked: bool, positions: tuple[int, ...]
) -> tuple[Any, tuple[Any, ...]]:
    """The loss, and its gradient with respect to the arguments at `positions`."""
    be = SimpleNamespace(**{**vars(plain), "xp": Combined(anp, _traced_ops())})
    be.cast_like = lambda x, like: x if x.dtype == like.dtype else np.asarray(x).astype(like.dtype)
    inputs = [np.asarray(be.compute(a)) if i in positions else a for i, a in enumerate(arrays[:-2])]

    def total(*traced: Any) -> Any:
        now = list(inputs)
        for position, x in zip(positions, traced, strict=True):
            now[position] = x
        return anp.sum(pipeline.evaluate(be, spec, *now, *arrays[-2:], labels_checked=labels_checked))

    gradients = autograd.grad(total, tuple(range(len(positions))))(*(inputs[i] for i in positions))
    value = pipeline.evaluate(plain, spec, *arrays, labels_checked=labels_checked)
    return value, tuple(g.astype(arrays[i].dtype) for g, i in zip(gradients, positions, strict=True))

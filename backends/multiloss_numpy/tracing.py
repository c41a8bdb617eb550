"""Gradients of definitions without a closed form, through the `autograd` package."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import autograd
import autograd.numpy as anp
import numpy as np
from autograd.extend import Box

import multiloss_numpy
from multiloss import numerics, pipeline
from multiloss.protocol import Combined

Array = Any


def _traced_ops() -> dict[str, Any]:
    """The differentiable primitives, over autograd's NumPy."""

    def log_softmax(x: Array, *, axis: Any) -> Array:
        shifted = x - anp.max(x, axis=axis, keepdims=True)
        return shifted - anp.log(anp.sum(anp.exp(shifted), axis=axis, keepdims=True))

    def logsumexp(x: Array, *, axis: Any, keepdims: bool = False) -> Array:
        top = anp.max(x, axis=axis, keepdims=True)
        total = anp.log(anp.sum(anp.exp(x - top), axis=axis, keepdims=True)) + top
        return total if keepdims else anp.squeeze(total, axis=axis)

    def clip(x: Array, min: Any = None, max: Any = None) -> Array:  # noqa: A002
        return anp.clip(x, min, max)

    return {
        **{k: v for k, v in vars(multiloss_numpy.xp).items() if k != "_base" and k not in numerics.DEFAULTS},
        "stop_gradient": lambda x: x._value if isinstance(x, Box) else x,
        "astype": lambda x, dtype: x if x.dtype == dtype else x.astype(dtype),
        "log_softmax": log_softmax,
        "logsumexp": logsumexp,
        "softmax": lambda x, *, axis: anp.exp(log_softmax(x, axis=axis)),
        "softplus": lambda x: anp.logaddexp(0, x),
        "expit": lambda x: 0.5 * (1 + anp.tanh(0.5 * x)),
        "clip": clip,
        "cumulative_sum": lambda x, *, axis: anp.cumsum(x, axis=axis),
        "zeros_like": lambda x: np.zeros(x.shape, x.dtype),
        "ones_like": lambda x: np.ones(x.shape, x.dtype),
        "full_like": lambda x, value: np.full(x.shape, value, x.dtype),
    }


def value_and_gradients(
    spec: Any, arrays: list[Any], trusted: bool, positions: tuple[int, ...]
) -> tuple[Any, tuple[Any, ...]]:
    """The loss, and its gradient with respect to the arguments at `positions`."""
    be = SimpleNamespace(**{**vars(multiloss_numpy), "xp": Combined(anp, _traced_ops())})
    be.cast_like = lambda x, like: x if x.dtype == like.dtype else np.asarray(x).astype(like.dtype)
    inputs = [np.asarray(be.compute(a)) if i in positions else a for i, a in enumerate(arrays[:2])]

    def total(*traced: Any) -> Any:
        now = list(inputs)
        for position, x in zip(positions, traced, strict=True):
            now[position] = x
        return anp.sum(pipeline.evaluate(be, spec, *now, *arrays[2:], trusted=trusted))

    gradients = autograd.grad(total, tuple(range(len(positions))))(*(inputs[i] for i in positions))
    value = pipeline.evaluate(multiloss_numpy, spec, *arrays, trusted=trusted)
    return value, tuple(g.astype(arrays[i].dtype) for g, i in zip(gradients, positions, strict=True))

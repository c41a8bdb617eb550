"""What the engine asks about JAX's arrays (`multiloss.engine.protocol.Adapter` says it)."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from multiloss.center import state
from multiloss.engine import checks, dispatch, xla
from multiloss.engine.protocol import namespace
from multiloss_jax import ops
from multiloss_jax.compat import is_traced

Array = Any

name = "jax"
xp = namespace(jnp, ops, xla.XLA)


def is_native(x: Any) -> bool:
    return isinstance(x, jax.Array)


def asarray(x: Any, like: Array | None, name: str) -> Array:
    # jit itself moves uncommitted arrays to the device of committed ones, and refuses two devices.
    if isinstance(x, jax.Array):
        return x
    array = dispatch.to_numpy(x, name, "jax")
    if array.dtype.kind in "iu" and array.dtype.itemsize == 8 and not jax.config.jax_enable_x64:
        narrow = array.astype(np.int32)
        if not np.array_equal(narrow, array):
            raise OverflowError(f"{name} holds integers beyond int32; switch on jax_enable_x64")
        array = narrow
    elif array.dtype == np.float64 and not jax.config.jax_enable_x64:
        array = array.astype(np.float32)
    return jnp.asarray(array)


def shape(x: Array) -> tuple[int, ...]:
    return tuple(x.shape)


def dtype_kind(x: Array) -> str:
    return "f" if x.dtype.kind == "V" else str(x.dtype.kind)


def signature(x: Array) -> Any:
    return None if is_traced(x) else (x.shape, x.dtype)


def compute(x: Array) -> Array:
    if x.dtype in (jnp.float32, jnp.float64):
        return x
    return x.astype(jnp.float32 if dtype_kind(x) == "f" else jnp.result_type(float))


def cast_like(x: Array, like: Array) -> Array:
    return x.astype(like.dtype)


def labels(x: Array) -> Array:
    return x.astype(jnp.int64 if jax.config.jax_enable_x64 else jnp.int32)


def host(x: Array) -> Any:
    # None for tracers, on accelerators, and for arrays that are partly in other processes.
    if is_traced(x) or not isinstance(x, jax.Array):
        return x if isinstance(x, np.ndarray) else None
    if not _is_here(x.sharding):
        return None
    array = np.asarray(x)
    return array.astype(np.float32) if array.dtype.kind == "V" else array


def labels_fit(x: Array, classes: int) -> bool:
    if is_traced(x) or x.dtype.kind != "i" or not _is_here(x.sharding):
        return False
    labels = np.asarray(x)
    if labels.size > _FEW:
        return checks.labels_fit(labels, classes)
    numbers = labels.ravel().tolist()  # NumPy's maximum takes 8 us while XLA is at work
    return not numbers or (min(numbers) >= 0 and max(numbers) < classes)


_FEW = 256


@lru_cache(maxsize=64)
def _is_here(sharding: Any) -> bool:
    """Whether arrays with this sharding are in this process as a whole, on a CPU."""
    return sharding.is_fully_addressable and next(iter(sharding.device_set)).platform == "cpu"


def closed_form(value: Any, gradients: Any, *arrays: Array) -> Array:

    @jax.custom_jvp
    def function(*arrays: Array) -> Array:
        return value(*arrays)

    @partial(function.defjvp, symbolic_zeros=True)
    def _(primals: Any, tangents: Any) -> Any:
        out = function(*primals)
        dot = jnp.zeros_like(out)
        others = []
        for i, tangent in enumerate(tangents):
            if type(tangent) is jax.custom_derivatives.SymbolicZero or gradients.get(i, ()) is None:
                continue
            if i in gradients:
                gradient, axes = gradients[i]
                change = gradient(*primals) * tangent
                dot = dot + (jnp.sum(change, axis=axes) if axes else change)
            elif jnp.issubdtype(primals[i].dtype, jnp.floating):
                others.append(i)
        if others:

            def of_others(*moving: Array) -> Array:
                return value(*(dict(enumerate(primals)) | dict(zip(others, moving, strict=True))).values())

            moving, along = ([x[i] for i in others] for x in (primals, tangents))
            dot = dot + jax.jvp(of_others, moving, along)[1]
        return out, dot

    return function(*arrays)


def centers_array(centers: Any, like: Array | None = None) -> Array:
    dtype = compute(like).dtype if like is not None else jnp.result_type(float)
    return jnp.zeros(centers.shape, dtype) if state.is_zeros(centers) else jnp.array(centers, dtype=dtype)

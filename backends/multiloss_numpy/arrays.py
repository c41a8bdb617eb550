"""What the engine asks about NumPy arrays (`multiloss.engine.protocol.Adapter` says it): the shortest one to read."""

from __future__ import annotations

from typing import Any

import numpy as np

from multiloss.center import state
from multiloss.engine import dispatch
from multiloss.engine.protocol import namespace
from multiloss_numpy import ops

Array = Any

name = "numpy"
xp = namespace(np, ops)


def is_native(x: Any) -> bool:
    return isinstance(x, np.ndarray | np.generic)


def asarray(x: Any, like: Array | None, name: str) -> Array:
    usual = type(x) is np.ndarray and x.dtype.isnative and x.dtype.char != "g"
    return x if usual else dispatch.to_numpy(x, name, "numpy")


def shape(x: Array) -> tuple[int, ...]:
    return tuple(x.shape)


def dtype_kind(x: Array) -> str:
    # The half precision of ml_dtypes counts as real.
    return "f" if x.dtype.name in ("bfloat16", "float8_e4m3fn", "float8_e5m2") else x.dtype.kind


def signature(x: Array) -> Any:
    return (x.shape, x.dtype) if type(x) is np.ndarray else None


def compute(x: Array) -> Array:
    if x.dtype in (np.float32, np.float64):
        return x
    return np.asarray(x).astype(np.float32 if dtype_kind(x) == "f" and x.dtype.itemsize <= 2 else np.float64)


def cast_like(x: Array, like: Array) -> Array:
    return np.asarray(x).astype(like.dtype, copy=False)


def labels(x: Array) -> Array:
    return np.asarray(x).astype(np.int64, copy=False)


def host(x: Array) -> np.ndarray:
    return np.asarray(x)


def closed_form(value: Any, gradients: Any, *arrays: Array) -> Array:
    return value(*arrays)  # NumPy differentiates nothing


def centers_array(centers: np.ndarray, like: Array | None = None) -> Array:
    single = like is not None and compute(like).dtype == np.float32
    dtype = np.float32 if single else np.float64
    return np.zeros(centers.shape, dtype) if state.is_zeros(centers) else np.array(centers, dtype)

"""What the engine asks about NumPy arrays: the shortest one to read."""

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
    """Whether x is a NumPy array or number."""
    return isinstance(x, np.ndarray | np.generic)


def asarray(x: Any, like: Array | None, name: str) -> Array:
    """A NumPy array of a list, number or array."""
    usual = type(x) is np.ndarray and x.dtype.isnative and x.dtype.char != "g"
    return x if usual else dispatch.to_numpy(x, name, "numpy")


def shape(x: Array) -> tuple[int, ...]:
    """The shape."""
    return tuple(x.shape)


def dtype_kind(x: Array) -> str:
    """NumPy's letter; ml_dtypes' half precision counts as real."""
    return "f" if x.dtype.name in ("bfloat16", "float8_e4m3fn", "float8_e5m2") else x.dtype.kind


def signature(x: Array) -> Any:
    """Shape and dtype; None of a number or a subclass."""
    return (x.shape, x.dtype) if type(x) is np.ndarray else None


def compute(x: Array) -> Array:
    """float32 for half precision, float64 for integers."""
    if x.dtype in (np.float32, np.float64):
        return x
    return np.asarray(x).astype(np.float32 if dtype_kind(x) == "f" and x.dtype.itemsize <= 2 else np.float64)


def cast_like(x: Array, like: Array) -> Array:
    """x in the dtype of `like`."""
    return np.asarray(x).astype(like.dtype, copy=False)


def labels(x: Array) -> Array:
    """Labels as int64."""
    return np.asarray(x).astype(np.int64, copy=False)


def host(x: Array) -> np.ndarray:
    """x itself."""
    return np.asarray(x)


def closed_form(value: Any, gradients: Any, *arrays: Array) -> Array:
    """The value: NumPy differentiates nothing."""
    return value(*arrays)


def centers_array(centers: np.ndarray, like: Array | None = None) -> Array:
    """A table of centers: float32 for features in single or half precision, else float64."""
    single = like is not None and compute(like).dtype == np.float32
    dtype = np.float32 if single else np.float64
    return np.zeros(centers.shape, dtype) if state.is_zeros(centers) else np.array(centers, dtype)

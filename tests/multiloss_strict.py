"""A sixth backend in one file: `array_api_strict`, which has the array API standard and nothing else.

`docs/extending.md` explains it; `test_strict.py` holds every loss to it.
"""

import math
import sys
from typing import Any

import array_api_strict as strict
import numpy as np

from multiloss.engine import dispatch
from multiloss.engine.loss import LossBase
from multiloss.engine.protocol import namespace

Array = Any
name = "strict"
differentiates = has_half = False


def stop_gradient(x: Array) -> Array:
    return x


def lgamma(x: Array) -> Array:
    return strict.asarray(np.vectorize(math.lgamma, otypes=[np.float64])(np.asarray(x)), dtype=x.dtype)


def put_rows(table: Array, rows: Array, values: Array) -> Array:
    changed = np.array(table)
    changed[np.asarray(rows)] = np.asarray(values)
    return strict.asarray(changed)


def segment_sum(values: Array, segments: Array, like: Array) -> Array:
    total = np.zeros((like.shape[0], *values.shape[1:]), np.asarray(values).dtype)
    np.add.at(total, np.asarray(segments), np.asarray(values))
    return strict.asarray(total)


xp = namespace(strict, {f.__name__: f for f in (stop_gradient, lgamma, put_rows, segment_sum)})


def is_native(x: Any) -> bool:
    return isinstance(x, type(strict.asarray(0)))


def asarray(x: Any, like: Array | None, name: str) -> Array:
    return x if is_native(x) else strict.asarray(dispatch.to_numpy(x, name, "strict"))


def shape(x: Array) -> tuple[int, ...]:
    return x.shape


def dtype_kind(x: Array) -> str:
    return np.asarray(x).dtype.kind


def signature(x: Array) -> Any:
    return x.shape, x.dtype


def compute(x: Array) -> Array:
    return x if dtype_kind(x) == "f" else strict.astype(x, strict.float64)


def cast_like(x: Array, like: Array) -> Array:
    return strict.astype(x, like.dtype)


def labels(x: Array) -> Array:
    return strict.astype(x, strict.int64)


def host(x: Array) -> np.ndarray:
    return np.asarray(x)


def closed_form(value: Any, gradients: Any, *arrays: Array) -> Array:
    return value(*arrays)


class loss(LossBase):
    backend, be = name, sys.modules[__name__]

    def __call__(self, *inputs: Any, **named: Any) -> Array:
        return self._call(inputs, named)

"""A small array-API namespace over TensorFlow (array-api-compat has none), and the primitives.

What each gives is said in `multiloss.engine` (`numerics`, `norms`, `pairs`, `protocol`), or by the array API standard.
"""

from __future__ import annotations

import math
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import tensorflow as tf

from multiloss.engine import pairs, xla
from multiloss_tensorflow import by_row, frames

Array = Any


def _number(value: Any, like: Array) -> Array:
    # tf.cast would take a Python float through float32.
    return tf.cast(value, like.dtype) if tf.is_tensor(value) else tf.convert_to_tensor(value, like.dtype)


def _pair(function: Any) -> Any:
    """A function of two arrays that also takes an array and a number."""

    def call(x: Any, y: Any) -> Array:
        return function(x, _number(y, x)) if tf.is_tensor(x) else function(_number(x, y), y)

    return call


def _reduction(function: Any) -> Any:
    """A function that takes axes as a tuple, too; TensorFlow takes a list, and of an empty one leaves x as it is."""

    def reduce(x: Array, *, axis: Any = None, keepdims: bool = False) -> Array:
        return function(x, axis=list(axis) if isinstance(axis, tuple) else axis, keepdims=keepdims)

    return reduce


_ROW = 256


def _sum(x: Array, axis: Any, keepdims: bool) -> Array:
    axes = range(len(x.shape)) if axis is None else axis if isinstance(axis, list) else [axis]
    if keepdims or len(axes) < len(x.shape) or not axes:
        return tf.reduce_sum(x, axis, keepdims)
    x = tf.reshape(x, [-1])
    return _sum_in_rows(x, 1 if x.shape[0] is None else 3)


def _sum_in_rows(x: Array, depth: int) -> Array:
    # XLA adds one number to the other: a million float32 would lose half their digits.
    if depth == 0 or (x.shape[0] is not None and x.shape[0] <= 4 * _ROW):
        return tf.reduce_sum(x)
    whole = tf.shape(x)[0] // _ROW * _ROW
    # The factor is exact, and keeps XLA from joining both sums to one again.
    rows = tf.reduce_sum(tf.reshape(x[:whole], [-1, _ROW]), -1) * (1 / _ROW)
    return _sum_in_rows(rows, depth - 1) * _ROW + tf.reduce_sum(x[whole:])


SAME = {
    "abs": tf.abs, "sign": tf.sign, "exp": tf.exp, "expm1": tf.math.expm1, "log": tf.math.log,
    "log1p": tf.math.log1p, "sqrt": tf.sqrt, "square": tf.square, "cosh": tf.cosh,
    "sin": tf.sin, "cos": tf.cos, "tan": tf.tan, "asin": tf.asin, "acos": tf.acos, "atan": tf.atan,
    "atan2": tf.atan2, "asinh": tf.asinh, "acosh": tf.acosh, "atanh": tf.atanh, "floor": tf.floor,
    "ceil": tf.math.ceil, "round": tf.round,
    "isnan": tf.math.is_nan, "isinf": tf.math.is_inf, "isfinite": tf.math.is_finite, "zeros_like": tf.zeros_like,
    "ones_like": tf.ones_like, "logical_and": tf.logical_and, "logical_or": tf.logical_or,
    "logical_not": tf.logical_not, "equal": tf.equal, "not_equal": tf.not_equal, "less": tf.less,
    "less_equal": tf.less_equal, "greater": tf.greater, "greater_equal": tf.greater_equal, "add": tf.add,
    "subtract": tf.subtract, "multiply": tf.multiply, "divide": tf.divide, "negative": tf.negative,
    "minimum": _pair(tf.minimum), "maximum": _pair(tf.maximum), "pow": _pair(tf.pow),
    "sum": _reduction(_sum), "mean": _reduction(tf.reduce_mean), "max": _reduction(tf.reduce_max),
    "min": _reduction(tf.reduce_min), "prod": _reduction(tf.reduce_prod), "any": _reduction(tf.reduce_any),
    "all": _reduction(tf.reduce_all), "std": _reduction(tf.math.reduce_std), "var": _reduction(tf.math.reduce_variance),
    "logsumexp": _reduction(tf.reduce_logsumexp), "log_softmax": tf.nn.log_softmax, "softmax": tf.nn.softmax,
    "softplus": tf.math.softplus, "expit": tf.math.sigmoid, "lgamma": tf.math.lgamma,
    "matmul": tf.matmul, "matrix_transpose": tf.linalg.matrix_transpose, "permute_dims": tf.transpose,
    "reshape": tf.reshape, "broadcast_to": tf.broadcast_to, "stack": tf.stack, "take": tf.gather, "gather": tf.gather,
    "sort": tf.sort, "searchsorted": tf.searchsorted, "cumulative_sum": tf.cumsum, "scan": frames.scan,
    "asarray": tf.convert_to_tensor, "arange": tf.range, "astype": tf.cast, "stop_gradient": tf.stop_gradient,
    "float32": tf.float32, "float64": tf.float64, "int32": tf.int32, "int64": tf.int64, "bool": tf.bool,
    "pi": math.pi, "e": math.e, "inf": math.inf, "nan": math.nan, "newaxis": None,
}  # fmt: skip


def clamp_min(x: Array, bound: float) -> Array:
    return tf.maximum(x, _number(bound, x))


def log1p(x: Array) -> Array:
    return _log1p(x) if x.dtype == tf.float64 else tf.math.log1p(x)


@tf.custom_gradient
def _log1p(x: Array) -> Any:
    return xla.log1p(_BASIC, x), lambda g: g / (1 + x)


def full_like(x: Array, value: Any) -> Array:
    return tf.fill(tf.shape(x), _number(value, x))


def where(condition: Array, x: Any, y: Any) -> Array:
    if not tf.is_tensor(x):
        x = _number(x, y) if tf.is_tensor(y) else tf.convert_to_tensor(x)
    return tf.where(condition, x, _number(y, x))


def clip(x: Array, min: Any = None, max: Any = None) -> Array:  # noqa: A002
    x = x if min is None else tf.maximum(x, _number(min, x))
    return x if max is None else tf.minimum(x, _number(max, x))


def hypot(x: Array, y: Array) -> Array:
    x, y = tf.abs(x), tf.abs(y)
    large, small = tf.maximum(x, y), tf.minimum(x, y)
    ratio = tf.math.divide_no_nan(small, large)
    return large * tf.sqrt(1 + ratio * ratio)


def with_derivative(value: Any, pulled: Any, x: Array) -> Array:
    found: Array = tf.custom_gradient(lambda x: (value(x), lambda g: pulled(x, g)))(x)
    return found


def linear(x: Array, weight: Array) -> Array:
    product: Array = _linear(x, weight) if x.shape.rank > 1 else _linear(x[None], weight)[0]
    return product


@tf.custom_gradient
def _linear(x: Array, weight: Array) -> Any:
    def gradient(g: Array) -> Any:
        finite, rows = (tf.where(tf.math.is_inf(a), tf.zeros_like(a), a) for a in (x, weight))
        flat, slopes = (tf.reshape(a, [-1, tf.shape(a)[-1]]) for a in (finite, g))
        return tf.matmul(g, rows), tf.ensure_shape(tf.matmul(slopes, flat, transpose_a=True), weight.shape)

    return tf.matmul(x, weight, transpose_b=True), gradient


def log2(x: Array) -> Array:
    return tf.math.log(x) / math.log(2)


def log10(x: Array) -> Array:
    return tf.math.log(x) / math.log(10)


def logaddexp(x: Array, y: Array) -> Array:
    return tf.maximum(x, y) + tf.math.log1p(tf.exp(-tf.abs(x - y)))


def expand_dims(x: Array, *, axis: int = 0) -> Array:
    return tf.expand_dims(x, axis)


def squeeze(x: Array, axis: Any) -> Array:
    return tf.squeeze(x, list(axis) if isinstance(axis, tuple) else [axis])


def concat(arrays: Any, *, axis: int = 0) -> Array:
    return tf.concat(arrays, axis)


def take_along_axis(x: Array, indices: Array, *, axis: int) -> Array:
    rank = len(x.shape)
    axis %= rank
    if axis != rank - 1:
        order = [*(i for i in range(rank) if i != axis), axis]
        back = [order.index(i) for i in range(rank)]
        taken = take_along_axis(tf.transpose(x, order), tf.transpose(indices, order), axis=-1)
        return tf.transpose(taken, back)
    return tf.gather(x, indices, batch_dims=rank - 1, axis=rank - 1)


def argsort(x: Array, *, axis: int = -1, stable: bool = True) -> Array:
    return tf.argsort(x, axis=axis, stable=stable)


def argmax(x: Array, *, axis: Any = None) -> Array:
    return tf.argmax(tf.reshape(x, [-1]) if axis is None else x, axis=0 if axis is None else axis)


# The length of an axis may be unknown while tracing; then it is a tensor.


def length(x: Array, axis: Any) -> Any:
    axes = range(len(x.shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    known = [x.shape[a] for a in axes]
    if None not in known:
        return max(math.prod(known), 1)
    size = tf.reduce_prod([tf.shape(x)[a] for a in axes])
    return tf.cast(tf.maximum(size, 1), x.dtype)


def class_count(x: Array, axis: int) -> Any:
    return x.shape[axis] if x.shape[axis] is not None else tf.shape(x, tf.int64)[axis]


def class_range(x: Array, axis: int) -> Array:
    shape = [1] * len(x.shape)
    shape[axis] = -1
    return tf.reshape(tf.range(tf.shape(x, tf.int64)[axis], dtype=tf.int64), shape)


def pair_squares(x: Array) -> Array:
    return pairs.pair_squares(_BASIC, x) if _accelerators() else by_row.pair_squares(x)


def pair_gaps(x: Array, factor: Array) -> Array:
    return pairs.pair_gaps(_BASIC, x, factor) if _accelerators() else by_row.pair_gaps(x, factor)


def put_rows(table: Array, rows: Array, values: Array) -> Array:
    return tf.tensor_scatter_nd_update(table, rows[:, None], values)


def unique_labels(labels: Array) -> tuple[Array, Array, Array | None]:
    if _accelerators():  # XLA has no lengths there that depend on values
        return labels, tf.searchsorted(tf.sort(labels), labels), None
    if labels.shape[0] not in (None, 1):
        return *tf.unique(labels), None
    # One label more than there are: XLA broadcasts an axis that may have the length 1 at most.
    classes, places = tf.unique(tf.concat([labels, labels[:1]], 0))
    return classes, places[:-1], None


def step_rows(rows: Array, total: Array, scale: float, by: Array | None, unless: Array | None, finite: bool) -> Array:
    # Each pass over all elements counts: the sum of a row, made too small to overflow, tells in one pass whether all of
    # it is finite; and Select chooses by row, where `tf.where` would broadcast.
    moves = tf.math.is_finite(tf.reduce_sum(total * _number(2.0**-64, total), -1))
    moves = moves if unless is None else moves & ~unless
    new = rows - (scale if by is None else scale / by) * total
    return tf.raw_ops.Select(condition=moves, x=new, y=rows)


@lru_cache(maxsize=None)
def _accelerators() -> bool:
    return any(device.device_type != "CPU" for device in tf.config.list_physical_devices())


def segment_sum(values: Array, segments: Array, like: Array) -> Array:
    return tf.math.unsorted_segment_sum(values, segments, tf.shape(like)[0])


_BASIC = SimpleNamespace(**SAME, where=where, concat=tf.concat)
"""What `numerics` needs here."""

"""A small array-API namespace over TensorFlow (array-api-compat has none), and the primitives."""

from __future__ import annotations

import builtins
import math
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import tensorflow as tf

from multiloss.engine import numerics, pairs, xla
from multiloss_tensorflow import by_row
from multiloss_tensorflow.frames import scan as scan

Array = Any

# The standard's names that TensorFlow has under the same meaning.
SAME = {
    "abs": tf.abs, "sign": tf.sign, "exp": tf.exp, "expm1": tf.math.expm1, "log": tf.math.log,
    "log1p": tf.math.log1p, "sqrt": tf.sqrt, "square": tf.square, "cosh": tf.cosh, "tanh": tf.tanh,
    "sin": tf.sin, "cos": tf.cos, "tan": tf.tan, "asin": tf.asin, "acos": tf.acos, "atan": tf.atan,
    "atan2": tf.atan2, "asinh": tf.asinh, "acosh": tf.acosh, "atanh": tf.atanh, "floor": tf.floor,
    "ceil": tf.math.ceil, "round": tf.round,
    "isnan": tf.math.is_nan, "isinf": tf.math.is_inf, "isfinite": tf.math.is_finite, "zeros_like": tf.zeros_like,
    "ones_like": tf.ones_like, "logical_and": tf.logical_and, "logical_or": tf.logical_or,
    "logical_not": tf.logical_not, "equal": tf.equal, "not_equal": tf.not_equal, "less": tf.less,
    "less_equal": tf.less_equal, "greater": tf.greater, "greater_equal": tf.greater_equal, "add": tf.add,
    "subtract": tf.subtract, "multiply": tf.multiply, "divide": tf.divide, "negative": tf.negative,
    "matmul": tf.matmul, "matrix_transpose": tf.linalg.matrix_transpose,
    "reshape": tf.reshape, "broadcast_to": tf.broadcast_to, "stop_gradient": tf.stop_gradient,
    "float32": tf.float32, "float64": tf.float64,
    "int32": tf.int32, "int64": tf.int64, "bool": tf.bool, "pi": math.pi, "e": math.e, "inf": math.inf,
    "nan": math.nan, "newaxis": None, "lgamma": tf.math.lgamma,
}  # fmt: skip


def _reduction(function: Any) -> Any:
    def reduce(x: Array, *, axis: Any = None, keepdims: builtins.bool = False) -> Array:
        # TensorFlow reads () as "all axes" nowhere, but a list it takes: the standard's () leaves x as it is.
        return function(x, axis=list(axis) if isinstance(axis, tuple) else axis, keepdims=keepdims)

    return reduce


_ROW = 256


def _sum(x: Array, axis: Any, keepdims: builtins.bool) -> Array:
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
    # The factor is exact, and keeps XLA from making one sum of them again.
    rows = tf.reduce_sum(tf.reshape(x[:whole], [-1, _ROW]), -1) * (1 / _ROW)
    return _sum_in_rows(rows, depth - 1) * _ROW + tf.reduce_sum(x[whole:])


REDUCTIONS = {
    "sum": _reduction(_sum), "mean": _reduction(tf.reduce_mean), "max": _reduction(tf.reduce_max),
    "min": _reduction(tf.reduce_min), "prod": _reduction(tf.reduce_prod), "any": _reduction(tf.reduce_any),
    "all": _reduction(tf.reduce_all), "std": _reduction(tf.math.reduce_std), "var": _reduction(tf.math.reduce_variance),
}  # fmt: skip


def clamp_min(x: Array, bound: float) -> Array:
    """max(x, bound)."""
    return tf.maximum(x, _number(bound, x))


def log1p(x: Array) -> Array:
    """log(1 + x)."""
    return _log1p(x) if x.dtype == tf.float64 else tf.math.log1p(x)


@tf.custom_gradient
def _log1p(x: Array) -> Any:
    return xla.log1p(_BASIC, x), lambda g: g / (1 + x)


def asarray(x: Any, dtype: Any = None) -> Array:
    """A tensor."""
    return tf.convert_to_tensor(x, dtype)


def astype(x: Array, dtype: Any) -> Array:
    """x in another dtype."""
    return tf.cast(x, dtype)


def _number(value: Any, like: Array) -> Array:
    # tf.cast would take a Python float through float32.
    return tf.cast(value, like.dtype) if tf.is_tensor(value) else tf.convert_to_tensor(value, like.dtype)


def constant(values: Any, like: Array) -> Array:
    """Numbers in the dtype of `like`."""
    return tf.constant(values, like.dtype)


def full_like(x: Array, value: Any) -> Array:
    """An array like x, of one value."""
    return tf.fill(tf.shape(x), _number(value, x))


def where(condition: Array, x: Any, y: Any) -> Array:
    """x where the condition holds, else y; a number takes the other's dtype."""
    if not tf.is_tensor(x):
        x = _number(x, y) if tf.is_tensor(y) else tf.convert_to_tensor(x)
    return tf.where(condition, x, _number(y, x))


_BASIC = SimpleNamespace(**SAME, where=where, sum=lambda x, axis: tf.reduce_sum(x, axis), concat=tf.concat)


def _pair(function: Any) -> Any:
    """Of two arrays, or of an array and a number."""

    def call(x: Any, y: Any) -> Array:
        return function(x, _number(y, x)) if tf.is_tensor(x) else function(_number(x, y), y)

    return call


PAIRS = {"minimum": _pair(tf.minimum), "maximum": _pair(tf.maximum), "pow": _pair(tf.pow)}


def clip(x: Array, min: Any = None, max: Any = None) -> Array:  # noqa: A002
    """x, at least min and at most max."""
    x = x if min is None else tf.maximum(x, _number(min, x))
    return x if max is None else tf.minimum(x, _number(max, x))


def hypot(x: Array, y: Array) -> Array:
    """sqrt(x^2 + y^2), without overflow."""
    x, y = tf.abs(x), tf.abs(y)
    large, small = tf.maximum(x, y), tf.minimum(x, y)
    ratio = tf.math.divide_no_nan(small, large)
    return large * tf.sqrt(1 + ratio * ratio)


def mix(x: Array, y: Array, weight: Array) -> Array:
    """(1 - weight) * x + weight * y, where a weight of 0 gives 0 against what is infinite."""
    # Not multiply_no_nan: its derivative by the weight is x, infinite where the product is the constant 0.
    return numerics.zero_times(_BASIC, 1 - weight, x) + numerics.zero_times(_BASIC, weight, y)


def with_derivative(value: Any, pulled: Any, x: Array) -> Array:
    """value(x), whose derivative takes g to pulled(x, g)."""
    found: Array = tf.custom_gradient(lambda x: (value(x), lambda g: pulled(x, g)))(x)
    return found


def linear(x: Array, weight: Array) -> Array:
    """The product of each row of x and each of a weight; infinite entries are 0 to its derivatives."""
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
    """The logarithm to the base 2."""
    return tf.math.log(x) / math.log(2)


def log10(x: Array) -> Array:
    """The logarithm to the base 10."""
    return tf.math.log(x) / math.log(10)


def logaddexp(x: Array, y: Array) -> Array:
    """log(exp(x) + exp(y)), without overflow."""
    return tf.maximum(x, y) + tf.math.log1p(tf.exp(-tf.abs(x - y)))


def expand_dims(x: Array, *, axis: int = 0) -> Array:
    """A new axis of length 1."""
    return tf.expand_dims(x, axis)


def squeeze(x: Array, axis: Any) -> Array:
    """x without an axis of length 1."""
    return tf.squeeze(x, list(axis) if isinstance(axis, tuple) else [axis])


def concat(arrays: Any, *, axis: int = 0) -> Array:
    """Arrays one after the other."""
    return tf.concat(arrays, axis)


def stack(arrays: Any, *, axis: int = 0) -> Array:
    """Arrays along a new axis."""
    return tf.stack(arrays, axis)


def permute_dims(x: Array, axes: Any) -> Array:
    """The axes in another order."""
    return tf.transpose(x, axes)


def take(x: Array, indices: Array, *, axis: int) -> Array:
    """The entries of x at `indices` of one axis."""
    return tf.gather(x, indices, axis=axis)


def take_along_axis(x: Array, indices: Array, *, axis: int) -> Array:
    """The entries of x at `indices` along `axis`, element by element."""
    rank = len(x.shape)
    axis %= rank
    if axis != rank - 1:
        order = [*(i for i in range(rank) if i != axis), axis]
        back = [order.index(i) for i in range(rank)]
        taken = take_along_axis(tf.transpose(x, order), tf.transpose(indices, order), axis=-1)
        return tf.transpose(taken, back)
    return tf.gather(x, indices, batch_dims=rank - 1, axis=rank - 1)


def argsort(x: Array, *, axis: int = -1, stable: builtins.bool = True) -> Array:
    """The order that sorts x."""
    return tf.argsort(x, axis=axis, stable=stable)


def sort(x: Array, *, axis: int = -1) -> Array:
    """x in ascending order."""
    return tf.sort(x, axis=axis)


def searchsorted(x: Array, values: Array) -> Array:
    """Where each value starts in the sorted x."""
    return tf.searchsorted(x, values)


def argmax(x: Array, *, axis: Any = None) -> Array:
    """Where the largest entry is."""
    return tf.argmax(tf.reshape(x, [-1]) if axis is None else x, axis=0 if axis is None else axis)


def cumulative_sum(x: Array, *, axis: int = 0) -> Array:
    """The running sum."""
    return tf.cumsum(x, axis=axis)


def arange(*args: Any, dtype: Any = None) -> Array:
    """Numbers at equal steps."""
    return tf.range(*args, dtype=dtype)


def logsumexp(x: Array, *, axis: Any = None, keepdims: builtins.bool = False) -> Array:
    """log(sum(exp(x))) over `axis`, without overflow."""
    return tf.reduce_logsumexp(x, list(axis) if isinstance(axis, tuple) else axis, keepdims)


def softplus(x: Array) -> Array:
    """log(1 + exp(x)), right in both tails."""
    return tf.math.softplus(x)


def expit(x: Array) -> Array:
    """1 / (1 + exp(-x)), right in both tails."""
    return tf.math.sigmoid(x)


def log_softmax(x: Array, *, axis: int) -> Array:
    """x - logsumexp(x) over `axis`."""
    return tf.nn.log_softmax(x, axis=axis)


def softmax(x: Array, *, axis: int) -> Array:
    """exp(x) divided by its sum over `axis`."""
    return tf.nn.softmax(x, axis=axis)


def length(x: Array, axis: Any) -> Any:
    """How many elements `axis` spans, at least 1; a tensor where a traced length is not known."""
    axes = range(len(x.shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    known = [x.shape[a] for a in axes]
    if None not in known:
        return builtins.max(math.prod(known), 1)
    size = tf.reduce_prod([tf.shape(x)[a] for a in axes])
    return tf.cast(tf.maximum(size, 1), x.dtype)


def class_count(x: Array, axis: int) -> Any:
    """The number of classes."""
    return x.shape[axis] if x.shape[axis] is not None else tf.shape(x, tf.int64)[axis]


def class_range(x: Array, axis: int) -> Array:
    """0, 1, ... along `axis`."""
    shape = [1] * len(x.shape)
    shape[axis] = -1
    return tf.reshape(tf.range(tf.shape(x, tf.int64)[axis], dtype=tf.int64), shape)


def gather(table: Array, rows: Array) -> Array:
    """The rows of a table, as a copy."""
    return tf.gather(table, rows)


def pair_squares(x: Array) -> Array:
    """(N, N): the squared Euclidean distance of each two rows of x, (N, D)."""
    return pairs.pair_squares(_BASIC, x) if _accelerators() else by_row.pair_squares(x)


def pair_gaps(x: Array, factor: Array) -> Array:
    """(N, D): for each row x_i the sum over j of factor_ij (x_i - x_j)."""
    return pairs.pair_gaps(_BASIC, x, factor) if _accelerators() else by_row.pair_gaps(x, factor)


def put_rows(table: Array, rows: Array, values: Array) -> Array:
    """A table with some rows replaced; the table given stays."""
    return tf.tensor_scatter_nd_update(table, rows[:, None], values)


def unique_labels(labels: Array) -> tuple[Array, Array, Array | None]:
    """The classes among the labels, each once, and where each label's is among them."""
    if _accelerators():  # XLA has no lengths there that depend on values
        return labels, searchsorted(sort(labels), labels), None
    if labels.shape[0] not in (None, 1):
        return *tf.unique(labels), None
    # One label more than there are: XLA broadcasts an axis that may have the length 1 at most.
    classes, places = tf.unique(tf.concat([labels, labels[:1]], 0))
    return classes, places[:-1], None


def step_rows(rows: Array, total: Array, scale: float, by: Array | None, unless: Array | None, finite: bool) -> Array:
    """rows - scale * total / by; a row stays, bit for bit, where its total is not finite, all if `unless` is True."""
    # Each operation over all elements counts: one sum, made too small to overflow, for two of them that look at each
    # element; and a choice by row, where `tf.where` would broadcast.
    moves = tf.math.is_finite(tf.reduce_sum(total * _number(2.0**-64, total), -1))
    moves = moves if unless is None else moves & ~unless
    new = rows - (scale if by is None else scale / by) * total
    return tf.raw_ops.Select(condition=moves, x=new, y=rows)


@lru_cache(maxsize=None)
def _accelerators() -> bool:
    return any(device.device_type != "CPU" for device in tf.config.list_physical_devices())


def segment_sum(values: Array, segments: Array, like: Array) -> Array:
    """Sums of the values of each segment; as many segments as `like` has rows."""
    return tf.math.unsorted_segment_sum(values, segments, tf.shape(like)[0])

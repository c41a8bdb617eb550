"""TensorFlow: losses are callables, eager (behind one cached XLA function) or in a `tf.function`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import tensorflow as tf

from multiloss import checks, dispatch, numerics, pipeline, state
from multiloss.options import KERAS_WEIGHTED
from multiloss.protocol import namespace
from multiloss_tensorflow import kernels, ops
from multiloss_tensorflow.distributed import group as group
from multiloss_tensorflow.distributed import write_rows as write_rows
from multiloss_tensorflow.objects import TensorflowCenter, TensorflowGeneral, TensorflowLoss
from multiloss_tensorflow.recomputation import refuse_recomputation as refuse_recomputation

Array = Any

name = "tensorflow"
xp = namespace(SimpleNamespace(**ops.SAME, **ops.REDUCTIONS, **ops.PAIRS), ops, numerics.XLA)
loss = TensorflowLoss
general = TensorflowGeneral
center = TensorflowCenter
own_values = kernels.values


def is_native(x: Any) -> bool:
    """Whether x is a tensor or variable."""
    return isinstance(x, tf.Tensor | tf.Variable)


def asarray(x: Any, like: Array | None, name: str) -> Array:
    """A tensor; eager tensors on two devices are refused, but for those that TensorFlow itself keeps on the host."""
    if isinstance(x, tf.Variable):
        return tf.convert_to_tensor(x)
    if isinstance(x, tf.Tensor):
        if like is not None and tf.executing_eagerly() and x.shape.rank and apart(x.device, like.device):
            raise checks.two_devices(name, x.device, like.device)
        return x
    array = dispatch.to_numpy(x, name, "tensorflow")
    if like is None and array.dtype == np.float64 and not isinstance(x, np.ndarray | np.generic):
        array = array.astype(np.float32)  # a list of Python numbers: TensorFlow's default float
    return tf.convert_to_tensor(array)


def apart(device: str, wanted: str) -> bool:
    """Whether tensors on these devices are refused together."""
    # With a GPU, int32 tensors and what tf.data yields are on the host all the same; TensorFlow copies them.
    return device != wanted and not (device.endswith("CPU:0") and "CPU" not in wanted)


def shape(x: Array) -> tuple[int | None, ...]:
    """The static shape; None for what is not known while tracing."""
    if x.shape.rank is None:
        raise ValueError("a tensor of unknown rank cannot be checked; give it a shape with tf.ensure_shape")
    return tuple(x.shape)


def kind(x: Array) -> str:
    """NumPy's letter of the dtype."""
    dtype = x.dtype
    return "f" if dtype.is_floating else "b" if dtype.is_bool else "i" if dtype.is_integer else "c"


def signature(x: Array) -> Any:
    """Shape, dtype and device; None while tracing, and of a variable."""
    return (x.shape, x.dtype, x.device) if isinstance(x, tf.Tensor) and tf.executing_eagerly() else None


def compute(x: Array) -> Array:
    """float32 for half precision and integers."""
    return x if x.dtype in (tf.float32, tf.float64) else tf.cast(x, tf.float32)


def cast_like(x: Array, like: Array) -> Array:
    """x in the dtype of `like`."""
    return x if x.dtype == like.dtype else tf.cast(x, like.dtype)


def labels(x: Array) -> Array:
    """Labels as int64."""
    return x if x.dtype == tf.int64 else tf.cast(x, tf.int64)


def is_compiling() -> bool:
    """Whether this is traced now; replicas of a strategy count, too, since they wait for each other."""
    return not tf.executing_eagerly() or group() is not None


def host(x: Array) -> Any:
    """The values of an eager tensor on the CPU; None while tracing or on an accelerator."""
    if not hasattr(x, "numpy") or not tf.executing_eagerly() or "CPU" not in x.device:
        return None
    return (tf.cast(x, tf.float32) if x.dtype in (tf.bfloat16, tf.float16) else x).numpy()


def fitted(
    spec: Any, y_true: Array, y_pred: Array, sample_weight: Array | None, mask: Array | None
) -> tuple[Array, Array, Array | None, Array | None]:
    """The arrays, made to fit by lengths that are not known yet: TensorFlow would broadcast them."""
    if all(x is None or None not in x.shape for x in (y_true, y_pred, sample_weight, mask)):
        return y_true, y_pred, sample_weight, mask
    shape, known = tf.shape(y_pred), pipeline.sample_shape(range(y_pred.shape.rank), spec.axis)
    samples = tf.gather(shape, tf.constant(list(known), tf.int32))
    wanted = samples if spec.definition.has_labels else shape
    # XLA drops assertions, but not a reshape to another size.
    with tf.control_dependencies([tf.debugging.assert_equal(tf.shape(y_true), wanted, "y_true does not fit y_pred")]):
        y_true = tf.reshape(y_true, wanted)

    def spread(x: Array | None) -> Array | None:
        if x is None or (spec.reduction == KERAS_WEIGHTED and not x.shape.rank):
            return x
        x = pipeline.trailing(x, x.shape.rank, len(known))
        # Weights are summed as they came: one for several values stays one.
        ones = tf.constant([spec.reduction == KERAS_WEIGHTED and length == 1 for length in x.shape])
        return tf.broadcast_to(x, tf.where(ones, 1, samples))

    return y_true, y_pred, spread(sample_weight), spread(mask)


def fitted_inputs(
    wanted: list[Any], inputs: list[Array | None], mask: Array | None, weight: Array | None, rank: int
) -> tuple[list[Array | None], Array | None, Array | None]:
    """The same of a loss "of inputs" of these shapes, whose samples have `rank` axes."""
    if all(x is None or None not in x.shape for x in (*inputs, mask, weight)):
        return inputs, mask, weight
    lengths: dict[Any, Any] = {}
    for shape, x in zip(wanted, inputs, strict=True):
        if x is not None:
            for name, known, length in zip(_names(shape, x), x.shape, tf.unstack(tf.shape(x)), strict=True):
                if known is not None or name not in lengths:
                    lengths[name] = length if known is None else known

    def fit(shape: Any, x: Array | None) -> Array | None:
        if x is None or None not in x.shape:
            return x
        full = tf.stack([lengths[name] for name in _names(shape, x)])
        with tf.control_dependencies([tf.debugging.assert_equal(tf.shape(x), full, "the lengths of inputs differ")]):
            return tf.ensure_shape(tf.reshape(x, full), x.shape)  # a reshape for XLA, as above

    inputs = [fit(shape, x) for shape, x in zip(wanted, inputs, strict=True)]
    first, shape = next((x, shape) for shape, x in zip(wanted, inputs, strict=True) if x is not None and shape.samples)
    samples = tf.shape(first)[:rank]

    def spread(x: Array | None) -> Array | None:
        return None if x is None else tf.broadcast_to(pipeline.trailing(x, x.shape.rank, rank), samples)

    return inputs, spread(mask), spread(weight)


def _names(shape: Any, x: Array) -> list[Any]:
    """What each axis is called: leading ones by number, the others by letter."""
    return [*range(x.shape.rank - len(shape.letters)), *shape.letters]


def closed_form(value: Any, gradient: Any, y_true: Array, y_pred: Array, axis: Any, *constants: Array) -> Array:
    """value(y_true, y_pred) with its derivative by y_pred in closed form; by y_true that of the expression."""

    @tf.custom_gradient
    def function(t: Array, p: Array) -> Any:
        def backward(g: Array) -> Any:
            by_pred = _expand(g, axis, len(p.shape)) * gradient(t, p, *constants)
            if not t.dtype.is_floating:
                return None, by_pred
            with tf.GradientTape() as tape:
                tape.watch(t)
                v = value(t, p)
            return tape.gradient(v, t, output_gradients=g), by_pred

        return value(t, p), backward

    return function(y_true, y_pred)


def _expand(g: Array, axis: Any, rank: int) -> Array:
    if axis is None or axis == ():
        return g
    for item in sorted(a % rank for a in (axis if isinstance(axis, tuple) else (axis,))):
        g = tf.expand_dims(g, item)
    return g


def centers_array(centers: Any, like: Array | None = None) -> Array:
    """A table of centers: float64 for features in double precision, else float32."""
    dtype = tf.float32 if like is None else compute(like).dtype
    return tf.zeros(centers.shape, dtype) if state.is_zeros(centers) else tf.constant(centers, dtype=dtype)

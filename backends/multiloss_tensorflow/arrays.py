"""What the engine asks about tensors of TensorFlow (`multiloss.engine.protocol.Adapter` says it)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import tensorflow as tf

from multiloss.center import state
from multiloss.engine import checks, dispatch, xla
from multiloss.engine.layout import Layout, trailing
from multiloss.engine.options import KERAS_WEIGHTED
from multiloss.engine.protocol import namespace
from multiloss_tensorflow import kernels, ops
from multiloss_tensorflow.distributed import group

Array = Any

name = "tensorflow"
xp = namespace(SimpleNamespace(), ops, xla.XLA)
own_values = kernels.values


def is_native(x: Any) -> bool:
    return isinstance(x, tf.Tensor | tf.Variable)


def asarray(x: Any, like: Array | None, name: str) -> Array:
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
    """Whether tensors on these devices may not meet in a call."""
    # On a machine with a GPU, int32 tensors and those of tf.data are still on the host; TensorFlow copies them.
    return device != wanted and not (device.endswith("CPU:0") and "CPU" not in wanted)


def shape(x: Array) -> tuple[int | None, ...]:
    if x.shape.rank is None:
        raise ValueError("a tensor of unknown rank cannot be checked; give it a shape with tf.ensure_shape")
    return tuple(x.shape)


def dtype_kind(x: Array) -> str:
    dtype = x.dtype
    return "f" if dtype.is_floating else "b" if dtype.is_bool else "i" if dtype.is_integer else "c"


def signature(x: Array) -> Any:
    return (x.shape, x.dtype, x.device) if isinstance(x, tf.Tensor) and tf.executing_eagerly() else None


def compute(x: Array) -> Array:
    return x if x.dtype in (tf.float32, tf.float64) else tf.cast(x, tf.float32)


def cast_like(x: Array, like: Array) -> Array:
    return x if x.dtype == like.dtype else tf.cast(x, like.dtype)


def labels(x: Array) -> Array:
    return x if x.dtype == tf.int64 else tf.cast(x, tf.int64)


def is_compiling() -> bool:
    """Whether this is traced now, or run by a replica of a strategy. Replicas wait for each other, so they take no
    lock."""
    return not tf.executing_eagerly() or group() is not None


def host(x: Array) -> Any:
    # None while tracing, and on an accelerator.
    if not hasattr(x, "numpy") or not tf.executing_eagerly() or "CPU" not in x.device:
        return None
    return (tf.cast(x, tf.float32) if x.dtype in (tf.bfloat16, tf.float16) else x).numpy()


def fitted(
    spec: Any, how: Layout, inputs: dict[str, Array], weight: Array | None, mask: Array | None
) -> tuple[dict[str, Array], Array | None, Array | None]:
    # TensorFlow would broadcast arrays whose lengths turn out to differ at run time.
    if all(x is None or None not in x.shape for x in (*inputs.values(), weight, mask)):
        return inputs, weight, mask
    names = {name: how.names(name, x.shape.rank) for name, x in inputs.items()}
    # The second input comes first, so that it says what unknown lengths of the others have to be.
    main = spec.definition.inputs[1]
    lengths: dict[Any, Any] = how.stated(spec.kwargs)
    for name in sorted(inputs, key=lambda one: one != main):
        x = inputs[name]
        for axis, known, length in zip(names[name], x.shape, tf.unstack(tf.shape(x)), strict=True):
            if known is not None or axis not in lengths:
                lengths[axis] = length if known is None else known

    def fit(name: str, x: Array) -> Array:
        if None not in x.shape:
            return x
        wanted = [lengths[axis] for axis in names[name]]
        # TensorFlow's optimiser drops a reshape to a known shape, and assertions that only it depends on.
        x = tf.ensure_shape(x, [length if isinstance(length, int) else None for length in wanted])
        if None not in x.shape:
            return x
        full = tf.stack(wanted)
        with tf.control_dependencies([tf.debugging.assert_equal(tf.shape(x), full, f"{name} does not fit {main}")]):
            return tf.ensure_shape(_refused_unless(tf.equal(tf.shape(x), full), x), x.shape)

    inputs = {name: fit(name, x) for name, x in inputs.items()}
    first = next(name for name in inputs if how.has_samples(name) and not how.is_label(name))
    inner = how.inner(first, inputs[first].shape.rank)
    outer = [i for i in range(inputs[first].shape.rank) if i not in inner]
    samples = tf.gather(tf.shape(inputs[first]), tf.constant(outer, tf.int32))

    def spread(x: Array) -> Array:
        x = trailing(x, x.shape.rank, len(outer))
        fits = (tf.shape(x) == 1) | (tf.shape(x) == samples)  # XLA repeats 2 entries where 6 are wanted
        x = _refused_unless(fits, x)
        # Keras sums weights as they came, so one weight for several values stays one.
        ones = tf.constant([spec.reduction == KERAS_WEIGHTED and length == 1 for length in x.shape], tf.bool)
        return tf.broadcast_to(x, tf.where(ones, 1, samples))

    if weight is not None and weight.shape.rank and not spec.definition.whole_batch:
        weight = spread(weight)
    return inputs, weight, None if mask is None else spread(mask)


def _refused_unless(fits: Array, x: Array) -> Array:
    """x, if each of its lengths fits; else an error at run time, since no array has a length of -2. No optimiser drops
    this, as XLA drops assertions."""
    return tf.ensure_shape(tf.reshape(x, tf.where(fits, tf.shape(x), -2)), x.shape)


def rows_like(x: Array, main: Array) -> Array:
    return _refused_unless(tf.equal(tf.shape(x), tf.shape(main)[:-1]), x)[..., None]


def summed_to(x: Array, like: Array) -> Array:
    if like.shape.rank and like.shape.rank < x.shape.rank:  # one for each row
        return tf.reduce_sum(x, axis=-1)
    axes, _ = tf.raw_ops.BroadcastGradientArgs(s0=tf.shape(like), s1=tf.shape(x))
    return tf.reshape(tf.reduce_sum(x, axis=axes), tf.shape(like))


def closed_form(value: Any, gradients: Any, *arrays: Array) -> Array:

    @tf.custom_gradient
    def function(*arrays: Array) -> Any:
        def backward(g: Array) -> list[Array | None]:
            found: list[Array | None] = [None] * len(arrays)
            for i, closed in gradients.items():
                if closed is not None:
                    gradient, axes = closed
                    found[i] = _expand(g, axes) * gradient(*arrays)
            others = [i for i, x in enumerate(arrays) if i not in gradients and x.dtype.is_floating]
            if others:
                with tf.GradientTape() as tape:
                    tape.watch([arrays[i] for i in others])
                    v = value(*arrays)
                for i, x in zip(others, tape.gradient(v, [arrays[i] for i in others], output_gradients=g), strict=True):
                    found[i] = x
            return found

        return value(*arrays), backward

    return function(*arrays)


def _expand(g: Array, axes: tuple[int, ...]) -> Array:
    for axis in axes:
        g = tf.expand_dims(g, axis)
    return g


def centers_array(centers: Any, like: Array | None = None) -> Array:
    dtype = tf.float32 if like is None else compute(like).dtype
    return tf.zeros(centers.shape, dtype) if state.is_zeros(centers) else tf.constant(centers, dtype=dtype)

"""TensorFlow: `tf.nn`, the operations that a user would write where it has no loss, and how calls are timed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

# function, xla: GradientTape inside tf.function, tf.function(jit_compile=True), for all. eager: GradientTape for all.
# value_and_grad: `loss.value_and_grad` against the others' GradientTape.
LIBRARY = "tensorflow"
MODES = ("function", "eager", "value_and_grad", "xla")
VERSION = f"tensorflow {tf.__version__}"


def threads(number: int) -> None:
    """Compute with this many threads."""
    tf.config.threading.set_intra_op_parallelism_threads(number)
    tf.config.threading.set_inter_op_parallelism_threads(number)


def place(device: str) -> None:
    """Nothing: the framework takes the device that it finds."""


def array(x: Any) -> Any:
    """An array of the framework."""
    return tf.convert_to_tensor(x)


def function(name: str, options: Mapping[str, Any]) -> Callable[..., Any] | None:
    """A loss of the library, reduced to one number."""
    own = getattr(tf.nn, name)
    return lambda *x: tf.reduce_mean(own(*x, **options))


def log(p: Any) -> Any:
    """The logarithm, kept from 0."""
    return tf.math.log(tf.maximum(p, 1e-7))


def _mean_log_ratio(y: Any, p: Any, axis: int | None) -> Any:
    return tf.reduce_mean(tf.square(tf.math.log1p(p) - tf.math.log1p(y)), axis)


def _log_cosh(y: Any, p: Any) -> Any:
    e = p - y
    return tf.reduce_mean(e + tf.math.softplus(-2 * e) - math.log(2))


def _huber(y: Any, p: Any) -> Any:
    e = tf.abs(p - y)
    return tf.reduce_mean(tf.where(e <= 1, 0.5 * tf.square(e), e - 0.5))


OPERATIONS: dict[str, Callable[..., Any]] = {
    "mse": lambda y, p: tf.reduce_mean(tf.math.squared_difference(p, y)),
    "mae": lambda y, p: tf.reduce_mean(tf.abs(p - y)),
    "mape": lambda y, p: 100 * tf.reduce_mean(tf.abs(p - y) / tf.maximum(tf.abs(y), 1e-7)),
    "msle": lambda y, p: _mean_log_ratio(y, p, None),
    "rmse": lambda y, p: tf.reduce_mean(tf.sqrt(tf.reduce_mean(tf.math.squared_difference(p, y), -1))),
    "rmsle": lambda y, p: tf.reduce_mean(tf.sqrt(_mean_log_ratio(y, p, -1))),
    "log_cosh": _log_cosh,
    "huber": _huber,
    "kl": lambda y, p: tf.reduce_mean(tf.reduce_sum(y * (log(y) - log(p)), -1)),
    "cce": lambda y, p: -tf.reduce_mean(tf.reduce_sum(y * log(p), -1)),
    "scce": lambda y, p: -tf.reduce_mean(tf.gather(log(p), y, axis=-1, batch_dims=1)),
    "bce": lambda y, p: -tf.reduce_mean(y * log(p) + (1 - y) * log(1 - p)),
}


def runner(mode: str, f: Any, ours: bool, *inputs: Any) -> Callable[[], Any]:
    """One call of what is timed: value and gradient of `f` at the given arrays."""
    if ours and mode == "value_and_grad":
        return lambda: f.value_and_grad(*inputs)

    def both(y: Any, p: Any, *more: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(p)
            value = f(y, p, *more)
        return value, tape.gradient(value, p)

    if mode in ("function", "xla"):
        both = tf.function(both, jit_compile=mode == "xla", autograph=False)
    return lambda: both(*inputs)


def wait(result: Any) -> None:
    """Nothing: TensorFlow on the CPU returns when it is done."""


def forget() -> None:
    """Nothing: a compiled function goes with its object."""

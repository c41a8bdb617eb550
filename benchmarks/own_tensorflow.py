"""TensorFlow: `tf.nn`, or the plain operations that a user would write ("ops"), and how they are timed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from rows import Array, Function

# eager: GradientTape for all. value_and_grad: `loss.value_and_grad` against the peers' GradientTape.
# function, xla: GradientTape inside tf.function, tf.function(jit_compile=True), for all.
MODES = ("eager", "value_and_grad", "function", "xla")
VERSION = f"tensorflow {tf.__version__}"


def threads(number: int) -> None:
    """Compute with this many threads."""
    tf.config.threading.set_intra_op_parallelism_threads(number)
    tf.config.threading.set_inter_op_parallelism_threads(number)


def place(device: str) -> None:
    """Nothing: the framework takes the device that it finds."""


def array(x: Array) -> Any:
    """x as a tensor."""
    return tf.convert_to_tensor(x)


def _mean_log_ratio(y: Any, p: Any, axis: int | None) -> Any:
    return tf.reduce_mean(tf.square(tf.math.log1p(p) - tf.math.log1p(y)), axis)


def _log_cosh(y: Any, p: Any) -> Any:
    e = p - y
    return tf.reduce_mean(e + tf.math.softplus(-2 * e) - math.log(2))


def _huber(y: Any, p: Any) -> Any:
    e = tf.abs(p - y)
    return tf.reduce_mean(tf.where(e <= 1, 0.5 * tf.square(e), e - 0.5))


def _log(p: Any) -> Any:
    return tf.math.log(tf.maximum(p, 1e-7))


def _kl(y: Any, p: Any) -> Any:
    return tf.reduce_mean(tf.reduce_sum(y * (_log(y) - _log(p)), -1))


OWN: dict[str, tuple[str, Function]] = {
    "mse": ("ops", lambda y, p: tf.reduce_mean(tf.math.squared_difference(p, y))),
    "mae": ("ops", lambda y, p: tf.reduce_mean(tf.abs(p - y))),
    "mape": ("ops", lambda y, p: 100 * tf.reduce_mean(tf.abs(p - y) / tf.maximum(tf.abs(y), 1e-7))),
    "msle": ("ops", lambda y, p: _mean_log_ratio(y, p, None)),
    "rmse": ("ops", lambda y, p: tf.reduce_mean(tf.sqrt(tf.reduce_mean(tf.math.squared_difference(p, y), -1)))),
    "rmsle": ("ops", lambda y, p: tf.reduce_mean(tf.sqrt(_mean_log_ratio(y, p, -1)))),
    "log_cosh": ("ops", _log_cosh),
    "huber": ("ops", _huber),
    "kl": ("ops", _kl),
    "cce": ("ops", lambda y, p: -tf.reduce_mean(tf.reduce_sum(y * _log(p), -1))),
    "cce_logits": (
        "softmax_cross_entropy_with_logits",
        lambda y, p: tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(y, p)),
    ),
    "scce": ("ops", lambda y, p: -tf.reduce_mean(tf.gather(_log(p), y, axis=-1, batch_dims=1))),
    "scce_logits": (
        "sparse_softmax_cross_entropy_with_logits",
        lambda y, p: tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, p)),
    ),
    "bce": ("ops", lambda y, p: -tf.reduce_mean(y * _log(p) + (1 - y) * _log(1 - p))),
    "bce_logits": (
        "sigmoid_cross_entropy_with_logits",
        lambda y, p: tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(y, p)),
    ),
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

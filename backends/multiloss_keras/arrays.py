"""What the engine asks about tensors of Keras: the adapter of the framework that Keras runs on answers."""

from __future__ import annotations

from typing import Any

import keras

from multiloss.engine import dispatch

_RUNS_ON = keras.backend.backend()
if _RUNS_ON not in ("torch", "tensorflow", "jax"):
    raise ImportError(
        f"Keras runs on its {_RUNS_ON} backend, and multiloss supports torch, tensorflow and jax; set KERAS_BACKEND"
    )
inner = dispatch.backend(_RUNS_ON)

name = "keras"
xp = inner.xp
shape = inner.shape
dtype_kind = inner.dtype_kind
signature = inner.signature
compute = inner.compute
cast_like = inner.cast_like
labels = inner.labels
host = inner.host
labels_fit = getattr(inner, "labels_fit", None)
closed_form = inner.closed_form
centers_array = inner.centers_array
group = getattr(inner, "group", lambda table, chosen: None)
is_compiling = getattr(inner, "is_compiling", lambda: False)
choice = getattr(inner, "Choice", None)
write_rows = getattr(inner, "write_rows", None)
refuse_recomputation = getattr(inner, "refuse_recomputation", lambda: None)


def is_native(x: Any) -> bool:
    return isinstance(x, keras.Variable) or inner.is_native(x)


def asarray(x: Any, like: Any, name: str) -> Any:
    return inner.asarray(_value(x), _value(like), name)


def of_replica(value: Any) -> Any:
    """A mean, divided by the number of replicas of a `tf.distribute` strategy: Keras adds the values of the
    replicas."""
    if _RUNS_ON != "tensorflow":
        return value
    import tensorflow as tf

    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return value if replicas == 1 else value * (1.0 / replicas)


def _value(x: Any) -> Any:
    return x.value if isinstance(x, keras.Variable) else x

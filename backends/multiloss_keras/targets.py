"""Class labels from the targets of a model."""

from __future__ import annotations

from typing import Any

from keras import ops

from multiloss.engine import checks
from multiloss_keras import arrays as be


def class_labels(y: Any, classes: int | None) -> Any:
    """Integer labels: labels stay, one-hot targets become labels, soft targets are refused."""
    y = be.asarray(y, None, "y")
    if len(y.shape) == 2 and y.shape[-1] == classes != 1:
        y = ops.cast(y, "int32") if be.dtype_kind(y) == "b" else y
        largest = ops.max(y, axis=-1)
        one_hot = (ops.cast(largest, "float32") == 1) & (ops.sum(ops.cast(y != 0, "int32"), axis=-1) == 1)
        values = be.host(one_hot)
        if values is not None and not values.all():
            raise ValueError(
                "center loss needs the class of each sample: y must be labels or one-hot, got soft targets"
            )
        # If values cannot be read, a soft target becomes the label -1, so the value is nan and no center moves.
        return ops.where(one_hot, ops.cast(ops.argmax(y, axis=-1), "int32"), -1)
    y = whole_labels(y)
    if be.dtype_kind(y) not in "iu":
        raise checks.label_dtype(y.dtype, "y")
    return y


def whole_labels(y: Any) -> Any:
    """Traced labels that Keras or TensorFlow made float64 as the integers that they were, -1 for what is none.

    A tf.function that met int32 and int64 labels retraces with float64, which holds both exactly. Under a strategy of
    several replicas Keras builds a model from the mean of the replicas' first labels.
    """
    if "float64" not in str(y.dtype) or be.host(y) is not None:
        return y
    whole = ops.cast(y, "int64")
    return ops.where(ops.cast(whole, "float64") == y, whole, -1)

"""Losses for which TensorFlow has its own kernel, or XLA is faster; both are measured by `multiloss bench`."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

Array = Any

CLUSTERED = frozenset({"log_cosh", "categorical_crossentropy"})
"""Losses of many operations: in a graph, too, one XLA program for value and gradient is faster than single
operations."""


def values(spec: Any, y_true: Array, y_pred: Array, *others: Array) -> Array | None:
    """The values by a kernel that also computes their gradient; None: there is none."""
    options = spec.kwargs
    if not options.get("from_logits") or spec.axis not in (-1, len(y_pred.shape) - 1):
        return None
    if spec.definition.kernel == "sparse_categorical_crossentropy" and options["label_smoothing"] == 0:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(y_true, y_pred)
    return None

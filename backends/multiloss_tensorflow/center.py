"""Center loss for TensorFlow: the centers are a `tf.Variable` that is not trained."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from typing import Any

import numpy as np
import tensorflow as tf

from multiloss.center import all_names
from multiloss.center.objects import HostCenter
from multiloss.engine.objects import with_options
from multiloss_tensorflow import arrays as be
from multiloss_tensorflow.compat import refuse_recomputation
from multiloss_tensorflow.distributed import group, write_rows


@with_options(all_names())
class TensorflowCenter(HostCenter, tf.Module):
    """Center loss on tensors, eager or in a `tf.function` (there `num_classes` and `feature_dim` must be known).

    A `tf.Module`: `tf.train.Checkpoint(center=center)` holds the centers once they have a shape.
    """

    backend = "tensorflow"

    def __init__(self, chosen: Any) -> None:
        tf.Module.__init__(self, name="center")
        self._traced = False
        HostCenter.__init__(self, chosen)

    @property
    def centers(self) -> Any:
        """The centers, (num_classes, feature_dim), as a tensor; (0, 0) until known."""
        with self._alone():
            return tf.zeros((0, 0)) if self._table is None else tf.convert_to_tensor(self._table)

    def _signature(self) -> inspect.Signature:
        return inspect.signature(super().__call__)

    def _alone(self) -> Any:
        """The lock, but for a `tf.function`, and for replicas of a strategy, which wait for each other."""
        return contextlib.nullcontext() if be.is_compiling() else self._turn

    def _set(self, centers: np.ndarray, like: Any) -> None:
        if not tf.executing_eagerly():
            raise ValueError(
                "centers cannot take their shape inside a tf.function; pass num_classes and feature_dim to "
                f"multiloss.get({self.options.loss!r}, ...)"
            )
        new = be.centers_array(centers, self._table if self._table is not None else like)
        if self._table is not None and self._table.shape == new.shape:
            self._table.assign(new)
        else:
            if self._traced:
                warnings.warn(
                    "the table of centers has another shape now; a tf.function that was traced before keeps to the old "
                    "one, and gives nan from now on: make the function anew",
                    stacklevel=4,
                )
                self._table.assign(tf.fill(self._table.shape, tf.constant(np.nan, self._table.dtype)))
                self._traced = False
            # Under a strategy every replica computes the same rows, and each writes its own copy.
            self._table = tf.Variable(
                new, trainable=False, name="centers", aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
            )

    def _together(self) -> Any:
        refuse_recomputation()
        return group()

    def _compute(self, *arguments: Any) -> tuple[Any, Any, Any]:
        self._traced = self._traced or not tf.executing_eagerly()
        return super()._compute(*arguments)

    @tf.autograph.experimental.do_not_convert
    def __call__(
        self, labels: Any, features: Any, sample_weight: Any = None, mask: Any = None, *, training: bool = True
    ) -> Any:
        """The value with the centers from before; then, when training, they move once by Eq. 4."""
        return HostCenter.__call__(self, labels, features, sample_weight, mask, training=training)

    def _commit(self, labels: Any, rows: Any) -> None:
        write_rows(self._table, labels, rows)

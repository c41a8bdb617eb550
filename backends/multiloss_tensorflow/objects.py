"""What TensorFlow users hold: callables for eager mode, `tf.function` and XLA."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import tensorflow as tf

from multiloss.engine import pipeline
from multiloss.engine.loss import LossBase, Spec
from multiloss_tensorflow import arrays as be
from multiloss_tensorflow import compat, kernels
from multiloss_tensorflow.center import TensorflowCenter

__all__ = ["TensorflowCenter", "TensorflowLoss"]


def _function(function: Any) -> Any:
    # One trace serves all batch sizes; XLA then compiles a program for each shape.
    compiled = tf.function(function, jit_compile=True, reduce_retracing=True, autograph=False)
    return compat.without_retracing_warning(compiled)


def _inner_shapes(spec: Spec, arrays: list[Any]) -> tuple[Any, ...]:
    # A key of the trace, since TensorFlow would otherwise generalise to unknown ranks, and for losses of other inputs
    # to unknown numbers of features and classes.
    if spec.definition.kind != "of_inputs":
        return tuple(None if x is None else x.shape.rank for x in arrays)
    return tuple(None if x is None else (x.shape.rank, *x.shape[1:]) for x in arrays)


@lru_cache(maxsize=None)
def _compiled(spec: Spec, labels_checked: bool, ranks: Any) -> Any:
    """The compiled function of a spec and ranks, which equal losses share."""
    return _function(partial(pipeline.evaluate, be, spec, labels_checked=labels_checked))


@lru_cache(maxsize=None)
def _compiled_pair(spec: Spec, labels_checked: bool, ranks: Any) -> Any:
    return _function(partial(pipeline.value_and_gradients, be, spec, wrt=("y_pred",), labels_checked=labels_checked))


def _clustered(spec: Spec, labels_checked: bool, arrays: list[Any]) -> Any:
    """The reduced loss in a graph, with its closed-form gradient from the same XLA program."""
    inputs = [x for x in arrays if x is not None]

    @tf.custom_gradient
    def function(*inputs: Any) -> Any:
        given = iter(inputs)
        now = [None if x is None else next(given) for x in arrays]
        value, gradients = _compiled_pair(spec, labels_checked, _inner_shapes(spec, arrays))(*now)

        def backward(g: Any) -> list[Any]:
            with tf.GradientTape() as tape:  # by targets and weights; the graph drops it if nobody asks for it
                tape.watch(inputs)
                again = pipeline.evaluate(be, spec, *now, labels_checked=labels_checked)
            others = tape.gradient(again, inputs, output_gradients=g)
            gradient = gradients["y_pred"]
            return [be.cast_like(g * gradient, x) if x is now[1] else by for x, by in zip(inputs, others, strict=True)]

        return value, backward

    return function(*inputs)


@lru_cache(maxsize=None)
def _compiled_with_gradient(spec: Spec, labels_checked: bool, ranks: Any, positions: tuple[int, ...]) -> Any:
    def both(*arrays: Any) -> Any:
        inputs = [arrays[i] for i in positions]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            value = pipeline.evaluate(be, spec, *arrays, labels_checked=labels_checked)
        return value, tape.gradient(value, inputs, unconnected_gradients="zero")

    return _function(both)


@lru_cache(maxsize=None)
def _compiled_derivatives(spec: Spec, labels_checked: bool, rank: int) -> Any:
    def pair(y_true: Any, y_pred: Any) -> Any:
        found = pipeline.grad_and_hess(be, spec, y_true, y_pred, labels_checked)
        return tuple(tf.cast(x, y_pred.dtype) for x in found) if y_pred.dtype.is_floating else found

    return _function(pair)


class TensorflowLoss(LossBase):
    """A loss on tensors, for `GradientTape`, `tf.function` and `tf.function(jit_compile=True)`."""

    backend: str | None = "tensorflow"
    be = be

    @tf.autograph.experimental.do_not_convert  # tracing is faster, and there is no Python control flow on tensors
    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """The loss of its inputs, by place or by name: tensors, lists or numbers."""
        return self._call(inputs, named)

    def _value(self, arrays: list[Any], labels_checked: bool) -> Any:
        spec = self.spec
        if tf.executing_eagerly():
            return _compiled(spec, labels_checked, _inner_shapes(spec, arrays))(*arrays)
        if spec.definition.kernel in kernels.CLUSTERED and spec.reduction != "none":
            return _clustered(spec, labels_checked, arrays)
        return pipeline.evaluate(be, spec, *arrays, labels_checked=labels_checked)

    def _value_and_gradients(
        self, arrays: list[Any], labels_checked: bool, positions: tuple[int, ...]
    ) -> tuple[Any, Any]:
        return _compiled_with_gradient(self.spec, labels_checked, _inner_shapes(self.spec, arrays), positions)(*arrays)

    def _derivatives(self, y_true: Any, y_pred: Any, labels_checked: bool) -> tuple[Any, Any]:
        return _compiled_derivatives(self.spec, labels_checked, y_pred.shape.rank)(y_true, y_pred)

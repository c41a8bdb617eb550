"""What TensorFlow users hold: callables for eager mode, `tf.function` and XLA."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import tensorflow as tf

import multiloss_tensorflow as be
from multiloss import general, pipeline
from multiloss.general import General, GeneralInputs
from multiloss.inputs import Inputs
from multiloss.loss import Named, Spec, wanted
from multiloss_tensorflow import compat, kernels
from multiloss_tensorflow.center import TensorflowCenter

__all__ = ["TensorflowCenter", "TensorflowGeneral", "TensorflowLoss"]


def _function(function: Any) -> Any:
    # One trace serves all batch sizes; XLA then compiles a program a shape.
    compiled = tf.function(function, jit_compile=True, reduce_retracing=True, autograph=False)
    return compat.without_retracing_warning(compiled)


def _ranks(arrays: Any) -> tuple[int | None, ...]:
    # TensorFlow would generalise over ranks as over lengths, to a trace that knows no rank.
    return tuple(None if x is None else x.shape.rank for x in arrays)


def _inner_shapes(arrays: Any) -> tuple[Any, ...]:
    # All but the first lengths: TensorFlow would generalise over them, too, and forget how many features there are.
    return tuple(None if x is None else (x.shape.rank, *x.shape[1:]) for x in arrays)


@lru_cache(maxsize=None)
def _compiled(spec: Spec, trusted: bool, ranks: Any) -> Any:
    """One compiled function a spec and ranks: equal losses share it."""
    return _function(partial(_evaluate(spec), be, spec, trusted=trusted))


def _evaluate(spec: Spec) -> Any:
    return general.evaluate if spec.definition.kind == "of_inputs" else pipeline.evaluate


@lru_cache(maxsize=None)
def _compiled_pair(spec: Spec, trusted: bool, ranks: Any) -> Any:
    return _function(partial(pipeline.value_and_gradient, be, spec, trusted=trusted))


def _clustered(spec: Spec, trusted: bool, arrays: list[Any]) -> Any:
    """The reduced loss in a graph, its closed-form gradient from the same XLA program: what both need, once."""
    inputs = [x for x in arrays if x is not None]

    @tf.custom_gradient
    def function(*inputs: Any) -> Any:
        given = iter(inputs)
        now = [None if x is None else next(given) for x in arrays]
        value, gradient = _compiled_pair(spec, trusted, _ranks(arrays))(*now)

        def backward(g: Any) -> list[Any]:
            with tf.GradientTape() as tape:  # by targets and weights; the graph drops what nobody asks for
                tape.watch(inputs)
                again = pipeline.evaluate(be, spec, *now, trusted=trusted)
            others = tape.gradient(again, inputs, output_gradients=g)
            return [be.cast_like(g * gradient, x) if x is now[1] else by for x, by in zip(inputs, others, strict=True)]

        return value, backward

    return function(*inputs)


@lru_cache(maxsize=None)
def _compiled_with_gradient(spec: Spec, trusted: bool, ranks: Any, positions: tuple[int, ...]) -> Any:
    def both(*arrays: Any) -> Any:
        inputs = [arrays[i] for i in positions]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            value = _evaluate(spec)(be, spec, *arrays, trusted=trusted)
        return value, tape.gradient(value, inputs, unconnected_gradients="zero")

    return _function(both)


@lru_cache(maxsize=None)
def _compiled_derivatives(spec: Spec, trusted: bool, rank: int) -> Any:
    def pair(y_true: Any, y_pred: Any) -> Any:
        found = pipeline.grad_and_hess(be, spec, y_true, y_pred, trusted)
        return tuple(tf.cast(x, y_pred.dtype) for x in found) if y_pred.dtype.is_floating else found

    return _function(pair)


class TensorflowLoss(Named):
    """A loss on tensors, for `GradientTape`, `tf.function` and `tf.function(jit_compile=True)`."""

    backend = "tensorflow"

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._inputs = Inputs(spec)

    @tf.autograph.experimental.do_not_convert  # no Python control flow on tensors here: tracing is faster without
    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None, mask: Any = None) -> Any:
        """The loss of tensors, lists or numbers."""
        *arrays, trusted = self._inputs(be, y_true, y_pred, sample_weight, mask)
        if not tf.executing_eagerly():
            if self.spec.definition.kernel in kernels.CLUSTERED and self.spec.reduction != "none":
                return _clustered(self.spec, trusted, arrays)
            return pipeline.evaluate(be, self.spec, *arrays, trusted=trusted)
        return _compiled(self.spec, trusted, _ranks(arrays))(*arrays)

    def value_and_grad(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, mask: Any = None, *, wrt: Any = "y_pred"
    ) -> tuple[Any, Any]:
        """The loss, and its gradient with respect to `y_pred` (or what `wrt` names), in one compiled function."""
        *arrays, trusted = self._inputs(be, y_true, y_pred, sample_weight, mask)
        positions = wanted(wrt, self.spec.definition)
        for i in positions:
            arrays[i] = arrays[i] if arrays[i].dtype.is_floating else be.compute(arrays[i])
        value, gradients = _compiled_with_gradient(self.spec, trusted, _ranks(arrays), positions)(*arrays)
        return value, gradients[0] if isinstance(wrt, str) else tuple(gradients)

    def grad_and_hess(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """First and second derivative of each value with respect to each element, unreduced."""
        pipeline.require_derivatives(self.spec)
        y_true, y_pred, _, _, trusted = self._inputs(be, y_true, y_pred, None, None)
        return _compiled_derivatives(self.spec, trusted, y_pred.shape.rank)(y_true, y_pred)


class TensorflowGeneral(General):
    """A loss of other inputs, as `TensorflowLoss`."""

    backend = "tensorflow"
    be = be

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._inputs = GeneralInputs(spec)

    @tf.autograph.experimental.do_not_convert
    def __call__(self, *inputs: Any, sample_weight: Any = None, mask: Any = None, **named: Any) -> Any:
        """The loss of its inputs, by place or by name."""
        return super().__call__(*inputs, sample_weight=sample_weight, mask=mask, **named)

    def _value(self, arrays: list[Any], trusted: bool) -> Any:
        if not tf.executing_eagerly():
            return general.evaluate(be, self.spec, *arrays, trusted=trusted)
        return _compiled(self.spec, trusted, _inner_shapes(arrays))(*arrays)

    def _value_and_gradients(self, arrays: list[Any], trusted: bool, positions: tuple[int, ...]) -> tuple[Any, Any]:
        return _compiled_with_gradient(self.spec, trusted, _inner_shapes(arrays), positions)(*arrays)

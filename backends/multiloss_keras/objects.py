"""What Keras users hold: a `keras.losses.Loss` that `compile` accepts; center loss is in `center`."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import keras

from multiloss.engine import checks, dispatch
from multiloss.engine.call import argnums, bound
from multiloss.engine.layout import sample_shape
from multiloss.engine.loss import Loss, LossObject, Spec, make
from multiloss_keras import arrays as be
from multiloss_keras import masks
from multiloss_keras.center import CenterLoss
from multiloss_keras.shapes import align, align_inputs, squeeze_trailing, unalign
from multiloss_keras.targets import whole_labels

__all__ = ["CenterLoss", "KerasLoss"]

_HALF = ("float16", "bfloat16")
_KERAS_REDUCTIONS = {
    "weighted_mean": "mean_with_sample_weight", "keras.weighted_mean": "mean_with_sample_weight", "sum": "sum",
    "none": "none",
}  # fmt: skip


@keras.saving.register_keras_serializable(package="multiloss", name="Loss")
class KerasLoss(LossObject, keras.losses.Loss):
    """A loss for `compile` and custom loops, in Keras' dtype. It reads labels before Keras would cast them."""

    backend: str | None = "keras"

    def __init__(self, spec: Spec) -> None:
        keras.losses.Loss.__init__(
            self, name=spec.name, reduction=_KERAS_REDUCTIONS.get(spec.reduction, "sum_over_batch_size")
        )
        self._take(spec)
        self._native = make(spec, be.inner.name)

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """The loss of its inputs, by place or by name; without a mask, those that Keras layers attached to them are
        used.

        For a loss of two inputs and optional ones, such as `ctc`, a third argument by place is `sample_weight`, as
        Keras' trainers give it; optional inputs go by name.
        """
        (*ready, weight, mask), *_ = self._ready(self._bound(inputs, named))
        value = self._native(*ready, sample_weight=weight, mask=mask)
        return value if self.spec.reduction in ("none", "sum") else be.of_replica(value)

    @classmethod
    def _call_of(cls, spec: Spec) -> inspect.Signature:
        plain, definition = super()._call_of(spec), spec.definition
        if definition.kind != "of_inputs":
            return plain
        return plain.replace(
            parameters=[
                x.replace(kind=x.KEYWORD_ONLY) if name in definition.optional else x
                for name, x in plain.parameters.items()
            ]
        )

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The per-sample values, as Keras' own losses have it."""
        ready, *_ = self._ready(self._bound((y_true, y_pred), {}))
        return make(dataclasses.replace(self.spec, reduction="none"), be.inner.name)(*ready[:-2])

    def _bound(self, inputs: tuple[Any, ...], named: dict[str, Any]) -> list[Any]:
        """The inputs, weights and mask. Keras' trainers give weights as the third argument."""
        definition = self.spec.definition
        if definition.kind == "of_inputs" and named.get("sample_weight") is None:
            as_trainers_do = len(inputs) == 3 and len(definition.inputs) - len(definition.optional) == 2
            if as_trainers_do or len(inputs) > len(definition.inputs):
                inputs, named = inputs[:-1], {**named, "sample_weight": inputs[-1]}
        return bound(definition, inputs, named)

    def _ready(self, arrays: list[Any]) -> tuple[list[Any], list[Any], dict[int, Any]]:
        """The arguments of the native loss, in Keras' dtype and aligned; the inputs as tensors, as they came; and the
        steps that masks have moved."""
        *given, weight, mask = arrays
        steps: dict[int, Any] = {}
        if self.spec.definition.kind == "of_inputs":
            tensors, ready, rank = self._aligned_inputs(given)
        else:
            tensors = list(_tensors(*given))
            ready = list(self._aligned(*tensors))
            rank = len(sample_shape(be.shape(ready[1]), self.spec.axis_in(len(ready[1].shape))))
            if mask is None:
                mask = masks.of_prediction(given[1], ready[1], self.spec.axis_in(len(ready[1].shape)))
        weight, mask = (
            None if x is None else squeeze_trailing(be.asarray(x, ready[1], name), rank)
            for x, name in ((weight, "sample_weight"), (mask, "mask"))
        )
        if self.spec.definition.kind == "of_inputs":
            mask, steps = masks.of_inputs(self.spec, rank, given, ready, mask)
        return [*ready, weight, mask], tensors, steps

    def _aligned_inputs(self, given: list[Any]) -> tuple[list[Any], list[Any], int]:
        """The inputs as tensors; the same, in Keras' dtype and aligned; and how many axes the samples have."""
        definition = self.spec.definition
        tensors, ready = [], []
        for name, x in zip(definition.inputs, given, strict=True):
            tensor = x = None if x is None else be.asarray(x, None, name)
            if x is not None and definition.is_integer(name):
                x = whole_labels(x)
            elif x is not None and be.dtype_kind(x) == "f" and be.compute(x) is x:
                x = keras.ops.cast(x, self.dtype)
            tensors.append(tensor)
            ready.append(x)
        ready, rank = align_inputs(definition, ready)
        return tensors, ready, rank

    def _aligned(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """Both as tensors, `y_pred` in Keras' dtype, and aligned."""
        y_true, y_pred = _tensors(y_true, y_pred)
        if self.spec.definition.integer_targets:
            y_true = whole_labels(y_true)
        # Half precision stays, so that the checks allow for its rounding; it is computed in float32 anyhow.
        widened = self.dtype == "float32" and keras.backend.standardize_dtype(y_pred.dtype) in _HALF
        if be.dtype_kind(y_pred) == "f" and not widened:  # other kinds are not cast, and refused later
            y_pred = keras.ops.cast(y_pred, self.dtype)
        elif be.dtype_kind(y_pred) in "iu":  # half precision would not hold large integers
            y_pred = keras.ops.cast(y_pred, "float32" if self.dtype in _HALF else self.dtype)
        y_true, y_pred = align(y_true, y_pred, self.spec)
        checks.axis_fits(self.spec.axis_in(len(y_pred.shape)), be.shape(y_pred), "y_pred")
        return y_true, y_pred

    def value_and_grad(self, *inputs: Any, wrt: Any = None, **named: Any) -> tuple[Any, Any]:
        """The loss, and its gradient with respect to the second input (or what `wrt` names)."""
        positions = argnums(wrt, self.spec.definition)
        (*ready, weight, mask), given, steps = self._ready(self._bound(inputs, named))
        asked = [self.spec.definition.inputs[i] for i in positions]
        value, gradients = self._native.value_and_grad(*ready, sample_weight=weight, mask=mask, wrt=asked)
        # In the order, rank and dtype in which the inputs came.
        gradients = [
            _as_given(steps[i].back(gradient) if i in steps else gradient, given[i])
            for i, gradient in zip(positions, gradients, strict=True)
        ]
        return value, gradients[0] if wrt is None or isinstance(wrt, str) else tuple(gradients)

    def grad_and_hess(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """First and second derivative of each value with respect to each element, unreduced."""
        _, given = _tensors(y_true, y_pred)
        gradient, second = self._native.grad_and_hess(*self._aligned(y_true, y_pred))
        return _as_given(gradient, given), _as_given(second, given)

    def __reduce__(self) -> Any:
        # Keras' own method uses the name, which may mean another loss by now.
        return type(self), (self.spec,), {"source": self.source, "notes": self.notes}


# Older saved files name the former class of losses of other inputs.
keras.saving.get_custom_objects()["multiloss>General"] = KerasLoss
# `compile` takes these, too.
keras.saving.register_keras_serializable(package="multiloss", name="AnyLoss")(Loss)
keras.saving.register_keras_serializable(package="multiloss", name="NativeLoss")(be.inner.loss)


def _tensors(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Both as tensors, in the shape and dtype in which they came; `y_pred` on the device that Keras chooses."""
    if not be.is_native(y_pred):
        array = dispatch.to_numpy(y_pred, "y_pred", "keras")
        # Python numbers have no dtype, and get Keras' default.
        untyped = array.dtype == "float64" and dispatch.framework_of(y_pred) is None
        # By the framework first, since Keras on JAX makes float32 of integers where floatx is bfloat16.
        y_pred = array if untyped else be.asarray(array, None, "y_pred")
        y_pred = keras.ops.convert_to_tensor(y_pred, dtype=keras.config.floatx() if untyped else None)
    y_pred = be.asarray(y_pred, None, "y_pred")
    return be.asarray(y_true, y_pred, "y_true"), y_pred


def _as_given(gradient: Any, given: Any) -> Any:
    """A gradient in the shape of the input as it came, and in its dtype, if that is real."""
    gradient = unalign(gradient, len(given.shape))
    return be.cast_like(gradient, given) if be.dtype_kind(given) == "f" else gradient

"""What Keras users hold: a `keras.losses.Loss` that `compile` accepts; center loss is in `center`."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np

import multiloss_keras as be
from multiloss import checks, dispatch
from multiloss.general import General, bound, wanted
from multiloss.loss import Named, Spec, make, make_spec
from multiloss.pipeline import sample_shape
from multiloss_keras import masks
from multiloss_keras.center import CenterLoss
from multiloss_keras.shapes import align, align_inputs, squeeze_trailing, unalign

__all__ = ["CenterLoss", "KerasGeneral", "KerasLoss"]

_HALF = ("float16", "bfloat16")
_KERAS_REDUCTIONS = {
    "weighted_mean": "mean_with_sample_weight", "keras.weighted_mean": "mean_with_sample_weight", "sum": "sum",
    "none": "none",
}  # fmt: skip


@keras.saving.register_keras_serializable(package="multiloss", name="Loss")
class KerasLoss(Named, keras.losses.Loss):
    """A loss for `compile` and custom loops, in Keras' dtype; labels are read before Keras would cast them."""

    backend = "keras"

    def __init__(self, spec: Spec) -> None:
        keras.losses.Loss.__init__(
            self, name=spec.name, reduction=_KERAS_REDUCTIONS.get(spec.reduction, "sum_over_batch_size")
        )
        self.spec = spec
        self._native = make(spec, be.inner.name)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None, mask: Any = None) -> Any:
        """The loss; a mask that Keras layers attached to `y_pred` is used where none is given."""
        value = self._native(*self._ready(y_true, y_pred, sample_weight, mask))
        return value if self.spec.reduction in ("none", "sum") else be.of_replica(value)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The per-sample values, as Keras' own losses have it."""
        y_true, y_pred = self._aligned(y_true, y_pred)
        return make(dataclasses.replace(self.spec, reduction="none"), be.inner.name)(y_true, y_pred)

    def _ready(self, y_true: Any, y_pred: Any, sample_weight: Any, mask: Any) -> tuple[Any, ...]:
        """What the loss of the framework takes: `y_pred` in Keras' dtype, all else aligned with it."""
        given = y_pred
        y_true, y_pred = self._aligned(y_true, y_pred)
        if mask is None:
            mask = masks.of_prediction(given, y_pred, self.spec.axis)
        samples = len(sample_shape(be.shape(y_pred), self.spec.axis))
        sample_weight, mask = (
            None if x is None else squeeze_trailing(be.asarray(x, y_pred, name), samples)
            for x, name in ((sample_weight, "sample_weight"), (mask, "mask"))
        )
        return y_true, y_pred, sample_weight, mask

    def _aligned(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """Both as tensors, `y_pred` in Keras' dtype, with a trailing axis of 1 as Keras has it."""
        y_true, y_pred = _tensors(y_true, y_pred)
        # Half precision is computed in float32 anyhow, and the checks allow for its rounding where they see it.
        widened = self.dtype == "float32" and keras.backend.standardize_dtype(y_pred.dtype) in _HALF
        if be.kind(y_pred) == "f" and not widened:  # the rest is refused, not cast
            y_pred = keras.ops.cast(y_pred, self.dtype)
        elif be.kind(y_pred) in "iu":  # integers of any size, which half precision does not hold
            y_pred = keras.ops.cast(y_pred, "float32" if self.dtype in _HALF else self.dtype)
        y_true, y_pred = align(y_true, y_pred, self.spec)
        checks.axis_fits(self.spec.axis, be.shape(y_pred), "y_pred")
        return y_true, y_pred

    def value_and_grad(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, mask: Any = None, *, wrt: Any = "y_pred"
    ) -> tuple[Any, Any]:
        """The loss, and its gradient with respect to `y_pred` (or what `wrt` names)."""
        given = dict(zip(("y_true", "y_pred"), _tensors(y_true, y_pred), strict=True))
        value, gradient = self._native.value_and_grad(*self._ready(y_true, y_pred, sample_weight, mask), wrt=wrt)
        if isinstance(wrt, str):
            return value, _as_given(gradient, given[wrt])
        return value, tuple(_as_given(g, given[name]) for g, name in zip(gradient, wrt, strict=True))

    def grad_and_hess(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """First and second derivative of each value with respect to each element, unreduced."""
        _, given = _tensors(y_true, y_pred)
        gradient, second = self._native.grad_and_hess(*self._aligned(y_true, y_pred))
        return _as_given(gradient, given), _as_given(second, given)

    def __reduce__(self) -> Any:
        # Keras' own goes by the name, which may mean another loss by now.
        return type(self), (self.spec,), {"source": self.source, "notes": self.notes}

    def get_config(self) -> dict[str, Any]:
        """What `from_config` and `multiloss.get` take."""
        return self.spec.config()

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> KerasLoss:
        """The loss that `get_config` described."""
        options = dict(config)
        return cls(make_spec(options.pop("name"), options))


@keras.saving.register_keras_serializable(package="multiloss", name="General")
class KerasGeneral(General, keras.losses.Loss):
    """A loss of other inputs; one of two of them, such as (labels, features), `compile` accepts, too."""

    backend = "keras"
    be = be

    def __init__(self, spec: Spec) -> None:
        keras.losses.Loss.__init__(
            self, name=spec.name, reduction=_KERAS_REDUCTIONS.get(spec.reduction, "sum_over_batch_size")
        )
        self.spec = spec
        self._native = make(spec, be.inner.name)

    def __call__(self, *inputs: Any, sample_weight: Any = None, mask: Any = None, **named: Any) -> Any:
        """The loss of its inputs, by place or by name; masks that Keras layers attached to them are used.

        A loss of two inputs and optional ones, such as `ctc`, is called as Keras' trainers call one: what comes third
        by place, and last, is `sample_weight`. The optional inputs go by name then.
        """
        inputs, sample_weight = self._by_place(inputs, sample_weight)
        given = bound(self.spec.definition, inputs, named)
        ready, sample_weight, mask, _ = self._ready(given, sample_weight, mask)
        value = self._native(*ready, sample_weight=sample_weight, mask=mask)
        return value if self.spec.reduction in ("none", "sum") else be.of_replica(value)

    def value_and_grad(
        self, *inputs: Any, sample_weight: Any = None, mask: Any = None, wrt: Any = None, **named: Any
    ) -> tuple[Any, Any]:
        """The loss, and its gradient with respect to the second input (or what `wrt` names)."""
        inputs, sample_weight = self._by_place(inputs, sample_weight)
        positions = wanted(wrt, self.spec.definition)
        given = bound(self.spec.definition, inputs, named)
        ready, sample_weight, mask, steps = self._ready(given, sample_weight, mask)
        asked = [self.spec.definition.inputs[i] for i in positions]
        value, gradients = self._native.value_and_grad(*ready, sample_weight=sample_weight, mask=mask, wrt=asked)
        # In the order and rank of what was given, before it was aligned.
        gradients = [
            unalign(steps[i].back(gradient) if i in steps else gradient, np.ndim(given[i]))
            for i, gradient in zip(positions, gradients, strict=True)
        ]
        return value, gradients[0] if wrt is None or isinstance(wrt, str) else tuple(gradients)

    def _by_place(self, inputs: tuple[Any, ...], sample_weight: Any) -> tuple[tuple[Any, ...], Any]:
        """The inputs, and the weights where Keras' trainers put them: third, behind targets and predictions."""
        definition = self.spec.definition
        as_trainers_do = len(inputs) == 3 and len(definition.inputs) - len(definition.optional) == 2
        if sample_weight is None and (as_trainers_do or len(inputs) > len(definition.inputs)):
            return inputs[:-1], inputs[-1]
        return inputs, sample_weight

    def _ready(self, given: list[Any], sample_weight: Any, mask: Any) -> tuple[list[Any], Any, Any, dict[int, Any]]:
        """What the loss of the framework takes: inputs as tensors, real ones in Keras' dtype, without a trailing axis
        of 1 that is too many; weights; a mask with what layers attached; and the steps that such masks have moved."""
        definition = self.spec.definition
        ready: list[Any] = []
        for name, x in zip(definition.inputs, given, strict=True):
            x = None if x is None else be.asarray(x, None, name)
            if x is not None and be.kind(x) == "f" and be.compute(x) is x:
                x = keras.ops.cast(x, self.dtype)
            ready.append(x)
        ready, rank = align_inputs(definition, ready)
        sample_weight, mask = (
            None if x is None else squeeze_trailing(be.asarray(x, ready[1], name), rank)
            for x, name in ((sample_weight, "sample_weight"), (mask, "mask"))
        )
        mask, steps = masks.of_inputs(self.spec, rank, given, ready, mask)
        return ready, sample_weight, mask, steps

    def __reduce__(self) -> Any:
        # Keras' own goes by the name, which may mean another loss by now.
        return type(self), (self.spec,), {"source": self.source, "notes": self.notes}

    def get_config(self) -> dict[str, Any]:
        """What `from_config` and `multiloss.get` take."""
        return self.spec.config()

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> KerasGeneral:
        """The loss that `get_config` described."""
        options = dict(config)
        return cls(make_spec(options.pop("name"), options))


def _tensors(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Both as tensors, in the shape and dtype that they came in; `y_pred` is where Keras puts it."""
    if not be.is_native(y_pred):
        array = dispatch.to_numpy(y_pred, "y_pred", "keras")
        # Python numbers have no dtype: theirs is Keras' default.
        untyped = array.dtype == "float64" and dispatch.framework_of(y_pred) is None
        # Made by the framework first: of integers Keras on JAX makes float32, where floatx is bfloat16.
        y_pred = array if untyped else be.asarray(array, None, "y_pred")
        y_pred = keras.ops.convert_to_tensor(y_pred, dtype=keras.config.floatx() if untyped else None)
    y_pred = be.asarray(y_pred, None, "y_pred")
    return be.asarray(y_true, y_pred, "y_true"), y_pred


def _as_given(gradient: Any, given: Any) -> Any:
    """A gradient in the shape of what was given, before it was aligned, and in its dtype, if that is real."""
    gradient = unalign(gradient, len(given.shape))
    return be.cast_like(gradient, given) if be.kind(given) == "f" else gradient

"""What Keras users hold: a `keras.losses.Loss` that `compile` accepts; center loss is in `center`."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
from keras.src.backend import get_keras_mask
from keras.src.losses.loss import scale_loss_for_distribution

import multiloss_keras as be
from multiloss import checks, dispatch
from multiloss.general import General, bound
from multiloss.loss import Named, Spec, make, make_spec
from multiloss.pipeline import sample_shape
from multiloss_keras.center import CenterLoss, WithCenterLoss
from multiloss_keras.shapes import align, squeeze_trailing, unalign

__all__ = ["CenterLoss", "KerasGeneral", "KerasLoss", "WithCenterLoss"]

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
        return value if self.spec.reduction in ("none", "sum") else scale_loss_for_distribution(value)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The per-sample values, as Keras' own losses have it."""
        y_true, y_pred, _, _ = self._ready(y_true, y_pred, None, None)
        return make(dataclasses.replace(self.spec, reduction="none"), be.inner.name)(y_true, y_pred)

    def _ready(self, y_true: Any, y_pred: Any, sample_weight: Any, mask: Any) -> tuple[Any, ...]:
        """What the loss of the framework takes: `y_pred` in Keras' dtype, all else aligned with it."""
        if mask is None:
            mask = get_keras_mask(y_pred)
        y_true, y_pred = _tensors(y_true, y_pred)
        # Half precision is computed in float32 anyhow, and the checks allow for its rounding where they see it.
        widened = self.dtype == "float32" and keras.backend.standardize_dtype(y_pred.dtype) in ("float16", "bfloat16")
        if be.kind(y_pred) in "fiu" and not widened:  # the rest is refused, not cast
            y_pred = keras.ops.cast(y_pred, self.dtype)
        y_true = align(y_true, y_pred, self.spec)
        checks.axis_fits(self.spec.axis, be.shape(y_pred), "y_pred")
        samples = len(sample_shape(be.shape(y_pred), self.spec.axis))
        sample_weight, mask = (
            None if x is None else squeeze_trailing(be.asarray(x, y_pred, name), samples)
            for x, name in ((sample_weight, "sample_weight"), (mask, "mask"))
        )
        return y_true, y_pred, sample_weight, mask

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
        gradient, second = self._native.grad_and_hess(*self._ready(y_true, y_pred, None, None)[:2])
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
        """The loss of its inputs, by place or by name."""
        if len(inputs) > len(self.spec.definition.inputs) and sample_weight is None:
            inputs, sample_weight = inputs[:-1], inputs[-1]  # as Keras' trainers call a loss
        value = self._native(*self._aligned(inputs, named), sample_weight=sample_weight, mask=mask)
        return value if self.spec.reduction in ("none", "sum") else scale_loss_for_distribution(value)

    def value_and_grad(
        self, *inputs: Any, sample_weight: Any = None, mask: Any = None, wrt: Any = None, **named: Any
    ) -> tuple[Any, Any]:
        """The loss, and its gradient with respect to the second input (or what `wrt` names)."""
        ready = self._aligned(inputs, named)
        return self._native.value_and_grad(*ready, sample_weight=sample_weight, mask=mask, wrt=wrt)

    def _aligned(self, inputs: tuple[Any, ...], named: dict[str, Any]) -> list[Any]:
        """The inputs as tensors, real ones in Keras' dtype, labels without a trailing axis of 1."""
        definition = self.spec.definition
        ready = []
        for name, x in zip(definition.inputs, bound(definition, inputs, named), strict=True):
            shape = definition.shapes[name]
            x = None if x is None else be.asarray(x, None, name)
            if x is not None and shape.integer and not shape.leading:
                x = squeeze_trailing(x, len(shape.letters))
            elif x is not None and be.kind(x) == "f" and be.compute(x) is x:
                x = keras.ops.cast(x, self.dtype)
            ready.append(x)
        return ready

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
        y_pred = keras.ops.convert_to_tensor(array, dtype=keras.config.floatx() if untyped else None)
    y_pred = be.asarray(y_pred, None, "y_pred")
    return be.asarray(y_true, y_pred, "y_true"), y_pred


def _as_given(gradient: Any, given: Any) -> Any:
    """A gradient in the shape of what was given, before it was aligned, and in its dtype, if that is real."""
    gradient = unalign(gradient, len(given.shape))
    return be.cast_like(gradient, given) if be.kind(given) == "f" else gradient

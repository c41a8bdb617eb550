"""What JAX users hold: hashable callables."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp

import multiloss_jax as be
from multiloss import general, pipeline
from multiloss.general import General, GeneralInputs
from multiloss.inputs import Inputs
from multiloss.loss import Named, Spec, wanted
from multiloss_jax.center import JaxCenter

__all__ = ["JaxCenter", "JaxGeneral", "JaxLoss"]


@lru_cache(maxsize=None)
def _compiled(spec: Spec, trusted: bool) -> Any:
    """One compiled function a spec: equal losses share it."""
    return jax.jit(partial(_evaluate(spec), be, spec, trusted=trusted))


def _evaluate(spec: Spec) -> Any:
    return general.evaluate if spec.definition.kind == "of_inputs" else pipeline.evaluate


@lru_cache(maxsize=None)
def _compiled_with_gradient(spec: Spec, trusted: bool, positions: tuple[int, ...]) -> Any:
    def total(*arrays: Any) -> Any:
        value = _evaluate(spec)(be, spec, *arrays, trusted=trusted)
        return (value.sum() if value.ndim else value), value

    def both(*arrays: Any) -> Any:
        (_, value), gradients = jax.value_and_grad(total, argnums=positions, has_aux=True)(*arrays)
        return value, gradients

    return jax.jit(both)


@lru_cache(maxsize=None)
def _compiled_derivatives(spec: Spec, trusted: bool) -> Any:
    def pair(y_true: Any, y_pred: Any) -> Any:
        found = pipeline.grad_and_hess(be, spec, y_true, y_pred, trusted)
        return tuple(x.astype(y_pred.dtype) for x in found) if jnp.issubdtype(y_pred.dtype, jnp.floating) else found

    return jax.jit(pair)


class JaxLoss(Named):
    """A loss as a pure callable: static under `jit`, and for `grad`, `vmap`, `jvp`, `shard_map` just a function."""

    backend = "jax"

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._inputs = Inputs(spec)

    def _is_like_before(self, y_true: Any, y_pred: Any) -> bool:
        """Whether arrays like these passed all checks, and labels are in range: small ones take less time than that."""
        if not isinstance(y_true, jax.Array) or not isinstance(y_pred, jax.Array) or y_pred.dtype.kind != "f":
            return False
        if ((y_true.shape, y_true.dtype), (y_pred.shape, y_pred.dtype)) not in self._inputs.passed:
            return False
        if not self.spec.definition.has_labels:
            return True
        return self.spec.validate is not False and be.labels_fit(y_true, y_pred.shape[self.spec.axis])

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None, mask: Any = None) -> Any:
        """The loss of arrays, tracers, lists or numbers."""
        if sample_weight is None and mask is None and self._is_like_before(y_true, y_pred):
            return _compiled(self.spec, True)(y_true, y_pred, None, None)
        *arrays, trusted = self._inputs(be, y_true, y_pred, sample_weight, mask)
        return _compiled(self.spec, trusted)(*arrays)

    def value_and_grad(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, mask: Any = None, *, wrt: Any = "y_pred"
    ) -> tuple[Any, Any]:
        """The loss, and its gradient with respect to `y_pred` (or what `wrt` names), in one compiled function."""
        if sample_weight is None and mask is None and wrt == "y_pred" and self._is_like_before(y_true, y_pred):
            value, (gradient,) = _compiled_with_gradient(self.spec, True, (1,))(y_true, y_pred, None, None)
            return value, gradient
        *arrays, trusted = self._inputs(be, y_true, y_pred, sample_weight, mask)
        positions = wanted(wrt, self.spec.definition)
        for i in positions:
            arrays[i] = arrays[i] if be.kind(arrays[i]) == "f" else be.compute(arrays[i])
        value, gradients = _compiled_with_gradient(self.spec, trusted, positions)(*arrays)
        return value, gradients[0] if isinstance(wrt, str) else gradients

    def grad_and_hess(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """First and second derivative of each value with respect to each element, unreduced."""
        pipeline.require_derivatives(self.spec)
        y_true, y_pred, _, _, trusted = self._inputs(be, y_true, y_pred, None, None)
        return _compiled_derivatives(self.spec, trusted)(y_true, y_pred)


class JaxGeneral(General):
    """A loss of other inputs: a pure callable, as `JaxLoss`."""

    backend = "jax"
    be = be

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._inputs = GeneralInputs(spec)

    def _value(self, arrays: list[Any], trusted: bool) -> Any:
        return _compiled(self.spec, trusted)(*arrays)

    def _value_and_gradients(self, arrays: list[Any], trusted: bool, positions: tuple[int, ...]) -> tuple[Any, Any]:
        return _compiled_with_gradient(self.spec, trusted, positions)(*arrays)

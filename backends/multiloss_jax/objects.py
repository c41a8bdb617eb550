"""What JAX users hold: hashable callables."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp

from multiloss.engine import pipeline
from multiloss.engine.call import bound
from multiloss.engine.loss import LossBase, Spec
from multiloss.engine.page import shown
from multiloss_jax import arrays as be
from multiloss_jax.center import JaxCenter

_LONG = 24
"""Characters of a value that a signature shows."""
__all__ = ["JaxCenter", "JaxLoss"]


@lru_cache(maxsize=None)
def _compiled(spec: Spec, labels_checked: bool) -> Any:
    """One compiled function a spec: equal losses share it."""
    return jax.jit(partial(pipeline.evaluate, be, spec, labels_checked=labels_checked))


@lru_cache(maxsize=None)
def _compiled_with_options(spec: Spec, labels_checked: bool) -> Any:
    def value(options: Any, *arrays: Any) -> Any:
        return pipeline.evaluate(be, spec, *arrays, labels_checked=labels_checked, options=spec.kwargs | options)

    return jax.jit(value)


@lru_cache(maxsize=None)
def _compiled_with_gradient(spec: Spec, labels_checked: bool, positions: tuple[int, ...]) -> Any:
    def total(*arrays: Any) -> Any:
        value = pipeline.evaluate(be, spec, *arrays, labels_checked=labels_checked)
        return (value.sum() if value.ndim else value), value

    def both(*arrays: Any) -> Any:
        (_, value), gradients = jax.value_and_grad(total, argnums=positions, has_aux=True)(*arrays)
        return value, gradients

    return jax.jit(both)


@lru_cache(maxsize=None)
def _compiled_derivatives(spec: Spec, labels_checked: bool) -> Any:
    def pair(y_true: Any, y_pred: Any) -> Any:
        found = pipeline.grad_and_hess(be, spec, y_true, y_pred, labels_checked)
        return tuple(x.astype(y_pred.dtype) for x in found) if jnp.issubdtype(y_pred.dtype, jnp.floating) else found

    return jax.jit(pair)


def _is_real(name: str, x: Any, reader: Any) -> bool:
    """Whether this is one number, maybe traced, for an option that is read as a real number."""
    if not be.is_native(x) or x.shape != () or be.dtype_kind(x) not in "fiu":
        return False
    for number in (0.25, 1.5):
        with contextlib.suppress(TypeError, ValueError):
            if isinstance(reader(name, number), float):
                return True
    return False


class JaxLoss(LossBase):
    """A loss as a pure callable: static under `jit`, an ordinary function for `grad`, `vmap`, `jvp` and `shard_map`."""

    backend: str | None = "jax"
    be = be

    def _is_like_before(self, y_true: Any, y_pred: Any) -> bool:
        """Whether arrays like these passed all checks before, and their labels are in range."""
        if not isinstance(y_true, jax.Array) or not isinstance(y_pred, jax.Array) or y_pred.dtype.kind != "f":
            return False
        if ((y_true.shape, y_true.dtype), (y_pred.shape, y_pred.dtype)) not in self._checked.passed:
            return False
        if not self.spec.definition.has_classes:
            return True
        if not self.spec.definition.has_labels:
            return False
        return self.spec.validate is not False and be.labels_fit(y_true, y_pred.shape[self.spec.axis_in(y_pred.ndim)])

    def __call__(self, *inputs: Any, **named: Any) -> jax.Array:
        """The loss of its inputs, by place or by name: arrays, tracers, lists or numbers."""
        if len(inputs) == 2 and not named and self._is_like_before(*inputs):
            return _compiled(self.spec, True)(*inputs, None, None)
        if named and not self.spec.kwargs.keys().isdisjoint(named):
            return self._with_options(inputs, named)
        return self._call(inputs, named)

    @classmethod
    def _call_of(cls, spec: Spec) -> inspect.Signature:
        plain = super()._call_of(spec)
        own = {name: ... if len(shown(x)) > _LONG else x for name, x in spec.own}  # a list of class weights, say
        options = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=x) for name, x in own.items()]
        return plain.replace(parameters=[*plain.parameters.values(), *options])

    def _with_options(self, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """The loss with options of this call, as Optax has them. Arrays may be traced, and have a derivative."""
        given = {name: named.pop(name) for name in self.spec.kwargs if name in named}
        readers = self.spec.definition.readers
        if "epsilon" in given and self.spec.kwargs.get("from_logits"):
            meant = "; the coefficient of the polynomial is called poly_epsilon here" * ("poly_epsilon" in readers)
            raise TypeError(f"epsilon of {self.spec.name} is the floor of probabilities; of logits it has none{meant}")
        traced = {name: x for name, x in given.items() if _is_real(name, x, readers[name])}
        known = {name: x for name, x in given.items() if not isinstance(x, jax.core.Tracer)}
        read = {name: readers[name](name, x) for name, x in known.items()}
        for name in given.keys() - read.keys() - traced.keys():
            kind = given[name].aval.str_short()
            raise TypeError(f"a traced option must be one number for which any real one would do; {name} got {kind}")
        arrays, labels_checked = self._checked(be, bound(self.spec.definition, inputs, named))
        unknown = {name: x for name, x in traced.items() if name not in read}
        for varying in (traced, unknown):  # a number that decides which formula is computed is fixed, if it is known
            fixed = {name: x for name, x in read.items() if name not in varying}
            spec = dataclasses.replace(self.spec, own=tuple((self.spec.kwargs | fixed).items()))
            try:
                return _compiled_with_options(spec, labels_checked)(varying, *arrays)
            except jax.errors.ConcretizationTypeError as error:
                refused = error
        if not unknown:  # it is the loss's own function that looks at its arrays
            raise refused
        raise TypeError(
            f"{', '.join(unknown)} of {self.spec.name} decides which formula is computed, so it cannot be traced: give "
            f"a Python number"
        )

    def value_and_grad(self, *inputs: Any, wrt: Any = None, **named: Any) -> tuple[jax.Array, Any]:
        """The loss, and its gradient with respect to the second input (or what `wrt` names), in one compiled
        function."""
        if len(inputs) == 2 and not named and wrt is None and self._is_like_before(*inputs):
            value, (gradient,) = _compiled_with_gradient(self.spec, True, (1,))(*inputs, None, None)
            return value, gradient
        return super().value_and_grad(*inputs, wrt=wrt, **named)

    def _value(self, arrays: list[Any], labels_checked: bool) -> Any:
        return _compiled(self.spec, labels_checked)(*arrays)

    def _value_and_gradients(
        self, arrays: list[Any], labels_checked: bool, positions: tuple[int, ...]
    ) -> tuple[Any, Any]:
        return _compiled_with_gradient(self.spec, labels_checked, positions)(*arrays)

    def _derivatives(self, y_true: Any, y_pred: Any, labels_checked: bool) -> tuple[Any, Any]:
        return _compiled_derivatives(self.spec, labels_checked)(y_true, y_pred)

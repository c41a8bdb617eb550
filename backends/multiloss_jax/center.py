"""Center loss for JAX: the pure `init_state`/`step` under transformations, and an object that holds the table."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import multiloss_jax as be
from multiloss.center import CenterOptions, step
from multiloss.host_center import HostCenter


@lru_cache(maxsize=None)
def _compiled(chosen: CenterOptions, moves: bool, trusted: bool, differentiate: bool) -> Any:
    """Value, gradient or None, and the table with the moved rows in it (in place: it is donated)."""

    def run(table: Any, labels: Any, features: Any, sample_weight: Any, mask: Any) -> Any:
        def total(x: Any) -> Any:
            value, where_to, rows = step(
                be, chosen, table, labels, x, sample_weight, mask, training=moves, trusted=trusted
            )
            return (value.sum() if value.ndim else value), (value, where_to, rows)

        if differentiate:
            (_, (value, where_to, rows)), gradient = jax.value_and_grad(total, has_aux=True)(features)
        else:
            (_, (value, where_to, rows)), gradient = total(features), None
        return value, gradient, table if where_to is None else be.xp.put_rows(table, where_to, rows)

    return jax.jit(run, donate_argnums=0 if moves else ())


class JaxCenter(HostCenter):
    """Center loss on JAX arrays. Under `jit`, `grad`, `vmap` and `scan` use the pure `init_state` and `step`."""

    backend = "jax"

    @property
    def centers(self) -> Any:
        """A copy of the centers, (num_classes, feature_dim); (0, 0) until known."""
        return jnp.zeros((0, 0)) if self._table is None else jnp.array(self._table)

    def _ready(self, labels: Any, features: Any, sample_weight: Any, mask: Any) -> tuple[Any, ...]:
        arguments = {"labels": labels, "features": features, "sample_weight": sample_weight, "mask": mask}
        traced = [name for name, x in arguments.items() if isinstance(x, jax.core.Tracer)]
        if traced:
            raise RuntimeError(
                f"{' and '.join(traced)} {'are' if len(traced) > 1 else 'is'} traced, and an object with state would "
                f"bake its centers into the trace; under JAX transformations use state = center.init_state() and "
                f"value, state = center.step(state, labels, features)"
            )
        return super()._ready(labels, features, sample_weight, mask)

    def _step(self, arrays: list[Any], moves: bool, trusted: bool) -> tuple[Any, Any, Any]:
        value, _, self._table = _compiled(self.options, moves, trusted, False)(self._table, *arrays)
        return value, None, None

    def _step_with_gradient(self, arrays: list[Any], moves: bool, trusted: bool) -> tuple[Any, Any, Any, Any]:
        arrays[1] = arrays[1] if be.kind(arrays[1]) == "f" else be.compute(arrays[1])
        value, gradient, self._table = _compiled(self.options, moves, trusted, True)(self._table, *arrays)
        return value, gradient, None, None

    def update(self, labels: Any, features: Any, mask: Any = None) -> None:
        """Move the centers once by Eq. 4, whatever `update` says."""
        *arrays, trusted = self._ready(labels, features, None, mask)
        self._step(arrays, True, trusted)

    def _host_centers(self) -> np.ndarray:
        return np.zeros((0, 0)) if self._table is None else np.array(self._table)

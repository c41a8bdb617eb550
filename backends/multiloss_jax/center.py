"""Center loss for JAX: the pure `init_state`/`step` under transformations, and an object that holds the table."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from multiloss.center import CenterOptions, all_names, native_arrays, step
from multiloss.center.objects import HostCenter
from multiloss.engine.objects import with_options
from multiloss_jax import arrays as be
from multiloss_jax import compat
from multiloss_jax.distributed import Axis

_TRACED = (
    "{} traced, and an object with state would bake its centers into the trace; under JAX transformations use "
    "state = center.init_state() and value, state = center.step(state, labels, features)"
)


def _run(
    chosen: CenterOptions, run: Any, table: Any, spare: Any, lag: Any, labels: Any, features: Any, *rest: Any
) -> Any:
    """`run(...)`, which gives (value, gradient or None, table or None, lag or None).

    Arrays on a mesh with axes of type Explicit run as over Auto axes, where XLA finds the communication for the gather,
    the sums and the scatter. The results are placed as the arguments are.
    """
    arrays = table, spare, lag, labels, features, *rest
    mesh = next(filter(None, map(compat.explicit_mesh, jax.tree.leaves(arrays))), None)
    if mesh is None:
        return run(*arrays)
    of_table, of_features = (NamedSharding(mesh, jax.typeof(x).sharding.spec) for x in (table, features))
    each = of_features.spec[:-1] if chosen.reduction == "none" else ()
    placed = NamedSharding(mesh, PartitionSpec(*each)), of_features, of_table, NamedSharding(mesh, PartitionSpec())
    return compat.on_auto_axes(run, placed)(*arrays)


@lru_cache(maxsize=None)
def _compiled(chosen: CenterOptions, updates: bool, labels_checked: bool, differentiate: bool) -> Any:
    """A compiled function that gives value, gradient or None, and if the centers move: the new table, and the rows
    where the old one differs from it.

    The new table takes the memory of `spare`, which is donated: a table that differs from `table` in the rows of `lag`.
    """

    def run(table: Any, spare: Any, lag: Any, *arrays: Any) -> tuple[Any, Any, Any, Any]:
        value, where_to, rows = step(
            be, chosen, table, *arrays, training=updates, labels_checked=labels_checked, differentiate=differentiate
        )
        value, gradient = value if differentiate else (value, None)
        if where_to is None:
            return value, gradient, None, None
        caught_up = be.xp.put_rows(spare, lag, be.xp.gather(table, lag))
        new_lag = jnp.pad(be.labels(where_to), (0, _lag_length(where_to.shape[0]) - where_to.shape[0]))
        return value, gradient, be.xp.put_rows(caught_up, where_to, rows), new_lag

    return jax.jit(partial(_run, chosen, run), donate_argnums=1 if updates else ())


def _lag_length(rows: int) -> int:
    """The length of `lag`: a power of two, filled up with class 0, so that batches of many lengths compile few
    programs."""
    return 1 << max(rows - 1, 0).bit_length()


@with_options(all_names())
class JaxCenter(HostCenter):
    """Center loss on JAX arrays. Under `jit`, `grad`, `vmap` and `scan` use the pure `init_state` and `step`.

    With `axis_name`, `step` inside `jax.shard_map` moves the centers by the batches of all devices of that axis; they
    stay the same on all. The value is of the device's own batch: `jax.lax.pmean` of it is that of the whole.
    """

    backend = "jax"

    _own: Any = None
    _spare: Any = None
    """A second table, and the rows where it differs from the first. A step reads the first table and donates the second
    one to JAX for the result; then they change places. So one table is whole wherever a step is interrupted."""

    def _begin(self, dim: int | None = None) -> None:
        """Make no table yet: the pure `step` and the module of Flax have their own."""

    @property
    def _table(self) -> Any:
        """The centers, made when they are first needed."""
        if self._own is None:
            with jax.ensure_compile_time_eval():  # outside of what is traced now
                super()._begin()
        return self._own

    @_table.setter
    def _table(self, table: Any) -> None:
        self._own = table

    def _set(self, centers: np.ndarray, like: Any) -> None:
        before, self._spare = self._own, None
        new = be.centers_array(centers, before if like is None else like)
        if before is not None and before.shape == new.shape and before.sharding != new.sharding:
            new = jax.device_put(new, before.sharding)
        self._own = new

    def step(
        self,
        state: dict[str, Any],
        labels: Any,
        features: Any,
        training: bool = True,
        *,
        sample_weight: Any = None,
        mask: Any = None,
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The pure core, as on every backend. Arrays may be sharded over a mesh; the state stays where it is."""

        def run(table: Any, _spare: Any, _lag: Any, labels: Any, features: Any, sample_weight: Any, mask: Any) -> Any:
            value, new = HostCenter.step(
                self, {"centers": table}, labels, features, training, sample_weight=sample_weight, mask=mask
            )
            return value, features, new["centers"], None

        arrays = native_arrays(be, labels, features, sample_weight, mask)
        value, _, table, _ = _run(self.options, run, jnp.asarray(state["centers"]), None, None, *arrays)
        return value, {**state, "centers": table} if training else state

    def _group(self) -> Axis | None:
        return None if self.options.axis_name is None else Axis(self.options.axis_name)

    @property
    def centers(self) -> jax.Array:
        """A copy of the centers, (num_classes, feature_dim); (0, 0) until known."""
        with self._alone():
            return jnp.zeros((0, 0)) if self._table is None else jnp.array(self._table)

    def _native(self, labels: Any, features: Any, sample_weight: Any, mask: Any) -> list[Any]:
        if self.options.axis_name is not None:
            raise RuntimeError(
                "with axis_name a center loss is updated together with other devices, by the pure step inside "
                "jax.shard_map: value, state = center.step(state, labels, features)"
            )
        arguments = {"labels": labels, "features": features, "sample_weight": sample_weight, "mask": mask}
        traced = [name for name, x in arguments.items() if compat.is_traced(x)]
        if traced:
            raise RuntimeError(_TRACED.format(f"{' and '.join(traced)} {'are' if len(traced) > 1 else 'is'}"))
        return super()._native(**arguments)

    def _compute(
        self, arrays: list[Any], updates: bool, labels_checked: bool, group: Any, differentiate: bool
    ) -> tuple[Any, None, None]:
        """The centers move as a whole or not at all, so no rows are left to commit."""
        table, run = self._table, _compiled(self.options, updates, labels_checked, differentiate)
        spare = lag = None
        if updates:
            spare, lag = self._spare or (
                jnp.array(table),
                jnp.zeros(_lag_length(arrays[0].size), be.labels(arrays[0]).dtype),
            )
            self._spare = None  # if this call is interrupted, the next one makes another copy
        value, gradient, new, new_lag = run(table, spare, lag, *arrays)
        self._refuse_traced(value)
        if updates:
            self._own = new
            self._spare = table, new_lag
        return (value, gradient) if differentiate else value, None, None

    def __copy__(self) -> JaxCenter:
        """A copy with a table of its own, since a call donates the buffer."""
        copied = object.__new__(type(self))
        copied.__dict__.update(self.__getstate__())
        copied._own = None if self._own is None else jnp.array(self._own)
        return copied

    def __getstate__(self) -> dict[str, Any]:
        """The state without the second table, which the next step makes anew."""
        return {**self.__dict__, "_spare": None}

    def _refuse_traced(self, x: Any) -> None:
        if compat.is_traced(x):  # constants as arguments, inside `jit`
            raise RuntimeError(_TRACED.format("the center loss is"))

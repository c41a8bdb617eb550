"""Center loss over the devices of a mesh axis: what travels."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp


class Axis:
    """The devices of a mesh axis (`axis_name`), inside `jax.shard_map`, `jax.pmap` or `jax.vmap` (`protocol.Group`)."""

    def __init__(self, name: str | tuple[str, ...]) -> None:
        self.name = name

    def _size(self) -> int:
        """The number of devices, known while tracing. (Not every version has `jax.lax.axis_size`.)"""
        return int(jax.lax.psum(1, self.name))

    def gathers(self, classes: int, dim: int, samples: int) -> bool:
        return self._size() * samples <= 2 * classes

    def gather(self, x: Any) -> Any:
        # Not by `all_gather`, whose result counts as different on each device, and may not become a replicated output.
        if x.dtype == jnp.bool_:
            return self.gather(x.astype(jnp.int32)) > 0
        n = x.shape[0]
        place = jnp.zeros((n * self._size(), *x.shape[1:]), x.dtype)
        first = jax.lax.axis_index(self.name) * n
        return jax.lax.psum(jax.lax.dynamic_update_slice_in_dim(place, x, first, 0), self.name)

    def sum(self, x: Any) -> Any:
        return jax.lax.psum(x, self.name)

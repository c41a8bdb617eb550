"""The names that JAX and Flax do not promise, or that only some versions have: their purpose, and what replaces
them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def tracer_types() -> tuple[type, ...]:
    """The class of arrays without values inside a transformation: `jax.core.Tracer`.

    Where JAX has no such name: the classes that the arguments under `jit`, `vmap` and `jvp` have in common, and that an
    ordinary array does not have.
    """
    known = getattr(jax.core, "Tracer", None)
    return _common_to_tracers() if known is None else (known,)


def _common_to_tracers() -> tuple[type, ...]:
    seen: list[set[type]] = []

    def look(x: Any) -> Any:
        seen.append(set(type(x).__mro__))
        return x

    jax.make_jaxpr(look)(0.0)
    jax.vmap(look)(np.zeros(1))
    jax.jvp(look, (0.0,), (1.0,))
    with jax.ensure_compile_time_eval():
        found = set.intersection(*seen) - set(type(jnp.zeros(())).__mro__)
    if not found:
        raise ImportError(f"multiloss cannot tell traced arrays from others in JAX {jax.__version__}; use another one")
    return tuple(found)


TRACERS = tracer_types()


def is_traced(x: Any) -> bool:
    """Whether x is an array without values."""
    return isinstance(x, TRACERS)


SEARCH: str | None = "sort" if jax.__version_info__ < (0, 7) else None
"""The method of `jnp.searchsorted` before JAX 0.7, where all others fail in `shard_map`; None: any."""


def explicit_mesh(x: Any) -> Any:
    """The mesh of an array that is sharded over an axis of type Explicit; else None. JAX without `auto_axes` (before
    0.7) refuses the gather of rows of such arrays itself."""
    if not hasattr(jax.sharding, "auto_axes"):
        return None
    mesh = jax.typeof(x).sharding.mesh
    return mesh if jax.sharding.AxisType.Explicit in mesh.axis_types else None


def on_auto_axes(run: Callable[..., Any], placed: Any) -> Callable[..., Any]:
    """`run` over axes of type Auto, with `placed` as the shardings of its results; used with an `explicit_mesh`
    only."""
    return jax.sharding.auto_axes(run, out_sharding=placed)


def hidden_from_nnx(x: Any) -> Any:
    """x as static data of a Flax module. Flax without `nnx.static` (before 0.12) takes any object as static."""
    from flax import nnx

    return nnx.static(x) if hasattr(nnx, "static") else x

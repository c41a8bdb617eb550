"""JAX: Optax, the `jax.numpy` that a user would write where it has no loss, and how calls are timed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

# jit: `jax.jit(jax.value_and_grad(...))` of all. grad: `jax.value_and_grad` of all, not jitted.
# eager: `loss.value_and_grad` against `jax.value_and_grad` of the others, not jitted.
# value_and_grad: the same against the others with everything jitted.
LIBRARY = "optax"
MODES = ("jit", "eager", "value_and_grad", "grad")
VERSION = f"jax {jax.__version__}"


def threads(number: int) -> None:
    """Nothing: XLA takes the processors that the process may run on."""


def place(device: str) -> None:
    """Nothing: the framework takes the device that it finds."""


def array(x: Any) -> Any:
    """An array of the framework."""
    return jnp.asarray(x)


def function(name: str, options: Mapping[str, Any]) -> Callable[..., Any] | None:
    """A loss of the library, reduced to one number; None where Optax is not installed, or is too old to have it."""
    if importlib.util.find_spec("optax") is None:
        return None
    import optax

    own = getattr(optax.losses, name, None)
    return None if own is None else lambda *x: own(*x, **options).mean()


def ctc(y: Any, p: Any) -> Any:
    """Its ctc, of logits (N, T, C)."""
    import optax

    return optax.losses.ctc_loss(p, jnp.zeros(p.shape[:2]), y, jnp.zeros(y.shape)).mean()


def log(p: Any) -> Any:
    """The logarithm, kept from 0."""
    return jnp.log(jnp.maximum(p, 1e-7))


def _log_ratio(y: Any, p: Any) -> Any:
    return jnp.log1p(p) - jnp.log1p(y)


OPERATIONS: dict[str, Callable[..., Any]] = {
    "mae": lambda y, p: jnp.abs(p - y).mean(),
    "mape": lambda y, p: 100 * (jnp.abs(p - y) / jnp.maximum(jnp.abs(y), 1e-7)).mean(),
    "msle": lambda y, p: jnp.square(_log_ratio(y, p)).mean(),
    "rmse": lambda y, p: jnp.sqrt(jnp.square(p - y).mean(-1)).mean(),
    "rmsle": lambda y, p: jnp.sqrt(jnp.square(_log_ratio(y, p)).mean(-1)).mean(),
    "cce": lambda y, p: -(y * log(p)).sum(-1).mean(),
    "scce": lambda y, p: -jnp.take_along_axis(log(p), y[:, None], axis=-1).mean(),
    "bce": lambda y, p: -(y * log(p) + (1 - y) * log(1 - p)).mean(),
}


def runner(mode: str, f: Any, ours: bool, *inputs: Any) -> Callable[[], Any]:
    """One call of what is timed: value and gradient of `f` at the given arrays."""
    if ours and mode in ("eager", "value_and_grad"):
        return lambda: f.value_and_grad(*inputs)
    both = jax.value_and_grad(f, argnums=1)
    if mode in ("value_and_grad", "jit"):
        both = jax.jit(both)
    return lambda: both(*inputs)


def wait(result: Any) -> None:
    """Until the result is there."""
    jax.block_until_ready(result)


def forget() -> None:
    """Drop compiled functions."""
    jax.clear_caches()

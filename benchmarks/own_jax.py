"""JAX: Optax, or the plain `jax.numpy` that a user would write ("ops"), and how they are timed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from rows import Array, Function

# eager: `loss.value_and_grad` against `jax.value_and_grad` of the peer, not jitted.
# value_and_grad: the same against the peer with everything jitted.
# grad: `jax.value_and_grad` of both, not jitted. jit: `jax.jit(jax.value_and_grad(...))` of both.
MODES = ("eager", "value_and_grad", "grad", "jit")
VERSION = f"jax {jax.__version__}, optax {optax.__version__}"


def threads(number: int) -> None:
    """Nothing: XLA takes the processors that the process may run on."""


def place(device: str) -> None:
    """Nothing: the framework takes the device that it finds."""


def array(x: Array) -> Any:
    """x as a JAX array."""
    return jnp.asarray(x)


def _log_ratio(y: Any, p: Any) -> Any:
    return jnp.log1p(p) - jnp.log1p(y)


def _floored(p: Any) -> Any:
    return jnp.maximum(p, 1e-7)


def _scce(y: Any, p: Any) -> Any:
    return -jnp.take_along_axis(jnp.log(_floored(p)), y[:, None], axis=-1).mean()


def _bce(y: Any, p: Any) -> Any:
    return -(y * jnp.log(_floored(p)) + (1 - y) * jnp.log(_floored(1 - p))).mean()


OWN: dict[str, tuple[str, Function]] = {
    "mse": ("squared_error", lambda y, p: optax.losses.squared_error(p, y).mean()),
    "mae": ("ops", lambda y, p: jnp.abs(p - y).mean()),
    "mape": ("ops", lambda y, p: 100 * (jnp.abs(p - y) / _floored(jnp.abs(y))).mean()),
    "msle": ("ops", lambda y, p: jnp.square(_log_ratio(y, p)).mean()),
    "rmse": ("ops", lambda y, p: jnp.sqrt(jnp.square(p - y).mean(-1)).mean()),
    "rmsle": ("ops", lambda y, p: jnp.sqrt(jnp.square(_log_ratio(y, p)).mean(-1)).mean()),
    "log_cosh": ("log_cosh", lambda y, p: optax.losses.log_cosh(p, y).mean()),
    "huber": ("huber_loss", lambda y, p: optax.losses.huber_loss(p, y).mean()),
    "kl": ("kl_divergence", lambda y, p: optax.losses.kl_divergence(jnp.log(_floored(p)), y).mean()),
    "cce": ("ops", lambda y, p: -(y * jnp.log(_floored(p))).sum(-1).mean()),
    "cce_logits": ("softmax_cross_entropy", lambda y, p: optax.losses.softmax_cross_entropy(p, y).mean()),
    "scce": ("ops", _scce),
    "scce_logits": (
        "softmax_cross_entropy_with_integer_labels",
        lambda y, p: optax.losses.softmax_cross_entropy_with_integer_labels(p, y).mean(),
    ),
    "bce": ("ops", _bce),
    "bce_logits": (
        "sigmoid_binary_cross_entropy",
        lambda y, p: optax.losses.sigmoid_binary_cross_entropy(p, y).mean(),
    ),
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

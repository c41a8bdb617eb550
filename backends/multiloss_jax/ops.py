"""The primitives that jax.numpy lacks, or that JAX has a better function for.

What each gives is said in `multiloss.engine` (`numerics`, `norms`, `pairs`, `protocol`), or by the array API standard.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from multiloss.engine import pairs, xla
from multiloss_jax import compat

Array = Any

SAME = {
    "stop_gradient": jax.lax.stop_gradient,
    "logsumexp": jax.nn.logsumexp,
    "log_softmax": jax.nn.log_softmax,
    "softmax": jax.nn.softmax,
    "expit": jax.nn.sigmoid,
    "lgamma": jax.scipy.special.gammaln,
    "cumulative_sum": jnp.cumsum,
}


def softplus(x: Array) -> Array:
    return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


def clamp_min(x: Array, bound: float) -> Array:
    return jnp.maximum(x, bound)


def sign_or_one(x: Array) -> Array:
    return jnp.copysign(jnp.ones((), x.dtype), jax.lax.stop_gradient(x))


@jax.custom_jvp
def abs(x: Array) -> Array:  # noqa: A001
    return jnp.abs(x)


@abs.defjvp
def _(primals: Any, tangents: Any) -> Any:
    # The derivative at 0 must be 0; that of jnp.abs is 1.
    return jnp.abs(primals[0]), tangents[0] * jnp.sign(primals[0])


@jax.custom_jvp
def zero_times(weight: Array, x: Array) -> Array:
    # Replaced behind the product: before it, XLA would keep x in memory; the derivative needs it before.
    return jnp.where((weight == 0) & jnp.isinf(x), jnp.zeros_like(x), weight * x)


@zero_times.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (weight, x), (weight_dot, x_dot) = primals, tangents
    finite = jnp.where((weight == 0) & jnp.isinf(x), jnp.zeros_like(x), x)
    return zero_times(weight, x), weight_dot * finite + weight * x_dot


def with_derivative(value: Any, pulled: Any, x: Array) -> Array:
    # Computed anew where it is differentiated. A custom derivative would not do: forward mode has none then.
    return jax.checkpoint(value)(x)


def pair_squares(x: Array) -> Array:
    if jax.default_backend() != "cpu":
        return pairs.pair_squares(jnp, x)
    return _by_row(lambda x, row: jnp.sum(jnp.square(row - x), axis=-1), x, x)


def pair_gaps(x: Array, factor: Array) -> Array:
    if jax.default_backend() != "cpu":
        return pairs.pair_gaps(jnp, x, factor)
    return _by_row(lambda x, row, weights: jnp.sum(weights[:, None] * (row - x), axis=0), x, x, factor)


def _by_row(function: Any, x: Array, *arrays: Array) -> Array:
    """function(x, row, ...), of each row of the arrays."""
    # A derivative computes its differences anew, row by row: all at once they would be N x N x D.
    one = jax.checkpoint(function)
    return jax.lax.map(lambda rows: one(x, *rows), arrays)


def matmul(x: Array, y: Array) -> Array:
    # JAX's default drops 13 of 24 bits of float32 on a GPU, more on a TPU; a precision that the user has set is kept.
    chosen = jax.config.jax_default_matmul_precision
    return jnp.matmul(x, y, precision=jax.lax.Precision.HIGHEST if chosen is None else None)


@jax.custom_jvp
def linear(x: Array, weight: Array) -> Array:
    return matmul(x, weight.T)


@linear.defjvp
def _(primals: Any, tangents: Any) -> Any:
    x, weight = (jnp.where(jnp.isinf(a), jnp.zeros_like(a), a) for a in primals)
    return linear(*primals), matmul(tangents[0], weight.T) + matmul(x, tangents[1].T)


def log1p(x: Array) -> Array:
    return _log1p(x) if x.dtype == jnp.float64 else jnp.log1p(x)


@jax.custom_jvp
def _log1p(x: Array) -> Array:
    return xla.log1p(jnp, x)


@_log1p.defjvp
def _(primals: Any, tangents: Any) -> Any:
    return _log1p(*primals), tangents[0] / (1 + primals[0])


def class_range(x: Array, axis: int) -> Array:
    axis %= x.ndim
    return jax.lax.broadcasted_iota(jnp.int32, [n if i == axis else 1 for i, n in enumerate(x.shape)], axis)


def gather(table: Array, rows: Array) -> Array:
    return jnp.take(table, rows, axis=0, mode="clip")


def put_rows(table: Array, rows: Array, values: Array) -> Array:
    # In place where the table is donated.
    return table.at[rows].set(values)


def searchsorted(x: Array, values: Array) -> Array:
    # A GPU waits for every round of a loop; unrolled, the search is one kernel, which takes a CPU three times as long.
    method = compat.SEARCH or ("scan" if jax.default_backend() == "cpu" else "scan_unrolled")
    return jnp.searchsorted(x, values, method=method)


def segment_sum(values: Array, segments: Array, like: Array) -> Array:
    return jax.ops.segment_sum(values, segments, num_segments=like.shape[0])


def scan(step: Any, start: tuple[Array, ...], frames: tuple[Array, ...]) -> tuple[Array, ...]:
    last: tuple[Array, ...] = jax.lax.scan(lambda state, frame: (step(state, frame), None), start, frames)[0]
    return last

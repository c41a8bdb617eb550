"""The primitives that jax.numpy lacks, or that JAX has a better function for."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from multiloss.engine import pairs, xla
from multiloss_jax import compat

Array = Any


def stop_gradient(x: Array) -> Array:
    """x, as a constant."""
    return jax.lax.stop_gradient(x)


def logsumexp(x: Array, *, axis: Any, keepdims: bool = False) -> Array:
    """log(sum(exp(x))) over `axis`, without overflow."""
    return jax.nn.logsumexp(x, axis=axis, keepdims=keepdims)


def log_softmax(x: Array, *, axis: int) -> Array:
    """x - logsumexp(x) over `axis`."""
    return jax.nn.log_softmax(x, axis=axis)


def softmax(x: Array, *, axis: int) -> Array:
    """exp(x) divided by its sum over `axis`."""
    return jax.nn.softmax(x, axis=axis)


def softplus(x: Array) -> Array:
    """log(1 + exp(x)), right in both tails."""
    return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


def expit(x: Array) -> Array:
    """1 / (1 + exp(-x)), right in both tails."""
    return jax.nn.sigmoid(x)


def clamp_min(x: Array, bound: float) -> Array:
    """max(x, bound)."""
    return jnp.maximum(x, bound)


def sign_or_one(x: Array) -> Array:
    """1 with the sign of x."""
    return jnp.copysign(jnp.ones((), x.dtype), jax.lax.stop_gradient(x))


@jax.custom_jvp
def _abs(x: Array) -> Array:
    return jnp.abs(x)


@_abs.defjvp
def _(primals: Any, tangents: Any) -> Any:
    return jnp.abs(primals[0]), tangents[0] * jnp.sign(primals[0])


def abs(x: Array) -> Array:  # noqa: A001
    """The absolute value, whose derivative at 0 is 0; that of jnp.abs is 1."""
    return _abs(x)


@jax.custom_jvp
def zero_times(weight: Array, x: Array) -> Array:
    """weight * x, where a weight of 0 gives 0 against an infinite x."""
    # Replaced behind the product: before it, XLA would keep x in memory; the derivative needs it before.
    return jnp.where((weight == 0) & jnp.isinf(x), jnp.zeros_like(x), weight * x)


@zero_times.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (weight, x), (weight_dot, x_dot) = primals, tangents
    finite = jnp.where((weight == 0) & jnp.isinf(x), jnp.zeros_like(x), x)
    return zero_times(weight, x), weight_dot * finite + weight * x_dot


def mix(x: Array, y: Array, weight: Array) -> Array:
    """(1 - weight) * x + weight * y, where a weight of 0 gives 0 against what is infinite."""
    return zero_times(1 - weight, x) + zero_times(weight, y)


def with_derivative(value: Any, pulled: Any, x: Array) -> Array:
    """value(x), computed anew where it is differentiated: in forward mode, too, which a derivative given lacks."""
    return jax.checkpoint(value)(x)


def pair_squares(x: Array) -> Array:
    """(N, N): the squared Euclidean distance of each two rows of x, (N, D)."""
    if jax.default_backend() != "cpu":
        return pairs.pair_squares(jnp, x)
    return _by_row(lambda x, row: jnp.sum(jnp.square(row - x), axis=-1), x, x)


def pair_gaps(x: Array, factor: Array) -> Array:
    """(N, D): for each row x_i the sum over j of factor_ij (x_i - x_j)."""
    if jax.default_backend() != "cpu":
        return pairs.pair_gaps(jnp, x, factor)
    return _by_row(lambda x, row, weights: jnp.sum(weights[:, None] * (row - x), axis=0), x, x, factor)


def _by_row(function: Any, x: Array, *arrays: Array) -> Array:
    """function(x, row, ...), of each row of the arrays."""
    # A derivative computes its differences anew, row by row: all at once they would be N x N x D.
    one = jax.checkpoint(function)
    return jax.lax.map(lambda rows: one(x, *rows), arrays)


def matmul(x: Array, y: Array) -> Array:
    """The matrix product, in full precision."""
    # JAX's default drops 13 of 24 bits of float32 on a GPU, more on a TPU; a precision that the user has set is kept.
    chosen = jax.config.jax_default_matmul_precision
    return jnp.matmul(x, y, precision=jax.lax.Precision.HIGHEST if chosen is None else None)


@jax.custom_jvp
def linear(x: Array, weight: Array) -> Array:
    """The product of each row of x and each of a weight; infinite entries are 0 to its derivatives."""
    return matmul(x, weight.T)


@linear.defjvp
def _(primals: Any, tangents: Any) -> Any:
    x, weight = (jnp.where(jnp.isinf(a), jnp.zeros_like(a), a) for a in primals)
    return linear(*primals), matmul(tangents[0], weight.T) + matmul(x, tangents[1].T)


def lgamma(x: Array) -> Array:
    """log |Gamma(x)|."""
    return jax.scipy.special.gammaln(x)


def constant(values: Any, like: Array) -> Array:
    """Numbers in the dtype of `like`."""
    return jnp.asarray(values, like.dtype)


def cumulative_sum(x: Array, *, axis: int) -> Array:
    """The running sum."""
    return jnp.cumsum(x, axis=axis)


def log1p(x: Array) -> Array:
    """log(1 + x)."""
    return _log1p(x) if x.dtype == jnp.float64 else jnp.log1p(x)


@jax.custom_jvp
def _log1p(x: Array) -> Array:
    return xla.log1p(jnp, x)


@_log1p.defjvp
def _(primals: Any, tangents: Any) -> Any:
    return _log1p(*primals), tangents[0] / (1 + primals[0])


def class_range(x: Array, axis: int) -> Array:
    """0, 1, ... along `axis`."""
    axis %= x.ndim
    return jax.lax.broadcasted_iota(jnp.int32, [n if i == axis else 1 for i, n in enumerate(x.shape)], axis)


def gather(table: Array, rows: Array) -> Array:
    """The rows of a table."""
    return jnp.take(table, rows, axis=0, mode="clip")


def put_rows(table: Array, rows: Array, values: Array) -> Array:
    """A table with some rows replaced; in place where the table is donated."""
    return table.at[rows].set(values)


def searchsorted(x: Array, values: Array) -> Array:
    """Where each value starts in the sorted x."""
    # A GPU waits for every round of a loop; unrolled, the search is one kernel, which takes a CPU three times as long.
    method = compat.SEARCH or ("scan" if jax.default_backend() == "cpu" else "scan_unrolled")
    return jnp.searchsorted(x, values, method=method)


def segment_sum(values: Array, segments: Array, like: Array) -> Array:
    """Sums of the values of each segment; as many segments as `like` has rows."""
    return jax.ops.segment_sum(values, segments, num_segments=like.shape[0])


def scan(step: Any, start: tuple[Array, ...], frames: tuple[Array, ...]) -> tuple[Array, ...]:
    """The last state of state = step(state, frame), over the first axis of `frames`."""
    last: tuple[Array, ...] = jax.lax.scan(lambda state, frame: (step(state, frame), None), start, frames)[0]
    return last

"""Losses that own their weight, as Flax NNX modules: what `test_learned_weight.py` does not hold for all frameworks."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from multiloss.flax import ArcFace, WithWeight

C, D, N = 5, 4, 12
RNG = np.random.default_rng(0)
LABELS = jnp.asarray(RNG.integers(0, C, N))
FEATURES = jnp.asarray(RNG.normal(size=(N, D)), jnp.float32)


def made(name: str = "arcface", **options: Any) -> Any:
    return WithWeight(name, C, D, rngs=nnx.Rngs(0), **options)


def value_of(loss: Any, y: Any, x: Any) -> Any:
    return loss(y, x).sum()


def test_training_lowers_the_loss() -> None:
    """By the weight and the bias alone; the optimizer finds them as the one kind of `nnx.Param`."""
    loss = made("linear_cross_entropy", bias=True)
    optimizer = nnx.Optimizer(loss, optax.sgd(0.02), wrt=nnx.Param)

    @nnx.jit
    def step(loss: Any, optimizer: Any) -> Any:
        value, gradient = nnx.value_and_grad(value_of)(loss, LABELS, FEATURES)
        optimizer.update(loss, gradient)
        return value

    before = loss.weight[...], loss.bias[...]
    values = [float(step(loss, optimizer)) for _ in range(40)]
    assert values[-1] < values[0] - 0.01 and not (loss.weight[...] == before[0]).any()
    assert values[-1] > float(loss(LABELS, FEATURES)) and not (loss.bias[...] == before[1]).any()


def test_the_first_weight_is_drawn_by_the_stream_params() -> None:
    rngs = nnx.Rngs(params=3)
    one, two = (ArcFace(C, D, rngs=rngs).weight[...] for _ in range(2))
    assert not jnp.array_equal(one, two)
    assert jnp.array_equal(one, ArcFace(C, D, rngs=nnx.Rngs(params=3)).weight[...])


def test_split_and_merge() -> None:
    loss = made("linear_cross_entropy", bias=True)
    expected = loss(LABELS, FEATURES)
    graph, state = nnx.split(loss)
    assert set(nnx.to_pure_dict(state)) == {"weight", "bias"} and len(nnx.state(loss, nnx.Param)) == 2
    assert graph == nnx.split(made("linear_cross_entropy", bias=True))[0]  # static by value: one compilation
    assert nnx.merge(graph, state)(LABELS, FEATURES) == expected
    gradient = jax.jit(jax.grad(lambda state: nnx.merge(graph, state)(LABELS, FEATURES)))(state)
    assert gradient["weight"][...].any()
    other = nnx.clone(loss)
    other.weight[...] *= 2.0
    assert other(LABELS, FEATURES) != expected and loss(LABELS, FEATURES) == expected
    nnx.update(other, state)
    assert other(LABELS, FEATURES) == expected


def test_double_precision() -> None:
    """Features of float64 are computed with in float64; the gradient is the weight's."""
    loss = made()
    value, gradient = nnx.value_and_grad(value_of)(loss, LABELS, FEATURES.astype(jnp.float64))
    assert value.dtype == jnp.float64 and gradient["weight"][...].dtype == jnp.float32
    np.testing.assert_allclose(value, loss(LABELS, FEATURES), rtol=1e-5)


def test_labels_that_cannot_be_read() -> None:
    values = nnx.jit(lambda loss, y: loss(y, FEATURES))(made(reduction="none"), LABELS.at[2].set(C))
    np.testing.assert_array_equal(np.isnan(values), np.arange(N) == 2)

"""Optax's losses of embeddings: values and gradients in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import multiloss

X = jnp.asarray(np.random.default_rng(0).normal(size=(7, 4)))
A, P, N = jnp.asarray(np.random.default_rng(1).normal(size=(3, 5, 4)))
LABELS = jnp.asarray([0, 1, 0, 1, 2, 0, 1])


def close(ours, peer):
    np.testing.assert_allclose(ours[0], peer[0], rtol=1e-10)
    np.testing.assert_allclose(np.asarray(ours[1]), np.asarray(peer[1]), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_ntxent(temperature):
    loss = multiloss.get("ntxent", backend="jax", temperature=temperature)
    peer = jax.value_and_grad(lambda x: optax.losses.ntxent(x, LABELS, temperature=temperature))
    close(loss.value_and_grad(LABELS, X), peer(X))


@pytest.mark.parametrize("epsilon", [1e-6, 0.25])
def test_triplet_margin(epsilon):
    loss = multiloss.get("triplet_margin", backend="jax", epsilon=epsilon, epsilon_in="root", margin=0.7)

    def peer(a, p, n):
        return jnp.mean(optax.losses.triplet_margin_loss(a, p, n, margin=0.7, eps=epsilon))

    ours = loss.value_and_grad(A, P, N, wrt=("anchor", "positive", "negative"))
    close(ours, jax.value_and_grad(peer, (0, 1, 2))(A, P, N))


def test_similar_pairs():
    loss = multiloss.get("cosine_embedding", backend="jax")
    ours = loss.value_and_grad(jnp.ones(5), A, P, wrt=("x1", "x2"))
    close(ours, jax.value_and_grad(lambda a, p: jnp.mean(optax.losses.cosine_distance(a, p)), (0, 1))(A, P))

"""Optax's losses, where it has the same: values and gradients in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import multiloss

RNG = np.random.default_rng(0)
ONE_HOT = np.eye(3)[RNG.integers(0, 3, (2, 4, 5))]
LOGITS = RNG.normal(size=(2, 4, 5, 3))
CHANCES = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)


def same(loss, peer, t, p):
    """Of `peer(p)`, which gives the mean."""
    value, gradient = loss.value_and_grad(jnp.asarray(t), jnp.asarray(p))
    wanted, slope = jax.value_and_grad(peer)(jnp.asarray(p))
    np.testing.assert_allclose(value, wanted, rtol=1e-10)
    np.testing.assert_allclose(gradient, slope, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("smooth", [0.0, 1.0])
def test_dice(smooth):
    # Optax has its `smooth` on the intersection, half of the fraction's terms; axis None is space there. It insists on
    # probabilities that sum to 1, so the derivative is by the logits.
    loss = multiloss.get("dice", backend="jax", axis=(1, 2), smooth=2 * smooth)
    z, t = jnp.asarray(LOGITS), jnp.asarray(ONE_HOT)
    ours = jax.value_and_grad(lambda z: loss(t, jax.nn.softmax(z)))(z)
    peer = jax.value_and_grad(lambda z: jnp.mean(optax.losses.dice_loss(z, t, smooth=smooth)))(z)
    np.testing.assert_allclose(ours[0], peer[0], rtol=1e-10)
    np.testing.assert_allclose(ours[1], peer[1], rtol=1e-10, atol=1e-12)


def test_tversky():
    loss = multiloss.get("tversky", backend="jax", axis=(1, 2), alpha=0.3, beta=0.9)
    z, t = jnp.asarray(LOGITS), jnp.asarray(ONE_HOT)
    ours = jax.value_and_grad(lambda z: loss(t, jax.nn.softmax(z)))(z)
    peer = jax.value_and_grad(lambda z: jnp.mean(optax.losses.dice_loss(z, t, smooth=0.0, alpha=0.3, beta=0.9)))(z)
    np.testing.assert_allclose(ours[0], peer[0], rtol=1e-10)
    np.testing.assert_allclose(ours[1], peer[1], rtol=1e-10, atol=1e-12)


def test_ranking_softmax():
    t, z = RNG.integers(0, 3, (4, 6)).astype(np.float64), RNG.normal(size=(4, 6))
    same(
        multiloss.get("ranking_softmax", backend="jax"),
        lambda z: optax.losses.ranking_softmax_loss(z, jnp.asarray(t)),
        t,
        z,
    )
    same(
        multiloss.get("listnet", backend="jax"),
        lambda z: optax.losses.ranking_softmax_loss(z, jax.nn.softmax(jnp.asarray(t))),
        t,
        z,
    )


def test_ranking_softmax_of_a_part_of_a_list():
    """Optax's `where` is -inf among the scores."""
    t, z = np.array([[1.0, 2.0, 0.0]]), np.array([[0.5, -0.5, 7.0]])
    where = jnp.asarray([[True, True, False]])
    value = multiloss.get("ranking_softmax", backend="jax")(t, np.where(where, z, -np.inf))
    np.testing.assert_allclose(
        value, optax.losses.ranking_softmax_loss(jnp.asarray(z), jnp.asarray(t), where=where), rtol=1e-10
    )

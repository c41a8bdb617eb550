"""Losses that Optax has, too, against Optax's own, in double precision."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax.losses as optax
import pytest

import multiloss

RNG = np.random.default_rng(3)
Z = jnp.asarray(2 * RNG.normal(size=(5, 4)))
LABELS = jnp.asarray(RNG.integers(0, 4, size=5))
BITS = jnp.asarray(RNG.integers(0, 2, size=(5, 4)).astype(np.float64))
SOFT = jnp.asarray(RNG.dirichlet(np.ones(4), size=5))
SIGNS = 2 * BITS - 1
LOGITS = {"from_logits": True}

PEERS: dict[str, tuple[str, dict[str, Any], Any, Any]] = {
    "binary focal": ("binary_focal_crossentropy", {**LOGITS, "gamma": 1.5, "alpha": 0.25}, BITS,
                     lambda z: optax.sigmoid_focal_loss(z, BITS, alpha=0.25, gamma=1.5)),
    "binary focal, soft": ("binary_focal_crossentropy", LOGITS, SOFT, lambda z: optax.sigmoid_focal_loss(z, SOFT)),
    "poly": ("poly_cross_entropy", LOGITS, SOFT, lambda z: optax.poly_loss_cross_entropy(z, SOFT)),
    "hinge": ("hinge", {}, SIGNS, lambda z: optax.hinge_loss(z, SIGNS)),
    "perceptron": ("perceptron", {}, SIGNS, lambda z: optax.perceptron_loss(z, SIGNS)),
    "multiclass hinge": ("multiclass_hinge", {}, LABELS, lambda z: optax.multiclass_hinge_loss(z, LABELS)),
    "multiclass perceptron": ("multiclass_perceptron", {}, LABELS,
                              lambda z: optax.multiclass_perceptron_loss(z, LABELS)),
    "sparsemax": ("sparsemax", {}, LABELS, lambda z: optax.multiclass_sparsemax_loss(z, LABELS)),
    "binary sparsemax": ("binary_sparsemax", {}, BITS, lambda z: optax.sparsemax_loss(z, BITS.astype(bool))),
}  # fmt: skip


@pytest.mark.parametrize("what", PEERS)
def test_classification(what: str) -> None:
    """Value and gradient of the mean over everything."""
    name, options, y_true, peer = PEERS[what]
    loss = multiloss.get(name, backend="jax", **options)
    value, found = jax.value_and_grad(lambda z: loss(y_true, z))(Z)
    wanted, slope = jax.value_and_grad(lambda z: jnp.mean(peer(z)))(Z)
    np.testing.assert_allclose(value, wanted, rtol=1e-10)
    np.testing.assert_allclose(found, slope, rtol=1e-10, atol=1e-12)


def test_smooth_labels() -> None:
    """Optax's, of floats."""
    np.testing.assert_allclose(multiloss.smooth_labels(SOFT, 0.2), optax.smooth_labels(SOFT, 0.2), rtol=1e-14)

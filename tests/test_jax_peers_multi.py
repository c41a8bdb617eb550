"""Optax's losses of the same meaning, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import multiloss


def test_ctc() -> None:
    """Optax takes (logits, logit paddings, labels, label paddings), 1 where there is nothing."""
    rng = np.random.default_rng(0)
    z, labels = jnp.asarray(rng.normal(size=(3, 8, 5))), jnp.asarray([[1, 2, 2], [3, 3, 1], [4, 1, 2]])
    label_lengths, input_lengths = jnp.asarray([3, 2, 0]), jnp.asarray([8, 4, 5])
    no_frame = (jnp.arange(8) >= input_lengths[:, None]).astype(z.dtype)
    no_label = (jnp.arange(3) >= label_lengths[:, None]).astype(z.dtype)
    ours = multiloss.get("ctc", "jax", reduction="none")
    np.testing.assert_allclose(
        ours(labels, z, label_lengths, input_lengths),
        optax.ctc_loss(z, no_frame, labels, no_label),
        rtol=1e-10,
    )
    np.testing.assert_allclose(
        jax.grad(lambda x: ours(labels, x, label_lengths, input_lengths).sum())(z),
        jax.grad(lambda x: optax.ctc_loss(x, no_frame, labels, no_label).sum())(z),
        rtol=1e-10,
        atol=1e-12,
    )

"""Optax' own losses: the same numbers and gradients, in float64."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import multiloss

RNG = np.random.default_rng(11)
T, P = RNG.normal(size=(5, 4)), 2 * RNG.normal(size=(5, 4))
A, B = (np.exp(x) / np.exp(x).sum(-1, keepdims=True) for x in (T, P))
M = np.exp(T)

Peer = Callable[..., jax.Array]
PEERS: list[tuple[str, dict[str, Any], Any, Any, Peer]] = [
    ("cosine_similarity", {}, T, P, lambda p, t: -optax.losses.cosine_similarity(p, t)),
    ("cosine_distance", {}, T, P, optax.losses.cosine_distance),
    ("kl_divergence", {"log_input": True}, A, np.log(B), optax.losses.kl_divergence),
    (
        "kl_divergence",
        {"log_input": True, "log_target": True},
        np.log(A),
        np.log(B),
        optax.losses.kl_divergence_with_log_targets,
    ),
    ("generalized_kl_divergence", {"log_input": True}, M, P, optax.losses.generalized_kl_divergence),
]
IDS = [f"{name}-{i}" for i, (name, *_) in enumerate(PEERS)]


@pytest.mark.parametrize(("name", "options", "t", "p", "peer"), PEERS, ids=IDS)
def test_optax_has_the_same(name: str, options: dict[str, Any], t: Any, p: Any, peer: Peer) -> None:
    t, p = jnp.asarray(t), jnp.asarray(p)
    loss = multiloss.get(name, backend="jax", reduction="none", **options)
    np.testing.assert_allclose(loss(t, p), peer(p, t), rtol=1e-10, atol=1e-10)
    ours, theirs = jax.grad(lambda x: loss(t, x).sum())(p), jax.grad(lambda x: peer(x, t).sum())(p)
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)

"""Keras' own losses: the same numbers. Its functions are called, which keep float64, and away from its floors."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import multiloss
from helpers.arrays import to_native, to_numpy

RNG = np.random.default_rng(11)
T, P = RNG.normal(size=(5, 4)), 2 * RNG.normal(size=(5, 4))
COUNTS, RATES = RNG.poisson(3.0, (5, 4)).astype(np.float64), RNG.uniform(0.2, 6.0, (5, 4))
A, B = (np.exp(x) / np.exp(x).sum(-1, keepdims=True) for x in (T, P))

PEERS: list[tuple[str, dict[str, Any], Any, Any, Callable[..., Any]]] = [
    ("kl_divergence", {}, A, B, keras.losses.kl_divergence),
]
if keras.backend.backend() != "torch":  # where Keras computes it in single precision
    PEERS.append(("cosine_similarity", {}, T, P, keras.losses.cosine_similarity))
if keras.backend.backend() == "tensorflow":  # elsewhere Keras' means round float64 through float32
    PEERS.append(("poisson", {}, COUNTS, RATES, keras.losses.poisson))
IDS = [f"{name}-{i}" for i, (name, *_) in enumerate(PEERS)]


@pytest.mark.parametrize(("name", "options", "t", "p", "peer"), PEERS, ids=IDS)
def test_keras_has_the_same(name: str, options: dict[str, Any], t: Any, p: Any, peer: Any) -> None:
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        loss = multiloss.get(name, backend="keras", reduction="none", **options)
        t, p = to_native("keras", t), to_native("keras", p)
        np.testing.assert_allclose(to_numpy(loss(t, p)), to_numpy(peer(t, p)), rtol=1e-10, atol=1e-10)
    finally:
        keras.config.set_floatx(before)

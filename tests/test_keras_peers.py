"""Keras's own losses, where it has the same: values in float64."""

import keras
import numpy as np
import pytest

import multiloss
from helpers.arrays import to_native, to_numpy

RNG = np.random.default_rng(0)
MASKS = (RNG.random((2, 4, 5, 3)) < 0.4).astype(np.float64)
CHANCES = 0.05 + 0.9 * RNG.random((2, 4, 5, 3))


@pytest.fixture
def double():
    """Double precision, and no epsilon in denominators (Keras adds one without telling)."""
    before = keras.config.floatx(), keras.config.epsilon()
    keras.config.set_floatx("float64")
    keras.config.set_epsilon(0.0)
    yield
    keras.config.set_floatx(before[0])
    keras.config.set_epsilon(before[1])


def same(name, peer, options, axis):
    loss = multiloss.get(name, backend="keras", axis=axis, reduction="none", **options)
    t, p = to_native("keras", MASKS), to_native("keras", CHANCES)
    np.testing.assert_allclose(to_numpy(loss(t, p)), to_numpy(peer(t, p)), rtol=1e-10)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("axis", [(1, 2), None, (1, 2, 3)])
def test_dice(axis):
    same("dice", lambda t, p: keras.losses.dice(t, p, axis=axis), {}, axis)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("axis", [(1, 2), None])
def test_tversky(axis):
    # Keras has alpha and beta the other way round.
    def peer(t, p):
        return keras.losses.tversky(t, p, alpha=0.9, beta=0.3, axis=axis)

    same("tversky", peer, {"alpha": 0.3, "beta": 0.9}, axis)

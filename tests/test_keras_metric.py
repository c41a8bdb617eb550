"""Keras's own losses of embeddings, where it has the same."""

import keras
import numpy as np

import multiloss
from helpers.arrays import native_grad, to_native, to_numpy

X = np.random.default_rng(0).normal(size=(7, 4))
LABELS = np.array([0, 1, 0, 1, 2, 0, 1])


def test_circle():
    """Keras's takes rows of unit length, and its mean is over the values above 0."""
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        loss = multiloss.get("circle", backend="keras", gamma=8.0, margin=0.3, detach=False, reduction="none")
        labels = to_native("keras", LABELS)
        x = to_native("keras", X)

        def peer(x):
            z = x / keras.ops.sqrt(keras.ops.sum(x * x, axis=-1, keepdims=True))
            return keras.losses.circle(labels, z, gamma=8.0, margin=0.3)

        wanted = to_numpy(peer(x))
        # On torch Keras computes it in single precision, whatever it is given.
        bound = 1e-10 if wanted.dtype == np.float64 else 1e-6
        np.testing.assert_allclose(to_numpy(loss(labels, x)), wanted, rtol=bound)
        ours, slope = (native_grad("keras", f, x) for f in (lambda x: loss(labels, x), peer))
        np.testing.assert_allclose(ours, slope, rtol=0.0, atol=bound * np.abs(slope).max())
    finally:
        keras.config.set_floatx(before)

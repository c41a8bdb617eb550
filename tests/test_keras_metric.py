"""Keras's own losses of embeddings, where it has the same."""

import keras
import numpy as np

import multiloss
from arrays import native_grad, to_native, to_numpy

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
            return keras.losses.Circle(gamma=8.0, margin=0.3, reduction="none")(labels, z)

        np.testing.assert_allclose(to_numpy(loss(labels, x)), to_numpy(peer(x)), rtol=1e-10)
        ours, wanted = (native_grad("keras", f, x) for f in (lambda x: loss(labels, x), peer))
        np.testing.assert_allclose(ours, wanted, rtol=1e-9, atol=1e-12)
    finally:
        keras.config.set_floatx(before)

"""Activation checkpointing where rows cannot be kept for the recomputation: refused before anything has moved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import framework, to_native, to_numpy

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

C, D = 4, 2
LABELS = np.array([0, 2, 2, 1])
FEATURES = np.array([[1, 2], [3, -1], [1, 0], [0.5, 4]], np.float32)


def make(backend: str) -> Any:
    return multiloss.get("center", backend=backend, num_classes=C, feature_dim=D)


@pytest.mark.graph
@pytest.mark.only("tensorflow")
@pytest.mark.parametrize("how", ["call", "update", "value_and_grad"])
@pytest.mark.parametrize("graph", ["eager", "around", "inside"])
def test_tensorflow_recompute_grad(backend: str, graph: str, how: str) -> None:
    import tensorflow as tf

    center, x = make("tensorflow"), tf.constant(FEATURES)
    labels = tf.constant(LABELS)

    def part(x: Any) -> Any:
        x = tf.tanh(x)
        if how == "update":
            center.update(labels, x)
        return {"call": center, "update": lambda _, x: x, "value_and_grad": center.value_and_grad}[how](labels, x)

    function = tf.recompute_grad(tf.function(part) if graph == "inside" else part)

    def gradient(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = function(x)
        return tape.gradient(value, x)

    with pytest.raises(RuntimeError, match="tf.recompute_grad would compute the center loss again"):
        (tf.function(gradient) if graph == "around" else gradient)(x)
    assert not to_numpy(center.centers).any()


@pytest.mark.only("tensorflow")
def test_tensorflow_recompute_grad_of_what_moves_nothing(backend: str) -> None:
    import tensorflow as tf

    center, x = make("tensorflow"), tf.constant(FEATURES)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = tf.recompute_grad(lambda x: center(tf.constant(LABELS), x, training=False))(x)
    np.testing.assert_allclose(tape.gradient(value, x), FEATURES / 4, rtol=1e-6)
    assert not to_numpy(center.centers).any()


@pytest.mark.graph
@pytest.mark.only("tensorflow")
def test_what_tensorflow_does_not_show(backend: str) -> None:
    """A function that was traced before runs twice without any Python, and moves twice: as the guide says."""
    import tensorflow as tf

    center, twice, x = make("tensorflow"), make("tensorflow"), tf.constant(FEATURES)
    function = tf.function(lambda x: center(tf.constant(LABELS), x))
    function(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = tf.recompute_grad(function)(x)
    tape.gradient(value, x)
    for _ in range(3):
        twice(tf.constant(LABELS), x)
    np.testing.assert_allclose(to_numpy(center.centers), to_numpy(twice.centers), rtol=1e-6)


@pytest.mark.only("keras")
def test_keras_remat(backend: str) -> None:
    """What would move the layer's centers twice is refused."""
    import keras

    center = make("keras")
    labels, features = to_native(backend, LABELS), keras.Variable(FEATURES)
    if framework(backend) != "jax":  # whose transformations take no call that changes a variable
        with pytest.raises(RuntimeError, match="would compute the center loss again, and move the centers twice"):
            keras.remat(lambda x: center(labels, x))(features.value)
    assert not to_numpy(center.centers).any()
    value = keras.remat(lambda x: make("keras")(labels, x, training=False))(features.value)
    np.testing.assert_allclose(to_numpy(value), 0.5 * (FEATURES**2).sum(1).mean(), rtol=1e-6)


@pytest.mark.only("keras")
@pytest.mark.parametrize("mode", ["full", "list_of_layers"])
def test_keras_remat_scope(backend: str, mode: str) -> None:
    """The layer, and `fit`, under the scope: the centers and weights of the run without."""
    import contextlib

    import keras

    import multiloss.keras

    scope = keras.RematScope(mode=mode, layer_names=["center", "features"])
    with scope:
        layer = multiloss.keras.CenterLoss(num_classes=C, feature_dim=D, name="center")
        labels, features = to_native(backend, LABELS), keras.Variable(FEATURES)
        layer(labels, features.value)
    plain = make("keras")
    plain(labels, features.value)
    np.testing.assert_array_equal(to_numpy(layer.centers), to_numpy(plain.centers))

    def fitted(scope: Any) -> list[Any]:
        keras.utils.set_random_seed(0)
        with scope:
            x = keras.Input((D,))
            features = keras.layers.Dense(D, name="features", activation="tanh")(x)
            net = keras.Model(x, keras.layers.Dense(C)(features))
            model = multiloss.keras.WithCenterLoss(net, features="features", num_classes=C, weight=0.5)
            model.compile("sgd", loss=multiloss.get("scce", backend="keras", from_logits=True))
            model.fit(FEATURES, LABELS, batch_size=2, epochs=2, shuffle=False, verbose=0)
        return [to_numpy(w.value) for w in model.weights]

    if framework(backend) != "tensorflow":  # where Keras' own layers fail under the scope, in a graph
        for got, wanted in zip(fitted(scope), fitted(contextlib.nullcontext()), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)

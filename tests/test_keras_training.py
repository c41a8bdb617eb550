"""Center loss in Keras' own training loop, on each of Keras' backends."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import multiloss
import multiloss.keras
from arrays import framework, to_numpy

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 4)).astype(np.float32)
Y = RNG.integers(0, 3, 24)


def wrapped(**compiled: Any) -> keras.Model:
    keras.utils.set_random_seed(0)
    x = keras.Input((4,))
    features = keras.layers.Dense(2, name="features")(x)
    net = keras.Model(x, keras.layers.Dense(3)(features))
    model = multiloss.keras.WithCenterLoss(net, features="features", num_classes=3, weight=0.5)
    model.compile("sgd", loss=multiloss.get("scce", backend="keras", from_logits=True), **compiled)
    return model


def trained(**compiled: Any) -> tuple[Any, Any]:
    """Centers and a weight after two epochs of four steps."""
    model = wrapped(**compiled)
    model.fit(X, Y, batch_size=6, epochs=2, shuffle=False, verbose=0)
    return to_numpy(model.centers).copy(), to_numpy(model.model.layers[1].kernel).copy()


def test_every_loop_trains_the_same(backend: str) -> None:
    """Eagerly, compiled, by XLA, and several steps in one call: one step of the centers for each batch."""
    expected = trained(run_eagerly=True)
    assert np.abs(expected[0]).min() > 1e-3
    ways: list[dict[str, Any]] = [{"jit_compile": False}]
    if framework(backend) != "torch":  # where Keras has neither XLA nor several steps in one call
        ways += [{}, {"steps_per_execution": 3}, {"jit_compile": True}, {"jit_compile": True, "steps_per_execution": 4}]
    for compiled in ways:
        for got, wanted in zip(trained(**compiled), expected, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6, err_msg=str(compiled))


def test_fit_copies_no_table(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of a million centers takes as long as thousands of steps."""

    def copied(_: Any) -> Any:
        raise AssertionError("the table was copied")

    monkeypatch.setattr(multiloss.keras.CenterLoss, "centers", property(copied))
    model = wrapped()
    for _ in range(2):
        model.fit(X, Y, batch_size=6, verbose=0)
        model.evaluate(X, Y, batch_size=6, verbose=0)
    assert np.abs(model.center._host_centers()).min() > 1e-3


def test_labels_that_float32_cannot_hold(backend: str) -> None:
    """Two classes that are one number in float32 stay two: labels are never cast to it."""
    classes = 2**24 + 2
    assert np.float32(classes - 1) == np.float32(classes - 2)
    x = keras.Input((1,))
    features = keras.layers.Dense(1, kernel_initializer="ones", name="features")(x)
    model = multiloss.keras.WithCenterLoss(
        keras.Model(x, keras.layers.Dense(1)(features)), features="features", num_classes=classes, alpha=1.0
    )
    model.compile(keras.optimizers.SGD(0.0), loss=lambda y, p: keras.ops.mean(p))
    labels = np.array([classes - 1, classes - 1, 0])
    model.fit(np.array([[3.0], [3.0], [5.0]], np.float32), labels, batch_size=3, verbose=0)
    moved = to_numpy(model.centers)
    assert moved[[0, classes - 2, classes - 1], 0].tolist() == pytest.approx([2.5, 0.0, 2.0])
    assert np.count_nonzero(moved) == 2


def test_the_wrapper_around_a_sequential_model(backend: str, tmp_path: Any) -> None:
    """As around a functional one; one without an input has no layer outputs yet, and says what it needs."""
    layers = [keras.layers.Dense(2, name="features"), keras.layers.Dense(3)]
    with pytest.raises(TypeError, match=r"Sequential that starts with keras\.Input"):
        multiloss.keras.WithCenterLoss(keras.Sequential(layers), features="features", num_classes=3)
    net = keras.Sequential([keras.Input((4,)), *layers])
    model = multiloss.keras.WithCenterLoss(net, features="features", num_classes=3)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32), np.arange(12) % 3
    model.fit(x, y, verbose=0)
    moved = keras.ops.convert_to_numpy(model.centers)
    assert np.abs(moved).min() > 0
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(again.centers), moved)
    np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-6)


def test_boolean_one_hot_targets(backend: str) -> None:
    from multiloss_keras.center import class_labels

    one_hot = keras.ops.convert_to_tensor(np.eye(3, dtype=bool)[[2, 0]])
    assert to_numpy(class_labels(one_hot, 3)).tolist() == [2, 0]

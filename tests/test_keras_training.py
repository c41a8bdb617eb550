"""Center loss in Keras' own training loop, on each of Keras' backends."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import multiloss
import multiloss.keras
import reference
from helpers.arrays import framework, to_numpy

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


@pytest.mark.parametrize("way", ["eagerly", "compiled", "by XLA"])
def test_the_weight_is_read_at_each_step(backend: str, way: str) -> None:
    """A callback that sets it in the middle of an epoch, by the model that it holds itself."""
    ways = {"eagerly": {"run_eagerly": True}, "compiled": {"jit_compile": False}, "by XLA": {"jit_compile": True}}
    if way == "by XLA" and framework(backend) == "torch":
        ways[way] = {}  # Keras on torch compiles with something else
    model = wrapped(**ways[way])
    model.weight = 0.0
    model.optimizer.learning_rate = 0.0
    base = model.evaluate(X, Y, batch_size=24, verbose=0)
    weights, seen = iter([10.0, 20.0, 30.0, 40.0]), []

    class Sets(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            model.weight = next(weights)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append((logs["loss"] - base, model.weight))

    model.fit(
        np.tile(X, (2, 1)), np.tile(Y, 2), sample_weight=np.ones(48), batch_size=24, epochs=2, shuffle=False, verbose=0,
        callbacks=[Sets()],
    )  # fmt: skip
    model.weight = 1.0
    parts = [mean for mean, _ in seen]  # running means of each epoch
    assert [weight for _, weight in seen] == [10.0, 20.0, 30.0, 40.0]
    each = [parts[0] / 10, (2 * parts[1] - parts[0]) / 20, parts[2] / 30, (2 * parts[3] - parts[2]) / 40]
    features = to_numpy(model.model.get_layer("features")(X))
    table, expected = np.zeros((3, 2)), []
    for _ in range(4):
        values, table = reference.center_step(table, Y, features, 0.5)
        expected.append(values.mean())
    assert each == pytest.approx(expected, rel=1e-4)


def test_the_weight_that_was_set(backend: str, tmp_path: Any) -> None:
    """The configuration holds the number itself, unrounded; weights that are saved do not hold it."""
    model = wrapped()
    model.weight = 0.1
    assert model.weight == model.get_config()["weight"] == 0.1
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.weight == 0.1
    model.save_weights(tmp_path / "model.weights.h5")
    fresh = wrapped()
    fresh.load_weights(tmp_path / "model.weights.h5")
    assert fresh.weight == 0.5
    again.set_weights(fresh.get_weights())
    assert again.weight == 0.5
    assert len(model.trainable_weights) == 4
    for wrong, error, said in (
        ("much", TypeError, "weight must be a number, got 'much'"),
        (float("nan"), ValueError, "weight must be finite, got nan"),
        (keras.Variable(1.0), TypeError, r"weight must be a number, got a variable, .* set model\.weight instead"),
    ):
        with pytest.raises(error, match=said):
            model.weight = wrong
        assert model.weight == 0.1


if keras.backend.backend() == "torch":  # elsewhere the values in `fit` cannot be read

    @pytest.mark.parametrize("name", ["scce", "lovasz_softmax"])
    def test_what_keras_asks_first_is_no_first_call(backend: str, name: str) -> None:
        """Keras calls the loss with tensors without values before `fit`; then the scores are refused."""
        inputs = keras.Input((2,))
        model = keras.Model(inputs, keras.layers.Activation("linear")(inputs))
        model.compile("sgd", loss=multiloss.get(name, backend="keras"))
        with pytest.raises(ValueError, match="y_pred must hold probabilities"):
            model.fit(np.array([[3.0, -1.0], [2.0, 1.0]]), np.array([0, 1]), verbose=0)


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
    from multiloss_keras.targets import class_labels

    one_hot = keras.ops.convert_to_tensor(np.eye(3, dtype=bool)[[2, 0]])
    assert to_numpy(class_labels(one_hot, 3)).tolist() == [2, 0]

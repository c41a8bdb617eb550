"""Center loss in Keras' training loops: the wrapper model and the layer, on each of Keras' backends."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import multiloss
import multiloss.keras
import reference
from helpers.arrays import framework, to_numpy
from helpers.keras_models import BATCH, ONE_HOT, X, Y, centers, fit, network, with_center

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
KIND = framework("keras")


# --- the wrapper model


def test_fit_moves_the_centers_and_adds_the_loss() -> None:
    model = with_center(weight=0.25, alpha=0.5)
    features = to_numpy(model.model.get_layer("features")(X))
    values, moved = reference.center_step(np.zeros((3, 2)), Y, features, 0.5)
    plain = float(to_numpy(model.loss(Y, model.model(X))))
    assert fit(model, X, Y) == pytest.approx(plain + 0.25 * values.mean(), rel=1e-4)
    np.testing.assert_allclose(centers(model), moved, rtol=1e-4, atol=1e-6)


def test_evaluate_and_predict_move_nothing() -> None:
    model = with_center()
    fit(model, X, Y)
    before = centers(model)
    assert before.any()
    model.evaluate(X, Y, verbose=0)
    model.predict(X, verbose=0)
    model.test_on_batch(X, Y)
    model(X)
    np.testing.assert_array_equal(centers(model), before)
    fit(model, X, Y, validation_data=(X[:5], Y[:5]))
    assert not np.array_equal(centers(model), before)


def test_every_loop_trains_the_same() -> None:
    """Eagerly, compiled, by XLA, and several steps in one call: one step of the centers for each batch."""

    def trained(**compiled: Any) -> tuple[Any, Any]:
        model = with_center(compiled=compiled, weight=0.5)
        fit(model, X, Y, batch_size=6, epochs=2)
        return centers(model), to_numpy(model.model.layers[1].kernel).copy()

    expected = trained(run_eagerly=True)
    assert np.abs(expected[0]).min() > 1e-3
    ways: list[dict[str, Any]] = [{"jit_compile": False}]
    if KIND != "torch":  # where Keras has neither XLA nor several steps in one call
        ways += [{}, {"steps_per_execution": 3}, {"jit_compile": True}, {"jit_compile": True, "steps_per_execution": 4}]
    for compiled in ways:
        for got, wanted in zip(trained(**compiled), expected, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6, err_msg=str(compiled))


WAYS: dict[str, dict[str, Any]] = {
    "eagerly": {"run_eagerly": True},
    "compiled": {"jit_compile": False},
    "by XLA": {} if KIND == "torch" else {"jit_compile": True},  # Keras on torch compiles with something else
}


@pytest.mark.parametrize("way", WAYS)
def test_the_weight_is_read_at_each_step(way: str) -> None:
    """A callback that sets it in the middle of an epoch, by the model that it holds itself."""
    model = with_center(compiled=WAYS[way], weight=0.0)
    model.optimizer.learning_rate = 0.0
    base = model.evaluate(X, Y, batch_size=BATCH, verbose=0)
    weights, seen = [10.0, 20.0, 30.0, 40.0], []

    class Sets(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            model.weight = weights[len(seen)]

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(logs["loss"] - base)
            assert model.weight == weights[len(seen) - 1]

    fit(model, np.tile(X, (2, 1)), np.tile(Y, 2), sample_weight=np.ones(48), epochs=2, callbacks=[Sets()])
    # running means of each epoch
    each = [seen[0] / 10, (2 * seen[1] - seen[0]) / 20, seen[2] / 30, (2 * seen[3] - seen[2]) / 40]
    features = to_numpy(model.model.get_layer("features")(X))
    table, expected = np.zeros((3, 2)), []
    for _ in range(4):
        values, table = reference.center_step(table, Y, features, 0.5)
        expected.append(values.mean())
    assert each == pytest.approx(expected, rel=1e-4)


def test_the_weight_that_was_set(tmp_path: Path) -> None:
    """The configuration holds the number itself, unrounded; weights that are saved do not hold it."""
    model = with_center(weight=0.5)
    model.weight = 0.1
    assert model.weight == model.get_config()["weight"] == 0.1
    model.save_weights(tmp_path / "model.weights.h5")
    fresh = with_center(weight=0.5)
    fresh.load_weights(tmp_path / "model.weights.h5")
    assert fresh.weight == 0.5 and len(model.trainable_weights) == 4
    for wrong, error, said in (
        ("much", TypeError, "weight must be a number, got 'much'"),
        (float("nan"), ValueError, "weight must be finite, got nan"),
        (keras.Variable(1.0), TypeError, r"weight must be a number, got a variable, .* set model\.weight instead"),
    ):
        with pytest.raises(error, match=said):
            model.weight = wrong
        assert model.weight == 0.1
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.weight == 0.1
    again.set_weights(fresh.get_weights())
    assert again.weight == 0.5


def test_save_and_load(tmp_path: Path) -> None:
    """Weights, centers, options and the compiled loss; training goes on."""
    model = with_center(weight=0.25, alpha=0.75, update="auto", reduction="sum")
    fit(model, X, Y)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(centers(again), centers(model))
    np.testing.assert_allclose(again.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-6)
    assert (again.weight, again.center.options.alpha, again.center.options.reduction) == (0.25, 0.75, "sum")
    assert fit(again, X, Y) == pytest.approx(fit(model, X, Y), rel=1e-4)
    np.testing.assert_allclose(centers(again), centers(model), rtol=1e-4, atol=1e-6)
    model.save_weights(tmp_path / "model.weights.h5")
    fresh = with_center()
    fresh.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(centers(fresh), centers(model))


def test_targets_of_the_wrapper() -> None:
    """Labels (N,), (N, 1) and one-hot name the same classes, also with weights, which scale the value only; soft
    targets are refused or, unread, move nothing."""
    results = []
    for y, loss, weights in (
        (Y, "scce", None), (Y[:, None], "scce", None), (ONE_HOT, "cce", None), (Y, "scce", np.linspace(0, 2, BATCH)),
    ):  # fmt: skip
        model = with_center()
        model.compile("sgd", loss=multiloss.get(loss, backend="keras", from_logits=True))
        fit(model, X, y, sample_weight=weights)
        results.append(centers(model))
    np.testing.assert_allclose(results[1:], [results[0]] * 3, rtol=1e-4, atol=1e-6)
    model, eager = with_center(), KIND != "jax"
    model.compile("sgd", loss=multiloss.get("cce", backend="keras", from_logits=True), run_eagerly=eager)
    soft = np.full((BATCH, 3), 1 / 3, np.float32)
    if eager:
        with pytest.raises(ValueError, match="must be labels or one-hot, got soft targets"):
            fit(model, X, soft)
    else:
        assert np.isnan(fit(model, X, soft))
    assert not centers(model).any()


def test_what_cannot_be_wrapped() -> None:
    with pytest.raises(ValueError, match="features must name a layer of the model .*features.*, got 'fetures'"):
        multiloss.keras.WithCenterLoss(network(), features="fetures", num_classes=3)
    with pytest.raises(TypeError, match="model must be a functional"):
        multiloss.keras.WithCenterLoss("model", features="features", num_classes=3)  # type: ignore[arg-type]


def test_the_wrapper_around_a_sequential_model() -> None:
    """As around a functional one; one without an input has no layer outputs yet, and says what it needs."""
    layers = [keras.layers.Dense(2, name="features"), keras.layers.Dense(3)]
    with pytest.raises(TypeError, match=r"Sequential that starts with keras\.Input"):
        with_center(keras.Sequential(layers))
    model = with_center(keras.Sequential([keras.Input((4,)), *layers]))
    fit(model, X, Y)
    assert np.abs(centers(model)).min() > 0


OWN: dict[str, dict[str, Any]] = {
    "contrastive_center": {"delta": 2.0},
    "triplet_center": {"margin": 3.0},
    "island": {"weight": 0.2},
    "git": {"weight": 0.2},
    "ring": {"weight": 0.2},  # whose radius starts with the first batch
}


@pytest.mark.parametrize("loss", OWN)
def test_the_family_in_the_wrapper(loss: str, tmp_path: Path) -> None:
    """`weight` is lambda; the weight that some of them have themselves is one of `loss_options`. Saved and loaded."""
    model = with_center(weight=0.5, loss=loss, loss_options=OWN[loss])
    shape = {} if loss == "ring" else {"num_classes": 3, "feature_dim": 2}
    alone = multiloss.get(loss, backend="keras", **shape, **OWN[loss])
    features = model.model.get_layer("features")(X)
    for y, name in ((Y, "scce"), (ONE_HOT, "cce")):
        base = multiloss.get(name, backend="keras", from_logits=True)
        model.compile(keras.optimizers.SGD(0.0), loss=base)
        expected = to_numpy(base(y, model.model(X))) + 0.5 * to_numpy(alone(Y, features, training=True))
        assert fit(model, X, y) == pytest.approx(expected, rel=1e-5)
        np.testing.assert_allclose(centers(model), centers(alone), rtol=1e-5, atol=1e-6)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.get_config() | {"model": 0} == model.get_config() | {"model": 0}
    assert again.center.config() == alone.config()
    np.testing.assert_array_equal(centers(again), centers(model))


def test_fit_after_resize() -> None:
    """The new centers are trained; `fit` is compiled anew for them."""
    model = with_center()
    fit(model, X, Y)
    model.evaluate(X, Y, verbose=0)
    model.center.resize(5)
    before = centers(model)
    assert np.isfinite(fit(model, X, Y)) and np.isfinite(model.evaluate(X, Y, verbose=0))
    assert before.shape == (5, 2) and (centers(model)[:3] != before[:3]).all()


def test_fit_copies_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of a million centers takes as long as thousands of steps."""

    def copied(_: Any) -> Any:
        raise AssertionError("the table was copied")

    monkeypatch.setattr(multiloss.keras.CenterLoss, "centers", property(copied))
    model = with_center()
    for _ in range(2):
        fit(model, X, Y, batch_size=6)
        model.evaluate(X, Y, batch_size=6, verbose=0)
    assert np.abs(model.center._host_centers()).min() > 1e-3


def test_labels_that_float32_cannot_hold() -> None:
    """Two classes that are one number in float32 stay two: labels are never cast to it."""
    classes = 2**24 + 2
    assert np.float32(classes - 1) == np.float32(classes - 2)
    x = keras.Input((1,))
    net = keras.Model(x, keras.layers.Dense(1, kernel_initializer="ones", name="features")(x))
    model = with_center(net, num_classes=classes, alpha=1.0)
    model.compile(keras.optimizers.SGD(0.0), loss=lambda y, p: keras.ops.mean(p))
    fit(model, np.array([[3.0], [3.0], [5.0]], np.float32), np.array([classes - 1, classes - 1, 0]))
    moved = to_numpy(model.centers)
    assert moved[[0, classes - 2, classes - 1], 0].tolist() == pytest.approx([2.5, 0.0, 2.0])
    assert np.count_nonzero(moved) == 2


# --- the layer


class Subclassed(keras.Model):
    """A model whose inputs are x and the labels, with the center loss through `add_loss`."""

    def __init__(self, passes: bool = True) -> None:
        super().__init__()
        self.passes = passes
        self.features, self.out = keras.layers.Dense(2), keras.layers.Dense(3)
        self.center = multiloss.keras.CenterLoss(num_classes=3, feature_dim=2)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        x, labels = inputs
        features = self.features(x)
        mode = {"training": training} if self.passes else {}
        self.add_loss(0.5 * self.center(labels, features, **mode))
        return self.out(features)


@pytest.mark.parametrize("passes", [True, False], ids=["training passed on", "training left out"])
def test_the_layer_in_a_subclassed_model(passes: bool) -> None:
    """It moves in `fit` alone. On JAX Keras does not tell inner layers the mode: there it must be passed on."""
    model = Subclassed(passes)
    model.compile("sgd", loss=keras.losses.MeanSquaredError())
    if KIND == "jax" and not passes:  # where Keras' own Dropout would do nothing, silently
        with pytest.raises(ValueError, match=r"training=training"):
            fit(model, [X, Y], ONE_HOT)
        return
    assert np.isfinite(fit(model, [X, Y], ONE_HOT))
    before = centers(model.center)
    assert before.any()
    model.evaluate([X, Y], ONE_HOT, verbose=0)
    model.predict([X, Y], verbose=0)
    np.testing.assert_array_equal(centers(model.center), before)
    fit(model, [X, Y], ONE_HOT)
    assert not np.array_equal(centers(model.center), before)


def test_the_layer_after_resize() -> None:
    """A warning where the compiled step of the user's model keeps to the old centers; compiled anew, they are
    trained."""
    model = Subclassed()
    model.compile("sgd", loss="mse")
    fit(model, [X, Y], ONE_HOT)
    warns = pytest.warns(UserWarning, match="call model.compile again")
    with warns if KIND == "tensorflow" else contextlib.nullcontext():
        model.center.resize(5)
    before = centers(model.center)
    model.compile("sgd", loss="mse")
    fit(model, [X, Y], ONE_HOT)
    assert before.shape == (5, 2) and (centers(model.center)[:3] != before[:3]).all()


def test_the_layer_in_a_functional_model() -> None:
    x, y = keras.Input((4,)), keras.Input((), dtype="int32")
    features = keras.layers.Dense(2)(x)
    layer = multiloss.keras.CenterLoss(num_classes=3, alpha=0.25, reduction="none")  # Keras takes no 0-d output
    model = keras.Model([x, y], [keras.layers.Dense(3)(features), layer(y, features)])
    model.compile("sgd", loss=[keras.losses.MeanSquaredError(), lambda _, value: value])
    fit(model, [X, Y], [ONE_HOT, np.zeros(BATCH, np.float32)])
    before = centers(layer)
    assert before.any() and not layer.trainable_weights and len(layer.weights) == 1
    model.predict([X, Y], verbose=0)
    np.testing.assert_array_equal(centers(layer), before)


def test_the_layer_under_mixed_precision() -> None:
    """autocast=False: the centers stay float32."""
    layer = multiloss.keras.CenterLoss(num_classes=3, feature_dim=2, dtype="mixed_float16")
    features = X[:, :2].astype(np.float16)
    layer(Y, keras.ops.convert_to_tensor(features), training=True)
    _, moved = reference.center_step(np.zeros((3, 2)), Y, features, 0.5)
    np.testing.assert_allclose(centers(layer), moved, rtol=1e-5)
    assert keras.backend.standardize_dtype(layer.weights[0].dtype) == "float32"
    again = multiloss.keras.CenterLoss.from_config(layer.get_config())
    assert again.options == layer.options

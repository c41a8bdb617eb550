"""Keras: losses in `compile`, the center-loss layer and the wrapper model, on whichever backend Keras runs."""

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
from helpers.arrays import dtype_name, framework, to_numpy
from reference.losses import CLASS_LOSSES, LOSSES, SPARSE

# what Keras' own backends do on import and in `fit`
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 4)).astype(np.float32)
Y = RNG.integers(0, 3, 24)
ONE_HOT = np.eye(3, dtype=np.float32)[Y]
BATCH = 24


def network(softmax: bool = False) -> keras.Model:
    keras.utils.set_random_seed(0)
    x = keras.Input((4,))
    features = keras.layers.Dense(2, name="features")(x)
    return keras.Model(x, keras.layers.Dense(3, activation="softmax" if softmax else None)(features))


def wrapped(**options: Any) -> keras.Model:
    model = multiloss.keras.WithCenterLoss(network(), features="features", num_classes=3, **options)
    model.compile("sgd", loss=multiloss.get("scce", backend="keras", from_logits=True))
    return model


def centers(x: Any) -> Any:
    return to_numpy(x.centers).copy()


def fit(model: keras.Model, x: Any, y: Any, **arguments: Any) -> dict[str, float]:
    history = model.fit(x, y, batch_size=BATCH, epochs=1, shuffle=False, verbose=0, **arguments).history
    return {key: values[0] for key, values in history.items()}


def test_what_is_about_keras_runs_for_keras_alone(backend: str) -> None:
    """In an environment with every framework, `backend` could be JAX while Keras runs on TensorFlow."""
    assert backend == "keras"


# --- losses


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_in_compile(backend: str, name: str) -> None:
    """What `fit` and `evaluate` report is the value of the loss."""
    model = network(softmax=True)
    targets = Y if name == SPARSE else ONE_HOT if name in CLASS_LOSSES else np.abs(X[:, :3]) / 10
    model.compile(keras.optimizers.SGD(0.0), loss=multiloss.get(name, backend="keras"))
    p = model.predict(X, verbose=0)
    expected = float(reference.loss(name, targets, p.astype(np.float64)))
    assert fit(model, X, targets)["loss"] == pytest.approx(expected, rel=1e-4)
    assert model.evaluate(X, targets, batch_size=BATCH, verbose=0) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_serialisation(backend: str, name: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"reduction": "sum", "validate": False}
    if name == SPARSE:
        options |= {"class_weight": [1, 2, 3], "ignore_index": -1}
    loss = multiloss.get(name, backend="keras", **options)
    assert keras.losses.deserialize(keras.losses.serialize(loss)) == loss
    if name == SPARSE:
        model = network()
        model.compile("sgd", loss=loss)
        model.save(tmp_path / "model.keras")
        assert keras.models.load_model(tmp_path / "model.keras").loss == loss


def test_fit_after_resize(backend: str) -> None:
    """The new centers are trained; `fit` is compiled anew for them."""
    model = wrapped()
    fit(model, X, Y)
    model.evaluate(X, Y, verbose=0)
    model.center.resize(5)
    before = to_numpy(model.centers)
    assert np.isfinite(fit(model, X, Y)["loss"]) and np.isfinite(model.evaluate(X, Y, verbose=0))
    assert before.shape == (5, 2) and (to_numpy(model.centers)[:3] != before[:3]).all()


def test_a_layer_after_resize(backend: str) -> None:
    """In a model of the user's own: a warning where its compiled step keeps to the old centers; compiled anew, they
    are trained."""
    layer = multiloss.keras.CenterLoss(num_classes=3, feature_dim=4)

    class Net(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense, self.center = keras.layers.Dense(4), layer

        def build(self, shape: Any) -> None:
            self.dense.build(shape)

        def call(self, x: Any) -> Any:
            return self.dense(x)

        def compute_loss(self, x: Any, y: Any, y_pred: Any, *args: Any, **kwargs: Any) -> Any:
            return self.center(y, y_pred, training=True)

    model = Net()
    model.compile("sgd")
    fit(model, X, Y)
    warns = pytest.warns(UserWarning, match="call model.compile again")
    with warns if keras.backend.backend() == "tensorflow" else contextlib.nullcontext():
        layer.resize(5)
    before = to_numpy(layer.centers)
    model.compile("sgd")
    fit(model, X, Y)
    assert before.shape == (5, 4) and (to_numpy(layer.centers)[:3] != before[:3]).all()


class Penalty(keras.layers.Layer):
    """A loss within a functional model."""

    def __init__(self) -> None:
        super().__init__()
        self.loss = multiloss.get("huber", backend="keras")

    def call(self, x: Any) -> Any:
        self.add_loss(self.loss(keras.ops.zeros_like(x), x))
        return x


def test_a_loss_in_a_functional_model(backend: str) -> None:
    """Placeholders are refused with what to do instead, which works."""
    x = keras.Input((4,))
    data = np.full((6, 4), 3.0, np.float32)
    for loss in (multiloss.get("huber", backend="keras"), multiloss.get("huber")):
        with pytest.raises(TypeError, match="y_pred is a KerasTensor, a placeholder.*in the call.. of a layer"):
            loss(np.zeros((2, 4)), x)
    model = keras.Model(x, keras.layers.Dense(4, kernel_initializer="identity")(Penalty()(x)))
    model.compile(keras.optimizers.SGD(0.0), loss="mse")
    assert np.isclose(fit(model, data, data)["loss"], 2.5)


def test_labels_and_targets_as_keras_users_have_them(backend: str) -> None:
    """Labels (N, 1); targets (N,) for a Dense(1): the values of aligned shapes."""

    def value(y: Any, **weights: Any) -> Any:
        # A model anew: Keras on TensorFlow cannot take targets of one rank after another, with its own losses either.
        model = network()
        model.compile("sgd", loss=multiloss.get("scce", backend="keras", from_logits=True))
        return pytest.approx(model.evaluate(X, y, batch_size=BATCH, verbose=0, **weights))

    weights = np.arange(24.0)
    assert value(Y) == value(Y[:, None]).expected
    assert value(Y, sample_weight=weights) == value(Y, sample_weight=weights[:, None]).expected

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    for loss in ("huber", "mse", "mae"):
        model.compile(keras.optimizers.SGD(0.0), loss=multiloss.get(loss, backend="keras"))
        p = model.predict(X, verbose=0)
        expected = float(reference.loss(multiloss.get(loss).config()["name"], X[:, :1], p))
        assert fit(model, X, X[:, 0])["loss"] == pytest.approx(expected, rel=1e-4)
        model.compile("sgd", loss=model.loss)
        assert model.evaluate(X, X[:, :1], batch_size=BATCH, verbose=0) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("axis", [-1, 1, (1, 2), None, ()], ids=str)
@pytest.mark.parametrize("name", ["sample_weight", "mask"])
def test_weights_with_a_trailing_axis(backend: str, name: str, axis: Any) -> None:
    """One more axis than the per-sample values, of length 1, is dropped, whatever `axis` is."""
    p = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    t = np.ones_like(p)
    loss = multiloss.get("mse", backend="keras", axis=axis, reduction="weighted_mean")
    samples = {-1: (3, 2), 1: (3, 2), (1, 2): (3,), None: (), (): (3, 2, 2)}[axis]
    given = np.arange(np.prod(samples, dtype=int)).reshape(samples) + 1.0
    given = given % 2 == 1 if name == "mask" else given
    assert float(loss(t, p, **{name: given[..., None]})) == float(loss(t, p, **{name: given}))
    with pytest.raises(ValueError, match=f"{name} must have the shape of the per-sample values"):
        loss(t, p, **{name: given[..., None, None]})


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("shapes", [((3,), (3, 1)), ((3, 1), (3,))], ids=str)
def test_gradients_are_like_what_was_given(backend: str, shapes: Any, dtype: str) -> None:
    """In its shape, also where it was aligned, and in its dtype, of tensors and of NumPy arrays."""
    t, p = np.array([1, 2, 4], dtype).reshape(shapes[0]), np.array([2, 2, 2], dtype).reshape(shapes[1])
    loss = multiloss.get("mse", backend="keras", axis=(), reduction="sum")
    for y_true, y_pred in ((t, p), (keras.ops.convert_to_tensor(t), keras.ops.convert_to_tensor(p))):
        _, (by_true, by_pred) = loss.value_and_grad(y_true, y_pred, wrt=("y_true", "y_pred"))
        _, alone = loss.value_and_grad(y_true, y_pred, wrt="y_true")
        first, second = loss.grad_and_hess(y_true, y_pred)
        for got, like, expected in (
            (by_true, t, [-2, 0, 4]),
            (alone, t, [-2, 0, 4]),
            (by_pred, p, [2, 0, -4]),
            (first, p, [2, 0, -4]),
            (second, p, [2, 2, 2]),
        ):
            assert dtype_name(got) == dtype
            np.testing.assert_array_equal(to_numpy(got), np.reshape(expected, like.shape))


def test_python_numbers_have_the_dtype_of_keras(backend: str) -> None:
    """Lists have none of their own; NumPy's float64 stays, in the gradient."""
    loss = multiloss.get("mse", backend="keras")
    for given, dtype in (([1.0, 2.0], "float32"), ([1, 2], "float32"), (np.array([1.0, 2.0]), "float64")):
        value, gradient = loss.value_and_grad([0.0, 0.0], given)
        assert (dtype_name(value), dtype_name(gradient)) == ("float32", dtype)


def test_variables(backend: str) -> None:
    """A Keras variable is taken wherever a tensor of the framework is, alone and beside one."""
    info = multiloss.info
    values = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)
    tensor, variable = keras.ops.convert_to_tensor(values), keras.Variable(values)
    other = keras.ops.convert_to_tensor(values[::-1].copy())
    weight = np.array([1.0, 3.0], np.float32)
    for function in (multiloss.softmax, multiloss.log_softmax, multiloss.logsumexp, info.entropy):
        np.testing.assert_array_equal(to_numpy(function(variable)), to_numpy(function(tensor)))
    for function in (info.cross_entropy, info.kl_divergence):
        for mine, plain in (((variable, other), (tensor, other)), ((other, variable), (other, tensor))):
            np.testing.assert_array_equal(to_numpy(function(*mine)), to_numpy(function(*plain)))
    for named in ("keras", None):
        loss = multiloss.get("mse", backend=named)
        expected = to_numpy(loss(other, tensor, sample_weight=weight))
        for pair in ((variable, other), (other, variable), (values[::-1], variable), (variable, values[::-1])):
            for w in (weight, keras.Variable(weight)):
                np.testing.assert_array_equal(to_numpy(loss(*pair, sample_weight=w)), expected)
        for got, wanted in zip(loss.value_and_grad(other, variable), loss.value_and_grad(other, tensor), strict=True):
            np.testing.assert_array_equal(to_numpy(got), to_numpy(wanted))
    center = multiloss.keras.CenterLoss(num_classes=2, feature_dim=2)
    labels = np.array([0, 1])
    expected = to_numpy(center(labels, tensor, training=False))
    np.testing.assert_array_equal(to_numpy(center(labels, variable, training=False)), expected)
    integers = keras.Variable(labels, dtype="int32", trainable=False)
    by_variable = center(integers, variable, sample_weight=keras.Variable(np.ones(2)), training=False)
    np.testing.assert_array_equal(to_numpy(by_variable), expected)


@pytest.mark.parametrize("reduction", ["sum", "weighted_mean", "batchmean"])
def test_reductions_in_fit(backend: str, reduction: str) -> None:
    """What `fit` reports for a batch is the reduced value, and a step is that of its gradient."""
    weights = np.linspace(0.5, 2, 24, dtype=np.float32)
    model = network()
    loss = multiloss.get("mse", backend="keras", reduction=reduction)
    model.compile(keras.optimizers.SGD(1e-2), loss=loss)
    p = model.predict(X, verbose=0)
    weighted = ((p - ONE_HOT) ** 2).mean(-1) * weights
    by = {"sum": 1, "weighted_mean": weights.sum(), "batchmean": 24}[reduction]
    bias = to_numpy(model.layers[-1].bias).copy()
    assert fit(model, X, ONE_HOT, sample_weight=weights)["loss"] == pytest.approx(weighted.sum() / by, rel=1e-4)
    slope = (2 / 3 * (p - ONE_HOT) * weights[:, None]).sum(0) / by
    np.testing.assert_allclose(to_numpy(model.layers[-1].bias), bias - 1e-2 * slope, rtol=1e-4, atol=1e-6)


def test_a_model_in_mixed_precision(backend: str) -> None:
    """Under mixed_float16 the loss of a half-precision output is computed in float32, and the model trains."""
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        model = network()
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    loss = multiloss.get("scce", backend="keras", from_logits=True)
    assert dtype_name(model(X)) == "float16" and dtype_name(loss(Y, model(X))) == "float32"
    model.compile(keras.optimizers.SGD(0.1), loss=loss)
    logits = model.predict(X, batch_size=BATCH, verbose=0).astype(np.float64)
    before = fit(model, X, Y)["loss"]
    assert before == pytest.approx(float(reference.loss(SPARSE, Y, logits, from_logits=True)), rel=1e-3)
    assert all(fit(model, X, Y)["loss"] < before for _ in range(2))


@pytest.mark.parametrize("layer", ["masking", "embedding"])
def test_masks_of_layers(backend: str, layer: str) -> None:
    """What Masking or Embedding(mask_zero=True) mask, counts for nothing; a mask given to the call wins."""
    if layer == "masking":
        x = np.ones((2, 3, 2), np.float32)
        x[0, 1:] = x[1, 2] = 0
        inputs = keras.Input((3, 2))
        hidden = keras.layers.Masking()(inputs)
    else:
        x = np.array([[5, 0, 0], [2, 3, 0]])
        inputs = keras.Input((3,), dtype="int32")
        hidden = keras.layers.Embedding(6, 2, mask_zero=True)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(hidden))
    loss = multiloss.get("mse", backend="keras")
    y = np.ones((2, 3, 1), np.float32)
    out = model(x)
    kept = np.array([[True, False, False], [True, True, False]])
    squares = (to_numpy(out)[..., 0] - 1) ** 2
    assert to_numpy(loss(y, out)) == pytest.approx(squares[kept].mean(), rel=1e-5)
    every = keras.ops.convert_to_tensor(np.ones((2, 3), bool))
    assert to_numpy(loss(y, out, mask=every)) == pytest.approx(squares.mean(), rel=1e-5)
    model.compile(keras.optimizers.SGD(0.0), loss=loss)
    assert fit(model, x, y)["loss"] == pytest.approx(squares[kept].mean(), rel=1e-4)


def test_dtype_policy(backend: str) -> None:
    """A loss computes in what Keras' floatx was when it was made."""
    y = np.array([[1 / 3]])
    single = multiloss.get("mse", backend="keras")
    keras.config.set_floatx("float64")
    try:
        double = multiloss.get("mse", backend="keras")
        assert dtype_name(double(y, keras.ops.convert_to_tensor([[2 / 3]], "float64"))) == "float64"
    finally:
        keras.config.set_floatx("float32")
    assert dtype_name(single(y, keras.ops.convert_to_tensor([[2 / 3]], "float64"))) == "float32"


# --- the wrapper model


def test_fit_moves_the_centers_and_adds_the_loss(backend: str) -> None:
    model = wrapped(weight=0.25, alpha=0.5)
    features = to_numpy(keras.Model(model.model.input, model.model.get_layer("features").output)(X))
    values, moved = reference.center_step(np.zeros((3, 2)), Y, features, 0.5)
    plain = model.loss(Y, model.model(X))
    logs = fit(model, X, Y)
    assert logs["loss"] == pytest.approx(float(to_numpy(plain)) + 0.25 * values.mean(), rel=1e-4)
    np.testing.assert_allclose(centers(model), moved, rtol=1e-4, atol=1e-6)


def test_evaluate_and_predict_move_nothing(backend: str) -> None:
    model = wrapped()
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


def test_save_and_load(backend: str, tmp_path: Path) -> None:
    """Weights, centers, options and the compiled loss; training goes on."""
    model = wrapped(weight=0.25, alpha=0.75, update="auto", reduction="sum")
    fit(model, X, Y)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(centers(again), centers(model))
    np.testing.assert_allclose(again.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-6)
    assert (again.weight, again.center.options.alpha, again.center.options.reduction) == (0.25, 0.75, "sum")
    assert fit(again, X, Y)["loss"] == pytest.approx(fit(model, X, Y)["loss"], rel=1e-4)
    np.testing.assert_allclose(centers(again), centers(model), rtol=1e-4, atol=1e-6)
    model.save_weights(tmp_path / "model.weights.h5")
    fresh = wrapped()
    fresh.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(centers(fresh), centers(model))


def test_targets_of_the_wrapper(backend: str) -> None:
    """Labels (N,), (N, 1) and one-hot name the same classes; soft targets are refused or, unread, move nothing."""
    results = []
    for y, loss in ((Y, "scce"), (Y[:, None], "scce"), (ONE_HOT, "cce")):
        model = wrapped()
        model.compile("sgd", loss=multiloss.get(loss, backend="keras", from_logits=True))
        fit(model, X, y)
        results.append(centers(model))
    np.testing.assert_allclose(results[1:], [results[0]] * 2, rtol=1e-4, atol=1e-6)
    model = wrapped()
    eager = framework(backend) != "jax"
    model.compile("sgd", loss=multiloss.get("cce", backend="keras", from_logits=True), run_eagerly=eager)
    soft = np.full((24, 3), 1 / 3, np.float32)
    if eager:
        with pytest.raises(ValueError, match="must be labels or one-hot, got soft targets"):
            fit(model, X, soft)
    else:
        assert np.isnan(fit(model, X, soft)["loss"])
    assert not centers(model).any()


def test_sample_weights_of_the_wrapper(backend: str) -> None:
    """They scale the value only."""
    one, other = wrapped(), wrapped()
    fit(one, X, Y)
    fit(other, X, Y, sample_weight=np.linspace(0, 2, 24))
    np.testing.assert_allclose(centers(one), centers(other), rtol=1e-4, atol=1e-6)


def test_what_cannot_be_wrapped(backend: str) -> None:
    with pytest.raises(ValueError, match="features must name a layer of the model .*features.*, got 'fetures'"):
        multiloss.keras.WithCenterLoss(network(), features="fetures", num_classes=3)
    with pytest.raises(TypeError, match="model must be a functional"):
        multiloss.keras.WithCenterLoss("model", features="features", num_classes=3)  # type: ignore[arg-type]


OWN: dict[str, dict[str, Any]] = {
    "contrastive_center": {"delta": 2.0},
    "triplet_center": {"margin": 3.0},
    "island": {"weight": 0.2},
    "git": {"weight": 0.2},
    "ring": {"weight": 0.2, "radius": 2.0},
}


@pytest.mark.parametrize("loss", OWN)
def test_the_family_in_the_wrapper(backend: str, loss: str, tmp_path: Path) -> None:
    """`weight` is lambda; the weight that some of them have themselves is one of `loss_options`. Saved and loaded."""
    model = wrapped(weight=0.5, loss=loss, loss_options=OWN[loss])
    shape = {} if loss == "ring" else {"num_classes": 3, "feature_dim": 2}
    alone = multiloss.get(loss, backend="keras", **shape, **OWN[loss])
    features = model.model.get_layer("features")(X)
    for y, name in ((Y, "scce"), (ONE_HOT, "cce")):
        base = multiloss.get(name, backend="keras", from_logits=True)
        model.compile(keras.optimizers.SGD(0.0), loss=base)
        expected = to_numpy(base(y, model.model(X))) + 0.5 * to_numpy(alone(Y, features, training=True))
        assert fit(model, X, y)["loss"] == pytest.approx(expected, rel=1e-5)
        np.testing.assert_allclose(centers(model), centers(alone), rtol=1e-5, atol=1e-6)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.get_config() | {"model": 0} == model.get_config() | {"model": 0}
    assert again.center.config() == alone.config()
    np.testing.assert_array_equal(centers(again), centers(model))
    assert again.evaluate(X, y, verbose=0) == pytest.approx(model.evaluate(X, y, verbose=0))


# --- the layer


class Subclassed(keras.Model):
    """A model whose inputs are x and the labels, with the center loss through `add_loss`."""

    def __init__(self, passes: bool) -> None:
        super().__init__()
        self.passes = passes
        self.features, self.out = keras.layers.Dense(2), keras.layers.Dense(3)
        self.center = multiloss.keras.CenterLoss(num_classes=3)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        x, labels = inputs
        features = self.features(x)
        mode = {"training": training} if self.passes else {}
        self.add_loss(0.5 * self.center(labels, features, **mode))
        return self.out(features)


@pytest.mark.parametrize("passes", [True, False], ids=["training passed on", "training left out"])
def test_the_layer_in_a_subclassed_model(backend: str, passes: bool) -> None:
    """It moves in `fit` alone. On JAX Keras does not tell inner layers the mode: there it must be passed on."""
    model = Subclassed(passes)
    model.compile("sgd", loss=keras.losses.MeanSquaredError())
    if framework(backend) == "jax" and not passes:  # where Keras' own Dropout would do nothing, silently
        with pytest.raises(ValueError, match=r"training=training"):
            fit(model, [X, Y], ONE_HOT)
        return
    logs = fit(model, [X, Y], ONE_HOT)
    before = centers(model.center)
    assert before.any() and np.isfinite(logs["loss"])
    model.evaluate([X, Y], ONE_HOT, verbose=0)
    model.predict([X, Y], verbose=0)
    np.testing.assert_array_equal(centers(model.center), before)
    fit(model, [X, Y], ONE_HOT)
    assert not np.array_equal(centers(model.center), before)


def test_the_layer_in_a_functional_model(backend: str, tmp_path: Path) -> None:
    x, y = keras.Input((4,)), keras.Input((), dtype="int32")
    features = keras.layers.Dense(2)(x)
    layer = multiloss.keras.CenterLoss(num_classes=3, alpha=0.25, reduction="none")  # Keras takes no 0-d output
    model = keras.Model([x, y], [keras.layers.Dense(3)(features), layer(y, features)])
    model.compile("sgd", loss=[keras.losses.MeanSquaredError(), lambda _, value: value])
    fit(model, [X, Y], [ONE_HOT, np.zeros(24, np.float32)])
    before = centers(layer)
    assert before.any()
    model.predict([X, Y], verbose=0)
    np.testing.assert_array_equal(centers(layer), before)
    assert not layer.trainable_weights and len(layer.weights) == 1


def test_the_layer_under_mixed_precision(backend: str) -> None:
    """autocast=False: the centers stay float32."""
    layer = multiloss.keras.CenterLoss(num_classes=3, feature_dim=2, dtype="mixed_float16")
    features = X[:, :2].astype(np.float16)
    layer(Y, keras.ops.convert_to_tensor(features), training=True)
    _, moved = reference.center_step(np.zeros((3, 2)), Y, features, 0.5)
    np.testing.assert_allclose(centers(layer), moved, rtol=1e-5)
    assert keras.backend.standardize_dtype(layer.weights[0].dtype) == "float32"
    again = multiloss.keras.CenterLoss.from_config(layer.get_config())
    assert again.options == layer.options


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="XLA is not what Keras on torch compiles with")
def test_xla(backend: str) -> None:
    model = wrapped()
    model.compile("sgd", loss=model.loss, jit_compile=True)
    fit(model, X, Y)
    assert centers(model).any()

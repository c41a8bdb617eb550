"""Keras: losses in `compile` and in layers, on whichever backend Keras runs. Center loss: `test_keras_training.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import multiloss
import multiloss.keras
import reference
from helpers.arrays import dtype_name, to_numpy
from helpers.keras_models import BATCH, ONE_HOT, X, Y, fit, network
from reference.losses import CLASS_LOSSES, LOSSES, SPARSE

# what Keras' own backends do on import and in `fit`
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def test_what_is_about_keras_runs_for_keras_alone(backend: str) -> None:
    """In an environment with every framework, `backend` could be JAX while Keras runs on TensorFlow."""
    assert backend == "keras"


@pytest.mark.parametrize("name", LOSSES)
def test_fit_and_evaluate_report_the_value_of_the_loss(name: str) -> None:
    model = network(softmax=True)
    targets = Y if name == SPARSE else ONE_HOT if name in CLASS_LOSSES else np.abs(X[:, :3]) / 10
    model.compile(keras.optimizers.SGD(0.0), loss=multiloss.get(name, backend="keras"))
    p = model.predict(X, verbose=0)
    expected = pytest.approx(float(reference.loss(name, targets, p.astype(np.float64))), rel=1e-4)
    assert fit(model, X, targets) == expected
    assert model.evaluate(X, targets, batch_size=BATCH, verbose=0) == expected


def test_a_loss_is_saved_with_its_model(tmp_path: Path) -> None:
    options = {"reduction": "sum", "validate": False, "class_weight": [1, 2, 3], "ignore_index": -1}
    loss, model = multiloss.get(SPARSE, backend="keras", **options), network()
    assert keras.losses.deserialize(keras.losses.serialize(loss)) == loss
    model.compile("sgd", loss=loss)
    model.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").loss == loss


class Penalty(keras.layers.Layer):
    """A loss within a functional model."""

    def __init__(self) -> None:
        super().__init__()
        self.loss = multiloss.get("huber", backend="keras")

    def call(self, x: Any) -> Any:
        self.add_loss(self.loss(keras.ops.zeros_like(x), x))
        return x


def test_a_loss_in_a_functional_model() -> None:
    """Placeholders are refused with what to do instead, which works."""
    x = keras.Input((4,))
    data = np.full((6, 4), 3.0, np.float32)
    for loss in (multiloss.get("huber", backend="keras"), multiloss.get("huber")):
        with pytest.raises(TypeError, match="y_pred is a KerasTensor, a placeholder.*in the call.. of a layer"):
            loss(np.zeros((2, 4)), x)
    model = keras.Model(x, keras.layers.Dense(4, kernel_initializer="identity")(Penalty()(x)))
    model.compile(keras.optimizers.SGD(0.0), loss="mse")
    assert np.isclose(fit(model, data, data), 2.5)


def test_labels_and_weights_with_a_trailing_axis_in_evaluate() -> None:
    """(N, 1) and (N,) have one value."""

    def value(y: Any, **weights: Any) -> Any:
        # A model anew: Keras on TensorFlow cannot take targets of one rank after another, with its own losses either.
        model = network()
        model.compile("sgd", loss=multiloss.get("scce", backend="keras", from_logits=True))
        return model.evaluate(X, y, batch_size=BATCH, verbose=0, **weights)

    weights = np.arange(24.0)
    assert value(Y[:, None]) == pytest.approx(value(Y))
    assert value(Y, sample_weight=weights[:, None]) == pytest.approx(value(Y, sample_weight=weights))


@pytest.mark.parametrize("axis", [-1, 1, (1, 2), None, ()], ids=str)
@pytest.mark.parametrize("name", ["sample_weight", "mask"])
def test_weights_with_a_trailing_axis(name: str, axis: Any) -> None:
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


def test_python_numbers_have_the_dtype_of_keras() -> None:
    """Lists have none of their own; NumPy's float64 stays, in the gradient."""
    loss = multiloss.get("mse", backend="keras")
    for given, dtype in (([1.0, 2.0], "float32"), ([1, 2], "float32"), (np.array([1.0, 2.0]), "float64")):
        value, gradient = loss.value_and_grad([0.0, 0.0], given)
        assert (dtype_name(value), dtype_name(gradient)) == ("float32", dtype)


def test_a_loss_computes_in_the_floatx_of_when_it_was_made() -> None:
    single = multiloss.get("mse", backend="keras")
    keras.config.set_floatx("float64")
    try:
        double = multiloss.get("mse", backend="keras")
        made_for = {"float64": double(np.array([[1 / 3]]), keras.ops.convert_to_tensor([[2 / 3]], "float64"))}
    finally:
        keras.config.set_floatx("float32")
    made_for["float32"] = single(np.array([[1 / 3]]), keras.ops.convert_to_tensor([[2 / 3]], "float64"))
    assert all(dtype_name(value) == dtype for dtype, value in made_for.items())


def equal(got: Any, expected: Any) -> None:
    np.testing.assert_array_equal(to_numpy(got), to_numpy(expected))


def test_variables() -> None:
    """A Keras variable is taken wherever a tensor of the framework is, alone and beside one."""
    info, values = multiloss.info, np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)
    tensor, variable = keras.ops.convert_to_tensor(values), keras.Variable(values)
    other, weight = keras.ops.convert_to_tensor(values[::-1].copy()), np.array([1.0, 3.0], np.float32)
    for function in (multiloss.softmax, multiloss.log_softmax, multiloss.logsumexp, info.entropy):
        equal(function(variable), function(tensor))
    for function in (info.cross_entropy, info.kl_divergence):
        equal(function(variable, other), function(tensor, other))
        equal(function(other, variable), function(other, tensor))
    for named in ("keras", None):
        loss = multiloss.get("mse", backend=named)
        expected = loss(other, tensor, sample_weight=weight)
        for pair in ((variable, other), (other, variable), (values[::-1], variable), (variable, values[::-1])):
            for w in (weight, keras.Variable(weight)):
                equal(loss(*pair, sample_weight=w), expected)
        for got, wanted in zip(loss.value_and_grad(other, variable), loss.value_and_grad(other, tensor), strict=True):
            equal(got, wanted)
    center, labels = multiloss.keras.CenterLoss(num_classes=2, feature_dim=2), np.array([0, 1])
    integers = keras.Variable(labels, dtype="int32", trainable=False)
    expected = center(labels, tensor, training=False)
    equal(center(integers, variable, sample_weight=keras.Variable(np.ones(2)), training=False), expected)


@pytest.mark.parametrize("reduction", ["sum", "weighted_mean", "batchmean"])
def test_reductions_in_fit(reduction: str) -> None:
    """What `fit` reports for a batch is the reduced value, and a step is that of its gradient."""
    weights = np.linspace(0.5, 2, 24, dtype=np.float32)
    model = network()
    loss = multiloss.get("mse", backend="keras", reduction=reduction)
    model.compile(keras.optimizers.SGD(1e-2), loss=loss)
    p = model.predict(X, verbose=0)
    weighted = ((p - ONE_HOT) ** 2).mean(-1) * weights
    by = {"sum": 1, "weighted_mean": weights.sum(), "batchmean": 24}[reduction]
    bias = to_numpy(model.layers[-1].bias).copy()
    assert fit(model, X, ONE_HOT, sample_weight=weights) == pytest.approx(weighted.sum() / by, rel=1e-4)
    slope = (2 / 3 * (p - ONE_HOT) * weights[:, None]).sum(0) / by
    np.testing.assert_allclose(to_numpy(model.layers[-1].bias), bias - 1e-2 * slope, rtol=1e-4, atol=1e-6)


def test_a_model_in_mixed_precision() -> None:
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
    before = fit(model, X, Y)
    assert before == pytest.approx(float(reference.loss(SPARSE, Y, logits, from_logits=True)), rel=1e-3)
    assert all(fit(model, X, Y) < before for _ in range(2))


if keras.backend.backend() == "torch":  # elsewhere the values in `fit` cannot be read

    @pytest.mark.parametrize("name", ["scce", "lovasz_softmax"])
    def test_what_keras_asks_first_is_no_first_call(name: str) -> None:
        """Keras calls the loss with tensors without values before `fit`; then the scores are refused."""
        inputs = keras.Input((2,))
        model = keras.Model(inputs, keras.layers.Activation("linear")(inputs))
        model.compile("sgd", loss=multiloss.get(name, backend="keras"))
        with pytest.raises(ValueError, match="y_pred must hold probabilities"):
            fit(model, np.array([[3.0, -1.0], [2.0, 1.0]]), np.array([0, 1]))


def test_boolean_one_hot_targets() -> None:
    from multiloss_keras.targets import class_labels

    one_hot = keras.ops.convert_to_tensor(np.eye(3, dtype=bool)[[2, 0]])
    assert to_numpy(class_labels(one_hot, 3)).tolist() == [2, 0]

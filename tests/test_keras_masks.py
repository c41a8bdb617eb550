"""Masks that Keras' layers attach to a tensor: every loss that Keras can train with leaves out what they mask."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import multiloss
import multiloss.keras
import reference
from helpers.arrays import to_numpy
from helpers.keras_models import centers, fit, network, with_center
from multiloss.engine import registry

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

RNG = np.random.default_rng(0)
N, D = 6, 4
KEEP = np.array([True, True, False, True, True, False])
OF_TWO = [
    name
    for name, one in ((name, registry.find(name)) for name in registry.names())
    if one.kind == "of_inputs" and len(one.inputs) - len(one.optional) == 2
]
"""The losses of other inputs that `compile(loss=...)` takes."""


def masked(x: Any, **options: Any) -> Any:
    """As a Masking layer gives it."""
    return keras.layers.Masking(**options)(keras.ops.convert_to_tensor(x))


def example(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Two inputs; what is masked in the second is 0."""
    if name == "ctc":
        return np.array([[1, 2], [2, 1], [1, 1]] * 2), RNG.normal(size=(N, 5, 3)).astype(np.float32)
    x = RNG.uniform(0.1, 0.9, (N, D)).astype(np.float32)
    x[~KEEP] = 0.0
    definition = registry.find(name)
    first = definition.shapes[definition.inputs[0]]
    if first.integer:
        return np.array([0, 1, 1, 0, 1, 0]), x
    return RNG.uniform(0.1, 0.9, (N, D) if first.letters else N).astype(np.float32), x


@pytest.mark.parametrize("name", [name for name in OF_TWO if name != "ctc"])
def test_every_loss_of_two_other_inputs(name: str) -> None:
    """The value and gradient are those of the mask given by name; a mask given to the call wins."""
    first, second = example(name)
    loss, numpy = (multiloss.get(name, backend=backend) for backend in ("keras", "numpy"))
    expected, slope = numpy.value_and_grad(first, second, mask=KEEP)
    assert abs(expected - numpy(first, second)) > 1e-3
    np.testing.assert_allclose(to_numpy(loss(first, masked(second))), expected, rtol=1e-5)
    value, gradient = loss.value_and_grad(first, masked(second))
    np.testing.assert_allclose(to_numpy(value), expected, rtol=1e-5)
    np.testing.assert_allclose(to_numpy(gradient), slope, rtol=1e-4, atol=1e-6)
    other = ~KEEP | (np.arange(N) < 2)
    found = loss(first, masked(second), mask=other)
    np.testing.assert_allclose(to_numpy(found), numpy(first, second, mask=other), rtol=1e-5)


def evaluated(loss: Any, layer: Any, x: Any, y: Any) -> Any:
    """What `evaluate` reports behind a layer that masks, and what this layer gives."""
    inputs = keras.Input(x.shape[1:], dtype=x.dtype.name)
    model = keras.Model(inputs, layer(inputs))
    model.compile("sgd", loss=loss)
    return model.evaluate(x, y, batch_size=len(x), verbose=0), model.predict(x, verbose=0)


@pytest.mark.parametrize(
    ("name", "y", "x", "expected"),
    [
        ("mse", [[[1.0], [1.0], [1.0]]], [[[3.0], [0.0], [2.0]]], (2**2 + 1**2) / 2),
        ("lovasz_softmax", [[1, 0]], [[[0.2, 0.8], [0.0, 0.0]]], 0.2),
        ("crps", [[1.0, 1.0]], [[[0.2, 0.8], [0.0, 0.0]]], 0.35),
        ("ctc", [[1]], [[[1.0] * 3, [1.0] * 3, [1.0] * 3, [0.0] * 3]], -np.log(6 / 27)),
        ("ctc", [[1]], [[[0.0] * 3, [1.0] * 3, [1.0] * 3, [1.0] * 3]], -np.log(6 / 27)),
        ("ctc", [[1]], [[[1.0] * 3, [0.0] * 3, [1.0] * 3, [1.0] * 3]], -np.log(6 / 27)),
    ],
)
def test_worked_numbers_in_evaluate(name: str, y: Any, x: Any, expected: float) -> None:
    """Of three frames of three equal classes 6 of 27 alignments say "1"."""
    loss = multiloss.get(name, backend="keras")
    x, y = np.array(x, np.float32), np.array(y)
    assert to_numpy(loss(y, masked(x))) == pytest.approx(expected, rel=1e-5)
    assert evaluated(loss, keras.layers.Masking(0.0), x, y)[0] == pytest.approx(expected, rel=1e-5)


def test_a_mask_of_the_call_wins() -> None:
    y, x = np.ones((1, 2, 1), np.float32), np.array([[[3.0], [0.0]]], np.float32)
    every = keras.ops.convert_to_tensor(np.ones((1, 2), bool))
    assert to_numpy(multiloss.get("mse", backend="keras")(y, masked(x), mask=every)) == (2**2 + 1**2) / 2


@pytest.mark.parametrize("name", ["ctc", "crps", "mse"])
def test_behind_an_embedding(name: str) -> None:
    """Embedding(mask_zero=True)."""
    x = np.array([[4, 2, 0, 0], [1, 3, 2, 0]], np.int32)
    y = np.array([[1], [2]]) if name == "ctc" else np.ones((2, 4) if name == "crps" else (2, 4, 3))
    found, embedded = evaluated(multiloss.get(name, "keras"), keras.layers.Embedding(5, 3, mask_zero=True), x, y)
    kept = {"input_lengths": [2, 3]} if name == "ctc" else {"mask": x != 0}
    assert found == pytest.approx(float(multiloss.get(name, "numpy")(y, embedded, **kept)), rel=1e-5)


# --- ctc: a mask over frames


def test_frames_are_left_out_wherever_they_stand() -> None:
    """The value and gradient of the frames that are kept, in their order; a sample without any is left out."""
    y, x = np.array([[1, 2], [2, 1], [3, 1]]), RNG.normal(size=(3, 6, 4)).astype(np.float32)
    x[0, [2, 4]] = x[1] = 0.0
    loss, numpy = (multiloss.get("ctc", backend=backend) for backend in ("keras", "numpy"))
    kept = [0, 1, 3, 5]
    first, slope = numpy.value_and_grad(y[:1], x[:1, kept])
    third, other = numpy.value_and_grad(y[2:], x[2:])
    value, gradient = loss.value_and_grad(y, masked(x))
    assert to_numpy(value) == pytest.approx((first + third) / 2, rel=1e-5)
    assert to_numpy(loss(y, masked(x))) == pytest.approx((first + third) / 2, rel=1e-5)
    expected = np.zeros_like(x)
    expected[0, kept], expected[2] = slope[0] / 2, other[0] / 2
    np.testing.assert_allclose(to_numpy(gradient), expected, rtol=1e-4, atol=1e-6)
    weighted = loss(y, masked(x), np.array([1.0, 5.0, 3.0]))
    assert to_numpy(weighted) == pytest.approx((first + 3 * third) / 2, rel=1e-5)


def test_frames_and_lengths() -> None:
    """Frames behind a length that is given are left out, too; a length there cannot be is refused."""
    y, x = np.array([[1, 2], [2, 1]]), RNG.normal(size=(2, 6, 4)).astype(np.float32)
    x[0, 1] = 0.0
    loss, numpy = (multiloss.get("ctc", backend=backend) for backend in ("keras", "numpy"))
    expected = (numpy(y[:1], x[:1, [0, 2, 3]]) + numpy(y[1:], x[1:, :5])) / 2
    found = loss(y, masked(x), label_lengths=[2, 2], input_lengths=[4, 5])
    assert to_numpy(found) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match=r"input_lengths must hold lengths in \[0, 6\] \(T of y_pred\), got 7"):
        loss(y, masked(x), input_lengths=[4, 7])


@pytest.mark.parametrize("jit", [False, True] if keras.backend.backend() != "torch" else [False])
def test_frames_of_unknown_number(jit: bool) -> None:
    y, x = np.array([[1, 2], [2, 1]]), RNG.normal(size=(2, 6, 4)).astype(np.float32)
    x[0, [1, 4]] = x[1, 5] = 0.0
    inputs = keras.Input((None, 4))
    model = keras.Model(inputs, keras.layers.Masking(0.0)(inputs))
    model.compile("sgd", loss=multiloss.get("ctc", backend="keras"), jit_compile=jit)
    numpy = multiloss.get("ctc", backend="numpy")
    expected = (numpy(y[:1], x[:1, [0, 2, 3, 5]]) + numpy(y[1:], x[1:, :5])) / 2
    assert model.evaluate(x, y, batch_size=2, verbose=0) == pytest.approx(float(expected), rel=1e-5)


# --- masks that no sample has


@pytest.mark.parametrize(
    ("name", "options", "y", "x"),
    [
        ("mse", {}, np.ones((3, 3)), np.eye(3)[..., None]),  # squeezed: a sample is a row
        ("cce", {"axis": 1}, np.ones((2, 3, 3)), np.ones((2, 3, 3))),
        ("mse", {"axis": None}, np.ones((2, 3)), np.ones((2, 3))),
        ("mse", {"axis": 0}, np.ones((3, 3)), np.ones((3, 3))),
        ("lovasz_softmax", {"class_axis": 1}, np.ones((2, 3), int), np.ones((2, 3, 3))),
    ],
)
def test_a_mask_over_what_is_one_sample(name: str, options: Any, y: Any, x: Any) -> None:
    """It would leave out other samples than it means wherever lengths happen to be equal."""
    loss = multiloss.get(name, backend="keras", **options)
    with pytest.raises(ValueError, match=r"y_pred has a mask of shape \(.*\) from a Keras layer, but the loss"):
        loss(y, masked(x.astype(np.float32)))


# --- center loss


def test_the_center_layer() -> None:
    """What is masked moves no center and has no part in the value."""
    labels, x = np.array([0, 1, 1, 0, 1, 0]), RNG.normal(size=(N, 2)).astype(np.float32)
    x[~KEEP] = 0.0
    values, moved = reference.center_step(np.zeros((2, 2)), labels[KEEP], x[KEEP], 0.5)
    for call in ("call", "value_and_grad", "update"):
        center = multiloss.keras.CenterLoss(num_classes=2, feature_dim=2)
        if call == "update":
            center.update(labels, masked(x))
        else:
            value = center(labels, masked(x)) if call == "call" else center.value_and_grad(labels, masked(x))[0]
            assert to_numpy(value) == pytest.approx(values.mean(), rel=1e-5)
        np.testing.assert_allclose(to_numpy(center.centers), moved, rtol=1e-5, atol=1e-7)


def test_the_wrapper_model() -> None:
    """The center loss leaves out the samples that the compiled loss leaves out."""
    x, labels = RNG.normal(size=(N, 4)).astype(np.float32), np.array([0, 1, 1, 0, 1, 0])
    x[~KEEP] = 0.0
    net = network(masking=True)
    model = with_center(net, weight=2.0)
    model.optimizer.learning_rate = 0.0
    embedded = to_numpy(keras.Model(net.input, net.get_layer("features").output)(x))
    values, moved = reference.center_step(np.zeros((3, 2)), labels[KEEP], embedded[KEEP], 0.5)
    expected = model.loss.to_backend("numpy")(labels, to_numpy(net(x)), mask=KEEP) + 2.0 * values.mean()
    assert fit(model, x, labels) == pytest.approx(float(expected), rel=1e-4)
    np.testing.assert_allclose(centers(model), moved, rtol=1e-4, atol=1e-6)

"""A trailing axis of 1, and weights, where Keras' trainers and layers put them: Keras' own losses are the reference."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import multiloss
import multiloss.keras
from helpers.arrays import dtype_name, native_grad, to_native, to_numpy

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:In loss categorical:SyntaxWarning"
)

RNG = np.random.default_rng(0)
OF_TWO = [
    "MeanSquaredError", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredLogarithmicError",
    "CosineSimilarity", "Huber", "LogCosh", "Hinge", "SquaredHinge", "CategoricalHinge", "KLDivergence", "Poisson",
    "BinaryCrossentropy", "BinaryFocalCrossentropy", "CategoricalCrossentropy", "CategoricalFocalCrossentropy", "Dice",
    "Tversky",
]  # fmt: skip
"""Keras' losses of targets and predictions of one shape."""
RANKS = [
    ((4,), (4, 1)),
    ((4, 1), (4,)),
    ((1,), (1, 1)),
    ((2, 4), (2, 4, 1)),
    ((2, 4, 1), (2, 4)),
    ((4, 1), (4, 1, 1)),
    ((4, 1, 1), (4, 1)),
    ((3, 3), (3, 3, 1)),
    ((1, 3, 1), (1, 3)),
    ((2, 2, 3), (2, 2, 3, 1)),
]


def drawn(shape: tuple[int, ...]) -> np.ndarray:
    return RNG.uniform(0.1, 0.9, shape).astype(np.float32)


def same(name: str, y: Any, x: Any, weight: Any = None, **options: Any) -> None:
    theirs = getattr(keras.losses, name)(**options)
    ours = multiloss.port(theirs, to="keras")
    expected = to_numpy(theirs(y, x, sample_weight=weight))
    found = to_numpy(ours(y, x, sample_weight=weight))
    np.testing.assert_allclose(np.ravel(found), np.ravel(expected), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("name", OF_TWO)
@pytest.mark.parametrize(("y", "x"), [((2, 4), (2, 4, 1)), ((3, 1), (3,)), ((2, 4, 1), (2, 4))])
def test_every_loss(name: str, y: Any, x: Any) -> None:
    same(name, drawn(y), drawn(x), reduction="sum")


@pytest.mark.parametrize(("y", "x"), RANKS)
@pytest.mark.parametrize("reduction", ["sum", "sum_over_batch_size", None])
def test_every_pair_of_ranks(y: Any, x: Any, reduction: Any) -> None:
    """Weights, too, with and without a trailing 1 of their own."""
    y, x = drawn(y), drawn(x)
    values = to_numpy(keras.losses.MeanSquaredError(reduction=None)(y, x))
    for weight in (None, drawn(values.shape), drawn((*values.shape, 1))):
        same("MeanSquaredError", y, x, weight, reduction=reduction)


def test_worked_numbers() -> None:
    """0 + 1 + 4 + ... + 49 is 140, over 4 elements a row; 1 + 4 + 9 is 14."""
    loss = multiloss.get("mse", backend="keras", reduction="sum")
    assert to_numpy(loss(np.arange(8.0).reshape(2, 4), np.zeros((2, 4, 1)))) == 35
    assert to_numpy(loss([[1.0], [2.0], [3.0]], [0.0, 0.0, 0.0])) == 14
    assert to_numpy(loss([1.0, 2.0, 3.0], [[0.0], [0.0], [0.0]])) == 14
    cosine = multiloss.get("cosine_similarity", backend="keras", reduction="none")
    assert to_numpy(cosine([[3.0, 4.0]], [[[4.0], [3.0]]])).tolist() == pytest.approx([-0.96])
    cce = multiloss.get("cce", backend="keras", reduction="none")
    assert to_numpy(cce([[1.0, 0.0]], [[[0.25], [0.75]]])).tolist() == pytest.approx([np.log(4)])


def test_other_shapes_are_refused() -> None:
    """Never to N x N, nor by more than one axis."""
    loss = multiloss.get("mse", backend="keras")
    for y, x in (((4,), (4, 1, 1)), ((4, 1), (4, 3)), ((4,), (4, 4)), ((4, 1, 1), (4,)), ((4,), (1, 4))):
        with pytest.raises(ValueError, match="y_true and y_pred must have equal shapes"):
            loss(drawn(y), drawn(x))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize(("y", "x"), [((2, 4), (2, 4, 1)), ((3, 1), (3,)), ((2, 4, 1), (2, 4)), ((3,), (3, 1))])
def test_gradients_are_like_what_was_given(y: Any, x: Any, dtype: str) -> None:
    """In its shape, also where it was squeezed or expanded, and in its dtype, of tensors and of NumPy arrays."""
    t, p = RNG.integers(0, 5, y).astype(dtype), RNG.integers(0, 5, x).astype(dtype)
    loss = multiloss.get("mse", backend="keras", axis=(), reduction="sum")
    by_x, by_y = 2 * (p - t.reshape(x)), 2 * (t - p.reshape(y))
    for given in ((t, p), (keras.ops.convert_to_tensor(t), keras.ops.convert_to_tensor(p))):
        both, alone = (loss.value_and_grad(*given, wrt=wrt)[1] for wrt in (("y_pred", "y_true"), "y_true"))
        first, second = loss.grad_and_hess(*given)
        for got, expected in ((both[0], by_x), (both[1], by_y), (alone, by_y), (first, by_x), (second, 0 * p + 2)):
            assert dtype_name(got) == dtype
            np.testing.assert_array_equal(to_numpy(got), expected)
    native = native_grad("keras", lambda x: loss(t, x), to_native("keras", p))
    np.testing.assert_array_equal(native, by_x)


@pytest.mark.parametrize("name", ["MeanSquaredError", "CosineSimilarity"])
def test_dense_1_over_time_steps_compiled(name: str) -> None:
    """Targets (N, T) of a model that gives (N, T, 1)."""
    inputs = keras.Input((5, 2))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    x, y, weight = drawn((6, 5, 2)), drawn((6, 5)), drawn((6,))
    found = []
    for loss in (getattr(keras.losses, name)(), multiloss.port(f"keras.losses.{name}()", to="keras")):
        model.compile("sgd", loss=loss)
        found.append(model.evaluate(x, y, sample_weight=weight, batch_size=6, verbose=0))
    assert found[1] == pytest.approx(found[0], rel=1e-5)


def test_labels() -> None:
    """(N, 1) and (N, T, 1) are (N,) and (N, T)."""
    y, x = RNG.integers(0, 3, (4, 2)), drawn((4, 2, 3))
    for labels, weight in ((y, None), (y[..., None], None), (y[..., None], drawn((4, 2, 1)))):
        same("SparseCategoricalCrossentropy", labels, x, weight, reduction="sum")


def test_trailing_1_of_other_inputs() -> None:
    """Of targets, labels and weights; (N, 1) is (N,)."""
    keep = np.array([0.2, 0.9, 0.4, 0.7], np.float32)
    for name, first, second in (
        ("crps", drawn((4,)), drawn((4, 3))),
        ("circle", np.array([0, 0, 1, 1]), drawn((4, 3))),
        ("ctc", np.array([[1], [1], [2], [1]]), drawn((4, 3, 3))),
    ):
        loss = multiloss.get(name, backend="keras", reduction="sum")
        expected = to_numpy(loss.to_backend("numpy")(first, second, sample_weight=keep))
        for y in (first, first[..., None]):
            found = loss(y, second, sample_weight=keep[:, None])
            np.testing.assert_allclose(to_numpy(found), expected, rtol=1e-5)
    loss = multiloss.get("crps", backend="keras")
    y, x = drawn((4, 1)), drawn((4, 3))
    by_y, by_x = loss.value_and_grad(y, x, wrt=("y_true", "y_pred"))[1]
    assert by_y.shape == (4, 1) and by_x.shape == (4, 3)


# --- weights by place


def test_ctc_takes_what_compile_hands_it() -> None:
    """-log of 15 of 81 alignments, twice: weights and no label lengths. Both are there by name."""
    y, x = np.array([[1, 2], [2, 1]]), np.zeros((2, 4, 3), np.float32)
    loss = multiloss.get("ctc", backend="keras")
    each = -np.log(15 / 81)
    for weight in ([2, 2], [2.0, 2.0], np.array([2.0, 2.0], np.float32), np.array([[2.0], [2.0]])):
        assert to_numpy(loss(y, x, weight)) == pytest.approx(2 * each, rel=1e-6)
        value, gradient = loss.value_and_grad(y, x, weight)
        assert to_numpy(value) == pytest.approx(2 * each, rel=1e-6) and gradient.shape == (2, 4, 3)
    assert to_numpy(loss(y, x, None)) == pytest.approx(each, rel=1e-6)
    both = loss(y, x, np.array([3.0, 0.0]), label_lengths=[1, 2], input_lengths=[2, 4])
    assert to_numpy(both) == pytest.approx(-np.log(3 / 9) * 3 / 2, rel=1e-6)  # "1-", "-1" and "11"
    assert to_numpy(loss(y, x, [1, 1], [4, 4])) == pytest.approx(-np.log(10 / 81), rel=1e-6)  # all inputs by place


def test_a_loss_without_a_backend_takes_inputs_by_place() -> None:
    """As on every backend, also of Keras' variables."""
    y, x = np.array([[1, 2], [2, 1]]), np.zeros((2, 4, 3), np.float32)
    loss, expected = multiloss.get("ctc"), -np.log(10 / 81)  # "1", with 4 of 4 frames
    for second in (x, keras.Variable(x)):
        assert float(to_numpy(loss(y, second, [1, 1]))) == pytest.approx(expected, rel=1e-6)
        assert float(to_numpy(loss.value_and_grad(y, second, [1, 1])[0])) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("weights", [np.array([2.0, 1.0, 4.0]), np.array([2, 1, 4])])
def test_ctc_in_evaluate_compiled(weights: Any) -> None:
    x, y = drawn((3, 4, 3)), np.array([[1], [2], [1]])
    inputs = keras.Input((4, 3))
    model = keras.Model(inputs, keras.layers.Activation("linear")(inputs))
    model.compile("sgd", loss=multiloss.get("ctc", backend="keras"))
    each = multiloss.get("ctc", backend="numpy", reduction="none")(y, x)
    found = model.evaluate(x, y, sample_weight=weights, batch_size=3, verbose=0)
    assert found == pytest.approx((each * weights).mean(), rel=1e-5)


def test_other_optional_inputs_by_place() -> None:
    """The bias of linear_cross_entropy is its fourth input, as on every backend; what follows are weights."""
    y, x, w, b = np.array([0, 2]), drawn((2, 4)), drawn((3, 4)), drawn((3,))
    loss, numpy = (multiloss.get("linear_cross_entropy", backend=name) for name in ("keras", "numpy"))
    weight = np.array([1.0, 3.0], np.float32)
    assert to_numpy(loss(y, x, w, b)) == pytest.approx(float(numpy(y, x, w, b)), rel=1e-5)
    expected = float(numpy(y, x, w, b, sample_weight=weight))
    assert to_numpy(loss(y, x, w, b, weight)) == pytest.approx(expected, rel=1e-5)

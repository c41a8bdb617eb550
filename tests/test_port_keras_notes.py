"""What the notes of Keras' ports say is true of Keras: its faults, which are not reproduced, and its conventions.

Also its loss objects, and arguments that are refused.
"""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import multiloss
from helpers.arrays import to_numpy
from helpers.ports import check, make, native
from multiloss import porting

pytestmark = [
    pytest.mark.cross,
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="Keras' numbers are those of TensorFlow"),
]


def theirs(form: str, y_true: Any, y_pred: Any, *, float32: bool = False) -> tuple[Any, Any]:
    """Keras' value and gradient; classes in float64 unless `float32`."""
    source, arguments = porting.resolve(f"keras.losses.{form}")
    call = native(source, arguments | ({"dtype": None} if float32 else {}), "tensorflow")
    p = tf.convert_to_tensor(np.asarray(y_pred, float))
    with tf.GradientTape() as tape:
        tape.watch(p)
        value = call(tf.convert_to_tensor(np.asarray(y_true)), p)
    return to_numpy(value), to_numpy(tf.convert_to_tensor(tape.gradient(value, p)))


def ours(form: str, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    loss = multiloss.port(f"keras.losses.{form}", to="numpy")
    value, gradient = loss.value_and_grad(np.asarray(y_true), np.asarray(y_pred, float))
    return np.asarray(value), np.asarray(gradient)


def noted(form: str, *words: str) -> None:
    """The port says so."""
    notes = " | ".join(multiloss.port(f"keras.losses.{form}", to="numpy").notes)
    for word in words:
        assert word in notes


def test_log_cosh() -> None:
    noted("log_cosh", "1.9e-9 too small")
    t, p = np.zeros((1, 1)), np.zeros((1, 1))
    assert theirs("log_cosh", t, p)[0][0] == pytest.approx(-1.904654e-9, rel=1e-5)
    assert ours("log_cosh", t, p)[0][0] == 0.0
    arrays = make({"y_true": "real", "y_pred": "real"}, (50, 1))
    gap = ours("log_cosh", *arrays.values())[0] - theirs("log_cosh", *arrays.values())[0]
    np.testing.assert_allclose(gap, 1.904654e-9, atol=1e-14)


def test_classes_cast() -> None:
    noted("MeanSquaredError()", "casts its arrays to floatx")
    arrays = make({"y_true": "real", "y_pred": "real"}, (4, 3))
    value = theirs("MeanSquaredError()", *arrays.values(), float32=True)[0]
    assert value.dtype == np.float32
    np.testing.assert_allclose(value, ours("MeanSquaredError()", *arrays.values())[0], rtol=1e-6)


@pytest.mark.parametrize(("gamma", "logit"), [(0.5, 40.0), (0.5, 1e4), (0.0, 1e4)])
def test_focal_gradient(gamma: float, logit: float) -> None:
    form = f"binary_focal_crossentropy(gamma={gamma}, from_logits=True)"
    noted(form, "for gamma < 1 Keras' gradient is nan")
    value, gradient = theirs(form, [[1.0]], [[logit]])
    assert value[0] == pytest.approx(0, abs=1e-15) and np.isnan(gradient).all()
    assert np.isfinite(ours(form, [[1.0]], [[logit]])[1]).all()


def test_focal_digits() -> None:
    """1 - p_t as a difference: at a logit of 30, 3 digits of 16 are right."""
    form = "binary_focal_crossentropy(gamma=1.0, from_logits=True)"
    noted(form, "loses the digits of confident samples")
    keras_value, value = theirs(form, [[1.0]], [[30.0]])[0][0], ours(form, [[1.0]], [[30.0]])[0][0]
    assert value == pytest.approx(np.exp(-60), rel=1e-10, abs=0)
    assert 1e-5 < abs(keras_value / value - 1) < 1e-2


def test_softmax_gradient() -> None:
    """TensorFlow's is right only where targets sum to 1."""
    form = "categorical_crossentropy(from_logits=True)"
    noted(form, "TensorFlow's gradient is softmax(z) - t")
    t, z = [[1.0, 1.0, 0.0]], [[1.0, 2.0, 3.0]]
    (value, gradient), (same, right) = theirs(form, t, z), ours(form, t, z)
    np.testing.assert_allclose(value, same, rtol=1e-12)
    p = np.exp(z) / np.exp(z).sum()
    np.testing.assert_allclose(gradient, p - t, rtol=1e-10)
    np.testing.assert_allclose(right, 2 * p - t, rtol=1e-10)


def test_smoothing_of_another_axis() -> None:
    form = "categorical_crossentropy(from_logits=True, label_smoothing=0.3, axis=1)"
    noted(form, "a fault of Keras, kept here")
    t = np.zeros((1, 2, 3))
    t[:, 0] = 1.0
    found = theirs(form, t, np.zeros((1, 2, 3)))[0]
    np.testing.assert_allclose(found, 0.9 * np.log(2), rtol=1e-12)  # 0.7 + 2 * 0.3 / 3, not 1


@pytest.mark.parametrize(
    "form", ["binary_crossentropy(from_logits=True)", "categorical_crossentropy(from_logits=True)"]
)
def test_infinite_logits(form: str) -> None:
    noted(form, "an infinite logit gives nan")
    assert np.isnan(theirs(form, [[1.0, 0.0]], [[np.inf, 0.0]])[0]).all()


def test_huber_of_an_infinite_error() -> None:
    noted("huber", "gradient of nan")
    assert np.isnan(theirs("huber", [[0.0]], [[np.inf]])[1]).all()
    assert ours("huber(delta=2.0)", [[0.0]], [[np.inf]])[1] == 2.0


def test_cosine_of_large_vectors() -> None:
    noted("cosine_similarity", "squares overflow")
    assert theirs("cosine_similarity", [[3.0, 4.0]], [[3e200, 4e200]])[0] == 0
    assert ours("cosine_similarity", [[3.0, 4.0]], [[3e200, 4e200]])[0] == pytest.approx(-1)


def test_poisson_of_a_negative_rate() -> None:
    noted("poisson", "nan, but a finite gradient")
    for value, gradient in (theirs("poisson", [[1.0]], [[-1.0]]), ours("poisson", [[1.0]], [[-1.0]])):
        assert np.isnan(value).all() and gradient == pytest.approx(2.0, rel=1e-6)


def test_generalized_cross_entropy_of_zero() -> None:
    form = "categorical_generalized_cross_entropy(q=0.5)"
    noted(form, "nan or infinite")
    assert not np.isfinite(theirs(form, [0], [[0.0, 1.0]])[1]).all()
    assert np.isfinite(ours(form, [0], [[0.0, 1.0]])[1]).all()


def test_own_sigmoid_is_taken_back() -> None:
    noted("binary_crossentropy", "takes probabilities that come from its own softmax or sigmoid back to their logits")
    p = keras.ops.sigmoid(tf.constant([[20.0]], tf.float64))
    assert to_numpy(keras.losses.binary_crossentropy([[0.0]], p)) == pytest.approx(20.0)
    assert multiloss.port("keras.losses.binary_crossentropy")([[0.0]], to_numpy(p)) == pytest.approx(16.118, abs=1e-3)


def test_logits_taken_for_probabilities() -> None:
    noted("binary_crossentropy", "clipped, with a loss of about 0 or 16 and gradient 0")
    for value, gradient in (
        theirs("binary_crossentropy", [[1.0]], [[3.0]]),
        ours("binary_crossentropy", [[1.0]], [[3.0]]),
    ):
        assert value == pytest.approx(1e-7, rel=1e-5) and gradient == 0


def test_ctc_without_an_alignment() -> None:
    noted("CTC()", "a value near 700", "in float32")
    labels, logits = np.array([[1, 1, 1, 1]]), np.zeros((1, 2, 3))
    assert 600 < theirs("ctc", labels, logits)[0][0] < 800
    assert np.isinf(to_numpy(multiloss.port("keras.losses.ctc", to="torch")(labels, logits))).all()


def test_circle_is_not_normalised() -> None:
    noted("Circle()", "divide them by their norms", "above 0")
    arrays = {"labels": np.array([0, 0, 1, 1]), "features": np.random.default_rng(0).normal(size=(4, 3))}
    check("keras.losses.Circle()", arrays, gradient="features", backends=("torch",))


def test_shapes_and_empty_batches() -> None:
    noted("poisson", "to N x N")
    assert to_numpy(keras.losses.poisson(np.ones((3, 1)), np.ones(3))).shape == (3,)  # of 3 x 3
    with pytest.raises(ValueError, match="equal shapes"):
        multiloss.port("keras.losses.poisson", to="numpy")(np.ones((3, 1)), np.ones(3))
    noted("MeanSquaredError()", "empty batch")
    assert to_numpy(keras.losses.MeanSquaredError()(np.ones((0, 3)), np.ones((0, 3)))).shape == (0,)
    assert multiloss.port("keras.losses.MeanSquaredError()", to="numpy")(np.ones((0, 3)), np.ones((0, 3))) == 0.0


OBJECTS: list[tuple[Any, str]] = [
    (lambda: keras.losses.Huber(delta=2.0), "Huber(delta=2.0)"),
    (lambda: keras.losses.CosineSimilarity(axis=0), "CosineSimilarity(axis=0)"),
    (lambda: keras.losses.SparseCategoricalCrossentropy(axis=1, ignore_class=2),
     "SparseCategoricalCrossentropy(ignore_class=2, axis=1)"),
    (lambda: keras.losses.CategoricalFocalCrossentropy(alpha=np.array([0.5, 2.0])),
     "CategoricalFocalCrossentropy([0.5, 2.0])"),
    (lambda: keras.losses.CategoricalFocalCrossentropy(alpha=tf.constant([0.5, 2.0])),
     "CategoricalFocalCrossentropy(alpha=np.array([0.5, 2.0]))"),
    (lambda: keras.losses.BinaryFocalCrossentropy(True, 0.3, reduction="sum"),
     "BinaryFocalCrossentropy(True, 0.3, reduction='sum')"),
    (lambda: keras.losses.Tversky(alpha=0.3, axis=(1, 2), reduction=None), "Tversky(0.3, reduction=None, axis=(1, 2))"),
    (lambda: keras.losses.Circle(gamma=3), "Circle(3)"),
    (lambda: keras.losses.MeanSquaredError(dtype="float64"), "MeanSquaredError(dtype='float64')"),
    (lambda: keras.losses.Hinge, "Hinge()"),
    (lambda: keras.losses.hinge, "hinge"),
]  # fmt: skip


@pytest.mark.parametrize(("made", "form"), OBJECTS, ids=[form for _, form in OBJECTS])
def test_objects(made: Any, form: str) -> None:
    """The object is what its written form is."""
    loss, wanted = multiloss.port(made(), to="numpy"), multiloss.port(f"keras.losses.{form}", to="numpy")
    assert loss == wanted and loss.notes == wanted.notes and loss.source == wanted.source
    assert multiloss.port(loss.source, to="numpy") == loss


def test_subclasses_are_not_their_base() -> None:
    class Mine(keras.losses.Huber):
        pass

    with pytest.raises(ValueError, match="source must be a loss"):
        multiloss.port(Mine())


@pytest.mark.parametrize(
    ("form", "error", "words"),
    [
        ("Loss()", ValueError, "base class"),
        ("get('mse')", ValueError, "give the loss"),
        ("deserialize()", ValueError, "give the loss"),
        ("serialize()", ValueError, "config"),
        ("MeanSquaredError(reduction='max')", ValueError, "reduction must be one of"),
        ("MeanSquaredError(delta=1)", TypeError, "no argument 'delta'"),
        ("categorical_generalized_cross_entropy", TypeError, "needs 'q'"),
        ("CategoricalGeneralizedCrossEntropy(q=1.0)", ValueError, "q must be in"),
        ("CategoricalGeneralizedCrossEntropy(q='x')", TypeError, "q must be a number"),
        ("circle(ref_labels=[1])", ValueError, "ref_labels"),
        ("binary_focal_crossentropy(gamma='x')", TypeError, "gamma must be a number"),
        ("Huber(delta=-1.0)", ValueError, "delta must be positive"),
        ("mean_squared_error(reduction='sum')", TypeError, "no argument 'reduction'"),
    ],
)
def test_refused(form: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        multiloss.port(f"keras.losses.{form}")


def test_argument_order() -> None:
    """Of every class, as Keras has it."""
    import inspect

    for name, source in porting.sources().items():
        if name.startswith("keras.") and source.is_class and source.refusal is None:
            wanted = inspect.signature(getattr(keras.losses, name.rpartition(".")[2])).parameters
            assert list(source.parameters) == list(wanted), name
            for key, parameter in wanted.items():
                assert key == "name" or source.parameters[key].default == parameter.default, (name, key)
        elif name.startswith("keras.") and source.refusal is None:
            wanted = inspect.signature(getattr(keras.losses, name.rpartition(".")[2])).parameters
            assert list(source.parameters) == [key for key in wanted if key not in ("y_true", "y_pred")], name

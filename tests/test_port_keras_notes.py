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
from helpers.ports import check, check_note, is_finite, is_nan, make
from multiloss import porting

pytestmark = [
    pytest.mark.cross,
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="Keras' numbers are those of TensorFlow"),
]


P = np.exp([[1.0, 2.0, 3.0]]) / np.exp([1.0, 2.0, 3.0]).sum()
T = np.array([[1.0, 1.0, 0.0]])
ALL = None, None
FOCAL = "binary_focal_crossentropy(gamma={}, from_logits=True)"
NOTES: list[tuple[str, str, Any, Any, Any, Any]] = [
    # written form, words of its notes, y_true, y_pred; value and gradient of Keras; of the port
    ("log_cosh", "1.9e-9 too small", [[0.0]], [[0.0]], (-1.904654e-9, None), (0.0, None)),
    *[(FOCAL.format(gamma), "for gamma < 1 Keras' gradient is nan", [[1.0]], [[logit]], (None, is_nan),
       (None, is_finite)) for gamma, logit in ((0.5, 40.0), (0.5, 1e4), (0.0, 1e4))],
    # 1 - p_t as a difference: at a logit of 30, 3 digits of 16 are right
    (FOCAL.format(1.0), "loses the digits of confident samples", [[1.0]], [[30.0]],
     (lambda x: 1e-5 < abs(x / np.exp(-60) - 1) < 1e-2, None), (np.exp(-60), None)),
    # right only where targets sum to 1
    ("categorical_crossentropy(from_logits=True)", "TensorFlow's gradient is softmax(z) - t", T, [[1.0, 2.0, 3.0]],
     (3.8152119289, P - T), (3.8152119289, 2 * P - T)),
    # 0.7 + 2 * 0.3 / 3, not 1
    ("categorical_crossentropy(from_logits=True, label_smoothing=0.3, axis=1)", "a fault of Keras, kept here",
     [[[1.0] * 3, [0.0] * 3]], np.zeros((1, 2, 3)), (0.9 * np.log(2), None), (0.9 * np.log(2), None)),
    *[(f"{name}(from_logits=True)", "an infinite logit gives nan", [[1.0, 0.0]], [[np.inf, 0.0]], (is_nan, None), ALL)
      for name in ("binary_crossentropy", "categorical_crossentropy")],
    ("huber(delta=2.0)", "gradient of nan", [[0.0]], [[np.inf]], (None, is_nan), (None, 2.0)),
    ("cosine_similarity", "squares overflow", [[3.0, 4.0]], [[3e200, 4e200]], (0.0, None), (-1.0, None)),
    ("poisson", "nan, but a finite gradient", [[1.0]], [[-1.0]], (is_nan, 2.0), (is_nan, 2.0)),
    ("categorical_generalized_cross_entropy(q=0.5)", "nan or infinite", [0], [[0.0, 1.0]],
     (None, lambda x: not is_finite(x)), (None, is_finite)),
    ("binary_crossentropy", "clipped, with a loss of about 0 or 16 and gradient 0", [[1.0]], [[3.0]], (1e-7, 0.0),
     (1e-7, 0.0)),
]  # fmt: skip


@pytest.mark.parametrize(("form", "words", "y_true", "y_pred", "theirs", "ours"), NOTES)
def test_notes_are_true(form: str, words: str, y_true: Any, y_pred: Any, theirs: Any, ours: Any) -> None:
    check_note(f"keras.losses.{form}", words, {"y_true": y_true, "y_pred": y_pred}, theirs, ours)


def noted(form: str, *words: str) -> None:
    notes = " | ".join(multiloss.port(f"keras.losses.{form}", to="numpy").notes)
    for word in words:
        assert word in notes


def test_classes_cast() -> None:
    noted("MeanSquaredError()", "casts its arrays to floatx")
    arrays = make({"y_true": "real", "y_pred": "real"}, (4, 3))
    value = to_numpy(keras.losses.MeanSquaredError()(*arrays.values()))
    assert value.dtype == np.float32
    np.testing.assert_allclose(
        value, multiloss.port("keras.losses.MeanSquaredError()", to="numpy")(**arrays), rtol=1e-6
    )


def test_own_sigmoid_is_taken_back() -> None:
    noted("binary_crossentropy", "takes probabilities that come from its own softmax or sigmoid back to their logits")
    p = keras.ops.sigmoid(tf.constant([[20.0]], tf.float64))
    assert to_numpy(keras.losses.binary_crossentropy([[0.0]], p)) == pytest.approx(20.0)
    assert multiloss.port("keras.losses.binary_crossentropy")([[0.0]], to_numpy(p)) == pytest.approx(16.118, abs=1e-3)


def test_ctc_without_an_alignment() -> None:
    noted("CTC()", "a value near 700", "in float32")
    labels, logits = np.array([[1, 1, 1, 1]]), np.zeros((1, 2, 3))
    assert 600 < to_numpy(keras.losses.ctc(labels, logits))[0] < 800
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
def test_an_object_is_what_its_written_form_is(made: Any, form: str) -> None:
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


def test_arguments_are_in_kerass_order() -> None:
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

"""Losses of Keras, ported: its own numbers, on its TensorFlow backend, over generated arguments and inputs.

What is Keras' own fault, and so not reproduced, is in `test_port_keras_notes.py`.
"""

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import multiloss
from helpers.arrays import to_native, to_numpy
from helpers.ports import SHAPES, check, make, native

pytestmark = [
    pytest.mark.cross,
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="Keras' numbers are those of TensorFlow"),
]
REDUCTIONS = [None, "none", "sum", "mean", "sum_over_batch_size", "mean_with_sample_weight"]
EAGER = ("numpy", "torch")
SMOOTH = st.sampled_from([0.0, 0.1, 0.3])
GAMMA = st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.0])
PART = st.floats(0.05, 2.0)

LOSSES: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    # class: (function, kind of y_true, kind of y_pred, arguments)
    "MeanSquaredError": ("mean_squared_error", "real", "real", {}),
    "MeanAbsoluteError": ("mean_absolute_error", "wide", "wide", {}),
    "MeanAbsolutePercentageError": ("mean_absolute_percentage_error", "wide", "real", {}),
    "MeanSquaredLogarithmicError": ("mean_squared_logarithmic_error", "real", "real", {}),
    "CosineSimilarity": ("cosine_similarity", "real", "real", {"axis": st.sampled_from([-1, 0])}),
    "Huber": ("huber", "real", "wide", {"delta": PART}),
    "Hinge": ("hinge", "sign", "real", {}),
    "SquaredHinge": ("squared_hinge", "bit", "real", {}),
    "CategoricalHinge": ("categorical_hinge", "hot", "real", {}),
    "KLDivergence": ("kl_divergence", "soft", "chance", {}),
    "Poisson": ("poisson", "count", "rate", {}),
    "BinaryCrossentropy": ("binary_crossentropy", "bit", "chance", {"label_smoothing": SMOOTH}),
    "BinaryCrossentropy of logits": (
        "binary_crossentropy", "bit", "real",
        {"from_logits": st.just(True), "label_smoothing": SMOOTH, "axis": st.sampled_from([-1, 0])},
    ),
    "BinaryFocalCrossentropy": (
        "binary_focal_crossentropy", "bit", "chance",
        {"apply_class_balancing": st.booleans(), "alpha": st.floats(0.0, 1.0), "gamma": GAMMA,
         "label_smoothing": SMOOTH},
    ),
    "BinaryFocalCrossentropy of logits": (
        "binary_focal_crossentropy", "bit", "real",
        {"from_logits": st.just(True), "apply_class_balancing": st.booleans(), "gamma": GAMMA,
         "label_smoothing": SMOOTH},
    ),
    "CategoricalCrossentropy": ("categorical_crossentropy", "hot", "chance", {"label_smoothing": SMOOTH}),
    "CategoricalCrossentropy of logits": (
        "categorical_crossentropy", "soft", "real", {"from_logits": st.just(True), "label_smoothing": SMOOTH},
    ),
    "CategoricalFocalCrossentropy": (
        "categorical_focal_crossentropy", "hot", "chance", {"alpha": PART, "gamma": GAMMA, "label_smoothing": SMOOTH},
    ),
    "CategoricalFocalCrossentropy of logits": (
        "categorical_focal_crossentropy", "soft", "real",
        {"from_logits": st.just(True), "alpha": PART, "gamma": GAMMA, "label_smoothing": SMOOTH},
    ),
    "SparseCategoricalCrossentropy": (
        "sparse_categorical_crossentropy", "label", "chance", {"ignore_class": st.sampled_from([None, 0, 2])},
    ),
    "SparseCategoricalCrossentropy of logits": (
        "sparse_categorical_crossentropy", "label", "real",
        {"from_logits": st.just(True), "ignore_class": st.sampled_from([None, 0, 2])},
    ),
    "CategoricalGeneralizedCrossEntropy": (
        "categorical_generalized_cross_entropy", "label", "chance", {"q": st.floats(0.05, 0.95)},
    ),
    "Dice": ("dice", "bit", "chance", {"axis": st.sampled_from([None, -1, (0,)])}),
    "Tversky": ("tversky", "bit", "chance", {"alpha": PART, "beta": PART, "axis": st.sampled_from([None, -1])}),
}  # fmt: skip
SEEDS = st.integers(0, 10**6)


def written(what: str, arguments: dict[str, Any], reduction: Any = "of the function") -> str:
    """Of the class with this reduction, or of the function."""
    name = what.split()[0]
    if reduction == "of the function":
        name = LOSSES[what][0]
    else:
        arguments = {**arguments, "reduction": reduction}
    return f"keras.losses.{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"


def usual(what: str) -> dict[str, Any]:
    """The arguments that the name of a row tells, and a class that is ignored."""
    return ({"from_logits": True} if "logits" in what else {}) | ({"ignore_class": 0} if what[:6] == "Sparse" else {})


def arrays_of(what: str, shape: tuple[int, ...], seed: int) -> dict[str, Any]:
    _, y_true, y_pred, _ = LOSSES[what]
    if y_true == "label" and len(shape) == 1:
        shape = (1, *shape)
    return make({"y_true": y_true, "y_pred": y_pred}, shape, seed)


@pytest.mark.parametrize("what", LOSSES)
@settings(max_examples=min(12, settings().max_examples))
@given(data=st.data())
def test_values_and_gradients_are_kerass(what: str, data: st.DataObject) -> None:
    arguments = {name: data.draw(values, name) for name, values in LOSSES[what][3].items()}
    reduction = data.draw(st.sampled_from([*REDUCTIONS, "of the function"]), "reduction")
    arrays = arrays_of(what, data.draw(st.sampled_from(SHAPES), "shape"), data.draw(SEEDS, "seed"))
    check(written(what, arguments, reduction), arrays, backends=EAGER, atol=1e-14)


@pytest.mark.graph
@pytest.mark.parametrize("what", LOSSES)
def test_compiled(what: str) -> None:
    arguments = {"q": 0.3} if "Generalized" in what else {}
    if "logits" in what:
        arguments["from_logits"] = True
    check(written(what, arguments), arrays_of(what, (4, 3), 1), backends=("jax", "tensorflow"))
    check(written(what, arguments, "sum_over_batch_size"), arrays_of(what, (2, 5, 3), 2), backends=("jax",))


@pytest.mark.parametrize("reduction", ["none", "sum", "mean", "mean_with_sample_weight"])
@pytest.mark.parametrize("what", [what for what in LOSSES if what not in ("Dice", "Tversky")])
def test_weights(what: str, reduction: str) -> None:
    weights = np.array([0.5, 0.0, 2.0, 1.0])
    source, _ = multiloss.porting.resolve(f"keras.losses.{what.split()[0]}")
    loss = native(source, usual(what) | {"reduction": reduction}, "tensorflow")
    given_weights = to_native("tensorflow", weights)
    arrays = arrays_of(what, (4, 3), 3) | {"sample_weight": weights}
    check(written(what, usual(what), reduction), arrays, backends=EAGER,
          peer=lambda t, p: loss(t, p, sample_weight=given_weights))  # fmt: skip


SHAPES_OF_WEIGHTS = [  # of y_pred, of the weights
    ((4, 3), ()), ((4, 3), (1,)), ((4, 3), (4,)), ((1, 3), ()), ((1, 3), (1,)), ((2, 5, 3), ()), ((2, 5, 3), (1, 1)),
    ((2, 5, 3), (2, 1)), ((2, 5, 3), (1, 5)), ((2, 5, 3), (2, 5)), ((1, 5, 3), (1, 1)), ((4, 1, 3), ()),
]  # fmt: skip
WHOLE = ("Dice", "Tversky")  # one value, which Keras multiplies and does not divide


@pytest.mark.parametrize("what", LOSSES)
def test_a_weight_for_several_values(what: str) -> None:
    """`mean_with_sample_weight` divides by the sum of the weights as they come, those of ignored labels left out."""
    form = written(what, usual(what), "mean_with_sample_weight")
    source, given = multiloss.porting.resolve(form)
    loss = native(source, given, "tensorflow")
    few = what not in ("MeanSquaredError", "SparseCategoricalCrossentropy of logits")
    for shape, of_weights in SHAPES_OF_WEIGHTS[6:8] if few else SHAPES_OF_WEIGHTS:
        weight = np.random.default_rng(1).uniform(0.5, 3.0, of_weights if what not in WHOLE else ())
        arrays = arrays_of(what, shape, 3) | {"sample_weight": weight}
        theirs = to_native("tensorflow", weight)
        compiled = ("jax", "tensorflow") if (what, of_weights) == ("MeanSquaredError", (2, 1)) else ()
        check(form, arrays, backends=EAGER + compiled, peer=lambda t, p, w=theirs: loss(t, p, sample_weight=w))


@pytest.mark.graph
def test_a_weight_for_several_values_by_hand() -> None:
    """Two errors of 1, a weight of 2: 4 / 2; and a sum of 0."""
    import tensorflow as tf

    form = "keras.losses.MeanSquaredError(reduction='mean_with_sample_weight')"
    y_true, y_pred = np.zeros((2, 1)), np.ones((2, 1))
    for backend in multiloss.list_backends():
        loss = multiloss.port(form, to=backend)
        assert float(loss(y_true, y_pred, sample_weight=2.0)) == 2.0
        assert float(loss(y_true, y_pred, sample_weight=[2.0, 2.0])) == 1.0
        assert float(loss(y_true, y_pred)) == 1.0
        value, gradient = loss.value_and_grad(y_true, y_pred, sample_weight=np.array([1.0, -1.0]))
        assert float(value) == 0.0
        assert not to_numpy(gradient).any()
    assert "sum is divided by that of the weights as they come" in " ".join(loss.notes)
    loss = multiloss.port(form, to="tensorflow")
    traced = tf.function(lambda t, p, w: loss(t, p, sample_weight=w), input_signature=[
        tf.TensorSpec((None, 1), tf.float64), tf.TensorSpec((None, 1), tf.float64), tf.TensorSpec((), tf.float64)
    ])  # fmt: skip
    assert float(traced(y_true, y_pred, np.float64(2.0))) == 2.0
    assert multiloss.porting.code(form)[0] == (
        "multiloss.get('mean_squared_error', reduction='keras.weighted_mean')"
    )  # and back
    assert multiloss.port(multiloss.port(form, to="keras"), to="keras.losses").reduction == "mean_with_sample_weight"
    back = multiloss.port(multiloss.get("mse", reduction="weighted_mean"), to="keras.losses")
    assert back.reduction == "mean_with_sample_weight"


@pytest.mark.parametrize("form", ["Circle", "CTC"])
def test_a_weight_for_several_values_of_other_inputs(form: str) -> None:
    """Where the samples of circle loss that count nothing are masked."""
    written_form = f"keras.losses.{form}(reduction='mean_with_sample_weight')"
    loss = native(multiloss.porting.resolve(written_form)[0], {"reduction": "mean_with_sample_weight"}, "tensorflow")
    wrt = "features" if form == "Circle" else "y_pred"
    if form == "Circle":
        arrays = make({"features": "unit"}, (5, 3)) | {"labels": np.array([0, 0, 1, 1, 2])}
    else:
        arrays = {"y_true": np.array([[1, 2, 0], [3, 3, 1], [2, 0, 0]]), **make({"y_pred": "real"}, (3, 8, 4))}
    for weight in (np.array(2.0), np.array([2.0]), np.arange(1.0, 1.0 + len(next(iter(arrays.values()))))):
        theirs = to_native("tensorflow", weight)
        check(written_form, arrays | {"sample_weight": weight}, rtol=2e-6, backends=EAGER, gradient=wrt,
              peer=lambda t, p, w=theirs: loss(t, p, sample_weight=w))  # fmt: skip


def test_log_cosh() -> None:
    arrays = make({"y_true": "real", "y_pred": "real"}, (4, 3))
    for form in ("keras.losses.log_cosh", "keras.losses.LogCosh()", "keras.losses.LogCosh(reduction='sum')"):
        check(form, arrays, rtol=1e-7)


@pytest.mark.parametrize("function", ["categorical_crossentropy", "categorical_focal_crossentropy"])
@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_another_axis(function: str, logits: bool, label_smoothing: float) -> None:
    """Keras smooths by the length of the last axis; TensorFlow's gradient is then another than the value's."""
    arrays = make({"y_true": "hot on 1", "y_pred": "real" if logits else "chance"}, (2, 5, 3))
    form = f"keras.losses.{function}(from_logits={logits}, label_smoothing={label_smoothing}, axis=1)"
    own = function == "categorical_crossentropy" and logits and label_smoothing > 0
    check(form, arrays, backends=EAGER, gradient=None if own else "y_pred")


@pytest.mark.parametrize("axis", [-1, 1])
def test_alpha_of_each_class_is_along_the_last_axis(axis: int) -> None:
    arrays = make({"y_true": "hot on 1", "y_pred": "real"}, (2, 3, 3))
    alpha = [0.5, 1.0, 2.0]
    form = f"keras.losses.CategoricalFocalCrossentropy(alpha={alpha}, from_logits=True, axis={axis})"
    check(form, arrays)


@pytest.mark.parametrize("kind", ["sign", "bit", "soft"])
@pytest.mark.parametrize("form", ["keras.losses.hinge", "keras.losses.SquaredHinge()"])
def test_labels_of_hinge_are_converted_where_all_are_0_or_1(form: str, kind: str) -> None:
    arrays = make({"y_true": kind, "y_pred": "real"}, (4, 3))
    check(form, arrays)
    check(form, {**arrays, "y_pred": np.ones((4, 3))})  # at the kink


def test_masked_labels_do_not_say_what_labels_the_batch_has() -> None:
    arrays = make({"y_true": "bit", "y_pred": "real"}, (4, 3))
    loss = multiloss.port("keras.losses.Hinge()", to="numpy")
    part = loss(arrays["y_true"][:2], arrays["y_pred"][:2])
    arrays["y_true"][2:] = -1.0
    assert loss(**arrays, mask=np.array([True, True, False, False])) == part != loss(**arrays)


def test_labels_of_hinge_on_the_keras_backend() -> None:
    """Targets of shape (N,) for predictions (N, 1), as Keras' trainers give them."""
    labels, z = np.array([0.0, 1.0, 1.0]), np.array([[0.3], [0.2], [-0.5]])
    loss = multiloss.port("keras.losses.Hinge()", to="keras")
    found = [to_numpy(loss(t, z)) for t in (labels, labels[:, None])]
    np.testing.assert_allclose(found, to_numpy(keras.losses.Hinge()(labels, z)), rtol=1e-6)


CIRCLE = ["circle", "circle(gamma=2, margin=0.1)", "Circle()", "Circle(2.0, 0.2, False)", "Circle(reduction='sum')",
          "Circle(reduction='mean_with_sample_weight')"]  # fmt: skip


@pytest.mark.parametrize("form", CIRCLE)
@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 2, 0, 3], [0] * 7, [0, 1, 2, 3, 4, 5, 6]])
def test_circle(form: str, labels: list[int]) -> None:
    arrays = make({"features": "unit"}, (7, 3)) | {"labels": np.array(labels)}
    check(f"keras.losses.{form}", arrays, gradient="features", backends=("numpy", "torch"))
    if labels[1:3] == [0, 1] and "(2.0" in form:
        check(f"keras.losses.{form}", arrays, gradient="features", backends=("jax", "tensorflow"))


def test_ctc() -> None:
    arrays = {"y_true": np.array([[1, 2, 0], [3, 3, 1], [0, 0, 0]]), **make({"y_pred": "real"}, (3, 8, 4))}
    for form in ("keras.losses.ctc", "keras.losses.CTC()", "keras.losses.CTC(reduction='sum')"):
        check(form, arrays, rtol=2e-6, backends=("torch",))
    check("keras.losses.CTC()", arrays, rtol=2e-6, backends=("jax",))


BIG = np.array([[1e4, -1e4, 0.0]])
ONE, TWO = np.array([[1.0, 0.0, 0.0]]), np.array([[0.0, 1.0, 0.0]])
LABEL = np.array([1])
EXTREMES: list[tuple[str, Any, Any]] = [
    ("binary_crossentropy", [[1.0, 0.0, 1.0, 0.0]], [[0.0, 1.0, 1.0, 0.0]]),  # all wrong, all right
    ("binary_crossentropy", [[1.0, 0.0]], [[1.2, -0.3]]),
    ("binary_crossentropy", [[1.0, 0.0]], [[1 - 1e-7, 1e-7]]),  # on the bounds
    ("binary_crossentropy(from_logits=True)", [[1.0, 0.0, 1.0, 0.0]], [[-1e4, 1e4, 1e4, -1e4]]),
    ("binary_crossentropy(from_logits=True)", [[0.0, 2.0]], [[-40.0, 3.0]]),
    ("binary_focal_crossentropy(from_logits=True)", [[1.0, 0.0]], [[-1e4, 1e4]]),
    ("binary_focal_crossentropy", [[1.0, 0.0, 1.0]], [[0.0, 1.0, 1.0]]),
    ("categorical_crossentropy(from_logits=True)", TWO, BIG),
    ("categorical_crossentropy(from_logits=True)", TWO, 1e296 * BIG),
    ("categorical_crossentropy", TWO, ONE),
    ("categorical_crossentropy", TWO, [[0.2, 0.2, 0.2]]),
    ("categorical_crossentropy", TWO, [[-0.5, 2.0, 0.1]]),
    ("categorical_focal_crossentropy(from_logits=True)", TWO, BIG),
    ("categorical_focal_crossentropy(gamma=0.5)", ONE, ONE),
    ("sparse_categorical_crossentropy(from_logits=True)", LABEL, BIG),
    ("sparse_categorical_crossentropy", LABEL, ONE),
    ("sparse_categorical_crossentropy", [0], [[1.0, 0.5, 0.5]]),  # clipped, then divided
    ("sparse_categorical_crossentropy(from_logits=True, ignore_class=1)", LABEL, BIG),
    ("SparseCategoricalCrossentropy(ignore_class=1)", LABEL, ONE),  # all ignored
    ("kl_divergence", ONE, TWO),
    ("kl_divergence", ONE, ONE),
    ("kl_divergence", [[0.5, 0.5]], [[2.0, -1.0]]),
    ("kl_divergence", [[0.5, 0.3, 0.2]], [[-0.7, -1.2, -1.6]]),  # logarithms
    ("poisson", [[2.0, 0.0]], [[0.0, 0.0]]),
    ("mean_absolute_percentage_error", [[0.0, 1e-9]], [[1.0, 1.0]]),
    ("mean_squared_logarithmic_error", [[-0.5, 2.0, 1e-3]], [[3.0, -0.5, -1e9]]),
    ("huber", [[0.0, 0.0]], [[1e300, -1e-300]]),
    ("huber(delta=2.0)", [[0.0, 0.0]], [[2.0, 0.0]]),
    ("log_cosh", [[0.0]], [[1e3]]),
    ("cosine_similarity", [[3.0, 4.0]], [[3e-10, 4e-10]]),
    ("cosine_similarity", [[3.0, 4.0]], [[0.0, 0.0]]),
    ("categorical_hinge", ONE, [[-5.0, -7.0, -9.0]]),  # 6: the right class stands against itself with 0
    ("dice", np.zeros((2, 3)), np.zeros((2, 3))),
    ("tversky(alpha=1.0, beta=0.0)", np.zeros((2, 3)), np.zeros((2, 3))),
    ("tversky(alpha=1.0, beta=0.0)", [[0.0]], [[1.0]]),  # swapped: a false positive costs 1e-7
    ("mean_absolute_error", [[1.0]], [[1.0]]),
    ("hinge", [[1.0, -1.0]], [[1e300, 1e300]]),
]


@pytest.mark.parametrize(("form", "y_true", "y_pred"), EXTREMES, ids=[f"{e[0]} {i}" for i, e in enumerate(EXTREMES)])
def test_values_and_gradients_at_extremes_are_kerass(form: str, y_true: Any, y_pred: Any) -> None:
    arrays = {"y_true": np.asarray(y_true), "y_pred": np.asarray(y_pred, float)}
    # Below the logarithm of 1 - 1e-7 lie 9 digits.
    check(f"keras.losses.{form}", arrays, rtol=1e-8, backends=("numpy", "torch", "jax"))


MUTANTS = [
    ("tversky(alpha=0.2, beta=0.9)", "tversky(alpha=0.9, beta=0.2)", "bit", "chance"),
    ("kl_divergence", "categorical_crossentropy", "soft", "chance"),
    ("binary_crossentropy", "binary_crossentropy(label_smoothing=1e-6)", "bit", "chance"),
    ("mean_squared_error", "mean_absolute_error", "real", "real"),
    ("MeanSquaredError()", "MeanSquaredError(reduction='sum')", "real", "real"),
    ("hinge", "squared_hinge", "sign", "real"),
    ("binary_focal_crossentropy(alpha=0.3)", "binary_focal_crossentropy(alpha=0.3, apply_class_balancing=True)", "bit",
     "chance"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "other", "y_true", "y_pred"), MUTANTS)
def test_another_loss_does_not_pass(form: str, other: str, y_true: str, y_pred: str) -> None:
    source, arguments = multiloss.porting.resolve(f"keras.losses.{other}")
    wrong = native(source, arguments, "tensorflow")
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check(f"keras.losses.{form}", make({"y_true": y_true, "y_pred": y_pred}, (4, 3)), backends=EAGER, peer=wrong)


def test_floatx_and_epsilon_of_keras_are_its_own() -> None:
    assert (keras.config.floatx(), keras.config.epsilon()) == ("float32", 1e-7)
    assert to_numpy(keras.losses.mean_squared_error(np.ones((1, 2)), np.zeros((1, 2)))) == 1.0

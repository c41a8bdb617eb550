"""Losses of Optax, ported: its own numbers, over generated arguments and inputs.

What is Optax' own fault, and so not reproduced, is in `test_port_optax_notes.py`.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.ports import SHAPES, check, make, native
from multiloss import porting

pytestmark = [pytest.mark.cross, pytest.mark.filterwarnings("ignore:The function convex_kl_divergence")]
EAGER = ("numpy", "torch")
AXES = st.sampled_from([-1, 0, None, (0,)])
PART = st.sampled_from([0.05, 0.5, 1.3])  # few, so that JAX compiles few

LOSSES: dict[str, tuple[str, str, dict[str, Any]]] = {
    # function: (kind of y_true, kind of y_pred, arguments)
    "squared_error": ("real", "wide", {}),
    "l2_loss": ("real", "real", {}),
    "huber_loss": ("real", "wide", {"delta": PART}),
    "cosine_similarity": ("real", "real", {"axis": AXES, "epsilon": st.sampled_from([0.0, 1e-8, 2.0])}),
    "cosine_distance": ("real", "real", {"axis": AXES, "epsilon": st.sampled_from([0.0, 1e-8, 2.0])}),
    "kl_divergence": ("soft", "log", {"axis": AXES}),
    "kl_divergence_with_log_targets": ("log", "log", {"axis": AXES}),
    "generalized_kl_divergence": ("rate", "real", {"axis": AXES}),
    "convex_kl_divergence": ("rate", "real", {}),
    "sigmoid_binary_cross_entropy": ("chance", "real", {}),
    "sigmoid_focal_loss": (
        "bit", "real", {"alpha": st.sampled_from([None, 0.25]), "gamma": st.sampled_from([0.0, 0.5, 1.0, 2.5])},
    ),
    "hinge_loss": ("sign", "real", {}),
    "perceptron_loss": ("sign", "real", {}),
    "softmax_cross_entropy": ("hot", "real", {"axis": AXES}),
    "safe_softmax_cross_entropy": ("soft", "real", {}),
    "poly_loss_cross_entropy": ("soft", "real", {"epsilon": st.sampled_from([0.0, 2.0, -0.5]), "axis": AXES}),
    "ranking_softmax_loss": ("count", "real", {"reduce_fn": st.sampled_from([None, "mean"])}),
    "softmax_cross_entropy_with_integer_labels": ("label", "real", {}),
    "multiclass_hinge_loss": ("label", "real", {}),
    "multiclass_perceptron_loss": ("label", "real", {}),
    "dice_loss": (
        "hot", "real",
        {"smooth": st.sampled_from([0.1, 1.0]), "alpha": PART, "beta": PART,
         "class_weights": st.sampled_from([None, [0.5, 1.0, 2.0]]), "ignore_background": st.booleans(),
         "reduction": st.sampled_from(["mean", "sum", "none"]), "axis": st.sampled_from([None, 0, (0,)])},
    ),
    "binary_dice_loss": ("bit", "real", {"smooth": PART}),
    "multiclass_generalized_dice_loss": ("hot", "real", {"smooth": PART, "ignore_background": st.booleans()}),
}  # fmt: skip
OF_CLASSES = ("dice_loss", "multiclass_generalized_dice_loss")


def written(what: str, arguments: dict[str, Any]) -> str:
    return f"optax.losses.{what}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"


def arrays_of(what: str, shape: tuple[int, ...], seed: int) -> dict[str, Any]:
    y_true, y_pred, _ = LOSSES[what]
    if len(shape) == 1 and (y_true == "label" or what in OF_CLASSES):
        shape = (1, 3)
    return make({"y_true": y_true, "y_pred": y_pred}, shape, seed)


def peer_of(form: str) -> Any:
    source, arguments = porting.resolve(form)
    if arguments.get("reduce_fn") == "mean":
        del arguments["reduce_fn"]
    return native(source, arguments, "jax")


@pytest.mark.parametrize("what", LOSSES)
@settings(max_examples=min(6, settings().max_examples))  # Optax is slow on arrays of a new shape
@given(data=st.data())
def test_values_and_gradients_are_optaxs(what: str, data: st.DataObject) -> None:
    arguments = {name: data.draw(values, name) for name, values in LOSSES[what][2].items()}
    shape = data.draw(st.sampled_from(SHAPES), "shape")
    form = written(what, arguments)
    arrays = arrays_of(what, shape, data.draw(st.integers(0, 10**6), "seed"))
    check(form, arrays, backends=EAGER, atol=1e-14, peer=peer_of(form))


@pytest.mark.graph
@pytest.mark.parametrize("what", LOSSES)
def test_compiled(what: str) -> None:
    check(written(what, {}), arrays_of(what, (4, 3), 1), backends=("jax", "tensorflow"))
    check(written(what, {}), arrays_of(what, (2, 5, 3), 2), backends=("jax",))


def test_log_cosh() -> None:
    check("optax.log_cosh", make({"y_true": "real", "y_pred": "real"}, (4, 3)), rtol=1e-8)


def test_sparsemax() -> None:
    arrays = make({"y_true": "bit label", "y_pred": "real"}, (4, 3))
    check("optax.losses.sparsemax_loss", arrays)
    check("optax.losses.multiclass_sparsemax_loss", make({"y_true": "label", "y_pred": "real"}, (6, 3)))


@pytest.mark.parametrize("axis", [0, 1, (0,)])
def test_classes_on_another_axis(axis: Any) -> None:
    kinds = {"y_true": "label of 0", "y_pred": "real"} if axis != 1 else {"y_true": "label", "y_pred": "real"}
    arrays = make(kinds, (4, 3))
    check(f"optax.losses.softmax_cross_entropy_with_integer_labels(axis={axis})", arrays)


@pytest.mark.parametrize("form", ["softmax_cross_entropy", "poly_loss_cross_entropy"])
@pytest.mark.parametrize("axis", [(1, 2), (-1, 0), None])
def test_classes_on_several_axes(form: str, axis: Any) -> None:
    arrays = make({"y_true": "chance", "y_pred": "wide"}, (2, 3, 3))
    arrays["y_pred"] = np.clip(arrays["y_pred"], -1e3, 1e3)
    check(f"optax.losses.{form}(axis={axis})", arrays, backends=("numpy", "torch", "jax", "tensorflow"))


@pytest.mark.parametrize("temperature", [0.07, 0.5, 2.0])
@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 0, 2], [0, 1, 2, 3, 4, 4]])
def test_ntxent(temperature: float, labels: list[int]) -> None:
    arrays = make({"features": "real"}, (6, 3)) | {"labels": np.array(labels)}
    form = f"optax.losses.ntxent(temperature={temperature})"
    check(form, arrays, gradient="features", backends=EAGER)
    if temperature == 0.5:
        check(form, arrays, gradient="features", backends=("jax", "tensorflow"))


TRIPLETS = ["", "margin=0.2", "norm_degree=4, eps=1e-3", "norm_degree=1", "norm_degree=1, margin=-0.5", "eps=0.0"]


@pytest.mark.parametrize("arguments", TRIPLETS)
@pytest.mark.parametrize("wrt", ["anchor", "positive", "negative"])
def test_triplet_margin(arguments: str, wrt: str) -> None:
    arrays = make({"anchor": "real", "positive": "real", "negative": "real"}, (5, 3))
    backends = ("numpy", "torch", "jax") if wrt == "anchor" else EAGER
    check(f"optax.losses.triplet_margin_loss({arguments})", arrays, gradient=wrt, backends=backends)


def test_triplet_margin_of_an_odd_degree() -> None:
    """Differences of one sign; of others Optax gives nan, or lets them cancel."""
    arrays = make({"anchor": "rate", "positive": "chance", "negative": "chance"}, (5, 3))
    arrays["anchor"] = arrays["anchor"] + 1
    check("optax.losses.triplet_margin_loss(norm_degree=3)", arrays, gradient="positive", backends=EAGER)
    check("optax.losses.triplet_margin_loss(norm_degree=1.5)", arrays, gradient="positive", backends=EAGER)


@pytest.mark.parametrize("blank", [0, 4])
def test_ctc(blank: int) -> None:
    """Optax' paddings are lengths here."""
    z = make({"y_pred": "real"}, (3, 8, 5))["y_pred"]
    label_lengths, input_lengths = np.array([3, 2, 0]), np.array([8, 4, 5])
    no_frame = jnp.asarray(np.arange(8) >= input_lengths[:, None], dtype=float)
    no_label = jnp.asarray(np.arange(3) >= label_lengths[:, None], dtype=float)
    arrays = {"y_true": np.array([[1, 2, 2], [3, 3, 1], [3, 1, 2]]), "y_pred": z, "label_lengths": label_lengths,
              "input_lengths": input_lengths}  # fmt: skip

    def peer(z: Any, _: Any, labels: Any, __: Any) -> Any:
        return optax.losses.ctc_loss(z, no_frame, labels, no_label, blank_id=blank)

    check(f"optax.losses.ctc_loss(blank_id={blank})", arrays, peer=peer, backends=("numpy", "jax"))


def test_dice_without_smoothing() -> None:
    arrays = make({"y_true": "hot", "y_pred": "real"}, (2, 5, 3))
    check("optax.losses.dice_loss(smooth=0.0, alpha=0.3, beta=0.9)", arrays)


def test_dice_of_probabilities() -> None:
    arrays = make({"y_true": "hot", "y_pred": "soft"}, (2, 5, 3))
    for form in ("dice_loss(apply_softmax=False)", "multiclass_generalized_dice_loss(apply_softmax=False)"):
        check(f"optax.losses.{form}", arrays, gradient=None)


def test_dice_of_one_class() -> None:
    arrays = make({"y_true": "bit", "y_pred": "real"}, (2, 5, 1))
    for form in ("dice_loss", "binary_dice_loss"):
        check(f"optax.losses.{form}", arrays)
    check("optax.losses.binary_dice_loss", {name: x[..., 0] for name, x in arrays.items()}, backends=EAGER)


BIG = np.array([[1e4, -1e4, 0.0]])
INF = np.array([[0.0, 0.0, -np.inf]])
EXTREMES: list[tuple[str, Any, Any]] = [
    ("sigmoid_binary_cross_entropy", [[1.0, 0.0, 1.0, 0.0]], [[-1e4, 1e4, 1e4, -1e4]]),
    ("sigmoid_binary_cross_entropy", [[0.0, 2.0]], [[-40.0, 3.0]]),
    ("sigmoid_focal_loss(gamma=0.5)", [[1.0, 0.0]], [[-1e4, 1e4]]),
    ("softmax_cross_entropy", [[0.0, 1.0, 0.0]], BIG),
    ("softmax_cross_entropy", [[0.0, 1.0, 0.0]], 1e296 * BIG),
    ("softmax_cross_entropy", [[1.0, 1.0, 0.0]], [[1.0, 2.0, 3.0]]),  # targets that do not sum to 1
    ("safe_softmax_cross_entropy", [[0.5, 0.5, 0.0]], INF),
    ("softmax_cross_entropy_with_integer_labels", [1], BIG),
    ("softmax_cross_entropy_with_integer_labels", [1], INF),
    ("multiclass_hinge_loss", [0], [[-5.0, -7.0, -9.0]]),
    ("hinge_loss", [[0.0, 0.0]], [[0.3, 5.0]]),  # labels 0 are no labels of it: 1, with gradient 0
    ("huber_loss", [[0.0, 0.0]], [[1e300, -1e-300]]),
    ("huber_loss(delta=2.0)", [[0.0, 0.0, 0.0]], [[2.0, 0.0, np.inf]]),
    ("log_cosh", [[0.0]], [[1e3]]),
    ("kl_divergence", [[1.0, 0.0]], [[-1e4, -0.1]]),
    ("cosine_similarity(epsilon=1e-8)", [[3.0, 4.0]], [[0.0, 0.0]]),
    ("cosine_similarity(epsilon=1e-8)", [[3.0, 4.0]], [[3e-10, 4e-10]]),
    ("dice_loss", np.zeros((1, 4, 1)), np.full((1, 4, 1), -800.0)),  # nothing, and found nothing
]


@pytest.mark.parametrize(("form", "y_true", "y_pred"), EXTREMES, ids=[f"{e[0]} {i}" for i, e in enumerate(EXTREMES)])
def test_values_and_gradients_at_extremes_are_optaxs(form: str, y_true: Any, y_pred: Any) -> None:
    check(f"optax.losses.{form}", {"y_true": np.asarray(y_true), "y_pred": np.asarray(y_pred)})


MUTANTS = [
    ("squared_error", "l2_loss", "real", "real"),
    ("cosine_similarity", "cosine_distance", "real", "real"),
    ("dice_loss(alpha=0.2)", "dice_loss(beta=0.2)", "hot", "real"),
    ("huber_loss", "huber_loss(delta=1.0001)", "real", "wide"),
    ("kl_divergence", "generalized_kl_divergence", "rate", "log"),
]


@pytest.mark.parametrize(("form", "other", "y_true", "y_pred"), MUTANTS)
def test_another_loss_does_not_pass(form: str, other: str, y_true: str, y_pred: str) -> None:
    wrong = peer_of(f"optax.losses.{other}")
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check(f"optax.losses.{form}", make({"y_true": y_true, "y_pred": y_pred}, (4, 3)), backends=EAGER, peer=wrong)

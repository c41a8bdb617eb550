"""The way back: the library's own object, whose numbers are those of the loss; and a plain word where there is none."""

from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import to_native, to_numpy
from multiloss import porting
from multiloss.engine.loss import LossObject

pytestmark = pytest.mark.cross
RNG = np.random.default_rng(0)
Y, P = RNG.normal(size=(5, 4)), RNG.normal(size=(5, 4))
LABELS = RNG.integers(0, 4, size=5)
HOT = np.eye(4)[LABELS]
SIGNS = np.sign(Y)
CHANCES = np.exp(Y) / np.exp(Y).sum(-1, keepdims=True)

FORTH = {
    "mean_squared_error": ({}, Y, P, ("torch.nn", "keras.losses", "optax")),
    "mean_absolute_error": ({}, Y, P, ("torch.nn", "keras.losses")),
    "huber": ({"delta": 0.5}, Y, P, ("torch.nn", "keras.losses", "optax")),
    "smooth_l1": ({"beta": 0.5}, Y, P, ("torch.nn",)),
    "half_squared_error": ({"reduction": "sum", "axis": ()}, Y, P, ("optax",)),
    "sparse_categorical_crossentropy": ({"from_logits": True}, LABELS, P, ("torch.nn", "keras.losses", "optax")),
    "categorical_crossentropy": (
        {"from_logits": True, "label_smoothing": 0.1}, HOT, P, ("torch.nn", "keras.losses")),
    "binary_crossentropy": ({"from_logits": True}, (SIGNS + 1) / 2, P, ("torch.nn", "keras.losses", "optax")),
    "kl_divergence": ({"log_input": True, "reduction": "batchmean", "epsilon": 0.0},
                      CHANCES, np.log(CHANCES[::-1]), ("torch.nn",)),
    "multi_margin": ({"margin": 0.5, "power": 2}, LABELS, P, ("torch.nn",)),
    "hinge_embedding": ({"axis": (), "margin": 0.5}, SIGNS, P, ("torch.nn",)),
    "soft_margin": ({"axis": ()}, SIGNS, P, ("torch.nn",)),
    "hinge": ({}, SIGNS, P, ("optax",)),
    "cosine_distance": ({"reduction": "sum"}, Y, P, ("optax",)),
}  # fmt: skip
PAIRS = [(name, library) for name, (*_, libraries) in FORTH.items() for library in libraries]


@pytest.mark.parametrize(("name", "library"), PAIRS)
def test_the_native_object_gives_the_numbers_of_the_loss(name: str, library: str) -> None:
    options, y_true, y_pred, _ = FORTH[name]
    wanted = multiloss.get(name, backend="numpy", **options)(y_true, y_pred)
    theirs = multiloss.port(multiloss.get(name, **options), to=library)
    backend = {"torch.nn": "torch", "keras.losses": "tensorflow", "optax": "jax"}[library]
    assert not type(theirs).__module__.startswith("multiloss_")
    arrays = [to_native(backend, x) for x in (y_true, y_pred)]
    found = to_numpy(theirs(*(arrays if library == "keras.losses" else arrays[::-1])))
    # Keras' classes compute in single precision.
    np.testing.assert_allclose(found, wanted, rtol=1e-5 if library == "keras.losses" else 1e-10)


def test_where_there_is_no_way_back_the_notes_say_so() -> None:
    loss = multiloss.port(multiloss.get("tweedie", power=1.2), to="torch.nn")
    assert loss.backend == "torch" and loss.config()["power"] == 1.2
    assert loss.notes[0].startswith("torch.nn has no loss with these numbers")
    code, notes = porting.code(multiloss.get("quantile", q=0.9), to="keras.losses")
    assert code == "multiloss.get('quantile', backend='keras', q=0.9)" and notes[0].startswith("keras.losses has no")


@pytest.mark.filterwarnings("ignore:.NLLLoss2d.:FutureWarning")
@pytest.mark.parametrize("name", sorted(porting.sources()))
def test_a_port_goes_back_to_what_it_was_made_of(name: str) -> None:
    source = porting.sources()[name]
    if source.refusal is not None:
        with pytest.raises(porting.RefusedError):
            multiloss.port(name)
        return
    library = name.rpartition(".")[0]
    needed = ", ".join(f"{key}=0.5" for key, p in source.parameters.items() if p.default is p.empty)
    ours = multiloss.port(f"{name}({needed})")
    code, _ = porting.code(ours, to="torch.nn" if library.startswith("torch") else library)
    assert name in code or library == "torch.nn.functional"
    assert "multiloss" not in code, code
    assert callable(evaluated(code))


def evaluated(code: str) -> Any:
    import jax
    import keras
    import optax
    import torch

    return eval(code, {"jax": jax, "keras": keras, "optax": optax, "torch": torch})


LOGS, CHANCE, BITS = np.log(CHANCES), CHANCES[::-1].copy(), (SIGNS + 1) / 2
WITH_ARRAYS = [
    ("torch.nn.CrossEntropyLoss(weight=[1, 2, 0.5, 3])", LABELS, P),
    ("torch.nn.functional.cross_entropy(weight=[1, 2, 0.5, 3], reduction='sum')", LABELS, P),
    ("torch.nn.CrossEntropyLoss(weight=[1, 2, 3, 4])", LABELS, P),
    ("torch.nn.BCEWithLogitsLoss(pos_weight=2)", BITS, P),
    ("torch.nn.functional.nll_loss(weight=[1, 2, 0.5, 3])", LABELS, LOGS),
    ("torch.nn.MultiMarginLoss(weight=[1, 2, 0.5, 3])", LABELS, P),
    ("torch.nn.BCELoss(weight=[1, 2, 0.5, 3])", BITS, CHANCE),
    ("torch.nn.BCEWithLogitsLoss(pos_weight=2.0)", BITS, P),
    ("torch.nn.functional.binary_cross_entropy_with_logits(pos_weight=[1, 2, 0.5, 3])", BITS, P),
    ("torch.nn.functional.multilabel_soft_margin_loss(weight=[1, 2, 0.5, 3])", BITS, P),
    ("optax.losses.ranking_softmax_loss(reduce_fn='sum')", CHANCE, P),
    ("optax.losses.ranking_softmax_loss(reduce_fn=None)", CHANCE, P),
    ("optax.losses.dice_loss(class_weights=[1, 2, 0.5, 3])", HOT, P),
    ("optax.losses.kl_divergence(axis=(0, 1))", CHANCE, LOGS),
    ("optax.losses.softmax_cross_entropy(axis=(0, 1))", CHANCE, P),
]


@pytest.mark.parametrize(("form", "y_true", "y_pred"), WITH_ARRAYS)
def test_arrays_among_arguments_are_arrays_in_the_object_and_the_code(form: str, y_true: Any, y_pred: Any) -> None:
    wanted = multiloss.port(form, to="numpy")(y_true, y_pred)
    library, backend = ("torch.nn", "torch") if form.startswith("torch") else ("optax", "jax")
    inputs = [to_native(backend, x if x.dtype.kind == "i" else x.astype(np.float32)) for x in (y_pred, y_true)]
    for theirs in (multiloss.port(form, to=library), evaluated(porting.code(form, to=library)[0])):
        np.testing.assert_allclose(to_numpy(theirs(*inputs)), wanted, rtol=1e-5)


def test_distances() -> None:
    """A distance that torch made of None is none; another is an object of torch that has its options."""
    import torch

    usual = torch.nn.TripletMarginWithDistanceLoss(margin=0.5)
    assert porting.code(usual, to="torch.nn")[0] == "torch.nn.TripletMarginWithDistanceLoss(margin=0.5)"
    cubed = torch.nn.TripletMarginWithDistanceLoss(distance_function=torch.nn.PairwiseDistance(3.0, 1e-3))
    assert porting.code(cubed, to="torch.nn")[0] == "torch.nn.TripletMarginLoss(p=3.0, eps=0.001)"


@pytest.mark.parametrize(
    "options", [{}, {"axis": ()}, {"reduction": "sum"}, {"reduction": "none"}, {"log_input": True}]
)
@pytest.mark.parametrize("name", multiloss.list_losses())
def test_every_loss_has_a_native_object_or_a_note_that_there_is_none(name: str, options: dict[str, Any]) -> None:
    try:
        loss = multiloss.get(name, **options)
    except (TypeError, ValueError):  # it has no such option
        return
    if not isinstance(loss, LossObject):  # center losses hold state
        return
    for library in ("torch.nn", "keras.losses", "optax"):
        code, notes = porting.code(loss, to=library)
        assert ("multiloss" in code) == notes[0].startswith(f"{library} has no loss") if notes else True
        assert callable(multiloss.port(loss, to=library))


def test_what_only_looks_alike() -> None:
    assert "multiloss" in porting.code("optax.triplet_margin_loss", to="torch.nn")[0]
    assert porting.code("optax.triplet_margin_loss(eps=0.0)", to="torch.nn")[0] == (
        "torch.nn.TripletMarginLoss(eps=0.0, reduction='none')"
    )


def test_across_libraries() -> None:
    assert porting.code("keras.losses.Huber(delta=2.0)", to="torch.nn")[0] == "torch.nn.HuberLoss(delta=2.0)"
    code, _ = porting.code("torch.nn.MSELoss(reduction='none')", to="optax")
    assert code == "lambda y_pred, y_true: optax.losses.squared_error(y_pred, y_true)"


@pytest.mark.parametrize(
    ("name", "options", "arguments"),
    [
        ("torch.nn.TripletMarginLoss", {"power": 3.0, "epsilon": 1e-3, "margin": 1.0}, {"p": 3.0, "eps": 1e-3}),
        ("torch.nn.CrossEntropyLoss", {"class_weight": (1.0, 2.0), "reduction": "weighted_mean"},
         {"weight": (1.0, 2.0)}),
        ("torch.nn.NLLLoss", {"ignore_index": None, "reduction": "sum"}, {"reduction": "sum"}),
        ("keras.losses.BinaryFocalCrossentropy", {"alpha": 0.5, "reduction": "none"},
         {"apply_class_balancing": True, "alpha": 0.5, "reduction": None}),
        ("keras.losses.BinaryFocalCrossentropy", {"alpha": None, "gamma": 3.0}, {"gamma": 3.0}),
        ("keras.losses.SparseCategoricalCrossentropy", {"ignore_index": 3, "reduction": "weighted_mean"},
         {"ignore_class": 3, "reduction": "mean_with_sample_weight"}),
        ("optax.losses.dice_loss", {"over": (1, 2), "over_classes": "sum"}, {"axis": (1, 2), "reduction": "sum"}),
        ("optax.losses.ctc_loss", {"blank": 2}, {"blank_id": 2}),
        ("optax.losses.poly_loss_cross_entropy", {"poly_epsilon": 1.0, "axis": -1}, {"epsilon": 1.0}),
        ("optax.losses.triplet_margin_loss", {"power": 4, "epsilon": 0.1}, {"norm_degree": 4, "eps": 0.1}),
    ],
)  # fmt: skip
def test_rows_declare_the_way_back(name: str, options: dict[str, Any], arguments: dict[str, Any]) -> None:
    found = porting.sources()[name].way_back({"reduction": "mean", **options})
    assert found == arguments


def test_reduce_fn_is_the_way_back_of_the_reduction() -> None:
    for reduction, wanted in (("sum", "reduce_fn=jax.numpy.sum"), ("none", "reduce_fn=None")):
        code, _ = porting.code(multiloss.get("ranking_softmax", reduction=reduction), to="optax")
        assert code == (f"lambda y_pred, y_true: optax.losses.ranking_softmax_loss(y_pred, y_true, {wanted})")

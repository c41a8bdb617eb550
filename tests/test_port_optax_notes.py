"""What the notes of Optax' ports say is true of Optax: its faults, which are not reproduced, and its conventions.

Also functions and partials as objects, and arguments that are refused.
"""

import functools
import inspect
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import multiloss
from helpers.ports import check_note, has_nan, is_finite, is_nan
from multiloss import porting

pytestmark = pytest.mark.cross


X = np.random.default_rng(0).normal(size=(4, 3))
HALF = [[np.log(0.5), np.log(0.5)]]
A, N = np.array([[1.0, 2.0]]), np.array([[1.5, 1.0]])
LARGE, ZERO = [[3e200, 4e200]], [[0.0, 0.0]]


def given(y_true: Any, y_pred: Any) -> dict[str, Any]:
    return {"y_true": y_true, "y_pred": y_pred}


NOTES: list[tuple[str, str, dict[str, Any], Any, Any, str]] = [
    # written form, words of its notes, arrays; value and gradient of Optax; of the port
    ("log_cosh", "loses the digits of small errors", given([0.0], [1e-8]), (lambda x: abs(x / 5e-17 - 1) > 0.5, None),
     (5e-17, None), "y_pred"),
    *[(f"cosine_{name}", words, given([[3.0, 4.0]], p), theirs, ours, "y_pred")
      for name, right in (("similarity", 1.0), ("distance", 0.0))
      for words, p, theirs, ours in (("nan for a vector of 0", ZERO, (is_nan, is_nan), (1 - right, 0.0)),
                                     ("squares overflow", LARGE, (1 - right, None), (right, None)))],
    ("kl_divergence", "0 log 0 is 0 here", given([[0.0, 1.0]], [[-np.inf, 0.0]]), (is_nan, None), (0.0, None),
     "y_pred"),
    ("kl_divergence_with_log_targets", "a log-target of -inf gives nan", given([[-np.inf, 0.0]], HALF), (is_nan, None),
     (np.log(2), None), "y_pred"),
    *[(name, "gives nan in Optax", given([[1.0, 0.0]], [[0.0, -np.inf]]), (is_nan, None), (0.0, None), "y_pred")
      for name in ("softmax_cross_entropy", "poly_loss_cross_entropy")],
    ("sigmoid_binary_cross_entropy", "an infinite logit gives nan", given([1.0], [np.inf]), (is_nan, None),
     (0.0, None), "y_pred"),
    ("hinge_loss", "labels must be -1 and 1", given([0.0], [0.3]), (1.0, None), (1.0, None), "y_pred"),
    ("hinge_loss", "half the slope in JAX", given([1.0], [1.0]), (None, -0.5), (None, 0.0), "y_pred"),
    ("ntxent", "without a positive pair has nan", {"labels": [0, 1, 2, 3], "features": X}, (is_nan, None),
     (0.0, None), "features"),
    ("ntxent", "temperatures near 1e-3", {"labels": [0] * 4, "features": X}, (0.0, None), (0.0, None), "features"),
    ("ntxent(temperature=1e-3)", "temperatures near 1e-3", {"labels": [0, 0, 1, 1], "features": X}, (None, has_nan),
     (None, is_finite), "features"),
    ("triplet_margin_loss(eps=0.0)", "gradient of two equal points is nan", {"anchor": A, "positive": A, "negative": N},
     (None, is_nan), (None, is_finite), "anchor"),
    ("triplet_margin_loss(norm_degree=1, eps=0.0)", "no absolute value",
     {"anchor": A, "positive": [[2.0, 1.0]], "negative": A}, (1.0, None), (1.0, None), "anchor"),
    # the second class of neither
    ("dice_loss(smooth=0.0)", "two empty regions give nan", given([[[1.0, 0.0]] * 2], [[[800.0, -800.0]] * 2]),
     (is_nan, None), (0.0, None), "y_pred"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "words", "arrays", "theirs", "ours", "wrt"), NOTES)
def test_notes_are_true(form: str, words: str, arrays: dict[str, Any], theirs: Any, ours: Any, wrt: str) -> None:
    check_note(f"optax.losses.{form}", words, arrays, theirs, ours, wrt=wrt)


def noted(form: str, *words: str) -> None:
    notes = " | ".join(multiloss.port(f"optax.losses.{form}", to="numpy").notes)
    for word in words:
        assert word in notes


def test_labels_that_are_none() -> None:
    form = "softmax_cross_entropy_with_integer_labels"
    noted(form, "a label of -1 counts from the end")
    z, theirs = jnp.asarray([[0.1, 0.2, 0.7]]), optax.losses.softmax_cross_entropy_with_integer_labels
    assert theirs(z, jnp.asarray([-1])) == theirs(z, jnp.asarray([2]))
    assert np.isnan(theirs(z, jnp.asarray([3])))
    for label in (-1, 3):
        with pytest.raises(ValueError, match=f"label {label}"):
            multiloss.port(f"optax.losses.{form}", to="numpy")(np.array([label]), np.asarray(z))


def test_ctc_without_an_alignment() -> None:
    noted("ctc_loss", "near 1e5", "takes lengths")
    labels, z = np.array([[1, 1, 1]]), np.zeros((1, 2, 3))
    value = optax.losses.ctc_loss(jnp.asarray(z), jnp.zeros((1, 2)), jnp.asarray(labels), jnp.zeros((1, 3)))
    assert 9e4 < value[0] < 1.1e5
    assert np.isinf(multiloss.port("optax.losses.ctc_loss", to="numpy")(labels, z)).all()


def test_probabilities_of_dice() -> None:
    noted("dice_loss(apply_softmax=False)", "raises where probabilities do not sum to 1")
    with pytest.raises(ValueError, match="sum to 1"):
        optax.losses.dice_loss(jnp.asarray([[[0.2, 0.2]]]), jnp.asarray([[[0.0, 1.0]]]), apply_softmax=False)
    with pytest.raises(ValueError, match="sum to 1"):
        optax.losses.binary_dice_loss(jnp.full((1, 4), 0.5), jnp.ones((1, 4)), apply_sigmoid=False)


@pytest.mark.parametrize("form", ["dice_loss", "binary_dice_loss", "multiclass_generalized_dice_loss"])
def test_dice_takes_no_mask(form: str) -> None:
    loss = multiloss.port(f"optax.losses.{form}", to="numpy")
    with pytest.raises(ValueError, match="take no mask"):
        loss(np.ones((2, 4, 3)), np.ones((2, 4, 3)), mask=np.array([True, False]))


def test_dice_takes_a_weight_for_each_sample() -> None:
    rng = np.random.default_rng(0)
    t, z = np.eye(3)[rng.integers(0, 3, (2, 4))], rng.normal(size=(2, 4, 3))
    loss = multiloss.port("optax.losses.dice_loss", to="numpy")
    np.testing.assert_allclose(loss(t, z, sample_weight=np.array([2.0, 0.0])), loss(t, z) * np.array([2.0, 0.0]))


def test_broadcasting() -> None:
    noted("huber_loss", "to N x N")
    assert optax.losses.huber_loss(jnp.ones((3, 1)), jnp.ones(3)).shape == (3, 3)
    with pytest.raises(ValueError, match="equal shapes"):
        multiloss.port("optax.losses.huber_loss", to="numpy")(np.ones(3), np.ones((3, 1)))


OBJECTS: list[tuple[Any, str]] = [
    (optax.losses.huber_loss, "huber_loss"),
    (optax.huber_loss, "huber_loss"),
    (optax.losses.convex_kl_divergence, "convex_kl_divergence"),
    (functools.partial(optax.losses.huber_loss, delta=2.0), "huber_loss(delta=2.0)"),
    (functools.partial(optax.losses.huber_loss, delta=jnp.asarray(2.0)), "huber_loss(delta=2.0)"),
    (functools.partial(functools.partial(optax.losses.dice_loss, smooth=2.0), class_weights=np.array([1.0, 2.0])),
     "dice_loss(smooth=2.0, class_weights=[1.0, 2.0])"),
    (functools.partial(optax.losses.dice_loss, class_weights=jnp.asarray([1.0, 2.0])),
     "dice_loss(class_weights=[1.0, 2.0])"),
    (functools.partial(optax.losses.ranking_softmax_loss, reduce_fn=None), "ranking_softmax_loss(reduce_fn=None)"),
    (functools.partial(optax.losses.ranking_softmax_loss, reduce_fn=jnp.sum), "ranking_softmax_loss(reduce_fn='sum')"),
]  # fmt: skip


@pytest.mark.parametrize(("item", "form"), OBJECTS, ids=[str(i) for i in range(len(OBJECTS))])
def test_a_function_or_partial_is_what_its_written_form_is(item: Any, form: str) -> None:
    loss, wanted = multiloss.port(item, to="numpy"), multiloss.port(f"optax.losses.{form}", to="numpy")
    assert loss == wanted and loss.notes == wanted.notes and loss.source == wanted.source
    assert multiloss.port(loss.source, to="numpy") == loss


@pytest.mark.parametrize(
    ("form", "error", "words"),
    [
        ("make_fenchel_young_loss", ValueError, "multiloss.fenchel_young"),
        ("smooth_labels", ValueError, "multiloss.smooth_labels"),
        ("ctc_loss_with_forward_probs", ValueError, "ctc_loss is ported"),
        ("softmax_cross_entropy(where=[True])", ValueError, "set the logits that it leaves out to -inf"),
        ("kl_divergence(where=[True])", ValueError, "pass mask at the call"),
        ("cosine_similarity(where=[True])", ValueError, "pass mask at the call"),
        ("softmax_cross_entropy_with_integer_labels(axis=(0, 1))", ValueError, "of one axis"),
        ("softmax_cross_entropy(axis='x')", TypeError, "axis must be an integer"),
        ("ranking_softmax_loss(weights=[1.0])", ValueError, "multiply y_true"),
        ("ranking_softmax_loss(where=[True])", ValueError, "-inf"),
        ("ranking_softmax_loss(reduce_fn='max')", ValueError, "reduce_fn must be"),
        ("ctc_loss(log_epsilon=-5.0)", ValueError, "logarithm of 0"),
        ("binary_dice_loss(apply_sigmoid=False)", ValueError, "raises in Optax"),
        ("triplet_margin_loss(axis=1)", ValueError, "move it there"),
        ("triplet_margin_loss(norm_degree='x')", TypeError, "norm_degree must be a number"),
        ("huber_loss(delta='x')", TypeError, "delta must be a number"),
        ("huber_loss(targets=None)", TypeError, "no argument 'targets'"),
    ],
)
def test_refused(form: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        multiloss.port(f"optax.losses.{form}")


def test_arguments_and_defaults_are_optaxs() -> None:
    arrays = {"predictions", "targets", "logits", "labels", "predictor_outputs", "scores", "log_predictions",
              "log_targets", "logit_paddings", "label_paddings", "embeddings", "anchors", "positives",
              "negatives"}  # fmt: skip
    for name, source in porting.sources().items():
        if not name.startswith("optax.") or source.refusal is not None:
            continue
        theirs = getattr(optax.losses, name.rpartition(".")[2])
        wanted = {key: p for key, p in inspect.signature(theirs).parameters.items() if key not in arrays}
        assert set(source.parameters) == set(wanted), name
        for key, parameter in wanted.items():
            assert key == "reduce_fn" or source.parameters[key].default == parameter.default, (name, key)

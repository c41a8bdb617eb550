"""What the notes of Optax' ports say is true of Optax: its faults, which are not reproduced, and its conventions.

Also functions and partials as objects, and arguments that are refused.
"""

import functools
import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import multiloss
from multiloss import porting

pytestmark = pytest.mark.cross


def theirs(name: str, y_pred: Any, y_true: Any, **arguments: Any) -> tuple[Any, Any]:
    """Optax' value, and the gradient of its sum."""

    def call(p: Any) -> Any:
        return getattr(optax.losses, name)(p, jnp.asarray(y_true), **arguments)

    p = jnp.asarray(y_pred, float)
    return np.asarray(call(p)), np.asarray(jax.grad(lambda p: call(p).sum())(p))


def ours(form: str, y_pred: Any, y_true: Any) -> tuple[Any, Any]:
    loss = multiloss.port(f"optax.losses.{form}", to="numpy")
    value, gradient = loss.value_and_grad(np.asarray(y_true), np.asarray(y_pred, float))
    return np.asarray(value), np.asarray(gradient)


def noted(form: str, *words: str) -> None:
    """The port says so."""
    notes = " | ".join(multiloss.port(f"optax.losses.{form}", to="numpy").notes)
    for word in words:
        assert word in notes


def test_log_cosh_of_small_errors() -> None:
    noted("log_cosh", "loses the digits of small errors")
    assert theirs("log_cosh", [1e-8], [0.0])[0][0] != pytest.approx(5e-17, rel=0.5, abs=0)
    assert ours("log_cosh", [1e-8], [0.0])[0][0] == pytest.approx(5e-17, rel=1e-10, abs=0)


@pytest.mark.parametrize("name", ["cosine_similarity", "cosine_distance"])
def test_cosine(name: str) -> None:
    noted(name, "nan for a vector of 0", "squares overflow")
    value, gradient = theirs(name, [[0.0, 0.0]], [[3.0, 4.0]])
    assert np.isnan(value).all() and np.isnan(gradient).all()
    value, gradient = ours(name, [[0.0, 0.0]], [[3.0, 4.0]])
    assert value == (1.0 if "distance" in name else 0.0) and not gradient.any()
    right = 0.0 if "distance" in name else 1.0
    assert theirs(name, [[3e200, 4e200]], [[3.0, 4.0]])[0] == 1 - right
    assert ours(name, [[3e200, 4e200]], [[3.0, 4.0]])[0] == pytest.approx(right)


def test_logarithms_of_zero() -> None:
    noted("kl_divergence", "0 log 0 is 0 here")
    noted("kl_divergence_with_log_targets", "a log-target of -inf gives nan")
    p = [[-np.inf, 0.0]]
    assert np.isnan(theirs("kl_divergence", p, [[0.0, 1.0]])[0]).all()
    assert ours("kl_divergence", p, [[0.0, 1.0]])[0] == 0
    half = [[np.log(0.5), np.log(0.5)]]
    assert np.isnan(theirs("kl_divergence_with_log_targets", half, p)[0]).all()
    assert ours("kl_divergence_with_log_targets", half, p)[0] == pytest.approx(np.log(2))


@pytest.mark.parametrize(
    ("name", "target"), [("softmax_cross_entropy", [[1.0, 0.0]]), ("poly_loss_cross_entropy", [[1.0, 0.0]])]
)
def test_masked_logits(name: str, target: Any) -> None:
    noted(name, "gives nan in Optax")
    assert np.isnan(theirs(name, [[0.0, -np.inf]], target)[0]).all()
    assert ours(name, [[0.0, -np.inf]], target)[0] == 0


def test_infinite_logits() -> None:
    noted("sigmoid_binary_cross_entropy", "an infinite logit gives nan")
    assert np.isnan(theirs("sigmoid_binary_cross_entropy", [np.inf], [1.0])[0]).all()
    assert ours("sigmoid_binary_cross_entropy", [np.inf], [1.0])[0] == 0


def test_labels_that_are_none() -> None:
    form = "softmax_cross_entropy_with_integer_labels"
    noted(form, "a label of -1 counts from the end")
    z = [[0.1, 0.2, 0.7]]
    assert theirs(form, z, [-1])[0] == theirs(form, z, [2])[0]
    assert np.isnan(theirs(form, z, [3])[0]).all()
    for label in (-1, 3):
        with pytest.raises(ValueError, match=f"label {label}"):
            ours(form, z, [label])


def test_labels_of_hinge() -> None:
    noted("hinge_loss", "labels must be -1 and 1")
    assert theirs("hinge_loss", [0.3], [0.0])[0] == ours("hinge_loss", [0.3], [0.0])[0] == 1


def test_kinks() -> None:
    noted("hinge_loss", "half the slope in JAX")
    assert theirs("hinge_loss", [1.0], [1.0])[1] == -0.5
    assert ours("hinge_loss", [1.0], [1.0])[1] == 0


def test_ntxent() -> None:
    noted("ntxent", "without a positive pair has nan", "temperatures near 1e-3")
    x = np.random.default_rng(0).normal(size=(4, 3))
    assert np.isnan(optax.losses.ntxent(jnp.asarray(x), jnp.arange(4)))
    assert multiloss.port("optax.losses.ntxent", to="numpy")(np.arange(4), x) == 0
    labels = np.array([0, 0, 1, 1])
    gradient = jax.grad(lambda x: optax.losses.ntxent(x, jnp.asarray(labels), 1e-3))(jnp.asarray(x))
    assert np.isnan(gradient).any()
    loss = multiloss.port("optax.losses.ntxent(temperature=1e-3)", to="numpy")
    value, gradient = loss.value_and_grad(labels, x)
    assert np.isfinite(gradient).all()
    assert value == pytest.approx(float(optax.losses.ntxent(jnp.asarray(x), jnp.asarray(labels), 1e-3)), rel=1e-10)


def test_ntxent_without_negatives() -> None:
    """Optax' 0 is one of rounding."""
    x, labels = np.random.default_rng(0).normal(size=(4, 3)), np.zeros(4, int)
    assert optax.losses.ntxent(jnp.asarray(x), jnp.asarray(labels)) == pytest.approx(0, abs=1e-15)
    assert multiloss.port("optax.losses.ntxent", to="numpy")(labels, x) == 0


def test_triplets() -> None:
    noted("triplet_margin_loss(eps=0.0)", "gradient of two equal points is nan")
    noted("triplet_margin_loss(norm_degree=1)", "no absolute value")
    a, n = jnp.asarray([[1.0, 2.0]]), jnp.asarray([[1.5, 1.0]])
    gradient = jax.grad(lambda a: optax.losses.triplet_margin_loss(a, jnp.asarray([[1.0, 2.0]]), n, eps=0.0).sum())(a)
    assert np.isnan(gradient).all()
    loss = multiloss.port("optax.losses.triplet_margin_loss(eps=0.0)", to="numpy")
    found = loss.value_and_grad(np.asarray(a), np.asarray(a), np.asarray(n), wrt="anchor")[1]
    assert np.isfinite(found).all()
    assert optax.losses.triplet_margin_loss(a, a + jnp.asarray([[1.0, -1.0]]), a, norm_degree=1, eps=0.0) == 1.0


def test_ctc_without_an_alignment() -> None:
    noted("ctc_loss", "near 1e5", "takes lengths")
    labels, z = np.array([[1, 1, 1]]), np.zeros((1, 2, 3))
    value = optax.losses.ctc_loss(jnp.asarray(z), jnp.zeros((1, 2)), jnp.asarray(labels), jnp.zeros((1, 3)))
    assert 9e4 < value[0] < 1.1e5
    assert np.isinf(multiloss.port("optax.losses.ctc_loss", to="numpy")(labels, z)).all()


def test_empty_regions() -> None:
    noted("dice_loss(smooth=0.0)", "two empty regions give nan")
    empty = np.array([[[1.0, 0.0]] * 2])
    # The second class of neither.
    far = np.array([[[800.0, -800.0]] * 2])
    assert np.isnan(theirs("dice_loss", far, empty, smooth=0.0)[0]).all()
    assert ours("dice_loss(smooth=0.0)", far, empty)[0] == 0


def test_probabilities_of_dice() -> None:
    noted("dice_loss(apply_softmax=False)", "raises where probabilities do not sum to 1")
    with pytest.raises(ValueError, match="sum to 1"):
        theirs("dice_loss", [[[0.2, 0.2]]], [[[0.0, 1.0]]], apply_softmax=False)
    with pytest.raises(ValueError, match="sum to 1"):
        optax.losses.binary_dice_loss(jnp.full((1, 4), 0.5), jnp.ones((1, 4)), apply_sigmoid=False)


@pytest.mark.parametrize("form", ["dice_loss", "binary_dice_loss", "multiclass_generalized_dice_loss"])
def test_dice_takes_no_mask(form: str) -> None:
    loss = multiloss.port(f"optax.losses.{form}", to="numpy")
    with pytest.raises(ValueError, match="take no mask"):
        loss(np.ones((2, 4, 3)), np.ones((2, 4, 3)), mask=np.array([True, False]))


def test_weights_of_dice() -> None:
    """One for each sample."""
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
def test_objects(item: Any, form: str) -> None:
    """The function, or a partial of it, is what its written form is."""
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


def test_arguments() -> None:
    """All of Optax', with its defaults."""
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

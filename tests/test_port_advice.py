"""What the refusal of a port advises, followed to the letter: the source library's own number comes out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import to_native, to_numpy

RNG = np.random.default_rng(7)
Z = RNG.normal(size=(4, 3))
SOFT = np.exp(RNG.normal(size=(4, 3)))
SOFT /= SOFT.sum(-1, keepdims=True)
WHERE = np.array([[True, True, False], [True, False, True], [True, True, True], [False, True, True]])


def log_softmax(z: Any) -> Any:
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def but(x: Any, value: float) -> Any:
    """With this value where `WHERE` leaves out."""
    return np.where(WHERE, x, value)


WHERES: list[tuple[str, dict[str, Any], tuple[Any, Any], tuple[Any, Any], str]] = [
    # loss, its arguments, (y_pred, y_true), the same by the advice, the advice
    ("softmax_cross_entropy", {}, (Z, SOFT), (but(Z, -np.inf), but(SOFT, 0.0)), "to -inf, and their targets to 0"),
    ("softmax_cross_entropy", {"axis": (0, 1)}, (Z, SOFT), (but(Z, -np.inf), but(SOFT, 0.0)), "to -inf, and their"),
    ("poly_loss_cross_entropy", {}, (Z, SOFT), (but(Z, -np.inf), but(SOFT, 0.0)), "to -inf, and their targets to 0"),
    ("poly_loss_cross_entropy", {"epsilon": 0.5, "axis": (0, 1)}, (Z, SOFT), (but(Z, -np.inf), but(SOFT, 0.0)), "to 0"),
    ("softmax_cross_entropy_with_integer_labels", {}, (Z, [0, 2, 1, 1]), (but(Z, -np.inf), [0, 2, 1, 1]),
     "to -inf, but that of the label"),
    ("kl_divergence", {}, (log_softmax(Z), SOFT), (log_softmax(Z), but(SOFT, 0.0)), "targets that it leaves out to 0"),
    ("kl_divergence_with_log_targets", {}, (log_softmax(Z), np.log(SOFT)), (log_softmax(Z), but(np.log(SOFT), -np.inf)),
     "the log-targets that it leaves out to -inf"),
    ("generalized_kl_divergence", {}, (log_softmax(Z), SOFT), (but(log_softmax(Z), -np.inf), but(SOFT, 0.0)),
     "targets that it leaves out to 0, and the log-predictions there to -inf"),
    ("convex_kl_divergence", {}, (log_softmax(Z), SOFT), (but(log_softmax(Z), -np.inf), but(SOFT, 0.0)),
     "there to -inf"),
    ("cosine_similarity", {}, (Z, SOFT), (but(Z, 0.0), but(SOFT, 0.0)), "to 0 in both arrays"),
    ("cosine_distance", {}, (Z, SOFT), (but(Z, 0.0), but(SOFT, 0.0)), "to 0 in both arrays"),
    ("cosine_distance", {"epsilon": 0.5}, (Z, SOFT), (but(Z, 0.0), but(SOFT, 0.0)), "to 0 in both arrays"),
    ("ranking_softmax_loss", {}, (Z, SOFT), (but(Z, -np.inf), but(SOFT, 0.0)), "to -inf, and their relevances to 0"),
]  # fmt: skip


@pytest.mark.cross
@pytest.mark.filterwarnings("ignore:The function convex_kl_divergence is deprecated")
@pytest.mark.parametrize(("name", "how", "given", "advised", "advice"), WHERES, ids=[f"{w[0]} {w[1]}" for w in WHERES])
def test_where_of_optax(name: str, how: dict[str, Any], given: Any, advised: Any, advice: str) -> None:
    """Value and gradient, on every backend."""
    import jax
    import jax.numpy as jnp
    import optax

    arguments = "".join(f", {key}={value!r}" for key, value in how.items())
    with pytest.raises(ValueError, match=advice):
        multiloss.port(f"optax.losses.{name}(where=[True]{arguments})")
    y_true = jnp.asarray(given[1])

    def theirs(p: Any) -> Any:
        return getattr(optax.losses, name)(p, y_true, where=jnp.asarray(WHERE), **how)

    p = jnp.asarray(given[0])
    value, slope = np.asarray(theirs(p)), np.asarray(jax.grad(lambda p: theirs(p).sum())(p))
    for backend in ("numpy", "torch", "jax", "tensorflow"):
        loss = multiloss.port(f"optax.losses.{name}({arguments[2:]})", to=backend)
        inputs = [to_native(backend, np.asarray(x)) for x in advised[::-1]]
        np.testing.assert_allclose(to_numpy(loss(*inputs)), value, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(to_numpy(loss.value_and_grad(*inputs)[1]), slope, rtol=1e-9, atol=1e-12)


def test_where_of_optax_by_hand() -> None:
    """Of logits 1, 2, 3 and targets 0.2, 0.3, 0.5 without the last: 0.5 log(e + e^2) - 0.2 - 0.6."""
    loss = multiloss.port("optax.losses.softmax_cross_entropy", to="numpy")
    found = loss(np.array([[0.2, 0.3, 0.0]]), np.array([[1.0, 2.0, -np.inf]]))
    np.testing.assert_allclose(found, [0.3566308437], rtol=1e-9)


SAMPLES = [
    "softmax_cross_entropy", "cosine_similarity", "poly_loss_cross_entropy", "kl_divergence",
    "generalized_kl_divergence", "softmax_cross_entropy_with_integer_labels", "kl_divergence_with_log_targets",
]  # fmt: skip


@pytest.mark.cross
@pytest.mark.parametrize("name", SAMPLES)
def test_whole_samples_of_optax(name: str) -> None:
    """A mask at the call, for those of which nothing is left."""
    import jax.numpy as jnp
    import optax

    with pytest.raises(ValueError, match="pass mask at the call to leave out whole samples"):
        multiloss.port(f"optax.losses.{name}(where=[True])")
    keep = np.array([True, False, True, True])
    y_true = np.array([0, 2, 1, 1]) if "integer" in name else np.log(SOFT) if "log_targets" in name else SOFT
    y_pred = log_softmax(Z)
    value = getattr(optax.losses, name)(jnp.asarray(y_pred), jnp.asarray(y_true), where=jnp.asarray(keep[:, None]))
    found = multiloss.port(f"optax.losses.{name}", to="numpy")(y_true, y_pred, mask=keep)
    np.testing.assert_allclose(found[keep], np.asarray(value)[keep], rtol=1e-9)
    assert found[1] == value[1] == 0


@pytest.mark.cross
@pytest.mark.parametrize("name", ["cosine_similarity", "cosine_distance"])
def test_whole_vectors_of_optax(name: str) -> None:
    """Nothing left of them is 0 in both arrays, too."""
    import jax.numpy as jnp
    import optax

    keep = np.array([[True], [False], [True], [True]])
    value = getattr(optax.losses, name)(jnp.asarray(Z), jnp.asarray(SOFT), where=jnp.asarray(keep))
    found = multiloss.port(f"optax.losses.{name}", to="numpy")(SOFT * keep, Z * keep)
    np.testing.assert_allclose(found, value, rtol=1e-9)


@pytest.mark.cross
def test_other_advice_of_optax() -> None:
    import jax
    import jax.numpy as jnp
    import optax

    def refused(form: str, advice: str) -> None:
        with pytest.raises(ValueError, match=advice):
            multiloss.port(f"optax.losses.{form}")

    z, t = jnp.asarray(Z), jnp.asarray(SOFT)
    refused("ranking_softmax_loss(weights=[1.0])", "multiply y_true by it")
    weights, lists = jnp.asarray([0.5, 2.0, 1.0]), jnp.asarray([True, False, True, True])[:, None]
    ranking = multiloss.port("optax.losses.ranking_softmax_loss", to="jax")
    value = optax.losses.ranking_softmax_loss(z, t, weights=weights)
    np.testing.assert_allclose(ranking(t * weights, z), value, rtol=1e-9)
    refused("ranking_softmax_loss(where=[True])", "pass mask at the call to leave out lists of which nothing is left")
    where = jnp.broadcast_to(lists, z.shape)
    np.testing.assert_allclose(
        ranking(t, z, mask=lists[:, 0]), optax.losses.ranking_softmax_loss(z, t, where=where), rtol=1e-9
    )
    refused("softmax_cross_entropy_with_integer_labels(axis=(1, 2))", "reshape several into one first")
    images, flat = jnp.asarray(RNG.normal(size=(2, 3, 4))), jnp.asarray([5, 11])
    np.testing.assert_allclose(
        multiloss.port("optax.losses.softmax_cross_entropy_with_integer_labels", to="jax")(flat, images.reshape(2, 12)),
        optax.losses.softmax_cross_entropy_with_integer_labels(images, flat, axis=(1, 2)), rtol=1e-9,
    )  # fmt: skip
    refused("triplet_margin_loss(axis=0)", "embeddings are on the last axis here; move it there first")
    a, p, n = (jnp.asarray(RNG.normal(size=(3, 4))) for _ in range(3))
    np.testing.assert_allclose(
        multiloss.port("optax.losses.triplet_margin_loss", to="jax")(a.T, p.T, n.T),
        optax.losses.triplet_margin_loss(a, p, n, axis=0), rtol=1e-6,
    )  # fmt: skip
    refused(
        "binary_dice_loss(apply_sigmoid=False)", r"get\('dice', smooth=2 \* smooth, axis=\.\.\., reduction='none'\)"
    )
    bits = jnp.asarray(RNG.integers(0, 2, (2, 3, 4)), float)
    for smooth in (1.0, 0.5):
        for last in ((), (1,)):  # with an axis of one class, or without
            mine = multiloss.get("dice", smooth=2 * smooth, axis=(1, 2), reduction="none")
            arrays = (x.reshape(2, 3, 4, *last) for x in (images, bits))
            theirs = optax.losses.binary_dice_loss(*arrays, smooth=smooth)
            np.testing.assert_allclose(mine(bits, jax.nn.sigmoid(images)), theirs, rtol=1e-6)
    refused("make_fenchel_young_loss()", "multiloss.fenchel_young does")
    theirs = optax.losses.make_fenchel_young_loss(jax.nn.logsumexp)(z, t)
    np.testing.assert_allclose(multiloss.fenchel_young(lambda z: jax.nn.logsumexp(z, axis=-1), z, t), theirs, rtol=1e-9)
    refused("smooth_labels(alpha=0.1)", "multiloss.smooth_labels is it")
    hot = jnp.eye(3)
    np.testing.assert_allclose(multiloss.smooth_labels(hot, 0.1), optax.losses.smooth_labels(hot, 0.1), rtol=1e-6)
    refused("ctc_loss_with_forward_probs()", "optax.losses.ctc_loss is ported")
    ctc = multiloss.port("optax.losses.ctc_loss", to="jax")
    frames, labels = jnp.asarray(RNG.normal(size=(2, 6, 4))), jnp.asarray([[1, 2, 3], [3, 1, 0]])
    of_frames, of_labels = jnp.asarray([[0.0] * 6, [0, 0, 0, 0, 1, 1]]), jnp.asarray([[0.0, 0, 0], [0, 0, 1]])
    lengths = {"label_lengths": (1 - of_labels).sum(1).astype(int), "input_lengths": (1 - of_frames).sum(1).astype(int)}
    assert "label_lengths = (1 - label_paddings).sum(1)" in " ".join(ctc.notes)
    value = optax.losses.ctc_loss_with_forward_probs(frames, of_frames, labels, of_labels)[0]
    np.testing.assert_allclose(ctc(labels, frames, **lengths), value, rtol=1e-5)
    for name in ("dice_loss", "multiclass_generalized_dice_loss"):
        loss, keep = multiloss.port(f"optax.losses.{name}", to="jax"), np.array([True, False])
        with pytest.raises(ValueError, match="leave the samples out of the arrays"):
            loss(bits, images, mask=keep)
        np.testing.assert_allclose(
            loss(bits[keep], images[keep]), getattr(optax.losses, name)(images[keep], bits[keep]), rtol=1e-6
        )


@pytest.mark.cross
@pytest.mark.parametrize(
    ("function", "name", "mean", "options"),
    [("mse_loss", "mean_squared_error", "weighted_mean", {}), ("l1_loss", "mean_absolute_error", "weighted_mean", {}),
     ("huber_loss", "huber", "mean", {"delta": 0.5})],
)  # fmt: skip
def test_weights_of_torch(function: str, name: str, mean: str, options: dict[str, Any]) -> None:
    import torch

    theirs = getattr(torch.nn.functional, function)
    form = f"torch.nn.functional.{function}"
    written = ", ".join(f"{key}={value}" for key, value in options.items())
    with pytest.raises(ValueError, match=rf"give sample_weight.*get\('{name}', axis=\(\), reduction='{mean}'\)"):
        multiloss.port(f"{form}(weight=[1.0])")
    y_true, y_pred, weight = (torch.tensor(x) for x in (SOFT, Z, np.exp(Z[::-1].copy())))
    for reduction in ("sum", "none"):
        loss = multiloss.port(f"{form}(reduction={reduction!r}{', ' if written else ''}{written})", to="torch")
        value = theirs(y_pred, y_true, reduction=reduction, weight=weight, **options)
        torch.testing.assert_close(loss(y_true, y_pred, sample_weight=weight), value)
    loss = multiloss.get(name, axis=(), reduction=mean, **options)
    value = theirs(y_pred, y_true, weight=weight, **options)
    torch.testing.assert_close(loss(y_true, y_pred, sample_weight=weight), value)


@pytest.mark.cross
def test_linear_cross_entropy_of_torch() -> None:
    import torch

    form = "torch.nn.functional.linear_cross_entropy"
    x, weight, bias, t = (torch.tensor(RNG.normal(size=shape)) for shape in ((4, 5), (3, 5), (3,), (4, 3)))
    labels, soft = torch.tensor([0, 2, 1, 1]), torch.softmax(t, -1)
    theirs, logits = torch.nn.functional.linear_cross_entropy, x @ weight.T + bias
    with pytest.raises(ValueError, match="apply the layer, and port cross_entropy, of targets='probabilities'"):
        multiloss.port(form, targets="probabilities")
    of_soft = multiloss.port("torch.nn.functional.cross_entropy", to="torch", targets="probabilities")
    torch.testing.assert_close(of_soft(soft, logits), theirs(x, weight, soft, linear_bias=bias))
    with pytest.raises(ValueError, match="give it there, as bias"):
        multiloss.port(f"{form}(linear_bias=[1.0])")
    loss = multiloss.port(form, to="torch")
    torch.testing.assert_close(loss(labels, x, weight, bias=bias), theirs(x, weight, labels, linear_bias=bias))
    with pytest.raises(ValueError, match="changes no number: leave them out"):
        multiloss.port(f"{form}(options={{}})")
    with pytest.raises(ValueError, match="port torch.nn.functional.linear_cross_entropy, which takes them"):
        multiloss.port("torch.nn.LinearCrossEntropyLoss(5, 3)")

"""Losses that own their weight, as Flax NNX modules."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import multiloss
import multiloss.flax
from multiloss.engine import learned_weight as owners
from multiloss.flax import ArcFace, WithWeight

C, D, N = 5, 4, 12
RNG = np.random.default_rng(0)
LABELS = jnp.asarray(RNG.integers(0, C, N))
FEATURES = jnp.asarray(RNG.normal(size=(N, D)), jnp.float32)
EVERY = [(name, {}) for name in owners.names()] + [
    ("linear_cross_entropy", {"bias": True}),
    ("arcface", {"scale": 8.0}),
]


def made(name: str = "arcface", **options: Any) -> Any:
    return WithWeight(name, C, D, rngs=nnx.Rngs(0), **options)


def value_of(loss: Any, y: Any, x: Any, *rest: Any) -> Any:
    return loss(y, x, *rest).sum()


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize(("name", "options"), EVERY)
def test_value_and_gradients_are_the_pure_forms(
    name: str, options: dict[str, Any], reduction: str, compiled: bool
) -> None:
    """Of the features, the weight and the bias; with weights and a mask; in nnx.jit, too."""
    loss = made(name, reduction=reduction, **options)
    if loss.bias is not None:
        loss.bias[...] = jnp.arange(C, dtype=jnp.float32)
    rest = None if name == "proxy_anchor" else jnp.linspace(0.5, 2.0, N), jnp.arange(N) != 3
    both = nnx.value_and_grad(value_of, argnums=(0, 2))
    value, (by_weight, by_features) = (nnx.jit(both) if compiled else both)(loss, LABELS, FEATURES, *rest)
    pure = multiloss.get(name, "jax", reduction=reduction, **{k: v for k, v in options.items() if k != "bias"})
    held = {"weight": loss.weight[...]} | ({} if loss.bias is None else {"bias": loss.bias[...]})
    expected, gradients = pure.value_and_grad(
        LABELS, FEATURES, sample_weight=rest[0], mask=rest[1], wrt=("features", *held), **held
    )
    np.testing.assert_allclose(value, expected.sum(), rtol=1e-6)
    assert nnx.to_pure_dict(by_weight).keys() == held.keys()
    for got, wanted in zip((by_features, *(by_weight[key][...] for key in held)), gradients, strict=True):
        assert wanted.any() and got.dtype == wanted.dtype
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("plain", "name"),
    [
        ("ArcFace", "arcface"),
        ("CosFace", "cosface"),
        ("SphereFace", "sphereface"),
        ("ProxyNCA", "proxy_nca"),
        ("ProxyAnchor", "proxy_anchor"),
        ("LinearCrossEntropy", "linear_cross_entropy"),
    ],
)
def test_plain_names(plain: str, name: str) -> None:
    loss = getattr(multiloss.flax, plain)(C, D, rngs=nnx.Rngs(0))
    assert isinstance(loss, WithWeight)
    assert loss(LABELS, FEATURES) == made(name)(LABELS, FEATURES)


@pytest.mark.parametrize(("name", "options"), EVERY)
def test_training_lowers_the_loss(name: str, options: dict[str, Any]) -> None:
    """By the weight alone; the optimizer finds it as the one kind of `nnx.Param`."""
    loss = made(name, **options)
    optimizer = nnx.Optimizer(loss, optax.sgd(0.02), wrt=nnx.Param)

    @nnx.jit
    def step(loss: Any, optimizer: Any) -> Any:
        value, gradient = nnx.value_and_grad(value_of)(loss, LABELS, FEATURES)
        optimizer.update(loss, gradient)
        return value

    before = loss.weight[...]
    values = [float(step(loss, optimizer)) for _ in range(40)]
    assert values[-1] < values[0] - 0.01 and not (loss.weight[...] == before).any()
    assert values[-1] > float(loss(LABELS, FEATURES))  # the module itself has moved


def test_the_first_weight() -> None:
    """Glorot-uniform, by the stream "params"."""
    large = multiloss.flax.LinearCrossEntropy(400, 200, bias=True, rngs=nnx.Rngs(0))
    weight, bound = large.weight[...], (6 / 600) ** 0.5
    assert abs(weight).max() <= bound and abs(weight.std() / bound - 3**-0.5) < 0.01
    assert weight.dtype == jnp.float32 and not large.bias[...].any()
    rngs = nnx.Rngs(params=3)
    one, two = (ArcFace(C, D, rngs=rngs).weight[...] for _ in range(2))
    assert not jnp.array_equal(one, two)
    assert jnp.array_equal(one, ArcFace(C, D, rngs=nnx.Rngs(params=3)).weight[...])


def test_split_and_merge() -> None:
    loss = made("linear_cross_entropy", bias=True)
    expected = loss(LABELS, FEATURES)
    graph, state = nnx.split(loss)
    assert set(nnx.to_pure_dict(state)) == {"weight", "bias"} and len(nnx.state(loss, nnx.Param)) == 2
    assert graph == nnx.split(made("linear_cross_entropy", bias=True))[0]  # static by value: one compilation
    assert nnx.merge(graph, state)(LABELS, FEATURES) == expected
    gradient = jax.jit(jax.grad(lambda state: nnx.merge(graph, state)(LABELS, FEATURES)))(state)
    assert gradient["weight"][...].any()
    other = nnx.clone(loss)
    other.weight[...] *= 2.0
    assert other(LABELS, FEATURES) != expected and loss(LABELS, FEATURES) == expected
    nnx.update(other, state)
    assert other(LABELS, FEATURES) == expected


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(dtype: str) -> None:
    loss, x = made(), FEATURES.astype(dtype)
    value, (by_weight, by_features) = nnx.value_and_grad(value_of, argnums=(0, 2))(loss, LABELS, x)
    np.testing.assert_allclose(value, loss(LABELS, x.astype(jnp.float32)), rtol=1e-6)
    assert value.dtype == by_weight["weight"][...].dtype == jnp.float32 and by_features.dtype == dtype


def test_double_precision() -> None:
    """Features of float64 are computed with in float64; the gradient is the weight's."""
    loss = made()
    value, gradient = nnx.value_and_grad(value_of)(loss, LABELS, FEATURES.astype(jnp.float64))
    assert value.dtype == jnp.float64 and gradient["weight"][...].dtype == jnp.float32
    np.testing.assert_allclose(value, loss(LABELS, FEATURES), rtol=1e-5)


def test_labels_that_cannot_be_read() -> None:
    values = nnx.jit(lambda loss, y: loss(y, FEATURES))(made(reduction="none"), LABELS.at[2].set(C))
    np.testing.assert_array_equal(np.isnan(values), np.arange(N) == 2)


def test_lists_and_arrays() -> None:
    loss = made()
    expected = loss(LABELS, FEATURES)
    assert loss(np.asarray(LABELS), np.asarray(FEATURES)) == expected
    np.testing.assert_allclose(loss(LABELS.tolist(), FEATURES.tolist()), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"loss": "arcfase"}, ValueError, "unknown loss 'arcfase'; did you mean arcface"),
        ({"loss": "mse"}, ValueError, "mean_squared_error owns no weight; those that do: arcface, cosface, linear"),
        ({"num_classes": 0}, ValueError, "num_classes must be at least 1, got 0"),
        ({"num_classes": "5"}, TypeError, "num_classes must be an integer, got '5'"),
        ({"feature_dim": None}, TypeError, "feature_dim must be an integer, got None"),
        ({"scala": 3.0}, TypeError, r"arcface has no option 'scala'; did you mean 'scale'\?"),
        ({"seed": 3}, TypeError, r"arcface has no option 'seed'"),
        ({"bias": True}, ValueError, "arcface has no bias, got bias=True; those that do: linear_cross_entropy"),
        ({"rngs": 0}, TypeError, r"rngs must be nnx\.Rngs, such as nnx\.Rngs\(0\), got int"),
    ],
)
def test_bad_options(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        WithWeight(**{"loss": "arcface", "num_classes": C, "feature_dim": D, "rngs": nnx.Rngs(0)} | options)


def test_missing_arguments() -> None:
    for given, missing in (
        ({"num_classes": 3, "rngs": nnx.Rngs(0)}, "feature_dim"),
        ({"feature_dim": 3, "rngs": nnx.Rngs(0)}, "num_classes"),
        ({"num_classes": 3, "feature_dim": 3}, "rngs"),
    ):
        with pytest.raises(TypeError, match=f"missing 1 required .*argument: '{missing}'"):
            ArcFace(**given)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ((LABELS, FEATURES[:, :3]), ValueError, r"features must have feature_dim = 4 columns, got shape \(12, 3\)"),
        ((LABELS, 1.0), ValueError, r"features must have feature_dim = 4 columns, got shape \(\)"),
        (
            (LABELS[:3], FEATURES),
            ValueError,
            r"features of shape \(N D\) must have N = 3, as labels has, got \(12, 4\)",
        ),
        ((LABELS + 3, FEATURES), ValueError, r"labels holds the label \d, but labels must be in \[0, 5\)"),
        ((LABELS * 1.0, FEATURES), TypeError, "labels must hold integer labels, got dtype float"),
        ((LABELS, FEATURES, None, jnp.ones(N)), TypeError, "mask must be boolean"),
    ],
)
def test_bad_input(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        made()(*given)

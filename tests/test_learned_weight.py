"""Losses that own their weight: torch modules, Keras layers and Flax modules alike. What one framework alone has is in
`test_torch_learned_weight.py`, `test_keras_learned_weight.py` and `test_jax_learned_weight.py`."""

from __future__ import annotations

import importlib
import re
from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import dtype_name, framework, to_native, to_numpy
from multiloss.engine import learned_weight

pytestmark = [
    pytest.mark.only("torch", "jax", "keras"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),  # Keras' own, on import
]
C, D, N = 5, 4, 12
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, C, N)
FEATURES = RNG.normal(size=(N, D)).astype(np.float32)
PLAIN = {
    "ArcFace": "arcface",
    "CosFace": "cosface",
    "LinearCrossEntropy": "linear_cross_entropy",
    "ProxyAnchor": "proxy_anchor",
    "ProxyNCA": "proxy_nca",
    "SphereFace": "sphereface",
}
EVERY = [*((name, {}) for name in PLAIN.values()), ("linear_cross_entropy", {"bias": True}), ("arcface", {"scale": 8})]


def module(backend: str) -> Any:
    return importlib.import_module(f"multiloss.{'flax' if backend == 'jax' else backend}")


def made(backend: str, name: str = "arcface", **options: Any) -> Any:
    """The module or layer, with the same first weight at each call."""
    return module(backend).WithWeight(name, C, D, **drawn_by(backend) | options)


def drawn_by(backend: str) -> dict[str, Any]:
    if backend != "jax":
        return {"seed": 0}
    from flax import nnx

    return {"rngs": nnx.Rngs(0)}


def held_by(loss: Any) -> dict[str, np.ndarray]:
    """Its weight, and its bias if it has one."""
    named = {"weight": loss.weight, "bias": loss.bias}
    return {name: to_numpy(x) for name, x in named.items() if x is not None}


def differentiated(backend: str, loss: Any, compiled: bool, y: Any, x: Any, *rest: Any) -> tuple[Any, dict[str, Any]]:
    """The summed value, and its gradients by the features and by what the loss holds, by the framework."""
    if backend == "jax":
        from flax import nnx

        both = nnx.value_and_grad(lambda loss, x: loss(y, x, *rest).sum(), argnums=(0, 1))
        value, (by_held, by_features) = (nnx.jit(both) if compiled else both)(loss, x)
        return value, {"features": by_features} | nnx.to_pure_dict(by_held)
    if framework(backend) == "jax":
        import jax

        variables = loss.trainable_weights
        loss(y, x)  # built by a first call

        def value_of(x: Any, weights: Any) -> Any:
            return loss.stateless_call(weights, [], y, x, *rest)[0].sum()

        value, found = jax.value_and_grad(value_of, (0, 1))(x, [w.value for w in variables])
        return value, {"features": found[0], **{w.name: g for w, g in zip(variables, found[1], strict=True)}}
    if framework(backend) == "tensorflow":
        import tensorflow as tf

        held = {"features": x} | {w.name: w.value for w in loss.trainable_weights}
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = tf.reduce_sum(loss(y, x, *rest))
        return value, tape.gradient(value, held)
    import torch

    named = loss.named_parameters() if backend == "torch" else ((w.name, w.value) for w in loss.trainable_weights)
    held = {"features": x.requires_grad_()} | dict(named)
    value = loss(y, x, *rest).sum()
    return value, dict(zip(held, torch.autograd.grad(value, list(held.values())), strict=True))


@pytest.mark.only("torch")  # the list is the same everywhere
def test_which_losses_own_a_weight(backend: str) -> None:
    assert learned_weight.names() == sorted(PLAIN.values())


@pytest.mark.graph
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize(("name", "options"), EVERY)
def test_value_and_gradients_are_the_pure_forms(
    backend: str, name: str, options: dict[str, Any], reduction: str
) -> None:
    """By the features, the weight and the bias; with weights and a mask; in `nnx.jit` (`mean`) and without."""
    loss = made(backend, name, reduction=reduction, **options)
    if loss.bias is not None:
        set_bias(backend, loss, np.linspace(-1.0, 1.0, C, dtype=np.float32))
    weights = None if name == "proxy_anchor" else np.linspace(0.5, 2.0, N, dtype=np.float32)
    rest = weights, np.arange(N) != 3
    given = [None if x is None else to_native(backend, x) for x in (LABELS, FEATURES, *rest)]
    value, found = differentiated(backend, loss, reduction == "mean", *given)
    held = held_by(loss)
    pure = multiloss.get(name, "numpy", reduction=reduction, **{k: v for k, v in options.items() if k != "bias"})
    expected, wanted = pure.value_and_grad(
        LABELS, FEATURES, **held, sample_weight=rest[0], mask=rest[1], wrt=("features", *held)
    )
    np.testing.assert_allclose(to_numpy(value), expected.sum(), rtol=1e-5)
    assert found.keys() == {"features", *held}
    for what, slope in zip(("features", *held), wanted, strict=True):
        assert slope.any() and dtype_name(found[what]) == "float32"
        np.testing.assert_allclose(to_numpy(found[what]), slope, rtol=1e-4, atol=1e-5, err_msg=what)


def set_bias(backend: str, loss: Any, bias: np.ndarray) -> None:
    if backend == "torch":
        loss.bias.data = to_native("torch", bias)
    elif backend == "jax":
        loss.bias[...] = bias
    else:
        loss.bias.assign(bias)


@pytest.mark.parametrize("plain", PLAIN)
def test_plain_names(backend: str, plain: str) -> None:
    loss = getattr(module(backend), plain)(C, D, **drawn_by(backend))
    assert isinstance(loss, module(backend).WithWeight)
    same = made(backend, PLAIN[plain])
    np.testing.assert_array_equal(to_numpy(loss(LABELS, FEATURES)), to_numpy(same(LABELS, FEATURES)))


def test_the_first_weight_is_glorot_uniform(backend: str) -> None:
    large = module(backend).LinearCrossEntropy(400, 200, bias=True, **drawn_by(backend))
    weight, bound = to_numpy(large.weight), (6 / 600) ** 0.5
    assert abs(weight).max() <= bound and abs(weight.std() / bound - 3**-0.5) < 0.01
    assert weight.dtype == np.float32 and not to_numpy(large.bias).any()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_features_are_computed_with_in_float32(backend: str, dtype: str) -> None:
    """The gradient of the weight is float32, that of the features in their dtype."""
    loss, x = made(backend), to_native(backend, FEATURES, dtype)
    value, found = differentiated(backend, loss, False, to_native(backend, LABELS), x)
    expected = multiloss.get("arcface", "numpy")(LABELS, to_numpy(x).astype(np.float32), held_by(loss)["weight"])
    np.testing.assert_allclose(to_numpy(value), expected, rtol=1e-5)
    assert dtype_name(value) == dtype_name(found["weight"]) == "float32" and dtype_name(found["features"]) == dtype


def test_lists_and_arrays(backend: str) -> None:
    loss = made(backend)
    expected = to_numpy(loss(to_native(backend, LABELS), to_native(backend, FEATURES)))
    for given in ((LABELS, FEATURES), (LABELS.tolist(), FEATURES.tolist())):
        np.testing.assert_allclose(to_numpy(loss(*given)), expected, rtol=1e-5)


BAD_OPTIONS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"loss": "arcfase"}, ValueError, "unknown loss 'arcfase'; did you mean arcface"),
    ({"loss": "mse"}, ValueError, "mean_squared_error owns no weight; those that do: arcface, cosface, linear_cross"),
    ({"loss": "triplet"}, ValueError, "triplet owns no weight; those that do: arcface, .*, sphereface"),
    ({"num_classes": 0}, ValueError, "num_classes must be at least 1, got 0"),
    ({"num_classes": None}, TypeError, "num_classes must be an integer, got None"),
    ({"num_classes": 2.5}, TypeError, "num_classes must be an integer, got 2.5"),
    ({"feature_dim": -1}, ValueError, "feature_dim must be at least 1, got -1"),
    ({"feature_dim": True}, TypeError, "feature_dim must be an integer, got True"),
    ({"scala": 3.0}, TypeError, r"arcface has no option 'scala'; did you mean 'scale'\? \(its options: scale, margin"),
    ({"margin": 4.0}, ValueError, r"margin is an angle in radians and must be in \[0, pi\], got 4"),
    ({"bias": True}, ValueError, "arcface has no bias, got bias=True; those that do: linear_cross_entropy$"),
    ({"bias": "yes"}, TypeError, "bias must be True or False, got 'yes'"),
]
BAD_OF_ONE: dict[str, list[tuple[dict[str, Any], type[Exception], str]]] = {
    "torch": [
        ({"seed": 1.5}, TypeError, r"seed must be an integer, got 1\.5"),
        ({"feature_dim": None}, TypeError, "feature_dim must be an integer, got None"),
    ],
    "keras": [({"loss_weight": "much"}, TypeError, "loss_weight must be a number, got 'much'")],
    "jax": [
        ({"seed": 3}, TypeError, "arcface has no option 'seed'"),
        ({"rngs": 0}, TypeError, r"rngs must be nnx\.Rngs, such as nnx\.Rngs\(0\), got int"),
        ({"feature_dim": None}, TypeError, "feature_dim must be an integer, got None"),
    ],
}


def test_bad_options(backend: str) -> None:
    for options, error, message in BAD_OPTIONS + BAD_OF_ONE[backend]:
        good = {"loss": "arcface", "num_classes": C, "feature_dim": D} | drawn_by(backend)
        with pytest.raises(error, match=message):
            module(backend).WithWeight(**good | options)


def test_missing_arguments(backend: str) -> None:
    sizes = {"num_classes": 3} if backend == "keras" else {"num_classes": 3, "feature_dim": 3}
    needed = sizes | (drawn_by("jax") if backend == "jax" else {})
    for missing in needed:
        given = {name: x for name, x in needed.items() if name != missing}
        with pytest.raises(TypeError, match=f"missing 1 required .*argument: '{missing}'"):
            module(backend).ArcFace(**given)


BAD_INPUT: list[tuple[tuple[Any, ...], type[Exception], str]] = [
    ((LABELS, FEATURES[:, :3]), ValueError, "features must have feature_dim = 4 columns, got shape (12, 3)"),
    ((LABELS, FEATURES[0, 0]), ValueError, "features must have feature_dim = 4 columns, got shape ()"),
    ((LABELS[:3], FEATURES), ValueError, "features of shape (N D) must be (3, D), with N as in labels, got (12, 4)"),
    ((LABELS + 3, FEATURES), ValueError, ", but labels must be in [0, 5)"),
    ((LABELS - C, FEATURES), ValueError, ", but labels must be in [0, 5)"),
    ((LABELS * 1.0, FEATURES), TypeError, "labels must hold integer labels, got dtype"),
    ((LABELS, FEATURES > 0), TypeError, "features must hold real numbers, got dtype"),
    ((LABELS, FEATURES, np.ones(3, np.float32)), ValueError, "sample_weight must have the shape"),
    ((LABELS, FEATURES, None, np.ones(N, np.float32)), TypeError, "mask must be boolean"),
]


@pytest.mark.reads
@pytest.mark.parametrize(("given", "error", "message"), BAD_INPUT)
def test_bad_input(backend: str, given: Any, error: type[Exception], message: str) -> None:
    arrays = [None if x is None else to_native(backend, x) for x in given]
    with pytest.raises(error, match=re.escape(message)):
        made(backend)(*arrays)

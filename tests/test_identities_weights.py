"""What losses are of each other, on every backend."""

from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import to_native, to_numpy

LABELS = np.array([2, 0, 3, 0, 1])
FEATURES = np.random.default_rng(5).normal(size=(5, 3))
WEIGHT = np.random.default_rng(6).normal(size=(4, 3))
BIAS = np.random.default_rng(7).normal(size=4)


def unit(x: Any) -> Any:
    """Rows of length 1."""
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def of_inputs(backend: str, name: str, *inputs: Any, wrt: Any = ("features", "weight"), **options: Any) -> list[Any]:
    """The values, and the gradients of their sum, in double precision (Keras: in its own)."""
    loss = multiloss.get(name, backend=backend, **({"reduction": "none"} | options))
    arrays = [to_native(backend, x, None if np.asarray(x).dtype.kind == "i" else "float64") for x in inputs]
    value, gradients = loss.value_and_grad(*arrays, wrt=wrt)
    return [to_numpy(x).astype(np.float64) for x in (value, *gradients)]


def same(backend: str, one: Any, other: Any) -> None:
    """All of them."""
    bound = 2e-5 if backend == "keras" else 1e-11
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=bound, atol=bound)


def test_linear_cross_entropy_is_that_of_its_logits(backend: str) -> None:
    """The gradients by the chain rule."""
    logits = FEATURES @ WEIGHT.T + BIAS
    loss = multiloss.get("scce", backend=backend, from_logits=True, label_smoothing=0.1, reduction="none")
    value, slope = loss.value_and_grad(to_native(backend, LABELS), to_native(backend, logits, "float64"))
    slope = to_numpy(slope).astype(np.float64)
    wanted = [to_numpy(value).astype(np.float64), slope @ WEIGHT, slope.T @ FEATURES, slope.sum(0)]
    names = ("features", "weight", "bias")
    inputs = (LABELS, FEATURES, WEIGHT, BIAS)
    same(backend, of_inputs(backend, "linear_cross_entropy", *inputs, wrt=names, label_smoothing=0.1), wanted)


@pytest.mark.parametrize("name", ["arcface", "cosface"])
def test_no_margin_is_the_softmax_of_scaled_cosines(backend: str, name: str) -> None:
    """Of rows of any length; and the gradients of both inputs."""
    one = of_inputs(backend, name, LABELS, FEATURES, WEIGHT, scale=8.0, margin=0.0)
    # With rows of length 1 the gradient of the linear loss is that of the cosine, but for what changes the length.
    x, w = unit(FEATURES), unit(WEIGHT)
    value, by_x, by_w = of_inputs(backend, "linear_cross_entropy", LABELS, 8 * x, w)
    by_x = 8 * (by_x - x * np.sum(by_x * x, -1, keepdims=True)) / np.linalg.norm(FEATURES, axis=-1, keepdims=True)
    by_w = (by_w - w * np.sum(by_w * w, -1, keepdims=True)) / np.linalg.norm(WEIGHT, axis=-1, keepdims=True)
    same(backend, one, [value, by_x, by_w])


def test_cosface_lowers_the_logit_of_the_label(backend: str) -> None:
    """By scale times margin."""
    z = 8 * unit(FEATURES) @ unit(WEIGHT).T - 8 * 0.2 * np.eye(4)[LABELS]
    value = of_inputs(backend, "cosface", LABELS, FEATURES, WEIGHT, scale=8.0, margin=0.2)[0]
    same(backend, [value], [np.log(np.exp(z).sum(-1)) - z[np.arange(5), LABELS]])


def test_sphereface_of_margin_1_is_linear(backend: str) -> None:
    """The cross entropy of the features and rows of length 1; at a feature of 0, too."""
    features = FEATURES * np.array([[1.0], [1.0], [0.0], [1.0], [1.0]])
    one = of_inputs(backend, "sphereface", LABELS, features, unit(WEIGHT), margin=1, wrt=("features",))
    same(backend, one, of_inputs(backend, "linear_cross_entropy", LABELS, features, unit(WEIGHT), wrt=("features",)))


@pytest.mark.parametrize("margin", [0.2, 1.0])
def test_arcface_of_two_directions(backend: str, margin: float) -> None:
    """In the plane, features at any angle, the nearest 1e-9 off: the value and the derivative by the angle."""
    angles = np.array([-1e-3, 1e-9, 1e-6, 0.3, 2.0, np.pi - 1e-6])
    x = np.stack([np.cos(angles), np.sin(angles)], -1)
    value, by_x = of_inputs(
        backend, "arcface", np.zeros(6, int), x, np.eye(2), scale=1.0, margin=margin, wrt=("features",)
    )
    off, side = np.abs(angles), np.sign(angles)
    far = off + margin > np.pi
    own = np.where(far, np.cos(off) - margin * np.sin(margin), np.cos(off + margin))
    gap = np.sin(angles) - own
    slope = np.cos(angles) + side * np.where(far, np.sin(off), np.sin(off + margin))
    tangent = np.stack([-np.sin(angles), np.cos(angles)], -1)
    wanted = (slope / (1 + np.exp(-gap)))[:, None] * tangent
    kept = off > (1e-6 if backend == "keras" else 0)  # single precision cannot tell the nearest ones from 0
    same(backend, [value, by_x[kept]], [np.log1p(np.exp(gap)), wanted[kept]])


def test_proxy_nca_plus_is_a_softmax_of_cosines(backend: str) -> None:
    """The squared distance of rows of length 1 is 2 - 2 cos: scale s is a scale of 2 s of the cosine."""
    one = of_inputs(backend, "proxy_nca", LABELS, FEATURES, WEIGHT, plus=True, scale=4.0)
    same(backend, one, of_inputs(backend, "cosface", LABELS, FEATURES, WEIGHT, margin=0.0, scale=8.0))


def test_ignored_labels_are_masked_ones(backend: str) -> None:
    """In the value, the gradients and the count; also where nothing can be read."""
    names, arrays = ("features", "weight"), [to_native(backend, x, "float64") for x in (FEATURES, WEIGHT)]
    ignoring = multiloss.get("linear_cross_entropy", backend=backend, ignore_index=-100, validate=False)
    plain = multiloss.get("linear_cross_entropy", backend=backend)
    labels = to_native(backend, np.where(LABELS == 0, -100, LABELS))
    one = ignoring.value_and_grad(labels, *arrays, wrt=names)
    other = plain.value_and_grad(to_native(backend, LABELS), *arrays, mask=to_native(backend, LABELS != 0), wrt=names)
    same(backend, *([to_numpy(x) for x in (value, *gradients)] for value, gradients in (one, other)))


@pytest.mark.parametrize(("name", "inputs"), [("barlow_twins", 0), ("vicreg", 0), ("proxy_anchor", 1)])
def test_a_mask_leaves_samples_out_of_whole_batches(backend: str, name: str, inputs: int) -> None:
    """As if they were not there, even with a label that is no class."""
    keep = np.array([True, False, True, True, True])
    views = [FEATURES, FEATURES[::-1] + 1.0]
    given = [np.where(keep, LABELS, -7), FEATURES, WEIGHT] if inputs else views
    less = [LABELS[keep], FEATURES[keep], WEIGHT] if inputs else [x[keep] for x in views]
    loss = multiloss.get(name, backend=backend, validate=False)
    arrays = [
        [to_native(backend, x, None if x.dtype.kind == "i" else "float64") for x in group] for group in (given, less)
    ]
    same(
        backend,
        [to_numpy(loss(*arrays[0], mask=to_native(backend, keep)))],
        [to_numpy(loss(*arrays[1]))],
    )

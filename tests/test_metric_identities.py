"""Losses of embeddings: sizes and lengths that must not count, numbers that are not finite, and any distance."""

from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import framework, native_grad, native_second, native_second_forward, to_native, to_numpy
from helpers.losses import make
from multiloss.engine import dispatch
from multiloss.engine.loss import make_spec
from multiloss.testing.strategies import draw_inputs

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 4))
Y = RNG.normal(size=(6, 4))
CLASSES = np.array([0, 0, 1, 0, 1, 2])


def test_other_numbers_of_features(backend: str) -> None:
    loss, truth = (multiloss.get("triplet", backend=name) for name in (backend, "numpy"))
    for number, features in ((6, 3), (5, 3), (6, 5), (4, 2)):
        x = np.random.default_rng(number).normal(size=(number, features)).astype(np.float32)
        got = loss(to_native(backend, CLASSES[:number]), to_native(backend, x))
        np.testing.assert_allclose(to_numpy(got), truth(CLASSES[:number], x), rtol=1e-5)


DIRECTIONS = [
    ("arcface", {}), ("cosface", {}), ("proxy_anchor", {}), ("proxy_nca", {}), ("circle", {}), ("info_nce", {}),
    ("multi_similarity", {}), ("ntxent", {}), ("supervised_contrastive", {}), ("cosine_embedding", {}),
    ("cosine_distance", {}), ("triplet", {"normalize": True}),
]  # fmt: skip
"""Losses to which only directions count."""


@pytest.mark.parametrize(("name", "options"), DIRECTIONS)
def test_lengths_do_not_count(backend: str, name: str, options: dict[str, Any]) -> None:
    spec = make_spec(name, options)
    inputs = (
        {"y_true": X, "y_pred": Y}
        if spec.definition.kind != "of_inputs"
        else draw_inputs(spec, np.random.default_rng(0), (6,), 4)
    )
    loss = multiloss.get(name, backend=backend, **options)
    vectors = [key for key in inputs if inputs[key].ndim == 2]

    def at(power: int) -> Any:
        arrays = dict(inputs)
        for key in vectors:
            arrays[key] = np.ldexp(inputs[key] / np.abs(inputs[key]).max(), power)
        dtypes = {key: "float32" if x.dtype.kind == "f" else None for key, x in arrays.items()}
        found = loss.value_and_grad(**{key: to_native(backend, x, dtypes[key]) for key, x in arrays.items()})
        return [to_numpy(x).astype(float) for x in found]

    value, slope = at(0)
    for power in (-60, 100, 127):
        there, gradient = at(power)
        np.testing.assert_allclose(there, value, rtol=1e-6)
        if power < 100:  # where it is a normal number itself
            np.testing.assert_allclose(np.ldexp(gradient, power), slope, rtol=1e-4, atol=1e-6 * np.abs(slope).max())


@pytest.mark.parametrize("swap", [False, True])
def test_triplets_of_any_distance(backend: str, swap: bool) -> None:
    """That of the Euclidean distance is the loss of that name, value and gradient; what the function gives is looked
    at."""
    xp = dispatch.backend(backend).xp

    def euclidean(x: Any, y: Any) -> Any:
        return xp.sqrt(xp.sum((x - y) * (x - y), axis=-1))

    near = X + 0.5 * Y[::-1]
    arrays = [to_native(backend, x, "float64") for x in (X, near, Y)]
    options = {"margin": 2.0, "swap": swap}
    loss = make(backend, "triplet_margin", "float64", reduction="none", **options)

    def of(x: Any) -> Any:
        return multiloss.triplet_margin(x, *arrays[1:], distance=euclidean, **options)

    value, slope = loss.value_and_grad(*arrays, wrt="anchor")
    np.testing.assert_allclose(to_numpy(of(arrays[0])), to_numpy(value), rtol=1e-12)
    assert np.any(to_numpy(value) > 0)
    if framework(backend) != "numpy":
        np.testing.assert_allclose(native_grad(backend, of, arrays[0]), to_numpy(slope), rtol=1e-11)
    with pytest.raises(ValueError, match=r"distance must give one value per triplet, \(6,\), got \(6, 4\)"):
        multiloss.triplet_margin(*arrays, distance=lambda x, y: x - y)
    with pytest.raises(ValueError, match=r"negative must have the shape .* of anchor, \(6, 4\), got \(6, 3\)"):
        multiloss.triplet_margin(arrays[0], arrays[1], arrays[2][:, :3], distance=euclidean)
    with pytest.raises(TypeError, match="distance must be a function of two arrays, got 'cosine'"):
        multiloss.triplet_margin(*arrays, distance="cosine")


MINED = [
    ("circle", {}), ("multi_similarity", {}), ("ntxent", {}), ("supervised_contrastive", {}),
    *(("triplet", {"mining": mining}) for mining in ("hard", "semihard", "all")),
]  # fmt: skip


@pytest.mark.parametrize("labels", [[0], [0, 1], [0, 0], [0, 0, 1], [1, 0, 0]], ids=str)
@pytest.mark.parametrize(("name", "options"), MINED)
def test_what_is_not_finite_shows_without_pairs_too(
    backend: str, name: str, options: dict[str, Any], labels: list[int]
) -> None:
    loss = multiloss.get(name, backend=backend, **options)
    for bad in (np.nan, np.inf):
        features = np.array(X[: len(labels)])
        features[0, 1] = bad
        value, _ = loss.value_and_grad(to_native(backend, np.array(labels)), to_native(backend, features))
        assert not np.isfinite(to_numpy(value))
        mask = np.arange(len(labels)) > 0
        arrays = [to_native(backend, x) for x in (np.array(labels), features, mask)]
        value, slope = loss.value_and_grad(*arrays[:2], mask=arrays[2])
        assert np.isfinite(to_numpy(value))
        assert np.all(np.isfinite(to_numpy(slope)))


@pytest.mark.only("torch", "tensorflow", "jax")
def test_squared_distances_of_equal_embeddings_have_a_curvature(backend: str) -> None:
    """The loss is d_01 - (d_02 + d_12) / 2 + 3 with d_ij = |x_i - x_j|^2: its Hessian is that of the first, too."""
    loss = multiloss.get("triplet", backend=backend, squared=True, margin=3.0)
    labels = to_native(backend, np.array([0, 0, 1]))
    x = to_native(backend, np.array([[1.0, 2.0], [1.0, 2.0], [1.5, 2.5]]))
    direction = to_native(backend, np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]))
    expected = [[1.0, 0.0], [-2.0, 0.0], [1.0, 0.0]]
    for second in (native_second, native_second_forward):
        got = second(backend, lambda z: loss(labels, z), x, direction)
        np.testing.assert_allclose(got, expected, atol=1e-12, err_msg=second.__name__)

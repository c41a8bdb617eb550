"""What the catalogue's formulas do not say: functions beside the losses, and losses at points of their own."""

import importlib
from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import native_grad, native_second, to_native, to_numpy
from helpers.losses import make
from reference.information import CONTEXT as mp

RNG = np.random.default_rng(7)
LABELS = RNG.integers(0, 4, size=6)
HOT = np.eye(4)[LABELS]
FEATURES, WEIGHT = RNG.normal(size=(6, 3)), RNG.normal(size=(4, 3))


def test_smooth_labels_mixes_with_the_uniform_distribution_over_any_axis(backend: str) -> None:
    smoothed = to_numpy(multiloss.smooth_labels(to_native(backend, HOT, "float64"), 0.3))
    np.testing.assert_allclose(smoothed, 0.7 * HOT + 0.3 / 4, rtol=1e-15)
    across = to_numpy(multiloss.smooth_labels(to_native(backend, HOT.astype(np.int64)), 0.3, axis=0))
    np.testing.assert_allclose(across, 0.7 * HOT + 0.3 / 6, rtol=1e-6)
    with pytest.raises(ValueError, match=r"smoothing must be in \[0, 1\]"):
        multiloss.smooth_labels(to_native(backend, HOT), 1.5)


def test_fenchel_young_of_logsumexp_is_the_cross_entropy(backend: str) -> None:
    """And of half the squared norm it is half the squared distance, less half the targets' squared norm."""
    z, t = np.random.default_rng(0).normal(size=(2, 3, 4))
    t = np.exp(t) / np.exp(t).sum(-1, keepdims=True)
    native = [to_native(backend, x, "float64") for x in (z, t)]
    got = to_numpy(multiloss.fenchel_young(multiloss.logsumexp, *native))
    np.testing.assert_allclose(got, -(t * (z - np.log(np.exp(z).sum(-1, keepdims=True)))).sum(-1), rtol=1e-12)
    got = to_numpy(multiloss.fenchel_young(lambda x: (x * x)[..., 0] * 0.5, *(x[..., :1] for x in native)))
    np.testing.assert_allclose(got, ((z - t) ** 2 - t**2)[..., 0] / 2, rtol=1e-12)
    with pytest.raises(ValueError, match="max_fun must give one value per sample"):
        multiloss.fenchel_young(lambda x: x, *native)
    with pytest.raises(ValueError, match="scores and targets must have equal shapes"):
        multiloss.fenchel_young(multiloss.logsumexp, native[0], native[1][..., :1])


@pytest.mark.only("torch", "tensorflow", "jax")
def test_ctc_has_second_derivatives(backend: str) -> None:
    rng = np.random.default_rng(4)
    z, along = rng.normal(size=(3, 4, 3)), rng.normal(size=(3, 4, 3))
    loss = multiloss.get("ctc", backend)
    others = [to_native(backend, np.array(x)) for x in ([[1, 2], [1, 1], [2, 1]], [2, 2, 0], [4, 3, 2])]

    def of(x: Any) -> Any:
        return loss(others[0], x, *others[1:])

    ahead, behind = (native_grad(backend, of, to_native(backend, z + s * along)) for s in (1e-5, -1e-5))
    second = native_second(backend, of, *(to_native(backend, x) for x in (z, along)))
    np.testing.assert_allclose(second, (ahead - behind) / 2e-5, atol=1e-9)


@pytest.mark.only("numpy")
def test_digamma_on_both_sides_of_0(backend: str) -> None:
    ops = importlib.import_module("multiloss_numpy.ops")
    x = np.array([1e-3, 0.25, 0.49, 0.51, 1.0, 2.5, 10.0, 170.0, 1e10, -0.25, -0.49, -0.51])
    np.testing.assert_allclose(ops.digamma(x), [float(mp.digamma(a)) for a in x], rtol=1e-13)


@pytest.mark.parametrize("name", ["cosine_similarity", "cosine_distance"])
def test_the_cosine_of_a_zero_vector_has_exactly_no_gradient(backend: str, name: str) -> None:
    p = np.random.default_rng(0).normal(size=(40, 3))
    loss = make(backend, name, "float64", reduction="none")
    for inputs in ((0 * p, p), (p, 0 * p), (0 * p, 0 * p)):
        value, gradient = loss.value_and_grad(*(to_native(backend, x) for x in inputs))
        np.testing.assert_array_equal(to_numpy(value), np.full(40, 1.0 if name == "cosine_distance" else 0.0))
        np.testing.assert_array_equal(to_numpy(gradient), 0 * p)


KINKS = [("mae", {}), ("smooth_l1", {"beta": 0.0}), ("quantile", {"q": 0.9}), ("smape", {}), ("wasserstein_1d", {}),
         ("cosine_distance", {})]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), KINKS)
def test_kinks_have_slope_0_by_both_inputs(backend: str, name: str, options: dict[str, Any]) -> None:
    x = to_native(backend, np.array([[1.0, 0.0, 0.0]], np.float32))
    _, gradients = multiloss.get(name, backend=backend, **options).value_and_grad(x, x, wrt=("y_true", "y_pred"))
    for gradient in gradients:
        np.testing.assert_array_equal(to_numpy(gradient), np.zeros((1, 3)))


@pytest.mark.parametrize("name", ["cosine_similarity", "cosine_distance", "js_divergence", "wasserstein_1d", "tweedie"])
def test_samples_without_elements_cost_nothing(backend: str, name: str) -> None:
    empty = to_native(backend, np.zeros((0, 3), np.float32))
    assert float(to_numpy(multiloss.get(name, backend=backend, axis=0)(empty, empty))) == 0


@pytest.mark.parametrize("margin", [0.2, 1.0])
def test_arcface_of_two_directions(backend: str, margin: float) -> None:
    """In the plane, features at any angle, the nearest 1e-9 off: the value and the derivative by the angle."""
    angles = np.array([-1e-3, 1e-9, 1e-6, 0.3, 2.0, np.pi - 1e-6])
    x = np.stack([np.cos(angles), np.sin(angles)], -1)
    loss = multiloss.get("arcface", backend=backend, scale=1.0, margin=margin, reduction="none")
    arrays = [to_native(backend, a) for a in (np.zeros(6, int), x, np.eye(2))]
    value, by_x = loss.value_and_grad(*arrays, wrt="features")
    off, side = np.abs(angles), np.sign(angles)
    far = off + margin > np.pi
    gap = np.sin(angles) - np.where(far, np.cos(off) - margin * np.sin(margin), np.cos(off + margin))
    slope = np.cos(angles) + side * np.where(far, np.sin(off), np.sin(off + margin))
    wanted = (slope / (1 + np.exp(-gap)))[:, None] * np.stack([-np.sin(angles), np.cos(angles)], -1)
    kept = off > (1e-6 if backend == "keras" else 0)  # single precision cannot tell the nearest ones from 0
    bound = 2e-5 if backend == "keras" else 1e-11
    np.testing.assert_allclose(to_numpy(value), np.log1p(np.exp(gap)), rtol=bound, atol=bound)
    np.testing.assert_allclose(to_numpy(by_x)[kept], wanted[kept], rtol=bound, atol=bound)


@pytest.mark.parametrize("name", ["barlow_twins", "vicreg", "proxy_anchor"])
def test_a_mask_leaves_samples_out_of_whole_batches(backend: str, name: str) -> None:
    keep = np.arange(6) != 1
    views = [FEATURES, FEATURES[::-1] + 1.0]
    given = [np.where(keep, LABELS, -7), FEATURES, WEIGHT] if name == "proxy_anchor" else views
    less = [x[keep] if len(x) == 6 else x for x in given]
    loss = multiloss.get(name, backend=backend, validate=False)
    masked = loss(*(to_native(backend, x) for x in given), mask=to_native(backend, keep))
    np.testing.assert_allclose(
        to_numpy(masked),
        to_numpy(loss(*(to_native(backend, x) for x in less))),
        rtol=2e-5 if backend == "keras" else 1e-11,
    )

"""Ring loss against loops over Python's floats: value, gradient, where the radius starts and how it moves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import multiloss
from helpers.arrays import framework, jit, to_native, to_numpy


def ring(backend: str, **options: Any) -> Any:
    return multiloss.get("ring", backend=backend, **options)


def drawn(seed: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, which are not used; features; which samples count."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 10**6, n), rng.normal(size=(n, 3)).astype(np.float32), rng.random(n) < 0.8


@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 9),
    alpha=st.sampled_from([0.0, 0.3, 1.0]),
    radius=st.sampled_from([None, 0.7, 5.0]),
    weight=st.sampled_from([0.0, 0.01, 2.0]),
)
def test_three_steps(backend: str, seed: int, n: int, alpha: float, radius: float | None, weight: float) -> None:
    loss = ring(backend, alpha=alpha, radius=radius, weight=weight, reduction="none")
    for step in range(3):
        y, x, kept = drawn(seed + step, n)
        lengths = [math.hypot(*map(float, v)) for v in x]
        counted = [a for a, k in zip(lengths, kept, strict=True) if k]
        if radius is None and counted:
            radius = math.fsum(counted) / len(counted)
        value = to_numpy(loss(to_native(backend, y), to_native(backend, x), mask=to_native(backend, kept)))
        expected = [k and weight / 2 * (a - (radius or 0)) ** 2 for a, k in zip(lengths, kept, strict=True)]
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-6)
        if counted and radius is not None:
            radius -= alpha * math.fsum(radius - a for a in counted) / len(counted)
        np.testing.assert_allclose(to_numpy(loss.centers), [[math.nan if radius is None else radius]], rtol=1e-5)


@pytest.mark.parametrize("radius", [None, 1.5])
def test_gradients_by_central_differences(backend: str, radius: float | None) -> None:
    y, x, kept = drawn(1, 6)
    x = x.astype(np.float64)
    loss = ring(backend, radius=radius, weight=0.7, update="manual")
    fixed = radius or float(np.linalg.norm(x[kept], axis=1).mean())
    _, gradient = loss.value_and_grad(to_native(backend, y), to_native(backend, x), mask=to_native(backend, kept))
    numeric = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        around = []
        for h in (1e-6, -1e-6):
            near = x.copy()
            near[i] += h
            around.append(0.35 * np.mean((np.linalg.norm(near[kept], axis=1) - fixed) ** 2))
        numeric[i] = (around[0] - around[1]) / 2e-6
    # the radius of an unknown start is a mean in the table's float32
    np.testing.assert_allclose(to_numpy(gradient), numeric, rtol=1e-5, atol=1e-7)
    assert np.abs(numeric[kept]).max() > 1e-3


def test_zero_vectors_large_and_small_ones(backend: str) -> None:
    """No nan from the length of 0, no overflow of a square."""
    x = np.array([[0, 0], [3e25, 4e25], [3e-30, 4e-30], [3, 4]], np.float32)
    loss = ring(backend, radius=5.0, weight=1.0, reduction="none", update="manual")
    value, gradient = loss.value_and_grad(to_native(backend, [0, 0, 0, 0]), to_native(backend, x))
    assert to_numpy(value)[[0, 2, 3]].tolist() == [12.5, 12.5, 0.0]
    np.testing.assert_allclose(to_numpy(gradient), [[0, 0], [3e25, 4e25], [-3.0, -4.0], [0, 0]], rtol=1e-5, atol=1e-5)


def test_when_the_radius_starts(backend: str) -> None:
    """Not by an evaluation, an empty or a masked batch, nor by features that are not finite."""
    y, x = to_native(backend, [0, 0]), to_native(backend, np.array([[3, 4], [0, 1]], np.float32))
    loss = ring(backend, alpha=0.25, weight=1.0)

    def radius() -> float:
        return float(to_numpy(loss.centers)[0, 0])

    if backend == "torch":
        loss.eval()
        value = loss(y, x)
        loss.train()
    else:
        value = loss(y, x, training=False)
    assert float(to_numpy(value)) == pytest.approx(2.0) and math.isnan(radius())  # (5 - 3)^2 / 2
    loss(to_native(backend, np.zeros(0, np.int64)), to_native(backend, np.zeros((0, 2), np.float32)))
    loss(y, x, mask=to_native(backend, [False, False]))
    for bad in (math.nan, math.inf):
        value = loss(y, to_native(backend, np.array([[bad, 0], [0, 1]], np.float32)))
        assert math.isnan(float(to_numpy(value))) and math.isnan(radius())
    loss(y, x)
    assert radius() == pytest.approx(3.0)
    loss(y, to_native(backend, np.array([[math.nan, 0], [0, 1]], np.float32)))
    assert radius() == pytest.approx(3.0)
    loss.update(y, to_native(backend, np.array([[7, 0], [0, 7]], np.float32)))
    assert radius() == pytest.approx(4.0)


@pytest.mark.graph
def test_traced_from_an_unknown_radius(backend: str) -> None:
    loss = ring(backend, alpha=0.5)
    run = jit(backend, lambda s, y, x: loss.step({"centers": s}, y, x)[1]["centers"])
    table = loss.init_state()["centers"]
    same = ring("numpy", alpha=0.5)
    for seed in range(2):
        y, x, _ = drawn(seed, 5)
        table = run(table, to_native(backend, y), to_native(backend, x))
        same(y, x)
    np.testing.assert_allclose(to_numpy(table), same.centers, rtol=1e-6)


def test_half_precision(backend: str) -> None:
    """The radius is kept in float32 at least; the gradient has the features' dtype."""
    y, x, _ = drawn(2, 5)
    loss = ring(backend)
    half = to_native(backend, x, "float16")
    _, gradient = loss.value_and_grad(to_native(backend, y), half)
    exact = np.linalg.norm(x.astype(np.float16).astype(np.float64), axis=1).mean()
    assert float(to_numpy(loss.centers)[0, 0]) == pytest.approx(exact, rel=1e-6)
    assert "float16" in str(gradient.dtype)


def test_config_files_and_other_backends(backend: str, tmp_path: Any) -> None:
    y, x, _ = drawn(3, 5)
    loss = ring(backend, weight=0.5, alpha=0.25, radius=3.0)
    config = loss.config()
    assert config == {"name": "ring", "weight": 0.5, "radius": 3.0, "alpha": 0.25, "reduction": "mean",
                      "update": "auto", "validate": None, "backend": backend}  # fmt: skip
    assert multiloss.get(**config).config() == config and ring(backend).config()["alpha"] == 0.001
    loss(to_native(backend, y), to_native(backend, x))
    loss.save_centers(tmp_path / "ring.safetensors")
    for again in (loss.to_backend("numpy"), ring("numpy")):
        again.load_centers(tmp_path / "ring.safetensors")
        np.testing.assert_array_equal(again.centers, to_numpy(loss.centers))
    np.testing.assert_array_equal(loss.to_backend("numpy").centers, to_numpy(loss.centers))
    assert "ring" in loss.describe().lower() and "the radius by its gradient" in loss.describe()


def test_what_is_refused(backend: str) -> None:
    for options, words in (
        ({"num_classes": 3}, "no option 'num_classes'"),
        ({"preset": "paper"}, "no option 'preset'"),
        ({"radius": 0.0}, "radius"),
        ({"radius": "large"}, "radius"),
        ({"weight": -1.0}, "weight"),
        ({"alpha": 2.0}, "alpha"),
    ):
        with pytest.raises((TypeError, ValueError), match=words):
            ring(backend, **options)
    loss = ring(backend, radius=1.0)
    x = to_native(backend, np.ones((2, 3), np.float32))
    for labels, words in (([0], "labels"), ([0.0, 1.0], "labels")):
        with pytest.raises((TypeError, ValueError), match=words):
            loss(to_native(backend, labels), x)
    with pytest.raises(ValueError, match="one row for all classes"):
        loss.resize(4)
    assert to_numpy(loss.centers).tolist() == [[1.0]]
    if framework(backend) == "torch":
        with pytest.raises(TypeError, match="no option 'sharded'"):
            ring(backend, sharded=True)


def test_features_that_are_not_finite_show_and_keep_the_radius(backend: str) -> None:
    loss = ring(backend, radius=2.0, weight=1.0, reduction="none")
    x = np.array([[3.0, 4.0], [np.inf, 1.0], [np.nan, 1.0]])
    value = to_numpy(loss(to_native(backend, np.array([0, 0, 0])), to_native(backend, x)))
    np.testing.assert_array_equal(value, [4.5, np.inf, np.nan])  # (5 - 2)^2 / 2, and |x| is infinite or unknown
    np.testing.assert_array_equal(to_numpy(loss.centers), [[2.0]])

"""The close family of center loss against loops over Python's floats: values, gradients, steps, files, bad input."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import multiloss
from helpers.arrays import framework, jit, to_native, to_numpy
from multiloss.engine.registry import TABLES
from reference import center as reference

OPTIONS: dict[str, dict[str, Any]] = {
    "contrastive_center": {"delta": 0.5},
    "triplet_center": {"margin": 1.5, "push": True},
    "island": {"weight": 0.3},
    "git": {"weight": 0.7},
}
CASES = [pytest.param(name, options, id=name) for name, options in OPTIONS.items()]
CASES.append(pytest.param("triplet_center", {"margin": 1.5, "push": False}, id="triplet_center, Eq. 4"))
each = pytest.mark.parametrize(("name", "options"), CASES)


def drawn(seed: int, n: int = 7, classes: int = 4, dim: int = 3) -> tuple[Any, Any, Any, Any]:
    rng = np.random.default_rng(seed)
    centers, x = rng.normal(size=(classes, dim)), rng.normal(size=(n, dim))
    return centers, rng.integers(0, classes, n), x, rng.random(n) < 0.8


def made(backend: str, name: str, centers: Any, **options: Any) -> Any:
    return multiloss.get(name, backend=backend, centers_init=centers, **options)


def expected(name: str, options: Any, c: Any, y: Any, x: Any, kept: Any) -> np.ndarray:
    arrays = [a.tolist() for a in (c, y, x, kept)]
    return np.where(kept, reference.VALUES[name](*arrays, **options), 0.0)


@each
@given(seed=st.integers(0, 10**6), n=st.integers(1, 9), alpha=st.sampled_from([0.0, 0.3, 1.0]))
def test_values_and_steps_are_the_papers(
    backend: str, name: str, options: dict[str, Any], seed: int, n: int, alpha: float
) -> None:
    c, y, x, kept = drawn(seed, n)
    c = c.astype(np.float32).astype(np.float64)  # the table of most backends is float32
    center = made(backend, name, c, alpha=alpha, reduction="none", **options)
    arrays = [to_native(backend, a) for a in (y, x.astype(np.float32))]
    x = x.astype(np.float32).astype(np.float64)
    value = to_numpy(center(*arrays, mask=to_native(backend, kept)))
    np.testing.assert_allclose(value, expected(name, options, c, y, x, kept), rtol=2e-5, atol=1e-5)
    new = reference.moved(name, c.tolist(), y.tolist(), x.tolist(), kept.tolist(), alpha, **options)
    np.testing.assert_allclose(to_numpy(center.centers), new, rtol=2e-5, atol=2e-6)
    if alpha == 0 or not kept.any():
        np.testing.assert_array_equal(to_numpy(center.centers), c)


@each
def test_gradients_by_central_differences_in_double_precision(backend: str, name: str, options: dict[str, Any]) -> None:
    c, y, x, kept = drawn(3)
    if framework(backend) == "jax":
        c = c.astype(np.float32).astype(np.float64)
    pure = made(backend, name, c, update="manual", **options)
    if hasattr(pure, "double"):
        pure.double()
    exact = to_numpy(pure.centers).astype(np.float64)
    _, gradient = pure.value_and_grad(to_native(backend, y), to_native(backend, x), mask=to_native(backend, kept))
    numeric = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        around = []
        for h in (1e-6, -1e-6):
            near = x.copy()
            near[i] += h
            around.append(np.sum(expected(name, options, exact, y, near, kept)) / kept.sum())
        numeric[i] = (around[0] - around[1]) / 2e-6
    np.testing.assert_allclose(to_numpy(gradient), numeric, rtol=1e-5, atol=1e-8)
    assert np.abs(numeric[kept]).max() > 1e-3
    assert not to_numpy(gradient)[~kept].any()


@pytest.mark.reads
@each
def test_bad_labels_and_features_move_nothing(backend: str, name: str, options: dict[str, Any]) -> None:
    c, y, x, _ = drawn(4)
    center = made(backend, name, c, **options)
    before = to_numpy(center.centers).copy()
    wrong = y.copy()
    wrong[2] = 4
    with pytest.raises(ValueError, match="labels"):
        center(to_native(backend, wrong), to_native(backend, x.astype(np.float32)))
    np.testing.assert_array_equal(to_numpy(center.centers), before)
    x[0] = np.nan
    value = center(to_native(backend, y), to_native(backend, x.astype(np.float32)))
    assert np.isnan(to_numpy(value))
    after = to_numpy(center.centers)
    assert np.isfinite(after).all()
    np.testing.assert_array_equal(after[y[0]], before[y[0]])


@each
def test_exactly_the_classes_that_nan_touches_stay(backend: str, name: str, options: dict[str, Any]) -> None:
    """Eager, in a graph and compiled; of island, whose centers move by each other, at least those that it touches."""
    c = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [2, 2, 2]], np.float32)
    x = np.array([[0.1, 0.2, 0.3], [0.3, 0.1, 0], [np.nan, 0, 1], [1, 0, 0.5]], np.float32)
    y = np.array([0, 1, 2, 2])
    wanted = None
    for wrap in wrappers(backend):
        center = made(backend, name, c, **options)
        wrap(center)(to_native(backend, y), to_native(backend, x))
        after = to_numpy(center.centers)
        moved = (after != c).any(axis=1)
        assert not moved[2] and np.isfinite(after).all()
        assert wanted is None or moved.tolist() == wanted
        wanted = moved.tolist()
    assert wanted is not None and (wanted[:2] == [True, True] or name == "triplet_center")


def wrappers(backend: str) -> list[Any]:
    if backend != "tensorflow":
        return [lambda call: call]
    import tensorflow as tf

    return [lambda call: call, tf.function, partial(tf.function, jit_compile=True)]


@each
def test_one_class_and_equal_centers_give_finite_numbers(backend: str, name: str, options: dict[str, Any]) -> None:
    one = made(backend, name, np.ones((1, 2)), **options)
    value = one(to_native(backend, [0, 0]), to_native(backend, np.ones((2, 2), np.float32)))
    assert to_numpy(value) == pytest.approx(options["weight"] if name == "git" else 0.0)
    np.testing.assert_array_equal(to_numpy(one.centers), np.ones((1, 2)))
    same = made(backend, name, np.zeros((3, 2)), **options)
    x = to_native(backend, np.zeros((2, 2), np.float32))
    value, gradient = same.value_and_grad(to_native(backend, [0, 1]), x)
    assert np.isfinite(to_numpy(value)) and not to_numpy(gradient).any()
    assert np.isfinite(to_numpy(same.centers)).all()


@each
def test_config_files_and_other_backends(backend: str, name: str, options: dict[str, Any], tmp_path: Any) -> None:
    c, *_ = drawn(5)
    center = made(backend, name, c, alpha=0.25, **options)
    config = center.config()
    assert config["name"] == name and {key: config[key] for key in options} == options
    assert multiloss.get(**config).config() == config
    center.save_centers(tmp_path / "c.safetensors")
    again = center.to_backend("numpy")
    assert again.config() == config | {"backend": "numpy"}
    again.load_centers(tmp_path / "c.safetensors")
    np.testing.assert_array_equal(again.centers, to_numpy(center.centers))
    assert name.partition("_")[0] in center.describe().lower() and "alpha = 0.25" in center.describe()


@pytest.mark.graph
def test_the_compiled_step_is_numpys(backend: str) -> None:
    c, y, x, _ = drawn(6)
    x = x.astype(np.float32)
    for name, options in OPTIONS.items():
        wanted = made("numpy", name, c, **options)
        value, gradient = wanted.value_and_grad(y, x)
        center = made(backend, name, c, **options)
        run = jit(backend, lambda s, y, x, center=center: center.step({"centers": s}, y, x)[1]["centers"])
        table = to_native(backend, c.astype(np.float32))
        moved = run(table, to_native(backend, y), to_native(backend, x))
        np.testing.assert_allclose(to_numpy(moved), wanted.centers, rtol=1e-5, atol=1e-6)
        got, slope = center.value_and_grad(to_native(backend, y), to_native(backend, x))
        np.testing.assert_allclose(to_numpy(got), value, rtol=1e-5)
        np.testing.assert_allclose(to_numpy(slope), gradient, rtol=1e-5, atol=1e-6)


def test_bad_options(backend: str) -> None:
    for name, options, words in (
        ("island", {"preset": "paper"}, "no option 'preset'"),
        ("git", {"margin": 1.0}, "no option 'margin'"),
        ("contrastive_center", {"delta": 0.0}, "delta"),
        ("triplet_center", {"margin": -1.0}, "margin"),
        ("island", {"weight": float("nan")}, "weight"),
    ):
        with pytest.raises((TypeError, ValueError), match=words):
            multiloss.get(name, backend=backend, num_classes=3, **options)
    git = multiloss.get("git", backend=backend, num_classes=3, feature_dim=2)
    with pytest.raises(ValueError, match="git compares the samples of one batch"):
        git(to_native(backend, [[0], [1]]), to_native(backend, np.ones((2, 1, 2), np.float32)))


@pytest.mark.reads  # the table grows by the labels that it reads
@each
def test_what_is_missing_is_asked_for_by_the_losss_own_name(backend: str, name: str, options: dict[str, Any]) -> None:
    if name == "ring":  # which has its one row from the start
        assert to_numpy(multiloss.get(name, backend, **options).init_state()["centers"]).shape == (1, 1)
        return
    center = multiloss.get(name, backend=backend, max_classes=2, **options)
    with pytest.raises(ValueError, match=rf"init_state needs num_classes: multiloss\.get\('{name}', num_classes"):
        center.init_state()
    with pytest.raises(ValueError, match=rf"up to max_classes=2 only; pass num_classes to multiloss\.get\('{name}'"):
        center(to_native(backend, [0, 2]), to_native(backend, np.ones((2, 2), np.float32)))


def test_each_names_its_paper() -> None:
    """In the docstring, and the paragraph that `describe()` and the catalogue show is still the one sentence."""
    for name, paper in (
        ("contrastive_center", "1707.07391"),
        ("triplet_center", "1803.06189"),
        ("island", "1710.03144"),
        ("git", "1807.08512"),
        ("ring", "1803.00130"),
    ):
        says, reference, *_ = TABLES[name].doc.split("\n\n")
        assert says.endswith(".") and "\n" not in says and reference.endswith(f"arXiv:{paper}.")

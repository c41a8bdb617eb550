"""Center loss (contract, section 3) in one process, on every backend, against the loops of `reference.center_step`.

What each framework has of its own (compilation, checkpoints, modules): `test_torch_center.py` and the like.
Bad input, and what labels and features may be: `test_center_input.py`.
"""

import numpy as np
import pytest

import multiloss
import reference
from helpers.arrays import framework, native_grad, to_native, to_numpy
from helpers.centers import FEATURES, FIRST, LABELS, MASK, MOVED, VALUES, C, D, N, close, evaluate, make, native, same


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_equation_4(backend: str, alpha: float, masked: bool) -> None:
    """Three steps: the value is of the centers from before; absent classes stay, bit for bit."""
    center = make(backend, alpha=alpha)
    centers, mask = FIRST.astype(np.float64), MASK if masked else np.ones(N, bool)
    labels, m = native(backend, LABELS, MASK)
    for step in range(3):
        x = FEATURES + np.float32(step)
        values, centers = reference.center_step(centers, LABELS, x, alpha, mask)
        got = center(labels, to_native(backend, x), **({"mask": m} if masked else {}))
        close(got, values.sum() / mask.sum())
        close(center.centers, centers)
    same(center.centers[3:], FIRST[3:])
    assert tuple(center.centers.shape) == (C, D)
    if alpha == 0:
        same(center.centers, FIRST)


def test_hand_worked(backend: str) -> None:
    """One class at 0 that meets 2 and 4: delta = (-2 - 4) / (1 + 2) = -2; with alpha 1/2 it moves to 1."""
    center = multiloss.get("center", backend=backend, num_classes=2, feature_dim=1)
    labels, x = native(backend, np.array([1, 1]), np.array([[2.0], [4.0]], np.float32))
    close(center(labels, x), (2 + 8) / 2)
    same(center.centers, [[0], [1]])


REDUCED = {"mean": 8, "sum": 1, "batchmean": 8, "none": None}


@pytest.mark.parametrize("reduction", REDUCED)
@pytest.mark.parametrize("per_feature", [False, True])
def test_reductions_and_per_feature(backend: str, reduction: str, per_feature: bool) -> None:
    center = make(backend, reduction=reduction, per_feature=per_feature)
    values = VALUES / D if per_feature else VALUES
    got = center(*native(backend, LABELS, FEATURES))
    close(got, values if reduction == "none" else values.sum() / REDUCED[reduction])  # type: ignore[operator]
    close(center.centers, MOVED)


def test_weights_scale_the_value_only(backend: str) -> None:
    weight = np.array([1, 2, 0, 3, 1, 5, 1, 2], np.float32)
    for reduction, by in (("mean", 8), ("weighted_mean", 15)):
        center = make(backend, reduction=reduction)
        labels, x, w = native(backend, LABELS, FEATURES, weight)
        close(center(labels, x, sample_weight=w), VALUES @ weight / by)
        close(center.centers, MOVED)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_non_finite_row(backend: str, bad: float) -> None:
    x = FEATURES.copy()
    x[3, 1] = bad  # class 1
    center = make(backend, reduction="none")
    values, moved = reference.center_step(FIRST, LABELS, FEATURES, 0.5)
    got = to_numpy(center(*native(backend, LABELS, x)))
    np.testing.assert_array_equal(np.isfinite(got), np.arange(N) != 3)
    same(center.centers[1], FIRST[1])
    close(to_numpy(center.centers)[[0, 2]], moved[[0, 2]])
    center, keep = make(backend), np.arange(N) != 3
    values, moved = reference.center_step(FIRST, LABELS, FEATURES, 0.5, keep)
    value, gradient = center.value_and_grad(*native(backend, LABELS, x), mask=to_native(backend, keep))
    close(value, values.sum() / 7)
    close(center.centers, moved)
    same(gradient[3], np.zeros(D))


@pytest.mark.graph
@pytest.mark.parametrize("compiled", [False, True])
def test_the_largest_numbers(backend: str, compiled: bool) -> None:
    """A class whose sum leaves the range keeps every bit, the sign of its zeros too; one of numbers as large moves."""
    large = 3e38
    x = np.array([[large, 1, 0], [large, 1, 0], [large, 0, -large], [-1, -1, -1], [np.inf, 0, 0]], np.float32)
    y = np.array([0, 0, 1, 2, 3])
    first = np.full((C, D), -0.0, np.float32)
    center = make(backend, centers_init=first, alpha=0.5)
    if compiled and backend == "tensorflow":
        import tensorflow as tf

        tf.function(center, jit_compile=True)(*native(backend, y, x))
    elif compiled and backend == "jax":
        import jax

        state = jax.jit(center.step)({"centers": to_native(backend, first)}, *native(backend, y, x))[1]
    else:
        center(*native(backend, y, x))
    got = to_numpy(state["centers"] if compiled and backend == "jax" else center.centers)
    if got.dtype == np.float32:  # JAX and NumPy count in float64 here, where the sum of class 0 is finite
        same(got[0], first[0])
        assert np.signbit(got[0]).all()
    close(got[1], [large / 4, 0, -large / 4])
    close(got[2], [-0.25] * 3)
    same(got[3:], first[3:])
    assert np.signbit(got[3:]).all()


def test_the_gradient(backend: str) -> None:
    """x - c_y, with the centers from before; one update an evaluation, none of them by the gradient."""
    center = make(backend, reduction="sum")
    labels, x = native(backend, LABELS, FEATURES)
    value, gradient = center.value_and_grad(labels, x)
    close(value, VALUES.sum())
    close(gradient, FEATURES - FIRST[LABELS])
    close(center.centers, MOVED)
    assert center.value_and_grad(labels, x, wrt=("features",))[1][0].shape == gradient.shape
    with pytest.raises(ValueError, match="wrt must be 'features'"):
        center.value_and_grad(labels, x, wrt="labels")
    if framework(backend) in ("torch", "tensorflow"):  # JAX objects raise under grad
        center = make(backend, reduction="sum")
        close(native_grad(backend, lambda f: center(labels, f), x), FEATURES - FIRST[LABELS])
        close(center.centers, MOVED)


def test_evaluation_moves_nothing(backend: str) -> None:
    center = make(backend)
    labels, x = native(backend, LABELS, FEATURES)
    for _ in range(2):
        close(evaluate(center, labels, x), VALUES.mean())
    same(center.centers, FIRST)
    if backend == "torch":
        import torch

        for guard in (torch.no_grad(), torch.inference_mode()):
            with guard:
                close(center(labels, x), VALUES.mean())
        with torch.no_grad():
            close(center.value_and_grad(labels, x)[1], (FEATURES - FIRST[LABELS]) / N)
        center.eval().value_and_grad(labels, x)
    else:
        center.value_and_grad(labels, x, training=False)
    same(center.centers, FIRST)


def test_manual_update(backend: str) -> None:
    center = make(backend, update="manual")
    labels, x, mask = native(backend, LABELS, FEATURES, MASK)
    center(labels, x)
    center.value_and_grad(labels, x)
    same(center.centers, FIRST)
    center.update(labels, x)
    close(center.centers, MOVED)
    center.update(labels, x, mask=mask)
    close(center.centers, reference.center_step(MOVED, LABELS, FEATURES, 0.5, MASK)[1])


@pytest.mark.reads
def test_dimension_and_classes_come_with_the_batches(backend: str) -> None:
    center = multiloss.get("center", backend=backend)
    assert tuple(center.centers.shape) == (0, 0)
    labels, x = native(backend, np.array([0, 2]), FEATURES[:2])
    center(labels, x)
    assert tuple(center.centers.shape) == (3, D)
    before = to_numpy(center.centers).copy()
    close(before[2], FEATURES[1] / 4)
    close(center(*native(backend, np.array([6]), FEATURES[:1])), 0.5 * (FEATURES[0] ** 2).sum())
    assert tuple(center.centers.shape) == (7, D)
    same(center.centers[:3], before)
    same(center.centers[3:6], np.zeros((3, D)))
    with pytest.raises(ValueError, match=r"3 features, as the centers have, got shape \(2, 2\)"):
        center(labels, to_native(backend, FEATURES[:2, :2]))
    with pytest.raises(ValueError, match=r"labels holds the label -1, but labels must be in"):
        center(to_native(backend, np.array([8, -1])), x)
    assert tuple(center.centers.shape) == (7, D)


@pytest.mark.reads
def test_growth_ends_at_max_classes(backend: str) -> None:
    (x,) = native(backend, FEATURES[:1])
    center = multiloss.get("center", backend=backend, max_classes=4)
    with pytest.raises(ValueError, match="labels hold the class 4, .* up to max_classes=4 only; pass num_classes"):
        center(to_native(backend, np.array([4])), x)
    center(to_native(backend, np.array([3])), x)
    assert center.centers.shape[0] == 4
    with pytest.raises(ValueError, match="labels hold the class 65536, .* up to max_classes=65536 only"):
        multiloss.get("center", backend=backend)(to_native(backend, np.array([65536])), x)


@pytest.mark.reads
def test_first_centers_are_zeros_drawn_or_given(backend: str) -> None:
    same(make(backend, centers_init="zeros").centers, np.zeros((C, D)))
    drawn = np.random.default_rng(7).standard_normal((C, D)).astype(np.float32)
    close(make(backend, centers_init="normal", seed=7).centers, drawn, rtol=1e-6)
    growing = multiloss.get("center", backend=backend, centers_init="normal", seed=7, alpha=0)
    for label in (1, 4):
        growing(*native(backend, np.array([label]), FEATURES[:1]))
    close(growing.centers, drawn, rtol=1e-6)
    for array in (FIRST, FIRST.tolist(), to_native(backend, FIRST)):
        center = multiloss.get("center", backend=backend, centers_init=array)
        same(center.centers, FIRST)
    assert center.config()["num_classes"] == C
    for options, said in (
        ({"centers_init": FIRST[0]}, r"'zeros', 'normal' or a real .* array, got float\d\d of shape \(3,\)"),
        ({"centers_init": FIRST, "num_classes": 4}, r"shape \(5, 3\), which contradicts num_classes=4"),
        ({"centers_init": FIRST, "feature_dim": 2}, r"shape \(5, 3\), which contradicts feature_dim=2"),
        ({"centers_init": "ones"}, "centers_init must be one of 'zeros', 'normal', got 'ones'"),
    ):
        with pytest.raises(ValueError, match=said):
            multiloss.get("center", backend=backend, **options)


def test_the_pure_core_is_the_stateful_object(backend: str) -> None:
    center = make(backend, centers_init="normal", seed=3)
    state = center.init_state()
    assert set(state) == {"centers"} and tuple(state["centers"].shape) == (C, D)
    labels, mask = native(backend, LABELS, MASK)
    for step in range(3):
        x = to_native(backend, FEATURES * (1 + step))
        before = to_numpy(state["centers"]).copy()
        value, new = center.step(state, labels, x, training=True, mask=mask)
        same(state["centers"], before)  # the state given is not changed
        close(value, to_numpy(center(labels, x, mask=mask)), rtol=1e-6)
        close(new["centers"], to_numpy(center.centers), rtol=1e-6)
        unmoved = center.step(new, labels, x, training=False)[1]
        same(unmoved["centers"], to_numpy(new["centers"]))
        state = new
    with pytest.raises(ValueError, match="init_state needs num_classes"):
        multiloss.get("center", backend=backend).init_state()
    with pytest.raises(ValueError, match="init_state needs feature_dim"):
        multiloss.get("center", backend=backend, num_classes=3).init_state()

"""Large coordinates, far outliers and large powers, in float32: what is representable is right."""

from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import jit, native_grad, native_second, to_native, to_numpy


def single(backend: str, x: Any) -> Any:
    return to_native(backend, np.array(x, np.float32))


@pytest.mark.parametrize("power", [1.5, 3.0, 64.0, 1000.0, 1e8])
@pytest.mark.parametrize("size", [2.5, 1e-20, 3e38])
def test_a_norm_of_one_entry_is_its_size(backend: str, power: float, size: float) -> None:
    """d = |p - a| whatever the power, and its derivative 1; the negative is at the anchor."""
    loss = multiloss.get("triplet_margin", backend=backend, power=power, margin=0.0)
    a, p = single(backend, [[0.0, 0.0]]), single(backend, [[size, 0.0]])
    value, gradient = loss.value_and_grad(a, p, a)
    np.testing.assert_allclose(to_numpy(value), size, rtol=1e-6)
    np.testing.assert_allclose(to_numpy(gradient), [[1.0, 0.0]], rtol=1e-6)


@pytest.mark.parametrize("power", [3.0, 64.0, 1000.0])
@pytest.mark.parametrize("size", [2.5, 1e-20, 1e37])
def test_norms_of_equal_entries(backend: str, power: float, size: float) -> None:
    """size * 2^(1/k), and each derivative 2^(1/k - 1)."""
    loss = multiloss.get("triplet_margin", backend=backend, power=power, margin=0.0)
    a, p = single(backend, [[0.0, 0.0]]), single(backend, [[size, -size]])
    value, gradient = loss.value_and_grad(a, p, a)
    np.testing.assert_allclose(to_numpy(value), size * 2 ** (1 / power), rtol=2e-6)
    np.testing.assert_allclose(to_numpy(gradient), [[2 ** (1 / power - 1), -(2 ** (1 / power - 1))]], rtol=2e-5)


def test_the_smallest_input(backend: str) -> None:
    loss = multiloss.get("triplet_margin", backend=backend, power=64)
    assert float(to_numpy(loss(*(single(backend, [[x]]) for x in (0.0, 2.5, 1.0))))) == 2.5
    value, gradient = loss.value_and_grad(*(single(backend, [[x]]) for x in (2.5, 2.5, 2.5)))
    assert float(to_numpy(value)) == 1.0 and to_numpy(gradient).tolist() == [[0.0]]  # the distance is 0


MINING = ("hard", "semihard", "all")
UNIT = np.spacing(np.float32(1e14))  # 2^23: the next number
FAR = {
    "scaled": (1e14 * np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 2.0]]), [0, 0, 1]),
    "offset": (1e14 + UNIT * np.array([[0, 0], [3000, 4000], [0, 2000]]), [0, 0, 1]),
    "offset of one coordinate": (np.array([[1e14, 0.0], [1e14, 3.0], [1e14, 1.0]]), [0, 0, 1]),
    "an outlier": (np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 2.0], [1e14, 0.0]]), [0, 0, 1, 2]),
    "an outlier at the origin": (
        np.concatenate([1e14 + UNIT * np.array([[0, 0], [3000, 4000], [0, 2000]]), np.zeros((1, 2))]),
        [0, 0, 1, 2],
    ),
    "two clusters": (
        np.array([[0.0, 0.0], [3.0, 4.0], [1e14, 1e14], [1e14 + 30 * UNIT, 1e14 + 40 * UNIT]]),
        [0, 0, 1, 1],
    ),
}


def by_hand(x: np.ndarray, labels: list[int], squared: bool) -> tuple[float, np.ndarray]:
    """Batch hard by loops, in float64: the mean over anchors that have a positive and a negative, without margin."""
    found, slope, count = 0.0, np.zeros_like(x), 0
    for i, own in enumerate(labels):
        same = [j for j, other in enumerate(labels) if other == own and j != i]
        others = [j for j, other in enumerate(labels) if other != own]
        if not same or not others:
            continue
        count += 1
        length = {j: np.sqrt(((x[i] - x[j]) ** 2).sum()) for j in (*same, *others)}
        far, near = max(same, key=length.__getitem__), min(others, key=length.__getitem__)
        power = 2 if squared else 1
        if (gap := length[far] ** power - length[near] ** power) <= 0:
            continue
        found += gap
        for j, sign in ((far, 1), (near, -1)):
            unit = 2 * (x[i] - x[j]) if squared else (x[i] - x[j]) / length[j]
            slope[i] += sign * unit
            slope[j] -= sign * unit
    return found / count, slope / count


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("where", FAR)
def test_distances_within_a_batch(backend: str, where: str, squared: bool) -> None:
    features, labels = FAR[where]
    x = features.astype(np.float32)
    value, slope = by_hand(x.astype(np.float64), labels, squared)
    loss = multiloss.get("triplet", backend=backend, margin=0.0, squared=squared)
    y = to_native(backend, np.array(labels))
    found = loss.value_and_grad(y, single(backend, x))
    np.testing.assert_allclose(to_numpy(found[0]), value, rtol=1e-5)
    np.testing.assert_allclose(to_numpy(found[1]), slope, rtol=1e-5, atol=1e-5 * np.abs(slope[:2]).max())
    if backend != "numpy":
        again = native_grad(backend, lambda features: loss(y, features), single(backend, x))
        np.testing.assert_allclose(again, slope, rtol=1e-5, atol=1e-5 * np.abs(slope[:2]).max())


@pytest.mark.parametrize("power", [-118, -70, -20, 20, 70, 118])
def test_scaled_coordinates_scale_the_triplet_loss_to_the_last_digit(backend: str, power: int) -> None:
    x, y = (
        np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32),
        to_native(backend, np.array([0, 0, 1, 1, 2, 1])),
    )
    loss = multiloss.get("triplet", backend=backend, margin=0.0, reduction="sum")
    (value, slope), (scaled, same) = (
        [to_numpy(a) for a in loss.value_and_grad(y, single(backend, x * factor))] for factor in (1.0, 2.0**power)
    )
    np.testing.assert_allclose(scaled.astype(np.float64), value.astype(np.float64) * 2.0**power, rtol=1e-6)
    np.testing.assert_allclose(same, slope, rtol=1e-5)


@pytest.mark.parametrize("squared", [False, True])
def test_close_rows_far_from_the_origin(backend: str, squared: bool) -> None:
    """More features than are compared at a time: no digit of a difference is lost, in value, gradient and curvature."""
    labels, rng = [0, 0, 1, 1, 2, 1, 0], np.random.default_rng(0)
    loss = multiloss.get("triplet", backend=backend, margin=0.0, squared=squared)
    y, move = to_native(backend, np.array(labels)), rng.normal(size=(7, 41))
    # Keras computes in its own floatx.
    for dtype in ("float32",) if backend == "keras" else ("float32", "float64"):
        x = (1e4 + 1e-3 * rng.integers(-500, 500, move.shape)).astype(dtype)
        exact, rounding = x.astype(np.float64), 80 * np.finfo(dtype).eps
        features = to_native(backend, x)
        value, slope = loss.value_and_grad(y, features)
        wanted = by_hand(exact, labels, squared)
        assert wanted[0] > 0
        np.testing.assert_allclose(to_numpy(value), wanted[0], rtol=rounding)
        np.testing.assert_allclose(to_numpy(slope), wanted[1], atol=rounding * np.abs(wanted[1]).max())
        if backend != "numpy":
            near = [by_hand(exact + step * move, labels, squared)[1] for step in (1e-6, -1e-6)]
            bend = (near[0] - near[1]) / 2e-6
            found = native_second(backend, lambda z: loss(y, z), features, to_native(backend, move.astype(dtype)))
            np.testing.assert_allclose(found, bend, atol=1e-4 * np.abs(bend).max())


@pytest.mark.parametrize("mining", MINING)
def test_all_mining_is_the_same_of_one_pair(backend: str, mining: str) -> None:
    x, y = FAR["an outlier"][0][:3].astype(np.float32), to_native(backend, np.array([0, 0, 1]))
    x[2] = [1e14, 0.0]
    loss = multiloss.get("triplet", backend=backend, margin=2e14, mining=mining)
    value, gradient = loss.value_and_grad(y, single(backend, x))
    np.testing.assert_allclose(to_numpy(value), 1e14, rtol=1e-6)
    # Each of the first two: the distance of 5 along (3, 4) / 5, twice, and the outlier's along the first axis.
    np.testing.assert_allclose(to_numpy(gradient), [[-0.1, -0.8], [1.1, 0.8], [-1.0, 0.0]], atol=1e-6)


@pytest.mark.graph
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own, while it traces
def test_log_cosh_of_infinite_errors_has_the_slope_of_their_sign(backend: str) -> None:
    loss = multiloss.get("log_cosh", backend=backend, axis=(), reduction="sum", validate=False)
    target, infinite = (to_native(backend, np.array(x, np.float32)) for x in ([0.0, 0.0], [np.inf, -np.inf]))
    signs = [[1, -1], [-1, 1]]
    _, found = loss.value_and_grad(target, infinite, wrt=("y_pred", "y_true"))
    np.testing.assert_array_equal([to_numpy(x) for x in found], signs)
    if backend in ("torch", "tensorflow", "jax"):
        compiled = jit(backend, loss)
        by_pred = native_grad(backend, lambda x: compiled(target, x), infinite)
        by_true = native_grad(backend, lambda x: compiled(x, infinite), target)
        np.testing.assert_array_equal([by_pred, by_true], signs)

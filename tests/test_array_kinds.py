"""What arrays may come as: the other byte order, longdouble, bool targets, variances of fewer numbers, no batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import to_native, to_numpy

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [">f4", ">f8", "longdouble", ">i8", ">i2"])
def test_the_other_byte_order_and_longdouble_are_converted(backend: str, dtype: str) -> None:
    y_true, y_pred = np.array([[1, 2], [3, 5]], dtype), np.array([[2, 2], [1, 1]], dtype)
    for of in (backend, None):
        value, gradient = multiloss.get("mse", backend=of).value_and_grad(y_true, y_pred)
        assert to_numpy(value).dtype.name in ("float32", "float64")
        np.testing.assert_allclose(to_numpy(value), 5.25)
        np.testing.assert_allclose(to_numpy(gradient), [[0.5, 0], [-1, -2]])


def test_labels_in_the_other_byte_order(backend: str) -> None:
    loss = multiloss.get("scce", backend=backend)
    np.testing.assert_allclose(to_numpy(loss(np.array([1, 0], ">i8"), [[0.5, 0.5], [0.25, 0.75]])), 1.5 * np.log(2))


BOOLS = [  # a loss of real targets, its other inputs
    ("contrastive", (3,), {"x1": (3, 2), "x2": (3, 2)}),
    ("gaussian_nll", (3,), {"y_pred": (3,), "var": (3,)}),
    ("crps", (3,), {"y_pred": (3, 4)}),
    ("dice", (2, 3), {"y_pred": (2, 3)}),
    ("mean_squared_error", (2, 3), {"y_pred": (2, 3)}),
    ("binary_crossentropy", (2, 3), {"y_pred": (2, 3)}),
]


@pytest.mark.parametrize(("name", "shape", "others"), BOOLS)
def test_bool_targets_are_targets(backend: str, name: str, shape: Any, others: Any) -> None:
    inputs = {other: RNG.uniform(0.1, 0.9, size) for other, size in others.items()}
    bits, loss = RNG.random(shape) > 0.5, multiloss.get(name, backend=backend)
    asked = to_native(backend, bits), to_native(backend, bits.astype(float))
    native = {other: to_native(backend, x) for other, x in inputs.items()}
    values = [to_numpy(loss(y_true=y_true, **native)) for y_true in asked]
    assert np.isfinite(values).all() and values[0] == values[1]


@pytest.mark.parametrize("shape", [(3, 1), (3,), (), (1, 4)])
def test_a_variance_for_each_row_or_for_all(backend: str, shape: Any) -> None:
    """As torch takes it; the gradient comes back in its shape, summed over what it stood for."""
    t, p, var = RNG.normal(size=(3, 4)), RNG.normal(size=(3, 4)), RNG.uniform(0.5, 2.0, shape)
    whole = np.broadcast_to(var[..., None] if shape == (3,) else var, (3, 4)).copy()
    loss = multiloss.get("gaussian_nll", backend=backend)
    expected, gradients = loss.value_and_grad(*(to_native(backend, x) for x in (t, p, whole)), wrt=("y_pred", "var"))
    by_var = to_numpy(gradients[1])
    by_var = by_var.sum(0 if shape == (1, 4) else -1 if shape else None, keepdims=len(shape) == 2)
    given = to_native(backend, t), to_native(backend, p), to_native(backend, np.asarray(var))
    for _ in range(3):  # what was learned of these arrays is no obstacle
        value, found = loss.value_and_grad(*given, wrt=("y_pred", "var"))
        np.testing.assert_allclose(to_numpy(value), to_numpy(expected), rtol=1e-6)
        np.testing.assert_allclose(to_numpy(loss(*given)), to_numpy(expected), rtol=1e-6)
        np.testing.assert_allclose(to_numpy(found[0]), to_numpy(gradients[0]), rtol=1e-6)
        assert to_numpy(found[1]).shape == shape
        np.testing.assert_allclose(to_numpy(found[1]), by_var, rtol=1e-6)
    with pytest.raises(ValueError, match=r"var must have the shape of y_pred.*got \(4,\)"):
        loss(*given[:2], to_native(backend, np.ones(4)))


@pytest.mark.only("torch", "keras", "jax", "tensorflow")
def test_a_plain_number_is_a_variance(backend: str) -> None:
    t, p = (to_native(backend, RNG.normal(size=(3, 4))) for _ in range(2))
    loss = multiloss.get("gaussian_nll", backend=backend)
    np.testing.assert_allclose(
        to_numpy(loss(t, p, 2.0)), to_numpy(loss(t, p, to_native(backend, np.full((3, 4), 2.0))))
    )


@pytest.mark.parametrize("name", ["sparse_categorical_crossentropy", "categorical_crossentropy"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_scores_without_a_batch(backend: str, name: str, reduction: str) -> None:
    """Axis 1, where torch has the classes, is axis 0 of one sample, as for torch."""
    z, sparse = np.array([0.0, 1.0, 3.0]), name.startswith("sparse")
    y = np.array(1) if sparse else np.array([0.0, 1.0, 0.0])
    loss = multiloss.get(name, backend=backend, axis=1, from_logits=True, reduction=reduction)
    given = to_native(backend, y), to_native(backend, z)
    value, gradient = loss.value_and_grad(*given)
    p = np.exp(z) / np.exp(z).sum()
    assert to_numpy(value).shape == ()
    np.testing.assert_allclose(to_numpy(value), -np.log(p[1]), rtol=1e-6)
    np.testing.assert_allclose(to_numpy(loss(*given)), -np.log(p[1]), rtol=1e-6)
    np.testing.assert_allclose(to_numpy(gradient), p - np.array([0, 1, 0]), rtol=1e-6)

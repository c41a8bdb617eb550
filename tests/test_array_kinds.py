"""What arrays may come as: the other byte order, longdouble, bool targets, variances of fewer numbers, no batch."""

from __future__ import annotations

import numpy as np
import pytest

import multiloss
from helpers.arrays import to_numpy

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

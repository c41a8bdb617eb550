"""Integers and Python numbers are computed in float32 at least, whatever the framework's default float is."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import dtype_name, framework, to_native, to_numpy

HALVES = ("float16", "bfloat16")


@pytest.fixture(params=HALVES)
def half(backend: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A default float of half precision."""
    if backend == "keras":
        import keras

        before = keras.config.floatx()
        keras.config.set_floatx(request.param)
        yield request.param
        keras.config.set_floatx(before)
    else:
        import torch

        torch.set_default_dtype(getattr(torch, request.param))
        yield request.param
        torch.set_default_dtype(torch.float32)


def is_wide(x: Any) -> bool:
    return dtype_name(x) in ("float32", "float64")


@pytest.mark.only("torch", "keras")  # the others have no default of half precision
@pytest.mark.usefixtures("half")
@pytest.mark.parametrize("number", [300, 70_001])  # what the square, and the number itself, do in float16
@pytest.mark.parametrize("dtype", [None, "int32", "int64", "uint8"])
def test_integers_are_computed_in_float32_at_least(backend: str, number: int, dtype: str | None) -> None:
    if dtype == "uint8":
        number %= 256
    t, p = [0], [number]
    if dtype is not None:
        t, p = (to_native(backend, np.array(x), dtype) for x in (t, p))
    loss = multiloss.get("mse", backend=backend)
    value, gradient = loss.value_and_grad(t, p)
    first, second = loss.grad_and_hess(t, p)
    assert all(map(is_wide, (loss(t, p), value, gradient, first, second)))
    np.testing.assert_allclose(to_numpy(loss(t, p)), float(number) ** 2, rtol=1e-7)
    np.testing.assert_allclose(to_numpy(value), float(number) ** 2, rtol=1e-7)
    for x in (gradient, first):
        assert to_numpy(x).tolist() == [2.0 * number]
    assert to_numpy(second).tolist() == [2.0]


@pytest.mark.only("torch", "keras")
@pytest.mark.usefixtures("half")
def test_so_are_those_of_losses_of_other_inputs_and_targets(backend: str) -> None:
    loss = multiloss.get("triplet_margin", backend=backend, margin=0.0)
    value = loss([[0]], [[70_001]], [[1]])
    assert is_wide(value) and float(to_numpy(value)) == 70_000.0
    p = to_native(backend, np.array([0.0], np.float32))
    if framework(backend) == backend:  # Keras casts what is real to its own dtype
        assert float(to_numpy(multiloss.get("mae", backend=backend)([70_001], p))) == 70_001.0
        assert float(to_numpy(multiloss.get("mae", backend=backend)([0.0], [70_001.0]))) == 70_001.0
    scores = multiloss.softmax(to_native(backend, np.array([70_000, 70_001])))
    np.testing.assert_allclose(to_numpy(scores), [1 / (1 + np.e), np.e / (1 + np.e)], rtol=1e-6)

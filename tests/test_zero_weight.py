"""A weight of 0 gives a value of 0, where the value is a number, and a derivative of exactly 0 with it: also one that
left the range."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import jit, native_grad, to_native, to_numpy
from helpers.calls import calls

SIZES = (3e-38, 1e-30, 1e-20, 1e30)
"""Of all entries: normal numbers of float32, whose quotients and powers leave its range."""
SUMS = ("normalize",)
"""Options that divide by a sum, which may overflow."""


def tiny_and_large(inputs: dict[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    for size in SIZES:
        for change in (lambda x: np.abs(x), lambda x: x, lambda x: np.ones_like(x)):
            yield {
                name: x if x.dtype.kind != "f" else (change(x) * size).astype(np.float32) for name, x in inputs.items()
            }


@pytest.mark.filterwarnings("ignore:Output seems independent of input:UserWarning")  # autograd's, of a constant
@pytest.mark.only("numpy", "torch", "tensorflow", "jax")  # Keras' arithmetic is that of the framework it runs on
@pytest.mark.parametrize(("name", "options", "inputs"), list(calls(first=True)))
def test_the_derivative_is_0(backend: str, name: str, options: dict[str, Any], inputs: dict[str, np.ndarray]) -> None:
    loss = multiloss.get(name, backend=backend, validate=False, reduction="sum", **options)
    if loss.spec.definition.whole_batch or any(options.get(option) for option in SUMS):
        return
    main = loss.spec.definition.inputs[1]
    weight = to_native(backend, np.float32(0))
    cases = list(tiny_and_large(inputs))
    for case in cases[::5] if backend == "tensorflow" else cases:  # op by op each call takes up to a second
        arrays = {name: to_native(backend, x) for name, x in case.items()}
        value, gradient = loss.value_and_grad(**arrays, sample_weight=weight, wrt=main)
        found = [to_numpy(gradient)]
        if backend == "torch":
            found.append(
                native_grad(backend, lambda x, a=arrays: loss(**a | {main: x}, sample_weight=weight), arrays[main])
            )
        if np.isfinite(to_numpy(value)):
            assert to_numpy(value) == 0 and all((x == 0).all() for x in found), case


@pytest.mark.parametrize(
    ("name", "y_true", "y_pred"), [("smape", 3e-38, 2e-38), ("tweedie", 3e-38, 3e-38), ("tweedie", 0.0, 3e-38)]
)
def test_smape_and_tweedie_beyond_the_range(backend: str, name: str, y_true: float, y_pred: float) -> None:
    arrays = [to_native(backend, np.array([[x], [1.0]], np.float32)) for x in (y_true, y_pred)]
    loss = multiloss.get(name, backend=backend)
    weight = to_native(backend, np.array([0.0, 1.0], np.float32))
    value, gradient = loss.value_and_grad(*arrays, sample_weight=weight)
    assert to_numpy(value) == 0 and to_numpy(gradient).tolist() == [[0.0], [0.0]]
    if backend != "numpy":
        slope = native_grad(backend, lambda x: loss(arrays[0], x, sample_weight=weight), arrays[1])
        assert slope.tolist() == [[0.0], [0.0]]


def test_0_times_nan_stays_nan(backend: str) -> None:
    y, p = (to_native(backend, np.array([[x], [1.0]], np.float32)) for x in (1.0, np.nan))
    weight = to_native(backend, np.array([0.0, 1.0], np.float32))
    value, gradient = multiloss.get("mse", backend=backend).value_and_grad(y, p, sample_weight=weight)
    assert np.isnan(to_numpy(value)) and np.isnan(to_numpy(gradient)).tolist() == [[True], [False]]


@pytest.mark.graph
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own, while it traces
@pytest.mark.only("torch", "tensorflow", "jax")
def test_by_hand_compiled(backend: str) -> None:
    t, p = (to_native(backend, np.array([[x], [1.0]], np.float32)) for x in (3e-38, 2e-38))
    weight = to_native(backend, np.array([0.0, 1.0], np.float32))
    loss = multiloss.get("smape", backend=backend)
    compiled = jit(backend, lambda x: loss(t, x, sample_weight=weight))
    assert native_grad(backend, compiled, p).tolist() == [[0.0], [0.0]]

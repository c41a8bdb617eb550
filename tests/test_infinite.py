"""A gradient is never nan where the value is finite: the whole catalogue, by every input that has a gradient, with one
entry of otherwise ordinary inputs infinite, 0, 1 or equal to another."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import to_native, to_numpy
from helpers.calls import NAMES, Inputs, calls
from multiloss.engine import registry
from reference.catalogue import ENTRIES

MOST = 6
"""How many places of one input are tried."""


def spoilt(inputs: Inputs) -> Iterator[tuple[str, Inputs]]:
    for name, x in inputs.items():
        if x.dtype.kind != "f":
            continue
        for place in np.linspace(0, x.size - 1, min(x.size, MOST)).astype(int):
            index = np.unravel_index(place, x.shape)
            others = [other[index] for key, other in inputs.items() if key != name and other.shape == x.shape]
            beside = x[(*index[:-1], index[-1] - 1)]
            for number in (math.inf, -math.inf, 0.0, 1.0, beside, *others):
                changed = x.astype(float)
                changed[index] = number
                yield f"{name}{[int(i) for i in index]} = {number}", inputs | {name: changed}


def nan_gradients(backend: str, name: str, options: dict[str, Any], inputs: Inputs) -> Iterator[str]:
    loss = multiloss.get(name, backend=backend, validate=False, **options)
    each = multiloss.get(name, backend=backend, validate=False, reduction="none", **options)
    real = tuple(one for one, x in inputs.items() if x.dtype.kind == "f")
    together = samples_are_independent(name, options)
    cases = list(spoilt(inputs))
    if together:  # one call, in which each row is a sample of a case
        stacked = {one: np.concatenate([case[one] for _, case in cases]) for one in inputs}
        rows = len(next(iter(inputs.values())))
        value, gradients = each.value_and_grad(**natives(backend, stacked), wrt=real)
        finite = np.isfinite(by_row(value)).all(axis=1)
        for one, x in zip(real, gradients, strict=True):
            for row in np.flatnonzero(np.isnan(by_row(x)).any(axis=1) & finite):
                yield f"{cases[row // rows][0]}: nan by {one}"
    if together and backend != "torch":
        return
    if backend == "tensorflow":  # op by op each call takes up to a second
        cases = cases[::7]
    for what, case in cases:
        ways = [] if together else [loss.value_and_grad(**natives(backend, case), wrt=real)]
        if backend == "torch":  # whose `backward` and `value_and_grad` take different ways
            ways += [backward(loss, natives(backend, case), real), backward(loss, natives(backend, case), real[-1:])]
        for value, gradients in ways:
            if np.isfinite(to_numpy(value)).all() and any(np.isnan(to_numpy(x)).any() for x in gradients):
                yield f"{what}: nan at the value {to_numpy(value)}"


def samples_are_independent(name: str, options: dict[str, Any]) -> bool:
    definition = registry.find(name)
    if definition.takes_keep or {"axis", "class_axis"} & {*options, *definition.options}:
        return False
    return definition.kind != "of_inputs" or all(x.samples and x.leading for x in definition.shapes.values())


def natives(backend: str, inputs: Inputs) -> dict[str, Any]:
    return {one: to_native(backend, x) for one, x in inputs.items()}


def by_row(x: Any) -> np.ndarray:
    return to_numpy(x).reshape(len(x), -1)


def backward(loss: Any, arrays: dict[str, Any], real: tuple[str, ...]) -> tuple[Any, Any]:
    import torch

    arrays = {one: x.requires_grad_(one in real) for one, x in arrays.items()}
    value = loss(**arrays)
    gradients = torch.autograd.grad(value, [arrays[one] for one in real], allow_unused=True)
    return value, [x for x in gradients if x is not None]


@pytest.mark.filterwarnings("ignore:Output seems independent of input:UserWarning")  # autograd's, of a constant
@pytest.mark.only("numpy", "torch", "tensorflow", "jax")  # Keras' arithmetic is that of the framework it runs on
@pytest.mark.parametrize(("name", "options", "inputs"), list(calls(first=True)))
def test_no_gradient_is_nan_where_the_value_is_finite(
    backend: str, name: str, options: dict[str, Any], inputs: Inputs
) -> None:
    assert not list(nan_gradients(backend, name, options, inputs))


@pytest.mark.filterwarnings("ignore:Output seems independent of input:UserWarning")
@pytest.mark.only("numpy", "torch")  # each formula once by its closed form, once by automatic differentiation
@pytest.mark.parametrize(("name", "options", "inputs"), list(calls(first=False)))
def test_nor_with_other_options(backend: str, name: str, options: dict[str, Any], inputs: Inputs) -> None:
    assert not list(nan_gradients(backend, name, options, inputs))


HIDDEN = tuple(name for name in NAMES if registry.find(name).kind in ("elementwise", "over_axis"))


def with_nan(name: str, where: str, rows: int) -> Inputs:
    """Rows of inputs, of which the second entry of the first is nan; labels stay as they are."""
    entry = ENTRIES[name][0]
    given = (np.asarray(x) for x in entry.inputs(np.random.default_rng(0)))
    inputs = {one: np.repeat(x[:1], rows, axis=0) for one, x in zip(("y_true", "y_pred"), given, strict=True)}
    inputs["y_pred"] = inputs["y_pred"].astype(np.float32)
    if inputs[where].dtype.kind == "f":
        inputs[where][(0,) * (inputs[where].ndim - 1)][1] = math.nan
    return inputs


@pytest.mark.only("numpy", "torch", "tensorflow", "jax")
@pytest.mark.parametrize("where", ["y_pred", "y_true"])
@pytest.mark.parametrize("name", HIDDEN)
def test_nan_is_not_hidden(backend: str, name: str, where: str) -> None:
    loss = multiloss.get(name, backend=backend, validate=False)
    for rows in (2, 3000) if backend == "torch" else (2,):  # few and many are different kernels
        given = with_nan(name, where, rows)
        if given[where].dtype.kind != "f":
            return
        inputs, place = natives(backend, given), np.isnan(given[where])
        each = to_numpy(multiloss.get(name, backend=backend, validate=False, reduction="none")(**inputs))
        assert np.isnan(each[0]).any() and not np.isnan(each[1:]).any()
        ways = [loss.value_and_grad(**inputs)]
        if backend == "torch":
            ways += [(v, g[0]) for v, g in (backward(loss, inputs, ("y_pred",)) for _ in range(2))]
        for value, gradient in ways:
            assert np.isnan(to_numpy(value))
            assert where == "y_true" or np.isnan(to_numpy(gradient)[place]).all()

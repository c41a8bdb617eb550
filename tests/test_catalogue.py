"""Every loss of the catalogue on every backend against formulas of 50 digits: values and gradients at generic points,
with weights, and at the worked edges. What every loss has (masks, dtypes, reductions): `multiloss.testing.check`.
"""

from typing import Any

import numpy as np
import pytest

from helpers.arrays import framework, jit, native_value_and_grad, to_native, to_numpy
from helpers.losses import make
from reference.catalogue import ENTRIES
from reference.catalogue.entry import Edge, Entry, exact

CASES = [
    pytest.param(entry, options, id=f"{name}-{i}-" + "-".join(f"{k}={v}" for k, v in options.items()))
    for name, entries in ENTRIES.items()
    for i, entry in enumerate(entries)
    for options in entry.options
]
FIRST = [case for case in CASES if case.values[1] is case.values[0].options[0]]
MORE = [case for case in CASES if case not in FIRST]
EDGES = [
    pytest.param(entry, edge, id=f"{name}-{i}-{j}")
    for name, entries in ENTRIES.items()
    for i, entry in enumerate(entries)
    for j, edge in enumerate(entry.edges)
]
TOLERANCE = {"float64": 1e-11, "float32": 3e-5}
"""Of the largest entry: a formula of a few dozen operations in that precision, no missing factor or sign."""


def natives(backend: str, inputs: tuple[Any, ...], dtype: str) -> list[Any]:
    arrays = [None if x is None else np.asarray(x) for x in inputs]
    return [x if x is None else to_native(backend, x, dtype if x.dtype.kind == "f" else None) for x in arrays]


def close(got: Any, wanted: Any, dtype: str, what: str) -> None:
    got, wanted = np.asarray(to_numpy(got), np.float64), np.asarray(wanted, np.float64)
    assert got.shape == wanted.shape, what
    bound = TOLERANCE[dtype] * max(np.abs(wanted).max(initial=0.0), 1e-3)
    np.testing.assert_allclose(got, wanted, rtol=0.0, atol=bound, err_msg=what)


def one_argument(loss: Any, arrays: list[Any], position: int) -> Any:
    return lambda x: loss(*(x if i == position else a for i, a in enumerate(arrays)))


def compiler(backend: str) -> Any:
    if framework(backend) != "torch":
        return lambda function: jit(backend, function)
    import torch

    torch._dynamo.reset()  # as `arrays.jit`, without the minutes of a C++ compiler
    return lambda function: torch.compile(function, fullgraph=True, backend="aot_eager")


@pytest.mark.graph("tensorflow")
@pytest.mark.parametrize(("entry", "options"), FIRST)
def test_value_and_gradients(backend: str, entry: Entry, options: dict[str, Any]) -> None:
    check(backend, entry, options)


@pytest.mark.only("numpy", "torch", "tensorflow", "jax")  # Keras' arithmetic is that of the framework it runs on
@pytest.mark.parametrize(("entry", "options"), MORE)
def test_value_and_gradients_of_other_options(backend: str, entry: Entry, options: dict[str, Any]) -> None:
    # JAX compiles a program for each dtype; both are tested above.
    check(backend, entry, options, ("float64",) if backend == "jax" else ("float64", "float32"))


def check(
    backend: str, entry: Entry, options: dict[str, Any], dtypes: tuple[str, ...] = ("float64", "float32")
) -> None:
    inputs = entry.inputs(np.random.default_rng(0))
    values, _, shape = entry.values(exact(inputs), options)
    wanted = np.array([float(v) for v in values]).reshape(shape)
    weights = np.linspace(0.5, 2.0, shape[0]) if shape else None
    mean = float(entry.reduced(exact(inputs), options, weights))
    gradients = [entry.gradient(inputs, position, options, weights) for position in entry.positions]
    for dtype in dtypes:
        arrays = natives(backend, inputs, dtype)
        if dtype == "float64":
            close(make(backend, entry.name, dtype, reduction="none", **options)(*arrays), wanted, dtype, "values")
        loss = make(backend, entry.name, dtype, **options)
        weight = {} if weights is None else {"sample_weight": to_native(backend, weights, dtype)}
        value, found = loss.value_and_grad(*arrays, **weight, wrt=entry.wrt)
        close(value, mean, dtype, "mean")
        for name, one, expected in zip(entry.wrt, found, gradients, strict=True):
            close(one, expected, dtype, f"gradient by {name}")


ROWS = [case for case in FIRST if case.values[0].kind == "row"]


@pytest.mark.only("numpy", "torch", "tensorflow", "jax")
@pytest.mark.parametrize(("entry", "options"), ROWS)
def test_classes_on_another_axis_give_the_same_value_and_gradient(
    backend: str, entry: Entry, options: dict[str, Any]
) -> None:
    t, p = (np.stack([x, x[::-1]]) for x in entry.inputs(np.random.default_rng(0)))
    value, gradient = each(backend, entry, (t, p), options)
    turned = [np.moveaxis(x, -1, 1) if x.ndim == p.ndim else x for x in (t, p)]
    found, slope = each(backend, entry, turned, {**options, "axis": 1})
    np.testing.assert_allclose(found, value, rtol=1e-12)
    np.testing.assert_allclose(np.moveaxis(slope, 1, -1), gradient, rtol=1e-11, atol=1e-14)


def each(backend: str, entry: Entry, inputs: Any, options: dict[str, Any]) -> list[np.ndarray]:
    loss = make(backend, entry.name, "float64", reduction="none", **options)
    return [to_numpy(x) for x in loss.value_and_grad(*natives(backend, inputs, "float64"))]


@pytest.mark.graph
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own, while it traces
@pytest.mark.only("torch", "tensorflow", "jax")
@pytest.mark.parametrize("entry", [entries[0] for entries in ENTRIES.values()], ids=list(ENTRIES))
def test_compiled_by_the_user(backend: str, entry: Entry) -> None:
    options = entry.options[-1]
    inputs = entry.inputs(np.random.default_rng(1))
    loss = make(backend, entry.name, "float64", **options)
    arrays = natives(backend, inputs, "float64")
    position = entry.positions[0]
    compiled = compiler(backend)(one_argument(loss, arrays, position))
    value, gradient = native_value_and_grad(backend, compiled, arrays[position])
    close(value, float(entry.reduced(exact(inputs), options)), "float64", "value")
    close(gradient, entry.gradient(inputs, position, options), "float64", "gradient")


@pytest.mark.only("numpy", "torch", "tensorflow", "jax")
@pytest.mark.parametrize(("entry", "edge"), EDGES)
def test_edges(backend: str, entry: Entry, edge: Edge) -> None:
    """Ties, zeros, extremes: the worked value, and a gradient that is the one told, or at least no nan."""
    inputs = tuple(None if x is None else np.asarray(x) for x in edge.inputs)
    for dtype in ("float64", "float32"):
        arrays = natives(backend, inputs, dtype)
        loss = make(backend, entry.name, dtype, reduction="none", validate=False, **edge.options)
        value, (gradient,) = loss.value_and_grad(*arrays, wrt=entry.wrt[:1])
        tolerance = {"rtol": 1e-12 if dtype == "float64" else 2e-6, "atol": 0.0}
        np.testing.assert_allclose(to_numpy(value), edge.value, **tolerance, err_msg=edge.source)
        if edge.gradient is not None:
            np.testing.assert_allclose(to_numpy(gradient), edge.gradient, **tolerance, err_msg=edge.source)
        if np.all(np.isfinite(edge.value)):
            assert not np.isnan(to_numpy(gradient)).any(), edge.source
        if backend == "torch":  # whose `backward` and `value_and_grad` take different ways
            position = entry.positions[0]
            _, slope = native_value_and_grad(backend, one_argument(loss, arrays, position), arrays[position])
            np.testing.assert_allclose(slope, to_numpy(gradient), **tolerance, err_msg=edge.source)

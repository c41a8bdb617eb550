"""A gradient is never nan where the value is finite: the whole catalogue, by every input that has a gradient, with one
entry of otherwise ordinary inputs infinite, 0, 1 or equal to another."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import multiloss
from arrays import framework, to_native, to_numpy
from multiloss import registry
from multiloss.loss import make_spec
from multiloss.testing.strategies import domain_of
from reference.catalogue import ENTRIES

Inputs = dict[str, np.ndarray]
MOST = 6
"""How many places of one input are tried."""
_LOGITS = {"from_logits": True}
OPTIONS: dict[str, tuple[dict[str, Any], ...]] = {
    "categorical_crossentropy": ({}, {"epsilon": 0.0}, {"normalize": True}, _LOGITS),
    "sparse_categorical_crossentropy": ({}, {"epsilon": 0.0}, {"normalize": True}, _LOGITS),
}
"""Of losses that the reference's catalogue has not."""


def drawn(name: str, rng: np.random.Generator) -> Inputs:
    """Inputs of a loss of (y_true, y_pred): two samples of three."""
    spec = make_spec(name, {})
    found = {}
    for one in ("y_true", "y_pred"):
        domain = domain_of(spec, one)
        found[one] = rng.uniform(0.1, 0.9, (2, 3)) if domain else rng.normal(size=(2, 3))
    return found | ({"y_true": np.array([0, 2])} if spec.definition.has_labels else {})


def calls() -> Iterator[Any]:
    """(name, options, inputs) of each loss: one set of options and inputs after the other."""
    for name in multiloss.list_losses():
        if name in registry.CENTER:
            continue
        rng, definition = np.random.default_rng(0), registry.find(name)
        for i, entry in enumerate(ENTRIES.get(name, ())):
            given = (None if x is None else np.asarray(x) for x in entry.inputs(rng))
            inputs = {one: x for one, x in zip(definition.inputs, given, strict=False) if x is not None}
            shared = [one for one in inputs if not definition.shapes[one].samples]
            for options in entry.options:
                yield pytest.param(name, options, inputs, id=f"{name}-{i}-{options}")
                if shared:  # what all samples share spoils them all, and only one of them may be finite
                    alone = {one: x if one in shared else x[:1] for one, x in inputs.items()}
                    yield pytest.param(name, options, alone, id=f"{name}-{i}-{options}-alone")
        if name not in ENTRIES:
            for options in OPTIONS.get(name, ({},)):
                yield pytest.param(name, options, drawn(name, rng), id=f"{name}-{options}")


CALLS = list(calls())


def spoilt(inputs: Inputs) -> Iterator[tuple[str, Inputs]]:
    """The inputs with one entry replaced, and what it is."""
    for name, x in inputs.items():
        if x.dtype.kind != "f":
            continue
        for place in np.linspace(0, x.size - 1, min(x.size, MOST)).astype(int):
            index = np.unravel_index(place, x.shape)
            others = [other[index] for key, other in inputs.items() if key != name and other.shape == x.shape]
            beside = x[(*index[:-1], index[-1] - 1)] if index else x[()]
            for number in (math.inf, -math.inf, 0.0, 1.0, beside, *others):
                changed = x.astype(float)
                changed[index] = number
                yield f"{name}{[int(i) for i in index]} = {number}", inputs | {name: changed}


@pytest.fixture
def op_by_op(backend: str) -> Iterator[None]:
    """TensorFlow without its compiler, which takes a second for each of hundreds of calls."""
    if framework(backend) != "tensorflow":
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.filterwarnings("ignore:Output seems independent of input:UserWarning")  # autograd's, of a constant
@pytest.mark.usefixtures("op_by_op")
@pytest.mark.only("numpy", "torch", "tensorflow", "jax")  # Keras' arithmetic is that of the framework it runs on
@pytest.mark.parametrize(("name", "options", "inputs"), CALLS)
def test_no_gradient_is_nan_where_the_value_is_finite(
    backend: str, name: str, options: dict[str, Any], inputs: Inputs
) -> None:
    loss = multiloss.get(name, backend=backend, validate=False, **options)
    real = tuple(one for one, x in inputs.items() if x.dtype.kind == "f")
    wrong = []
    for what, changed in spoilt(inputs):
        arrays = {one: to_native(backend, x) for one, x in changed.items()}
        pairs = [loss.value_and_grad(**arrays, wrt=real)]
        if framework(backend) == "torch":  # whose `backward` and `value_and_grad` take different ways
            pairs.append(backward(loss, arrays, real))
        for value, gradients in pairs:
            if np.isfinite(to_numpy(value)).all():
                for one, x in zip(real, gradients, strict=True):
                    if np.isnan(to_numpy(x)).any():
                        wrong.append(f"{what}: nan by {one} at the value {to_numpy(value)}")
    assert not wrong, "\n".join(wrong)


def backward(loss: Any, arrays: dict[str, Any], real: tuple[str, ...]) -> tuple[Any, Any]:
    import torch

    arrays = {one: x.requires_grad_(one in real) for one, x in arrays.items()}
    value = loss(**arrays)
    gradients = torch.autograd.grad(value, [arrays[one] for one in real], allow_unused=True)
    return value, [torch.zeros(()) if x is None else x for x in gradients]

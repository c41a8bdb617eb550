"""The first call of a loss checks the domain of its values, and warns: arrays without values are no first call."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import framework, to_native

OUTSIDE: list[tuple[str, Any, Any, str]] = [
    ("sparse_categorical_crossentropy", [0, 1], [[3.0, -1.0], [2.0, 1.0]], "y_pred must hold probabilities"),
    ("categorical_crossentropy", [[1.0, 0.0]], [[3.0, -1.0]], "y_pred must hold probabilities"),
    ("binary_crossentropy", [[1.0, 0.0]], [[2.0, 0.5]], "y_pred must hold probabilities"),
    ("lovasz_softmax", [[1, 0]], [[[0.2, 0.8], [0.5, 1.5]]], "y_pred must hold"),
]


def ways_to_call_without_values(backend: str) -> dict[str, Callable[..., None]]:
    if framework(backend) == "torch":
        import torch
        from torch._subclasses.fake_tensor import FakeTensorMode

        def fake(function: Any, *arrays: Any) -> None:
            with FakeTensorMode() as mode:
                function(*map(mode.from_tensor, arrays))

        return {
            "meta": lambda function, *arrays: function(*(x.to("meta") for x in arrays)),
            "fake": fake,
            "vmap": lambda function, *arrays: torch.func.vmap(function)(*(x[None] for x in arrays)),
        }
    if framework(backend) == "jax":
        import jax

        return {
            "eval_shape": jax.eval_shape,
            "with targets": lambda function, y, x: jax.eval_shape(lambda x: function(y, x), x),
        }
    if framework(backend) == "tensorflow":
        import tensorflow as tf

        return {"graph": lambda function, *arrays: tf.function(function).get_concrete_function(*arrays)}
    return {}


@pytest.mark.reads
@pytest.mark.only("torch", "tensorflow", "jax", "keras")
@pytest.mark.parametrize(("name", "y", "x", "said"), OUTSIDE)
def test_the_domain_is_checked_once_there_are_values(backend: str, name: str, y: Any, x: Any, said: str) -> None:
    y, x = to_native(backend, np.asarray(y)), to_native(backend, np.asarray(x, np.float32))
    for way, call in ways_to_call_without_values(backend).items():
        loss = multiloss.get(name, backend=backend)
        call(loss, y, x)
        call(loss, y, x)
        with pytest.raises(ValueError, match=said) as found:
            loss(y, x)
        with pytest.raises(ValueError, match=said) as fresh:
            multiloss.get(name, backend=backend)(y, x)
        assert str(found.value) == str(fresh.value), way


@pytest.mark.reads
@pytest.mark.only("jax")
@pytest.mark.parametrize("traced", ["y_true", "mask"])
def test_one_array_without_values_is_enough(backend: str, traced: str) -> None:
    import jax

    good, bad = {"y_true": np.array([[1.0, 0.0]]), "y_pred": np.array([[0.5, 0.5]])}, {"y_true": np.array([[2.0, 0.0]])}
    if traced == "mask":
        good, bad = {**good, "y_pred": np.array([[2.0, 0.5]]), "mask": np.array([True])}, {}
    arrays = {name: to_native(backend, x) for name, x in good.items()}
    for name in ("binary_crossentropy", "lovasz_softmax") if traced == "mask" else ("binary_crossentropy",):
        loss = multiloss.get(name, backend=backend)
        given = arrays | ({"y_true": to_native(backend, np.array([1]))} if name == "lovasz_softmax" else {})
        rest = {key: x for key, x in given.items() if key != traced}
        jax.eval_shape(lambda x, loss=loss, rest=rest: loss(**rest, **{traced: x}), given[traced])
        now = rest | {name: to_native(backend, x) for name, x in bad.items()}
        with pytest.raises(ValueError, match="must hold"):
            loss(**now)


@pytest.mark.only("torch", "jax", "keras")
def test_the_warning_comes_once_there_are_values(backend: str) -> None:
    y, x = (to_native(backend, np.ones((2, 1), np.float32)) for _ in range(2))
    for way, call in ways_to_call_without_values(backend).items():
        loss = multiloss.get("root_mean_squared_error", backend=backend)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call(loss, y, x)
        with pytest.warns(UserWarning, match="over an axis of length 1"):
            loss(y, x)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            loss(y, x)
        assert way

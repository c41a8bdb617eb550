"""The checker catches wrong definitions: each mutant of a right loss must fail `multiloss.testing.check`."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import multiloss
from multiloss import registry
from multiloss.testing import check
from test_second_derivatives import check as check_derivatives
from test_second_derivatives import drawn

Value = Callable[..., Any]


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_definitions", dict(registry._definitions))


def squared(y_true: Any, y_pred: Any, axis: Any) -> Any:
    return np.mean((y_pred - y_true) ** 2, axis=axis) if axis != () else (y_pred - y_true) ** 2


def distance(y_true: Any, y_pred: Any, axis: Any) -> Any:
    return np.sqrt(np.sum((y_pred - y_true) ** 2, axis=axis))


def right(xp: Any, y_true: Any, y_pred: Any) -> Any:
    return (y_pred - y_true) ** 2


def slope(xp: Any, y_true: Any, y_pred: Any) -> Any:
    return 2 * (y_pred - y_true)


WRONG_VALUES: dict[str, Value] = {
    "sign": lambda xp, y_true, y_pred: -((y_pred - y_true) ** 2),
    "factor": lambda xp, y_true, y_pred: 0.5 * (y_pred - y_true) ** 2,
    "small factor": lambda xp, y_true, y_pred: 1.001 * (y_pred - y_true) ** 2,
    "sum, not difference": lambda xp, y_true, y_pred: (y_pred + y_true) ** 2,
    "swapped and asymmetric": lambda xp, y_true, y_pred: (y_true - y_pred) * y_true,
    "averaged over the batch": lambda xp, y_true, y_pred: (y_pred - y_true) ** 2 + 0 * y_pred + xp.mean(y_pred),
    "clipped": lambda xp, y_true, y_pred: xp.where(y_pred > 5.0, xp.zeros_like(y_pred), (y_pred - y_true) ** 2),
    "constant": lambda xp, y_true, y_pred: 0 * y_pred,
}
WRONG_GRADIENTS: dict[str, Value] = {
    "sign": lambda xp, y_true, y_pred: 2 * (y_true - y_pred),
    "missing factor": lambda xp, y_true, y_pred: y_pred - y_true,
    "of the other argument": lambda xp, y_true, y_pred: 2 * y_true,
    "zero": lambda xp, y_true, y_pred: 0 * y_pred,
    "nan at an exact fit": lambda xp, y_true, y_pred: 2 * (y_pred - y_true) ** 2 / (y_pred - y_true),
}


@pytest.mark.only("numpy")
@pytest.mark.parametrize("name", ["kl_divergence", "categorical_crossentropy", "sparse_categorical_focal_crossentropy"])
def test_what_is_to_be_normalised_has_a_sum(backend: str, name: str) -> None:
    """No case is drawn whose sum is 0: the truth itself would be nan, and a right loss fail."""
    check(name, backends=[backend], normalize=True)


@pytest.mark.only("numpy")  # the checker is the same everywhere
@pytest.mark.parametrize("mutant", WRONG_VALUES)
def test_a_wrong_value_is_caught(backend: str, mutant: str) -> None:
    multiloss.register("right")(right).gradient(slope)
    check("right", backends=[backend], reference=squared)
    # With the right gradient, so that it is the value that is caught.
    multiloss.register("mutant")(WRONG_VALUES[mutant]).gradient(slope)
    with pytest.raises(AssertionError):
        check("mutant", backends=[backend], reference=squared)


@pytest.mark.only("numpy")  # the checker is the same everywhere
@pytest.mark.parametrize("mutant", WRONG_GRADIENTS)
def test_a_wrong_gradient_is_caught(backend: str, mutant: str) -> None:
    definition = multiloss.register("mutant")(right)
    definition.gradient(slope)
    check("mutant", backends=[backend])  # the right one passes, without a reference too
    definition.gradient(WRONG_GRADIENTS[mutant])
    with pytest.raises(AssertionError):
        check("mutant", backends=[backend])


@pytest.mark.only("numpy")  # the checker is the same everywhere
def test_the_wrong_axis_is_caught(backend: str) -> None:
    def wrong(xp: Any, y_true: Any, y_pred: Any, *, axis: Any = -1) -> Any:
        return xp.sqrt(xp.sum((y_pred - y_true) ** 2, axis=-1))

    multiloss.register("mutant")(wrong).gradient(lambda xp, y_true, y_pred, axis: y_pred)
    with pytest.raises((AssertionError, ValueError)):
        check("mutant", backends=[backend], reference=distance)


@pytest.mark.only("numpy")  # the checker is the same everywhere
@pytest.mark.parametrize(
    ("name", "mutate"),
    [
        ("log_cosh", lambda xp, t, p: xp.abs(p - t) - 0.6931471805599453),
        ("huber", lambda xp, t, p, delta: xp.abs(p - t) * delta),
        ("mean_squared_logarithmic_error", lambda xp, t, p: (xp.log(p + 2) - xp.log(t + 1)) ** 2),
        ("kl_divergence", lambda xp, t, p, axis, **_: xp.sum(p * (xp.log(p) - xp.log(t)), axis=axis)),
        ("categorical_crossentropy", lambda xp, t, p, axis, **_: -xp.mean(t * xp.log(p), axis=axis)),
    ],
)
def test_mutants_of_the_library_are_caught(
    backend: str, name: str, mutate: Value, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the closed-form gradient of the library alone, without any reference."""
    monkeypatch.setattr(registry.find(name), "value", mutate)
    with pytest.raises(AssertionError):
        check(name, backends=[backend])


@pytest.mark.parametrize("mutant", ["second", "first"])
def test_mutants_of_derivatives_are_caught(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """p (1 - p), as p / (1 - p), once passed all tests."""
    name, options = "kl_divergence", {"log_input": True, "normalize": True}
    definition, inputs = registry.find(name), drawn(name, options, np.random.default_rng(1))
    check_derivatives(name, options, *inputs)

    def wrong(xp: Any, y_true: Any, y_pred: Any, *, axis: Any, **_: Any) -> Any:
        p = xp.softmax(y_pred, axis=axis)
        return p / (1 - p) if mutant == "second" else p + y_true / xp.sum(y_true, axis=axis, keepdims=True)

    if mutant == "second":
        monkeypatch.setattr(definition, "hess", wrong)
    else:
        monkeypatch.setitem(definition.gradients, "y_pred", wrong)
    with pytest.raises(AssertionError, match=mutant if mutant == "second" else "gradient"):
        check_derivatives(name, options, *inputs)

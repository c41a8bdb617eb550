"""The checker catches wrong definitions: each mutant of a right loss must fail `multiloss.testing.check`."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.derivatives import check_derivatives, drawn_inside
from multiloss.engine import dispatch, registry
from multiloss.testing import check

Value = Callable[..., Any]


pytestmark = pytest.mark.usefixtures("own_registry")


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
    with pytest.raises((AssertionError, ValueError, TypeError)):  # the last where two lengths are not the same
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
def test_mutants_of_the_library_are_caught_without_a_reference(
    backend: str, name: str, mutate: Value, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry.find(name), "value", mutate)
    with pytest.raises(AssertionError):
        check(name, backends=[backend])


Call = dict[str, Any]
Found = tuple[np.ndarray, tuple[np.ndarray, ...]]


class Faulty:
    """A loss of NumPy's with a fault in what is around its formula: `change(loss, call, value, gradients)`."""

    def __init__(self, loss: Any, change: Callable[..., Found]) -> None:
        self.loss, self.change = loss, change

    def _found(self, inputs: Any, call: Call, by: tuple[str, ...]) -> Found:
        call = dict(zip(self.loss.spec.definition.inputs, inputs, strict=False)) | call
        value, gradients = self.loss.value_and_grad(**call, wrt=by)
        with np.errstate(invalid="ignore"):
            return self.change(self.loss, call, by, np.asarray(value), tuple(np.array(x) for x in gradients))

    def __call__(self, *inputs: Any, **call: Any) -> np.ndarray:
        return self._found(inputs, call, self.loss.spec.definition.inputs[1:2])[0]

    def value_and_grad(self, *inputs: Any, wrt: Any = None, **call: Any) -> tuple[Any, Any]:
        value, gradients = self._found(inputs, call, wrt or self.loss.spec.definition.inputs[1:2])
        return value, gradients if wrt else gradients[0]


def without(argument: str) -> Callable[..., Found]:
    return lambda loss, call, by, *_: loss.value_and_grad(**{**call, argument: None}, wrt=by)


def main_input(call: Call) -> np.ndarray:
    return list(call.values())[1]


def leaking(loss: Any, call: Call, by: Any, value: np.ndarray, gradients: Any) -> Found:
    return value + (0 * main_input(call)).sum(dtype=value.dtype), gradients


def leaking_slope(loss: Any, call: Call, by: Any, value: np.ndarray, gradients: Any) -> Found:
    return value, tuple(g + 0 * call[name] for name, g in zip(by, gradients, strict=True))


def moving_masked(loss: Any, call: Call, by: Any, value: np.ndarray, gradients: Any) -> Found:
    return value, tuple(g + g.dtype.type(1e-6) for g in gradients)


def of_nothing(loss: Any, call: Call, by: Any, value: np.ndarray, gradients: Any) -> Found:
    return value + (np.nan if not len(main_input(call)) else 0), gradients


def all_masked(loss: Any, call: Call, by: Any, value: np.ndarray, gradients: Any) -> Found:
    return value + (np.nan if call.get("mask") is not None and not call["mask"].any() else 0), gradients


FAULTS: dict[str, Callable[..., Found]] = {
    "weights count for nothing": without("sample_weight"),
    "the mask counts for nothing": without("mask"),
    "too large": lambda loss, call, by, value, gradients: (value * value.dtype.type(1.001), gradients),
    "of another shape": lambda loss, call, by, value, gradients: (value[None], gradients),
    "slopes too small": lambda loss, call, by, value, gradients: (value, tuple(g * 0.99 for g in gradients)),
    "the last slope is 0": lambda loss, call, by, value, gradients: (value, (*gradients[:-1], 0 * gradients[-1])),
    "a masked nan in the value": leaking,
    "a masked nan in a slope": leaking_slope,
    "a masked sample has a slope": moving_masked,
    "an empty batch gives nan": of_nothing,
    "all masked gives nan": all_masked,
    "half precision": lambda loss, call, by, value, gradients: (value.astype(main_input(call).dtype), gradients),
    "slopes in single": lambda loss, call, by, value, gradients: (value, tuple(np.float32(g) for g in gradients)),
}


@pytest.mark.only("numpy")  # the checker is the same everywhere
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", ["huber", "sparse_categorical_crossentropy", "gaussian_nll", "triplet"])
def test_a_fault_around_the_formula_is_caught(
    backend: str, name: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = dispatch.backend(backend)

    class Adapter:
        def __getattr__(self, name: str) -> Any:
            return getattr(adapter, name)

        def loss(self, spec: Any) -> Faulty:
            return Faulty(adapter.loss(spec), FAULTS[fault])

    monkeypatch.setitem(dispatch._adapters, "faulty", Adapter())
    with pytest.raises(AssertionError, match="faulty"):
        check(name, backends=["faulty"], examples=40)


@pytest.mark.only("numpy")  # the checker is the same everywhere
@pytest.mark.parametrize("wrong", [-1.0, 0.0, 1.01, np.nan])
@pytest.mark.parametrize(
    ("name", "by"),
    [
        *(("gaussian_nll", by) for by in ("y_true", "y_pred", "var")),
        *(("margin_ranking", by) for by in ("y_true", "x1", "x2")),
        *(("triplet_margin", by) for by in ("anchor", "positive", "negative")),
        *(("contrastive", by) for by in ("y_true", "x1", "x2")),
    ],
)
def test_a_wrong_gradient_by_any_input_is_caught(
    backend: str, name: str, by: str, wrong: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    gradients = registry.find(name).gradients
    right = gradients[by]
    monkeypatch.setitem(gradients, by, lambda *inputs, **options: wrong * right(*inputs, **options))
    with pytest.raises(AssertionError, match=f"gradient by {by} on numpy"):
        check(name, backends=[backend])


@pytest.mark.only("numpy")  # the checker is the same everywhere
@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("margin_ranking", lambda y, a, b, margin: np.maximum(0, margin - y * (a - b))),
        ("lovasz_softmax", None),
        ("triplet", None),
        ("barlow_twins", None),
    ],
)
def test_a_reference_of_other_inputs_is_compared_with(backend: str, name: str, reference: Value | None) -> None:
    if reference is not None:
        check(name, backends=[backend], reference=reference)
    with pytest.raises(AssertionError, match=f"value on {backend}"):
        check(name, backends=[backend], reference=lambda *inputs, **options: np.full(np.shape(inputs[0])[:1], 77.0))


@pytest.mark.only("numpy")  # the checker is the same everywhere
@pytest.mark.parametrize("name", ["sparse_categorical_crossentropy", "sparse_categorical_focal_crossentropy"])
def test_an_ignored_label_is_a_masked_one(backend: str, name: str) -> None:
    check(name, backends=[backend], ignore_index=1)


@pytest.mark.parametrize("mutant", ["second", "first"])
def test_mutants_of_derivatives_are_caught(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """p (1 - p), as p / (1 - p), once passed all tests."""
    name, options = "kl_divergence", {"log_input": True, "normalize": True}
    definition, inputs = registry.find(name), drawn_inside(name, options, np.random.default_rng(1))
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

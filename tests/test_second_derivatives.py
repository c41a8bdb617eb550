"""Every closed-form first and second derivative, with every option that changes it, against differences: the gradient
against those of the value, the second derivative against those of the gradient. Mutants of both die here."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import native_second, to_native, to_numpy
from helpers.calls import NAMES
from helpers.derivatives import check_derivatives, drawn_inside
from multiloss.engine import registry
from reference.catalogue import ENTRIES

ERRORS = [name for name in NAMES if registry.find(name).symmetric and registry.find(name).kind == "elementwise"]
"""Losses of the error of each element."""
_LOGS = tuple(
    {"log_input": p, "log_target": t, **more}
    for p, t in itertools.product((False, True), repeat=2)
    for more in ({}, {"epsilon": 0.45})
)
_CLASSES: tuple[dict[str, Any], ...] = (
    {},
    {"epsilon": 0.3},
    {"epsilon": 0.0, "label_smoothing": 0.3},
    {"normalize": True, "label_smoothing": 0.3},
    {"from_logits": True},
    {"from_logits": True, "label_smoothing": 0.3},
)
MORE: dict[str, tuple[dict[str, Any], ...]] = {
    "binary_crossentropy": tuple(
        {"from_logits": logits, "pos_weight": weight, "label_smoothing": smoothing, "epsilon": epsilon}
        for logits, weight, smoothing, epsilon in itertools.product(
            (False, True), (None, 2.5, (0.5, 1.0, 3.0)), (0.0, 0.3), (1e-7, 0.33)
        )
    ),
    "categorical_crossentropy": _CLASSES,
    "sparse_categorical_crossentropy": _CLASSES,
    "kl_divergence": (*_LOGS, *({**options, "normalize": True} for options in _LOGS)),
    "generalized_kl_divergence": _LOGS,
    "js_divergence": ({}, {"epsilon": 0.0}, {"epsilon": 0.3}),
    "huber": ({}, {"delta": 0.3}),
}
"""Beside those of the catalogue."""
INPUTS = {"binary_sparsemax": ((np.array([[1.0, 0.0, 1.0]]), np.array([[0.5, -0.5, 2.0]])),)}
"""Beside those of the catalogue, without options."""
EDGES = (
    ("bce", {"epsilon": 0.0}, [1.0, 0.0], [1.0, 0.0], [-1.0, 1.0], [1.0, 1.0]),  # -log p and -log(1 - p)
    ("quantile", {"q": 0.75}, [1.0], [1.0], [0.0], [0.0]),
    ("huber", {}, [1.0], [1.0], [0.0], [1.0]),
    # 200 |p - t| / (|p| + |t|): to the left of 0 it is 200, to the right the slope is -400 t / (p + t)^2
    ("smape", {}, [100.0, 100.0], [0.0, 100.0], [-2.0, 0.0], [0.04, 0.0]),
    ("tweedie", {}, [4.0], [4.0], [0.0], [0.25]),  # 2 p^-r
)


def cases() -> Iterator[Any]:
    for name in NAMES:
        if registry.find(name).grad is None or registry.find(name).kind == "of_inputs":  # which the catalogue tests
            continue
        given = [
            (options, tuple(np.asarray(x) for x in entry.inputs(np.random.default_rng(0))))
            for entry in ENTRIES.get(name, ())
            for options in entry.options
        ]
        rng = np.random.default_rng(1)
        more = MORE.get(name, () if given else ({},))
        given += [(options, drawn_inside(name, options, rng)) for options in more]
        given += [({}, inputs) for inputs in INPUTS.get(name, ())]
        for i, (options, inputs) in enumerate(given):
            yield pytest.param(name, options, *inputs, id=f"{name}-{i}-{options}")


@pytest.mark.parametrize(("name", "options", "y_true", "y_pred"), list(cases()))
def test_both_derivatives(name: str, options: dict[str, Any], y_true: np.ndarray, y_pred: np.ndarray) -> None:
    check_derivatives(name, options, y_true, y_pred)


@pytest.mark.parametrize(("name", "options", "y_true", "y_pred", "first", "second"), EDGES)
def test_edges(
    backend: str, name: str, options: dict[str, Any], y_true: Any, y_pred: Any, first: Any, second: Any
) -> None:
    arrays = (to_native(backend, np.array(x)) for x in (y_true, y_pred))
    found = multiloss.get(name, backend=backend, **options).grad_and_hess(*arrays)
    for x, wanted in zip(found, (first, second), strict=True):
        np.testing.assert_allclose(to_numpy(x), wanted, rtol=1e-6)


@pytest.mark.parametrize("name", ERRORS)
def test_an_exact_fit(name: str) -> None:
    """The least value of a loss of errors: no slope, and no second derivative that is none."""
    loss = multiloss.get(name, backend="numpy")
    x = np.array([[0.2, 0.5, 0.3]])
    assert np.abs(loss.value_and_grad(x, x)[1]).max() < 1e-15
    if loss.spec.definition.hess is not None:
        assert np.isfinite(loss.grad_and_hess(x, x)[1]).all()


@pytest.mark.only("torch", "tensorflow", "jax")
@pytest.mark.parametrize(
    ("name", "options", "wanted"),
    [
        ("huber", {}, 1.0),
        ("huber", {"delta": 0.5}, 1.0),
        ("smooth_l1", {}, 1.0),
        ("smooth_l1", {"beta": 0.25}, 4.0),
        ("mse", {}, 2.0),
        ("log_cosh", {}, 1.0),
    ],
)
def test_by_the_target_of_an_exact_fit(backend: str, name: str, options: dict[str, Any], wanted: float) -> None:
    """That of the parabola there, also where the framework differentiates the expression."""
    loss = multiloss.get(name, backend=backend, axis=(), reduction="sum", **options)
    t, p, along = (to_native(backend, np.array([number])) for number in (0.5, 0.5, 1.0))
    np.testing.assert_allclose(native_second(backend, lambda x: loss(x, p), t, along), [wanted])

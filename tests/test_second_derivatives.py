"""Every closed-form first and second derivative, with every option that changes it, against differences: the gradient
against those of the value, the second derivative against those of the gradient. Mutants of both die here."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import dtype_name, dtypes, native_second, native_second_forward, to_native, to_numpy
from helpers.calls import NAMES
from helpers.derivatives import check_derivatives, drawn_inside
from helpers.losses import make
from multiloss.engine import registry
from reference.catalogue import ENTRIES

ERRORS = [name for name in NAMES if registry.find(name).symmetric and registry.find(name).kind == "elementwise"]
"""Losses of the error of each element."""
_LOGS = tuple(
    {"log_input": p, "log_target": t, **more}
    for p, t in itertools.product((False, True), repeat=2)
    for more in ({}, {"epsilon": 0.45})
)
MORE: dict[str, tuple[dict[str, Any], ...]] = {
    "binary_crossentropy": tuple(
        {"from_logits": logits, "pos_weight": weight, "label_smoothing": smoothing, "epsilon": epsilon}
        for logits, weight, smoothing, epsilon in itertools.product(
            (False, True), (None, 2.5, (0.5, 1.0, 3.0)), (0.0, 0.3), (1e-7, 0.33)
        )
    ),
    "kl_divergence": (*_LOGS, *({**options, "normalize": True} for options in _LOGS)),
    "generalized_kl_divergence": _LOGS,
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


def cases(first: bool = False) -> Iterator[Any]:
    """Of each loss; `first`: with the first options of each set of inputs."""
    for name in NAMES:
        if registry.find(name).grad is None or registry.find(name).kind == "of_inputs":  # which the catalogue tests
            continue
        given = [
            (options, tuple(np.asarray(x) for x in entry.inputs(np.random.default_rng(0))))
            for entry in ENTRIES[name]
            for options in entry.options[: 1 if first else None]
        ]
        if not first:
            rng = np.random.default_rng(1)
            given += [(options, drawn_inside(name, options, rng)) for options in MORE.get(name, ())]
            given += [({}, inputs) for inputs in INPUTS.get(name, ())]
        for i, (options, inputs) in enumerate(given):
            yield pytest.param(name, options, *inputs, id=f"{name}-{i}-{options}")


@pytest.mark.parametrize(("name", "options", "y_true", "y_pred"), list(cases()))
def test_both_derivatives(name: str, options: dict[str, Any], y_true: np.ndarray, y_pred: np.ndarray) -> None:
    check_derivatives(name, options, y_true, y_pred)


@pytest.mark.only("torch", "tensorflow", "jax", "keras")
@pytest.mark.parametrize(("name", "options", "y_true", "y_pred"), list(cases(first=True)))
def test_both_are_numpys_on_every_backend(
    backend: str, name: str, options: dict[str, Any], y_true: Any, y_pred: Any
) -> None:
    loss = make(backend, name, "float64", validate=False, **options)
    try:
        wanted = multiloss.get(name, backend="numpy", validate=False, **options).grad_and_hess(y_true, y_pred)
    except NotImplementedError:  # without a second derivative
        return
    found = loss.grad_and_hess(*(to_native(backend, x) for x in (y_true, y_pred)))
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(to_numpy(one), other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("name", "options", "y_true", "y_pred", "first", "second"), EDGES)
def test_edges(
    backend: str, name: str, options: dict[str, Any], y_true: Any, y_pred: Any, first: Any, second: Any
) -> None:
    arrays = (to_native(backend, np.array(x)) for x in (y_true, y_pred))
    found = multiloss.get(name, backend=backend, **options).grad_and_hess(*arrays)
    for x, wanted in zip(found, (first, second), strict=True):
        np.testing.assert_allclose(to_numpy(x), wanted, rtol=1e-6)


def test_those_of_half_precision_come_in_it(backend: str) -> None:
    for dtype in dtypes(backend)[:-2]:
        arrays = [to_native(backend, np.array([[0.25, 0.5]]), dtype) for _ in range(2)]
        for name in ("huber", "mean_squared_error", "binary_crossentropy", "categorical_crossentropy"):
            found = multiloss.get(name, backend=backend).grad_and_hess(*arrays)
            assert [dtype_name(x) for x in found] == [dtype] * 2


@pytest.mark.parametrize("name", ERRORS)
def test_an_exact_fit(name: str) -> None:
    """The least value of a loss of errors: no slope, and no second derivative that is none."""
    loss = multiloss.get(name, backend="numpy")
    x = np.array([[0.2, 0.5, 0.3]])
    assert np.abs(loss.value_and_grad(x, x)[1]).max() < 1e-15
    if loss.spec.definition.hess is not None:
        assert np.isfinite(loss.grad_and_hess(x, x)[1]).all()


@pytest.mark.only("torch", "tensorflow", "jax", "keras")  # NumPy differentiates nothing by itself
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_second_derivative_of_confident_logits(backend: str, dtype: str) -> None:
    """p (1 - p) by automatic differentiation, at 0 and in both tails, of wrong answers and of right ones."""
    z = np.array([-80.0, -30.0, -20.0, -1e-3, -0.0, 0.0, 0.5, 20.0, 30.0, 80.0])
    expected = np.exp(-np.abs(z)) / (1 + np.exp(-np.abs(z))) ** 2
    weight = to_native(backend, np.ones(2), dtype)  # by the definition; torch's softplus gives 0 for few
    for bits in (np.zeros_like(z), np.ones_like(z), np.full_like(z, 0.25)):
        loss = make(backend, "binary_crossentropy", dtype, from_logits=True, axis=-1, reduction="sum")
        t = to_native(backend, np.stack([bits, bits]), dtype)
        for second in (native_second, native_second_forward):
            found = second(
                backend,
                lambda x, t=t, loss=loss: len(z) * loss(t, x, sample_weight=weight),
                to_native(backend, np.stack([z, z]), dtype),
                to_native(backend, np.ones((2, len(z))), dtype),
            )
            np.testing.assert_allclose(found, [expected] * 2, rtol=2e-6)


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

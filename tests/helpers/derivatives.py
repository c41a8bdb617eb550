"""A loss's closed-form first and second derivative against differences: the gradient against those of the value, the
second derivative against those of the gradient."""

from collections.abc import Callable
from typing import Any

import numpy as np

import multiloss
from multiloss.engine.loss import make_spec
from multiloss.testing.strategies import domain_of

STEP = 2e-4
"""The error of a difference of five points is the fourth power of it, and the rounding of 1e-16 over it."""
TOLERANCE = 1e-8


def drawn_inside(name: str, options: dict[str, Any], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Inputs of a loss of (y_true, y_pred) in its domain, away from kinks and floors: two samples of three."""
    spec, found = make_spec(name, options), []
    for one in ("y_true", "y_pred"):
        domain = domain_of(spec, one)
        inside = (max(domain.low, -3.0), min(domain.high, 3.0)) if domain else (-2.0, 2.0)
        found.append(rng.uniform(inside[0] + 0.1, inside[1] - 0.1, (2, 3)))
    return (np.array([0, 2]) if spec.definition.has_labels else found[0]), found[1]


def by_differences(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray, place: tuple[int, ...]) -> np.ndarray:
    """The derivative of a function by one entry of x."""

    def moved(by: float) -> np.ndarray:
        there = x.copy()
        there[place] += by
        return function(there)

    return (8 * (moved(STEP) - moved(-STEP)) - (moved(2 * STEP) - moved(-2 * STEP))) / (12 * STEP)


def check_derivatives(name: str, options: dict[str, Any], y_true: np.ndarray, y_pred: np.ndarray) -> None:
    loss = multiloss.get(name, backend="numpy", validate=False, reduction="none", **options)
    definition, y_pred = loss.spec.definition, y_pred.astype(np.float64)
    # `grad_and_hess` is of single elements; the values of an elementwise loss are means over `axis`.
    axis = loss.spec.axis if definition.kind == "elementwise" else ()
    count = np.prod([y_pred.shape[i] for i in np.atleast_1d(axis)]) if axis != () else 1
    try:
        first, second = loss.grad_and_hess(y_true, y_pred)
    except NotImplementedError:  # without a second derivative
        first, second = loss.value_and_grad(y_true, y_pred)[1] * count, None
    for place in np.ndindex(y_pred.shape):
        slope = by_differences(lambda x: np.sum(loss(y_true, x)), y_pred, place) * count
        np.testing.assert_allclose(first[place], slope, rtol=TOLERANCE, atol=TOLERANCE, err_msg=f"gradient{place}")
        if second is not None:
            curve = by_differences(lambda x, at=place: loss.grad_and_hess(y_true, x)[0][at], y_pred, place)
            np.testing.assert_allclose(second[place], curve, rtol=TOLERANCE, atol=TOLERANCE, err_msg=f"second{place}")

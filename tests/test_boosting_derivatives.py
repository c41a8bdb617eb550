"""The derivatives that custom objectives give gradient boosters, exact and bounding."""

from typing import Any

import numpy as np
import pytest

import multiloss

SMOOTH = [
    ("mean_squared_error", {}), ("half_squared_error", {}), ("soft_margin", {"labels": "01"}),
    ("binary_crossentropy", {"from_logits": True}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), SMOOTH)
@pytest.mark.parametrize("library", ["lightgbm", "xgboost", "catboost"])
def test_both_derivatives_are_differences_of_the_loss(name: str, options: dict[str, Any], library: str) -> None:
    rng = np.random.default_rng(0)
    y_true, score = rng.integers(0, 2, 6).astype(float), rng.normal(size=6)
    one = multiloss.get(name, backend="numpy", axis=(), reduction="none", **options)
    objective = multiloss.objective(name, library=library, **options)
    gradient, second = objective(y_true, score)
    h = 1e-4
    here, up, down = one(y_true, score), one(y_true, score + h), one(y_true, score - h)
    np.testing.assert_allclose(gradient, (up - down) / (2 * h), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(second, (up - 2 * here + down) / h**2, rtol=1e-5, atol=1e-6)
    weight = rng.uniform(0.5, 2.0, 6)
    weighted = objective(y_true, score, weight)
    np.testing.assert_allclose(weighted, (gradient * weight, second * weight))
    pairs = objective.calc_ders_range(score.tolist(), y_true.tolist(), weight.tolist())
    np.testing.assert_allclose(np.transpose(pairs), np.negative(weighted))  # CatBoost maximises


BOUNDS = [  # worked by hand: slope over error
    ("mean_squared_error", {}, [0.0, 0.0], [0.0, 5.0], [2.0, 2.0]),
    ("half_squared_error", {}, [0.0, 0.0], [0.0, 5.0], [1.0, 1.0]),
    ("huber", {"delta": 1.5}, [1.0, 1.0, 0.0], [1.0, 1.5, -6.0], [1.0, 1.0, 1.5 / 6]),
    ("smooth_l1", {"beta": 2.0}, [0.0, 0.0, 0.0], [0.0, 1.0, 4.0], [0.5, 0.5, 0.25]),
    ("log_cosh", {}, [0.0, 0.0, 0.0], [0.0, -1.0, 100.0], [1.0, 0.7615941559557649, 0.01]),
    ("charbonnier", {"epsilon": 3.0}, [0.0, 0.0], [0.0, 4.0], [1 / 3, 1 / 5]),
    # (e^z - t) / (z - log t) below the fit, e^z above it and for no count
    ("poisson_nll", {}, [4.0, 4.0, 4.0, 0.0], [0.0, np.log(4.0), np.log(8.0), 0.0], [3 / np.log(4.0), 4.0, 8.0, 1.0]),
]


@pytest.mark.parametrize(("name", "options", "y_true", "score", "right"), BOUNDS)
@pytest.mark.parametrize("library", ["lightgbm", "xgboost", "catboost"])
def test_bounding_curvature(
    name: str, options: dict[str, Any], y_true: list[float], score: list[float], right: list[float], library: str
) -> None:
    """Of the parabola that leads to the fit; `grad_and_hess` keeps the true second derivative."""
    objective = multiloss.objective(name, library=library, **options)
    gradient, curvature = objective(y_true, score)
    np.testing.assert_allclose(curvature, right, rtol=1e-14)
    np.testing.assert_allclose(objective(y_true, score, np.full(len(score), 3.0)), (3 * gradient, 3 * curvature))
    one = multiloss.get(name, backend="numpy", axis=(), reduction="none", **options)
    first, second = one.grad_and_hess(np.array(y_true), np.array(score))
    np.testing.assert_array_equal(gradient, first)
    assert np.all(curvature >= second - 1e-15)


def test_auto_is_exact_where_that_is_positive() -> None:
    found = multiloss.objective("binary_focal_crossentropy", "xgboost", from_logits=True, gamma=0.0)
    assert found.hessian == "exact"

"""`multiloss.compare` names the causes of the pains with losses of numbers and vectors (`helpers/pains.py`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.pains import RNG, C, N, X, Y, keras_of, named, torch_of

pytestmark = pytest.mark.cross


@pytest.mark.parametrize("delta", [2.0, 0.5, 3.0])
def test_14_huber_and_smooth_l1(delta: float) -> None:
    """Smooth L1 is Huber / delta."""
    report = multiloss.compare(keras_of("Huber", delta=delta), torch_of("SmoothL1Loss", beta=delta), Y, 4 * X)
    named(report, "huber")
    assert f"delta = {delta:g}" in report.causes[0] and "a is the Huber" in report.causes[0]


def test_21_ties() -> None:
    """The gradient of |x| at 0, and of a maximum at a tie."""
    import torch

    x = X.copy()
    x[0] = Y[0]
    report = multiloss.compare(torch.nn.L1Loss(), lambda y, p: torch.where(p >= y, p - y, y - p).mean(), Y, x)
    named(report, "gradient")
    assert "where y_true equals y_pred, a tie" in report.causes[0]
    clamped = multiloss.compare(
        lambda y, p: torch.clamp(p, min=0.0).mean(), lambda y, p: torch.maximum(p, torch.zeros_like(p)).mean(), Y,
        np.maximum(X, 0))  # fmt: skip
    named(clamped, "gradient")
    assert clamped.values is not None and clamped.values.absolute == 0


def test_22_gradient_only() -> None:
    """The same value, and a part that one holds constant, or nan where a root is 0."""
    import jax
    import jax.numpy as jnp
    import torch

    def constant(y_true: Any, y_pred: Any) -> Any:
        return (jax.lax.stop_gradient(y_pred - y_true) * (y_pred - y_true)).mean()

    report = multiloss.compare(torch.nn.MSELoss(), constant, Y, X)
    named(report, "gradient")
    assert "0.5 times" in report.causes[0]
    same = multiloss.compare(
        lambda y, p: torch.linalg.vector_norm(p - y, dim=1).mean(),
        lambda y, p: jnp.sqrt(((p - y) ** 2).sum(axis=1)).mean(),
        Y,
        np.concatenate([Y[:1], X[1:]]),
    )
    named(same, "gradient")
    assert "nan" in same.causes[0]


def test_25_triplet_squared() -> None:
    """The distance, or its square."""
    import torch

    def squared(anchor: Any, positive: Any, negative: Any) -> Any:
        return torch.relu(((anchor - positive) ** 2).sum(1) - ((anchor - negative) ** 2).sum(1) + 1).mean()

    inputs = {"anchor": X, "positive": Y, "negative": RNG.normal(size=(N, C))}
    report = multiloss.compare(multiloss.get("triplet_margin", backend="torch"), squared, inputs=inputs)
    named(report, "squared")
    assert "b grows with the square" in report.causes[0]


def test_27_mape() -> None:
    """Percent or a fraction; the epsilon of the denominator."""

    def fraction(inputs: Any, target: Any) -> Any:
        return ((inputs - target).abs() / target.abs().clamp(min=1.17e-6)).mean()

    named(multiloss.compare(keras_of("MeanAbsolutePercentageError"), fraction, Y, X), "percent")
    y = Y.copy()
    y[2, 3] = 0.0
    named(multiloss.compare(multiloss.get("mape", backend="torch", axis=()), lambda t, p: 100 * fraction(p, t), y, X),
          "clipping")  # fmt: skip


def test_28_cosine_sign() -> None:
    """Minus the cosine, the cosine, and 1 - it."""
    import optax
    import torch

    cosine = keras_of("CosineSimilarity")
    named(multiloss.compare(cosine, lambda y, p: torch.cosine_similarity(p, y, dim=-1).mean(), Y, X), "sign")

    def distance(y: Any, p: Any) -> Any:
        return optax.cosine_distance(p, y).mean()

    named(multiloss.compare(cosine, distance, Y, X), "sign")
    named(multiloss.compare(lambda y, p: optax.cosine_similarity(p, y).mean(), distance, Y, X), "sign")


def test_29_poisson() -> None:
    """torch takes the log-rate unless told, Keras the rate; `full` adds Stirling's terms; the epsilons differ."""
    counts = RNG.poisson(3.0, (N, C)).astype(float)
    rate = np.exp(0.3 * X)
    named(multiloss.compare(torch_of("PoissonNLLLoss"), keras_of("Poisson"), counts, rate), "log")
    full = multiloss.compare(torch_of("PoissonNLLLoss", full=True), torch_of("PoissonNLLLoss"), counts, X)
    named(full, "constant")
    named(multiloss.compare(torch_of("PoissonNLLLoss", log_input=False), keras_of("Poisson"), counts, rate), "epsilon")

"""Which causes `multiloss.compare` names. Those of users' pains are in `test_compare_pains_*.py`."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import multiloss
from helpers.comparisons import LABELS, PLAIN, RNG, WEIGHT, P, Q, X, Y, first, mse

# What is the same, and what a factor is.


@given(st.sampled_from(PLAIN), st.integers(0, 99), st.sampled_from(["mean", "sum", "batchmean", "none"]))
def test_a_loss_is_itself(name: str, seed: int, reduction: str) -> None:
    loss = multiloss.get(name, reduction=reduction)
    report = multiloss.compare(loss, multiloss.get(name, reduction=reduction), seed=seed)
    assert report.same, report
    assert report.causes == ()
    assert report.values is not None and report.values.absolute == report.values.ulp == 0


@given(st.sampled_from(PLAIN), st.integers(0, 99), st.floats(0.02, 50).filter(lambda k: abs(k - 1) > 0.01))
def test_a_factor_is_found(name: str, seed: int, factor: float) -> None:
    loss = multiloss.get(name)
    report = multiloss.compare(loss, lambda y_true, y_pred: factor * loss(y_true, y_pred), seed=seed)
    assume(report.a.value is not None and abs(report.a.value) > 1e-3)
    assert report.causes[0].startswith(f"b = {factor:.6g} a"), report
    assert len(report.causes) == 1


@given(st.sampled_from(PLAIN), st.integers(0, 99), st.sampled_from(["sum", "mean"]))
def test_a_sum_is_found(name: str, seed: int, reduction: str) -> None:
    other = {"sum": "mean", "mean": "sum"}[reduction]
    report = multiloss.compare(
        multiloss.get(name, reduction=reduction), multiloss.get(name, reduction=other), seed=seed
    )
    assume(report.a.value is not None and abs(report.a.value) > 1e-3)
    summed = "a" if reduction == "sum" else "b"
    assert f"{summed} sums over the batch" in report.causes[0], report
    assert len(report.causes) == 1


def test_other_inputs_are_the_same() -> None:
    for name in ("triplet_margin", "gaussian_nll", "cosine_embedding", "supervised_contrastive", "arcface"):
        report = multiloss.compare(multiloss.get(name), multiloss.get(name))
        assert report.same, report


# The causes that need no framework.


@pytest.mark.parametrize(
    ("a", "b", "cause"),
    [
        (mse, lambda y, p: 0.5 * mse(y, p), "b = 0.5 a: one has the factor 1/2"),
        (mse, lambda y, p: 100 * mse(y, p), "b = 100 a: one is in percent"),
        (mse, lambda y, p: np.log(2) * mse(y, p), "the base of the logarithm is 2"),
        (mse, lambda y, p: -mse(y, p), "b = -a: the sign"),
        (mse, lambda y, p: 1 - mse(y, p), "b = 1 - a: the sign"),
        (mse, lambda y, p: mse(y, p) + 0.5 * np.log(2 * np.pi), "b = a + 0.918939: the normalising constant 0.5 log"),
        (mse, lambda y, p: mse(y, p) - 0.3, "b = a - 0.3 on every sample: a constant offset"),
        (mse, lambda y, p: mse(y, p) ** 0.5, "b is the square root of a: root against squared"),
        (mse, lambda y, p: (((p - y) ** 2).mean(axis=1) ** 0.5).mean(), "b is the square root of a of each sample"),
        (mse, lambda y, p: ((p - y) ** 2).sum(), "b = N C a (N = 6, C = 4): b is the sum, a the mean"),
        (mse, lambda y, p: ((p - y) ** 2).sum() / 6, "b = C a (C = 4): a takes the mean over elements, b sums"),
        (mse, lambda y, p: ((p - y) ** 2).sum(axis=1).mean(), "b = C a (C = 4): a takes the mean over elements"),
        (mse, lambda y, p: np.abs(p - y).mean(), "squared against not squared: a grows with the square"),
        (lambda y, p: (p - 2 * y).mean(), lambda y, p: (y - 2 * p).mean(), "arguments swapped"),
        (mse, lambda y, p: mse(np.float32(y), np.float32(p)).astype(float), "precision only: b computes in float32"),
        (mse, lambda y, p: mse(np.float16(y), np.float16(p)).astype(float), "precision only: b computes in float16"),
        (mse, lambda y, p: np.sqrt(p).mean(), "nan in b only from sample"),
        (mse, lambda y, p: (np.abs(p - y) ** 2.5).mean() + p.max(), "no convention that is known explains it"),
    ],
)  # fmt: skip
def test_causes(a: Any, b: Any, cause: str) -> None:
    found = multiloss.compare(a, b, Y, X)
    assert cause in found.causes[0], found
    assert len(found.causes) == 1


def test_causes_of_probabilities() -> None:
    """Between losses of this library."""
    cce = functools.partial(multiloss.get, "categorical_crossentropy")
    assert "logits taken as probabilities: b takes probabilities" in first(cce(from_logits=True), cce(), Q, P)
    assert "renormalised: b divides" in first(cce(), cce(normalize=True), Q, RNG.uniform(0.5, 0.9, (6, 1)) * P)
    assert "does not depend on y_pred" in first(cce(), multiloss.get("kl_divergence"), Q, P)
    assert "label smoothing in b only (s = 0.1 " in first(cce(), cce(label_smoothing=0.1), np.eye(4)[LABELS], P)
    assert "the logarithm: b takes log(y_pred)" in first(multiloss.get("scce"), multiloss.get("nll"), LABELS, P)
    p = P.copy()
    p[1, 1] = 0.0
    report = multiloss.compare(cce(), lambda y, p: -(y * np.log(p)).sum(axis=1).mean(), Q, p)
    assert "differs only where y_pred is near 0: clipping" in report.causes[0]
    assert report.causes[1].startswith("inf in b only from sample 1, y_true[1] = [")


def test_weights() -> None:
    """Sample weights: divided by, or not, or not taken."""
    mean = multiloss.get("mse")
    found = first(multiloss.get("mse", reduction="weighted_mean"), mean, Y, X, sample_weight=WEIGHT)
    assert found == "weighted mean: a divides by the sum of the sample weights, b by the number of samples, N = 6"
    report = multiloss.compare(mean, mse, Y, X, sample_weight=WEIGHT)
    assert report.causes == ("b ignores the sample weights",)
    assert "takes no sample_weight, and was called without" in report.b.notes


def test_ignored_samples() -> None:
    """They count in one mean, and not in the other."""
    masked = multiloss.get("scce", from_logits=True, ignore_index=2)

    def counted(y_true: Any, y_pred: Any) -> Any:
        return multiloss.get("scce", from_logits=True, ignore_index=2, reduction="none")(y_true, y_pred).mean()

    assert "b counts ignored or masked samples" in first(masked, counted, LABELS, X)


def test_broadcasting() -> None:
    """(N,) against (N, 1): compared as N x N, refused, or aligned."""
    y, x = Y[:, 0], X[:, :1]
    report = multiloss.compare(mse, multiloss.get("mse"), y, x)
    assert "a compares every sample with every other, b refuses them" in report.causes[0]
    assert report.b.error is not None and "equal shapes" in report.b.error
    assert "b compares what belongs together" in first(mse, lambda t, p: mse(t.reshape(p.shape), p), y, x)


def test_few_samples() -> None:
    """One sample, one number, none."""
    assert first(mse, lambda y, p: 3 * mse(y, p), [[1.0, 2.0]], [[2.0, 5.0]]).startswith("b = 3 a")
    assert first(mse, lambda y, p: 3 * mse(y, p), 1.0, 2.5).startswith("b = 3 a")
    assert first(mse, multiloss.get("mse"), np.zeros((0, 3)), np.zeros((0, 3))) == (
        "an empty batch: a gives nan, b gives 0.0"
    )


def test_many_samples() -> None:
    """A large batch is as quick as a small one, and a rare difference in it is found."""
    x = RNG.uniform(0.1, 0.9, (5000, 3))
    y = (x > 0.5) * 1.0
    assert first(mse, lambda y, p: 0.5 * mse(y, p), y, x).startswith("b = 0.5 a")
    x[3000, 1] = 0.0
    y[3000, 1] = 1.0
    bce = multiloss.get("bce")
    found = first(bce, lambda t, p: bce(t, np.maximum(p, 1e-4)), y, x)
    assert "clipping" in found


@pytest.mark.cross
def test_gradient_of_many_samples() -> None:
    """A tie is found wherever it is."""
    import torch

    y, x = RNG.normal(size=(500, 1)), RNG.normal(size=(500, 1))
    x[400] = y[400]
    found = first(torch.nn.L1Loss(), lambda t, p: torch.where(p >= t, p - t, t - p).mean(), y, x)
    assert found == "gradient only: they differ where y_true equals y_pred, a tie: the subgradient there is another"


def test_equal_values_beside_which_they_differ() -> None:
    """Log-probabilities are logits that a softmax leaves."""
    found = first(multiloss.get("nll"), multiloss.get("scce", from_logits=True), LABELS, np.log(P))
    assert found.startswith("logits taken as log-probabilities: a takes log-probabilities")
    assert first(multiloss.get("nll"), multiloss.get("scce", from_logits=True)) == found

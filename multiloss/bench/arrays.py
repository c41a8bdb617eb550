"""The arrays that losses are timed on: `(generator, rows, columns) -> inputs` in the order of the loss."""

from __future__ import annotations

import numpy as np

Array = np.ndarray
Rng = np.random.Generator
Arrays = tuple[Array, ...]


def real(rng: Rng, n: int, c: int) -> Arrays:
    """Targets and predictions of a regression."""
    return rng.normal(size=(n, c)), rng.normal(size=(n, c))


def positive(rng: Rng, n: int, c: int) -> Arrays:
    """Positive targets and predictions."""
    return np.exp(rng.normal(size=(n, c))), np.exp(rng.normal(size=(n, c)))


def rates(rng: Rng, n: int, c: int) -> Arrays:
    """Counts, and predicted rates."""
    return rng.poisson(2.0, size=(n, c)).astype(float), np.exp(rng.normal(size=(n, c)))


def log_rates(rng: Rng, n: int, c: int) -> Arrays:
    """Counts, and predicted logarithms of rates."""
    return rng.poisson(2.0, size=(n, c)).astype(float), rng.normal(size=(n, c))


def signs(rng: Rng, n: int, c: int) -> Arrays:
    """-1 and 1, and scores."""
    return np.where(rng.random((n, c)) < 0.5, 1.0, -1.0), rng.normal(size=(n, c))


def bit_logits(rng: Rng, n: int, c: int) -> Arrays:
    """0 and 1, and logits."""
    return rng.integers(0, 2, (n, c)).astype(float), rng.normal(size=(n, c))


def bits(rng: Rng, n: int, c: int) -> Arrays:
    """0 and 1, and probabilities."""
    y_true, logits = bit_logits(rng, n, c)
    return y_true, 1 / (1 + np.exp(-logits))


def masks(rng: Rng, n: int, c: int) -> Arrays:
    """Pixels of a region, and the probability of each."""
    return (rng.random((n, c)) < 0.5).astype(float), rng.random((n, c))


def distributions(rng: Rng, n: int, c: int) -> Arrays:
    """Two distributions over the columns."""
    return _softmax(rng.normal(size=(n, c))), _softmax(rng.normal(size=(n, c)))


def distribution_logits(rng: Rng, n: int, c: int) -> Arrays:
    """A distribution over the columns, and logits."""
    return _softmax(rng.normal(size=(n, c))), rng.normal(size=(n, c))


def one_hot(rng: Rng, n: int, c: int) -> Arrays:
    """One-hot targets, and scores."""
    return np.eye(c)[rng.integers(0, c, n)], rng.normal(size=(n, c))


def label_logits(rng: Rng, n: int, c: int) -> Arrays:
    """Labels, and scores of the classes."""
    return rng.integers(0, c, n), rng.normal(size=(n, c))


def labels(rng: Rng, n: int, c: int) -> Arrays:
    """Labels, and probabilities of the classes."""
    y_true, logits = label_logits(rng, n, c)
    return y_true, _softmax(logits)


def label_logarithms(rng: Rng, n: int, c: int) -> Arrays:
    """Labels, and log-probabilities of the classes."""
    y_true, p = labels(rng, n, c)
    return y_true, np.log(p)


def label_sets(rng: Rng, n: int, c: int) -> Arrays:
    """Three right classes a row, and scores."""
    sets = np.full((n, c), -1)
    sets[:, :3] = np.argsort(rng.random((n, c)), -1)[:, :3]
    return sets, rng.normal(size=(n, c))


def variances(rng: Rng, n: int, c: int) -> Arrays:
    """Targets, means and variances."""
    return *real(rng, n, c), np.exp(rng.normal(size=(n, c)))


def ensembles(rng: Rng, n: int, c: int) -> Arrays:
    """A target a row, and an ensemble of forecasts."""
    return rng.normal(size=n), rng.normal(size=(n, c))


def ordered(rng: Rng, n: int, c: int) -> Arrays:
    """Which of two scores should be higher, and these."""
    return np.where(rng.random(n * c) < 0.5, 1.0, -1.0), rng.normal(size=n * c), rng.normal(size=n * c)


def pairs(rng: Rng, n: int, c: int) -> Arrays:
    """Whether two vectors belong together (1 or -1), and these."""
    return np.where(rng.random(n) < 0.5, 1.0, -1.0), *real(rng, n, c)


def similar(rng: Rng, n: int, c: int) -> Arrays:
    """Whether two vectors belong together (1 or 0), and these."""
    return rng.integers(0, 2, n).astype(float), *real(rng, n, c)


def triplets(rng: Rng, n: int, c: int) -> Arrays:
    """Anchors, positives and negatives."""
    return *real(rng, n, c), rng.normal(size=(n, c))


def features(rng: Rng, n: int, c: int) -> Arrays:
    """Labels, two of each, and features of length 1."""
    x = rng.normal(size=(n, c))
    return np.arange(n) // 2, x / np.linalg.norm(x, axis=-1, keepdims=True)


def weighted(rng: Rng, n: int, c: int) -> Arrays:
    """Labels of 100 classes, features, and a weight a class."""
    return rng.integers(0, 100, n), rng.normal(size=(n, c)), rng.normal(size=(100, c))


def sequences(rng: Rng, n: int, c: int) -> Arrays:
    """Ten letters of c - 1 each, and logits of 50 frames."""
    return rng.integers(1, c, (n, 10)), rng.normal(size=(n, 50, c))


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))

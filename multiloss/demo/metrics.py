"""The measures on the test images, from features and class outputs; NumPy only."""

from __future__ import annotations

import numpy as np

from multiloss.demo.errors import missing


def class_means(features: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Mean feature of each class, (classes, D); nan for a class that does not occur."""
    means = np.full((classes, features.shape[1]), np.nan)
    for label in np.unique(labels):
        means[label] = features[labels == label].mean(0, dtype=np.float64)
    return means


def accuracy(outputs: np.ndarray, labels: np.ndarray) -> float:
    """Share of images whose largest class output is the right one."""
    return float((outputs.argmax(1) == labels).mean())


def distance_within(features: np.ndarray, labels: np.ndarray, classes: int) -> float:
    """Mean distance of a feature from the mean of its class."""
    return float(np.linalg.norm(features - class_means(features, labels, classes)[labels], axis=1).mean())


def distance_between(features: np.ndarray, labels: np.ndarray, classes: int) -> float:
    """Mean distance between the means of two classes, over all pairs of classes."""
    distances = _distances_of_means(features, labels, classes)
    return float(distances.mean()) if len(distances) else float("nan")


def distance_nearest(features: np.ndarray, labels: np.ndarray, classes: int) -> float:
    """Distance between the means of the two classes that lie closest together."""
    distances = _distances_of_means(features, labels, classes)
    return float(distances.min()) if len(distances) else float("nan")


def ratio(within: float, between: float) -> float:
    """A distance within a class over one between classes: free of the scale of the features; nan over 0."""
    return within / between if between else float("nan")


def _distances_of_means(features: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    means = class_means(features, labels, classes)
    means = means[np.isin(np.arange(classes), labels)]
    first, second = np.triu_indices(len(means), 1)
    distances: np.ndarray = np.linalg.norm(means[first] - means[second], axis=1)
    return distances


def largest_probability(outputs: np.ndarray) -> np.ndarray:
    """The largest softmax probability of each image (of squared error's class outputs as well)."""
    outputs = outputs.astype(np.float64)
    largest: np.ndarray = 1 / np.exp(outputs - outputs.max(1, keepdims=True)).sum(1)
    return largest


def distance_to_nearest(features: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Distance of each feature to the nearest center."""
    distances: np.ndarray = np.linalg.norm(features[:, None] - centers[None], axis=2).min(1)
    return distances


def auroc(score_known: np.ndarray, score_unknown: np.ndarray) -> float:
    """Area under the ROC curve of a score that should be larger for unknown images; nan if a score is."""
    with missing("scikit-learn", "demo"):
        from sklearn.metrics import roc_auc_score
    scores = np.concatenate([score_known, score_unknown])
    if not np.isfinite(scores).all():
        return float("nan")
    return float(roc_auc_score(np.repeat([0, 1], [len(score_known), len(score_unknown)]), scores))

"""The settings and the result of one training, the same for every framework."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from multiloss.demo.data import Data
from multiloss.demo.errors import UserError

BACKENDS = ("numpy", "torch", "tensorflow", "jax", "keras")
SOFTMAX, SQUARED, CENTER = OBJECTIVES = ("softmax", "squared error", "softmax + center")
NETWORKS = ("auto", "mlp", "cnn")

Predict = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Images (N, ...) -> features (N, 2) and class outputs (N, C), as NumPy arrays."""

AfterEpoch = Callable[[float, Predict], None]
"""Called after every epoch with its mean training loss and the network at that time."""


@dataclass(frozen=True)
class Settings:
    """One training: SGD with momentum; the learning rate falls to a tenth after two thirds of the epochs."""

    objective: str
    network: str  # "mlp" or "cnn"
    epochs: int
    batch: int
    learning_rate: float
    momentum: float = 0.9
    center_weight: float = 0.05  # the lambda of the center loss
    alpha: float = 0.5  # the speed of the centers
    seed: int = 0

    def rate(self, epoch: int) -> float:
        """Learning rate of an epoch, counted from 0."""
        return self.learning_rate * (0.1 if 3 * epoch >= 2 * self.epochs else 1.0)


@dataclass(frozen=True)
class Trained:
    """A trained network; `centers` (C, 2) is None where the objective has none."""

    predict: Predict
    centers: np.ndarray | None = None


def choose_network(asked: str, data: Data, backend: str) -> str:
    """`auto` is the CNN for images of at least 16 x 16, otherwise the MLP; NumPy has the MLP only."""
    fits = len(data.shape) == 3 and min(data.shape[:2]) >= 16
    if asked == "auto":
        return "cnn" if fits and backend != "numpy" else "mlp"
    if asked == "cnn" and backend == "numpy":
        raise UserError("--network cnn: the NumPy backend has the MLP only")
    if asked == "cnn" and not fits:
        raise UserError(f"--network cnn needs images of at least 16 x 16; those of {data.name} are {data.shape}")
    return asked


def batches(count: int, settings: Settings, epoch: int) -> np.ndarray:
    """Indices of the batches of an epoch, (steps, batch): one shuffle, the incomplete last batch left out.

    The same in every framework, so that two frameworks see the same images in the same order.
    """
    size = min(settings.batch, count)
    steps = count // size
    order = np.random.default_rng((settings.seed, epoch)).permutation(count)
    return order[: steps * size].reshape(steps, size)


def in_chunks(predict: Predict, size: int = 2000) -> Predict:
    """The same function, fed `size` images at a time."""

    def chunked(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        parts = list(_pieces(images, size))
        features, outputs = zip(*(predict(part) for part in parts), strict=True)
        return np.concatenate(features), np.concatenate(outputs)

    return chunked


def _pieces(images: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(images), size):
        yield images[start : start + size]

"""The center losses that processes, devices and replicas share, and their batches: for the test and what it starts."""

from __future__ import annotations

from typing import Any

import numpy as np

import multiloss

D = 4
"""Features."""
Parts = tuple[list[np.ndarray], list[np.ndarray]]
"""Labels and features of each process or replica."""
# few classes: sums travel; many: the batch does; presets that divide by the batch count the whole of it
CENTER: list[tuple[str, int, dict[str, Any]]] = [
    ("sums", 3, {}),
    ("batches", 5000, {}),
    ("batch size", 3, {"preset": "kaiyangzhou"}),
]
FAMILY: list[tuple[str, int, dict[str, Any]]] = [
    ("contrastive", 4, {"loss": "contrastive_center"}),
    ("triplet", 4, {"loss": "triplet_center"}),
    ("island", 4, {"loss": "island"}),
    ("git", 4, {"loss": "git"}),
    ("ring", 3, {"loss": "ring", "radius": 2.0, "alpha": 0.5}),
    ("ring, first", 3, {"loss": "ring", "alpha": 0.5}),
]


# inside a checkpointed region
CHECKPOINTED: list[tuple[str, int, dict[str, Any]]] = [
    ("few", 3, {}),
    ("many", 5000, {}),
    ("shared out", 7, {"sharded": True}),
    ("not read", 7, {"sharded": True, "validate": False}),
    ("island", 4, {"loss": "island"}),
    ("radius", 3, {"loss": "ring", "alpha": 0.5, "weight": 1.0}),
]


def made(backend: str, classes: int, dim: int = D, **options: Any) -> Any:
    """One of them."""
    loss = options.pop("loss", "center")
    if loss != "ring":
        options = {"num_classes": classes, "feature_dim": dim, "centers_init": "normal"} | options
    return multiloss.get(loss, backend=backend, **options)


def starts(name: str, step: int) -> bool:
    """Whether the whole batch says where the radius starts, so that no single process can tell the gradient."""
    return name == "ring, first" and step == 0


def process_batch(size: int, classes: int, seed: int) -> Parts:
    """Uneven, and the last process has nothing in one step of three."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 7, size)
    if seed % 3 == 0:
        lengths[-1] = 0
    return _parts(rng, lengths, classes)


def replica_batch(classes: int, seed: int) -> Parts:
    """Of two: of different lengths, nothing on one of them, on both."""
    rng = np.random.default_rng(seed)
    return _parts(rng, rng.integers(1, 7, 2) * np.array([seed != 3, seed not in (1, 3)]), classes)


def _parts(rng: np.random.Generator, lengths: np.ndarray, classes: int) -> Parts:
    return ([rng.integers(0, classes, n) for n in lengths],
            [rng.normal(size=(n, D)).astype(np.float32) for n in lengths])  # fmt: skip


def device_batch(classes: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, features and mask of the whole."""
    rng, n = np.random.default_rng(seed), 8
    return rng.integers(0, classes, n), rng.normal(size=(n, D)).astype(np.float32), rng.uniform(size=n) < 0.8

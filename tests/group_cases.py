"""The center losses that processes, devices and replicas share: the same for the test and for the script it starts."""

from __future__ import annotations

from typing import Any

import multiloss

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


def made(backend: str, classes: int, dim: int, **options: Any) -> Any:
    """One of them."""
    loss = options.pop("loss", "center")
    if loss != "ring":
        options = {"num_classes": classes, "feature_dim": dim, "centers_init": "normal"} | options
    return multiloss.get(loss, backend=backend, **options)


def starts(name: str, step: int) -> bool:
    """Whether the whole batch says where the radius starts, so that no single process can tell the gradient."""
    return name == "ring, first" and step == 0

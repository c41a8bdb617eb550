"""A center loss in nested regions of activation checkpointing, for the tests of it."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

import multiloss
import multiloss.torch
from multiloss_torch import checkpointing, compat

MARKED: dict[str, Any] = {"use_reentrant": False, "context_fn": multiloss.torch.checkpoint_contexts}
PLAIN: dict[str, Any] = {"use_reentrant": False}
REENTRANT: dict[str, Any] = {"use_reentrant": True}
LABELS = torch.tensor([0, 0])
REFUSED = "pass context_fn=multiloss.torch.checkpoint_contexts to each torch.utils.checkpoint.checkpoint"


def one_class(**options: Any) -> Any:
    """One class whose center starts at 0; the features are 1 and 3: the value 2.5, and the center moves to 2 / 3."""
    options = {"num_classes": 1, "feature_dim": 1, "alpha": 0.5, "centers_init": "zeros"} | options
    return multiloss.get("center", "torch", **options).double()


def features() -> Any:
    return torch.tensor([[1.0], [3.0]], dtype=torch.float64, requires_grad=True)


def run(function: Any, x: Any, kinds: Any) -> Any:
    """The function in a region of each of these kinds, the first of them outside."""
    if not kinds:
        return function(x)
    return checkpoint(lambda x: run(function, x, kinds[1:]), x, **kinds[0])


def name_of(kinds: Any) -> str:
    """In the name of a test."""
    names = {id(MARKED): "marked", id(PLAIN): "plain", id(REENTRANT): "reentrant"}
    return " in ".join(names[id(kind)] for kind in reversed(kinds))


def hide_frames(monkeypatch: Any, how: str) -> None:
    """Torch's frames as they are ("shown"); as of a version where the small regions come out wrong ("hidden"); and
    where there are none ("nowhere")."""
    if how != "shown":
        monkeypatch.setattr(checkpointing, "frames_are_right", lambda: False)
    if how == "nowhere":
        monkeypatch.setattr(compat, "look_for_regions", list)

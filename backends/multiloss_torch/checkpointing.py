"""Activation checkpointing (`torch.utils.checkpoint`): what is computed twice must move the centers once.

The first pass of a checkpointed region remembers the rows that each call of a center loss read; the recomputation, in
the backward pass, reads those and moves nothing. The region is an object of torch's own that both passes see on the
Python stack: the autograd context of the reentrant kind, the `_CheckpointFrame` of the other.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import torch
import torch.utils.checkpoint
from torch import Tensor

_FILE = torch.utils.checkpoint.__file__


def is_possible() -> bool:
    """Whether this call might be inside a checkpointed region: a few cheap questions before the stack is looked at."""
    return not torch.compiler.is_compiling() and (
        not torch.is_grad_enabled()
        or torch._C._current_graph_task_id() != -1
        or torch._C._autograd._top_saved_tensors_default_hooks(True) is not None
    )


def regions() -> tuple[list[Any], Any]:
    """The regions whose first pass this is, from the inside out, and the one that is recomputed (or None)."""
    first_passes: list[Any] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename == _FILE:
            here, name = frame.f_locals, frame.f_code.co_name
            if name == "forward" and "ctx" in here:
                first_passes.append(here["ctx"])
            elif name == "checkpoint" and "gen" in here:
                first_passes.append(here["gen"].gi_frame.f_locals["new_frame"])
            elif name in ("backward", "unpack_hook"):
                return first_passes, here.get("ctx", here.get("frame"))
        frame = frame.f_back
    return first_passes, None


def is_trained(first_passes: list[Any]) -> bool:
    """Whether a reentrant region, whose first pass records nothing, will be differentiated."""
    return any(any(getattr(region, "needs_input_grad", ())) for region in first_passes)


def remember(first_passes: list[Any], owner: Any, rows: Tensor) -> None:
    """Keep the rows for the recomputation of these regions."""
    for region in first_passes:
        if not hasattr(region, "multiloss_rows"):
            region.multiloss_rows = {}
        region.multiloss_rows.setdefault(id(owner), []).append(rows)


def recall(region: Any, owner: Any) -> Tensor | None:
    """The rows of the call that is recomputed: they come back in the order of the first pass, time and again."""
    kept = getattr(region, "multiloss_rows", {}).get(id(owner))
    if not kept:
        return None
    kept.append(kept.pop(0))
    rows: Tensor = kept[-1]
    return rows

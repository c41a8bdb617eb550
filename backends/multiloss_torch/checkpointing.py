"""Activation checkpointing (`torch.utils.checkpoint`): what is computed twice must move the centers once.

The first pass of a checkpointed region remembers the rows that each call of a center loss read, whether it moves them
or not (another call may, before the backward pass); the recomputation reads those and moves nothing. The region is an
object of torch's own that both passes see on the Python stack: the autograd context of the reentrant kind, the
`_CheckpointFrame` of the other.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any, NamedTuple

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


class Recomputation(NamedTuple):
    """One recomputation of a region: a retained graph may have several, and a region that is left early is not run to
    its end."""

    region: Any
    number: Any


def regions() -> tuple[list[Any], Recomputation | None]:
    """The regions whose first pass this is, from the inside out, and what is recomputed (or None)."""
    first_passes: list[Any] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename == _FILE:
            here, name = frame.f_locals, frame.f_code.co_name
            if name == "forward" and "ctx" in here:
                first_passes.append(here["ctx"])
            elif name == "checkpoint" and "gen" in here:
                first_passes.append(here["gen"].gi_frame.f_locals["new_frame"])
            elif name == "backward":
                return first_passes, Recomputation(here["ctx"], torch._C._current_graph_task_id())
            elif name == "unpack_hook":
                return first_passes, Recomputation(here["frame"], here["gid"])
        frame = frame.f_back
    return first_passes, None


def refuse_recomputation() -> None:
    """RuntimeError inside a checkpointed region, for what keeps nothing for the recomputation (Keras' layer)."""
    if is_possible() and regions() != ([], None):
        raise RuntimeError(
            "activation checkpointing would compute the center loss again, and move the centers twice; call the loss "
            "outside of the checkpointed region, or with training=False"
        )


def is_trained(first_passes: list[Any]) -> bool:
    """Whether a reentrant region, whose first pass records nothing, will be differentiated."""
    return any(any(getattr(region, "needs_input_grad", ())) for region in first_passes)


class Read(NamedTuple):
    """What a call read in the first pass."""

    table: Tensor
    """The rows of the batch, or the whole table."""
    places: Tensor | None
    """Where in it each sample finds its row, -1: nowhere; None: at its label."""
    trusted: bool


def remember(first_passes: Sequence[Any], owner: Any, read: Read) -> None:
    """Keep it for the recomputation of these regions."""
    for region in first_passes:
        if not hasattr(region, "multiloss_reads"):
            region.multiloss_reads = {}
        region.multiloss_reads.setdefault(id(owner), []).append(read)


def recall(recomputed: Recomputation, owner: Any) -> Read | None:
    """What the call that is recomputed read: the calls come in the order of the first pass."""
    region, number = recomputed
    kept: list[Read] = getattr(region, "multiloss_reads", {}).get(id(owner), [])
    if getattr(region, "multiloss_number", None) != number:
        region.multiloss_number, region.multiloss_done = number, {}
    done: int = region.multiloss_done.get(id(owner), 0)
    region.multiloss_done[id(owner)] = done + 1
    return kept[done] if done < len(kept) else None


@torch.library.custom_op("multiloss::in_first_pass", mutates_args=())
def in_first_pass(labels: torch.Tensor) -> torch.Tensor:
    """The labels of a compiled step that moves centers; refused where the step is computed again."""
    if torch._C._current_graph_task_id() != -1:  # in a backward pass
        raise RuntimeError(
            "activation checkpointing computes a compiled center loss again, with centers that have moved; call the "
            "center loss outside of the checkpointed region, or do not compile it"
        )
    return labels.clone()


@in_first_pass.register_fake
def _(labels: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(labels)

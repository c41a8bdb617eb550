"""Activation checkpointing (`torch.utils.checkpoint`): a call that is computed twice must move the centers once.

In the first pass of a checkpointed region each call of a center loss keeps the rows that it reads, since other calls
may move them before the backward pass. The recomputation reads those rows and moves nothing. There are two ways to know
a region and its recomputation:

* The user passes `checkpoint_contexts` to `torch.utils.checkpoint.checkpoint` as `context_fn`: torch enters one context
  in the first pass, the other one in each recomputation. This rests on torch's documentation alone.
* Without it, torch's frames on the Python stack show them (`compat.look_for_regions`). Other versions may have other
  names there, so this is tried on small regions, once a process (`frames_are_right`). If that fails, calls inside of
  checkpointing are refused, and the message names the first way.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from itertools import takewhile
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from torch.utils.module_tracker import ModuleTracker

from multiloss_torch import compat

_backward = ModuleTracker()
"""Its `is_bw` is True during a backward pass."""


class _Here(threading.local):
    """The marked regions and recomputations that this thread is in, from the outside in."""

    entered: tuple[Region | compat.Recomputation, ...] = ()


_here = _Here()


class Region:
    """A region that the user marked, as the context of its first pass. `remember` keeps here what that read."""

    was_entered = False
    forward_completed = False
    """Whether that pass has ended. torch's own regions have the same attribute."""

    def __enter__(self) -> None:
        if self.was_entered:
            raise RuntimeError(
                "each checkpointed region needs contexts of its own: pass "
                "context_fn=multiloss.torch.checkpoint_contexts itself, or a function that calls it each time"
            )
        self.was_entered = True
        _here.entered = (*_here.entered, self)

    def __exit__(self, *_: object) -> None:
        # Not the last one: older versions of torch leave a region that raises only when its generator is collected.
        _here.entered = tuple(x for x in _here.entered if x is not self)
        self.forward_completed = True


class _Again(NamedTuple):
    """The context of its recomputations: it may be entered any number of times, in any thread."""

    region: Region

    def __enter__(self) -> None:
        _here.entered = (*_here.entered, compat.Recomputation(self.region, object()))

    def __exit__(self, *_: object) -> None:
        _here.entered = _here.entered[:-1]


def checkpoint_contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """The `context_fn` of `torch.utils.checkpoint.checkpoint` for regions that a center loss is called in.

    The centers move once, in the first pass, and each recomputation reads the rows of that pass. Without it center
    losses recognise recomputations by torch's frames, and are refused in a version of torch where these do not show
    them. `use_reentrant=True` takes no `context_fn`.

    Returns:
        The context of the first pass, and that of its recomputations; new ones at each call.

    Example:
        >>> import torch, multiloss, multiloss.torch
        >>> from torch.utils.checkpoint import checkpoint
        >>> center = multiloss.get("center", backend="torch", num_classes=3, feature_dim=2)
        >>> layer = torch.nn.Linear(4, 2)
        >>> loss = checkpoint(
        ...     lambda x, y: center(y, layer(x)), torch.ones(5, 4), torch.tensor([0, 1, 1, 2, 0]),
        ...     use_reentrant=False, context_fn=multiloss.torch.checkpoint_contexts,
        ... )
        >>> loss.backward()
    """
    region = Region()
    return region, _Again(region)


def is_possible(recorded: bool | None = None) -> bool:
    """Whether this call might be inside a checkpointed region. It is cheap, and asked before the stack is looked at.

    Args:
        recorded: whether gradients of the caller are recorded; None: whether they are now.
    """
    if torch.compiler.is_compiling():
        return False
    recorded = torch.is_grad_enabled() if recorded is None else recorded
    return not recorded or bool(_here.entered) or _backward.is_bw or compat.has_saved_tensor_hooks()


def regions() -> tuple[list[Any], compat.Recomputation | None]:
    """The regions whose first pass this is, from the inside out, and the recomputation around them (or None)."""
    first_passes, recomputed = _split(_here.entered[::-1])
    seen = compat.look_for_regions()
    if seen and frames_are_right():
        shown, again = _split(seen)
        first_passes += shown
        # torch shows marked regions, too, so the one that it shows is the inner one. But its first pass may not have
        # been seen.
        if again is not None and (recomputed is None or hasattr(again.region, "multiloss_reads")):
            recomputed = again
    return first_passes, recomputed


def _split(entered: Sequence[Any]) -> tuple[list[Any], compat.Recomputation | None]:
    """The regions before the first recomputation, and that recomputation."""
    first_passes = list(takewhile(lambda x: not isinstance(x, compat.Recomputation), entered))
    recomputed = next(iter(entered[len(first_passes) :]), None)
    return [x for x in first_passes if x is not None], recomputed


@cache
def frames_are_right() -> bool:
    """Whether torch's frames show the same region in both of its passes, and each recomputation as another one.

    It is tried in a new thread, which has no hooks, modes, autocast, default device or level of `torch.func`, and draws
    no random numbers.
    """
    found: list[Any] = []

    def part(x: Tensor) -> Tensor:
        found.append(_split(compat.look_for_regions()))
        return x * x

    def probe() -> bool:
        for reentrant in (False, True):
            x = torch.ones((), device="cpu", requires_grad=True)
            value = checkpoint(part, x, use_reentrant=reentrant, preserve_rng_state=False)
            for _ in range(2):
                value.backward(retain_graph=True)
        return all(
            first == ([one.region], None) and others == [] and one.region is two.region and one.number is not two.number
            for first, (others, one), (_, two) in (found[:3], found[3:])
        )

    try:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(probe).result()
    except Exception:  # whatever a version of torch raises; or no thread can be started
        return False


def check_regions() -> None:
    """RuntimeError inside a region whose recomputation could not be recognised. It is checked together with the input,
    so that it becomes an error in all processes of a group."""
    if not is_possible():
        return
    if compat.replays_results():
        raise RuntimeError(
            "selective activation checkpointing hands out kept results in the order of the first pass, but a center "
            "loss computes otherwise in the recomputation; call it outside of the region, or checkpoint without "
            "create_selective_checkpoint_contexts"
        )
    # A call that records nothing gets the right value. If it is recomputed after all, the recomputation is checked
    # here.
    is_recorded = torch.is_grad_enabled() or _backward.is_bw
    is_marked = any(isinstance(x, compat.Recomputation) or not _backward.is_bw for x in _here.entered)
    if is_recorded and not is_marked and not frames_are_right():
        raise RuntimeError(
            f"torch {torch.__version__} does not show which calls activation checkpointing repeats: pass "
            "context_fn=multiloss.torch.checkpoint_contexts to each torch.utils.checkpoint.checkpoint(..., "
            "use_reentrant=False) around the center loss, or call it outside of these and of hooks for saved tensors"
        )


def refuse_recomputation() -> None:
    """RuntimeError inside a checkpointed region; for Keras' layer, which keeps nothing for the recomputation."""
    if not is_possible():
        return
    if _here.entered or compat.look_for_regions() or (is_possible(True) and not frames_are_right()):
        raise RuntimeError(
            "activation checkpointing would compute the center loss again, and move the centers twice; call the loss "
            "outside of the checkpointed region, or with training=False"
        )


def is_trained(first_passes: list[Any]) -> bool:
    """Whether one of these is a reentrant region that will be differentiated. Its first pass records nothing."""
    return any(any(getattr(region, "needs_input_grad", ())) for region in first_passes)


class Read(NamedTuple):
    """What a call of a center loss read in the first pass."""

    table: Tensor
    """The rows of the batch, or the whole table."""
    places: Tensor | None
    """The row of each sample in it, -1 if it has none; None: its label."""
    labels_checked: bool


def remember(first_passes: Sequence[Any], owner: Any, read: Read) -> None:
    """Keep what was read for the recomputation of these regions."""
    for region in first_passes:
        if not hasattr(region, "multiloss_reads"):
            region.multiloss_reads = defaultdict(list)
        region.multiloss_reads[id(owner)].append(read)


def recall(recomputed: compat.Recomputation, owner: Any) -> Read | None:
    """What the call that is recomputed read in the first pass; the calls come in the same order. None where a region is
    recomputed before its first pass has ended, by `value_and_grad` inside of it: the result of that call is not
    used."""
    region, number = recomputed
    kept: dict[int, list[Read]] = getattr(region, "multiloss_reads", {})
    if getattr(region, "multiloss_number", None) is not number:
        region.multiloss_number, region.multiloss_left = number, {key: iter(reads) for key, reads in kept.items()}
    read: Read | None = next(region.multiloss_left.get(id(owner), iter(())), None)
    if read is None and compat.has_ended(region):
        raise RuntimeError(
            "activation checkpointing repeats a call of a center loss that was not seen in the first pass "
            f"({len(kept.get(id(owner), ()))} were), so that nobody knows which centers it read; pass "
            "context_fn=multiloss.torch.checkpoint_contexts, or call the center loss outside of the region"
        )
    return read


@torch.library.custom_op("multiloss::in_first_pass", mutates_args=())
def in_first_pass(labels: torch.Tensor) -> torch.Tensor:
    """The labels of a compiled step that moves centers. It raises when checkpointing recomputes the step."""
    if _backward.is_bw:
        raise RuntimeError(
            "activation checkpointing computes a compiled center loss again, with centers that have moved; call the "
            "center loss outside of the checkpointed region, or do not compile it"
        )
    return labels.clone()


@in_first_pass.register_fake
def _(labels: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(labels)

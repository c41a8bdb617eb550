"""Activation checkpointing (`torch.utils.checkpoint`): what is computed twice must move the centers once.

The first pass of a checkpointed region remembers the rows that each call of a center loss read, whether it moves them
or not (another call may, before the backward pass); the recomputation reads those and moves nothing. There are two ways
to know a region and its recomputation:

* `checkpoint_contexts`, which the user hands to `torch.utils.checkpoint.checkpoint` as its `context_fn`: torch enters
  one context in the first pass, the other one in each recomputation. It rests on nothing but torch's documentation.
* Without it, what torch's frames on the Python stack show (`compat.look_for_regions`). Another version may call things
  otherwise there, so a small step is tried first (`_comes_out_right`), once a process. Where it comes out wrong, calls
  inside of checkpointing are refused, and the message names the other way.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from torch.utils.module_tracker import ModuleTracker

from multiloss_torch import compat

_backward = ModuleTracker()
"""Its `is_bw` says whether a backward pass is under way."""


class Region:
    """A region that the user marked: `remember` keeps here what its first pass read."""

    forward_completed = False
    """Whether that pass has ended; named as torch's own regions do."""


class Recomputation(NamedTuple):
    """One recomputation of a region: a retained graph may have several, and a region that is left early is not run to
    its end."""

    region: Any
    number: Any
    """An object that no other recomputation of this region has."""


class _Here(threading.local):
    """What this thread is in."""

    entered: tuple[Region | Recomputation, ...] = ()
    """The contexts of `checkpoint_contexts`, from the outside in."""
    trying: bool = False
    """Whether this is the small step that is tried."""


_here = _Here()


class _FirstPass:
    """The context of a region's first pass."""

    def __init__(self, region: Region) -> None:
        self.region = region
        self._was_entered = False

    def __enter__(self) -> None:
        if self._was_entered:
            raise RuntimeError(
                "each checkpointed region needs contexts of its own: pass "
                "context_fn=multiloss.torch.checkpoint_contexts itself, or a function that calls it each time"
            )
        self._was_entered = True
        _here.entered = (*_here.entered, self.region)

    def __exit__(self, *_: object) -> None:
        # Not the last one: older versions of torch leave a region that raises only when its generator is collected.
        _here.entered = tuple(x for x in _here.entered if x is not self.region)
        self.region.forward_completed = True


class _Again:
    """That of its recomputations: it may be entered any number of times, in any thread."""

    def __init__(self, region: Region) -> None:
        self.region = region

    def __enter__(self) -> None:
        _here.entered = (*_here.entered, Recomputation(self.region, object()))

    def __exit__(self, *_: object) -> None:
        _here.entered = _here.entered[:-1]


def checkpoint_contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """The `context_fn` of `torch.utils.checkpoint.checkpoint` for regions that a center loss is called in.

    With it, center losses rest on nothing but torch's documentation to know what is computed again: the centers move
    once, in the first pass, and each recomputation reads the rows of that pass. Without it they look at torch's own
    frames, and are refused in a version of torch where these do not show it. `use_reentrant=True` takes no
    `context_fn`.

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
    return _FirstPass(region), _Again(region)


def is_possible(recorded: bool | None = None) -> bool:
    """Whether this call might be inside a checkpointed region: a few cheap questions before the stack is looked at.

    Args:
        recorded: whether the caller's gradients are; None: whether gradients are now.
    """
    if torch.compiler.is_compiling():
        return False
    recorded = torch.is_grad_enabled() if recorded is None else recorded
    return not recorded or bool(_here.entered) or _backward.is_bw or compat.has_saved_tensor_hooks()


def regions() -> tuple[list[Any], Recomputation | None]:
    """The regions whose first pass this is, from the inside out, and what is recomputed around them (or None)."""
    first_passes, recomputed = _marked()
    seen = compat.look_for_regions()
    if not seen.inside or not _frames.can_be_trusted():
        return first_passes, recomputed
    if seen.recomputed is not None and (recomputed is None or hasattr(seen.recomputed[0], "multiloss_reads")):
        # Of both, as torch shows marked regions, too, this is the inner one; but it may not have shown its first pass.
        recomputed = Recomputation(*seen.recomputed)
    return first_passes + seen.first_passes, recomputed


def _marked() -> tuple[list[Any], Recomputation | None]:
    """What the user marked, of the same."""
    first_passes: list[Any] = []
    for entered in reversed(_here.entered):
        if isinstance(entered, Recomputation):
            return first_passes, entered
        first_passes.append(entered)
    return first_passes, None


def check_regions() -> None:
    """RuntimeError inside a region where nothing tells what is computed again. It is asked where bad input is, so that
    what one process refuses is an error in all of its group."""
    if is_possible() and _is_inside() and compat.replays_results():
        raise RuntimeError(
            "selective activation checkpointing hands out kept results in the order of the first pass, but a center "
            "loss computes otherwise in the recomputation; call it outside of the region, or checkpoint without "
            "create_selective_checkpoint_contexts"
        )
    if _frames.trusted or not is_possible() or not (torch.is_grad_enabled() or _backward.is_bw):
        return  # what records nothing gets the right value; if it is recorded after all, the recomputation comes here
    _, recomputed = _marked()
    is_known = bool(_here.entered) and (recomputed is not None or not _backward.is_bw)
    if not is_known and _is_inside() and not _frames.can_be_trusted():
        raise RuntimeError(
            f"torch {torch.__version__} does not show which calls activation checkpointing repeats: pass "
            "context_fn=multiloss.torch.checkpoint_contexts to each torch.utils.checkpoint.checkpoint(..., "
            "use_reentrant=False) around the center loss, or call it outside"
        )


def _is_inside() -> bool:
    """Whether this is in a checkpointed region; where torch shows none, whether it may be."""
    if _here.entered or compat.look_for_regions().inside:
        return True
    records = _backward.is_bw or compat.has_saved_tensor_hooks()
    return records and not _frames.show_regions()


class _Frames:
    """What a small step, tried once a process, told of torch's frames: the same in all processes of one version."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.trusted: bool | None = None
        """Whether it came out right; None while nobody asked."""
        self._shown = False
        """Whether torch's frames were seen in the regions at all."""

    def can_be_trusted(self) -> bool:
        """Whether the small step comes out right."""
        return _here.trying or self._tried()

    def show_regions(self) -> bool:
        """Whether a call in a region can be told from one outside."""
        return _here.trying or self._tried() or self._shown

    def _tried(self) -> bool:
        if self.trusted is None:
            if torch.jit.is_tracing() or compat.transform() is not None:  # not in the midst of that: refused for now
                return False
            with self._lock:
                if self.trusted is None:
                    self._try()
        return bool(self.trusted)

    def _try(self) -> None:
        """In a thread of its own, which starts without hooks, modes, autocast, default device or level of `torch.func`,
        and whose graph is nobody's. Nothing is drawn in it."""
        thread, came_out = None, []

        def step() -> None:
            _here.trying = True
            try:
                came_out.append(all(self._comes_out_right(kinds) for kinds in _KINDS))
            except Exception:  # whatever torch lacks
                came_out.append(False)

        try:
            thread = threading.Thread(target=step)
            thread.start()
        except RuntimeError:  # no more threads
            came_out.append(False)
        else:
            thread.join()
        self.trusted = came_out[0]

    def _comes_out_right(self, kinds: tuple[bool, ...]) -> bool:
        """Two calls in nested regions, each reentrant or not: the values 2.5 and 25 / 18, and the derivative of their
        product by the features 1 and 3 of one class, each time that the graph is differentiated."""
        import multiloss

        options = {"alpha": 0.5, "centers_init": "zeros", "process_group": False}
        center = multiloss.get("center", "torch", num_classes=1, feature_dim=1, **options).to("cpu", torch.float64)
        labels = torch.tensor([0, 0], device="cpu")

        def run(x: Tensor, kinds: tuple[bool, ...]) -> Tensor:
            if not kinds:
                self._shown = compat.look_for_regions().inside
                product: Tensor = center(labels, x) * center(labels, x)
                return product
            inner: Tensor = checkpoint(run, x, kinds[1:], use_reentrant=kinds[0], preserve_rng_state=False)
            return inner

        x = torch.tensor([[1.0], [3.0]], dtype=torch.float64, device="cpu", requires_grad=True)
        value = run(x, kinds)
        right = abs(value.item() - 2.5 * 25 / 18) < 1e-9
        for times in (1, 2):
            value.backward(retain_graph=True)
            right = right and abs(x.grad[0].item() - times * 10 / 9) + abs(x.grad[1].item() - times * 5) < 1e-9
        return right and abs(center.centers.item() - 10 / 9) < 1e-9


_KINDS = ((False,), (True,), (False, False), (False, True))
"""Whether each region is reentrant, from the outside in."""

_frames = _Frames()


def refuse_recomputation() -> None:
    """RuntimeError inside a checkpointed region, for what keeps nothing for the recomputation (Keras' layer)."""
    if is_possible() and _is_inside():
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
    """What the call that is recomputed read: the calls come in the order of the first pass. None where a first pass
    is recomputed before its end (by `value_and_grad` in it): what comes of that call is not used."""
    region, number = recomputed
    kept: list[Read] = getattr(region, "multiloss_reads", {}).get(id(owner), [])
    if getattr(region, "multiloss_number", None) is not number:
        region.multiloss_number, region.multiloss_done = number, {}
    done: int = region.multiloss_done.get(id(owner), 0)
    region.multiloss_done[id(owner)] = done + 1
    if done >= len(kept) and compat.has_ended(region):
        raise RuntimeError(
            f"activation checkpointing repeats call {done + 1} of a center loss, but {len(kept)} were seen in the "
            "first pass, so that nobody knows which centers it read; pass "
            "context_fn=multiloss.torch.checkpoint_contexts, or call the center loss outside of the region"
        )
    return kept[done] if done < len(kept) else None


@torch.library.custom_op("multiloss::in_first_pass", mutates_args=())
def in_first_pass(labels: torch.Tensor) -> torch.Tensor:
    """The labels of a compiled step that moves centers; refused where the step is computed again."""
    if _backward.is_bw:
        raise RuntimeError(
            "activation checkpointing computes a compiled center loss again, with centers that have moved; call the "
            "center loss outside of the checkpointed region, or do not compile it"
        )
    return labels.clone()


@in_first_pass.register_fake
def _(labels: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(labels)

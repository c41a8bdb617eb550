"""Whether torch's frames show which calls activation checkpointing repeats is tried once a process, on small regions:
`checkpointing.frames_are_right` leaves all as it was, wherever it is asked for the first time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import torch
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.checkpoint import set_checkpoint_early_stop

import multiloss.torch
from helpers.torch_checkpoints import LABELS, MARKED, PLAIN, features, one_class, run
from multiloss_torch import checkpointing, compat


def tried() -> bool:
    """What a new process finds out."""
    return checkpointing.frames_are_right.__wrapped__()


@contextlib.contextmanager
def half_by_default() -> Iterator[None]:
    torch.set_default_dtype(torch.float16)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


SURROUNDINGS = {
    "default device": lambda: torch.device("meta"),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "save_on_cpu": torch.autograd.graph.save_on_cpu,
    "hooks are disabled": lambda: torch.autograd.graph.disable_saved_tensors_hooks("not now"),
    "forward mode": forward_ad.dual_level,
    "in a marked region": lambda: multiloss.torch.checkpoint_contexts()[0],
    "recomputed": lambda: multiloss.torch.checkpoint_contexts()[1],
    "without early stop": lambda: set_checkpoint_early_stop(False),
    "half precision by default": half_by_default,
    "anomalies": lambda: torch.autograd.set_detect_anomaly(True, check_nan=True),
}


def state() -> list[Any]:
    return [
        torch.get_rng_state().tolist(), torch.get_default_dtype(), torch.get_default_device(),
        torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu"),
        torch.get_autocast_dtype("cpu"), compat.has_saved_tensor_hooks(), compat.in_forward_mode(),
        compat.transform() is None, checkpointing._here.entered, threading.active_count(),
    ]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled:UserWarning")
@pytest.mark.parametrize("around", SURROUNDINGS)
def test_it_leaves_all_as_it_was(around: str) -> None:
    with SURROUNDINGS[around]():
        before = state()
        assert tried()
        assert state() == before


def test_in_a_region_it_saves_nothing_there() -> None:
    """Tried in the midst of a first pass, whose recomputation does not try again: torch counts what both save."""
    for kinds in ((PLAIN,), (MARKED,), (PLAIN, PLAIN)):
        found, center, x = [], one_class(), features()

        def region(x: Any, found: Any = found, center: Any = center) -> Any:
            found.extend([] if found else [tried()])
            return center(LABELS, x).exp()

        torch.manual_seed(3)
        with set_checkpoint_early_stop(False):
            run(region, x, kinds).backward()
        drawn = torch.rand(())
        torch.manual_seed(3)
        assert drawn == torch.rand(()) and found == [True]


def test_it_is_tried_while_tracing() -> None:
    """Of which the thread that they are tried in knows nothing; compiled code asks for none."""
    outcomes = []

    def noted(x: Any) -> Any:
        outcomes.append(tried())
        return x * 1

    torch.func.vmap(noted)(torch.ones(2))
    torch.func.vjp(noted, torch.ones(2))
    make_fx(noted)(torch.ones(2))
    assert outcomes == [True, True, True]
    compiled = torch.compile(lambda x: x * 2 if checkpointing.is_possible() else x * 3, backend="eager", fullgraph=True)
    with torch.no_grad():
        assert compiled(torch.ones(())).item() == 3  # there nobody looks for regions


def test_it_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a process, when a region is first seen: not by plain training."""
    times, ask = [], checkpointing.frames_are_right.__wrapped__
    monkeypatch.setattr(checkpointing, "frames_are_right", cache(lambda: times.append(1) or ask()))
    for _ in range(3):
        one_class()(LABELS, features()).backward()
    assert times == []
    for _ in range(3):
        center = one_class()
        run(lambda x, center=center: center(LABELS, x), features(), (PLAIN,)).backward()
    assert times == [1]


@pytest.mark.parametrize("what", ["checkpoint", "Thread"])
def test_small_regions_that_break(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For want of what torch has, or of one more thread."""

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(checkpointing if what == "checkpoint" else threading, what, broken)
    assert not tried()

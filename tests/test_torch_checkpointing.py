"""Which calls activation checkpointing repeats: told by the user's contexts, by torch's frames, or not at all."""

from __future__ import annotations

import contextlib
import threading
from functools import cache
from typing import Any

import pytest
import torch
from torch.autograd import forward_ad
from torch.distributed._composable import checkpoint as composable
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    create_selective_checkpoint_contexts,
    set_checkpoint_early_stop,
)

import multiloss
import multiloss.torch
from multiloss_torch import checkpointing, compat

MARKED = {"use_reentrant": False, "context_fn": multiloss.torch.checkpoint_contexts}
PLAIN: dict[str, Any] = {"use_reentrant": False}
LABELS = torch.tensor([0, 0])
REFUSED = "pass context_fn=multiloss.torch.checkpoint_contexts to each torch.utils.checkpoint.checkpoint"


def one_class(**options: Any) -> Any:
    """One class whose center starts at 0; the features are 1 and 3: the value 2.5, and the center moves to 2 / 3."""
    options = {"num_classes": 1, "feature_dim": 1, "alpha": 0.5, "centers_init": "zeros"} | options
    return multiloss.get("center", "torch", **options).double()


def features() -> Any:
    return torch.tensor([[1.0], [3.0]], dtype=torch.float64, requires_grad=True)


@pytest.fixture(params=["shown", "hidden", "nowhere"])
def frames(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Torch's frames as they are; as of a version where the small regions come out wrong; and where there are none."""
    if request.param != "shown":
        monkeypatch.setattr(checkpointing, "frames_are_right", lambda: False)
    if request.param == "nowhere":
        monkeypatch.setattr(compat, "look_for_regions", list)
    return str(request.param)


def run(function: Any, x: Any, kinds: Any) -> Any:
    """Nested regions around a function."""
    if not kinds:
        return function(x)
    return checkpoint(lambda x: run(function, x, kinds[1:]), x, **kinds[0])


@pytest.mark.usefixtures("frames")
@pytest.mark.parametrize("early_stop", [True, False])
@pytest.mark.parametrize("calls", [1, 2, 3])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_marked_regions(depth: int, calls: int, early_stop: bool) -> None:
    """Several calls, of two objects: each moves once, and each pass over a retained graph has the plain gradient."""
    results = []
    for kinds in ((), (MARKED,) * depth):
        centers, x = [one_class(), one_class(alpha=0.25)], features()

        def region(x: Any, centers: Any = centers) -> Any:
            value = torch.tanh(x).sum()
            for _ in range(calls):
                value = value * centers[0](LABELS, x) + centers[1](LABELS, 2 * x).exp()
            return value

        with set_checkpoint_early_stop(early_stop):
            value = run(region, x, kinds)
        slopes = [torch.autograd.grad(value, x, retain_graph=True)[0] for _ in range(3)]
        results.append([value.detach(), *slopes, *(c.centers.clone() for c in centers)])
    torch.testing.assert_close(results[1], results[0], rtol=1e-12, atol=0)


@pytest.mark.usefixtures("frames")
@pytest.mark.parametrize("loss", ["contrastive_center", "triplet_center", "island", "git", "ring"])
def test_marked_regions_of_the_family(loss: str) -> None:
    results = []
    for kinds in ((), (MARKED,)):
        given = {} if loss == "ring" else {"num_classes": 3, "centers_init": torch.eye(3).numpy() + 0.5}
        center = multiloss.get(loss, "torch", alpha=0.5, **given).double()
        x = torch.linspace(-1, 2, 12, dtype=torch.float64).reshape(4, 3).requires_grad_()
        value = run(lambda x, center=center: center(torch.tensor([0, 2, 1, 0]), torch.tanh(x)).exp(), x, kinds)
        slopes = [torch.autograd.grad(value, x, retain_graph=True)[0] for _ in range(2)]
        results.append([value.detach(), *slopes, center.centers.clone()])
    torch.testing.assert_close(results[1], results[0], rtol=1e-12, atol=0)


@pytest.mark.usefixtures("frames")
def test_a_marked_region_that_raises() -> None:
    """What comes after it, in this thread or another one, is as if it had not been."""
    center = one_class()

    def raises(x: Any) -> Any:
        center(LABELS, x)
        raise KeyError("the user's")

    for _ in range(2):
        with pytest.raises(KeyError, match="the user's"):
            run(raises, features(), (MARKED, MARKED))
        assert checkpointing._here.entered == ()
    center, x = one_class(), features()
    run(lambda x: center(LABELS, x), x, (MARKED,)).backward()
    torch.testing.assert_close(x.grad, torch.tensor([[0.5], [1.5]], dtype=torch.float64))
    torch.testing.assert_close(center.centers, torch.tensor([[2 / 3]], dtype=torch.float64))


@pytest.mark.usefixtures("frames")
def test_marked_regions_of_two_threads() -> None:
    """Each has its own, though their passes are at the same time."""
    together, results = threading.Barrier(2), {}

    def work(name: str) -> None:
        center, x = one_class(), features()

        def region(x: Any) -> Any:
            together.wait(20)
            value = center(LABELS, x) * center(LABELS, x)
            together.wait(20)
            return value

        run(region, x, (MARKED,)).backward()
        results[name] = [x.grad, center.centers]

    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "other")]
    with set_checkpoint_early_stop(False):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for gradient, moved in results.values():
        torch.testing.assert_close(gradient, torch.tensor([[10 / 9], [5]], dtype=torch.float64))
        torch.testing.assert_close(moved, torch.tensor([[10 / 9]], dtype=torch.float64))
    assert len(results) == 2


@pytest.mark.usefixtures("frames")
def test_contexts_are_new_ones_at_each_call() -> None:
    first, again = multiloss.torch.checkpoint_contexts(), multiloss.torch.checkpoint_contexts()
    assert len({id(context) for context in (*first, *again)}) == 4
    assert first[0] is first[1].region is not again[1].region


@pytest.mark.parametrize("marked", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_update_moves_once(frames: str, marked: bool, masked: bool) -> None:
    """`update` in a region moves in the first pass only, and a call beside it reads what it read then."""
    center, x = one_class(update="manual"), features()

    def region(x: Any) -> Any:
        value = center(LABELS, x)
        center.update(LABELS, x.detach(), mask=torch.tensor([True, not masked]))
        return value * center(LABELS, x)

    moved = 0.25 if masked else 2 / 3
    after = ((1 - moved) ** 2 + (3 - moved) ** 2) / 4
    slope = [after * k / 2 + 2.5 * (k - moved) / 2 for k in (1, 3)]
    value = run(region, x, (MARKED if marked else PLAIN,)) if marked or frames == "shown" else None
    if value is None:
        with pytest.raises(RuntimeError, match=REFUSED):
            run(region, x, (PLAIN,))
        assert center.centers.item() == 0
        return
    for times in (1, 2):
        with set_checkpoint_early_stop(False):
            value.backward(retain_graph=True)
        torch.testing.assert_close(x.grad, torch.tensor([[times * k] for k in slope], dtype=torch.float64))
        assert center.centers.item() == pytest.approx(moved)


@pytest.mark.parametrize("how", ["call", "value_and_grad"])
@pytest.mark.parametrize("kinds", [(PLAIN,), ({"use_reentrant": True},), (PLAIN, PLAIN), (PLAIN, MARKED)])
def test_what_nothing_tells_is_refused(frames: str, kinds: Any, how: str) -> None:
    """Where torch's frames cannot be trusted: before the first pass, or in a recomputation of a marked region, which
    torch leaves before it comes to the call unless it is told not to stop early."""
    center, x = one_class(), features()
    call = center if how == "call" else lambda *given: center.value_and_grad(*given)[0] + 0 * given[1].sum()
    if frames == "shown":
        run(lambda x: call(LABELS, x.tanh()), x, kinds).backward()
        assert 0 < center.centers.item() < 1
        return
    with set_checkpoint_early_stop(False), pytest.raises(RuntimeError, match=REFUSED):
        run(lambda x: call(LABELS, x.tanh()), x, kinds).backward()
    assert x.grad is None
    if MARKED not in kinds:
        assert center.centers.item() == 0


def test_what_is_no_region_is_not_refused(frames: str) -> None:
    """Validation inside of checkpointing, which records nothing, and plain training beside it."""
    for kinds in ((PLAIN,), (MARKED,), (PLAIN, MARKED)):
        center = one_class()
        with torch.no_grad():
            assert run(lambda x, center=center: center(LABELS, x), features(), kinds).item() == 2.5
        center.eval()
        with torch.no_grad():
            assert run(lambda x, center=center: center(LABELS, x), features(), kinds).item() == 2.5
        assert center.centers.item() == 0
    center = one_class()
    for value in (2.5, 25 / 18):
        assert center(LABELS, features()).item() == pytest.approx(value)
    saved = torch.autograd.graph.save_on_cpu()
    refusal = contextlib.nullcontext() if frames == "shown" else pytest.raises(RuntimeError, match=REFUSED)
    with refusal, saved:  # which nobody can tell from a region otherwise
        center(LABELS, features())


@pytest.mark.parametrize("marked", [False, True])
def test_a_first_pass_that_torch_does_not_show(marked: bool) -> None:
    """The hooks of the composable interface enter a region without a frame around it: refused, or told by contexts."""
    center, x = one_class(), features()

    class Part(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return center(LABELS, x) * center(LABELS, x)

    part = composable(Part(), **({"context_fn": multiloss.torch.checkpoint_contexts} if marked else {}))
    value = part(x)
    if not marked:
        with pytest.raises(RuntimeError, match="not seen in the first pass \\(0 were\\)"):
            value.backward()
        return
    value.backward()  # once: torch enters its own context there only once
    torch.testing.assert_close(x.grad, torch.tensor([[10 / 9], [5]], dtype=torch.float64))
    torch.testing.assert_close(center.centers, torch.tensor([[10 / 9]], dtype=torch.float64))


@pytest.mark.parametrize("told", [True, False])
def test_a_first_pass_that_is_recomputed_before_its_end(told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """`value_and_grad` asks for gradients in it; where torch does not tell, it is refused."""
    if not told:
        monkeypatch.setattr(compat, "has_ended", lambda region: True)
    for kinds in ((PLAIN,), (MARKED,)):
        center, x = one_class(), features()
        refusal = pytest.raises(RuntimeError, match="not seen in the first pass \\(1 were\\)")
        with set_checkpoint_early_stop(False), contextlib.nullcontext() if told else refusal:
            run(lambda x, c=center: c.value_and_grad(LABELS, x)[0] * c(LABELS, x), x, kinds).backward()
            torch.testing.assert_close(x.grad, 2.5 * torch.tensor([[1 / 6], [7 / 6]], dtype=torch.float64))


def tried() -> bool:
    """What a new process finds out."""
    return checkpointing.frames_are_right.__wrapped__()


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
def test_the_small_regions_leaves_all_as_it_was(around: str) -> None:
    with SURROUNDINGS[around]():
        before = state()
        assert tried()
        assert state() == before


def test_the_small_regions_under_a_half_default_dtype() -> None:
    torch.set_default_dtype(torch.float16)
    try:
        before = state()
        assert tried()
        assert state() == before
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_small_regions_in_a_region_saves_nothing_there() -> None:
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


def test_the_small_regions_are_tried_while_tracing() -> None:
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


@pytest.mark.usefixtures("frames")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of torch.compile itself
@pytest.mark.parametrize("inside", ["the checkpoint", "the compiled"])
def test_compiled_and_marked(inside: str) -> None:
    """Refused: by torch, whose compiler takes contexts of other kinds only, or in the backward pass, as without."""
    torch._dynamo.reset()
    center, x = one_class(), features()
    if inside == "the compiled":
        step = torch.compile(lambda x: checkpoint(lambda x: center(LABELS, x.sin()), x, **MARKED), backend="aot_eager")
        said = "`context_fn` arg passed to `torch.utils.checkpoint`"
    else:
        compiled = torch.compile(lambda x: center(LABELS, x.sin()), backend="aot_eager", fullgraph=True)
        step = lambda x: checkpoint(compiled, x, **MARKED)  # noqa: E731
        said = "activation checkpointing computes a compiled center loss again"
    with pytest.raises(Exception, match=said):  # of torch's compiler, or ours
        step(x).backward()
    assert checkpointing._here.entered == ()


@pytest.mark.parametrize("update", ["auto", "manual"])
@pytest.mark.parametrize("training", [True, False])
def test_selective_checkpointing_is_refused(update: str, training: bool) -> None:
    """It replays results in the order of the first pass, which the recomputation of a center loss does not keep."""
    center = one_class(update=update).train(training)

    def policy(context: Any, operation: Any, *_: Any, **__: Any) -> CheckpointPolicy:
        return CheckpointPolicy.MUST_SAVE if "index" in str(operation) else CheckpointPolicy.PREFER_RECOMPUTE

    def call(x: Any) -> Any:
        if update == "manual":
            center.update(LABELS, x)
        return center(LABELS, x).exp()

    def contexts() -> Any:
        return create_selective_checkpoint_contexts(policy)

    with pytest.raises(RuntimeError, match="selective activation checkpointing"):
        checkpoint(call, features(), use_reentrant=False, context_fn=contexts)
    assert center.centers.item() == 0.0


def test_a_pair_of_contexts_is_of_one_region() -> None:
    center, pair = one_class(), multiloss.torch.checkpoint_contexts()
    checkpoint(lambda x: center(LABELS, x), features(), use_reentrant=False, context_fn=lambda: pair).backward()
    with pytest.raises(RuntimeError, match="contexts of its own"):
        checkpoint(lambda x: center(LABELS, x), features(), use_reentrant=False, context_fn=lambda: pair)

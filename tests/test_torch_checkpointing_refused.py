"""What activation checkpointing does not show of a center loss is refused: first passes that are not seen, results that
are replayed, compiled code."""

from __future__ import annotations

import contextlib
import gc
from typing import Any

import pytest
import torch
from torch.distributed._composable import checkpoint as composable
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    create_selective_checkpoint_contexts,
    set_checkpoint_early_stop,
)

from helpers.torch_checkpoints import LABELS, MARKED, PLAIN, features, one_class, run
from multiloss_torch import checkpointing, compat


@pytest.mark.parametrize("marked", [False, True])
def test_a_first_pass_that_torch_does_not_show(marked: bool) -> None:
    """The hooks of the composable interface enter a region without a frame around it: refused, or told by contexts."""
    center, x = one_class(), features()

    class Part(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return center(LABELS, x) * center(LABELS, x)

    value = composable(Part(), **({"context_fn": MARKED["context_fn"]} if marked else {}))(x)
    if not marked:
        with pytest.raises(RuntimeError, match="not seen in the first pass \\(0 were\\)"):
            value.backward()
        return
    value.backward()  # once: torch enters its own context there only once
    assert x.grad.flatten().tolist() == pytest.approx([10 / 9, 5]) and center.centers.item() == pytest.approx(10 / 9)


@pytest.mark.parametrize("told", [True, False])
def test_a_first_pass_that_is_recomputed_before_its_end(told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """`value_and_grad` asks for gradients in it; where torch does not tell, it is refused."""
    if not told:
        monkeypatch.setattr(compat, "has_ended", lambda region: True)
    for kind in (PLAIN, MARKED):
        center, x = one_class(), features()
        refusal = pytest.raises(RuntimeError, match="not seen in the first pass \\(1 were\\)")
        with set_checkpoint_early_stop(False), contextlib.nullcontext() if told else refusal:
            run(lambda x, c=center: c.value_and_grad(LABELS, x)[0] * c(LABELS, x), x, (kind,)).backward()
            assert x.grad.flatten().tolist() == pytest.approx([2.5 / 6, 2.5 * 7 / 6])


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


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of torch.compile itself
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", [PLAIN, MARKED], ids=["plain", "marked"])
@pytest.mark.parametrize("inside", ["the checkpoint", "the compiled"])
def test_compiled_and_checkpointed(inside: str, kind: Any, training: bool) -> None:
    """What would read moved centers, or move them twice, is refused, and contexts in compiled code by torch itself;
    centers that stay are no matter."""
    gc.collect()  # older versions of torch leave a region that raised only when it is collected
    torch._dynamo.reset()
    center, x = one_class().eval(), features()
    (expected,) = torch.autograd.grad(center(LABELS, x.sin()), x)
    center.train(training)

    def loss(x: Any) -> Any:
        return center(LABELS, x.sin())

    if inside == "the compiled":
        step = torch.compile(lambda x: checkpoint(loss, x, **kind), backend="aot_eager", fullgraph=kind is PLAIN)
    else:
        compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
        step = lambda x: checkpoint(compiled, x, **kind)  # noqa: E731
    said = "activation checkpointing computes a compiled center loss again"
    if kind is MARKED and inside == "the compiled":
        said = "`context_fn` arg passed to `torch.utils.checkpoint`"
    elif not training:
        step(x).backward()
        torch.testing.assert_close(x.grad, expected)
        return
    with pytest.raises(Exception, match=said):  # of torch's compiler, or ours
        step(x).backward()
    assert checkpointing._here.entered == ()

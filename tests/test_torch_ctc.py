"""torch's own ctc kernel: values and two derivatives are the definition's, and it is left alone where it is another."""

import itertools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch._dynamo.backends.debugging import aot_eager

import multiloss
from multiloss_torch import compat, sequence

LABELS = torch.randint(1, 7, (5, 4), generator=torch.Generator().manual_seed(0))
LENGTHS = torch.tensor([0, 1, 4, 2, 3]), torch.tensor([9, 5, 9, 7, 6])
GIVEN: dict[str, tuple[Any, Any]] = {"none": (None, None), "labels": (LENGTHS[0], None), "both": LENGTHS}


def logits(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(5, 9, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).to(dtype)


def by_definition(loss: Any, y_true: Any, y_pred: Any, lengths: tuple[Any, Any]) -> torch.Tensor:
    value: torch.Tensor = loss._by_definition([y_true, y_pred, *lengths, None, None], True)
    return value


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum", "batchmean", "weighted_mean"])
def test_kernel(dtype: torch.dtype, given: str, reduction: str) -> None:
    """Value, gradient, and the gradient of that."""
    bounds = {"rtol": 1e-9, "atol": 1e-12} if dtype == torch.float64 else {"rtol": 1e-5, "atol": 1e-6}
    for normalize, zero_infinity in itertools.product((None, "length"), (False, True)):
        loss = multiloss.get(
            "ctc", backend="torch", reduction=reduction, normalize=normalize, zero_infinity=zero_infinity
        )
        leaf, other = logits(dtype).requires_grad_(), logits(dtype).requires_grad_()
        assert sequence.ctc(loss.spec, [LABELS, leaf, *GIVEN[given]]) is not None
        value, wanted = loss(LABELS, leaf, *GIVEN[given]), by_definition(loss, LABELS, other, GIVEN[given])
        torch.testing.assert_close(value, wanted, **bounds)
        (slope,) = torch.autograd.grad(value.sum(), leaf, create_graph=True)
        (expected,) = torch.autograd.grad(wanted.sum(), other, create_graph=True)
        torch.testing.assert_close(slope, expected, **bounds)
        weights = logits(dtype).sin()
        (curve,) = torch.autograd.grad((slope * weights).sum(), leaf)
        (expected,) = torch.autograd.grad((expected * weights).sum(), other)
        torch.testing.assert_close(curve, expected, **bounds)
        torch.testing.assert_close(value, loss(LABELS, logits(dtype), *GIVEN[given]))  # nothing to differentiate


def left_alone(loss: Any, y_true: Any, y_pred: Any, lengths: tuple[Any, Any] = (None, None)) -> torch.Tensor:
    leaf = y_pred.clone().requires_grad_()
    assert sequence.ctc(loss.spec, [y_true, leaf, *lengths]) is None
    value = loss(y_true, leaf, *lengths)
    (slope,) = torch.autograd.grad(value.sum(), leaf)
    assert not slope.isnan().any()
    result: torch.Tensor = value.detach()
    return result


def test_where_the_kernel_is_another_loss() -> None:
    """A blank that is read, no alignment, what stands behind a length, and no frames."""
    loss = multiloss.get("ctc", backend="torch", reduction="none")
    blank = LABELS.clone()
    blank[2, 1] = 0
    assert left_alone(loss, blank, logits())[2] == torch.inf
    assert left_alone(loss, torch.tensor([[1, 1]]), torch.zeros(1, 2, 3)) == torch.inf
    behind = logits()
    behind[1, 5:] = torch.nan
    value = left_alone(loss, LABELS, behind, LENGTHS)
    torch.testing.assert_close(value, by_definition(loss, LABELS, logits(), LENGTHS))
    assert left_alone(loss, LABELS, torch.zeros(5, 0, 7)).isinf().all()


def test_padding_with_the_blank() -> None:
    """What stands behind the labels is not read."""
    loss = multiloss.get("ctc", backend="torch", reduction="none")
    padded = torch.where(torch.arange(4) < LENGTHS[0][:, None], LABELS, 0)
    assert sequence.ctc(loss.spec, [padded, logits(), *LENGTHS]) is not None
    torch.testing.assert_close(loss(padded, logits(), *LENGTHS), loss(LABELS, logits(), *LENGTHS))


def test_many_frames_in_float32() -> None:
    """The gradient keeps float32's digits over 600 frames, of which torch's own loses two more."""
    draw = torch.Generator().manual_seed(2)
    z, labels = torch.randn(2, 600, 8, generator=draw), torch.randint(1, 8, (2, 100), generator=draw)
    lengths = torch.full((2,), 100), torch.full((2,), 600)
    loss = multiloss.get("ctc", "torch", reduction="none")

    def slope(x: torch.Tensor, ours: bool) -> torch.Tensor:
        x = x.clone().requires_grad_()
        log_p = F.log_softmax(x, -1).transpose(0, 1)
        theirs = F.ctc_loss(log_p, labels, lengths[1], lengths[0], reduction="none")
        return torch.autograd.grad((loss(labels, x, *lengths) if ours else theirs).sum(), x)[0].double()

    exact = slope(z.double(), True)
    torch.testing.assert_close(exact, slope(z.double(), False), rtol=0.0, atol=1e-10)
    off = (slope(z, True) - exact).abs().max()
    assert off < 2e-5 and off < (slope(z, False) - exact).abs().max() / 10


@pytest.mark.skipif(not compat.COMPILES_LOOPS, reason="this torch unrolls loops")
def test_compiled_it_is_one_loop_and_not_a_copy_for_each_frame() -> None:
    """The graph of fifty frames is no longer than that of five, and both are the loss and its gradient."""
    labels, label_lengths = torch.tensor([[1, 2, 2], [3, 3, 1]]), torch.tensor([3, 2])
    loss, sizes = multiloss.get("ctc", "torch", reduction="none"), []

    def counted(graph: torch.fx.GraphModule, inputs: Any) -> Any:
        sizes.append(len(graph.graph.nodes))
        return aot_eager(graph, inputs)

    for frames in (5, 50):
        z = torch.randn(2, frames, 5, dtype=torch.float64, requires_grad=True)
        given = label_lengths, torch.tensor([frames, frames - 1])
        torch._dynamo.reset()
        compiled = torch.compile(lambda x, n: loss(labels, x, label_lengths, n), fullgraph=True, backend=counted)
        values = compiled(z, given[1]), loss(labels, z, *given)
        torch.testing.assert_close(*values, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(*(torch.autograd.grad(x.sum(), z) for x in values), rtol=1e-10, atol=1e-10)
    assert sizes[0] == sizes[1]

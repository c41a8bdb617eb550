"""torch's own ctc kernel: values and two derivatives are the definition's, and it is left alone where it is another."""

import itertools
from typing import Any

import pytest
import torch

import multiloss
from multiloss_torch import sequence

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

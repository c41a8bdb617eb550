"""How many operations a training step sends to an accelerator, where each costs some microseconds whatever its size:
counted on the CPU with no value read; views do not count."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

import multiloss
from multiloss_torch import arrays, mode

torch.manual_seed(0)
BITS, LABELS = torch.randint(0, 2, (32, 10)).float(), torch.randint(0, 10, (32,))
SCORES, CHANCES = torch.randn(32, 10), torch.rand(32, 10) * 0.9 + 0.05
DISTRIBUTION = torch.softmax(torch.randn(32, 10), -1)
VIEWS = ("view", "expand", "detach", "alias", "squeeze", "aten::t", "transpose", "as_strided", "is_same_size",
         "reshape", "select", "slice")  # fmt: skip


class Count(TorchDispatchMode):
    number = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.number += not any(view in function.name() for view in VIEWS)
        return function(*args, **(kwargs or {}))


def operations(loss: Any, y_true: torch.Tensor, y_pred: torch.Tensor) -> int:
    """Of one step; the one before it makes the constants."""
    for _ in range(2):
        with Count() as count:
            loss(y_true, y_pred.clone().requires_grad_()).backward()
    return count.number - 1  # the copy


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mode, "can_read", lambda _: False)
    monkeypatch.setattr(arrays, "host", lambda _: None)


CASES = [
    ("mse", {}, BITS, SCORES, F.mse_loss),
    ("huber", {}, BITS, SCORES, F.huber_loss),
    ("scce", {"from_logits": True}, LABELS, SCORES, F.cross_entropy),
    ("scce", {"from_logits": True, "validate": False}, LABELS, SCORES, F.cross_entropy),
    ("cce", {"from_logits": True}, DISTRIBUTION, SCORES, F.cross_entropy),
    ("scce", {"validate": False}, LABELS, DISTRIBUTION, lambda p, y: F.nll_loss(p.log(), y)),
    ("nll", {"validate": False}, LABELS, DISTRIBUTION.log(), F.nll_loss),
    ("kl", {}, DISTRIBUTION, DISTRIBUTION, lambda p, t: F.kl_div(p.log(), t, reduction="batchmean")),
]


@pytest.mark.usefixtures("unread")
@pytest.mark.parametrize(("name", "options", "y_true", "y_pred", "own"), CASES, ids=[f"{c[0]}-{c[1]}" for c in CASES])
def test_operations(name: str, options: Any, y_true: torch.Tensor, y_pred: torch.Tensor, own: Any) -> None:
    """At most twice those of torch's own loss and four."""
    ours = operations(multiloss.get(name, backend="torch", **options), y_true, y_pred)
    assert 3 <= ours <= 2 * operations(lambda t, p: own(p, t), y_true, y_pred) + 4

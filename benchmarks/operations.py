"""How many operations a training step sends to an accelerator: ours, under `validate=False`, and torch's own loss.

Counted on the CPU with no value read, as on an accelerator, where each operation takes some microseconds whatever its
size. Views do not count.

    python benchmarks/operations.py
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

import multiloss
from multiloss_torch import arrays, mode

VIEWS = ("view", "expand", "detach", "alias", "squeeze", "aten::t", "transpose", "as_strided", "is_same_size",
         "reshape", "select", "slice")  # fmt: skip


class Count(TorchDispatchMode):
    """Counts what torch dispatches, but views."""

    number = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.number += not any(view in function.name() for view in VIEWS)
        return function(*args, **(kwargs or {}))


def operations(loss: Callable[[Any, Any], Any], y_true: torch.Tensor, y_pred: torch.Tensor) -> int:
    """Of one step; the step before it makes the constants."""
    for _ in range(2):
        leaf = y_pred.clone().requires_grad_()
        with Count() as count:
            loss(y_true, leaf).backward()
    return count.number


def main() -> None:
    """Print one row a loss."""
    mode.can_read = lambda x: False
    arrays.host = lambda x: None  # type: ignore[assignment]
    torch.manual_seed(0)
    bits, labels = torch.randint(0, 2, (32, 10)).float(), torch.randint(0, 10, (32,))
    scores, chances = torch.randn(32, 10), torch.rand(32, 10) * 0.9 + 0.05
    p, signs = torch.softmax(torch.randn(32, 10), -1), 2 * bits - 1
    logits = {"from_logits": True}
    rows: list[tuple[str, dict[str, Any], torch.Tensor, torch.Tensor, Callable[..., Any]]] = [
        ("mse", {}, bits, scores, F.mse_loss),
        ("huber", {}, bits, scores, F.huber_loss),
        ("scce", logits, labels, scores, F.cross_entropy),
        ("cce", logits, p, scores, F.cross_entropy),
        ("scce", {}, labels, p, lambda x, y: F.nll_loss(x.log(), y)),
        ("nll", {}, labels, p.log(), F.nll_loss),
        ("bce", {}, bits, chances, F.binary_cross_entropy),
        ("bce", logits, bits, scores, F.binary_cross_entropy_with_logits),
        ("kl", {}, p, p, lambda x, t: F.kl_div(x.log(), t, reduction="batchmean")),
        ("poisson", {}, bits, chances, lambda x, t: F.poisson_nll_loss(x, t, log_input=False)),
        ("soft_margin", {}, signs, scores, F.soft_margin_loss),
        ("hinge_embedding", {}, signs, scores, F.hinge_embedding_loss),
        ("multi_margin", {}, labels, scores, F.multi_margin_loss),
        ("multilabel_soft_margin", {}, bits, scores, F.multilabel_soft_margin_loss),
    ]
    print("| loss | ours | `validate=False` | torch's own |\n| --- | ---: | ---: | ---: |")
    for name, options, y_true, y_pred, own in rows:
        ours, unchecked = (
            operations(multiloss.get(name, backend="torch", **options, **more), y_true, y_pred)
            for more in ({}, {"validate": False})
        )
        words = f"{name} {'from logits' if options else ''}".strip()
        print(f"| {words} | {ours} | {unchecked} | {operations(lambda t, x, own=own: own(x, t), y_true, y_pred)} |")


if __name__ == "__main__":
    main()

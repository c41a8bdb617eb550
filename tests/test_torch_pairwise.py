"""Losses that compare all samples of a batch hold arrays of B x B numbers (times a constant), never of B x B x B."""

import math
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import multiloss

PAIRWISE = (
    ("triplet", {"mining": "hard"}),
    ("triplet", {"mining": "semihard"}),
    ("triplet", {"mining": "all"}),
    ("circle", {}),
    ("multi_similarity", {}),
    ("supervised_contrastive", {}),
    ("ntxent", {}),
    ("info_nce", {}),
    ("ranknet", {}),
)


class Largest(TorchDispatchMode):
    """How many elements the largest tensor has that an operation gave."""

    numel = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, and look at what it gives."""
        out = function(*args, **(kwargs or {}))
        for x in out if isinstance(out, tuple | list) else (out,):
            if isinstance(x, torch.Tensor) and 0 not in x.stride():  # what is expanded takes no memory
                self.numel = max(self.numel, x.numel())
        return out


def largest(name: str, options: dict[str, Any], batch: int) -> int:
    """Of value and gradient of a batch with 8 features each."""
    generator = torch.Generator().manual_seed(0)
    loss = multiloss.get(name, backend="torch", **options)
    if name == "ranknet":
        inputs = [torch.randn((1, batch), generator=generator) for _ in range(2)]
    elif name == "info_nce":
        inputs = [torch.randn((batch, 8), generator=generator) for _ in range(2)]
    else:
        inputs = [torch.arange(batch) // 4, torch.randn((batch, 8), generator=generator)]
    inputs[1].requires_grad_()
    with Largest() as mode:
        loss(*inputs).backward()
    return mode.numel


@pytest.mark.parametrize(("name", "options"), PAIRWISE)
def test_memory_grows_as_the_square(name: str, options: dict[str, Any]) -> None:
    """Twice the batch takes four times the memory, where B x B x B took eight times."""
    small, large = (largest(name, options, batch) for batch in (64, 128))
    assert small >= 64 * 64, "no comparison of all pairs was seen"
    assert math.log2(large / small) <= 2.01


@pytest.mark.parametrize("squared", [False, True])
def test_triplet_under_nested_transforms(squared: bool) -> None:
    labels, x = torch.tensor([0, 0, 1, 1, 1]), torch.randn(5, 4, generator=torch.Generator().manual_seed(0)).double()
    each, loss = (multiloss.get("triplet", "torch", squared=squared, reduction=how) for how in ("none", "mean"))

    def f(z: torch.Tensor) -> torch.Tensor:
        return loss(labels, z)

    gradient, hessian = torch.func.jacrev(f)(x), torch.autograd.functional.hessian(f, x)
    two = torch.stack([x, x])
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(f))(two), torch.stack([gradient, gradient]))
    torch.testing.assert_close(torch.func.hessian(f)(x), hessian)
    torch.testing.assert_close(torch.func.vmap(torch.func.hessian(f))(two), torch.stack([hessian, hessian]))
    along = torch.func.jvp(torch.func.grad(f), (x,), (x,))[1]
    torch.testing.assert_close(along, torch.einsum("ijkl,kl->ij", hessian, x))
    leaf = x.clone().requires_grad_()
    rows = torch.autograd.grad(each(labels, leaf), leaf, torch.eye(5, dtype=x.dtype), is_grads_batched=True)[0]
    torch.testing.assert_close(rows, torch.func.jacrev(lambda z: each(labels, z))(x))

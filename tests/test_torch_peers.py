"""PyTorch's own losses of the same meaning, in float64."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

import multiloss

RNG = np.random.default_rng(0)


def reals(*shape: int) -> torch.Tensor:
    """Normal numbers, to differentiate by."""
    return torch.tensor(RNG.normal(size=shape), requires_grad=True)


def same(ours: torch.Tensor, theirs: torch.Tensor, *by: torch.Tensor) -> None:
    """Values and gradients."""
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    got, wanted = (torch.autograd.grad(x.sum(), by) for x in (ours, theirs))
    torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-10)


def loss(name: str, **options: Any) -> Any:
    """Unreduced."""
    return multiloss.get(name, "torch", reduction="none", validate=False, **options)


def test_gaussian_nll() -> None:
    """`eps` is our epsilon; the third argument is the variance in both. 0 and 0.001 are below the floor."""
    t, p = reals(4, 3), reals(4, 3)
    v = torch.tensor(RNG.uniform(0.1, 2.0, (4, 3)))
    v[0, 0], v[1, 1] = 0.0, 0.001
    v.requires_grad_()
    for full, floor in ((False, 1e-6), (True, 0.01)):
        ours = loss("gaussian_nll", full=full, epsilon=floor)(t, p, v)
        theirs = F.gaussian_nll_loss(p, t, v, full=full, eps=floor, reduction="none")
        same(ours, theirs, t, p, v)


def test_margin_ranking() -> None:
    """Other places of the arguments."""
    a, b, t = reals(6), reals(6), torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    for margin in (0.0, 0.5):
        same(
            loss("margin_ranking", margin=margin)(t, a, b),
            F.margin_ranking_loss(a, b, t, margin=margin, reduction="none"),
            a,
            b,
        )

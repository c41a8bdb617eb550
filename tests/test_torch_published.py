"""Losses that no library exports, against their authors' code in torch: values and gradients in float64.

Those that torch, Keras or Optax have are compared with these libraries in `test_port_*.py`.
"""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

import multiloss

VIEWS = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def off_diagonal(x: torch.Tensor) -> torch.Tensor:
    return x.flatten()[:-1].view(2, 4)[:, 1:]


def barlow_twins(x1: torch.Tensor, x2: torch.Tensor) -> torch.Tensor:
    norm = torch.nn.BatchNorm1d(3, affine=False, dtype=torch.float64)
    c = norm(x1).T @ norm(x2) / len(x1)
    return (torch.diagonal(c) - 1).pow(2).sum() + 0.0051 * off_diagonal(c).pow(2).sum()


def vicreg(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    repr_loss = F.mse_loss(x, y)
    x, y = x - x.mean(dim=0), y - y.mean(dim=0)
    std_x, std_y = torch.sqrt(x.var(dim=0) + 0.0001), torch.sqrt(y.var(dim=0) + 0.0001)
    std_loss = torch.mean(F.relu(1 - std_x)) / 2 + torch.mean(F.relu(1 - std_y)) / 2
    cov_x, cov_y = (x.T @ x) / (len(x) - 1), (y.T @ y) / (len(y) - 1)
    cov_loss = sum(off_diagonal(c).pow(2).sum().div(3) for c in (cov_x, cov_y))
    return 25.0 * repr_loss + 25.0 * std_loss + 1.0 * cov_loss


@pytest.mark.parametrize("published", [barlow_twins, vicreg], ids=["barlow_twins", "vicreg"])
def test_the_authors_code(published: Any) -> None:
    value, gradients = multiloss.get(published.__name__, "torch").value_and_grad(*VIEWS, wrt=("x1", "x2"))
    leaves = [x.clone().requires_grad_() for x in VIEWS]
    wanted = published(*leaves)
    torch.testing.assert_close(value, wanted.detach(), rtol=1e-10, atol=0.0)
    torch.testing.assert_close(gradients, torch.autograd.grad(wanted, leaves), rtol=1e-10, atol=1e-12)

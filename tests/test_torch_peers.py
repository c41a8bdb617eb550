"""torch's own losses, where it has the same: values and gradients in float64."""

import torch
import torch.nn.functional as F

import multiloss

T = torch.randint(0, 3, (4, 6), generator=torch.Generator().manual_seed(0)).double()
Z = torch.randn(4, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def same(loss, peer, t, p):
    """Of `peer(p)`, which gives the mean."""
    value, gradient = loss.value_and_grad(t, p)
    x = p.clone().requires_grad_()
    wanted = peer(x)
    (slope,) = torch.autograd.grad(wanted, x)
    torch.testing.assert_close(value, wanted.detach(), rtol=1e-10, atol=0.0)
    torch.testing.assert_close(gradient, slope, rtol=1e-10, atol=1e-12)


def test_listwise_losses():
    chances = torch.softmax(T, -1)
    same(multiloss.get("listnet", backend="torch"), lambda z: F.cross_entropy(z, chances), T, Z)
    same(multiloss.get("ranking_softmax", backend="torch"), lambda z: F.cross_entropy(z, T), T, Z)


def test_ranknet():
    """`soft_margin_loss` of the differences of all pairs that one should win."""

    def peer(z):
        gaps = z[:, :, None] - z[:, None, :]
        wins = T[:, :, None] > T[:, None, :]
        return F.soft_margin_loss(gaps[wins], torch.ones_like(gaps[wins]), reduction="sum") / len(z)

    same(multiloss.get("ranknet", backend="torch", pairs="sum"), peer, T, Z)

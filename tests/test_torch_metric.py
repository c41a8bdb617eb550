"""torch's own losses of embeddings: values and gradients in float64."""

import pytest
import torch
import torch.nn.functional as F

import multiloss

A, P, N = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def same(loss, peer, *inputs, wrt):
    value, gradients = loss.value_and_grad(*inputs, wrt=wrt)
    leaves = [x.clone().requires_grad_() for x in inputs[-len(wrt) :]]
    wanted = peer(*inputs[: -len(wrt)], *leaves)
    torch.testing.assert_close(value, wanted.detach(), rtol=1e-10, atol=0.0)
    for one, other in zip(gradients, torch.autograd.grad(wanted, leaves), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize(("power", "epsilon"), [(2.0, 1e-6), (1.0, 1e-6), (3.0, 0.1)])
def test_triplet_margin(power, epsilon, swap):
    loss = multiloss.get("triplet_margin", backend="torch", power=power, epsilon=epsilon, swap=swap, margin=0.7)

    def peer(a, p, n):
        return F.triplet_margin_loss(a, p, n, margin=0.7, p=power, eps=epsilon, swap=swap)

    same(loss, peer, A, P, N, wrt=("anchor", "positive", "negative"))


@pytest.mark.parametrize("margin", [0.0, 0.3, -0.4])
def test_cosine_embedding(margin):
    t = torch.tensor([1.0, -1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    loss = multiloss.get("cosine_embedding", backend="torch", margin=margin)
    same(loss, lambda t, a, b: F.cosine_embedding_loss(a, b, t, margin=margin), t, A, P, wrt=("x1", "x2"))

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


@pytest.mark.parametrize("squared", [False, True])
def test_triplet_under_nested_transforms(squared):
    labels, x = torch.tensor([0, 0, 1, 1, 1]), A.clone()
    each = multiloss.get("triplet", backend="torch", squared=squared, reduction="none")
    loss = multiloss.get("triplet", backend="torch", squared=squared)

    def f(z):
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

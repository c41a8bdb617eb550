"""torch's own losses, where it has the same, and published code in torch: values and gradients in float64."""

import math

import pytest
import torch
import torch.nn.functional as F

import multiloss

GENERATOR = torch.Generator().manual_seed(0)
LABELS = torch.tensor([2, 0, 3, 0, 1, 1])
FEATURES, OTHERS, WEIGHT = (torch.randn(n, 3, generator=GENERATOR, dtype=torch.float64) for n in (6, 6, 4))
BIAS = torch.randn(4, generator=GENERATOR, dtype=torch.float64)


def agree(name, peer, *inputs, wrt, **options):
    """With `peer(*inputs)`, a mean, by all inputs of real numbers."""
    value, gradients = multiloss.get(name, backend="torch", **options).value_and_grad(*inputs, wrt=wrt)
    own = [x.clone().requires_grad_(x.is_floating_point()) for x in inputs]
    wanted = peer(*own)
    slopes = torch.autograd.grad(wanted, [x for x in own if x.requires_grad])
    torch.testing.assert_close(value, wanted.detach(), rtol=1e-10, atol=0.0)
    torch.testing.assert_close(list(gradients), list(slopes), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("ignore_index", [-100, 1])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_linear_cross_entropy(label_smoothing, ignore_index):
    """torch's, and its two functions that it is made of."""
    how = {"label_smoothing": label_smoothing, "ignore_index": ignore_index}
    inputs = {"wrt": ("features", "weight", "bias"), **how}

    def made_of(t, x, w, b):
        return F.cross_entropy(F.linear(x, w, b), t, **how)

    agree("linear_cross_entropy", made_of, LABELS, FEATURES, WEIGHT, BIAS, **inputs)
    if hasattr(F, "linear_cross_entropy"):

        def peer(t, x, w, b):
            return F.linear_cross_entropy(x, w, t, linear_bias=b, **how)

        agree("linear_cross_entropy", peer, LABELS, FEATURES, WEIGHT, BIAS, **inputs)


def test_arcface():
    """By the arc cosine, as pytorch-metric-learning does it, away from its poles."""

    def peer(t, x, w):
        cosine = F.normalize(x) @ F.normalize(w).T
        own = cosine.gather(1, t[:, None])
        angle = torch.acos(own)
        further = torch.where(angle + 0.5 <= torch.pi, torch.cos(angle + 0.5), own - 0.5 * math.sin(0.5))
        return F.cross_entropy(64 * cosine.scatter(1, t[:, None], further), t)

    agree("arcface", peer, LABELS, FEATURES, WEIGHT, wrt=("features", "weight"))


def test_barlow_twins():
    """The authors' code: batch normalisation without parameters."""

    def peer(x1, x2):
        norm = torch.nn.BatchNorm1d(3, affine=False, dtype=torch.float64)
        c = norm(x1).T @ norm(x2) / len(x1)
        on = (torch.diagonal(c) - 1).pow(2).sum()
        off = c.flatten()[:-1].view(2, 4)[:, 1:].pow(2).sum()
        return on + 0.0051 * off

    agree("barlow_twins", peer, FEATURES, OTHERS, wrt=("x1", "x2"))


def test_vicreg():
    """The authors' code."""

    def peer(x, y):
        repr_loss = F.mse_loss(x, y)
        x, y = x - x.mean(dim=0), y - y.mean(dim=0)
        std_x, std_y = torch.sqrt(x.var(dim=0) + 0.0001), torch.sqrt(y.var(dim=0) + 0.0001)
        std_loss = torch.mean(F.relu(1 - std_x)) / 2 + torch.mean(F.relu(1 - std_y)) / 2
        cov_x, cov_y = (x.T @ x) / (len(x) - 1), (y.T @ y) / (len(y) - 1)
        off = [c.flatten()[:-1].view(2, 4)[:, 1:].pow(2).sum().div(3) for c in (cov_x, cov_y)]
        return 25.0 * repr_loss + 25.0 * std_loss + 1.0 * (off[0] + off[1])

    agree("vicreg", peer, FEATURES, OTHERS, wrt=("x1", "x2"))

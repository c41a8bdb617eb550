"""torch's own losses, and those of the libraries beside it: the same numbers and gradients, in float64."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import multiloss

RNG = np.random.default_rng(11)
T, P = (torch.tensor(x) for x in (RNG.normal(size=(5, 4)), 2 * RNG.normal(size=(5, 4))))
COUNTS = torch.tensor(RNG.poisson(3.0, (5, 4)).astype(np.float64))
RATES = torch.tensor(RNG.uniform(0.2, 6.0, (5, 4)))
A, B = (torch.softmax(x, -1) for x in (T, P))
LOG_A, LOG_B = A.log(), B.log()

Peer = Callable[..., torch.Tensor]
PEERS: list[tuple[str, dict[str, Any], torch.Tensor, torch.Tensor, Peer]] = [
    ("smooth_l1", {}, T, P, F.smooth_l1_loss),
    ("smooth_l1", {"beta": 0.3}, T, P, lambda p, t: F.smooth_l1_loss(p, t, beta=0.3)),
    ("smooth_l1", {"beta": 0.0}, T, P, lambda p, t: F.smooth_l1_loss(p, t, beta=0.0)),
    ("poisson", {}, COUNTS, RATES, lambda p, t: F.poisson_nll_loss(p, t, log_input=False, eps=1e-7)),
    ("poisson_nll", {}, COUNTS, P, F.poisson_nll_loss),
    ("poisson_nll", {"log_input": False}, COUNTS, RATES, lambda p, t: F.poisson_nll_loss(p, t, log_input=False)),
    ("poisson_nll", {"full": True, "stirling": True}, COUNTS, P, lambda p, t: F.poisson_nll_loss(p, t, full=True)),
    ("poisson_nll", {"full": True}, COUNTS, P, lambda p, t: -torch.distributions.Poisson(p.exp()).log_prob(t).mean()),
    ("cosine_similarity", {}, T, P, lambda p, t: -F.cosine_similarity(p, t, dim=-1).mean()),
    ("cosine_distance", {}, T, P, lambda p, t: F.cosine_embedding_loss(p, t, torch.ones(5, dtype=torch.float64))),
    ("kl_divergence", {"log_input": True}, A, LOG_B, lambda x, t: F.kl_div(x, t, reduction="batchmean")),
    (
        "kl_divergence",
        {"log_input": True, "log_target": True},
        LOG_A,
        LOG_B,
        lambda x, t: F.kl_div(x, t, reduction="batchmean", log_target=True),
    ),
]
IDS = [f"{name}-{i}" for i, (name, *_) in enumerate(PEERS)]


@pytest.mark.parametrize(("name", "options", "t", "p", "peer"), PEERS, ids=IDS)
def test_torch_has_the_same(name: str, options: dict[str, Any], t: torch.Tensor, p: torch.Tensor, peer: Peer) -> None:
    found = []
    for function in (lambda x: multiloss.get(name, backend="torch", **options)(t, x), lambda x: peer(x, t)):
        x = p.clone().requires_grad_()
        value = function(x)
        found.append((value.detach(), *torch.autograd.grad(value, x)))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)

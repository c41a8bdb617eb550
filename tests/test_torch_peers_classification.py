"""Losses that torch has, too, against torch's own, in double precision."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import multiloss

RNG = np.random.default_rng(3)
Z = torch.tensor(2 * RNG.normal(size=(5, 4)))
LABELS = torch.tensor(RNG.integers(0, 4, size=5))
BITS = torch.tensor(RNG.integers(0, 2, size=(5, 4)).astype(np.float64))
SETS = torch.tensor([[3, 0, -1, 1], [1, -1, -1, -1], [0, 1, 2, 3], [-1, 2, 3, 0], [2, 2, 0, -1]])
WEIGHTS = [0.5, 1.0, 2.0, 3.0]
W = torch.tensor(WEIGHTS, dtype=torch.float64)

PEERS: dict[str, tuple[str, dict[str, Any], Any, Any]] = {
    "nll": ("nll", {}, LABELS, lambda z: F.nll_loss(z, LABELS)),
    "nll, weights": ("nll", {"class_weight": WEIGHTS, "reduction": "weighted_mean"}, LABELS,
                     lambda z: F.nll_loss(z, LABELS, weight=W)),
    "nll, ignored": ("nll", {"ignore_index": 1}, LABELS, lambda z: F.nll_loss(z, LABELS, ignore_index=1)),
    "soft_margin": ("soft_margin", {}, 2 * BITS - 1, lambda z: F.soft_margin_loss(z, 2 * BITS - 1)),
    "hinge_embedding": ("hinge_embedding", {"margin": 1.5}, 2 * BITS - 1,
                        lambda z: F.hinge_embedding_loss(z, 2 * BITS - 1, margin=1.5)),
    "multi_margin": ("multi_margin", {"margin": 0.5}, LABELS, lambda z: F.multi_margin_loss(z, LABELS, margin=0.5)),
    "multi_margin, squares, weights": ("multi_margin", {"power": 2, "class_weight": WEIGHTS}, LABELS,
                                       lambda z: F.multi_margin_loss(z, LABELS, p=2, weight=W)),
    "multilabel_margin": ("multilabel_margin", {}, SETS, lambda z: F.multilabel_margin_loss(z, SETS)),
    "multilabel_soft_margin": ("multilabel_soft_margin", {}, BITS, lambda z: F.multilabel_soft_margin_loss(z, BITS)),
    "pos_weight": ("binary_crossentropy", {"pos_weight": 2.5, "from_logits": True}, BITS,
                   lambda z: F.binary_cross_entropy_with_logits(z, BITS, pos_weight=torch.tensor(2.5))),
}  # fmt: skip


@pytest.mark.parametrize("what", PEERS)
def test_classification(what: str) -> None:
    """Value and gradient."""
    name, options, y_true, peer = PEERS[what]
    z = (torch.log_softmax(Z, -1) if name == "nll" else Z).clone().requires_grad_()
    (wanted,) = torch.autograd.grad(peer(z), z)
    value = multiloss.get(name, backend="torch", **options)(y_true, z)
    (found,) = torch.autograd.grad(value, z)
    torch.testing.assert_close(value, peer(z), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)

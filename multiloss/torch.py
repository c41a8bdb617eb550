"""The public names of what is torch's own; importing this imports torch."""

from __future__ import annotations

from multiloss_torch.center import TorchCenter as CenterLoss
from multiloss_torch.center import keep_out_of_broadcast
from multiloss_torch.checkpointing import checkpoint_contexts
from multiloss_torch.learned_weight import (
    ArcFace,
    CosFace,
    LinearCrossEntropy,
    ProxyAnchor,
    ProxyNCA,
    SphereFace,
    WithWeight,
)

__all__ = [
    "ArcFace",
    "CenterLoss",
    "CosFace",
    "LinearCrossEntropy",
    "ProxyAnchor",
    "ProxyNCA",
    "SphereFace",
    "WithWeight",
    "checkpoint_contexts",
    "keep_out_of_broadcast",
]

"""The public names of what is torch's own; importing this imports torch."""

from __future__ import annotations

from multiloss_torch.center import TorchCenter as CenterLoss
from multiloss_torch.distributed import keep_out_of_broadcast

__all__ = ["CenterLoss", "keep_out_of_broadcast"]

"""Whether the processes of a group hold the same centers: all of them, or a part at each step."""

from __future__ import annotations

import math
import zlib

import numpy as np
import torch
from torch import Tensor

from multiloss_torch import reading

_PART = 4096
"""So many numbers of the table are compared at each step, the next ones at the next step: this costs the same for a
table of any size, and finds what was changed in one process after at most size / _PART steps."""
_SUMS = 32
"""As so many sums, whose rounding hides less than that of one would."""
_ROUNDING = 1e-5
"""Sums that differ by less, measured by the largest sum of magnitudes, are the same: the last digits of a step may
differ between GPUs or processors."""
_WEIGHTS = reading.Kept(
    lambda length, dtype, device: (torch.from_numpy(1 + np.arange(length) * ((5**0.5 - 1) / 2) % 1).to(device, dtype),)
)
"""Numbers from 1 to 2, all different, and neighbours far from each other."""


def checksum(centers: np.ndarray) -> int:
    """Of a table."""
    return zlib.crc32(np.ascontiguousarray(centers).data)


def part(table: Tensor, step: int) -> list[float]:
    """Sums over some rows, other ones at each step, in which every number has a weight of its own; at the end the
    largest such sum of magnitudes."""
    rows = max(1, _PART // table.shape[1])
    first = step % -(-len(table) // rows) * rows
    x = table.detach()[first : first + rows].reshape(-1)
    weighted = x * _WEIGHTS[x.numel(), x.dtype, x.device][0]
    weighted = torch.nn.functional.pad(weighted, (0, -x.numel() % _SUMS)).view(_SUMS, -1)
    found: list[float] = torch.cat([weighted.sum(1), weighted.abs().sum(1).max()[None]]).tolist()
    return found


def alike(parts: list[list[float]]) -> bool:
    """Whether what `part` gives is the same in all processes, but for rounding; nan and infinity have to be."""
    scale = max(each[-1] for each in parts)
    least = _ROUNDING * scale if math.isfinite(scale) else 0.0
    return np.allclose(parts, parts[0], rtol=0, atol=least, equal_nan=True)

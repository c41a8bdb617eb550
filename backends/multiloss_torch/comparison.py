"""Whether the processes of a group hold the same centers: all of them, or a part at each step."""

from __future__ import annotations

import math
import zlib
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

_PART = 4096
"""So many numbers of the table are compared at each step, the next ones at the next step: this costs the same for a
table of any size, and finds what was changed in one process after at most size / _PART steps."""
_ROUNDING = 1e-5
"""Sums that differ by less are the same: between GPUs or processors the last digits of a step may differ."""


def checksum(centers: np.ndarray) -> int:
    """Of a table."""
    return zlib.crc32(np.ascontiguousarray(centers).data)


def part(table: Tensor, step: int) -> tuple[float, float]:
    """A sum of some rows, other ones at each step, in which every number has a weight of its own; and the same sum of
    magnitudes."""
    if not table.numel():
        return 0.0, 0.0
    rows = max(1, _PART // table.shape[1])
    first = step % -(-table.shape[0] // rows) * rows
    x = table.detach()[first : first + rows].reshape(-1)
    weighted = x * torch.from_numpy(_weights(x.numel())).to(x.device, x.dtype)
    total, scale = torch.stack([weighted.sum(), weighted.abs().sum()]).tolist()
    return total, scale


@lru_cache(maxsize=16)
def _weights(length: int) -> np.ndarray:
    """Numbers from 1 to 2, all different, and neighbours far from each other."""
    return 1 + np.arange(length) * ((5**0.5 - 1) / 2) % 1


def alike(sums: list[float], scale: float) -> bool:
    """Whether sums are the same but for rounding, or all of them nan or the same infinity."""
    first = sums[0]
    return all(
        x == first or (math.isnan(x) and math.isnan(first)) or abs(x - first) <= _ROUNDING * scale < math.inf
        for x in sums
    )

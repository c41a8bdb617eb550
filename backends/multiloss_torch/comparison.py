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
SUMS = 32
"""As so many sums, whose rounding hides less than that of one would."""
_ROUNDING = 1e-5
"""Sums that differ by less, measured by the largest sum of magnitudes, are the same: the last digits of a step may
differ between GPUs or processors."""


def checksum(centers: np.ndarray) -> int:
    """Of a table."""
    return zlib.crc32(np.ascontiguousarray(centers).data)


def part(table: Tensor, step: int) -> list[float]:
    """Sums over some rows, other ones at each step, in which every number has a weight of its own; at the end the
    largest such sum of magnitudes."""
    if not table.numel():
        return [0.0] * (SUMS + 1)
    rows = max(1, _PART // table.shape[1])
    first = step % -(-table.shape[0] // rows) * rows
    x = table.detach()[first : first + rows].reshape(-1)
    weighted = x * torch.from_numpy(_weights(x.numel())).to(x.device, x.dtype)
    parts = torch.nn.functional.pad(weighted, (0, -x.numel() % SUMS)).view(SUMS, -1)
    found: list[float] = torch.cat([parts.sum(1), parts.abs().sum(1).max()[None]]).tolist()
    return found


@lru_cache(maxsize=16)
def _weights(length: int) -> np.ndarray:
    """Numbers from 1 to 2, all different, and neighbours far from each other."""
    return 1 + np.arange(length) * ((5**0.5 - 1) / 2) % 1


def alike(parts: list[list[float]]) -> bool:
    """Whether what `part` gives is the same in all processes, but for rounding; nan and infinity have to be."""
    *first, scale = parts[0]
    least = _ROUNDING * max(scale, *(each[-1] for each in parts))
    return all(
        x == y or (math.isnan(x) and math.isnan(y)) or abs(x - y) <= least < math.inf
        for each in parts
        for x, y in zip(first, each[:-1], strict=True)
    )

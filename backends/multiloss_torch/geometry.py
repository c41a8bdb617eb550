"""Lengths of rows and distances of pairs of rows, where torch has something quicker than `norms` and `pairs`."""

from __future__ import annotations

from typing import Any

import torch

from multiloss.engine import norms, pairs
from multiloss_torch import mode

Array = Any


def row_norm(xp: Any, x: Array) -> Array:
    """The Euclidean length over the last axis, whose derivative at 0 is 0."""
    length = torch.linalg.vector_norm(x, dim=-1)
    return length if _is_moderate(length) else norms.row_norm(xp, x)


def unit_rows(xp: Any, x: Array, length: Array | None = None) -> Array:
    """x divided by its length over the last axis; a row of 0 stays one, with derivative 0."""
    length = torch.linalg.vector_norm(x, dim=-1) if length is None else length
    return x / length.unsqueeze(-1) if _is_moderate(length) else norms.unit_rows(xp, x)


def _is_moderate(length: Array) -> bool:
    """Whether all lengths can be read, and so can the squares that make them up be in every dtype."""
    if not mode.can_read(length) or not length.numel():
        return False
    least, most = length.detach().aminmax()
    return least.item() >= 1e-15 and most.item() <= 1e15


def pair_squares(xp: Any, x: Array) -> Array:
    """(N, N): the squared Euclidean distance of each two rows of x, (N, D)."""
    if not _has_cdist(x):
        return pairs.pair_squares(xp, x)
    return torch.cdist(x, x, compute_mode=_FROM_DIFFERENCES).square_()


def pair_gaps(xp: Any, x: Array, factor: Array) -> Array:
    """(N, D): for each row x_i the sum over j of factor_ij (x_i - x_j)."""
    if not _has_cdist(x):
        return pairs.pair_gaps(xp, x, factor)
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        found = torch.cdist(leaf, x.detach(), compute_mode=_FROM_DIFFERENCES)
    # Its derivative by x_i is (x_i - x_j) / d_ij, and 0 where that is 0.
    return torch.autograd.grad(found, leaf, factor * found.detach())[0]


_FROM_DIFFERENCES = "donot_use_mm_for_euclid_dist"


def _has_cdist(x: Array) -> bool:
    """Whether torch's own distances do: eager, and nothing of it is to be differentiated once more."""
    recorded = x.requires_grad and torch.is_grad_enabled()
    return not recorded and mode.is_eager(x) and x.shape[0] > 0


BETTER = {f.__name__: f for f in (row_norm, unit_rows, pair_squares, pair_gaps)}
"""What takes the place of the defaults of `numerics`."""

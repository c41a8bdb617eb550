"""The training step of center loss in as few operations as possible: for batches without mask and weights, of the
table's dtype, in one process.

It gives what `multiloss.center.step` gives, and None where that has to answer, because of the values of a batch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from multiloss.center import CenterOptions
from multiloss.definitions import center as formula
from multiloss_torch import arrays as be
from multiloss_torch import kernels, mode

Done = tuple[Tensor, Tensor, Tensor]
"""The value, classes, and their new rows."""


def applies(chosen: CenterOptions, table: Tensor, labels: Tensor, features: Tensor) -> bool:
    """Whether `step` below gives this loss for batches of this kind."""
    has_kernel = chosen.definition.kernel in kernels.REDUCED
    plain = has_kernel and not chosen.sharded and chosen.reduction in kernels.COUNTED and not chosen.rule.by_batch
    here = mode.is_plain(labels) and mode.is_plain(features) and _fits(table, features) and len(table) > 0
    return plain and here and labels.dtype == torch.int64 and labels.ndim == 1 and labels.numel() > 0


def _fits(table: Tensor, features: Tensor) -> bool:
    """Whether the table has the dtype, device and width of the features. The table may be another one at each call."""
    return table.dtype == features.dtype and table.device == features.device and table.shape[1:] == features.shape[1:]


def step(chosen: CenterOptions, table: Tensor, labels: Tensor, features: Tensor) -> Done | None:
    if not _fits(table, features):
        return None
    return (_reading if mode.can_read(labels) else _blind)(chosen, table, labels, features)


def _reading(chosen: CenterOptions, table: Tensor, labels: Tensor, features: Tensor) -> Done | None:
    """On the CPU: None where a label is out of range or the value is not finite."""
    least, most = labels.aminmax()
    if least.item() < 0 or most.item() >= table.shape[0]:
        return None
    classes, places, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    before = table.index_select(0, classes)
    rows = before.index_select(0, places)
    value = kernels.REDUCED[str(chosen.definition.kernel)](chosen.spec.kwargs, chosen.reduction, rows, features)
    if value is None or not math.isfinite(value.item()):
        return None
    difference = rows - features.detach()
    total = torch.zeros_like(before).index_add_(0, places, difference)
    n = counts.to(before.dtype)
    # The sum of squares is finite, so all differences are.
    return value, classes, formula.moved(be.xp, before, total, n, None, chosen.alpha, chosen.rule, finite=True)


def _blind(chosen: CenterOptions, table: Tensor, labels: Tensor, features: Tensor) -> Done | None:
    """On an accelerator, without reading a value: a label out of range makes the value nan, and no row moves."""
    known = labels.clamp(0, table.shape[0] - 1)
    fits = known == labels
    before = table.index_select(0, known)
    x = torch.where(fits.unsqueeze(-1), features, before)  # a sample without a class has distance 0 and no gradient
    all_fit = fits.all()
    poison = torch.where(all_fit, 0.0, math.nan).to(before.dtype)
    scale = kernels.distance_scale(chosen.spec.kwargs, chosen.reduction, x.shape)
    value = torch.add(poison, kernels.squares(x, before), alpha=scale)
    in_order = known.sort().values
    first = torch.searchsorted(in_order, known)  # where each class starts in the batch: its number here
    n = torch.searchsorted(in_order, known, right=True) - first + poison  # rows whose n is nan do not move
    total = torch.zeros_like(before).index_add_(0, first, before - x.detach()).index_select(0, first)
    unless = None if chosen.rule.by_class else ~all_fit  # then nothing is divided by n, whose nan would stop the rows
    return value, known, formula.moved(be.xp, before, total, n, None, chosen.alpha, chosen.rule, unless=unless)

"""The training step of center loss for plain batches on the CPU, in as few operations as torch has for it.

The rule is `multiloss.center.step`'s; what is left out is what such batches need not: masks, weights, labels that
cannot be read, other dtypes, other processes. Where that does not hold for the values of a batch, that one answers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

import multiloss_torch as be
from multiloss.center import CenterOptions
from multiloss.definitions import center as formula
from multiloss_torch import kernels, ops


def applies(chosen: CenterOptions, table: Tensor, labels: Tensor, features: Tensor) -> bool:
    """Whether `step` is this loss, of batches of this kind."""
    plain = chosen.loss == "center" and not chosen.sharded and chosen.reduction != "none" and not chosen.rule.by_batch
    here = ops.can_read(labels) and ops.can_read(features) and _fits(table, features)
    return plain and here and labels.dtype == torch.int64 and labels.ndim == 1 and labels.numel() > 0


def _fits(table: Tensor, features: Tensor) -> bool:
    """Whether the table is of the features' kind; it may be another one at each call."""
    return table.dtype == features.dtype and table.device == features.device and table.shape[1:] == features.shape[1:]


def step(
    chosen: CenterOptions, table: Tensor, labels: Tensor, features: Tensor
) -> tuple[Tensor, Tensor, Tensor] | None:
    """(value, classes, their new rows); None where a label is out of range or the value is not finite."""
    if not _fits(table, features):
        return None
    least, most = labels.aminmax()
    if least.item() < 0 or most.item() >= table.shape[0]:
        return None
    classes, places, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    before = table.index_select(0, classes)
    rows = before.index_select(0, places)
    options = chosen.spec.kwargs
    value = kernels.REDUCED["center"](options, chosen.reduction, rows, features)
    if value is None or not math.isfinite(value.item()):
        return None
    difference = rows - features.detach()
    total = torch.zeros_like(before).index_add_(0, places, difference)
    n = counts.to(before.dtype)
    # The squares add up to a number, so the differences do.
    new = formula.moved(be.xp, before, total, n, None, chosen.alpha, chosen.rule, finite=True)
    return value, classes, new

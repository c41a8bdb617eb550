"""PyTorch: losses are `nn.Module`s, eager or under `torch.compile` and `torch.func`."""

from __future__ import annotations

from typing import Any

from multiloss_torch.arrays import (
    Choice,
    asarray,
    cast_like,
    centers_array,
    checksum,
    closed_form,
    compute,
    dtype_kind,
    group,
    host,
    is_compiling,
    is_native,
    labels,
    labels_fit,
    name,
    own_value,
    refuse_recomputation,
    shape,
    signature,
    write_rows,
    xp,
)
from multiloss_torch.objects import TorchCenter, TorchLoss
from multiloss_torch.sharded import ShardedCenter

__all__ = [
    "Choice",
    "asarray",
    "cast_like",
    "center",
    "centers_array",
    "checksum",
    "closed_form",
    "compute",
    "dtype_kind",
    "group",
    "host",
    "is_compiling",
    "is_native",
    "labels",
    "labels_fit",
    "loss",
    "name",
    "own_value",
    "refuse_recomputation",
    "shape",
    "signature",
    "write_rows",
    "xp",
]

loss = TorchLoss


def center(options: Any) -> TorchCenter:
    """The center loss of these options."""
    if not options.sharded:
        return TorchCenter(options)
    return ShardedCenter(options)

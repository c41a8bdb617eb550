"""PyTorch: losses are `nn.Module`s, eager or under `torch.compile` and `torch.func`."""

from __future__ import annotations

from typing import Any

from multiloss_torch.arrays import (
    asarray,
    cast_like,
    centers_array,
    closed_form,
    compute,
    dtype_kind,
    host,
    is_compiling,
    is_native,
    labels,
    labels_fit,
    name,
    own_value,
    shape,
    signature,
    write_rows,
    xp,
)
from multiloss_torch.checkpointing import refuse_recomputation
from multiloss_torch.distributed import Choice, group
from multiloss_torch.objects import TorchCenter, TorchLoss
from multiloss_torch.sharded import ShardedCenter

loss = TorchLoss


def center(options: Any) -> TorchCenter:
    """The center loss of these options."""
    return ShardedCenter(options) if options.sharded else TorchCenter(options)

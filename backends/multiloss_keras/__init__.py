"""Keras 3: no arithmetic of its own. Keras tensors are tensors of the framework it runs on, whose adapter computes."""

from __future__ import annotations

from multiloss_keras.arrays import (
    asarray,
    cast_like,
    centers_array,
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
    refuse_recomputation,
    shape,
    signature,
    write_rows,
    xp,
)
from multiloss_keras.objects import CenterLoss, KerasLoss
from multiloss_keras.with_center import WithCenterLoss

loss = KerasLoss
center = CenterLoss.of

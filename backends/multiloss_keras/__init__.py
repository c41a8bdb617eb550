"""Keras 3. Its tensors are those of the framework that it runs on, whose adapter does all arithmetic."""

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

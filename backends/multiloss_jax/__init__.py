"""JAX: losses are hashable callables, each behind one cached compiled function, under every transformation."""

from __future__ import annotations

from multiloss_jax.arrays import (
    asarray,
    cast_like,
    centers_array,
    closed_form,
    compute,
    dtype_kind,
    host,
    is_native,
    labels,
    labels_fit,
    name,
    shape,
    signature,
    xp,
)
from multiloss_jax.objects import JaxCenter, JaxLoss

loss = JaxLoss
center = JaxCenter

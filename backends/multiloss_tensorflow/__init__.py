"""TensorFlow: losses are callables, eager (behind one cached XLA function) or in a `tf.function`."""

from __future__ import annotations

from multiloss_tensorflow.arrays import (
    apart,
    asarray,
    cast_like,
    centers_array,
    closed_form,
    compute,
    dtype_kind,
    fitted,
    group,
    host,
    is_compiling,
    is_native,
    labels,
    name,
    own_values,
    refuse_recomputation,
    shape,
    signature,
    write_rows,
    xp,
)
from multiloss_tensorflow.objects import TensorflowCenter, TensorflowLoss

loss = TensorflowLoss
center = TensorflowCenter

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
    host,
    is_compiling,
    is_native,
    labels,
    name,
    own_values,
    shape,
    signature,
    xp,
)
from multiloss_tensorflow.compat import refuse_recomputation
from multiloss_tensorflow.distributed import group, write_rows
from multiloss_tensorflow.objects import TensorflowCenter, TensorflowLoss

loss = TensorflowLoss
center = TensorflowCenter

"""A trailing axis of 1, aligned as Keras does; never broadcast to N x N."""

from __future__ import annotations

from typing import Any

import keras


def align(y_true: Any, y_pred: Any, spec: Any) -> Any:
    """Targets (N,) for predictions (N, 1) and the reverse; labels (N, 1) for predictions (N, C)."""
    have, want = len(y_true.shape), len(y_pred.shape) - (1 if spec.definition.has_labels else 0)
    if have == want + 1 and y_true.shape[-1] == 1:
        return keras.ops.squeeze(y_true, -1)
    if not spec.definition.has_labels and have == want - 1 and y_pred.shape[-1] == 1:
        return keras.ops.expand_dims(y_true, -1)
    return y_true


def unalign(gradient: Any, rank: int) -> Any:
    """The gradient of what `align` aligned, in the rank that it had before."""
    if len(gradient.shape) > rank:
        return keras.ops.squeeze(gradient, -1)
    return keras.ops.expand_dims(gradient, -1) if len(gradient.shape) < rank else gradient


def squeeze_trailing(x: Any, rank: int) -> Any:
    """Weights or a mask (N, 1) for per-sample values (N,)."""
    if len(x.shape) == rank + 1 and x.shape[-1] == 1:
        return keras.ops.squeeze(x, -1)
    return x

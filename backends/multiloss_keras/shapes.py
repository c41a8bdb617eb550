"""A trailing axis of 1, aligned as Keras does; never broadcast to N x N."""

from __future__ import annotations

from typing import Any

import keras

from multiloss.engine.definition import Definition


def align(y_true: Any, y_pred: Any, spec: Any) -> tuple[Any, Any]:
    """Both with the same rank, if their ranks differ by a trailing 1. As in Keras, the one of higher rank is squeezed,
    and only a 1-D one is expanded. Labels (N, 1) become (N,)."""
    more = len(y_true.shape) - len(y_pred.shape)
    if spec.definition.has_labels:
        return squeeze_trailing(y_true, len(y_pred.shape) - 1), y_pred
    if more == 1 and y_true.shape[-1] == 1:
        if len(y_pred.shape) == 1:
            return y_true, keras.ops.expand_dims(y_pred, -1)
        return keras.ops.squeeze(y_true, -1), y_pred
    if more == -1 and y_pred.shape[-1] == 1:
        if len(y_true.shape) == 1:
            return keras.ops.expand_dims(y_true, -1), y_pred
        return y_true, keras.ops.squeeze(y_pred, -1)
    return y_true, y_pred


def align_inputs(definition: Definition, inputs: list[Any]) -> tuple[list[Any], int]:
    """The inputs of a loss of other inputs, without a surplus trailing 1; and how many axes the samples have."""
    wanted = [definition.shapes[name] for name in definition.inputs]
    ranks = [
        len(x.shape) - len(shape.letters)
        for x, shape in zip(inputs, wanted, strict=True)
        if x is not None and shape.leading
    ]
    rank = max(0, min(ranks)) if ranks else 1
    return [
        squeeze_trailing(x, rank if shape.leading else len(shape.letters))
        if x is not None and (shape.integer or not shape.letters)
        else x
        for x, shape in zip(inputs, wanted, strict=True)
    ], rank


def unalign(gradient: Any, rank: int) -> Any:
    """A gradient by an aligned input, in the rank that this had before."""
    if len(gradient.shape) > rank:
        return keras.ops.squeeze(gradient, -1)
    return keras.ops.expand_dims(gradient, -1) if len(gradient.shape) < rank else gradient


def squeeze_trailing(x: Any, rank: int) -> Any:
    """Labels, weights or a mask without a trailing 1, for samples of this rank."""
    if len(x.shape) == rank + 1 and x.shape[-1] == 1:
        return keras.ops.squeeze(x, -1)
    return x

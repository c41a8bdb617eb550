"""The masks that Keras layers (Masking, Embedding) attached to the inputs of a loss: which samples they leave out."""

from __future__ import annotations

from typing import Any

import keras

from multiloss.engine.definition import Definition
from multiloss.engine.loss import Spec
from multiloss.engine.shapes import InputShape
from multiloss_keras import arrays as be
from multiloss_keras import compat
from multiloss_keras.shapes import squeeze_trailing


def of_prediction(y_pred: Any, aligned: Any, axis: Any) -> Any:
    """The mask that layers attached to `y_pred`, or None.

    Args:
        y_pred: the tensor as it came.
        aligned: the same, with the rank that the loss sees.
        axis: the axes that the loss consumes.

    Raises:
        ValueError: the mask is over an axis that the loss consumes, so it does not keep or leave out whole samples.
    """
    mask = compat.mask_of(y_pred)
    if mask is None:
        return None
    rank = len(be.shape(aligned))
    together = range(rank) if axis is None else [a % rank for a in (axis if isinstance(axis, tuple) else (axis,))]
    for a in together:
        if a < len(mask.shape) and mask.shape[a] != 1:
            raise _over_an_axis("y_pred", mask, f"takes axis {a} of y_pred, {tuple(be.shape(aligned))}, as one sample")
    return keras.ops.cast(mask, "bool")


class Steps:
    """The order that moves the kept steps of sequences to the front, and their number. So masked steps are left out
    wherever they are, as recurrent layers of Keras do."""

    def __init__(self, mask: Any) -> None:
        place = keras.ops.cumsum(keras.ops.ones_like(mask, dtype="int32"), axis=1)
        self._order = keras.ops.argsort(keras.ops.where(mask, place - _FAR, place), axis=1)
        self.lengths = keras.ops.sum(keras.ops.cast(mask, "int32"), axis=1)

    def moved(self, x: Any) -> Any:
        """(N, T, ...) with the kept steps of each sample first."""
        return _taken(x, self._order)

    def back(self, gradient: Any) -> Any:
        """A gradient by the moved steps, for the steps in their first order."""
        return _taken(gradient, keras.ops.argsort(self._order, axis=1))


_FAR = 2**30
"""More than the steps of any sequence."""


def _taken(x: Any, order: Any) -> Any:
    for _ in range(len(x.shape) - 2):
        order = keras.ops.expand_dims(order, -1)
    return keras.ops.take_along_axis(x, order, axis=1)


def of_inputs(spec: Spec, rank: int, given: list[Any], ready: list[Any], mask: Any) -> tuple[Any, dict[int, Steps]]:
    """The mask of the samples, for a loss of other inputs: layers may have attached it to any of these.

    Args:
        spec: the loss.
        rank: how many axes its samples have.
        given: its inputs as they came, in order; None for those that are left out.
        ready: the same, aligned. If a mask is over the steps of a sequence, the kept steps and their number replace the
            sequence and its length.
        mask: the mask of the call, which wins over those of samples.

    Returns:
        The mask of the samples, and the moved steps by the position of their input.

    Raises:
        ValueError: a mask is over an axis neither of samples nor of steps that the loss can leave out.
    """
    definition = spec.definition
    steps: dict[int, Steps] = {}
    attached = None
    arranged = definition.arrange(be.xp, ready, spec.kwargs)
    for i, (name, x) in enumerate(zip(definition.inputs, given, strict=True)):
        shape = definition.shapes[name]
        own = compat.mask_of(x) if x is not None and shape.samples else None
        if own is None:
            continue
        own = keras.ops.cast(own, "bool")
        if arranged[i] is not ready[i]:
            raise _over_an_axis(name, own, "has its samples on other axes")
        lengths = _lengths_of(definition, shape) if len(own.shape) == rank + 1 else None
        if lengths is not None:
            steps[i] = _keep(ready, i, lengths, own)
            own = keras.ops.any(own, axis=1)  # a sample without kept steps is masked
        own = squeeze_trailing(own, rank)
        if len(own.shape) > rank:
            raise _over_an_axis(name, own, f"has samples of shape {tuple(be.shape(ready[i])[:rank])}")
        attached = own if attached is None else keras.ops.logical_and(attached, own)
    return (attached if mask is None else mask), steps


def _lengths_of(definition: Definition, shape: InputShape) -> int | None:
    """The position of the optional input with the lengths of such sequences, (N, T, ...)."""
    for i, name in enumerate(definition.inputs):
        lengths = definition.shapes[name]
        if name in definition.optional and lengths.inclusive and shape.letters[:2] == ("N", lengths.below):
            return i
    return None


def _keep(ready: list[Any], i: int, lengths: int, mask: Any) -> Steps:
    """Replace input `i` and its lengths by the steps that the mask and the given lengths keep."""
    given = ready[lengths]
    if given is None:
        steps = Steps(mask)
        ready[lengths] = steps.lengths
    else:
        place = keras.ops.cumsum(keras.ops.ones_like(mask, dtype="int32"), axis=1)
        most = keras.ops.cast(keras.ops.expand_dims(given, 1), "int32")
        steps = Steps(keras.ops.logical_and(mask, place <= most))
        fits = (given >= 0) & (given <= keras.ops.shape(mask)[1])
        # Impossible lengths stay, and are refused later.
        ready[lengths] = keras.ops.where(fits, keras.ops.cast(steps.lengths, given.dtype), given)
    ready[i] = steps.moved(ready[i])
    return steps


def _over_an_axis(name: str, mask: Any, why: str) -> ValueError:
    return ValueError(
        f"{name} has a mask of shape {tuple(mask.shape)} from a Keras layer, but the loss {why}; pass mask=, or inputs "
        "whose samples are what is masked"
    )

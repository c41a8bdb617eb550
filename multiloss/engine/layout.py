"""How the samples of a call lie in its arrays. That is all in which losses differ to the evaluation (`pipeline`).

A loss of (y_true, y_pred) takes some axes of `y_pred` together (`ByAxis`); a loss of other inputs says in letters what
the axes of each are (`ByLetters`, see `shapes`). Both answer the same questions, for an input by its name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from multiloss.engine import shapes
from multiloss.engine.definition import Definition

Array = Any
Shape = tuple[Any, ...]


def axes_of(axis: Any, rank: int) -> tuple[int, ...]:
    """The option `axis` as numbers of axes, in order."""
    if axis is None:
        return tuple(range(rank))
    return tuple(sorted(item % rank for item in (axis if isinstance(axis, tuple) else (axis,))))


def sample_shape(shape: Sequence[Any], axis: Any) -> Shape:
    """The shape of the per-sample values: `shape` without `axis`."""
    gone = axes_of(axis, len(shape))
    return tuple(n for i, n in enumerate(shape) if i not in gone)


def expand(x: Array, axes: tuple[int, ...], rank: int) -> Array:
    """An array per sample with the axes that were taken together back, of length 1."""
    if not axes:
        return x
    index: list[Any] = [slice(None)] * (rank - len(axes))
    for item in axes:
        index.insert(item, None)
    return x[tuple(index)]


def trailing(x: Array, have: int, want: int) -> Array:
    """Axes of length 1 added at the end: weights are broadcast from the left, batch first."""
    return x[(...,) + (None,) * (want - have)] if want > have else x


@dataclasses.dataclass(frozen=True)
class ByAxis:
    """A loss of (y_true, y_pred): the samples have the shape of `y_pred` without `axis`."""

    definition: Definition
    axis: Any
    shape: Shape
    """Of `y_pred`."""

    @property
    def axes(self) -> tuple[int, ...]:
        """What a sample takes together."""
        return axes_of(self.axis, len(self.shape))

    @property
    def samples(self) -> Shape:
        """The shape of the per-sample values."""
        return sample_shape(self.shape, self.axis)

    def is_label(self, name: str) -> bool:
        """Whether an input holds integers."""
        return self.definition.has_labels and name == "y_true"

    def has_samples(self, name: str) -> bool:
        """Whether an input has an entry, or several, for each sample."""
        return True

    def inner(self, name: str, rank: int) -> tuple[int, ...]:
        """The axes of an input that are within a sample."""
        return () if self.is_label(name) else axes_of(self.axis, rank)

    def over(self, x: Array, name: str, rank: int) -> Array:
        """An array per sample, to be broadcast over an input."""
        return x if self.is_label(name) else expand(x, self.axes, rank)

    def most(self, be: Any, name: str, inputs: Mapping[str, Array]) -> Any:
        """What the labels of an input must be below; None: any may be."""
        return be.xp.class_count(inputs["y_pred"], self.axis) if self.is_label(name) else None

    has_range = is_label

    def known_most(self, name: str) -> tuple[int | None, str]:
        """The number, if it is known while tracing; and in words what lengths are measured by, where it holds these."""
        return self.shape[self.axis], ""

    def names(self, name: str, rank: int) -> Sequence[Any]:
        """What each axis of an input is called; the same name is the same length."""
        if not self.is_label(name):
            return range(rank)
        return sample_shape(range(rank + 1), self.axis)


@dataclasses.dataclass(frozen=True)
class ByLetters:
    """A loss of other inputs: the axes of samples are `...`, or else the first letter."""

    definition: Definition
    lengths: Mapping[str, Any]
    """What each letter stands for in this call, and `...`."""

    @property
    def samples(self) -> Shape:
        """The shape of the samples."""
        known = self.lengths
        return known["..."] if "..." in known else (known[next(iter(known))],)

    def is_label(self, name: str) -> bool:
        """Whether an input holds integers."""
        return self.definition.shapes[name].integer

    def has_samples(self, name: str) -> bool:
        """Whether an input has an entry, or several, for each sample."""
        return self.definition.shapes[name].samples

    def inner(self, name: str, rank: int) -> tuple[int, ...]:
        """The axes of an input that are within a sample."""
        return tuple(range(len(self.samples), rank))

    def over(self, x: Array, name: str, rank: int) -> Array:
        """An array per sample, to be broadcast over an input."""
        return trailing(x, len(self.samples), rank)

    def most(self, be: Any, name: str, inputs: Mapping[str, Array]) -> Any:
        """What the labels of an input must be below; None: any may be."""
        shape = self.definition.shapes[name]
        if shape.below is None:
            return None
        owner = next(one for one in inputs if shape.below in self.definition.shapes[one].letters)
        letters = self.definition.shapes[owner].letters
        length = be.xp.class_count(inputs[owner], letters.index(shape.below) - len(letters))
        return length + int(shape.inclusive)

    def has_range(self, name: str) -> bool:
        """Whether an input holds labels (or lengths) that must be below some number."""
        return self.definition.shapes[name].below is not None

    def known_most(self, name: str) -> tuple[int | None, str]:
        """The number, if it is known while tracing; and in words what lengths are measured by, where it holds these."""
        shapes = self.definition.shapes
        shape, letter = shapes[name], str(shapes[name].below)
        length = self.lengths[letter]
        owner = next(one for one in shapes if letter in shapes[one].letters)
        return None if length is None else length + int(
            shape.inclusive
        ), f"{letter} of {owner}" if shape.inclusive else ""

    def names(self, name: str, rank: int) -> Sequence[Any]:
        """What each axis of an input is called; the same name is the same length."""
        letters = self.definition.shapes[name].letters
        return [*range(rank - len(letters)), *letters]


Layout = ByAxis | ByLetters


def layout(be: Any, spec: Any, inputs: Mapping[str, Array]) -> Layout:
    """Of arrays by name, those that are there; ValueError that names one that does not fit the shapes."""
    definition = spec.definition
    if definition.kind != "of_inputs":
        return ByAxis(definition, spec.axis, tuple(be.shape(inputs["y_pred"])))
    return ByLetters(definition, shapes.lengths(definition.shapes, {n: be.shape(x) for n, x in inputs.items()}))

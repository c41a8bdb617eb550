"""Which axes of the inputs are those of the samples. It is the only difference between losses for the `pipeline`.

A loss of (y_true, y_pred) consumes `axis` of `y_pred` (`ByAxis`); a loss of other inputs says in letters what the axes
of each are (`ByLetters`, see `shapes`). Both answer the same questions, for an input by its name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from multiloss.engine import shapes
from multiloss.engine.definition import PER_CLASS, Definition

Array = Any
Shape = tuple[Any, ...]


def axes_of(axis: Any, rank: int) -> tuple[int, ...]:
    """The option `axis` as a sorted tuple of axes from 0."""
    if axis is None:
        return tuple(range(rank))
    return tuple(sorted(item % rank for item in (axis if isinstance(axis, tuple) else (axis,))))


def sample_shape(shape: Sequence[Any], axis: Any) -> Shape:
    """The shape of the per-sample values: `shape` without `axis`."""
    gone = axes_of(axis, len(shape))
    return tuple(n for i, n in enumerate(shape) if i not in gone)


def expand(x: Array, axes: tuple[int, ...], rank: int) -> Array:
    """An array per sample with the consumed axes back, of length 1."""
    if not axes:
        return x
    index: list[Any] = [slice(None)] * (rank - len(axes))
    for item in axes:
        index.insert(item, None)
    return x[tuple(index)]


def trailing(x: Array, have: int, want: int) -> Array:
    """x with axes of length 1 added at the end: weights are broadcast from the left, batch first."""
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
        """The axes within a sample, which the loss consumes."""
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
        """The number that the labels of an input must be below; None: there is none."""
        return be.xp.class_count(inputs["y_pred"], self.axis) if self.is_label(name) else None

    has_range = is_label

    def known_most(self, name: str) -> tuple[int | None, str]:
        """The same as a number, None if it is not known; and for lengths, the name of what they are the length of."""
        return self.shape[self.axis], ""

    def stated(self, options: Mapping[str, Any]) -> dict[Any, int]:
        """The length of the classes' axis, by its name, if an option has a number for each class."""
        axis = self.axis if isinstance(self.axis, int) else self.axes[0] if len(self.axes) == 1 else -1
        found = [len(x) for name in PER_CLASS if isinstance(x := options.get(name), tuple)]
        return {axis % len(self.shape): found[0]} if found and self.shape else {}

    def names(self, name: str, rank: int) -> Sequence[Any]:
        """A name for each axis of an input; axes of the same name have the same length."""
        if not self.is_label(name):
            return range(rank)
        return sample_shape(range(rank + 1), self.axis)


@dataclasses.dataclass(frozen=True)
class ByLetters:
    """A loss of other inputs: the axes of samples are `...`, or else the first letter."""

    definition: Definition
    lengths: Mapping[str, Any]
    """The length of each letter in this call, and the shape of `...`."""

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
        """The number that the labels of an input must be below; None: there is none."""
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
        """The same as a number, None if it is not known; and for lengths, the name of what they are the length of."""
        shapes = self.definition.shapes
        shape, letter = shapes[name], str(shapes[name].below)
        length = self.lengths[letter]
        owner = next(one for one in shapes if letter in shapes[one].letters)
        most = None if length is None else length + shape.inclusive
        return most, f"{letter} of {owner}" if shape.inclusive else ""

    def stated(self, options: Mapping[str, Any]) -> dict[Any, int]:
        """No option has a number for each class."""
        return {}

    def names(self, name: str, rank: int) -> Sequence[Any]:
        """A name for each axis of an input; axes of the same name have the same length."""
        letters = self.definition.shapes[name].letters
        return [*range(rank - len(letters)), *letters]


Layout = ByAxis | ByLetters


def layout(be: Any, spec: Any, inputs: Mapping[str, Array]) -> Layout:
    """The layout of the given inputs, by name; ValueError names one that does not fit the shapes."""
    definition = spec.definition
    if definition.kind != "of_inputs":
        shape = tuple(be.shape(inputs["y_pred"]))
        return ByAxis(definition, spec.axis_in(len(shape)), shape)
    return ByLetters(definition, shapes.lengths(definition.shapes, {n: be.shape(x) for n, x in inputs.items()}))

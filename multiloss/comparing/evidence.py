"""What hypotheses are tested on: two losses with their data, and the same losses on other data."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from multiloss.comparing.report import RTOL, Outcome
from multiloss.comparing.run import Arrays, Side

Change = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray] | None]
"""Makes other targets and predictions of these; None if it does not apply to them."""
Hypothesis = Callable[["Evidence"], Iterable[str]]
"""A test, and the sentence (or several) that the user reads if it holds."""

TOLERANCE = {"float64": 1e-6, "float32": 1e-4, "float16": 1e-2, "bfloat16": 1e-2}
"""Two numbers that should be equal may differ by this: sums in another order and quotients cost digits of `RTOL`."""
MEASURED = 1e-5
"""Gradients may differ by this, as some are measured by differences; so may a denominator, in float32 too."""
ROUGH = 1e-3
"""What follows from differences or extreme arguments may differ by this. The same part of a difference may remain after
it counts as explained."""
LIMIT = 2e-2
"""What holds only for infinite arguments may differ by this for the large ones that are tried."""
SMALL = 1e-4
"""A difference below this comes from an epsilon or from rounding, not from another convention."""
MOST_SAMPLES = 48
"""How many samples are run alone. This takes most of the time of a comparison, and more would tell little more."""
POWER = {"b": 1, "a": -1}
"""A factor of one side is a factor of b / a with this power. Also the names of both sides."""


def close(a: Any, b: Any, tolerance: float) -> bool:
    """Whether two numbers are equal to a relative tolerance; nan and infinity are equal to nothing."""
    return bool(np.isfinite(a - b) and abs(a - b) <= tolerance * max(abs(a), abs(b)))


def measured(function: Any) -> Any:
    """Compute a function of an evidence (and names) once, however many hypotheses ask for it."""

    @functools.wraps(function)
    def once(e: Evidence, *names: Any) -> Any:
        key = (function, *names)
        if key not in e.memo:
            e.memo[key] = function(e, *names)
        return e.memo[key]

    return once


@dataclasses.dataclass(eq=False)
class Evidence:
    """Two sides, "a" and "b", and the data that they run on. An experiment is an evidence with other data."""

    sides: Mapping[str, Side]
    arrays: Arrays
    weight: np.ndarray | None
    dtype: str = "float64"  #: The narrower one of both.
    outcomes: Mapping[str, Outcome] = dataclasses.field(default_factory=dict)  #: On all of the user's data.
    differ: set[str] = dataclasses.field(default_factory=set)  #: Of "values", "shape" and "gradients".
    changes: Mapping[str, Change] = dataclasses.field(default_factory=dict)
    """What is done to the targets and predictions before a side gets them."""
    memo: dict[Any, Any] = dataclasses.field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.target, self.prediction = list(self.arrays)[:2]
        self.y_true, self.y_pred = self.arrays[self.target], self.arrays[self.prediction]
        self.rtol, self.tolerance = RTOL[self.dtype], TOLERANCE[self.dtype]
        shape = self.y_pred.shape
        self.count = shape[0] if shape else 1  #: N, the number of samples.
        self.elements = self.y_pred.size // max(self.count, 1)  #: How many elements a sample has.
        self.aligned = self.y_true.shape == shape
        self.is_labels = self.y_true.dtype.kind in "iu" and self.y_true.ndim == len(shape) - 1
        on_axis_1 = self.is_labels and self.y_true.shape == (shape[0], *shape[2:]) != shape[:-1]
        #: C, the length of the class axis: that which the labels lack, else the last.
        self.classes = shape[1 if on_axis_1 else -1] if len(shape) > 1 else 1

    def on(self, y_true: Any = None, y_pred: Any = None) -> Evidence:
        """The same sides on other targets or predictions; a number stands for an array of it."""
        given = {self.target: y_true, self.prediction: y_pred}
        new = {name: np.broadcast_to(x, self.arrays[name].shape) if np.isscalar(x) else x
               for name, x in given.items() if x is not None}  # fmt: skip
        return dataclasses.replace(self, arrays={**self.arrays, **new})

    @measured
    def of_class(self, k: int) -> Evidence:
        """The same sides on targets that are all of this class."""
        one_hot = np.eye(self.classes)[np.full(self.y_true.shape[:-1], k)]
        return self.on(k if self.is_labels else one_hot)

    def changed(self, name: str, change: Change) -> Evidence:
        """The same, but this side gets changed arrays."""
        return dataclasses.replace(self, changes={name: change})

    def pick(self, samples: Sequence[int] | np.ndarray) -> Evidence:
        """Only these samples; arrays that are not by sample stay."""
        by_sample = (self.count,)
        arrays = {name: x[samples] if x.shape[:1] == by_sample else x for name, x in self.arrays.items()}
        weight = self.weight[samples] if self.weight is not None and self.weight.ndim else self.weight
        return dataclasses.replace(self, arrays=arrays, weight=weight)

    def twice(self) -> Evidence:
        """All samples repeated."""
        return self.pick(np.tile(np.arange(self.count), 2))

    def twice_as_wide(self) -> Evidence:
        """All elements of each sample repeated."""
        ndim = self.y_pred.ndim
        arrays = {name: np.concatenate([x, x], -1) if x.ndim == ndim > 1 else x for name, x in self.arrays.items()}
        return dataclasses.replace(self, arrays=arrays)

    @measured
    def value(self, name: str) -> float:
        """The mean of the values of a side; nan if it fails."""
        arrays = self.arrays
        if name in self.changes:
            changed = self.changes[name](self.y_true, self.y_pred)
            if changed is None:
                return float("nan")
            arrays = {**arrays, **dict(zip((self.target, self.prediction), changed, strict=True))}
        fits = self.weight is not None and self.weight.shape[:1] in ((), arrays[self.prediction].shape[:1])
        return self.sides[name].mean(arrays, self.weight if fits else None)

    @property
    def gap(self) -> float:
        """The distance of both values."""
        return abs(self.value("a") - self.value("b"))

    @property
    def size(self) -> float:
        """The larger one of both values."""
        return max(abs(self.value("a")), abs(self.value("b")))

    @measured
    def samples(self) -> list[Evidence]:
        """Each sample alone; if there are only one or two, also with smaller predictions."""
        alone = [self.pick([i]) for i in range(min(self.count, MOST_SAMPLES))] if self.y_pred.ndim else [self]
        few = alone if self.count < 3 else []
        return alone + [one.on(y_pred=scale * one.y_pred) for one in few for scale in (0.9, 0.8, 0.6)]

    @measured
    def rows(self, name: str) -> np.ndarray:
        """The value of a side for each sample alone."""
        return np.asarray([one.value(name) for one in self.samples()])

    @measured
    def both_rows(self) -> np.ndarray:
        """The rows of a and of b, for the samples where both are finite."""
        rows = np.stack([self.rows("a"), self.rows("b")])
        return rows[:, np.isfinite(rows).all(axis=0)]

    @measured
    def gradients(self) -> tuple[np.ndarray, np.ndarray]:
        """Both gradients, of the means if only one side is reduced; nothing if they cannot be compared."""
        a, b = (outcome.of_means("shape" in self.differ)[1] for outcome in self.outcomes.values())
        none = np.zeros(0)
        return (none, none) if a is None or b is None or a.shape != b.shape else (a, b)


def first(*hypotheses: Hypothesis) -> Hypothesis:
    """What the first hypothesis says that holds."""
    return lambda e: next((said for one in hypotheses if (said := [*one(e)])), [])


def every(*hypotheses: Hypothesis) -> Hypothesis:
    """What all hypotheses say that hold."""
    return lambda e: [sentence for one in hypotheses for sentence in one(e)]


def either(test: Callable[[Evidence, str, str], Iterable[str]]) -> Hypothesis:
    """A hypothesis about x and y, which are "a" and "b" or the other way round."""
    return lambda e: [*test(e, "a", "b")] or [*test(e, "b", "a")]

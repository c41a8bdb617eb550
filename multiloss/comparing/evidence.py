"""What hypotheses are tested on: both sides of a comparison, their data, and the same sides on other data."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from multiloss.comparing.report import RTOL, Outcome
from multiloss.comparing.run import Arrays, Side

Change = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray] | None]
"""Targets and predictions to what a side gets in their place; None where the change does not apply to them."""
Found = Mapping[str, Any] | bool
"""Whether a hypothesis holds; if so, perhaps with what its sentence tells."""
Test = Callable[["Evidence", str, str], Found]
Causes = Callable[["Evidence"], list[str]]

TOLERANCE = {"float64": 1e-6, "float32": 1e-4, "float16": 1e-2, "bfloat16": 1e-2}
"""Two numbers of the same convention agree to this: sums in another order and quotients lose some digits of `RTOL`."""
ROUGH = 1e-3
"""A number that was measured by differences, or for a large or small argument, is recognised to this. It is also the
part of a difference that may be left where it counts as explained."""
LIMIT = 2e-2
"""What holds in the limit of large arguments is recognised to this at those that are tried."""
SMALL = 1e-4
"""What differs by less than this does so by an epsilon or by rounding, and not by another convention."""
MOST_SAMPLES = 48
"""So many samples are run alone, which takes most of the time of a comparison; more would tell little more."""
WAYS = (("a", "b"), ("b", "a"))


def close(a: Any, b: Any, tolerance: float) -> bool:
    """Whether two numbers are equal to a relative tolerance; nan and infinity are equal to nothing."""
    return bool(np.isfinite(a - b) and abs(a - b) <= tolerance * max(abs(a), abs(b)))


def measured(function: Any) -> Any:
    """A function of an evidence (and names) that is computed once for each, however many hypotheses ask for it."""

    @functools.wraps(function)
    def once(e: Evidence, *names: str) -> Any:
        key = (function, *names)
        if key not in e.memo:
            e.memo[key] = function(e, *names)
        return e.memo[key]

    return once


@dataclasses.dataclass(eq=False)
class Evidence:
    """Two sides and the data that they are run on. Experiments are the same sides on other data: another evidence."""

    sides: Mapping[str, Side]  #: By name, "a" and "b", as all that follows.
    outcomes: Mapping[str, Outcome]  #: What each gave on all data.
    kinds: set[str]  #: In what they differ: "values", "shape", "gradients"; nothing where one failed.
    dtype: str  #: The narrower one of the two.
    arrays: Arrays
    weight: np.ndarray | None
    changes: Mapping[str, Change] = dataclasses.field(default_factory=dict)
    """What is done to the targets and predictions of a side before it gets them."""
    memo: dict[Any, Any] = dataclasses.field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.target, self.prediction = list(self.arrays)[:2]
        self.y_true, self.y_pred = self.arrays[self.target], self.arrays[self.prediction]
        self.rtol, self.tolerance = RTOL[self.dtype], TOLERANCE[self.dtype]
        shape = self.y_pred.shape
        self.count = shape[0] if shape else 1  #: N, the number of samples.
        self.elements = self.y_pred.size // max(self.count, 1)  #: How many elements a sample has.
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

    def changed(self, change: Change, name: str) -> Evidence:
        """The same, where this side gets changed arrays."""
        return dataclasses.replace(self, changes={name: change})

    def pick(self, samples: Sequence[int] | np.ndarray) -> Evidence:
        """The samples of these numbers; what is not given by sample stays."""
        arrays = {name: x[samples] if x.shape[:1] == (self.count,) else x for name, x in self.arrays.items()}
        weight = self.weight[samples] if self.weight is not None and self.weight.ndim else self.weight
        return dataclasses.replace(self, arrays=arrays, weight=weight)

    def twice(self, axis: int) -> Evidence:
        """The data repeated along the samples (0) or along the last axis (-1)."""
        if axis == 0:
            return self.pick(np.tile(np.arange(self.count), 2))
        ndim = self.y_pred.ndim
        arrays = {name: np.concatenate([x, x], -1) if x.ndim == ndim > 0 else x for name, x in self.arrays.items()}
        return dataclasses.replace(self, arrays=arrays)

    @measured
    def value(self, name: str) -> float:
        """The mean of the values of a side; nan where it fails."""
        arrays = self.arrays
        if name in self.changes:
            changed = self.changes[name](self.y_true, self.y_pred)
            if changed is None:
                return float("nan")
            arrays = {**arrays, self.target: changed[0], self.prediction: changed[1]}
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

    def ratio(self, x: str = "b", y: str = "a") -> float:
        """The value of one side by that of the other."""
        return self.value(x) / self.value(y) if self.value(y) else float("nan")

    @measured
    def samples(self) -> list[Evidence]:
        """Each sample alone; of one or two, also with smaller predictions."""
        alone = [self.pick([i]) for i in range(min(self.count, MOST_SAMPLES))] if self.y_pred.ndim else [self]
        few = alone if self.count < 3 else []
        return alone + [one.on(y_pred=scale * one.y_pred) for one in few for scale in (0.9, 0.8, 0.6)]

    @measured
    def rows(self, name: str) -> np.ndarray:
        """The value of a side for each sample alone."""
        return np.asarray([one.value(name) for one in self.samples()])

    @measured
    def gradients(self) -> dict[str, np.ndarray | None]:
        """Of both values; of their means, where one side is reduced and the other is not."""
        return {name: outcome.of_means("shape" in self.kinds)[1] for name, outcome in self.outcomes.items()}


@dataclasses.dataclass(frozen=True)
class Hypothesis:
    """What may be behind a difference, how that is tested, and what the user reads if it holds."""

    name: str
    test: Test  #: Gets the evidence, and the names that {x} and {y} stand for in the sentence.
    sentence: str  #: With {x}, {y}, {N}, {C} and what the test found. One without {x} is tested once: it is of both.

    def __call__(self, e: Evidence) -> list[str]:
        """The sentence, if the hypothesis holds of the sides one way or the other."""
        for x, y in WAYS if "{x}" in self.sentence else WAYS[:1]:
            if found := self.test(e, x, y):
                told = {} if found is True else found
                return [self.sentence.format(x=x, y=y, N=e.count, C=e.classes, **told)]
        return []


def first(*hypotheses: Causes) -> Causes:
    """What the first hypothesis tells that holds."""
    return lambda e: next((causes for found in hypotheses if (causes := found(e))), [])


def every(*hypotheses: Causes) -> Causes:
    """What all hypotheses tell that hold."""
    return lambda e: [cause for found in hypotheses for cause in found(e)]

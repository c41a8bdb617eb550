"""Two sides and their data, as experiments: each sample alone, changed arrays, repeated arrays."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from multiloss.porting.sides import Side

Arrays = Mapping[str, np.ndarray]
Change = Callable[[Arrays], Arrays | None]
Values = Callable[[Arrays], float]
_MOST_SAMPLES = 48
_TOLERANCE = {"float64": 1e-6, "float32": 1e-4}


@dataclasses.dataclass
class Evidence:
    """What every hypothesis is tested on."""

    a: Side
    b: Side
    arrays: Arrays
    weight: np.ndarray | None
    dtype: str

    def __post_init__(self) -> None:
        names = list(self.arrays)
        self.target, self.prediction = names[0], names[1]
        self.tolerance = _TOLERANCE.get(self.dtype, 1e-2)
        self.rtol = {"float64": 1e-9, "float32": 1e-5}.get(self.dtype, 2e-3)

    @property
    def y_true(self) -> np.ndarray:
        """The first array."""
        return self.arrays[self.target]

    @property
    def y_pred(self) -> np.ndarray:
        """The second."""
        return self.arrays[self.prediction]

    @property
    def count(self) -> int:
        """N, the number of samples."""
        return int(self.y_pred.shape[0]) if self.y_pred.ndim else 1

    @property
    def classes(self) -> int:
        """C, the length of the last axis; of class axis 1 where labels leave out that."""
        shape = self.y_pred.shape
        if self.is_labels and self.y_pred.ndim > 2 and self.y_true.shape == (shape[0], *shape[2:]) != shape[:-1]:
            return int(shape[1])
        return int(shape[-1]) if self.y_pred.ndim > 1 else 1

    @property
    def elements(self) -> int:
        """How many elements a sample has."""
        return self.y_pred.size // max(self.count, 1)

    @property
    def is_labels(self) -> bool:
        """Whether the targets are integer labels."""
        return self.y_true.dtype.kind in "iu" and self.y_true.ndim == self.y_pred.ndim - 1

    def side(self, name: str) -> Side:
        """`a` or `b`."""
        return self.a if name == "a" else self.b

    def mean(self, name: str, arrays: Arrays | None) -> float:
        """The mean of a side's values on these arrays, with the weights; nan where it fails."""
        if arrays is None:
            return float("nan")
        fits = self.weight is not None and arrays[self.prediction].shape[:1] == self.weight.shape[:1]
        return self.side(name).mean(arrays, self.weight if fits else None)

    @functools.cached_property
    def samples(self) -> list[tuple[Arrays, np.ndarray | None]]:
        """Each sample alone, with its weight; of few samples, variants of them too."""
        if not self.y_pred.size:
            return []
        found: list[tuple[Arrays, np.ndarray | None]] = [] if self.y_pred.ndim else [(self.arrays, self.weight)]
        for i in range(min(self.count, _MOST_SAMPLES) if self.y_pred.ndim else 0):
            one = {name: x[i : i + 1] if x.shape[:1] == self.y_pred.shape[:1] else x for name, x in self.arrays.items()}
            weight = None if self.weight is None else self.weight[i : i + 1] if self.weight.ndim else self.weight
            found.append((one, weight))
        if self.count < 3:
            found += [({**one, self.prediction: one[self.prediction] * scale}, weight)
                      for one, weight in list(found) for scale in (0.9, 0.8, 0.6)]  # fmt: skip
        return found

    def rows(self, name: str, change: Change | None = None) -> np.ndarray:
        """A side's value of each sample alone."""
        found = []
        for one, weight in self.samples:
            changed = one if change is None else change(one)
            found.append(float("nan") if changed is None else self.side(name).mean(changed, weight))
        return np.asarray(found)

    @functools.cached_property
    def plain(self) -> Pair:
        """Both as they are."""
        return self.pair()

    def pair(self, change_a: Change | None = None, change_b: Change | None = None) -> Pair:
        """Both on the data, each with its arrays changed."""
        return Pair(self, change_a, change_b)

    def explains(self, pair: Pair) -> bool:
        """Whether the two now agree, and by far better than unchanged."""
        if not (np.isfinite(pair.whole_a) and np.isfinite(pair.whole_b)):
            return False
        gap, before = abs(pair.whole_a - pair.whole_b), abs(self.plain.whole_a - self.plain.whole_b)
        scale = max(abs(pair.whole_a), abs(pair.whole_b))
        limit = min(self.tolerance * scale, 1e-3 * before if np.isfinite(before) else np.inf)
        if not gap <= max(limit, 1e-15):
            return False
        one, other = pair.rows_a, pair.rows_b
        both = np.isfinite(one) & np.isfinite(other)
        return not both.any() or bool(
            np.allclose(one[both], other[both], rtol=self.tolerance, atol=self.tolerance * scale)
        )

    def repeated(self, axis: int) -> Arrays | None:
        """The data twice, along samples (0) or along the last axis (-1)."""
        shape = self.y_pred.shape
        if axis == 0 and shape:
            return {name: np.concatenate([x, x]) if x.shape[:1] == shape[:1] else x for name, x in self.arrays.items()}
        if len(shape) < 2:
            return None
        return {name: np.concatenate([x, x], axis=-1) if x.ndim == len(shape) else x for name, x in self.arrays.items()}


class Pair:
    """The numbers of both sides, each on its changed arrays: of the whole batch, and of each sample alone."""

    def __init__(self, evidence: Evidence, change_a: Change | None, change_b: Change | None) -> None:
        self.evidence = evidence
        self.changes = {"a": change_a, "b": change_b}

    def of(self, name: str, arrays: Arrays | None) -> float:
        """A side's value of other arrays, changed the same way."""
        change = self.changes[name]
        if arrays is not None and change is not None:
            arrays = change(arrays)
        return self.evidence.mean(name, arrays)

    @functools.cached_property
    def whole_a(self) -> float:
        """What `a` gives for the batch."""
        return self.of("a", self.evidence.arrays)

    @functools.cached_property
    def whole_b(self) -> float:
        """What `b` gives for the batch."""
        return self.of("b", self.evidence.arrays)

    @functools.cached_property
    def rows_a(self) -> np.ndarray:
        """What `a` gives for each sample."""
        return self.evidence.rows("a", self.changes["a"])

    @functools.cached_property
    def rows_b(self) -> np.ndarray:
        """What `b` gives for each sample."""
        return self.evidence.rows("b", self.changes["b"])

    def ratio_of(self, arrays: Arrays | None) -> float:
        """b / a on other arrays."""
        a, b = self.of("a", arrays), self.of("b", arrays)
        return b / a if a else float("nan")


def close(a: Any, b: Any, tolerance: float) -> bool:
    """Whether two numbers are equal to a relative tolerance."""
    return bool(abs(a - b) <= tolerance * max(abs(a), abs(b)))


def told(cause: str) -> list[str]:
    """A single cause."""
    return [cause]

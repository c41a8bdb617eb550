"""What a comparison found: the numbers of both sides, by how much they differ, and the table that `str` gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

RTOL = {"float64": 1e-9, "float32": 1e-5, "float16": 2e-3, "bfloat16": 2e-2}
"""Two numbers of a dtype are the same to this: some hundred roundings, as formulas and orders of sums differ."""
_SHOWN = 4
_ULP_OF_DOUBLE = {"float32": 2.0**-29, "float16": 2.0**-42, "bfloat16": 2.0**-45}
"""The unit of a double in the last place, in those of other dtypes."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one side gave."""

    loss: str  #: What was called.
    framework: str  #: Where it ran, with the version.
    order: tuple[str, ...]  #: The order in which it took the arrays.
    dtype: str = ""  #: Of its value.
    value: np.ndarray | None = None  #: What it returned; None where it failed.
    per_sample: np.ndarray | None = None  #: The same without reduction, where it has one.
    gradient: np.ndarray | None = None  #: Of the sum of its values, with respect to `Report.wrt`.
    gradient_by: str = ""  #: How the gradient was found, or why there is none.
    reduction: str = ""  #: How its value is made of the values per sample: the denominator.
    notes: tuple[str, ...] = ()  #: What else was seen: warnings, arrays given in another dtype.
    error: str | None = None  #: Why it failed.

    def of_means(self, reduced: bool) -> tuple[Any, np.ndarray | None]:
        """Value and gradient; of the mean of its values, if it is `reduced` for a comparison."""
        if not reduced or self.value is None or not self.value.size:
            return self.value, self.gradient
        return self.value.mean(), None if self.gradient is None else self.gradient / self.value.size


@dataclasses.dataclass(frozen=True)
class Difference:
    """The largest differences of two arrays."""

    absolute: float
    relative: float
    ulp: float  #: In units in the last place, of the narrower dtype.

    def __str__(self) -> str:
        return f"{self.absolute:.3g} absolute, {self.relative:.3g} relative, {self.ulp:.3g} ULP"


@dataclasses.dataclass(frozen=True)
class Report:
    """What `multiloss.compare` found; `str(report)` is a table."""

    a: Outcome
    b: Outcome
    arrays: Mapping[str, np.ndarray]  #: What both were given.
    generated: str | None  #: What was generated, where no arrays were given.
    wrt: str  #: The argument of the gradients.
    same: bool  #: Whether values, their shapes and gradients agree to the tolerance.
    rtol: float  #: The relative tolerance.
    values: Difference | None  #: Of the values; of their means where one side is reduced and the other is not.
    gradients: Difference | None  #: Of the gradients.
    causes: tuple[str, ...]  #: Why they differ, the likeliest first.

    def __str__(self) -> str:
        return self.text()

    def text(self, width: int | None = None) -> str:
        """The table; where it is wider than `width`, a and b stand below each other."""
        table = [("", "a", "b"), *((title, read(self.a), read(self.b)) for title, read in _ROWS.items())]
        rows = [row for row in table if row[1] or row[2]]
        widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
        lines = [f"{title:<{widths[0]}}  {a:<{widths[1]}}  {b}".rstrip() for title, a, b in rows]
        if width is not None and max(map(len, lines)) > width:
            sides = [(title, name, x) for title, *both in rows[1:] for name, x in zip("ab", both, strict=True)]
            lines = [f"{title * (name == 'a'):<{widths[0]}}  {name}  {x}".rstrip() for title, name, x in sides]
        lines += [f"on generated arrays: {self.generated}"] if self.generated else []
        differences = {"values": self.values, f"gradients with respect to {self.wrt}": self.gradients}
        lines += [f"difference of {title}: {found}" for title, found in differences.items() if found is not None]
        lines.append(f"{'the same' if self.same else 'not the same'} (relative tolerance {self.rtol:g})")
        lines += [f"note on {name}: {note}" for name, side in (("a", self.a), ("b", self.b)) for note in side.notes]
        lines += ["likely cause:"] if self.causes else []
        return "\n".join([*lines, *(f"  {i}. {cause}" for i, cause in enumerate(self.causes, 1))])


def _numbers(array: np.ndarray | None) -> str:
    if array is None:
        return ""
    shown = " ".join(f"{x:.9g}" if array.size == 1 else f"{x:.5g}" for x in array.flat[:_SHOWN])
    return shown + (f" ... ({array.size})" if array.size > _SHOWN else "")


_ROWS: dict[str, Callable[[Outcome], str]] = {
    "loss": lambda side: side.loss if len(side.loss) < 70 else side.loss[:67] + "...",
    "framework": lambda side: side.framework,
    "called with": lambda side: f"({', '.join(side.order)})",
    "failed": lambda side: side.error or "",
    "dtype": lambda side: side.dtype,
    "shape": lambda side: "" if side.value is None else str(side.value.shape),
    "value": lambda side: _numbers(side.value),
    "mean": lambda side: "" if side.value is None or 0 in (side.value.ndim, side.value.size) else
        f"{side.value.mean():.9g}",
    "per sample": lambda side: _numbers(side.per_sample),
    "reduction": lambda side: side.reduction,
    "gradient": lambda side: _numbers(side.gradient),
    "found by": lambda side: side.gradient_by,
}  # fmt: skip


def difference(a: Any, b: Any, dtype: str) -> Difference:
    """The largest differences; nan against nan, and inf against the same inf, are none."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.size == 0 or b.size == 0:
        return Difference(0.0, 0.0, 0.0)
    with np.errstate(all="ignore"):
        gap = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
        large = np.maximum(np.abs(a), np.abs(b))
        ulps = gap / np.spacing(np.where(np.isfinite(large), large, 1.0)) * _ULP_OF_DOUBLE.get(dtype, 1.0)
        found = (gap, np.where(gap == 0, 0.0, gap / large), ulps)
    return Difference(*(float(np.max(x)) for x in found))


def agree(a: Any, b: Any, rtol: float) -> bool:
    """Whether two arrays are equal to a relative tolerance; what is tiny beside the largest element, to rounding."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.size == 0 or b.size == 0:
        return a.shape == b.shape
    sizes = np.abs(np.concatenate([a.ravel(), b.ravel()]))
    scale = max(1e-3, float(np.max(sizes, where=np.isfinite(sizes), initial=0.0)))
    return bool(np.allclose(a, b, rtol=rtol, atol=0.1 * rtol * scale, equal_nan=True))

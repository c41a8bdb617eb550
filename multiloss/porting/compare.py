"""`multiloss.compare`: two losses, of whatever frameworks, on the same arrays: their numbers, and why they differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from multiloss.engine import dispatch
from multiloss.porting import callables, diagnosis, samples
from multiloss.porting.sides import COARSE, Side, to_numpy

_RTOL = {"float64": 1e-9, "float32": 1e-5, "float16": 2e-3, "bfloat16": 2e-2}
_ORDER = tuple(_RTOL)
_SHOWN = 4


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one side gave."""

    loss: str
    """What was called."""
    framework: str
    """Where it ran, with the version."""
    order: tuple[str, ...]
    """The order in which it took the arrays."""
    dtype: str = ""
    """Of its value."""
    value: np.ndarray | None = None
    """What it returned; None where it failed."""
    per_sample: np.ndarray | None = None
    """The same without reduction, where it has one."""
    gradient: np.ndarray | None = None
    """Of the sum of its values, with respect to `Report.wrt`."""
    gradient_by: str = ""
    """How the gradient was found, or why there is none."""
    reduction: str = ""
    """How its value is made of the values per sample: the denominator."""
    notes: tuple[str, ...] = ()
    """What else was seen: warnings, arrays given in another dtype."""
    error: str | None = None
    """Why it failed."""


@dataclasses.dataclass(frozen=True)
class Difference:
    """The largest differences of two arrays."""

    absolute: float
    relative: float
    ulp: float
    """In units in the last place, of the narrower dtype."""


@dataclasses.dataclass(frozen=True)
class Report:
    """What `multiloss.compare` found; `str(report)` is a table."""

    a: Outcome
    b: Outcome
    arrays: Mapping[str, np.ndarray]
    """What both were given."""
    generated: str | None
    """What was generated, where no arrays were given."""
    wrt: str
    """The argument of the gradients."""
    same: bool
    """Whether values, their shapes and gradients agree to the tolerance."""
    rtol: float
    """The relative tolerance."""
    values: Difference | None
    """Of the values; of their means where one side is reduced and the other is not."""
    gradients: Difference | None
    """Of the gradients."""
    causes: tuple[str, ...]
    """Why they differ, the likeliest first."""

    def __str__(self) -> str:
        rows = [
            ("", "a", "b"),
            *((title, read(self.a), read(self.b)) for title, read in _ROWS if read(self.a) or read(self.b)),
        ]
        widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
        lines = ["  ".join((row[0].ljust(widths[0]), row[1].ljust(widths[1]), row[2])).rstrip() for row in rows]
        if self.generated:
            lines.append(f"on generated arrays: {self.generated}")
        for title, found in (("values", self.values), (f"gradients with respect to {self.wrt}", self.gradients)):
            if found is not None:
                lines.append(
                    f"difference of {title}: {found.absolute:.3g} absolute, {found.relative:.3g} relative, "
                    f"{found.ulp:.3g} ULP"
                )
        lines.append(f"{'the same' if self.same else 'not the same'} (relative tolerance {self.rtol:g})")
        lines += [f"note on {name}: {note}" for name, side in (("a", self.a), ("b", self.b)) for note in side.notes]
        if self.causes:
            lines += ["likely cause:", *(f"  {i}. {cause}" for i, cause in enumerate(self.causes, 1))]
        return "\n".join(lines)


def _numbers(array: np.ndarray | None) -> str:
    if array is None:
        return ""
    flat = array.ravel()
    shown = " ".join(f"{x:.9g}" if flat.size == 1 else f"{x:.5g}" for x in flat[:_SHOWN])
    return shown + (f" ... ({flat.size})" if flat.size > _SHOWN else "")


_ROWS: tuple[tuple[str, Callable[[Outcome], str]], ...] = (
    ("loss", lambda side: side.loss if len(side.loss) < 70 else side.loss[:67] + "..."),
    ("framework", lambda side: side.framework),
    ("called with", lambda side: f"({', '.join(side.order)})"),
    ("failed", lambda side: side.error or ""),
    ("dtype", lambda side: side.dtype),
    ("shape", lambda side: "" if side.value is None else str(side.value.shape)),
    ("value", lambda side: _numbers(side.value)),
    ("mean", lambda side: "" if side.value is None or side.value.ndim == 0 else f"{side.value.mean():.9g}"),
    ("per sample", lambda side: _numbers(side.per_sample)),
    ("reduction", lambda side: side.reduction),
    ("gradient", lambda side: _numbers(side.gradient)),
    ("found by", lambda side: side.gradient_by),
)


def compare(
    a: Any,
    b: Any,
    y_true: Any = None,
    y_pred: Any = None,
    *,
    sample_weight: Any = None,
    inputs: Mapping[str, Any] | None = None,
    order_a: str | None = None,
    order_b: str | None = None,
    rtol: float | None = None,
    seed: int = 0,
    shape: tuple[int, ...] = samples.SHAPE,
) -> Report:
    """Run two losses on the same arrays, and say by how much and why they differ.

    Both are run in float64 where they can, whatever dtype the arrays have; and often where they differ, on parts of
    the arrays and on changed ones, to find out why.

    Args:
        a: a loss of this library, an object or function of torch, Keras or Optax, any function of arrays in any
            framework, or a written form, such as "torch.nn.KLDivLoss(reduction='batchmean')" (which runs the library's
            own object where it is installed, else the port of it).
        b: another.
        y_true: targets, of any framework. Without arrays, some are generated that both sides take.
        y_pred: predictions.
        sample_weight: weights, for the sides that have such an argument.
        inputs: the arrays of losses that take others, by name, such as anchor, positive and negative.
        order_a: "y_pred y_true" if `a` takes them so. Losses of torch and Optax do, and functions whose parameters are
            named so ("input, target"); every other callable gets (y_true, y_pred).
        order_b: the same of `b`.
        rtol: relative tolerance of "the same"; default: 1e-9 in float64, 1e-5 in float32.
        seed: of generated arrays.
        shape: of generated arrays, (N, C).

    Returns:
        A report with the numbers of both sides, `same`, and `causes` in words; `str()` of it is a table.

    Raises:
        TypeError: `a` or `b` is not callable.
        ValueError: a written form that names no loss; an option out of range.

    Example:
        >>> import multiloss
        >>> report = multiloss.compare(multiloss.get("mse"), multiloss.get("half_squared_error"))
        >>> report.same
        False
        >>> print(report.causes[0])
        b = 0.5 a: one has the factor 1/2
    """
    _check_options(rtol, seed, shape)
    given = dict(inputs or {})
    if (y_true is None) != (y_pred is None):
        raise TypeError(f"compare takes y_true and y_pred, or neither; {'y_pred' if y_pred is None else 'y_true'} is "
                        f"missing")  # fmt: skip
    arrays_of = _framework([*given.values(), y_true, y_pred])
    sides = [callables.make("a", a, order_a, arrays_of), callables.make("b", b, order_b, arrays_of)]
    names = _names(sides, given)
    if y_true is not None:
        given |= dict(zip(names, (y_true, y_pred), strict=False))
    weight = None if sample_weight is None else _array("sample_weight", sample_weight, floats=True)
    generated = None
    if given:
        arrays = {name: _array(name, x, floats=name == names[1]) for name, x in given.items()}
        errors = [side.settle(arrays, weight) for side in sides]
    else:
        generated, arrays, errors = _generate(sides, seed, tuple(shape))
    if weight is not None:
        for side in sides:
            if not side.takes_weight:
                side.notes.append("takes no sample_weight, and was called without")
    wrt = names[1]
    outcomes = [_outcome(side, arrays, weight, wrt, error) for side, error in zip(sides, errors, strict=True)]
    return _report(sides, outcomes, arrays, weight, generated, wrt, rtol)


def _check_options(rtol: Any, seed: Any, shape: Any) -> None:
    if rtol is not None and not (isinstance(rtol, int | float) and 0 <= rtol < 1):
        raise ValueError(f"rtol must be a number in [0, 1), got {rtol!r}")
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed must be a whole number of 0 or above, got {seed!r}")
    lengths = isinstance(shape, tuple | list) and all(isinstance(n, int | np.integer) and n >= 1 for n in shape)
    if not lengths or len(shape) < 2:
        raise ValueError(f"shape must be two lengths or more of at least 1, such as (8, 5), got {shape!r}")


def _framework(arrays: list[Any]) -> str | None:
    found = (dispatch.framework_of(x) for x in arrays)
    return next((framework for framework in found if framework not in (None, "numpy")), None)


def _array(name: str, x: Any, *, floats: bool) -> np.ndarray:
    try:
        array = to_numpy(x)
    except Exception as error:  # of any framework: symbolic, without data, sparse
        raise TypeError(f"{name} must be an array of real numbers: {error}") from None
    return array.astype(np.float64) if floats or array.dtype.kind == "f" else array


def _names(sides: list[Side], given: Mapping[str, Any]) -> tuple[str, ...]:
    """What the arrays are called; a user's function takes those of a loss known to have others."""
    known = [side.definition.inputs for side in sides if side.definition is not None]
    names = tuple(given) or next((inputs for inputs in known if inputs != ("y_true", "y_pred")), ("y_true", "y_pred"))
    if not given:
        left_out = {name for side in sides if side.definition is not None for name in side.definition.optional}
        left_out -= {name for side in sides if side.library != "multiloss" for name in side.order}
        names = tuple(name for name in names if name not in left_out)
    for side in sides:
        if set(side.order) == {"y_true", "y_pred"} != set(names):
            side.order = names if side.order[0] == "y_true" or len(names) != 2 else names[::-1]
        elif set(names) < set(side.order):
            side.order = tuple(name for name in side.order if name in names)
    if len(names) < 2:
        raise ValueError(f"inputs must hold two arrays or more, got {', '.join(names) or 'none'}")
    return names


def _generate(
    sides: list[Side], seed: int, shape: tuple[int, ...]
) -> tuple[str, dict[str, np.ndarray], list[str | None]]:
    """Arrays on which both run and give finite values; else those on which one does."""
    definitions = [(side.definition, side.options) for side in sides if side.definition is not None]
    best: tuple[int, str, dict[str, np.ndarray], list[str | None]] | None = None
    found = list(samples.candidates(definitions, seed, shape))
    known = len(definitions) > 1  # then the first suits both, encoded or not
    for encode, (kind, arrays) in [(encode, one) for encode in ((True,) if known else (False, True)) for one in found]:
        noted = [len(side.notes) for side in sides]
        errors = [side.settle(arrays, None, encode=encode) for side in sides]
        finite = [
            error is None and bool(np.isfinite(side.mean(arrays))) for side, error in zip(sides, errors, strict=True)
        ]
        if all(finite):
            return f"{kind}, seed {seed}", arrays, errors
        for side, length in zip(sides, noted, strict=True):
            del side.notes[length:]  # of arrays that are not used
        score = sum(finite) + sum(error is None for error in errors)
        if best is None or score > best[0]:
            best = score, kind, arrays, errors
    assert best is not None
    errors = [side.settle(best[2], None) for side in sides]
    return f"{best[1]}, seed {seed}", best[2], errors


def _outcome(
    side: Side, arrays: dict[str, np.ndarray], weight: np.ndarray | None, wrt: str, error: str | None
) -> Outcome:
    about: dict[str, Any] = {"loss": side.text, "framework": side.version, "order": side.order}
    if error is not None:
        return Outcome(**about, notes=tuple(side.notes), error=error)
    native = side.run_quietly(arrays, weight)
    value = to_numpy(native).astype(np.float64)
    dtype = str(getattr(native.dtype, "name", native.dtype)).removeprefix("torch.") if hasattr(native, "dtype") else (
        "float64")  # fmt: skip
    if side.dtype != "float64":
        side.notes.append(f"was given {side.dtype} arrays: it does not run with float64")
    elif dtype != "float64" and side.framework == "jax" and not side.x64:
        side.notes.append("JAX computes in float32 here: jax_enable_x64 is off")
    if not side.integers:
        side.notes.append("was given integers as floating-point numbers: it does not run with integers")
    if side.one_hot:
        side.notes.append("was given the labels as one-hot targets: it does not run with labels")
    gradient, how = side.gradient(arrays, wrt, weight)
    bare = side.unreduced() if value.ndim == 0 else None
    per_sample = value if value.ndim else bare.values(arrays, weight) if bare else None
    reduction = "none" if value.ndim else diagnosis.reduction(side, arrays, weight, per_sample)
    return Outcome(**about, dtype=dtype, value=value, per_sample=per_sample, gradient=gradient, gradient_by=how,
                   reduction=reduction, notes=tuple(side.notes))  # fmt: skip


def _report(sides: list[Side], outcomes: list[Outcome], arrays: dict[str, np.ndarray], weight: np.ndarray | None,
            generated: str | None, wrt: str, rtol: float | None) -> Report:  # fmt: skip
    a, b = outcomes
    dtype = max((x.dtype for x in outcomes if x.dtype in _RTOL), key=_ORDER.index, default="float64")
    tolerance = _RTOL[dtype] if rtol is None else rtol
    values = gradients = None
    same = False
    kinds: set[str] = set()
    if a.value is not None and b.value is not None:
        reduced = a.value.shape != b.value.shape
        first, second = (x.value.mean() if reduced and x.value.size else x.value for x in (a, b))  # type: ignore[union-attr]
        values = difference(first, second, dtype)
        if not agree(first, second, tolerance, dtype):
            kinds.add("values")
        if reduced:
            kinds.add("shape")
        grads = [None if x.gradient is None else x.gradient / (x.value.size if reduced else 1) for x in (a, b)]  # type: ignore[union-attr]
        if grads[0] is not None and grads[1] is not None and grads[0].shape == grads[1].shape:
            gradients = difference(grads[0], grads[1], dtype)
            found_by = a.gradient_by + b.gradient_by
            loose = 1e-3 if COARSE in found_by else 1e-7 if "differences" in found_by else 0.0
            if not agree(grads[0], grads[1], max(tolerance, loose), dtype):
                kinds.add("gradients")
        elif _cut(a, grads[1]) or _cut(b, grads[0]):
            kinds.add("gradients")
        same = not kinds
    causes = () if same else diagnosis.causes(sides, outcomes, arrays, weight, kinds, dtype)
    return Report(a, b, arrays, generated, wrt, same, tolerance, values, gradients, tuple(causes))


def _cut(side: Outcome, other: np.ndarray | None) -> bool:
    """Whether a side has no gradient where the other has one."""
    return side.gradient is None and "does not depend" in side.gradient_by and other is not None and bool(np.any(other))


def difference(a: Any, b: Any, dtype: str) -> Difference:
    """The largest differences; nan against nan, and inf against the same inf, are none."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.size == 0 or b.size == 0:
        return Difference(0.0, 0.0, 0.0)
    with np.errstate(all="ignore"):
        equal = (a == b) | (np.isnan(a) & np.isnan(b))
        gap = np.where(equal, 0.0, np.abs(a - b))
        large = np.maximum(np.abs(a), np.abs(b))
        relative = np.where(equal, 0.0, gap / np.where(large == 0, 1.0, large))
        spacing = np.spacing(np.where(np.isfinite(large), large, 1.0))
        ulps = gap / spacing * {"float32": 2.0**-29, "float16": 2.0**-42, "bfloat16": 2.0**-45}.get(dtype, 1.0)
    return Difference(*(float("nan") if np.isnan(x).any() else float(x.max()) for x in (gap, relative, ulps)))


def agree(a: Any, b: Any, rtol: float, dtype: str) -> bool:
    """Whether two arrays are equal to a relative tolerance; what is tiny beside the largest element, to rounding."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.size == 0 or b.size == 0:
        return a.shape == b.shape
    finite = np.abs(np.concatenate([a.ravel(), b.ravel()]))
    scale = max(1e-3, float(np.max(finite[np.isfinite(finite)], initial=0.0)))
    return bool(np.allclose(a, b, rtol=rtol, atol=0.1 * rtol * scale, equal_nan=True))

"""Why two sides differ: hypotheses, each tested on the same data, the simplest that explain all of it first."""

from __future__ import annotations

from typing import Any

import numpy as np

from multiloss.porting import changes, patterns
from multiloss.porting.evidence import Evidence, close
from multiloss.porting.relations import relation
from multiloss.porting.sides import Side

_MOST = 64


def causes(sides: list[Side], outcomes: list[Any], arrays: dict[str, np.ndarray], weight: np.ndarray | None,
           kinds: set[str], dtype: str) -> list[str]:  # fmt: skip
    """The likely causes, in words, the likeliest first.

    Args:
        sides: of the comparison.
        outcomes: what each gave.
        arrays: on what.
        weight: the sample weights.
        kinds: in what they differ: "values", "shape", "gradients"; empty where one failed.
        dtype: the narrower of the two.
    """
    a, b = outcomes
    data: tuple[Any, Any] = _fewer(sides, arrays, weight) if "values" in kinds else (arrays, weight)
    e = Evidence(sides[0], sides[1], *data, dtype)
    with np.errstate(all="ignore"):
        failed = [f"{name} failed: {side.error}" for name, side in (("a", a), ("b", b)) if side.error]
        if e.y_pred.size == 0 and not failed:
            return [f"an empty batch: a gives {a.value.tolist()}, b gives {b.value.tolist()}"]
        if failed:
            told = changes.broadcasting(e) or changes.explained(e) if len(failed) == 1 else []
            return [*told, *failed]
        found: list[str] = []
        if "values" in kinds:
            found = _values(e, a, b)
        elif kinds == {"gradients"}:
            found = _beside(e) or patterns.slopes(e, a.gradient, b.gradient)
        if "shape" in kinds:
            found.append(_shape(a, b, "values" in kinds))
            if "gradients" in kinds and "values" not in kinds:
                found += patterns.slopes(e, *_gradients(a, b))
    return found


def _beside(e: Evidence) -> list[str]:
    """What explains that values beside these differ (log-probabilities are logits whose softmax changes nothing)."""
    moved = e.y_pred + 1e-2 * np.random.default_rng(0).normal(size=e.y_pred.shape)
    other = Evidence(e.a, e.b, {**e.arrays, e.prediction: moved}, e.weight, e.dtype)
    return [] if close(other.plain.whole_a, other.plain.whole_b, 1e-4) else changes.explained(other)


def _fewer(sides: list[Side], arrays: dict[str, np.ndarray], weight: np.ndarray | None) -> tuple[Any, Any]:
    """Of many samples some that differ."""
    y_pred = list(arrays.values())[1]
    if y_pred.ndim == 0:
        return arrays, weight
    picked = np.arange(y_pred.shape[0])

    def of(samples: np.ndarray) -> tuple[Any, Any]:
        some = {name: x[samples] if x.shape[:1] == y_pred.shape[:1] else x for name, x in arrays.items()}
        return some, weight[samples] if weight is not None and weight.ndim else weight

    while len(picked) > _MOST:  # the half that differs more
        halves = np.array_split(picked, 2)
        means = [[side.mean(*of(half)) for side in sides] for half in halves]
        gaps = [abs(a - b) / max(abs(a), abs(b), 1e-300) for a, b in means]
        if not max(gaps) > 1e-12:  # also where one is nan
            break
        picked = halves[0] if not gaps[0] < gaps[1] else halves[1]
    return of(picked)


def _values(e: Evidence, a: Any, b: Any) -> list[str]:
    """The first kind of explanation that holds."""
    strange = _not_finite(e, a, b)
    small = close(e.plain.whole_a, e.plain.whole_b, e.tolerance)
    for found in (
        changes.broadcasting,
        patterns.precision,
        lambda e: [] if small else relation(e.plain),
        changes.explained,
        patterns.clipping,
        patterns.smoothing,
        patterns.balance,
        patterns.epsilon,
        lambda e: patterns.constant(e, *_gradients(a, b)),
        lambda e: changes.related(e, relation),
        patterns.powers,
    ):
        if causes := found(e):
            return [*causes, *strange]
    return strange or [_unknown(e)]


def _gradients(a: Any, b: Any) -> list[Any]:
    """Of the means, where one side is reduced and the other is not."""
    reduced = a.value.shape != b.value.shape
    return [x.gradient if x.gradient is None or not reduced else x.gradient / x.value.size for x in (a, b)]


def _not_finite(e: Evidence, a: Any, b: Any) -> list[str]:
    found = []
    for x, y, bad, good in (("a", "b", a.value, b.value), ("b", "a", b.value, a.value)):
        if not np.isfinite(bad).all() and np.isfinite(good).all():
            kind = "nan" if np.isnan(bad).any() else "inf"
            rows = e.rows(x)
            wrong = np.flatnonzero(~np.isfinite(rows))
            where = ""
            if len(wrong) and wrong[0] < e.count:
                i = int(wrong[0])
                shown = [f"{name}[{i}] = {np.array2string(value[i], precision=4, threshold=6)}"
                         for name, value in e.arrays.items() if value.ndim and value.shape[0] == e.count]  # fmt: skip
                where = f" from sample {i}, {', '.join(shown)}"
            found.append(f"{kind} in {x} only{where}; {y} is finite there")
    return found


def _shape(a: Any, b: Any, differ: bool) -> str:
    one, other = ("a", "b") if a.value.size > b.value.size else ("b", "a")
    large, small = (a, b) if one == "a" else (b, a)
    mean = "" if differ else f"; the mean of {one} is {other}"
    return f"reduction: {one} gives values of shape {large.value.shape}, {other} of shape {small.value.shape}{mean}"


def _unknown(e: Evidence) -> str:
    one, other = e.plain.rows_a, e.plain.rows_b
    used = np.isfinite(one) & np.isfinite(other) & (one != 0)
    ratios = (other[used] / one[used]) if used.any() else np.zeros(0)
    whole_a, whole_b = e.plain.whole_a, e.plain.whole_b
    if close(whole_a, whole_b, 1e-4):
        gap = abs(whole_a - whole_b) / max(abs(whole_a), abs(whole_b))
        return f"a small difference ({gap:.2g} relative): an epsilon on one side, or rounding"
    seen = f": b / a goes from {ratios.min():.4g} to {ratios.max():.4g} over the samples" if ratios.size else ""
    return f"no convention that is known explains it{seen}"


def reduction(side: Side, arrays: dict[str, np.ndarray], weight: np.ndarray | None, per: np.ndarray | None) -> str:
    """How a single value is made of the values per sample, found from the numbers."""
    value = side.mean(arrays, weight)
    if per is not None and per.size and np.isfinite(per).all() and np.isfinite(value):
        total, count = float(per.sum()), per.shape[0] if per.ndim else 1
        used = int((per != 0).sum())
        options = [(f"sum / {per.size}, the mean over {per.size} values", total / per.size), ("sum", total)]
        if per.ndim:
            options.append((f"sum / {count}, the batch", total / count))
        if used:
            options.append((f"sum / {used}, those that are not 0", total / used))
        if weight is not None and weight.sum():
            options.append((f"sum / {weight.sum():.6g}, the sum of the weights", total / float(weight.sum())))
        for text, expected in options:
            if close(value, expected, 1e-5):
                return text
        return f"sum / {total / value:.6g}" if value else ""
    y_pred = list(arrays.values())[1]
    if y_pred.ndim and weight is None:
        twice = {name: np.concatenate([x, x]) if x.shape[:1] == y_pred.shape[:1] else x for name, x in arrays.items()}
        again = side.mean(twice)
        if value and close(again, value, 1e-5):
            return "a mean (repeating the batch leaves it)"
        if value and close(again, 2 * value, 1e-5):
            return "a sum (repeating the batch doubles it)"
    return ""

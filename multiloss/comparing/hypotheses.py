"""The list of hypotheses: why two sides differ. Each is a test and a sentence; the likeliest come first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from multiloss.comparing import formulas
from multiloss.comparing.evidence import MEASURED, POWER, SMALL, Evidence, Hypothesis, close, either, every, first
from multiloss.comparing.scale import scales

_MOST = 64
"""So many samples are enough to tell a cause."""


@either
def _not_finite(e: Evidence, x: str, y: str) -> Iterator[str]:
    bad, good = (np.asarray(e.outcomes[name].value) for name in (x, y))
    if np.isfinite(bad).all() or not np.isfinite(good).all():
        return
    where = []
    for i in np.flatnonzero(~np.isfinite(e.rows(x)[: e.count]))[:1]:
        of_sample = {name: array[i] for name, array in e.arrays.items() if array.shape[:1] == (e.count,)}
        shown = [f"{name}[{i}] = {np.array2string(row, precision=4, threshold=6)}" for name, row in of_sample.items()]
        where = [f" from sample {i}", *shown]
    yield f"{'nan' if np.isnan(bad).any() else 'inf'} in {x} only{', '.join(where)}; {y} is finite there"


def _small(e: Evidence) -> Iterator[str]:
    if close(e.value("a"), e.value("b"), SMALL):
        yield f"a small difference ({e.gap / e.size:.2g} relative): an epsilon on one side, or rounding"


def _unknown(e: Evidence) -> Iterator[str]:
    a, b = e.both_rows()
    ratios = (b / a)[a != 0]
    seen = f": b / a goes from {ratios.min():.4g} to {ratios.max():.4g} over the samples" if ratios.size else ""
    yield f"no convention that is known explains it{seen}"


_KNOWN = (
    formulas.broadcasting,
    formulas.blanks,
    formulas.precision,
    scales,
    formulas.other_arrays,
    formulas.other_formulas,
    formulas.rescaled_after_a_change,
    formulas.powers,
)
_VALUES = first(every(first(*_KNOWN), _not_finite), _small, _unknown)


def _reduction(e: Evidence) -> Iterator[str]:
    shapes = {name: np.asarray(outcome.value).shape for name, outcome in e.outcomes.items()}
    x, y = "ab" if np.prod(shapes["a"]) > np.prod(shapes["b"]) else "ba"
    mean = "" if "values" in e.differ else f"; the mean of {x} is {y}"
    yield f"reduction: {x} gives values of shape {shapes[x]}, {y} of shape {shapes[y]}{mean}"


# The gradients alone.


def _beside(e: Evidence) -> list[str]:
    """What explains that values beside these differ: log-probabilities are logits that a softmax leaves as they are."""
    moved = e.on(y_pred=e.y_pred + 1e-2 * np.random.default_rng(0).normal(size=e.y_pred.shape))
    return [] if close(moved.value("a"), moved.value("b"), SMALL) else [*formulas.other_arrays(moved)]


@either
def _no_gradient(e: Evidence, x: str, y: str) -> Iterator[str]:
    none, some = (e.outcomes[name].gradient for name in (x, y))
    if some is not None and np.any(some) and (none is None or not np.any(none)):
        yield f"gradient only: {x} has none (detached, or cut off by clipping), {y} has one"


def _place(e: Evidence, where: np.ndarray) -> tuple[tuple[int, ...], str]:
    """The first of these places, and what the arrays are there."""
    i = tuple(int(n) for n in np.argwhere(where)[0])
    shown = [f"{name}{list(i[: array.ndim])} = {array[i[: array.ndim]]:.6g}" for name, array in e.arrays.items()
             if array.ndim and array.shape == where.shape[: array.ndim]]  # fmt: skip
    return i, f"at {', '.join(shown) or list(i)}"


@either
def _gradient_not_finite(e: Evidence, x: str, y: str) -> Iterator[str]:
    good, bad = e.gradients()[:: POWER[x]]
    where = ~np.isfinite(bad) & np.isfinite(good)
    if where.any():
        i, at = _place(e, where)
        yield f"gradient only: that of {x} is {bad[i]} {at}, that of {y} is finite"


def _only(sentence: str, places: Callable[[Evidence], Any]) -> Hypothesis:
    """The gradients differ in these places and no others."""

    def hypothesis(e: Evidence) -> Iterator[str]:
        a, b = e.gradients()
        size = np.abs(b[np.isfinite(b)]).max(initial=0.0)
        where = ~np.isclose(a, b, rtol=100 * e.rtol, atol=100 * e.rtol * size)
        if where.any() and not (where & np.logical_not(places(e))).any():
            yield f"gradient only: they differ {sentence.format(at=_place(e, where)[1])}"

    return hypothesis


def _near_ends(e: Evidence) -> Any:
    """Where probabilities are 0 or 1, or clipped."""
    p, limit = e.y_pred, max(formulas.EPSILONS)
    return formulas.is_unit(p) & ((p <= limit) | (1 - p <= limit))


def _agree_beside(e: Evidence) -> bool:
    """Whether the gradients agree for predictions beside these."""
    beside = e.on(y_pred=e.y_pred + 1e-3 * np.random.default_rng(0).normal(size=e.y_pred.shape)).arrays
    a, b = (side.gradient(beside, e.prediction, e.weight)[0] for side in e.sides.values())
    return a is not None and b is not None and np.allclose(a, b, rtol=MEASURED, atol=MEASURED * np.abs(a).max())


def _factor(e: Evidence) -> Iterator[str]:
    a, b = e.gradients()
    k = float((a * b).sum() / (a * a).sum()) if np.any(a) else 0.0
    if k != 0 and np.allclose(k * a, b, rtol=MEASURED, atol=e.tolerance * np.abs(b).max()):
        yield f"gradient only: that of b is {k:.6g} times that of a"


_GRADIENTS = first(
    _no_gradient,
    _gradient_not_finite,
    _only("where y_true equals y_pred, a tie: the subgradient there is another",
          lambda e: e.aligned and e.y_true == e.y_pred),
    _only("where y_pred is at 0 or 1 or beyond ({at}): clipping or a tie there", _near_ends),
    _only("at a kink or tie ({at}) and agree beside it: the subgradient there is another", _agree_beside),
    _factor,
    _only("{at}; parts of one are taken as constants, or clipped", lambda e: True),
)  # fmt: skip


def _fewer(e: Evidence) -> Evidence:
    """Of many samples some that differ: of two halves always that which differs more."""
    while e.y_pred.ndim and e.count > _MOST:
        halves = [e.pick(half) for half in np.array_split(np.arange(e.count), 2)]
        gaps = [half.gap / max(half.size, 1e-300) for half in halves]
        if not max(gaps) > 1e-12:  # also if one is nan
            break
        e = halves[0] if not gaps[0] < gaps[1] else halves[1]
    return e


def causes(e: Evidence) -> list[str]:
    """The likely causes, in words, the likeliest first."""
    failed = [f"{name} failed: {outcome.error}" for name, outcome in e.outcomes.items() if outcome.error]
    with np.errstate(all="ignore"):
        if failed:
            one = first(formulas.broadcasting, formulas.other_arrays) if len(failed) == 1 else every()
            return [*one(e), *failed]
        if e.y_pred.size == 0:
            given = (f"{name} gives {np.asarray(outcome.value).tolist()}" for name, outcome in e.outcomes.items())
            return [f"an empty batch: {', '.join(given)}"]
        if e.differ == {"gradients"}:
            return [*first(_beside, _GRADIENTS)(e)]
        found = [*_VALUES(_fewer(e))] if "values" in e.differ else []
        found += _reduction(e) if "shape" in e.differ else ()
        return found + ([*_GRADIENTS(e)] if "gradients" in e.differ and "values" not in e.differ else [])

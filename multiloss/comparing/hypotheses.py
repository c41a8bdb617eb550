"""The list of hypotheses: why two sides differ. Each is a test and a sentence; the likeliest come first."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from multiloss.comparing import formulas, inputs
from multiloss.comparing.evidence import SMALL, Evidence, Found, Hypothesis, close, every, first
from multiloss.comparing.report import Outcome
from multiloss.comparing.run import Arrays, Side
from multiloss.comparing.scale import scales

_MOST = 64
"""So many samples are enough to tell a cause; of more, those that differ are looked for."""


def _not_finite(e: Evidence, x: str, y: str) -> Found:
    bad, good, rows = e.outcomes[x].value, e.outcomes[y].value, e.rows(x)
    if bad is None or good is None or np.isfinite(bad).all() or not np.isfinite(good).all():
        return False
    wrong, where = np.flatnonzero(~np.isfinite(rows[: e.count])), ""
    if len(wrong):
        i = int(wrong[0])
        shown = [f"{name}[{i}] = {np.array2string(value[i], precision=4, threshold=6)}"
                 for name, value in e.arrays.items() if value.shape[:1] == (e.count,)]  # fmt: skip
        where = f" from sample {i}, {', '.join(shown)}"
    return {"kind": "nan" if np.isnan(bad).any() else "inf", "where": where}


def _one_is_reduced(e: Evidence, x: str, y: str) -> Found:
    large, small = e.outcomes[x].value, e.outcomes[y].value
    if large is None or small is None or (large.size, x) < (small.size, y):
        return False
    mean = "" if "values" in e.kinds else f"; the mean of {x} is {y}"
    return {"large": large.shape, "small": small.shape, "mean": mean}


def _unknown(e: Evidence, x: str, y: str) -> Found:
    a, b = e.rows("a"), e.rows("b")
    ratios = (b / a)[np.isfinite(a) & np.isfinite(b) & (a != 0)]
    seen = f": b / a goes from {ratios.min():.4g} to {ratios.max():.4g} over the samples" if ratios.size else ""
    return {"seen": seen}


_KNOWN = first(
    inputs.BROADCASTING,
    formulas.PRECISION,
    scales,
    inputs.OTHER_ARRAYS,
    *formulas.FORMULAS,
    inputs.after_a_change(scales),
    formulas.POWERS,
)
VALUES = first(
    every(_KNOWN, Hypothesis("not finite", _not_finite, "{kind} in {x} only{where}; {y} is finite there")),
    Hypothesis("small", lambda e, x, y: close(e.value(x), e.value(y), SMALL) and {"gap": e.gap / e.size},
               "a small difference ({gap:.2g} relative): an epsilon on one side, or rounding"),
    Hypothesis("unknown", _unknown, "no convention that is known explains it{seen}"),
)  # fmt: skip
"""Why the values differ."""
REDUCTION = Hypothesis(
    "reduction", _one_is_reduced, "reduction: {x} gives values of shape {large}, {y} of shape {small}{mean}"
)


def _beside(e: Evidence) -> list[str]:
    """What explains that values beside these differ: log-probabilities are logits that a softmax leaves as they are."""
    moved = e.on(y_pred=e.y_pred + 1e-2 * np.random.default_rng(0).normal(size=e.y_pred.shape))
    return [] if close(moved.value("a"), moved.value("b"), SMALL) else inputs.OTHER_ARRAYS(moved)


def _fewer(e: Evidence) -> Evidence:
    """Of many samples some that differ: of two halves always that which differs more."""
    while e.y_pred.ndim and e.count > _MOST:
        halves = [e.pick(half) for half in np.array_split(np.arange(e.count), 2)]
        gaps = [half.gap / max(half.size, 1e-300) for half in halves]
        if not max(gaps) > 1e-12:  # also where one is nan
            break
        e = halves[0] if not gaps[0] < gaps[1] else halves[1]
    return e


def causes(sides: Mapping[str, Side], outcomes: Mapping[str, Outcome], arrays: Arrays, weight: np.ndarray | None,
           kinds: set[str], dtype: str) -> list[str]:  # fmt: skip
    """The likely causes, in words, the likeliest first.

    Args:
        sides: "a" and "b".
        outcomes: what each gave.
        arrays: on what.
        weight: the sample weights.
        kinds: in what they differ: "values", "shape", "gradients"; empty where one failed.
        dtype: the narrower of the two.
    """
    e = Evidence(sides, outcomes, kinds, dtype, arrays, weight)
    failed = [f"{name} failed: {outcome.error}" for name, outcome in outcomes.items() if outcome.error]
    with np.errstate(all="ignore"):
        if failed:
            one = first(inputs.BROADCASTING, inputs.OTHER_ARRAYS) if len(failed) == 1 else every()
            return [*one(e), *failed]
        if e.y_pred.size == 0:
            given = (f"{name} gives {outcome.value.tolist()}" for name, outcome in outcomes.items())  # type: ignore[union-attr]
            return [f"an empty batch: {', '.join(given)}"]
        if kinds == {"gradients"}:
            return first(_beside, formulas.GRADIENTS)(e)
        found = VALUES(_fewer(e)) if "values" in kinds else []
        found += REDUCTION(e) if "shape" in kinds else []
        return found + (formulas.GRADIENTS(e) if "gradients" in kinds and "values" not in kinds else [])

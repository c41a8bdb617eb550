"""Changes to the arrays of one side after which, if a convention differs, it gives what the other gives unchanged."""

from __future__ import annotations

import dataclasses

import numpy as np

from multiloss.porting.evidence import Arrays, Change, Evidence, Pair, close


@dataclasses.dataclass(frozen=True)
class Hypothesis:
    """What one side's arrays are turned into, and what it means if that explains the difference."""

    change: Change
    text: str
    """With {x} the side whose arrays are changed and {y} the other."""


def hypotheses(e: Evidence) -> list[Hypothesis]:
    """All that can apply to these arrays."""
    t, p = e.target, e.prediction

    def of_prediction(function: object, text: str) -> Hypothesis:
        return Hypothesis(lambda arrays: {**arrays, p: function(arrays[p])}, text)  # type: ignore[operator]

    found = []
    if len(e.arrays) == 2 and e.y_true.shape == e.y_pred.shape:
        text = "arguments swapped: {x} of (y_pred, y_true) is {y} of (y_true, y_pred)"
        found.append(Hypothesis(lambda arrays: {**arrays, t: arrays[p], p: arrays[t].astype(np.float64)}, text))
    if e.is_labels:
        text = "label offset: the classes of {x} begin one %s those of {y}"
        found += [
            Hypothesis(lambda arrays: {**arrays, t: arrays[t] + 1}, text % "above"),
            Hypothesis(lambda arrays: {**arrays, t: arrays[t] - 1}, text % "below"),
        ]
    found += [
        of_prediction(_expit, "logits taken as probabilities: {x} takes probabilities (of a sigmoid), {y} logits"),
        of_prediction(
            _softmax,
            "logits taken as probabilities: {x} takes probabilities (of a softmax), {y} logits, or applies the softmax "
            "once more",
        ),
        of_prediction(
            _log_softmax,
            "logits taken as log-probabilities: {x} takes log-probabilities (of log_softmax), {y} logits",
        ),
        Hypothesis(
            lambda arrays: _log(arrays, p),
            "the logarithm: {x} takes log(y_pred) (log-probabilities, or Poisson's log_input), {y} takes y_pred",
        ),
        of_prediction(_normalised, "renormalised: {y} divides probabilities by their sum, {x} does not"),
    ]
    if e.y_pred.ndim > 2:
        first, last = (
            "class axis: {x} has the classes on axis 1, {y} on the last",
            ("class axis: {x} has the classes on the last axis, {y} on axis 1"),
        )
        found += [
            Hypothesis(lambda arrays: _moved(arrays, t, p, -1, 1), first),
            Hypothesis(lambda arrays: _moved(arrays, t, p, 1, -1), last),
        ]
    return found


def trailing_one(e: Evidence) -> bool:
    """Whether the arrays have shapes (N,) and (N, 1), or the like."""
    a, b = e.y_true.shape, e.y_pred.shape
    return a == (*b, 1) or b == (*a, 1)


def broadcasting(e: Evidence) -> list[str]:
    """What each side makes of the shapes (N,) and (N, 1): alike only if all compare what belongs together."""
    if not trailing_one(e):
        return []
    larger = e.y_true.shape if e.y_true.ndim > e.y_pred.ndim else e.y_pred.shape
    done = {}
    for name in ("a", "b"):
        raw, equal = e.mean(name, e.arrays), e.mean(name, {key: x.reshape(larger) for key, x in e.arrays.items()})
        done[name] = (
            "refuses them" if not np.isfinite(raw) else "compares what belongs together" if close(raw, equal, 1e-9)
            else "compares every sample with every other"
        )  # fmt: skip
    if done["a"] == done["b"] or not any("every" in what for what in done.values()):
        return []
    return [f"broadcasting of y_true {e.y_true.shape} with y_pred {e.y_pred.shape}: a {done['a']}, b {done['b']}"]


def _expit(x: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))))


def _log_softmax(x: np.ndarray) -> np.ndarray:
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def _softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(_log_softmax(x))


def _normalised(x: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return x / x.sum(axis=-1, keepdims=True)


def _log(arrays: Arrays, p: str) -> Arrays | None:
    return {**arrays, p: np.log(arrays[p])} if (arrays[p] > 0).all() else None


def _moved(arrays: Arrays, t: str, p: str, source: int, to: int) -> Arrays:
    moved = {**arrays, p: np.moveaxis(arrays[p], source, to)}
    if arrays[t].ndim == arrays[p].ndim:
        moved[t] = np.moveaxis(arrays[t], source, to)
    return moved


def explained(e: Evidence) -> list[str]:
    """The changes after which both agree."""
    found: list[str] = []
    for hypothesis in hypotheses(e):
        if found and hypothesis.text.startswith("the logarithm"):
            continue  # that of probabilities is a logit, so it says the same
        for x, y in (("a", "b"), ("b", "a")):
            if _explains(e, _pair(e, hypothesis, x)):
                found.append(hypothesis.text.format(x=x, y=y))
                break
    return found


def related(e: Evidence, relation: object) -> list[str]:
    """The changes after which a factor, an offset or a denominator with a name is all the difference that is left."""
    for hypothesis in hypotheses(e):
        for x, y in (("a", "b"), ("b", "a")):
            causes = relation(_pair(e, hypothesis, x))  # type: ignore[operator]
            if causes and not any("on every sample" in cause or "other ways" in cause for cause in causes):
                return [hypothesis.text.format(x=x, y=y), *causes]
    return []


def _pair(e: Evidence, hypothesis: Hypothesis, x: str) -> Pair:
    return e.pair(hypothesis.change, None) if x == "a" else e.pair(None, hypothesis.change)


def _explains(e: Evidence, pair: Pair) -> bool:
    with np.errstate(all="ignore"):
        return e.explains(pair)

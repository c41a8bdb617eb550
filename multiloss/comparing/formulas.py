"""Hypotheses about what each side makes of its arrays: how it reads them, precision, clipping, label smoothing."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from multiloss.comparing.evidence import (
    LIMIT,
    MEASURED,
    ROUGH,
    SMALL,
    Change,
    Evidence,
    Hypothesis,
    close,
    either,
    every,
    first,
)
from multiloss.comparing.scale import balance, scales

EPSILONS = (1e-12, 1e-8, 1e-7, 2.0**-23, 2e-7, 1e-6)
"""What libraries clip probabilities by."""
_INSIDE = 0.01
"""What is nearer to 0 or 1 than this may be clipped; no library clips as far from them."""
_ROUNDING = {"float16 or bfloat16": (2.0**-11, 1e-6), "float32": (2.0**-24, 1e-11)}
"""By how much numbers are rounded, and a relative change that is too small to be seen in them."""
_VAGUE = ("on every sample", "other ways")
"""Words of causes that may hold by chance once the arrays are changed, and so are no evidence for the change."""


# A side that gets its arrays changed so gives what the other gives of the unchanged ones.


def broadcasting(e: Evidence) -> Iterator[str]:
    """(N,) against (N, 1): alike only if both compare what belongs together."""
    t, p = e.y_true, e.y_pred
    shorter, longer = sorted((t.shape, p.shape), key=len)
    if longer != (*shorter, 1):
        return
    equal = e.on(t.reshape(longer), p.reshape(longer))
    a, b = (
        "refuses them" if not np.isfinite(e.value(name)) else
        "compares what belongs together" if close(e.value(name), equal.value(name), e.tolerance) else
        "compares every sample with every other" for name in "ab"
    )  # fmt: skip
    if a != b and "every" in a + b:
        yield f"broadcasting of y_true {t.shape} with y_pred {p.shape}: a {a}, b {b}"


def _sigmoid(x: np.ndarray) -> Any:
    return np.exp(-np.logaddexp(0, -x))


def _log_softmax(x: np.ndarray) -> Any:
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def _blank(e: Evidence, name: str) -> int | None:
    """The blank of CTC: that of its options, or the class of which every frame costs nothing where a sample has no
    labels."""
    if "blank" in e.sides[name].options:
        return int(e.sides[name].options["blank"])
    if "label_lengths" not in e.arrays:
        return None
    empty = dataclasses.replace(e, arrays={**e.arrays, "label_lengths": np.zeros_like(e.arrays["label_lengths"])})
    scores = _log_softmax(50.0 * np.eye(e.y_pred.shape[-1]))
    free = [k for k, row in enumerate(scores) if abs(empty.on(y_pred=row + 0 * e.y_pred).value(name)) < 1]
    return free[0] if len(free) == 1 else None


def blanks(e: Evidence) -> Iterator[str]:
    """CTC with another class as its blank, and what else differs."""
    i, j = _blank(e, "a"), _blank(e, "b")
    if i is None or j is None or i == j:
        return

    def exchanged(t: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        order = np.arange(p.shape[-1])
        order[[i, j]] = j, i
        return t, p[..., order]

    yield f"the blank is class {i} in a, class {j} in b"
    yield from scales(e.changed("b", exchanged))


def _moved_axis(source: int, to: int) -> Change:
    def change(t: np.ndarray, p: np.ndarray) -> Any:
        moved = np.moveaxis(t, source, to) if t.ndim == p.ndim > 2 else t
        return (moved, np.moveaxis(p, source, to)) if p.ndim > 2 else None

    return change


def _new_labels(step: int) -> Change:
    return lambda t, p: (t + step, p) if t.dtype.kind in "iu" and t.ndim == p.ndim - 1 else None


_CHANGES: dict[str, Change] = {
    "arguments swapped: {x} of (y_pred, y_true) is {y} of (y_true, y_pred)":
        lambda t, p: (p, t.astype(np.float64)) if t.shape == p.shape else None,
    "label offset: the classes of {x} begin one above those of {y}": _new_labels(1),
    "label offset: the classes of {x} begin one below those of {y}": _new_labels(-1),
    "logits taken as probabilities: {x} takes probabilities (of a sigmoid), {y} logits":
        lambda t, p: (t, _sigmoid(p)),
    "logits taken as probabilities: {x} takes probabilities (of a softmax), {y} logits, or applies the "
    "softmax once more": lambda t, p: (t, np.exp(_log_softmax(p))),
    "logits taken as log-probabilities: {x} takes log-probabilities (of log_softmax), {y} logits":
        lambda t, p: (t, _log_softmax(p)),
    "renormalised: {y} divides probabilities by their sum, {x} does not":
        lambda t, p: (t, p / p.sum(axis=-1, keepdims=True)),
    "class axis: {x} has the classes on axis 1, {y} on the last": _moved_axis(-1, 1),
    "class axis: {x} has the classes on the last axis, {y} on axis 1": _moved_axis(1, -1),
    "the logarithm: {x} takes log(y_pred) (log-probabilities, or Poisson's log_input), {y} takes y_pred":
        lambda t, p: (t, np.log(p)) if (p > 0).all() else None,
}  # fmt: skip


def _changed(sentence: str, change: Change) -> Hypothesis:
    """Both agree after the change, by far better than before, on all samples and on each alone."""

    @either
    def hypothesis(e: Evidence, x: str, y: str) -> Iterator[str]:
        after = e.changed(x, change)
        limit = min(e.tolerance * after.size, ROUGH * e.gap if np.isfinite(e.gap) else np.inf)
        if after.gap <= max(limit, 1e-15) < np.inf:
            a, b = after.both_rows()
            if np.allclose(a, b, rtol=e.tolerance, atol=e.tolerance * after.size):
                yield sentence.format(x=x, y=y)

    return hypothesis


*_OTHERS, _LOGARITHM = (_changed(*change) for change in _CHANGES.items())
other_arrays = first(every(*_OTHERS), _LOGARITHM)  # log-probabilities are logits, too


def rescaled_after_a_change(e: Evidence) -> Iterator[str]:
    """After a change, a relation of scale with a name is all the difference that is left."""
    for sentence, change in _CHANGES.items():
        for x, y in ("ab", "ba"):
            found = scales(e.changed(x, change))
            if found and not any(word in cause for cause in found for word in _VAGUE):
                yield from (sentence.format(x=x, y=y), *found)
                return


# Precision, clipping, epsilons: both agree on other data.


@either
def precision(e: Evidence, x: str, y: str) -> Iterator[str]:
    """x does not see a change that y sees, and the difference has the size of its rounding."""
    for name, (unit, step) in _ROUNDING.items():
        # Each element by its own factor: one factor for all leaves a cosine as it is.
        moved = e.on(y_pred=e.y_pred * (1 + step * np.random.default_rng(0).uniform(0.5, 1.0, e.y_pred.shape)))
        if e.gap / e.size <= 64 * unit and moved.value(x) == e.value(x) and moved.value(y) != e.value(y):
            yield f"precision only: {x} computes in {name}, and the difference has the size of its rounding"
            return


def _away(x: np.ndarray) -> np.ndarray:
    """x, but what is near 0 moved away from it."""
    return np.where(np.abs(x) < _INSIDE, np.where(x < 0, -_INSIDE, _INSIDE), x)


def is_unit(x: np.ndarray) -> bool:
    """Whether all numbers are in [0, 1]."""
    return bool(((x >= 0) & (x <= 1)).all())


_INTERIORS: dict[str, Change] = {
    "y_pred is near 0": lambda t, p: (t, _away(p)),
    "y_pred is near 1": lambda t, p: (t, np.minimum(p, 1 - _INSIDE)) if is_unit(p) else None,
    "y_pred is near 0 or 1": lambda t, p: (t, np.clip(p, _INSIDE, 1 - _INSIDE)) if is_unit(p) else None,
    "y_true is near 0": lambda t, p: (_away(t), p) if t.dtype.kind == "f" else None,
    "y_true or y_pred is near 0 or 1":
        lambda t, p: (_away(t), np.clip(p, _INSIDE, max(1 - _INSIDE, float(p.max()) - _INSIDE)))
        if t.dtype.kind == "f" and t.shape == p.shape and is_unit(t) and (p >= 0).all() else None,
    "y_pred is large (as a logit: a probability near 0 or 1)": lambda t, p: (t, np.clip(p, -5, 5)),
    "y_pred is below 0": lambda t, p: (t, np.maximum(p, _INSIDE)),
}  # fmt: skip
"""Moves inside what is extreme."""


def _clipping(e: Evidence) -> Iterator[str]:
    for where, change in _INTERIORS.items():
        inside = e.on(*(change(e.y_true, e.y_pred) or ()))
        left = ROUGH * e.gap if np.isfinite(e.gap) else np.inf
        limit = max(e.rtol * inside.size, min(10 * e.tolerance * inside.size, left))
        moved = (inside.y_true != e.y_true).any() or (inside.y_pred != e.y_pred).any()
        if moved and inside.gap <= limit < np.inf:
            yield f"differs only where {where}: clipping or an epsilon{_largest(e)}"
            return


def _largest(e: Evidence) -> str:
    """What both give on the sample that differs most, and the epsilon at which a logarithm stops there."""
    a, b = e.rows("a"), e.rows("b")
    gap = np.where(np.isfinite(a) != np.isfinite(b), np.inf, np.where(np.isfinite(a), np.abs(a - b), -1.0))
    i = int(np.argmax(gap))
    stops = [f"; {name} stops at -log({epsilon:.3g})" for name, value in (("a", a[i]), ("b", b[i]))
             for epsilon in EPSILONS if close(np.exp(-value), epsilon, ROUGH)]  # fmt: skip
    return f" (sample {i}: a = {a[i]:.6g}, b = {b[i]:.6g}{''.join(stops)})" if gap[i] > 0 else ""


def _epsilon(e: Evidence) -> Iterator[str]:
    """The difference is small, and grows as an argument nears 0."""
    small = {"y_pred": e.y_pred, "y_true": e.y_true} if e.gap <= ROUGH * e.size else {}
    for name in (name for name, array in small.items() if array.dtype.kind == "f"):
        near = [e.on(**{name: value}) for value in (0.3, 0.03, 0.003)]
        gaps = [one.gap / (one.size if name == "y_true" else 1.0) for one in near]
        if 0 < 16 * gaps[0] < 4 * gaps[1] < gaps[2] < np.inf:
            yield (
                f"a small difference everywhere that grows as {name} nears 0: an epsilon is added in a logarithm or "
                "denominator on one side, or is another there"
            )
            return


def _term(e: Evidence) -> Iterator[str]:
    a, b = e.gradients()
    limit = min(e.tolerance, ROUGH * e.gap / e.size) * np.abs(b).max(initial=0.0)
    if np.any(a) and np.any(b) and np.abs(a - b).max() <= limit:
        yield (
            "the values differ, the gradients do not: a term that does not depend on y_pred (the targets' entropy, "
            "log y!, 0.5 log(2 pi)) is in one only"
        )


# Label smoothing: a cross-entropy is linear in the targets, so its values tell which it takes.


def _smoothing(e: Evidence, name: str) -> float:
    """s, if a side gives -(1 - s) log p_k - s mean(log p) for class k, a smoothed cross-entropy; else nan."""
    if e.y_pred.ndim != 2 or e.classes < 2 or not (e.is_labels or e.aligned):
        return float("nan")
    alone, ks = [e.pick([i]) for i in range(min(e.count, 2))], range(min(e.classes, 4))
    values = np.asarray([[one.of_class(k).value(name) for k in ks] for one in alone])
    for log_p, n in itertools.product((_log_softmax(e.y_pred), np.log(e.y_pred)), (1, e.classes)):
        mean = log_p[: len(alone)].mean(axis=-1, keepdims=True)
        apart, found = mean - log_p[: len(alone), : len(ks)], n * values + mean  # of a sum, or of a mean over classes
        kept = (apart * found).sum() / (apart * apart).sum()
        if np.allclose(kept * apart, found, rtol=0, atol=MEASURED * np.abs(apart).max()):
            return 1 - float(kept)
    return float("nan")


def _class_smoothing(e: Evidence) -> Iterator[str]:
    s = {name: _smoothing(dataclasses.replace(e, weight=None), name) for name in "ab"}
    if not abs(s["a"] - s["b"]) > SMALL:  # nor is nan
        return
    for x, y in ("ab", "ba"):
        if abs(s[y]) < SMALL:
            yield f"label smoothing in {x} only (s = {s[x]:.4g} to K = {e.classes} classes)"
            return
    for x, y in ("ab", "ba"):
        if close(s[x] * e.classes, s[y] * (e.classes - 1), SMALL):
            yield (
                f"label smoothing of s = {s[x]:.4g} over K against K - 1 (K = {e.classes}): {x} gives every class "
                f"s / K, {y} gives the K - 1 others s / (K - 1)"
            )
            return
    yield f"label smoothing differs: a has s = {s['a']:.4g}, b s = {s['b']:.4g}, in the convention s / K"


def _targets(e: Evidence, name: str) -> np.ndarray:
    """What a side takes for targets of 0 and 1, if it is a binary cross-entropy, log(1 + exp(z)) - t z; else nan."""
    values = np.stack([e.on(bit).rows(name) for bit in (0.0, 1.0)])
    for logit, n in itertools.product((lambda z: z, lambda p: np.log(p / (1 - p))), (1, e.elements)):
        logits = [logit(one.y_pred) for one in e.samples()]
        z, of_zero = (np.asarray([x.mean() for x in of]) for of in (logits, [np.logaddexp(0, x) for x in logits]))
        t = (of_zero - values / n) @ z / (z @ z)
        if np.allclose(of_zero - t[:, None] * z, values / n, rtol=0, atol=MEASURED) and is_unit(np.round(t, 3)):
            return np.round(t, 9) + 0.0  # shows neither 5.6e-17 nor -0 for 0
    return np.full(2, np.nan)


def _binary_smoothing(e: Evidence) -> Iterator[str]:
    if e.aligned and np.isin(e.y_true, (0, 1)).all():
        a, b = (_targets(dataclasses.replace(e, weight=None), name) for name in "ab")
        if np.abs(a - b).max() > SMALL:
            of_a, of_b = (f"{x} uses {t[0]:.4g} for 0 and {t[1]:.4g} for 1" for x, t in (("a", a), ("b", b)))
            yield f"label smoothing: {of_a}, {of_b}"


def _power(e: Evidence, name: str) -> int:
    """With which power of the distance a side grows; 0 if it does not depend on the distance alone."""
    floats = {key: x for key, x in e.arrays.items() if x.dtype.kind == "f"}
    # A third array, such as the negative of a triplet, is set to the target: it could make the loss 0.
    third = {key: e.y_true for key, x in floats.items() if key != e.prediction and x.shape == e.y_true.shape}

    def value(scale: float, shift: float = 0.0) -> float:
        moved = {key: scale * x + shift for key, x in {**floats, **third}.items()}
        return dataclasses.replace(e, arrays={**e.arrays, **moved}).value(name)

    back, one, two, four = (value(scale) for scale in (-2e3, 1e3, 2e3, 4e3))
    is_distance = close(value(1.0, 0.37), value(1.0), e.tolerance) and close(back, two, LIMIT) and four != two
    return next((n for n in (1, 2) if is_distance and close(four - two, 2**n * (two - one), LIMIT)), 0)


@either
def powers(e: Evidence, x: str, y: str) -> Iterator[str]:
    """One squares the distance, the other does not."""
    if (_power(e, x), _power(e, y)) == (2, 1):
        squared = f"{x} grows with the square of the distance, {y} with the distance itself"
        yield f"squared against not squared: {squared}"


other_formulas = first(_clipping, _class_smoothing, _binary_smoothing, balance, _epsilon, _term)

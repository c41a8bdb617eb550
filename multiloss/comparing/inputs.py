"""Hypotheses of how the sides read their arrays: order, shapes, logits, logarithms, class axis, label offset.

Each is a change: if the arrays of one side are changed so, it gives what the other gives of the unchanged ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from multiloss.comparing.evidence import ROUGH, WAYS, Causes, Change, Evidence, Found, Hypothesis, close, every, first

_VAGUE = ("on every sample", "other ways")
"""Words of causes that may hold by chance once the arrays are changed: they are no evidence for the change."""


def _broadcasting(e: Evidence, x: str, y: str) -> Found:
    """(N,) against (N, 1): alike only if both compare what belongs together."""
    shapes = {"y_true": e.y_true.shape, "y_pred": e.y_pred.shape}
    shorter, longer = sorted(shapes.values(), key=len)
    if longer != (*shorter, 1):
        return False
    equal = e.on(e.y_true.reshape(longer), e.y_pred.reshape(longer))
    done = {
        name: "refuses them" if not np.isfinite(e.value(name)) else
        "compares what belongs together" if close(e.value(name), equal.value(name), e.tolerance) else
        "compares every sample with every other" for name in (x, y)
    }  # fmt: skip
    told = done[x] != done[y] and any("every" in text for text in done.values())
    return told and {**shapes, **done}


def log_softmax(x: np.ndarray) -> np.ndarray:
    """The logarithm of the softmax over the last axis."""
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def _moved_axis(source: int, to: int) -> Change:
    def change(t: np.ndarray, p: np.ndarray) -> Any:
        if p.ndim < 3:
            return None
        return np.moveaxis(t, source, to) if t.ndim == p.ndim else t, np.moveaxis(p, source, to)

    return change


def _new_labels(step: int) -> Change:
    return lambda t, p: (t + step, p) if t.dtype.kind in "iu" and t.ndim == p.ndim - 1 else None


_LOGITS = "logits taken as probabilities: {x} takes probabilities (of a "
_CHANGES: dict[str, Change] = {
    "arguments swapped: {x} of (y_pred, y_true) is {y} of (y_true, y_pred)":
        lambda t, p: (p, t.astype(np.float64)) if t.shape == p.shape else None,
    "label offset: the classes of {x} begin one above those of {y}": _new_labels(1),
    "label offset: the classes of {x} begin one below those of {y}": _new_labels(-1),
    _LOGITS + "sigmoid), {y} logits": lambda t, p: (t, np.exp(-np.logaddexp(0, -p))),
    _LOGITS + "softmax), {y} logits, or applies the softmax once more": lambda t, p: (t, np.exp(log_softmax(p))),
    "logits taken as log-probabilities: {x} takes log-probabilities (of log_softmax), {y} logits":
        lambda t, p: (t, log_softmax(p)),
    "renormalised: {y} divides probabilities by their sum, {x} does not":
        lambda t, p: (t, p / p.sum(axis=-1, keepdims=True)),
    "class axis: {x} has the classes on axis 1, {y} on the last": _moved_axis(-1, 1),
    "class axis: {x} has the classes on the last axis, {y} on axis 1": _moved_axis(1, -1),
}  # fmt: skip
_LOGARITHM: dict[str, Change] = {
    "the logarithm: {x} takes log(y_pred) (log-probabilities, or Poisson's log_input), {y} takes y_pred":
        lambda t, p: (t, np.log(p)) if (p > 0).all() else None,
}  # fmt: skip


def _explains(change: Change, e: Evidence, x: str) -> bool:
    """Whether both agree after the change, and by far better than before, on all samples and on each alone."""
    after = e.changed(change, x)
    limit = min(e.tolerance * after.size, ROUGH * e.gap if np.isfinite(e.gap) else np.inf)
    if not np.isfinite(after.gap) or after.gap > max(limit, 1e-15):
        return False
    a, b = after.rows("a"), after.rows("b")
    both = np.isfinite(a) & np.isfinite(b)
    return bool(np.allclose(a[both], b[both], rtol=e.tolerance, atol=e.tolerance * after.size))


def _hypothesis(text: str, change: Change) -> Hypothesis:
    return Hypothesis(text.partition(":")[0], lambda e, x, y: _explains(change, e, x), text)


BROADCASTING = Hypothesis(
    "broadcasting", _broadcasting, "broadcasting of y_true {y_true} with y_pred {y_pred}: a {a}, b {b}"
)
OTHER_ARRAYS = first(
    every(*(_hypothesis(text, change) for text, change in _CHANGES.items())),
    *(_hypothesis(text, change) for text, change in _LOGARITHM.items()),
)
"""What explains all of the difference. The logarithm comes last: that of probabilities is a logit, too."""


def after_a_change(relations: Causes) -> Causes:
    """The change after which a relation with a name is all the difference that is left, and that relation."""

    def causes(e: Evidence) -> list[str]:
        for text, change in (_CHANGES | _LOGARITHM).items():
            for x, y in WAYS:
                found = relations(e.changed(change, x))
                if found and not any(word in cause for cause in found for word in _VAGUE):
                    return [text.format(x=x, y=y), *found]
        return []

    return causes

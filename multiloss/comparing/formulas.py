"""Hypotheses of what the formulas differ in: precision, clipping, smoothing, class balance, powers, gradients."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from multiloss.comparing.evidence import LIMIT, ROUGH, SMALL, Evidence, Found, Hypothesis, close, first, measured
from multiloss.comparing.inputs import log_softmax
from multiloss.comparing.scale import BALANCE

_INSIDE = 0.01
"""What is nearer than this to 0 or 1 may be clipped. No library clips as far from them."""
_MEASURED = 1e-5
"""Gradients, and what follows from them, are alike to this, also if they were found by differences."""
_EPSILONS = (1e-12, 1e-8, 1e-7, 2.0**-23, 2e-7, 1e-6)
"""What libraries clip probabilities by."""


def _precision(e: Evidence, x: str, y: str) -> Found:
    """x does not see a change of its input that y sees, and the difference is of the size of its rounding."""
    for name, unit, step in (("float16 or bfloat16", 2.0**-11, 1e-6), ("float32", 2.0**-24, 1e-11)):
        # Each element by its own factor: one factor for all leaves a cosine as it is.
        moved = e.on(y_pred=e.y_pred * (1 + step * np.random.default_rng(0).uniform(0.5, 1.0, e.y_pred.shape)))
        if e.gap / e.size <= 64 * unit and moved.value(x) == e.value(x) and moved.value(y) != e.value(y):
            return {"name": name}
    return False


def _interiors(e: Evidence) -> Iterator[tuple[str, Evidence]]:
    """The data with what is extreme moved inside."""
    t, p = e.y_true, e.y_pred

    def away(x: np.ndarray) -> np.ndarray:
        return np.where(np.abs(x) < _INSIDE, np.where(x < 0, -_INSIDE, _INSIDE), x)

    of_unit = (p >= 0).all() and (p <= 1).all()
    if of_unit:
        yield "y_pred is near 0", e.on(y_pred=np.maximum(p, _INSIDE))
        yield "y_pred is near 1", e.on(y_pred=np.minimum(p, 1 - _INSIDE))
        yield "y_pred is near 0 or 1", e.on(y_pred=np.clip(p, _INSIDE, 1 - _INSIDE))
    if t.dtype.kind == "f":
        yield "y_true is near 0", e.on(away(t))
        if t.shape == p.shape and (t >= 0).all() and (t <= 1).all() and (p >= 0).all():
            inside = np.clip(p, _INSIDE, max(1 - _INSIDE, float(p.max()) - _INSIDE))
            yield "y_true or y_pred is near 0 or 1", e.on(away(t), inside)
    yield "y_pred is large (as a logit: a probability near 0 or 1)", e.on(y_pred=np.clip(p, -5, 5))
    if not of_unit:
        yield "y_pred is near 0", e.on(y_pred=away(p))
        yield "y_pred is below 0", e.on(y_pred=np.maximum(p, _INSIDE))


def _clipping(e: Evidence, x: str, y: str) -> Found:
    for where, inside in _interiors(e):
        moved = any((inside.arrays[name] != array).any() for name, array in e.arrays.items())
        limit = ROUGH * e.gap if np.isfinite(e.gap) else np.inf
        small = inside.gap <= max(e.rtol * inside.size, min(10 * e.tolerance * inside.size, limit))
        if moved and small and np.isfinite(inside.gap):
            return {"where": where, "ends": _largest(e)}
    return False


def _largest(e: Evidence) -> str:
    """What both give on the sample that differs most."""
    a, b = e.rows("a"), e.rows("b")
    gap = np.where(np.isfinite(a) != np.isfinite(b), np.inf, np.where(np.isfinite(a), np.abs(a - b), -1.0))
    if not (gap > 0).any():
        return ""
    i = int(np.argmax(gap))
    stops = [f"; {name} stops at -log({epsilon:.3g})" for name, value in (("a", a[i]), ("b", b[i]))
             for epsilon in _EPSILONS if close(np.exp(-value), epsilon, ROUGH)]  # fmt: skip
    return f" (sample {i}: a = {a[i]:.6g}, b = {b[i]:.6g}{''.join(stops)})"


def _epsilon(e: Evidence, x: str, y: str) -> Found:
    """The difference is small, and grows where an argument nears 0."""
    for name, key in (("y_pred", e.prediction), ("y_true", e.target)):
        if e.gap <= ROUGH * e.size and e.arrays[key].dtype.kind == "f":
            near = [e.on(**{name: value}) for value in (0.3, 0.03, 0.003)]
            gaps = [one.gap / (one.size if name == "y_true" else 1.0) for one in near]
            if 0 < 16 * gaps[0] < 4 * gaps[1] < gaps[2] < np.inf:
                return {"name": name}
    return False


# Label smoothing: the gradient of a cross-entropy is linear in the targets, and tells which it has.


@measured
def _smoothing(e: Evidence, name: str) -> float:
    """s, if a side gives each of K classes s / K of the target; nan of another loss than a cross-entropy of classes."""
    if e.y_pred.ndim != 2 or e.classes < 2 or not (e.is_labels or e.y_true.shape == e.y_pred.shape):
        return float("nan")
    class_0 = np.zeros(1, e.y_true.dtype) if e.is_labels else np.eye(e.classes)[:1]
    one = e.pick([0]).on(class_0)
    mixed = one.on(y_pred=0.7 * one.y_pred + 0.3 * np.flip(one.y_pred, -1))  # they stay probabilities
    used = _targets(name, one, mixed, lambda z, g: (np.exp(log_softmax(z)) - g, -z * g, z - z * g))
    return 1 - float(used[0, 0] - used[0, 1]) if close(used.sum(), 1, _MEASURED) else float("nan")


@measured
def _smoothed_pair(e: Evidence, name: str) -> np.ndarray:
    """What a side uses for the targets 0 and 1; nan of another loss than a binary cross-entropy."""
    if e.y_true.shape != e.y_pred.shape or not np.isin(e.y_true, (0, 1)).all():
        return np.full(2, np.nan)

    def models(z: np.ndarray, g: np.ndarray) -> Any:
        return np.exp(-np.logaddexp(0, -z)) - g, z - z * (1 - z) * g

    pairs = [(one, one.on(y_pred=0.5 * one.y_pred)) for one in (e.pick([0]).on(float(k)) for k in (0, 1))]
    found = np.asarray([_targets(name, *pair, models).flat[0] for pair in pairs])
    return np.round(found, 9) + 0.0  # and no 5.6e-17, nor -0, is shown for 0


def _targets(name: str, one: Evidence, other: Evidence, models: Any) -> np.ndarray:
    """Targets that follow from a prediction and the gradient there, if one of the models gives the same for two."""
    found = []
    for data in (one, other):
        g = data.sides[name].gradient(data.arrays, data.prediction)[0]
        found.append([] if g is None else [t for n in (1, g.size) for t in models(data.y_pred, n * g)])
    alike = [t for t, again in zip(*found, strict=False) if np.allclose(t, again, atol=_MEASURED)]
    return next((t for t in alike if t.min() > -ROUGH and t.max() < 1 + ROUGH), np.full(one.y_pred.shape, np.nan))


def _smoothings(e: Evidence, x: str, y: str) -> Found:
    s = {name: _smoothing(e, name) for name in (x, y)}
    return abs(s[x] - s[y]) > SMALL and {**s, "s": s[x]}


def _of_others(e: Evidence, x: str, y: str) -> Found:
    of_x, of_y = _smoothing(e, x) * e.classes, _smoothing(e, y) * (e.classes - 1)
    return close(of_x, of_y, SMALL) and _smoothings(e, x, y)


def _pairs(e: Evidence, x: str, y: str) -> Found:
    a, b = (_smoothed_pair(e, name) for name in (x, y))
    return np.isfinite(a + b).all() and not np.allclose(a, b, atol=SMALL) and {"a": a, "b": b}


def _grows_with(power: int, e: Evidence, name: str) -> bool:
    """Whether a side depends on the distance alone, and grows with this power of it."""
    if e.y_true.shape != e.y_pred.shape or e.y_true.dtype.kind != "f":
        return False

    def value(arrays: dict[str, np.ndarray]) -> float:
        return dataclasses.replace(e, arrays=arrays).value(name)

    moved = {key: x + 0.37 if x.dtype.kind == "f" else x for key, x in e.arrays.items()}
    equal = {key: e.y_true if x.shape == e.y_true.shape else x for key, x in e.arrays.items()}
    step = np.random.default_rng(1).uniform(0.5, 1.5, e.y_true.shape)
    back, one, two, four = (value({**equal, e.prediction: e.y_true + t * step}) for t in (-2e3, 1e3, 2e3, 4e3))
    is_distance = close(value(moved), e.value(name), e.tolerance) and close(back, two, LIMIT)
    return is_distance and four != two and close(four - two, 2**power * (two - one), LIMIT)


def _term(e: Evidence, x: str, y: str) -> Found:
    """The values differ, the gradients by far less."""
    a, b = e.gradients()["a"], e.gradients()["b"]
    if a is None or b is None or a.shape != b.shape or not np.any(a) or not np.any(b):
        return False
    return bool(np.abs(a - b).max() <= min(e.tolerance, ROUGH * e.gap / e.size) * np.abs(b).max())


PRECISION = Hypothesis(
    "precision", _precision, "precision only: {x} computes in {name}, and the difference has the size of its rounding"
)
FORMULAS = (
    Hypothesis("clipping", _clipping, "differs only where {where}: clipping or an epsilon{ends}"),
    Hypothesis("smoothing of one", lambda e, x, y: abs(_smoothing(e, y)) < SMALL and _smoothings(e, x, y),
               "label smoothing in {x} only (s = {s:.4g} to K = {C} classes)"),
    Hypothesis("K - 1", _of_others,
               "label smoothing of s = {s:.4g} over K against K - 1 (K = {C}): {x} gives every class s / K, {y} gives "
               "the K - 1 others s / (K - 1)"),
    Hypothesis("smoothing", _smoothings,
               "label smoothing differs: a has s = {a:.4g}, b s = {b:.4g}, in the convention s / K"),
    Hypothesis("smoothing of two", _pairs, "label smoothing: a uses {a[0]:.4g} for 0 and {a[1]:.4g} for 1, b uses "
               "{b[0]:.4g} for 0 and {b[1]:.4g} for 1"),
    *BALANCE,
    Hypothesis("epsilon", _epsilon, "a small difference everywhere that grows as {name} nears 0: an epsilon is added "
               "in a logarithm or denominator on one side, or is another there"),
    Hypothesis("term", _term, "the values differ, the gradients do not: a term that does not depend on y_pred (the "
               "targets' entropy, log y!, 0.5 log(2 pi)) is in one only"),
)  # fmt: skip
POWERS = Hypothesis(
    "powers", lambda e, x, y: _grows_with(2, e, x) and _grows_with(1, e, y),
    "squared against not squared: {x} grows with the square of the distance, {y} with the distance itself",
)  # fmt: skip


# The gradients alone.


def _no_gradient(e: Evidence, x: str, y: str) -> Found:
    none, some = e.gradients()[x], e.gradients()[y]
    return some is not None and bool(np.any(some)) and (none is None or not np.any(none))


@measured
def _comparable(e: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """Both gradients; nothing where one has none, or another shape."""
    a, b = e.gradients()["a"], e.gradients()["b"]
    return (np.zeros(0), np.zeros(0)) if a is None or b is None or a.shape != b.shape else (a, b)


def _first_of(e: Evidence, where: np.ndarray, x: str) -> Found:
    """The first of these places: the arrays there, and the gradient of x."""
    if not where.any():
        return False
    index = tuple(int(i) for i in np.argwhere(where)[0])
    shown = [f"{name}{list(index[: array.ndim])} = {array[index[: array.ndim]]:.6g}" for name, array in e.arrays.items()
             if array.ndim and array.shape == where.shape[: array.ndim]]  # fmt: skip
    return {"at": f"at {', '.join(shown) or list(index)}", "value": _comparable(e)["ab".index(x)][index]}


def _only(e: Evidence, places: Any) -> Found:
    """Whether the gradients differ at these places and no others."""
    a, b = _comparable(e)
    size = np.abs(b[np.isfinite(b)]).max(initial=0.0)
    where = ~np.isclose(a, b, rtol=100 * e.rtol, atol=100 * e.rtol * size)
    return not (where & np.logical_not(places)).any() and _first_of(e, where, "a")


def _not_finite(e: Evidence, x: str, y: str) -> Found:
    bad, good = (_comparable(e)["ab".index(name)] for name in (x, y))
    return _first_of(e, ~np.isfinite(bad) & np.isfinite(good), x)


def _ends(p: np.ndarray) -> np.ndarray:
    """Where probabilities are 0 or 1, or clipped."""
    return ((p >= 0) & (p <= 1)).all() & ((p <= max(_EPSILONS)) | (1 - p <= max(_EPSILONS)))


def _agree_beside(e: Evidence) -> bool:
    """Whether the gradients agree for predictions beside these."""
    beside = {**e.arrays, e.prediction: e.y_pred + 1e-3 * np.random.default_rng(0).normal(size=e.y_pred.shape)}
    a, b = (side.gradient(beside, e.prediction, e.weight)[0] for side in e.sides.values())
    return a is not None and b is not None and np.allclose(a, b, rtol=_MEASURED, atol=_MEASURED * np.abs(a).max())


def _times(e: Evidence, x: str, y: str) -> Found:
    a, b = _comparable(e)
    k = float((a * b).sum() / (a * a).sum()) if np.any(a) else 0.0
    return k != 0 and np.allclose(k * a, b, rtol=_MEASURED, atol=e.tolerance * np.abs(b).max()) and {"k": k}


GRADIENTS = first(
    Hypothesis("no gradient", _no_gradient,
               "gradient only: {x} has none (detached, or cut off by clipping), {y} has one"),
    Hypothesis("not finite", _not_finite, "gradient only: that of {x} is {value} {at}, that of {y} is finite"),
    Hypothesis("ties", lambda e, x, y: e.y_true.shape == e.y_pred.shape and _only(e, e.y_true == e.y_pred),
               "gradient only: they differ where y_true equals y_pred, a tie: the subgradient there is another"),
    Hypothesis("ends", lambda e, x, y: _only(e, _ends(e.y_pred)),
               "gradient only: they differ where y_pred is at 0 or 1 or beyond ({at}): clipping or a tie there"),
    Hypothesis("kink", lambda e, x, y: _only(e, _agree_beside(e)), "gradient only: they differ at a kink or tie ({at}) "
               "and agree beside it: the subgradient there is another"),
    Hypothesis("factor", _times, "gradient only: that of b is {k:.6g} times that of a"),
    Hypothesis("elsewhere", lambda e, x, y: _only(e, True),
               "gradient only: they differ {at}; parts of one are taken as constants, or clipped"),
)  # fmt: skip
"""Why the gradients differ, where the values do not."""

"""Causes with a shape of their own: clipping, epsilon, label smoothing, class balance, powers, precision, kinks."""

from __future__ import annotations

from typing import Any

import numpy as np

from multiloss.porting.evidence import Arrays, Evidence, close, told

_INSIDE = 0.01
_SMALL = 1e-5


def clipping(e: Evidence) -> list[str]:
    """The difference goes away where the arrays are moved off their extremes."""
    found = []
    for name, where, moved in _interiors(e):
        if all(np.array_equal(moved[key], e.arrays[key]) for key in moved):
            continue
        a, b = e.mean("a", moved), e.mean("b", moved)
        before = abs(e.plain.whole_a - e.plain.whole_b)
        small = close(a, b, e.rtol) or (close(a, b, _SMALL) and abs(a - b) <= 1e-3 * before)
        if np.isfinite(a) and (small or (not np.isfinite(before) and close(a, b, _SMALL))):
            found.append(f"differs only where {name} is {where}: clipping or an epsilon" + _ends(e))
            break
    return found


def _interiors(e: Evidence) -> list[tuple[str, str, Arrays]]:
    (
        t,
        p,
    ) = e.target, e.prediction
    y_true, y_pred = e.y_true, e.y_pred
    moved: list[tuple[str, str, Arrays]] = []
    if (y_pred >= 0).all() and (y_pred <= 1).all():
        inside = np.clip(y_pred, _INSIDE, 1 - _INSIDE)
        only_0, only_1 = np.maximum(y_pred, _INSIDE), np.minimum(y_pred, 1 - _INSIDE)
        moved += [
            ("y_pred", "near 0", {**e.arrays, p: only_0}),
            ("y_pred", "near 1", {**e.arrays, p: only_1}),
            ("y_pred", "near 0 or 1", {**e.arrays, p: inside}),
        ]
    if y_true.dtype.kind == "f":
        sign = np.where(y_true < 0, -1.0, 1.0)
        away = np.where(np.abs(y_true) < _INSIDE, sign * _INSIDE, y_true)
        moved.append(("y_true", "near 0", {**e.arrays, t: away}))
        if y_true.shape == y_pred.shape and (y_true >= 0).all() and (y_true <= 1).all() and (y_pred >= 0).all():
            both = {**e.arrays, t: away, p: np.clip(y_pred, _INSIDE, max(1 - _INSIDE, float(y_pred.max()) - _INSIDE))}
            moved.append(("y_true or y_pred", "near 0 or 1", both))
    if (np.abs(y_pred) > 5).any():
        moved.append(
            ("y_pred", "large (as a logit: a probability near 0 or 1)", {**e.arrays, p: np.clip(y_pred, -5, 5)})
        )
    if not (y_pred >= 0).all() or (y_pred > 1).any():
        sign = np.where(y_pred < 0, -1.0, 1.0)
        moved.append(("y_pred", "near 0", {**e.arrays, p: np.where(np.abs(y_pred) < _INSIDE, sign * _INSIDE, y_pred)}))
        moved.append(("y_pred", "below 0", {**e.arrays, p: np.where(y_pred < _INSIDE, _INSIDE, y_pred)}))
    return moved


def _ends(e: Evidence) -> str:
    """What both give on the sample that differs most."""
    a, b = e.plain.rows_a, e.plain.rows_b
    gap = np.where(np.isfinite(a) != np.isfinite(b), np.inf, np.where(np.isfinite(a), np.abs(a - b), -1.0))
    if not (gap > 0).any():
        return ""
    i = int(np.argmax(gap))
    text = f" (sample {i}: a = {a[i]:.6g}, b = {b[i]:.6g}"
    for name, value in (("a", a[i]), ("b", b[i])):
        power = float(np.exp(-value))
        for epsilon in (1e-7, 2e-7, 1e-8, 1e-12, 1e-6, 2.0**-23):
            if close(power, epsilon, 1e-3):
                text += f"; {name} stops at -log({epsilon:.3g})"
    return text + ")"


def epsilon(e: Evidence) -> list[str]:
    """A small difference everywhere that grows where an argument nears 0: something is added, or the floor differs."""
    gap = abs(e.plain.whole_a - e.plain.whole_b)
    if not gap <= 1e-3 * max(abs(e.plain.whole_a), abs(e.plain.whole_b)):
        return []
    for name, key in (("y_pred", e.prediction), ("y_true", e.target)):
        if e.arrays[key].dtype.kind != "f":
            continue
        gaps = []
        for value in (0.3, 0.03, 0.003):
            arrays = {**e.arrays, key: np.full(e.arrays[key].shape, value)}
            a, b = e.mean("a", arrays), e.mean("b", arrays)
            gaps.append(abs(a - b) / (max(abs(a), abs(b)) if key == e.target else 1.0))
        if all(np.isfinite(gaps)) and gaps[0] > 0 and all(gaps[i + 1] > 4 * gaps[i] for i in (0, 1)):
            return told(
                f"a small difference everywhere that grows as {name} nears 0: an epsilon is added in a logarithm or "
                f"denominator on one side, or is another there"
            )
    return []


def smoothing(e: Evidence) -> list[str]:
    """Cross-entropy is linear in its targets, so the targets that a side really uses can be solved for."""
    return _smoothing_of_classes(e) or _smoothing_of_two(e)


def _smoothing_of_classes(e: Evidence) -> list[str]:
    k = e.classes
    if e.y_pred.ndim != 2 or k < 2:
        return []
    hot = e.y_true.shape == e.y_pred.shape
    if not (hot or e.is_labels):
        return []
    own = {name: _uniform_part(e, name, k, hot) for name in ("a", "b")}
    if any(value is None for value in own.values()):
        return []
    a, b = float(own["a"] or 0.0), float(own["b"] or 0.0)
    if abs(a - b) < 1e-4:
        return []
    if min(abs(a), abs(b)) < 1e-5:
        return told(
            f"label smoothing in {'a' if abs(a) > abs(b) else 'b'} only (s = {max(abs(a), abs(b)):.4g} to K = {k} "
            f"classes)"
        )
    low, high = sorted(("a", "b"), key=lambda name: abs(float(own[name] or 0.0)))
    s = float(own[low] or 0.0)
    if close(float(own[high] or 0.0) / s, k / (k - 1), 1e-4):
        return told(
            f"label smoothing of s = {s:.4g} over K against K - 1 (K = {k}): {low} gives every class s / K, {high} "
            f"gives the K - 1 others s / (K - 1)"
        )
    return told(f"label smoothing differs: a has s = {a:.4g}, b s = {b:.4g}, in the convention s / K")


def _uniform_part(e: Evidence, name: str, k: int, hot: bool) -> float | None:
    """s where the value for class j is (1 - s) CE_j + s mean(CE), of logits or of probabilities; else None."""
    one = e.y_pred[:1]
    values = []
    for j in range(k):
        target = np.eye(k)[[j]] if hot else np.asarray([j], dtype=e.y_true.dtype)
        values.append(e.mean(name, {**e.arrays, e.target: target, e.prediction: one}))
    found = np.asarray(values)
    with np.errstate(all="ignore"):
        logits = one[0] if not ((one > 0).all() and close(one.sum(), 1, 1e-6)) else np.log(one[0])
    for z in (logits, one[0]):
        ce = np.log(np.exp(z - z.max()).sum()) + z.max() - z
        if not np.isfinite(found).all() or np.ptp(ce) < 1e-6:
            return None
        slope, offset = np.polyfit(ce, found, 1)
        s = 1 - float(slope)
        fits = np.allclose(slope * ce + offset, found, rtol=1e-4) and close(offset + 1e-9, s * ce.mean() + 1e-9, 1e-3)
        if 0 - 1e-6 <= s < 1 and (fits or abs(s) + abs(offset) < 1e-6):
            return s
    return None


def _smoothing_of_two(e: Evidence) -> list[str]:
    if e.y_true.shape != e.y_pred.shape or not np.isin(e.y_true, (0, 1)).all():
        return []
    targets = {name: _targets_of_two(e, name) for name in ("a", "b")}
    if targets["a"] is None or targets["b"] is None:
        return []
    if np.allclose(targets["a"], targets["b"], atol=1e-4):
        return []
    text = ", ".join(
        f"{name} uses {t[0]:.4g} for 0 and {t[1]:.4g} for 1" for name, t in targets.items() if t is not None
    )
    return told(f"label smoothing: {text}")


def _targets_of_two(e: Evidence, name: str) -> tuple[float, float] | None:
    """The targets that a binary cross-entropy uses for 0 and 1; None of another loss, whose differ with the logit."""
    found = [_targets_at(e, name, x) for x in (0.9, 0.4)]
    if found[0] is None or found[1] is None or not np.allclose(found[0], found[1], atol=1e-3):
        return None
    return found[0]


def _targets_at(e: Evidence, name: str, x: float) -> tuple[float, float] | None:
    probabilities = bool(((e.y_pred >= 0) & (e.y_pred <= 1)).all())
    up, down = (1 / (1 + np.exp(-x)), 1 / (1 + np.exp(x))) if probabilities else (x, -x)
    f = {}
    for label in (0.0, 1.0):
        for sign, value in ((1, up), (-1, down)):
            arrays = {
                **e.arrays,
                e.target: np.full(e.y_true.shape, label),
                e.prediction: np.full(e.y_pred.shape, value),
            }
            f[label, sign] = e.mean(name, arrays)
    l1, l0 = float(np.log1p(np.exp(-x))), float(np.log1p(np.exp(x)))
    scale = {label: (f[label, 1] + f[label, -1]) / (l0 + l1) for label in (0.0, 1.0)}
    if not (scale[0.0] and np.isfinite(scale[0.0]) and close(scale[0.0], scale[1.0], 1e-5)):
        return None
    found = [0.5 + (f[label, -1] - f[label, 1]) / (2 * scale[label] * x) for label in (0.0, 1.0)]
    return (found[0], found[1]) if all(-1e-4 <= t <= 1.0001 for t in found) else None


def balance(e: Evidence) -> list[str]:
    """A factor that depends on whether the target is 1 or 0."""
    if e.y_true.shape != e.y_pred.shape or e.is_labels or len(e.arrays) != 2:
        return []
    if not ((e.y_true >= 0) & (e.y_true <= 1)).all():
        return []
    factors = {}
    for label in (0.0, 1.0):
        pair = e.pair(*(lambda arrays, v=label: {**arrays, e.target: np.full(arrays[e.target].shape, v)},) * 2)
        a, b = pair.rows_a, pair.rows_b
        if not (np.isfinite(a).all() and np.isfinite(b).all() and len(a) > 1 and (a > 0).all() and (b > 0).all()):
            return []
        ratios = b / a
        if np.ptp(ratios) > 10 * e.tolerance * ratios.max():
            return []
        factors[label] = float(ratios[0])
    k0, k1 = factors[0.0], factors[1.0]
    if close(k0, k1, 10 * e.tolerance):
        return []
    tolerance = 100 * e.tolerance
    shown = f"b / a is {k1:.4g} where y_true = 1 and {k0:.4g} where it is 0"
    for x, y, f1, f0 in (("b", "a", k1, k0), ("a", "b", 1 / k1, 1 / k0)):
        if close(f1 + f0, 1, tolerance):
            return told(
                f"focal alpha: {x} weighs y = 1 by alpha = {f1:.4g} and y = 0 by 1 - alpha, {y} ignores alpha ({shown})"
            )
    if close(k0 * k1, 1, tolerance):
        return told(f"focal alpha is on the other class: alpha and 1 - alpha are exchanged ({shown})")
    only = next((text for k, text in ((k0, "1"), (k1, "0")) if close(k, 1, tolerance)), None)
    one = f" the class y = {only} alone is weighed differently" if only else " the classes are weighed differently"
    return told(f"class balance (focal alpha, pos_weight):{one} ({shown})")


def powers(e: Evidence) -> list[str]:
    """One grows with the square of the distance, the other with the distance."""
    growth = {name: _growth(e, name) for name in ("a", "b")}
    for x, y in (("a", "b"), ("b", "a")):
        if close(growth[x], 4, 0.02) and close(growth[y], 2, 0.02):
            return told(
                f"squared against not squared: {x} grows with the square of the distance, {y} with the distance itself"
            )
    return []


def _growth(e: Evidence, name: str) -> float:
    if e.y_true.shape != e.y_pred.shape or e.y_true.dtype.kind != "f":
        return float("nan")
    moved = {key: x + 0.37 if x.dtype.kind == "f" else x for key, x in e.arrays.items()}
    if not close(e.mean(name, moved), e.mean(name, e.arrays), 1e-6):  # it is not of distances
        return float("nan")
    step = np.random.default_rng(1).uniform(0.5, 1.5, e.y_true.shape)
    others = {key: e.y_true if x.shape == e.y_true.shape else x for key, x in e.arrays.items()}
    f = [e.mean(name, {**others, e.prediction: e.y_true + t * step}) for t in (1e3, 2e3, 4e3)]
    back = e.mean(name, {**others, e.prediction: e.y_true - 2e3 * step})
    return (f[2] - f[1]) / (f[1] - f[0]) if f[1] != f[0] and close(back, f[1], 1e-2) else float("nan")


def precision(e: Evidence) -> list[str]:
    """One side does not see a change of its input that the other does: it computes in fewer digits."""
    gap = abs(e.plain.whole_a - e.plain.whole_b)
    scale = max(abs(e.plain.whole_a), abs(e.plain.whole_b), 1e-300)
    for name, unit, step in (("float16 or bfloat16", 2.0**-11, 1e-6), ("float32", 2.0**-24, 1e-11)):
        if not gap / scale <= 64 * unit:
            continue
        # Each element by its own factor: one factor for all leaves a cosine as it is.
        factors = 1 + step * np.random.default_rng(0).uniform(0.5, 1.0, size=e.y_pred.shape)
        moved = {**e.arrays, e.prediction: e.y_pred * factors}
        still = {side: bool(e.mean(side, moved) == getattr(e.plain, f"whole_{side}")) for side in ("a", "b")}
        for x in ("a", "b"):
            if still[x] and not still["b" if x == "a" else "a"]:
                return told(f"precision only: {x} computes in {name}, and the difference has the size of its rounding")
    return []


def slopes(e: Evidence, a: np.ndarray | None, b: np.ndarray | None) -> list[str]:
    """Equal values, other gradients."""
    for x, y, none, some in (("a", "b", a, b), ("b", "a", b, a)):
        if some is not None and np.any(some) and (none is None or not np.any(none)):
            return told(f"gradient only: {x} has none (detached, or cut off by clipping), {y} has one")
    if a is None or b is None or a.shape != b.shape:
        return []
    for x, y, bad, good in (("a", "b", a, b), ("b", "a", b, a)):
        if (where := ~np.isfinite(bad) & np.isfinite(good)).any():
            return told(f"gradient only: that of {x} is {bad[where].flat[0]} {at(e, where)}, that of {y} is finite")
    differ = ~np.isclose(a, b, rtol=100 * e.rtol, atol=100 * e.rtol * np.abs(b[np.isfinite(b)]).max(initial=0.0))
    ties = e.y_true == e.y_pred if e.y_true.shape == e.y_pred.shape else np.zeros(e.y_pred.shape, bool)
    if differ.any() and (~differ | ties).all():
        return told("gradient only: they differ where y_true equals y_pred, a tie: the subgradient there is another")
    inside = (e.y_pred >= 0).all() and (e.y_pred <= 1).all()
    if inside and differ.any() and (~differ | (e.y_pred <= 1e-6) | (np.abs(e.y_pred - 1) <= 1e-6)).all():
        return told(
            f"gradient only: they differ where y_pred is at 0 or 1 or beyond ({at(e, differ)}): clipping or a tie there"
        )
    rng = np.random.default_rng(0)
    moved = {**e.arrays, e.prediction: e.y_pred + 1e-3 * rng.normal(size=e.y_pred.shape)}
    found = [side.gradient(moved, e.prediction, e.weight)[0] for side in (e.a, e.b)]
    if (
        found[0] is not None
        and found[1] is not None
        and np.allclose(found[0], found[1], rtol=1e-5, atol=1e-5 * np.abs(found[0]).max())
    ):
        return told(
            f"gradient only: they differ at a kink or tie ({at(e, differ)}) and agree beside it: the subgradient "
            f"there is another"
        )
    factor = float((a * b).sum() / (a * a).sum()) if np.any(a) else 0.0
    if factor and np.allclose(factor * a, b, rtol=1e-5, atol=1e-6 * np.abs(b).max()):
        return told(f"gradient only: that of b is {factor:.6g} times that of a")
    return told(f"gradient only: they differ {at(e, differ)}; parts of one are taken as constants, or clipped")


def at(e: Evidence, where: np.ndarray) -> str:
    """The first place, and the arrays there."""
    index = tuple(int(i) for i in np.argwhere(where)[0])
    shown = [
        f"{name}{list(index[: x.ndim])} = {x[index[: x.ndim]]:.6g}"
        for name, x in e.arrays.items()
        if x.ndim and x.shape == where.shape[: x.ndim]
    ]
    return f"at {', '.join(shown) or list(index)}"


def constant(e: Evidence, a: Any, b: Any) -> list[str]:
    """Equal gradients, other values."""
    if a is None or b is None or a.shape != b.shape or not np.any(a):
        return []
    gap = np.abs(a - b).max() / np.abs(b).max() if np.any(b) else np.inf
    if gap <= min(
        1e-6, 1e-2 * abs(e.plain.whole_a - e.plain.whole_b) / max(abs(e.plain.whole_a), abs(e.plain.whole_b))
    ):
        return told(
            "the values differ, the gradients do not: a term that does not depend on y_pred (the targets' entropy, "
            "log y!, 0.5 log(2 pi)) is in one only"
        )
    return []

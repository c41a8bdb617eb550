"""Relations between two sides' numbers that name a cause: factors, denominators, offsets, roots, weights."""

from __future__ import annotations

import numpy as np

from multiloss.porting.evidence import Evidence, Pair, close, told

_LOG_2PI = float(np.log(2 * np.pi))


def relation(pair: Pair) -> list[str]:
    """Why the two differ, if a factor, an offset or the way samples are combined is all of it."""
    e = pair.evidence
    one, other = pair.rows_a, pair.rows_b
    if not (np.isfinite(pair.whole_a) and np.isfinite(pair.whole_b)):
        return []
    alive = np.isfinite(one) & np.isfinite(other)
    a, b = one[alive], other[alive]
    if len(a) < 2:
        return _without_rows(pair)
    scale = max(float(np.abs(b).max()), float(np.abs(a).max()))
    if scale == 0:
        return []
    if np.allclose(a, b, rtol=e.tolerance, atol=e.tolerance * scale):
        return [] if close(pair.whole_a, pair.whole_b, 10 * e.tolerance) else _combined(pair, alive)
    factor = float(a @ b / (a @ a)) if (a @ a) else 0.0
    if factor and _fits(e, factor * a, b, a) and (np.ptp(np.abs(a)) > 1e-3 * scale or len(a) > 2):
        return _factors(pair, factor)
    return _root(pair, a, b) or _affine(pair, a, b) or _weights(pair, a, b, alive)


def _without_rows(pair: Pair) -> list[str]:
    """One sample alone does not run: whole batches, repeated, tell."""
    e = pair.evidence
    ratio = pair.whole_b / pair.whole_a if pair.whole_a else 0.0
    twice = pair.ratio_of(e.repeated(0))
    if not ratio or close(ratio, 1, e.tolerance):
        return []
    for power in (1, -1):
        if close(ratio, float(e.count) ** power, e.tolerance) and close(twice, ratio * 2.0**power, e.tolerance):
            return [_batch(e, power)]
    return []


def _fits(e: Evidence, found: np.ndarray, wanted: np.ndarray, before: np.ndarray) -> bool:
    gap = np.abs(found - wanted).max()
    return bool(gap <= min(e.tolerance * np.abs(wanted).max(), 1e-2 * np.abs(before - wanted).max()))


def _batch(e: Evidence, power: int) -> str:
    summed, averaged = ("b", "a") if power > 0 else ("a", "b")
    return (
        f"b = {'N a' if power > 0 else 'a / N'} (N = {e.count}): {summed} sums over the batch, "
        f"{averaged} takes the mean over it"
    )


def _factors(pair: Pair, factor: float) -> list[str]:
    """A factor on every sample: of the number of elements, the batch, and a constant."""
    e = pair.evidence
    whole = pair.whole_b / pair.whole_a if pair.whole_a else factor
    power = next((p for p in (1, -1) if e.count > 1 and close(whole, factor * float(e.count) ** p, e.tolerance)), 0)
    if not power and not close(whole, factor, 10 * e.tolerance):
        return []
    for scale in (0.97, 1.02):  # where few samples are not 0, any factor fits them: it must fit others too
        other = pair.ratio_of({**e.arrays, e.prediction: e.y_pred * scale})
        if np.isfinite(other) and not close(other, whole, 100 * e.tolerance):
            return []
    sizes = (e.classes, e.elements)
    if power and any(close(whole, float(size) ** sign, e.tolerance) for size in sizes for sign in (1, -1)):
        factor, power = whole, 0  # divided by this batch's size, written out
    found: list[str] = []
    rest = factor
    wide = pair.ratio_of(e.repeated(-1)) / whole
    for size, text in ((e.classes, f"C = {e.classes}"), (e.elements, f"{e.elements} in a sample")):
        for sign in (1, -1):
            grows = close(wide, 2.0**sign, e.tolerance)
            equal = close(abs(factor), float(size) ** sign, e.tolerance)
            if size > 1 and not found and ((equal and not close(wide, 1, e.tolerance)) or (grows and equal)):
                found.append(_elements(sign, text, power, e))
                rest = factor / float(size) ** sign
    if not found and e.classes > 1 and not close(wide, 1, e.tolerance):
        for sign in (1, -1):
            if close(wide, 2.0**sign, e.tolerance):
                found.append(_elements(sign, f"C = {e.classes}", power, e))
                rest = factor / float(e.classes) ** sign
    if power and not (found and "N x C" in found[0]):
        found.append(_batch(e, power))
    if not close(rest, 1, e.tolerance):
        found.insert(0, _constant(pair, rest))
    return found


def _elements(sign: int, text: str, power: int, e: Evidence) -> str:
    summed, averaged = ("b", "a") if sign > 0 else ("a", "b")
    if power == sign:
        factor = "N C a" if sign > 0 else "a / (N C)"
        return f"b = {factor} (N = {e.count}, {text}): {summed} is the sum, {averaged} the mean over N x C elements"
    return (
        f"b = {'C a' if sign > 0 else 'a / C'} ({text}): {averaged} takes the mean over elements, {summed} sums over "
        f"them and takes the mean over the batch (torch's KLDivLoss: reduction='mean' against 'batchmean')"
    )


def _constant(pair: Pair, factor: float) -> str:
    e = pair.evidence
    text = f"b = {factor:.6g} a"
    if close(factor, -1, e.tolerance):
        return "b = -a: the sign; one is a similarity or a gain, the other the loss (Keras' cosine is the negative)"
    delta = _huber_delta(pair)
    if delta is not None and (close(factor, delta, 1e-3) or close(factor, 1 / delta, 1e-3)) and delta != 1:
        huber, smooth = ("b", "a") if (factor > 1) == (delta > 1) else ("a", "b")
        return f"{text}: {huber} is the Huber loss, {smooth} smooth L1, which is Huber / delta (delta = {delta:.6g})"
    for value, why in (
        (0.5, "one has the factor 1/2"),
        (100.0, "one is in percent"),
        (np.log(2), "the base of the logarithm is 2 in one, e in the other"),
        (np.log(10), "the base of the logarithm is 10 in one, e in the other"),
    ):
        if close(abs(factor), value, e.tolerance) or close(abs(factor), 1 / value, e.tolerance):
            return f"{text}: {why}" + (", and the sign differs" if factor < 0 else "")
    for side in (e.a, e.b):
        for option, value in side.options.items():
            number = isinstance(value, float) and value > 0
            if number and (close(factor, value, e.tolerance) or close(factor, 1 / value, e.tolerance)):
                return f"{text}: the factor is {option} = {value:g} of {side.name}"
    return f"{text} on every sample: one has a constant factor, such as a loss weight"


def _huber_delta(pair: Pair) -> float | None:
    """Where both go from quadratic to linear, if they do."""
    e = pair.evidence
    if e.y_true.shape != e.y_pred.shape or len(e.arrays) != 2:
        return None
    deltas = []
    for name in ("a", "b"):
        curve = [
            pair.of(name, {e.target: np.zeros(e.y_pred.shape), e.prediction: np.full(e.y_pred.shape, t)})
            for t in (1e-3, 2e-3, 1e5, 2e5)
        ]
        small, large = curve[0] * 2e6, (curve[3] - curve[2]) / 1e5
        if not (
            close(curve[1], 4 * curve[0], 1e-3) and small > 0 and large > 0 and close(curve[3], 2 * curve[2], 1e-2)
        ):
            return None
        deltas.append(large / small)
    return float(deltas[0]) if close(deltas[0], deltas[1], 1e-3) else None


def _root(pair: Pair, a: np.ndarray, b: np.ndarray) -> list[str]:
    e = pair.evidence
    for of, root, name, other in ((a, b, "b", "a"), (b, a, "a", "b")):
        if (of >= 0).all() and _fits(e, np.sqrt(of), root, of):
            wholes = {"a": pair.whole_a, "b": pair.whole_b}
            per = "" if close(wholes[name], np.sqrt(abs(wholes[other])), 1e-6) else " of each sample"
            return told(f"{name} is the square root of {other}{per}: root against squared")
    return []


def _affine(pair: Pair, a: np.ndarray, b: np.ndarray) -> list[str]:
    e = pair.evidence
    if len(a) < 3 or np.ptp(a) <= 1e-6 * np.abs(a).max():
        return []
    slope, offset = (float(x) for x in np.polyfit(a, b, 1))
    if (
        abs(slope) * np.ptp(a) <= 1e-3 * abs(offset) * e.tolerance
        or not _fits(e, slope * a + offset, b, a)
        or not close(pair.whole_b, slope * pair.whole_a + offset, 1e-5)
    ):
        return []
    if close(slope, 1, e.tolerance):
        for value, name in ((0.5 * _LOG_2PI, "0.5 log(2 pi)"), (_LOG_2PI, "log(2 pi)"), (np.log(2), "log 2")):
            if e.elements and (close(abs(offset), value, 1e-5) or close(abs(offset), value * e.elements, 1e-5)):
                return told(
                    f"b = a {'+' if offset > 0 else '-'} {abs(offset):.6g}: the normalising constant {name} is in "
                    f"{'b' if offset > 0 else 'a'} only"
                )
        if close(abs(offset), 1, e.tolerance):
            return told(
                f"b = a {'+' if offset > 0 else '-'} 1: one is 1 - s, the other -s (the cosine distance against "
                f"Keras' negative cosine)"
            )
        return told(
            f"b = a {'+' if offset > 0 else '-'} {abs(offset):.6g} on every sample: a constant offset, such as a "
            f"normalising constant"
        )
    if close(slope, -1, e.tolerance) and close(offset, 1, e.tolerance):
        return told("b = 1 - a: the sign; one is a similarity, the other the distance 1 - s")
    return told(
        f"b = {slope:.6g} a {'+' if offset > 0 else '-'} {abs(offset):.6g} on every sample: a factor and an offset"
    )


def _combined(pair: Pair, alive: np.ndarray) -> list[str]:
    """Single samples agree, the batch does not."""
    e = pair.evidence
    ratio = pair.whole_b / pair.whole_a if pair.whole_a else 0.0
    for power in (1, -1):
        if e.count > 1 and close(ratio, float(e.count) ** power, e.tolerance):
            return [_batch(e, power)]
    zero = (pair.rows_a == 0) | (pair.rows_b == 0) | ~alive
    left = int(e.count - zero.sum())
    if len(zero) == e.count and 0 < left < e.count:
        for power, count_all, count_left in ((1, "a", "b"), (-1, "b", "a")):
            if close(ratio, (e.count / left) ** power, e.tolerance):
                return told(
                    f"{count_all} counts ignored or masked samples in the mean's denominator (N = {e.count}), "
                    f"{count_left} only the {left} others"
                )
    a, b = float(np.mean(pair.rows_a)), float(np.mean(pair.rows_b))
    for name, other, of, rest in (
        ("a", "b", (pair.whole_a, a), (pair.whole_b, b)),
        ("b", "a", (pair.whole_b, b), (pair.whole_a, a)),
    ):
        if close(*rest, e.tolerance) and not close(*of, e.tolerance):
            return told(
                f"{name} takes the whole batch as one (its value is not the mean over samples), {other} is the "
                f"mean of values per sample"
            )
    if len(zero) < e.count:  # the others may tell more
        return []
    return told("each sample alone gives the same, the batch does not: the samples are combined in other ways")


def _weights(pair: Pair, a: np.ndarray, b: np.ndarray, alive: np.ndarray) -> list[str]:
    """Samples differ by factors of their own: weights."""
    e = pair.evidence
    used = (a != 0) & (b != 0)
    if used.sum() < 3 or len(alive) != e.count:
        return []
    ratios = np.where(used, b / np.where(a == 0, 1, a), 1.0)
    labels = _labels(e)[: len(alive)][alive] if _labels(e) is not None else None  # type: ignore[index]
    per_class = None
    if labels is not None and len(np.unique(labels)) < used.sum():
        groups = {int(k): ratios[used & (labels == k)] for k in np.unique(labels[used])}
        alike = all(np.ptp(x) <= 10 * e.tolerance * np.abs(x).max() for x in groups.values())
        if alike and _stays(pair, ratios, used, alive):
            per_class = {k: float(x[0]) for k, x in groups.items()}
    given = None
    if e.weight is not None and e.weight.shape == (e.count,):
        w = e.weight[: len(alive)][alive]
        given = next(
            (s for s in (1, -1) if np.allclose(ratios[used], w[used] ** float(s), rtol=10 * e.tolerance)), None
        )
    if per_class is None and given is None:
        return []
    what = "sample weights" if given is not None else "class weights"
    ratio = pair.whole_b / pair.whole_a if pair.whole_a else 0.0
    for value, divides, other in ((ratio, "a", "b"), (1 / ratio if ratio else 0.0, "b", "a")):
        factors = ratios if divides == "a" else 1 / ratios
        for total, by in ((factors.mean(), f"by the number of samples, N = {e.count}"), (factors.sum(), "by nothing")):
            if close(value, float(total), 10 * e.tolerance):
                return told(f"weighted mean: {divides} divides by the sum of the {what}, {other} {by}")
    if given is not None:
        unweighted = ("b", "a")[given > 0]
        return told(f"{unweighted} ignores the sample weights")
    shown = ", ".join(f"{k}: {v:.4g}" for k, v in list((per_class or {}).items())[:6])
    return told(f"class weights: b / a depends on the class only ({shown})")


def _stays(pair: Pair, ratios: np.ndarray, used: np.ndarray, alive: np.ndarray) -> bool:
    """Whether the ratios are the labels' own: the predictions of other samples leave them."""
    e = pair.evidence
    rolled = {**e.arrays, e.prediction: np.roll(e.y_pred, 1, axis=0)}
    for i, ratio, counts in zip(np.flatnonzero(alive), ratios, used, strict=True):
        one = {name: x[i : i + 1] if x.shape[:1] == e.y_pred.shape[:1] else x for name, x in rolled.items()}
        if counts and not close(pair.ratio_of(one), ratio, 10 * e.tolerance):
            return False
    return True


def _labels(e: Evidence) -> np.ndarray | None:
    if e.is_labels and e.y_true.ndim == 1:
        return e.y_true
    if e.y_true.shape == e.y_pred.shape and e.y_true.ndim == 2 and e.classes > 1:
        hot = np.isin(e.y_true, (0, 1)).all() and (e.y_true.sum(axis=-1) == 1).all()
        return e.y_true.argmax(axis=-1) if hot else None
    return None

"""Hypotheses of how the numbers of both sides relate: factors, denominators, offsets, roots, weights."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from multiloss.comparing.evidence import (
    LIMIT,
    ROUGH,
    SMALL,
    Evidence,
    Found,
    Hypothesis,
    Test,
    close,
    every,
    first,
    measured,
)

_POWER = {"b": 1, "a": -1}
"""The power with which a number is a factor of b / a, if this side multiplies by it, or sums over so many."""


# A factor: b / a is a constant times powers of the number of elements and of samples.


class _Product(NamedTuple):
    constant: float
    batch: int  #: The power of N: 1 if b sums over the batch and a does not, -1 the other way round, else 0.
    elements: int  #: The power of the number of elements.
    size: str  #: That number, in words.


@measured
def _product(e: Evidence) -> _Product | None:
    """The factor of b / a that holds of each sample alone, of all, of repeated data, and of other predictions, which
    tell where few samples are not 0: any factor would fit them."""
    a, b, alive = _rows(e)
    largest = np.abs(b).max(initial=0.0)
    if len(a) > 1 and not np.allclose(a * (a @ b / max(a @ a, 1e-300)), b, rtol=0, atol=e.tolerance * largest):
        return None  # not even of the samples alone
    runs = [*e.samples(), e, e.twice(0), e.twice(-1), e.on(y_pred=0.97 * e.y_pred), e.on(y_pred=1.02 * e.y_pred)]
    is_sample = np.arange(len(runs)) < len(alive)
    a, b = (np.asarray([run.value(name) for run in runs]) for name in ("a", "b"))
    alive = np.isfinite(a) & np.isfinite(b)
    sizes = np.where(is_sample, largest, np.abs(b))
    limit = np.minimum(e.tolerance * sizes, ROUGH * np.abs(a - b)[alive].max(initial=0.0))[alive]
    found = []
    for size, of in (("C = {}", "classes"), ("{} in a sample", "elements")):
        n, c = (np.asarray([float(getattr(run, name)) for run in runs]) for name in ("count", of))
        for elements, batch in itertools.product((0, 1, -1), repeat=2):
            base = (a * n**batch * c**elements)[alive]
            k = float(base @ b[alive] / (base @ base)) if base @ base else 0.0
            if k and (np.abs(k * base - b[alive]) <= limit).all():
                found.append(_Product(k, batch, elements, size.format(getattr(e, of))))
    if not found:
        return None
    best = min(found, key=lambda one: not close(one.constant, 1, e.tolerance))  # the first, or one without a constant
    written_out = best.batch and close(best.constant * float(e.count) ** best.batch, 1, e.tolerance)
    return best._replace(constant=1.0, batch=0) if written_out else best  # divided by the size of just this batch


def _sum(over: str) -> Test:
    """Whether x sums over "N" samples, "C" elements, or both ("N C"), and y takes the mean."""

    def test(e: Evidence, x: str, y: str) -> Found:
        found = _product(e)
        if found is None or (found.batch == _POWER[x], found.elements == _POWER[x]) != ("N" in over, "C" in over):
            return False
        divisor = f"({over})" if " " in over else over
        return {"formula": f"{over} a" if x == "b" else f"a / {divisor}", "size": found.size}

    return test


def _constant(e: Evidence) -> float:
    found = _product(e)
    return 1.0 if found is None else found.constant


def _is(e: Evidence, number: float) -> Found:
    """Whether the constant is this number, or its inverse, whatever its sign."""
    k = _constant(e)
    holds = any(close(abs(k), known, e.tolerance) for known in (number, 1 / number))
    return holds and {"k": k, "signed": ", and the sign differs" if k < 0 else ""}


def _option(e: Evidence, x: str, y: str) -> Found:
    for name, number in e.sides[x].options.items() if _constant(e) > 0 else ():
        if isinstance(number, float) and number > 0 and number != 1 and _is(e, number):
            return {"k": _constant(e), "option": name, "number": number}
    return False


def _huber(e: Evidence, x: str, y: str) -> Found:
    """The constant is the error at which both go from quadratic to linear."""
    k, deltas = _constant(e), []
    if k <= 0 or close(k, 1, e.tolerance) or e.y_true.shape != e.y_pred.shape or len(e.arrays) != 2:
        return False
    for name in (x, y):
        near, twice, far, farther = (e.on(0.0, error).value(name) for error in (1e-3, 2e-3, 1e5, 2e5))
        if not (near > 0 and close(twice, 4 * near, ROUGH) and close(farther, 2 * far, LIMIT)):
            return False
        deltas.append((farther - far) / 1e5 / (2e6 * near))
    delta = deltas[0]
    return close(delta, deltas[1], ROUGH) and close(k ** _POWER[x], delta, ROUGH) and {"k": k, "delta": delta}


_FACTORS = (
    Hypothesis("sign", lambda e, x, y: close(_constant(e), -1, e.tolerance),
               "b = -a: the sign; one is a similarity or a gain, the other the loss (Keras' cosine is the negative)"),
    Hypothesis("Huber", _huber,
               "b = {k:.6g} a: {x} is the Huber loss, {y} smooth L1, which is Huber / delta (delta = {delta:.6g})"),
    Hypothesis("half", lambda e, x, y: _is(e, 0.5), "b = {k:.6g} a: one has the factor 1/2{signed}"),
    Hypothesis("percent", lambda e, x, y: _is(e, 100), "b = {k:.6g} a: one is in percent{signed}"),
    Hypothesis("base 2", lambda e, x, y: _is(e, np.log(2)),
               "b = {k:.6g} a: the base of the logarithm is 2 in one, e in the other{signed}"),
    Hypothesis("base 10", lambda e, x, y: _is(e, np.log(10)),
               "b = {k:.6g} a: the base of the logarithm is 10 in one, e in the other{signed}"),
    Hypothesis("option", _option, "b = {k:.6g} a: the factor is {option} = {number:g} of {x}"),
    Hypothesis("constant", lambda e, x, y: not close(_constant(e), 1, e.tolerance) and {"k": _constant(e)},
               "b = {k:.6g} a on every sample: one has a constant factor, such as a loss weight"),
)  # fmt: skip
_SUMS = (
    Hypothesis("sum of all", _sum("N C"),
               "b = {formula} (N = {N}, {size}): {x} is the sum, {y} the mean over N x C elements"),
    Hypothesis("sum of elements", _sum("C"),
               "b = {formula} ({size}): {y} takes the mean over elements, {x} sums over them and takes the mean over "
               "the batch (torch's KLDivLoss: reduction='mean' against 'batchmean')"),
    Hypothesis("sum of the batch", _sum("N"),
               "b = {formula} (N = {N}): {x} sums over the batch, {y} takes the mean over it"),
)  # fmt: skip


# No such factor: how are the samples related?


@measured
def _rows(e: Evidence) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The values of both for single samples, and of which both are finite."""
    a, b = e.rows("a"), e.rows("b")
    alive = np.isfinite(a) & np.isfinite(b)
    return a[alive], b[alive], alive


@measured
def _are_equal(e: Evidence) -> bool | None:
    """Whether the samples agree, and only the batch does not; None where a factor explains it, or too few run."""
    a, b, _ = _rows(e)
    if _product(e) is not None or len(a) < 2 or not (np.any(a) or np.any(b)):
        return None
    return np.allclose(a, b, rtol=e.tolerance, atol=e.tolerance * max(np.abs(a).max(), np.abs(b).max()))


def _fits(e: Evidence, found: np.ndarray, b: np.ndarray, a: np.ndarray) -> bool:
    """Whether what was made of the samples of a is those of b, and by far nearer to them than a is."""
    return bool(np.abs(found - b).max() <= min(e.tolerance * np.abs(b).max(), ROUGH * np.abs(a - b).max()))


def _ignored(e: Evidence, x: str, y: str) -> Found:
    a, b, alive = _rows(e)
    left = int(((a != 0) & (b != 0)).sum())
    holds = bool(_are_equal(e)) and len(alive) == e.count and 0 < left < e.count
    return holds and close(e.ratio(y, x), e.count / left, e.tolerance) and {"left": left}


def _whole_batch(e: Evidence, x: str, y: str) -> Found:
    is_mean = {name: close(e.value(name), e.rows(name).mean(), e.tolerance) for name in (x, y)}
    return bool(_are_equal(e)) and is_mean[y] and not is_mean[x]


_BATCHES = (
    Hypothesis("ignored", _ignored, "{x} counts ignored or masked samples in the mean's denominator (N = {N}), {y} "
               "only the {left} others"),
    Hypothesis("whole batch", _whole_batch, "{x} takes the whole batch as one (its value is not the mean over "
               "samples), {y} is the mean of values per sample"),
    Hypothesis("combined", lambda e, x, y: bool(_are_equal(e)) and len(e.rows(x)) >= e.count,  # if all were run
               "each sample alone gives the same, the batch does not: the samples are combined in other ways"),
)  # fmt: skip


def _root(e: Evidence, x: str, y: str) -> Found:
    rows = dict(zip("ab", _rows(e), strict=False))
    if _are_equal(e) is not False or (rows[y] < 0).any() or not _fits(e, np.sqrt(rows[y]), rows[x], rows[y]):
        return False
    of_batch = close(e.value(x), np.sqrt(abs(e.value(y))), e.tolerance)
    return {"of_each": "" if of_batch else " of each sample"}


@measured
def _fitted_line(e: Evidence) -> tuple[float, float] | None:
    """Slope and offset of b as a line over a, if it is one."""
    a, b, _ = _rows(e)
    if _are_equal(e) is not False or len(a) < 3 or np.ptp(a) <= e.tolerance * np.abs(a).max():
        return None
    slope, offset = (float(x) for x in np.polyfit(a, b, 1))
    whole = close(e.value("b"), slope * e.value("a") + offset, 10 * e.tolerance)
    rises = abs(slope) * np.ptp(a) > ROUGH * e.tolerance * abs(offset)  # else b is a constant
    shifted = abs(offset) > e.tolerance * np.abs(b).max()  # else it is a factor, which was refused
    return (slope, offset) if whole and rises and shifted and _fits(e, slope * a + offset, b, a) else None


def _line(slope: float | None = None, offsets: tuple[float, ...] = (), of_elements: bool = False) -> Test:
    """Whether b is a line over a of this slope, with one of these offsets of a sample, or of each of its elements."""

    def test(e: Evidence, x: str, y: str) -> Found:
        line = _fitted_line(e)
        if line is None or (slope is not None and not close(line[0], slope, e.tolerance)):
            return False
        wanted = [offset * n for offset in offsets for n in (1, e.elements if of_elements else 1)]
        if offsets and not any(close(line[1], number, 10 * e.tolerance) for number in wanted):
            return False
        plus, larger = ("+", "b") if line[1] > 0 else ("-", "a")
        return {"slope": line[0], "offset": abs(line[1]), "plus": plus, "larger": larger}

    return test


def _constant_of(name: str, number: float) -> Hypothesis:
    """A constant that only makes a density integrate to one, per sample or per element."""
    sentence = "b = a {plus} {offset:.6g}: the normalising constant " + name + " is in {larger} only"
    return Hypothesis(name, _line(1, (number, -number), of_elements=True), sentence)


_LINES = (
    Hypothesis("root", _root, "{x} is the square root of {y}{of_each}: root against squared"),
    _constant_of("0.5 log(2 pi)", 0.5 * np.log(2 * np.pi)),
    _constant_of("log(2 pi)", np.log(2 * np.pi)),
    _constant_of("log 2", np.log(2)),
    Hypothesis("one more", _line(1, (1, -1)),
               "b = a {plus} 1: one is 1 - s, the other -s (the cosine distance against Keras' negative cosine)"),
    Hypothesis("offset", _line(1), "b = a {plus} {offset:.6g} on every sample: a constant offset, such as a "
               "normalising constant"),
    Hypothesis("one minus", _line(-1, (1,)), "b = 1 - a: the sign; one is a similarity, the other the distance 1 - s"),
    Hypothesis("line", _line(), "b = {slope:.6g} a {plus} {offset:.6g} on every sample: a factor and an offset"),
)  # fmt: skip


@measured
def _of_targets(e: Evidence, of: str) -> dict[float, float]:
    """b / a for targets that are all of one "class", or all 1 or 0 ("bit"), where that is the same for all predictions;
    nothing if it is not, or if it is the same for all targets."""
    aligned = e.y_true.shape == e.y_pred.shape
    is_hot = aligned and e.classes > 1 and np.isin(e.y_true, (0, 1)).all() and (e.y_true.sum(axis=-1) == 1).all()
    labels = e.y_true if e.is_labels else e.y_true.argmax(axis=-1) if is_hot else np.zeros(0, int)
    targets = {k: np.eye(e.classes)[np.full(labels.shape, k)] if is_hot else k for k in np.unique(labels).tolist()}
    if of == "bit":
        targets = {1.0: 1.0, 0.0: 0.0} if aligned and ((e.y_true >= 0) & (e.y_true <= 1)).all() else {}
    found = {}
    for k, target in targets.items():
        a, b = (e.on(target).rows(name) for name in ("a", "b"))
        if len(a) < 2 or not np.allclose(b / a, b[0] / a[0], rtol=10 * e.tolerance, atol=0):  # or nan: both are 0
            return {}
        found[k] = float(b[0] / a[0])
    same = np.allclose([*found.values()], next(iter(found.values()), 0), rtol=max(SMALL, 10 * e.tolerance), atol=0)
    return {} if same else found


@measured
def _weights(e: Evidence) -> dict[str, np.ndarray]:
    """b / a of the samples, if these are the sample weights (or their inverse), or class weights."""
    a, b, alive = _rows(e)
    if _are_equal(e) is not False or len(alive) != e.count:
        return {}
    if e.weight is not None and e.weight.shape == (e.count,):
        for ratios in (e.weight[alive], 1 / e.weight[alive]):
            if np.allclose(b, a * ratios, rtol=10 * e.tolerance, atol=0):
                return {"sample weights": ratios}
    labels = e.y_true if e.is_labels else e.y_true.argmax(axis=-1)
    of_class = _of_targets(e, "class") if labels.ndim == 1 else {}
    return {"class weights": np.asarray([of_class[k] for k in labels[alive].tolist()])} if of_class else {}


def _weighted_mean(e: Evidence, x: str, y: str) -> Found:
    for name, ratios in _weights(e).items():
        factors = ratios ** _POWER[y]
        sums = {f"the number of samples, N = {e.count}": factors.mean(), "nothing": factors.sum()}
        for by, total in sums.items():
            if close(e.ratio(y, x), total, 10 * e.tolerance):
                return {"weights": name, "by": by}
    return False


def _without_weights(e: Evidence, x: str, y: str) -> Found:
    a, b, alive = _rows(e)
    weight = np.ones(len(alive)) if e.weight is None else e.weight[alive]
    return "sample weights" in _weights(e) and np.allclose(b, a * weight ** _POWER[y], rtol=10 * e.tolerance)


_WEIGHTS = (
    Hypothesis("weighted mean", _weighted_mean, "weighted mean: {x} divides by the sum of the {weights}, {y} by {by}"),
    Hypothesis("without weights", _without_weights, "{x} ignores the sample weights"),
    Hypothesis("class weights", lambda e, x, y: "class weights" in _weights(e) and {
        "shown": ", ".join(f"{k}: {ratio:.4g}" for k, ratio in list(_of_targets(e, "class").items())[:6])
    }, "class weights: b / a depends on the class only ({shown})"),
)  # fmt: skip


def _bits(e: Evidence, x: str, holds: Callable[[float, float], bool]) -> Found:
    """Whether something holds of what x is of the other side for targets of 1 and for those of 0."""
    found = _of_targets(e, "bit") if len(e.arrays) == 2 else {}
    if not found or not 0 < min(found.values()) <= max(found.values()) < np.inf:
        return False
    one, zero = (found[bit] ** _POWER[x] for bit in (1.0, 0.0))
    alone = [f"the class y = {bit} alone is" for bit, other in ((1, zero), (0, one)) if close(other, 1, ROUGH)]
    shown = f"(b / a is {found[1.0]:.4g} where y_true = 1 and {found[0.0]:.4g} where it is 0)"
    return holds(one, zero) and {"shown": shown, "alpha": one, "which": alone[0] if alone else "the classes are"}


BALANCE = (
    Hypothesis("focal alpha", lambda e, x, y: _bits(e, x, lambda one, zero: close(one + zero, 1, 100 * e.tolerance)),
               "focal alpha: {x} weighs y = 1 by alpha = {alpha:.4g} and y = 0 by 1 - alpha, {y} ignores alpha "
               "{shown}"),
    Hypothesis("other alpha", lambda e, x, y: _bits(e, x, lambda one, zero: close(one * zero, 1, 100 * e.tolerance)),
               "focal alpha is on the other class: alpha and 1 - alpha are exchanged {shown}"),
    Hypothesis("class balance", lambda e, x, y: _bits(e, "b", lambda one, zero: True),
               "class balance (focal alpha, pos_weight): {which} weighed differently {shown}"),
)  # fmt: skip
_SCALES = first(every(first(*_FACTORS), *_SUMS), *_BATCHES, *_LINES, *_WEIGHTS)


def scales(e: Evidence) -> list[str]:
    """How b follows from a, if a factor, an offset or the way samples are combined is all that differs."""
    differ = np.isfinite(e.gap) and not close(e.value("a"), e.value("b"), e.tolerance)
    return _SCALES(e) if differ else []

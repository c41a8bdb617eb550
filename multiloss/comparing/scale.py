"""Hypotheses about how the numbers of both sides relate: factors, denominators, offsets, weights."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from multiloss.comparing.evidence import LIMIT, POWER, ROUGH, SMALL, Evidence, close, either, every, first, measured

_CONSTANTS = {
    "one has the factor 1/2": 0.5,
    "one is in percent": 100.0,
    "the base of the logarithm is 2 in one, e in the other": np.log(2),
    "the base of the logarithm is 10 in one, e in the other": np.log(10),
}
_NORMALISING = {"0.5 log(2 pi)": np.log(2 * np.pi) / 2, "log(2 pi)": np.log(2 * np.pi), "log 2": np.log(2)}
"""What makes a density integrate to one. It is added for each sample, or for each of its elements."""


# The samples of b are those of a times a constant and powers of the numbers of samples and of elements.


class _Product(NamedTuple):
    constant: float
    batch: int  #: The power of N: 1 if only b sums over the batch, -1 if only a does, else 0.
    elements: int  #: The power of the number of elements, likewise.
    size: str  #: That number, in words.


@measured
def _product(e: Evidence) -> _Product | None:
    """The factor that explains each sample alone, all samples, repeated data, and other predictions.

    Without other predictions any factor would do if just one sample is not 0.
    """

    def ratio(data: Evidence) -> float:
        return float(np.divide(data.value("b"), data.value("a")))

    def powers(repeated: Evidence) -> list[int]:
        grows = ratio(repeated) / ratio(e)
        return [n for n in (0, 1, -1) if not np.isfinite(grows) or close(grows, 2.0**n, e.tolerance)]

    def fits(factor: float) -> bool:
        limit = min(e.tolerance * np.abs(b).max(initial=0), ROUGH * np.abs(a - b).max(initial=e.gap))
        return bool((np.abs(factor * a - b) <= limit).all())

    a, b = e.both_rows()
    if not fits(a @ b / max(a @ a, 1e-300)) or not e.value("b"):
        return None
    if not all(close(ratio(e.on(y_pred=k * e.y_pred)), ratio(e), e.tolerance) for k in (0.97, 1.02)):
        return None
    found = []
    for size, c in ((f"C = {e.classes}", float(e.classes)), (f"{e.elements} in a sample", float(e.elements))):
        for elements, batch in itertools.product(powers(e.twice_as_wide()), powers(e.twice())):
            constant = ratio(e) / float(e.count) ** batch / c**elements
            if fits(constant * c**elements):
                found.append(_Product(constant, batch, elements, size))
    best = min(found, key=lambda one: not close(one.constant, 1, e.tolerance), default=None)
    if best and best.batch and close(best.constant * float(e.count) ** best.batch, 1, e.tolerance):
        return best._replace(constant=1.0, batch=0)  # the constant is the size of just this batch
    return best


def _constant(e: Evidence) -> float:
    found = _product(e)
    return 1.0 if found is None else found.constant


@either
def _huber(e: Evidence, x: str, y: str) -> Iterator[str]:
    """The constant is the error at which both go from quadratic to linear."""
    k, deltas = _constant(e), []
    if k <= 0 or close(k, 1, e.tolerance) or not e.aligned or len(e.arrays) != 2:
        return
    for name in (x, y):
        near, twice, far, farther = (e.on(0.0, error).value(name) for error in (1e-3, 2e-3, 1e5, 2e5))
        if not (near > 0 and close(twice, 4 * near, ROUGH) and close(farther, 2 * far, LIMIT)):
            return
        deltas.append((farther - far) / 1e5 / (2e6 * near))
    delta = deltas[0]
    if close(delta, deltas[1], ROUGH) and close(delta, k ** POWER[x], ROUGH):
        which = f"{x} is the Huber loss, {y} smooth L1, which is Huber / delta"
        yield f"b = {k:.6g} a: {which} (delta = {delta:.6g})"


def _factor(e: Evidence) -> Iterator[str]:
    """The constant is a known number, an option of one side, the inverse of either, or any other number."""
    k = _constant(e)
    known = {what + (", and the sign differs" if k < 0 else ""): n for what, n in _CONSTANTS.items()}
    for side in "ab" if k > 0 else "":
        options = {name: n for name, n in e.sides[side].options.items() if isinstance(n, float)}
        known |= {f"the factor is {name} = {n:g} of {side}": n for name, n in options.items() if n > 0}
    named = (f": {what}" for what, n in known.items() if any(close(abs(k), m, e.tolerance) for m in (n, 1 / n)))
    if close(k, -1, e.tolerance):
        yield "b = -a: the sign; one is a similarity or a gain, the other the loss (Keras' cosine is the negative)"
    elif not close(k, 1, e.tolerance):
        yield f"b = {k:.6g} a{next(named, ' on every sample: one has a constant factor, such as a loss weight')}"


def _sums(e: Evidence) -> Iterator[str]:
    found = _product(e)
    for x, y in ("ab", "ba") if found else ():
        over = [n for n, power in (("N", found.batch), ("C", found.elements)) if power == POWER[x]]
        both = " ".join(over)
        formula = f"b = {both} a" if x == "b" else f"b = a / {f'({both})' if over[1:] else both}"
        if over == ["N", "C"]:
            yield f"{formula} (N = {e.count}, {found.size}): {x} is the sum, {y} the mean over N x C elements"
        elif over == ["N"]:
            yield f"{formula} (N = {e.count}): {x} sums over the batch, {y} takes the mean over it"
        elif over == ["C"]:
            yield (
                f"{formula} ({found.size}): {y} takes the mean over elements, {x} sums over them and takes the mean "
                "over the batch (torch's KLDivLoss: reduction='mean' against 'batchmean')"
            )


# There is no such factor, but each sample alone gives the same.


@either
def _ignored(e: Evidence, x: str, y: str) -> Iterator[str]:
    a, b = e.both_rows()
    left = int(((a != 0) & (b != 0)).sum())
    if 0 < left < e.count == len(e.rows(x)) and close(e.value(y) * left, e.value(x) * e.count, e.tolerance):
        yield (
            f"{x} counts ignored or masked samples in the mean's denominator (N = {e.count}), {y} only the {left} "
            "others"
        )


@either
def _whole_batch(e: Evidence, x: str, y: str) -> Iterator[str]:
    is_mean = {name: close(e.value(name), e.rows(name).mean(), e.tolerance) for name in (x, y)}
    if is_mean[y] and not is_mean[x]:
        which = f"{x} takes the whole batch as one (its value is not the mean over samples)"
        yield f"{which}, {y} is the mean of values per sample"


def _other_combination(e: Evidence) -> Iterator[str]:
    if len(e.rows("a")) >= e.count:  # all of them were run
        yield "each sample alone gives the same, the batch does not: the samples are combined in other ways"


# Single samples differ, and not by a factor.


def _fits(e: Evidence, found: np.ndarray, b: np.ndarray, a: np.ndarray) -> bool:
    """Whether what was made of the samples of a is those of b, and by far nearer to them than a is."""
    return bool(np.abs(found - b).max() <= min(e.tolerance * np.abs(b).max(), ROUGH * np.abs(a - b).max()))


@either
def _root(e: Evidence, x: str, y: str) -> Iterator[str]:
    root, square = e.both_rows()[:: POWER[y]]
    if (square >= 0).all() and _fits(e, np.sqrt(square), root, square):
        of_batch = close(e.value(x), np.sqrt(abs(e.value(y))), e.tolerance)
        yield f"{x} is the square root of {y}{'' if of_batch else ' of each sample'}: root against squared"


def _line(e: Evidence) -> Iterator[str]:
    a, b = e.both_rows()
    if len(a) < 3 or np.ptp(a) <= e.tolerance * np.abs(a).max():
        return
    slope, offset = (float(x) for x in np.polyfit(a, b, 1))
    whole = close(e.value("b"), slope * e.value("a") + offset, 10 * e.tolerance)
    rises = abs(slope) * np.ptp(a) > ROUGH * e.tolerance * abs(offset)  # else b is a constant
    shifted = abs(offset) > e.tolerance * np.abs(b).max()  # else it is a factor, which was refused
    if not (whole and rises and shifted and _fits(e, slope * a + offset, b, a)):
        return
    plus, larger = ("+", "b") if offset > 0 else ("-", "a")
    known = [(k * n, f"the normalising constant {name} is in {larger} only")
             for name, k in _NORMALISING.items() for n in (1, e.elements)]  # fmt: skip
    known.append((1, "one is 1 - s, the other -s (the cosine distance against Keras' negative cosine)"))
    named = (f": {what}" for number, what in known if close(abs(offset), number, 10 * e.tolerance))
    if close(slope, 1, e.tolerance):
        other = " on every sample: a constant offset, such as a normalising constant"
        yield f"b = a {plus} {abs(offset):.6g}{next(named, other)}"
    elif close(slope, -1, e.tolerance) and close(offset, 1, 10 * e.tolerance):
        yield "b = 1 - a: the sign; one is a similarity, the other the distance 1 - s"
    else:
        yield f"b = {slope:.6g} a {plus} {abs(offset):.6g} on every sample: a factor and an offset"


@either
def _lengths(e: Evidence, x: str, y: str) -> Iterator[str]:
    counts = e.arrays.get("label_lengths")
    if counts is None or not e.rows(x).shape == e.rows(y).shape == counts.shape:
        return
    if _fits(e, e.rows(y) / np.maximum(counts, 1), e.rows(x), e.rows(y)):
        yield f"{x} divides each value by the number of labels of its sample, label_lengths (torch's mean does)"
        summed = [name for name in (x, y) if close(e.value(name), e.rows(name).sum(), 10 * e.tolerance)]
        if e.count > 1 and len(summed) == 1:
            yield f"{summed[0]} sums over the batch, {'ab'.replace(summed[0], '')} takes the mean"


def _ratios(e: Evidence, data: Mapping[int, Evidence]) -> dict[int, float]:
    """b / a for each of these targets; nothing if it depends on the predictions, or not on the targets."""
    found = {}
    for k, of_target in data.items():
        a, b = of_target.rows("a"), of_target.rows("b")
        if len(a) < 2 or not np.allclose(b / a, b[0] / a[0], rtol=10 * e.tolerance, atol=0):  # nan: both are 0
            return {}
        found[k] = float(b[0] / a[0])
    ratios = [*found.values()]
    return {} if np.allclose(ratios, ratios[:1] or 0, rtol=max(SMALL, 10 * e.tolerance), atol=0) else found


def _weights(e: Evidence) -> Iterator[str]:
    """b / a of the samples is the sample weights, or depends on the class."""
    a, b = e.rows("a"), e.rows("b")
    if len(a) != e.count:
        return
    is_hot = e.aligned and e.classes > 1 and np.isin(e.y_true, (0, 1)).all() and (e.y_true.sum(-1) == 1).all()
    labels = e.y_true if e.is_labels else e.y_true.argmax(-1) if is_hot else np.zeros(0, int)
    classes = np.unique(labels).tolist() if labels.shape == a.shape else []
    of_class = _ratios(e, {k: e.of_class(k) for k in classes})
    found = {"class weights": np.asarray([of_class[k] for k in labels.tolist()])} if of_class else {}
    ignores = ""
    if e.weight is not None and e.weight.shape == a.shape:
        for x in "ab":
            if np.allclose(b, a * e.weight ** -POWER[x], rtol=10 * e.tolerance, atol=0):
                found, ignores = {"sample weights": e.weight ** -POWER[x]}, x
    for (weights, ratios), (x, y) in itertools.product(found.items(), ("ab", "ba")):
        factors = ratios ** POWER[y]
        sums = {f"the number of samples, N = {e.count}": factors.mean(), "nothing": factors.sum()}
        by = [by for by, total in sums.items() if close(e.value(y), total * e.value(x), 10 * e.tolerance)]
        if by:
            yield f"weighted mean: {x} divides by the sum of the {weights}, {y} by {by[0]}"
            return
    if ignores:
        yield f"{ignores} ignores the sample weights"
    elif of_class:
        shown = ", ".join(f"{k}: {ratio:.4g}" for k, ratio in list(of_class.items())[:6])
        yield f"class weights: b / a depends on the class only ({shown})"


def balance(e: Evidence) -> Iterator[str]:
    """b / a depends on whether the targets are 1 or 0, and nothing else."""
    fit = e.aligned and len(e.arrays) == 2 and ((e.y_true >= 0) & (e.y_true <= 1)).all()
    found = _ratios(e, {bit: e.on(float(bit)) for bit in (1, 0)}) if fit else {}
    if not found or not 0 < min(found.values()) <= max(found.values()) < np.inf:
        return
    shown = f"(b / a is {found[1]:.4g} where y_true = 1 and {found[0]:.4g} where it is 0)"
    for x, y in ("ab", "ba"):
        alpha, other = (found[bit] ** POWER[x] for bit in (1, 0))
        if close(alpha + other, 1, 100 * e.tolerance):
            weighs = f"{x} weighs y = 1 by alpha = {alpha:.4g} and y = 0 by 1 - alpha"
            yield f"focal alpha: {weighs}, {y} ignores alpha {shown}"
            return
    if close(found[1] * found[0], 1, 100 * e.tolerance):
        yield f"focal alpha is on the other class: alpha and 1 - alpha are exchanged {shown}"
        return
    alone = [f"the class y = {bit} alone is" for bit in (1, 0) if close(found[1 - bit], 1, ROUGH)]
    which = alone[0] if alone else "the classes are"
    yield f"class balance (focal alpha, pos_weight): {which} weighed differently {shown}"


def scales(e: Evidence) -> list[str]:
    """How b follows from a, if only a factor, an offset, or how samples are combined differs."""
    if not np.isfinite(e.gap) or close(e.value("a"), e.value("b"), e.tolerance):
        return []
    if _product(e) is not None:
        return [*every(first(_huber, _factor), _sums)(e)]
    a, b = e.both_rows()
    size = max(np.abs(a).max(initial=0), np.abs(b).max(initial=0))
    if not size or len(a) < 2:
        return []
    same = np.allclose(a, b, rtol=e.tolerance, atol=e.tolerance * size)
    return [*first(*((_ignored, _whole_batch, _other_combination) if same else (_lengths, _root, _line, _weights)))(e)]

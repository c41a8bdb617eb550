"""The points at which accuracy is measured, and what is right there, with 50 digits.

`right(row, t, p)` gives for one sample the value, its gradient, and the largest term of each: what the error is counted
against. It is the result itself, except where terms of opposite signs are added:

* binary_crossentropy: gradient, the larger of t / p and (1 - t) / (1 - p); from logits of t s(-z) and (1 - t) s(z).
* kl_divergence: value, the largest t |log t| or t |log p|.
* categorical and sparse cross entropy from logits: value, the largest t (max z - z) and at least 1 (log of a sum that
  is at least 1); gradient, for all classes of a sample the largest of sum(t) softmax(z) and t.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "backends"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from multiloss.bench import arrays
from multiloss.bench.arrays import Array
from multiloss.bench.pairs import Row
from reference import CONTEXT, exact

ROOT = Path(__file__).resolve().parent.parent
mp = CONTEXT

EPSILON = 1e-7
# value, gradient, largest term of the value, of each element of the gradient
Right = tuple[Any, list[Any], Any, list[Any]]


def points(row: Row, dtype: str, number: int) -> Iterator[tuple[Array, Array]]:
    """Samples (t, p), of one element for elementwise losses: about `number` sizes between the extremes."""
    for t, p in _classes(row, number) if row.name in CLASS_LOSSES else _elements(row, number):
        p = np.atleast_1d(np.asarray(p, dtype))
        yield (np.asarray(t) if "sparse" in row.name else np.atleast_1d(np.asarray(t, dtype))), p


def _elements(row: Row, number: int) -> Iterator[tuple[Any, Any]]:
    sizes = np.logspace(-6, 4, number)
    if row.key == "bce_logits":
        yield from ((t, sign * z) for z in sizes for sign in (1, -1) for t in (0.0, 1.0, 0.25, 0.999))
    elif row.key == "bce":
        tails = np.concatenate([np.logspace(-6.9, -0.5, number), 1 - np.logspace(-6.5, -0.5, number)])
        yield from ((t, p) for p in tails for t in (0.0, 1.0, 0.25, 0.999))
    elif row.inputs is arrays.positive:
        for e in sizes:
            yield from ((t, t + e) for t in (0.0, 1e-5, 0.75, 30.0, 2000.0))
            yield from ((t + e, t) for t in (0.0, 1e-5, 0.75, 30.0, 2000.0))
        yield from ((-0.9, -0.9 + e) for e in sizes)
    else:
        yield from ((t, t + sign * e) for e in sizes for sign in (1, -1) for t in (0.0, 0.75, -30.0, 2000.0))


def _classes(row: Row, number: int) -> Iterator[tuple[Any, Any]]:
    rng = np.random.default_rng(0)
    for size in np.logspace(-6, 4, number):
        for _ in range(3):
            z = rng.normal(size=5)
            z *= size / np.abs(z).max()
            one_hot = np.eye(5)[rng.integers(0, 5)]
            soft = rng.dirichlet(np.ones(5))
            p = rng.dirichlet(np.full(5, min(1.0, max(0.05, 1 / size))))
            p = np.maximum(p, 2 * EPSILON)
            for t in (one_hot, soft):
                if "sparse" not in row.name:
                    yield t, z if row.options else p
            if "sparse" in row.name:
                yield int(one_hot.argmax()), z if row.options else p


def right(row: Row, t: Array, p: Array) -> Right:
    """Value and gradient of one sample, and the largest terms."""
    if row.name in CLASS_LOSSES:
        target = [mp.mpf(int(k == int(t))) for k in range(p.size)] if "sparse" in row.name else list(map(_mpf, t))
        return CLASS_LOSSES[row.name](row, target, list(map(_mpf, p)))
    value, gradient = exact(row.name, t[0], p[0], **row.options)
    term = gradient
    if row.name == "binary_crossentropy":
        a, b = _mpf(t[0]), _mpf(p[0])
        chance = 1 / (1 + mp.exp(-b)) if row.options else b
        one, zero = (a * (1 - chance), (1 - a) * chance) if row.options else (a / chance, (1 - a) / (1 - chance))
        term = max(one, zero)
    return value, [gradient], value, [term]


def _mpf(x: Any) -> Any:
    return mp.mpf(float(x))


def _kl(row: Row, t: list[Any], p: list[Any]) -> Right:
    floor = mp.mpf(EPSILON)
    terms = [(a * mp.log(max(a, floor)), a * mp.log(max(b, floor))) for a, b in zip(t, p, strict=True) if a]
    gradient = [-a / b for a, b in zip(t, p, strict=True)]
    return sum(a - b for a, b in terms), gradient, max(abs(x) for pair in terms for x in pair), gradient


def _cross_entropy(row: Row, t: list[Any], p: list[Any]) -> Right:
    if not row.options:
        gradient = [-a / b for a, b in zip(t, p, strict=True)]
        value = -sum(a * mp.log(b) for a, b in zip(t, p, strict=True) if a)
        return value, gradient, value, gradient
    top = max(p)
    powers = [mp.exp(z - top) for z in p]
    total = sum(powers)
    value = sum(a * (mp.log(total) + top - z) for a, z in zip(t, p, strict=True))
    shares = [sum(t) * power / total for power in powers]
    largest = max([*shares, *t])
    term = max([mp.mpf(1), *(a * (top - z) for a, z in zip(t, p, strict=True))])
    return value, [s - a for s, a in zip(shares, t, strict=True)], term, [largest] * len(p)


CLASS_LOSSES = {
    "kl_divergence": _kl,
    "categorical_crossentropy": _cross_entropy,
    "sparse_categorical_crossentropy": _cross_entropy,
}


def ulps(got: Any, wanted: Any, term: Any, dtype: str) -> float:
    """The error in units in the last place of `term`; 0 where that is no normal number, infinite for nan."""
    limits = np.finfo(dtype)
    if not float(limits.tiny) <= abs(term) <= float(limits.max):
        return 0.0
    if not np.isfinite(got):
        return float("inf")
    unit = mp.mpf(2) ** (int(mp.floor(mp.log(abs(term), 2))) - limits.nmant)
    return float(abs(mp.mpf(float(got)) - wanted) / unit)

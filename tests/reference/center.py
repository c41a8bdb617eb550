"""Center loss and its close family, from the papers' formulas, in loops over Python's floats.

Center loss: Wen et al., ECCV 2016. Eq. 2: 1/2 sum_i ||x_i - c_{y_i}||^2; Eq. 4: each center moves by -alpha times
sum_i [y_i = j] (c_j - x_i) / (1 + sum_i [y_i = j]). Contrastive-center: Qi & Su 2017; triplet-center: He et al. 2018;
island: Cai et al. 2018; Git: Calefati et al. 2018.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Vector = Sequence[float]
Table = Sequence[Vector]
Labels = Sequence[int]
Kept = Sequence[bool]


def squared(a: Vector, b: Vector) -> float:
    return math.fsum((p - q) ** 2 for p, q in zip(a, b, strict=True))


def cosine(a: Vector, b: Vector) -> float:
    lengths = math.hypot(*a) * math.hypot(*b)
    return math.fsum(p * q for p, q in zip(a, b, strict=True)) / lengths if lengths else 0.0


def nearest_other(c: Table, label: int, v: Vector) -> int:
    return min((j for j in range(len(c)) if j != label), key=lambda j: squared(v, c[j]))


def contrastive_center(c: Table, y: Labels, x: Table, kept: Kept, delta: float) -> list[float]:
    far = [
        math.fsum(squared(v, other) for j, other in enumerate(c) if j != label) for label, v in zip(y, x, strict=True)
    ]
    return [0.5 * squared(v, c[label]) / (f + delta) for label, v, f in zip(y, x, far, strict=True)]


def triplet_center(c: Table, y: Labels, x: Table, kept: Kept, margin: float, push: bool) -> list[float]:
    near = [nearest_other(c, label, v) for label, v in zip(y, x, strict=True)]
    pairs = zip(y, near, x, strict=True)
    return [max(0.0, margin + 0.5 * squared(v, c[own]) - 0.5 * squared(v, c[other])) for own, other, v in pairs]


def island(c: Table, y: Labels, x: Table, kept: Kept, weight: float) -> list[float]:
    pairs = math.fsum(cosine(c[k], c[j]) + 1 for k in range(len(c)) for j in range(len(c)) if k != j)
    return [0.5 * squared(v, c[label]) + weight * pairs for label, v in zip(y, x, strict=True)]


def git(c: Table, y: Labels, x: Table, kept: Kept, weight: float) -> list[float]:
    def away(i: int) -> float:
        return math.fsum(1 / (1 + squared(x[i], c[y[j]])) for j in range(len(y)) if j != i and kept[j])

    return [0.5 * squared(v, c[label]) + weight * away(i) for i, (label, v) in enumerate(zip(y, x, strict=True))]


VALUES: dict[str, Callable[..., list[float]]] = {
    "contrastive_center": contrastive_center,
    "triplet_center": triplet_center,
    "island": island,
    "git": git,
}


def pulled(c: Table, y: Labels, x: Table, kept: Kept, j: int, d: int) -> float:
    """What Eq. 4 multiplies by alpha, of one entry of a center."""
    mine = [i for i in range(len(y)) if kept[i] and y[i] == j]
    return math.fsum(c[j][d] - x[i][d] for i in mine) / (1 + len(mine))


def pushed_apart(c: Table, j: int, d: int) -> float:
    """The derivative of the cosines of a center and the others, by one of its entries, per other center."""
    parts, m = [0.0], math.hypot(*c[j])
    for k, other in enumerate(c):
        n = math.hypot(*other)
        if k != j and n and m:
            parts.append(other[d] / (n * m) - cosine(other, c[j]) * c[j][d] / m**2)
    return math.fsum(parts) / (len(c) - 1)


def moved(
    name: str, c: Table, y: Labels, x: Table, kept: Kept, alpha: float, margin: float = 5.0, push: bool = True,
    weight: float = 1.0, delta: float = 1.0,
) -> list[list[float]]:  # fmt: skip
    pushes = name == "triplet_center" and push
    if pushes:
        values = triplet_center(c, y, x, kept, margin, push)
        kept = [k and value > 0 for k, value in zip(kept, values, strict=True)]
        near = [nearest_other(c, label, v) for label, v in zip(y, x, strict=True)]
    new = [list(row) for row in c]
    for j in range(len(c)):
        for d in range(len(c[0])):
            delta_c = pulled(c, y, x, kept, j, d) - (pulled(c, near, x, kept, j, d) if pushes else 0.0)
            if name == "island" and any(kept):
                delta_c += weight * pushed_apart(c, j, d)
            new[j][d] -= alpha * delta_c
    return new


def center_step(
    centers: ArrayLike, labels: ArrayLike, features: ArrayLike, alpha: float, mask: ArrayLike | None = None
) -> tuple[Array, Array]:
    """Per-sample values (with the centers from before the update, 0 where masked) and the new centers.

    centers (C, D), labels (N,), features (N, D), mask (N,) or None. A class that a non-finite row touches keeps its
    center; masked rows touch nothing.
    """
    old, x, y = np.asarray(centers, np.float64), np.asarray(features, np.float64), np.asarray(labels)
    kept = np.ones(len(y), bool) if mask is None else np.asarray(mask)
    values = np.array([0.5 * squared(v, old[label]) if k else 0.0 for label, v, k in zip(y, x, kept, strict=True)])
    new = np.array(moved("center", old.tolist(), y.tolist(), x.tolist(), kept.tolist(), alpha))
    touched = np.unique(y[kept & ~np.isfinite(x).all(axis=1)])
    new[touched] = old[touched]
    return values, new.reshape(old.shape)

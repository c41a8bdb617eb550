"""The close family of center loss, from the papers' formulas, in loops over Python's floats.

Contrastive-center (Qi & Su 2017), triplet-center (He et al. 2018), island (Cai et al. 2018), Git (Calefati et al.
2018).
"""

import math
from collections.abc import Sequence

Vector = Sequence[float]


def squared(a: Vector, b: Vector) -> float:
    return math.fsum((p - q) ** 2 for p, q in zip(a, b, strict=True))


def cosine(a: Vector, b: Vector) -> float:
    lengths = math.hypot(*a) * math.hypot(*b)
    return math.fsum(p * q for p, q in zip(a, b, strict=True)) / lengths if lengths else 0.0


def contrastive_center(
    c: Sequence[Vector], y: Sequence[int], x: Sequence[Vector], kept: Sequence[bool], delta: float
) -> list[float]:
    out = []
    for label, v in zip(y, x, strict=True):
        far = math.fsum(squared(v, other) for j, other in enumerate(c) if j != label)
        out.append(0.5 * squared(v, c[label]) / (far + delta))
    return out


def triplet_parts(c: Sequence[Vector], label: int, v: Vector, margin: float) -> tuple[float, int]:
    """The value and the nearest other class."""
    nearest = min((j for j in range(len(c)) if j != label), key=lambda j: squared(v, c[j]))
    return max(0.0, margin + 0.5 * squared(v, c[label]) - 0.5 * squared(v, c[nearest])), nearest


def triplet_center(
    c: Sequence[Vector], y: Sequence[int], x: Sequence[Vector], kept: Sequence[bool], margin: float, push: bool
) -> list[float]:
    return [triplet_parts(c, label, v, margin)[0] for label, v in zip(y, x, strict=True)]


def island(
    c: Sequence[Vector], y: Sequence[int], x: Sequence[Vector], kept: Sequence[bool], weight: float
) -> list[float]:
    pairs = math.fsum(cosine(c[k], c[j]) + 1 for k in range(len(c)) for j in range(len(c)) if k != j)
    return [0.5 * squared(v, c[label]) + weight * pairs for label, v in zip(y, x, strict=True)]


def git(c: Sequence[Vector], y: Sequence[int], x: Sequence[Vector], kept: Sequence[bool], weight: float) -> list[float]:
    out = []
    for i, (label, v) in enumerate(zip(y, x, strict=True)):
        away = math.fsum(1 / (1 + squared(v, c[y[j]])) for j in range(len(y)) if j != i and kept[j])
        out.append(0.5 * squared(v, c[label]) + weight * away)
    return out


def pulled(c: Sequence[Vector], y: Sequence[int], x: Sequence[Vector], kept: Sequence[bool], j: int, d: int) -> float:
    """Eq. 4 of center loss."""
    mine = [i for i in range(len(y)) if kept[i] and y[i] == j]
    return math.fsum(c[j][d] - x[i][d] for i in mine) / (1 + len(mine))


def moved(
    name: str,
    c: Sequence[Vector],
    y: Sequence[int],
    x: Sequence[Vector],
    kept: Sequence[bool],
    alpha: float,
    margin: float = 5.0,
    push: bool = True,
    weight: float = 1.0,
    delta: float = 1.0,
) -> list[list[float]]:
    """The centers after a step."""
    nearest = [-1] * len(y)
    if name == "triplet_center" and push:
        parts = [triplet_parts(c, label, v, margin) for label, v in zip(y, x, strict=True)]
        kept = [k and value > 0 for k, (value, _) in zip(kept, parts, strict=True)]
        nearest = [q for _, q in parts]
    new = [list(row) for row in c]
    for j in range(len(c)):
        for d in range(len(c[0])):
            delta_c = pulled(c, y, x, kept, j, d)
            if name == "triplet_center" and push:
                delta_c -= pulled(c, nearest, x, kept, j, d)
            if name == "island" and any(kept) and (m := math.hypot(*c[j])):
                for k in range(len(c)):
                    n = math.hypot(*c[k])
                    if k != j and n:
                        dot = math.fsum(p * q for p, q in zip(c[k], c[j], strict=True))
                        part = c[k][d] / (n * m) - dot * c[j][d] / (n * m**3)
                        delta_c += weight / (len(c) - 1) * part
            new[j][d] -= alpha * delta_c
    return new


VALUES = {"contrastive_center": contrastive_center, "triplet_center": triplet_center, "island": island, "git": git}

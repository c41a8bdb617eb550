"""The triplet loss of a batch."""

from typing import Any

import numpy as np

from reference.information import CONTEXT as mp

from .contrastive import positives_and_negatives
from .embedding import Number, Vector, euclidean
from .entry import Edge, add


def picked(mining: str, d: list[Number], positives: list[int], negatives: list[int]) -> list[tuple[int, int]]:
    """The triplets of one anchor: numbers of positive and negative."""
    if mining == "all":
        return [(p, n) for p in positives for n in negatives]
    if mining == "hard":
        return [(max(positives, key=lambda j: d[j]), min(negatives, key=lambda j: d[j]))]
    pairs = []
    for p in positives:
        farther = [n for n in negatives if d[n] > d[p]]
        pairs.append((p, min(farther, key=lambda j: d[j]) if farther else max(negatives, key=lambda j: d[j])))
    return pairs


def triplet(
    labels: list[int],
    x: list[Vector],
    margin: float = 0.2,
    mining: str = "hard",
    squared: bool = False,
    normalize: bool = False,
) -> tuple[Any, Any]:
    """Hermans et al. 2017, and Schroff et al. 2015, sec. 3.2: triplet by triplet."""
    if normalize:
        x = [[v / euclidean(row, [mp.mpf(0)] * len(row)) for v in row] for row in x]
    size, zero = len(x), mp.mpf(0)
    values, counts = [[zero] * size for _ in x], [[zero] * size for _ in x]
    anchors = [(zero, zero)] * size
    for i in range(size):
        positives, negatives = positives_and_negatives(labels, i)
        if not positives or not negatives:
            continue
        d = [euclidean(x[i], row) ** (2 if squared else 1) for row in x]
        for p, n in picked(mining, d, positives, negatives):
            value = max(zero, d[p] - d[n] + mp.mpf(margin))
            values[i][p] += value
            counts[i][p] += 1 if mining != "all" or value > 0 else 0
            anchors[i] = (value, mp.mpf(1))
    if mining == "hard":
        return [value for value, _ in anchors], [count for _, count in anchors]
    return values, counts


def crowd(rng: np.random.Generator) -> tuple[Any, ...]:
    """Nine samples of three classes that overlap, one alone in its class."""
    labels = np.array([0, 1, 0, 1, 2, 0, 1, 0, 1])
    return labels, rng.normal(size=(9, 3)) + 0.8 * labels[:, None]


LINE = [[0.0], [1.0], [1.5], [4.0]]
SIDES = [0, 0, 1, 1]
FLAT = [[0.0]] * 4
EQUAL = [[0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0]]
SEMI, ALL = {"mining": "semihard", "margin": 1.0}, {"mining": "all", "margin": 1.0}
add(
    "triplet",
    triplet,
    "batch",
    crowd,
    options=(
        {},
        {"margin": 1.0, "squared": True},
        {"margin": 0.5, "normalize": True},
        {"mining": "semihard", "margin": 0.6},
        {"mining": "semihard", "margin": 0.3, "squared": True, "normalize": True},
        {"mining": "all", "margin": 0.6, "squared": True},
        {"mining": "all", "normalize": True},
        {"mining": "all", "margin": 0.7},
    ),
    wrt=("features",),
    positions=(1,),
    edges=(
        # d(0): 1 | 1.5 4; d(1): 1 | 0.5 3; d(2): 2.5 | 1.5 0.5; d(3): 2.5 | 4 3
        Edge(
            (SIDES, LINE),
            [0.5, 1.5, 3.0, 0.5],
            "1 - 1.5 + 1, 1 - 0.5 + 1, 2.5 - 0.5 + 1, 2.5 - 3 + 1",
            {"margin": 1.0},
            gradient=[[-1.0], [5.0], [-5.0], [1.0]],
        ),
        Edge(
            (SIDES, LINE),
            [[0.0, 0.5, 0.0, 0.0], [0.0] * 4, [0.0, 0.0, 0.0, 2.0], [0.0, 0.0, 0.5, 0.0]],
            "negatives at 1.5; 3 (kept out); 1.5, the farthest; 3",
            SEMI,
        ),
        Edge(
            (SIDES, LINE),
            [[0.0, 0.5, 0.0, 0.0], [1.5, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 2.0 + 3.0], [0.0, 0.0, 0.5, 0.0]],
            "0.5; 1.5; 2 and 3; 0.5",
            ALL,
        ),
        Edge(([0, 1, 2, 3], LINE), [0.0] * 4, "no positives", gradient=FLAT),
        Edge(([0] * 4, LINE), [[0.0] * 4] * 4, "no negatives", SEMI, gradient=FLAT),
        Edge(([0] * 4, LINE), [[0.0] * 4] * 4, "no negatives", ALL, gradient=FLAT),
        Edge((SIDES, FLAT), [1.0] * 4, "all equal: the margin", {"margin": 1.0}, gradient=FLAT),
        Edge((SIDES, FLAT), EQUAL, "all equal: no negative is farther", SEMI, gradient=FLAT),
        Edge((SIDES, FLAT), (2 * np.array(EQUAL)).tolist(), "all equal: two negatives each", ALL, gradient=FLAT),
        Edge((SIDES, [[0.0], [0.0], [1.0], [1.0]]), [0.0] * 4, "at the kink", {"margin": 1.0}, gradient=FLAT),
        Edge((SIDES, [[0.0], [0.0], [1.0], [1.0]]), [[0.0] * 4] * 4, "at the kink", ALL, gradient=FLAT),
        Edge(
            ([0, 0, 1], [[0.0], [1.0], [-1.0]]),
            [[0.0, 1.5, 0.0], [0.5, 0.0, 0.0], [0.0] * 3],
            "as far is not farther, so the farthest: 1 - 1 + 1.5; 1 - 2 + 1.5",
            {"mining": "semihard", "margin": 1.5},
        ),
        Edge(
            ([0, 0, 1], [[1e4], [-1e4], [1e4 + 4.0]]),
            [20000.0 - 4.0 + 1.0, 0.0, 0.0],
            "offsets of 1e4; 20000 - 20004 + 1",
            {"margin": 1.0},
            gradient=[[1.0 + 1.0], [-1.0], [-1.0]],
        ),
        Edge(
            ([0, 0, 1], [[1e4, 0.0], [1e4, 0.5], [1e4, 0.25]]),
            [[0.0, 0.25, 0.0], [0.25, 0.0, 0.0], [0.0] * 3],
            "0.5 - 0.25 at an offset of 1e4",
            {"mining": "all", "margin": 0.0},
        ),
        Edge(
            ([0, 0, 1], [[2.0**69], [0.0], [2.0**68]]),
            [2.0**68, 2.0**68, 0.0],
            "no square overflows",
            gradient=[[1.0], [-1.0], [0.0]],
        ),
    ),
)

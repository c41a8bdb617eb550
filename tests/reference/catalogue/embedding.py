"""Losses of embeddings."""

from typing import Any

import numpy as np

from reference.information import CONTEXT as mp

from .entry import Edge, add

Number = Any
Vector = list[Number]


def euclidean(a: Vector, b: Vector) -> Number:
    return mp.sqrt(mp.fsum((x - y) ** 2 for x, y in zip(a, b, strict=True)))


def cosine(a: Vector, b: Vector) -> Number:
    dot = mp.fsum(x * y for x, y in zip(a, b, strict=True))
    return dot / mp.sqrt(mp.fsum(x * x for x in a)) / mp.sqrt(mp.fsum(y * y for y in b))


def given_pairs(rng: np.random.Generator) -> tuple[Any, ...]:
    """Similar and dissimilar pairs, some nearer than a margin of 1 and some not."""
    x1 = rng.normal(size=(4, 3))
    return (
        np.array([1.0, 0.0, 0.0, 1.0]),
        x1,
        x1 + 0.4 * rng.normal(size=(4, 3)) * np.array([[1.0], [1.0], [5.0], [2.0]]),
    )


def contrastive(t: Vector, x1: list[Vector], x2: list[Vector], margin: float = 1.0) -> list[Number]:
    values = []
    for label, a, b in zip(t, x1, x2, strict=True):
        d = euclidean(a, b)
        values.append(label * d**2 / 2 + (1 - label) * max(mp.mpf(0), margin - d) ** 2 / 2)
    return values


add(
    "contrastive",
    contrastive,
    "batch",
    given_pairs,
    options=({}, {"margin": 2.5}),
    wrt=("x1", "x2"),
    positions=(1, 2),
    edges=(
        Edge(([1.0, 0.0], [[0.0, 0.0]] * 2, [[3.0, 4.0], [0.0, 0.5]]), [12.5, 0.125], "5^2 / 2; (1 - 0.5)^2 / 2"),
        Edge(([1.0, 0.0], [[2.0, 1.0]] * 2, [[2.0, 1.0]] * 2), [0.0, 0.5], "equal points", gradient=[[0.0, 0.0]] * 2),
    ),
)


def batch(rng: np.random.Generator) -> tuple[Any, ...]:
    """Seven samples of three classes, one of them alone in its class."""
    return np.array([0, 1, 0, 1, 2, 0, 1]), rng.normal(size=(7, 3))


def supervised_contrastive(
    labels: list[int], x: list[Vector], temperature: float = 0.07, official: bool = False
) -> tuple[Any, Any]:
    """Khosla et al. 2020, eq. 2, anchor by anchor; `official`: as https://github.com/HobbitLong/SupContrast."""
    tau, values, counts = mp.mpf(temperature), [], []
    for i in range(len(x)):
        others = [a for a in range(len(x)) if a != i]
        positives = [p for p in others if labels[p] == labels[i]]
        below = mp.fsum(mp.exp(cosine(x[i], x[a]) / tau) for a in others)
        terms = [-mp.log(mp.exp(cosine(x[i], x[p]) / tau) / below) for p in positives]
        values.append(mp.fsum(terms) / len(terms) * (tau / mp.mpf("0.07") if official else 1) if terms else mp.mpf(0))
        counts.append(mp.mpf(1 if positives or official else 0))
    return values, counts


add(
    "supervised_contrastive",
    supervised_contrastive,
    "batch",
    batch,
    options=({"temperature": 0.5}, {}, {"temperature": 0.5, "official": True}),
    wrt=("features",),
    positions=(1,),
    edges=(
        Edge(([0, 1, 2], [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), [0.0] * 3, "no positives", gradient=[[0.0] * 2] * 3),
        Edge(
            ([0, 0, 1], [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]),
            [float(mp.log(1 + mp.exp(-1)))] * 2 + [0.0],
            "log(e + 1) - 1 for both of the class",
            {"temperature": 1.0},
        ),
    ),
)


def minkowski(a: Vector, b: Vector, power: float, added: float, inside: float) -> Number:
    """The k-norm of a - b, with an epsilon in the differences, or in the root."""
    k = mp.mpf(power)
    total = mp.fsum(abs(x - y + mp.mpf(added)) ** k for x, y in zip(a, b, strict=True))
    return (total + mp.mpf(inside)) ** (1 / k)


def triplet_margin(
    anchor: list[Vector],
    positive: list[Vector],
    negative: list[Vector],
    margin: float = 1.0,
    power: float = 2.0,
    swap: bool = False,
    epsilon: float = 0.0,
    epsilon_in: str = "difference",
) -> list[Number]:
    eps = (epsilon, 0.0) if epsilon_in == "difference" else (0.0, epsilon)
    values = []
    for a, p, n in zip(anchor, positive, negative, strict=True):
        far = minkowski(a, n, power, *eps)
        if swap:
            far = min(far, minkowski(p, n, power, *eps))
        values.append(max(mp.mpf(0), minkowski(a, p, power, *eps) - far + mp.mpf(margin)))
    return values


def given_triplets(rng: np.random.Generator) -> tuple[Any, ...]:
    """Three triplets within the margin, one beyond it; the positive nearer to the negative in one."""
    a, p = rng.normal(size=(2, 4, 3))
    n = a + rng.normal(size=(4, 3)) * np.array([[1.0], [1.0], [1.0], [20.0]])
    n[1] = p[1] + 0.3 * rng.normal(size=3)
    return a, p, n


ORIGIN = [[0.0, 0.0]]
ROOT = {"epsilon": 2.25, "epsilon_in": "root", "margin": 1.5}
add(
    "triplet_margin",
    triplet_margin,
    "batch",
    given_triplets,
    options=(
        {},
        {"margin": 0.3},
        {"power": 1.0},
        {"power": 3.5},
        {"swap": True},
        {"epsilon": 0.01},
        {"epsilon": 0.01, "epsilon_in": "root", "power": 3.0},
        {"epsilon": 0.5, "epsilon_in": "root", "swap": True},
    ),
    wrt=("anchor", "positive", "negative"),
    positions=(0, 1, 2),
    edges=(
        Edge((ORIGIN, [[3.0, 4.0]], [[0.0, 5.5]]), [0.5], "5 - 5.5 + 1", gradient=[[-0.6, -0.8 + 1.0]]),
        Edge((ORIGIN, [[3.0, 4.0]], [[0.0, 6.0]]), [0.0], "at the kink", gradient=ORIGIN),
        Edge((ORIGIN, ORIGIN, ORIGIN), [1.0], "all equal: the margin", gradient=ORIGIN),
        Edge((ORIGIN, ORIGIN, ORIGIN), [1.0], "all equal, another norm", {"power": 3.0}, gradient=ORIGIN),
        Edge((ORIGIN, ORIGIN, [[1.0, 0.0]]), [0.0], "a = p, at the kink", gradient=ORIGIN),
        Edge((ORIGIN, ORIGIN, [[0.5, 0.0]]), [0.5], "a = p: only n pulls", gradient=[[1.0, 0.0]]),
        Edge((ORIGIN, ORIGIN, [[0.5, 0.0]]), [1.0], "0.5 - |-0.25| - 0.25 + 1", {"epsilon": 0.25, "power": 1.0}),
        Edge((ORIGIN, [[1e4, 0.0]], [[-3e3, 4e3]]), [5001.0], "10000 - 5000 + 1", gradient=[[-1.6, 0.8]]),
        Edge((ORIGIN, [[3e20, 4e20]], [[0.0, 1e20]]), [4e20], "no square overflows", gradient=[[-0.6, 0.2]]),
        Edge((ORIGIN, [[2.0, -1.0]], [[1.0, 1.0]]), [2.0], "3 - 2 + 1: absolute values", {"power": 1.0}),
        Edge((ORIGIN, [[3.0, 4.0]], [[3.0, 5.0]]), [5.0], "5 - 1 + 1: p is nearer to n", {"swap": True}),
        Edge((ORIGIN, ORIGIN, [[2.0, 0.0]]), [0.5], "sqrt(2.25) - sqrt(4 + 2.25) + 1.5", ROOT, gradient=[[0.8, 0.0]]),
    ),
)


def cosine_embedding(t: Vector, x1: list[Vector], x2: list[Vector], margin: float = 0.0) -> list[Number]:
    values = []
    for label, a, b in zip(t, x1, x2, strict=True):
        c = cosine(a, b)
        values.append(1 - c if label == 1 else max(mp.mpf(0), c - mp.mpf(margin)))
    return values


def given_directions(rng: np.random.Generator) -> tuple[Any, ...]:
    x1, noise = rng.normal(size=(2, 5, 3))
    return x1, np.array([[1.0], [3.0], [-1.0], [0.2], [1.0]]) * x1 + 0.7 * noise


add(
    "cosine_embedding",
    cosine_embedding,
    "batch",
    lambda rng: (np.array([1.0, -1.0, -1.0, 1.0, -1.0]), *given_directions(rng)),
    options=({}, {"margin": 0.5}, {"margin": -0.5}),
    wrt=("x1", "x2"),
    positions=(1, 2),
    edges=(
        Edge(([1.0, -1.0], [[0.0, 2.0], [2.0, 0.0]], [[3.0, 0.0], [3.0, 0.0]]), [1.0, 1.0], "cosines 0 and 1"),
        Edge(([1.0], [[0.0, 3.0]], [[0.0, 0.5]]), [0.0], "one direction", gradient=ORIGIN),
        Edge(([1.0, -1.0], ORIGIN * 2, [[3.0, 0.0]] * 2), [1.0, 0.0], "a vector of 0", gradient=ORIGIN * 2),
        Edge(([-1.0], [[0.0, 2.0]], [[3.0, 0.0]]), [0.0], "at the kink", gradient=ORIGIN),
        Edge(([-1.0], [[1e20, 0.0]], [[1e-20, 0.0]]), [1.0], "rosetta 7: lengths of 1e20 and 1e-20", gradient=ORIGIN),
        Edge(([1.0], [[1e20, 0.0]], [[0.0, 1e-20]]), [1.0], "the same, orthogonal", gradient=[[0.0, -1e-20]]),
        Edge(([1.0], [[1e4, 0.0]], [[-1e4, 0.0]]), [2.0], "opposite", gradient=ORIGIN),
        Edge(([0.0], [[1.0, 0.0]], [[-1.0, 0.0]]), [0.0], "torch: neither", gradient=ORIGIN),
    ),
)

"""Losses of embeddings."""

from typing import Any

import numpy as np

from reference.information import CONTEXT as mp

from .entry import Edge, add

Number = Any
Vector = list[Number]


def distance(a: Vector, b: Vector) -> Number:
    """The Euclidean distance."""
    return mp.sqrt(mp.fsum((x - y) ** 2 for x, y in zip(a, b, strict=True)))


def cosine(a: Vector, b: Vector) -> Number:
    """The cosine of the angle between two vectors."""
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
    """Half the squared distance, or half the square of what is missing to the margin."""
    values = []
    for label, a, b in zip(t, x1, x2, strict=True):
        d = distance(a, b)
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


def supervised_contrastive(labels: list[int], x: list[Vector], temperature: float = 0.07) -> tuple[Any, Any]:
    """Khosla et al. 2020, eq. 2, anchor by anchor."""
    tau, values, counts = mp.mpf(temperature), [], []
    for i in range(len(x)):
        others = [a for a in range(len(x)) if a != i]
        positives = [p for p in others if labels[p] == labels[i]]
        below = mp.fsum(mp.exp(cosine(x[i], x[a]) / tau) for a in others)
        terms = [-mp.log(mp.exp(cosine(x[i], x[p]) / tau) / below) for p in positives]
        values.append(mp.fsum(terms) / len(terms) if terms else mp.mpf(0))
        counts.append(mp.mpf(1 if positives else 0))
    return values, counts


add(
    "supervised_contrastive",
    supervised_contrastive,
    "batch",
    batch,
    options=({"temperature": 0.5}, {}),
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

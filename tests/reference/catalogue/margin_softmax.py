"""Cross entropies of a linear layer, plain and with a margin."""

import math
from typing import Any

import numpy as np

from reference.information import CONTEXT as mp

from .embedding import cosine
from .entry import Edge, add

Number = Any
Vector = list[Number]
WRT = {"wrt": ("features", "weight"), "positions": (1, 2)}


def softmax_of(logits: Vector, k: int) -> Number:
    return mp.exp(logits[k]) / mp.fsum(mp.exp(z) for z in logits)


def dot(a: Vector, b: Vector) -> Number:
    return mp.fsum(x * y for x, y in zip(a, b, strict=True))


def length(a: Vector) -> Number:
    return mp.sqrt(dot(a, a))


def layer(rng: np.random.Generator) -> tuple[Any, ...]:
    return (
        np.array([2, 0, 3, 0, 1]),
        rng.normal(size=(5, 3)),
        rng.normal(size=(4, 3)),
        rng.normal(size=4),
    )


def sequences(rng: np.random.Generator) -> tuple[Any, ...]:
    return np.array([[2, 0, 1], [1, 1, 0]]), rng.normal(size=(2, 3, 4)), rng.normal(size=(3, 4)), None


def linear_cross_entropy(
    labels: Any,
    x: Any,
    weight: list[Vector],
    bias: Vector | None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
) -> tuple[Any, Any]:
    if isinstance(labels, list):
        rows = zip(labels, x, strict=True)
        each = [linear_cross_entropy(a, b, weight, bias, label_smoothing, ignore_index) for a, b in rows]
        return [value for value, _ in each], [count for _, count in each]
    if labels == ignore_index:
        return mp.mpf(0), mp.mpf(0)
    s, classes = mp.mpf(label_smoothing), len(weight)
    logits = [dot(x, w) + (bias[k] if bias else 0) for k, w in enumerate(weight)]
    targets = [s / classes + (1 - s if k == labels else 0) for k in range(classes)]
    return -mp.fsum(t * mp.log(softmax_of(logits, k)) for k, t in enumerate(targets)), mp.mpf(1)


add(
    "linear_cross_entropy",
    linear_cross_entropy,
    "batch",
    layer,
    options=({}, {"label_smoothing": 0.2}, {"ignore_index": 0}),
    wrt=("features", "weight", "bias"),
    positions=(1, 2, 3),
    edges=(
        Edge(
            ([0, 1], [[1e4, 0.0]] * 2, [[1.0, 0.0], [-1.0, 0.0]], [0.0, 0.0]),
            [0.0, 2e4],
            "logits of 1e4 and -1e4",
            gradient=[[0.0, 0.0], [2.0, 0.0]],
        ),
        Edge(
            ([-100, 1], [[math.nan, 0.0], [0.0, 0.0]], [[1.0, 0.0], [-1.0, 0.0]], [0.0, 0.0]),
            [0.0, math.log(2)],
            "an ignored sample is a masked one",
            {"ignore_index": -100},
            gradient=[[0.0, 0.0], [1.0, 0.0]],
        ),
        Edge(([0], [[math.nan]], [[1.0], [2.0]], [0.0, 0.0]), [math.nan], "nan is not hidden"),
    ),
)
add("linear_cross_entropy", linear_cross_entropy, "batch", sequences, options=({"ignore_index": 1},), **WRT)


def classes(rng: np.random.Generator) -> tuple[Any, ...]:
    """Six samples of four classes, one of them at more than pi - 0.5 from its own."""
    x, weight = rng.normal(size=(6, 3)), rng.normal(size=(4, 3))
    x[5] = -2 * weight[1] + 0.1 * rng.normal(size=3)
    return np.array([2, 0, 3, 0, 1, 1]), x, weight


def near(rng: np.random.Generator) -> tuple[Any, ...]:
    """Samples at an angle of some 1e-4 from their class, in digits that float32 keeps."""
    labels = np.array([2, 0, 1])
    x = 1e-4 * rng.normal(size=(3, 3))
    x[np.arange(3), labels] = 2.0
    return labels, x, np.diag([1.0, 2.0, 0.5])


def softmax_loss(labels: list[int], logits: list[Vector]) -> Vector:
    return [-mp.log(softmax_of(z, y)) for y, z in zip(labels, logits, strict=True)]


def arcface(
    labels: list[int], x: list[Vector], weight: list[Vector], scale: float = 64.0, margin: float = 0.5
) -> Vector:
    """Deng et al. 2019, by the angle itself."""
    m, rows = mp.mpf(margin), []
    for y, a in zip(labels, x, strict=True):
        z = [cosine(a, w) for w in weight]
        theta = mp.acos(z[y])
        z[y] = mp.cos(theta + m) if theta + m <= mp.pi else mp.cos(theta) - m * mp.sin(m)
        rows.append([scale * c for c in z])
    return softmax_loss(labels, rows)


TWO = [[1.0, 0.0], [0.0, 3.0]]
COS, SIN = math.cos(0.5), math.sin(0.5)
ONE = {"scale": 1.0}


def log1pexp(x: float) -> float:
    """The cross entropy of two classes, by how much the logit of the other one is larger."""
    return float(mp.log(1 + mp.exp(mp.mpf(x))))


def chance(x: float) -> float:
    """The probability of the other one."""
    return float(1 / (1 + mp.exp(-mp.mpf(x))))


add(
    "arcface",
    arcface,
    "batch",
    classes,
    options=({"scale": 4.0, "margin": 0.3}, {"scale": 2.0, "margin": 2.0}, {}),
    edges=(
        Edge(([0], [[2.0, 0.0]], TWO), [log1pexp(-COS)], "angle 0", ONE, [[0.0, chance(-COS) / 2]]),
        Edge(
            ([0], [[-2.0, 0.0]], TWO),
            [log1pexp(1 + 0.5 * SIN)],
            "angle pi: cos(pi) - m sin(m)",
            ONE,
            [[0.0, chance(1 + 0.5 * SIN) / 2]],
        ),
        Edge(([0], [[0.0, 0.0]], TWO), [log1pexp(SIN)], "no direction: a right angle", ONE, [[0.0, 0.0]]),
        Edge(([0], [[0.0, 1.0]], TWO), [64 * (1 + SIN)], "cos(pi / 2 + m) = -sin(m), against 1; e^-94 is nothing"),
        Edge(([0], [[3e4, 4e4]], TWO), [log1pexp(0.8 - (0.6 * COS - 0.8 * SIN))], "3-4-5, large", ONE),
        Edge(([0], [[3e-4, 4e-4]], TWO), [log1pexp(0.8 - (0.6 * COS - 0.8 * SIN))], "3-4-5, small", ONE),
        Edge(([0], [[2.0, 0.0]], TWO), [log1pexp(-1)], "no margin", {"scale": 1.0, "margin": 0.0}),
        Edge(([0], [[math.nan, 0.0]], TWO), [math.nan], "nan is not hidden"),
    ),
    **WRT,
)
add("arcface", arcface, "batch", near, options=({"scale": 2.0},), **WRT)


def cosface(
    labels: list[int], x: list[Vector], weight: list[Vector], scale: float = 64.0, margin: float = 0.35
) -> Vector:
    return softmax_loss(
        labels,
        [
            [scale * (cosine(a, w) - (mp.mpf(margin) if j == y else 0)) for j, w in enumerate(weight)]
            for y, a in zip(labels, x, strict=True)
        ],
    )


add(
    "cosface",
    cosface,
    "batch",
    classes,
    options=({"scale": 4.0, "margin": 0.1}, {}),
    edges=(
        Edge(([0], [[2.0, 0.0]], TWO), [log1pexp(-0.75)], "1 - 0.25 against 0", ONE | {"margin": 0.25}),
        Edge(
            ([0], [[0.0, 0.0]], TWO), [log1pexp(0.25)], "no direction: cosine 0", ONE | {"margin": 0.25}, [[0.0, 0.0]]
        ),
        Edge(([0], [[0.0, 1e4]], TWO), [80.0], "64 (1 + 0.25)", {"margin": 0.25}, [[-0.0064, 0.0]]),
        Edge(([0], [[math.nan, 0.0]], TWO), [math.nan], "nan is not hidden"),
    ),
    **WRT,
)


def sphereface(labels: list[int], x: list[Vector], weight: list[Vector], margin: int = 4) -> Vector:
    """Liu et al. 2017, by the angle itself."""
    rows = []
    for y, a in zip(labels, x, strict=True):
        z = [length(a) * cosine(a, w) for w in weight]
        theta = mp.acos(cosine(a, weight[y]))
        k = int(mp.floor(margin * theta / mp.pi))
        z[y] = length(a) * ((-1) ** k * mp.cos(margin * theta) - 2 * k)
        rows.append(z)
    return softmax_loss(labels, rows)


add(
    "sphereface",
    sphereface,
    "batch",
    classes,
    options=({"margin": 1}, {"margin": 2}, {"margin": 3}, {}),
    edges=(
        Edge(([0], [[2.0, 0.0]], TWO), [log1pexp(-2)], "angle 0: psi = 1", gradient=[[-chance(-2), chance(-2)]]),
        Edge(([0], [[-2.0, 0.0]], TWO), [log1pexp(14)], "angle pi: psi = 1 - 2 m = -7"),
        Edge(([0], [[0.0, 1.0]], TWO), [log1pexp(4)], "a right angle, k = 2: cos(2 pi) - 4 = -3, against 1"),
        Edge(([0], [[0.0, 0.0]], TWO), [math.log(2)], "no direction", gradient=[[-0.5, 0.5]]),
        Edge(([0], [[0.0, 1e4]], TWO), [4e4], "1e4 (1 + 3)"),
        Edge(([0], [[math.nan, 0.0]], TWO), [math.nan], "nan is not hidden"),
    ),
    **WRT,
)

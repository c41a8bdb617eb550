"""Margin losses and those of sparsemax."""

from typing import Any

import numpy as np

from reference.information import CONTEXT as mp

from .classification import labelled, unit
from .entry import Edge, add

Number = Any
Row = list[Any]
SIGNS = np.array([[-1.0, 1, 1], [1, -1, -1], [-1, -1, 1], [1, 1, 1]])


def signs(rng: np.random.Generator) -> tuple[Any, Any]:
    return SIGNS, 2 * rng.normal(size=(4, 3))


def bits(rng: np.random.Generator) -> tuple[Any, Any]:
    return (SIGNS + 1) / 2, 2 * rng.normal(size=(4, 3))


def distances(rng: np.random.Generator) -> tuple[Any, Any]:
    return SIGNS, rng.uniform(0.1, 3.0, (4, 3))


def sign(t: Number, labels: str) -> Number:
    return t if labels == "+-1" else 1 if t == 1 else -1


def hinge(t: Number, z: Number, labels: str = "+-1") -> Number:
    return max(mp.mpf(0), 1 - sign(t, labels) * z)


def squared_hinge(t: Number, z: Number, labels: str = "+-1") -> Number:
    return hinge(t, z, labels) ** 2


def perceptron(t: Number, z: Number, labels: str = "+-1") -> Number:
    return max(mp.mpf(0), -sign(t, labels) * z)


def soft_margin(t: Number, z: Number, labels: str = "+-1") -> Number:
    return mp.log(1 + mp.exp(-sign(t, labels) * z))


def hinge_embedding(t: Number, d: Number, margin: float = 1.0, labels: str = "+-1") -> Number:
    return d if sign(t, labels) == 1 else max(mp.mpf(0), mp.mpf(margin) - d)


FAR = ([[1.0, -1.0]], [[-1e4, 1e4]])
RIGHT = ([[1.0, -1.0]], [[1e4, -1e4]])
add("hinge", hinge, "element", signs, edges=(
    Edge(([[1.0, -1.0]], [[1.0, -1.0]]), [0.0], "the kink has gradient 0", {}, [[0.0, 0.0]]),
    Edge(FAR, [10001.0], "wrong by far", {}, [[-0.5, 0.5]]),
    Edge(RIGHT, [0.0], "right by far", {}, [[0.0, 0.0]]),
    Edge(([[1.0]], [[np.nan]]), [np.nan], "nan is not hidden (Keras: gradient -0)", {}, [[np.nan]]),
    Edge(([[0.0, 1.0]], [[0.3, 0.3]]), [1.0], "0 is -1: (1.3 + 0.7) / 2", {"labels": "01"}, [[0.5, -0.5]]),
))  # fmt: skip
add("squared_hinge", squared_hinge, "element", signs, edges=(
    Edge(([[1.0, -1.0]], [[1.0, -1.0]]), [0.0], "the kink", {}, [[0.0, 0.0]]),
    Edge(([[1.0, -1.0]], [[0.0, 1.0]]), [2.5], "(1 + 2^2) / 2", {}, [[-1.0, 2.0]]),
    Edge(RIGHT, [0.0], "right by far", {}, [[0.0, 0.0]]),
))  # fmt: skip
add("perceptron", perceptron, "element", signs, edges=(
    Edge(([[1.0, -1.0]], [[0.0, 0.0]]), [0.0], "the kink has gradient 0", {}, [[0.0, 0.0]]),
    Edge(FAR, [1e4], "wrong by far", {}, [[-0.5, 0.5]]),
    Edge(([[-1.0]], [[np.nan]]), [np.nan], "nan is not hidden", {}, [[np.nan]]),
))  # fmt: skip
add("soft_margin", soft_margin, "element", signs, edges=(
    Edge(([[1.0, -1.0]], [[0.0, 0.0]]), [np.log(2)], "log 2", {}, [[-0.25, 0.25]]),
    Edge(FAR, [1e4], "torch: inf, with a nan gradient", {}, [[-0.5, 0.5]]),
    Edge(([[1.0]], [[-100.0]]), [100.0], "torch in float32: inf", {}, [[-1.0]]),
    Edge(RIGHT, [0.0], "right by far", {}, [[0.0, 0.0]]),
    Edge(([[1.0]], [[40.0]]), [4.248354255291589e-18], "log1p(e^-40): the tail", {}, [[-4.248354255291589e-18]]),
))  # fmt: skip
add("hinge_embedding", hinge_embedding, "element", distances, options=({}, {"margin": 2.5}), edges=(
    Edge(([[1.0, -1.0]], [[1.0, 1.0]]), [0.5], "the kink of the second has gradient 0", {}, [[0.5, 0.0]]),
    Edge(([[1.0, -1.0]], [[0.0, 0.0]]), [0.5], "no kink at 0", {}, [[0.5, -0.5]]),
    Edge(([[-1.0]], [[np.inf]]), [0.0], "infinitely far is far enough", {}, [[0.0]]),
    Edge(([[1.0, 0.0]], [[0.3, 0.3]]), [0.5], "0.3 and 0.7 (torch adds both halves for 0)", {"labels": "01"}),
))  # fmt: skip
for name, formula in (
    ("hinge", hinge), ("squared_hinge", squared_hinge), ("perceptron", perceptron), ("soft_margin", soft_margin),
    ("hinge_embedding", hinge_embedding),
):  # fmt: skip
    add(name, formula, "element", bits, options=({"labels": "01"},))


def multiclass_hinge(y: int, z: Row, keras: bool = False) -> Number:
    """max(0, 1 + max_{j != y} z_j - z_y); in Keras z_y counts as 0 in the maximum."""
    others = [v for j, v in enumerate(z) if j != y] + ([mp.mpf(0)] if keras else [])
    return max(mp.mpf(0), 1 + max(others) - z[y]) if others else mp.mpf(0)


def categorical_hinge(t: Row, z: Row, keras: bool = False) -> Number:
    return multiclass_hinge([x == 1 for x in t].index(True), z, keras)


def one_hot(rng: np.random.Generator) -> tuple[Any, Any]:
    labels, z = labelled(rng)
    return np.eye(3)[labels], z


for name, formula, inputs in (
    ("multiclass_hinge", multiclass_hinge, labelled), ("categorical_hinge", categorical_hinge, one_hot),
):  # fmt: skip
    first: Any = [0] if name == "multiclass_hinge" else [[1.0, 0.0, 0.0]]
    add(name, formula, "row", inputs, options=({}, {"keras": True}), edges=(
        Edge((first, [[-5.0, -7.0, -9.0]]), [0.0], "rosetta, 6: Optax", {}, [[0.0, 0.0, 0.0]]),
        Edge((first, [[-5.0, -7.0, -9.0]]), [6.0], "rosetta, 6: Keras", {"keras": True}, [[-1.0, 0.0, 0.0]]),
        Edge((first, [[1.0, 0.0, 0.0]]), [0.0], "the kink has gradient 0", {}, [[0.0, 0.0, 0.0]]),
        Edge((first, [[0.0, 2.0, 2.0]]), [3.0], "of two largest the first", {}, [[-1.0, 1.0, 0.0]]),
        Edge((first, [[-1e4, 1e4, 0.0]]), [20001.0], "wrong by far", {}, [[-1.0, 1.0, 0.0]]),
        Edge((first, [[5.0, -np.inf, 1.0]]), [0.0], "a class masked by -inf", {}, [[0.0, 0.0, 0.0]]),
        *(Edge((first, [[np.nan if i == j else 0.0 for i in range(3)]]), [np.nan], "nan is not hidden", o)
          for j in range(3) for o in ({}, {"keras": True})),
    ))  # fmt: skip


def multi_margin(y: int, z: Row, margin: float = 1.0, power: int = 1) -> Number:
    """torch: sum_{j != y} max(0, margin - z_y + z_j)^power / C."""
    return mp.fsum(max(mp.mpf(0), mp.mpf(margin) - z[y] + v) ** power for j, v in enumerate(z) if j != y) / len(z)


add("multi_margin", multi_margin, "row", labelled, options=({}, {"power": 2}, {"margin": 2.5}, {"margin": 0.5,
    "power": 2}), edges=(
        Edge(([0], [[0.0, 0.0, -1.0]]), [1 / 3], "1 and the kink, by 3", {}, [[-1 / 3, 1 / 3, 0.0]]),
        Edge(([0], [[0.0, 1.0, -1.0]]), [4 / 3], "2^2 / 3", {"power": 2}, [[-4 / 3, 4 / 3, 0.0]]),
        Edge(([0], [[-1e4, 1e4, -1e4]]), [20002 / 3], "(20001 + 1) / 3", {}, [[-2 / 3, 1 / 3, 1 / 3]]),
        Edge(([1], [[0.0, 0.0]]), [1.5], "torch's weight of the class", {"class_weight": (1.0, 3.0)}),
        *(Edge(([0], [[np.nan if i == j else 5.0 * (i == 0) for i in range(3)]]), [np.nan],
               "torch gives 0 for nan (rosetta, 12)") for j in range(3)),
    ))  # fmt: skip


def multiclass_perceptron(y: int, z: Row) -> Number:
    return max(z) - z[y]


add("multiclass_perceptron", multiclass_perceptron, "row", labelled, edges=(
    Edge(([1], [[2.0, 2.0, 0.0]]), [0.0], "a tie of the right class has gradient 0", {}, [[0.0, 0.0, 0.0]]),
    Edge(([2], [[2.0, 2.0, 0.0]]), [2.0], "of two largest the first", {}, [[1.0, 0.0, -1.0]]),
    Edge(([0], [[-1e4, 1e4, 0.0]]), [2e4], "wrong by far", {}, [[-1.0, 1.0, 0.0]]),
    *(Edge(([0], [[np.nan if i == j else 0.0 for i in range(3)]]), [np.nan], "nan is not hidden") for j in range(3)),
))  # fmt: skip


def multilabel_soft_margin(t: Number, z: Number) -> Number:
    return t * mp.log(1 + mp.exp(-z)) + (1 - t) * mp.log(1 + mp.exp(z))


add("multilabel_soft_margin", multilabel_soft_margin, "element", bits, edges=(
    Edge(([[1.0, 0.0]], [[-1e4, 1e4]]), [1e4], "wrong by far", {}, [[-0.5, 0.5]]),
    Edge(([[1.0, 0.0]], [[1e4, -1e4]]), [0.0], "right by far", {}, [[0.0, 0.0]]),
))  # fmt: skip
add("multilabel_soft_margin", multilabel_soft_margin, "element", unit)


def multilabel_margin(y: list[int], z: Row) -> Number:
    """torch: the sum over right classes j and wrong classes i of max(0, 1 - z_j + z_i), by C."""
    right = y[: y.index(-1)] if -1 in y else y
    return mp.fsum(max(mp.mpf(0), 1 - z[j] + v) for j in right for i, v in enumerate(z) if i not in right) / len(z)


def label_sets(rng: np.random.Generator) -> tuple[Any, Any]:
    return np.array([[2, -1, -1], [0, 1, -1], [-1, 0, 1], [1, -1, 0]]), 2 * rng.normal(size=(4, 3))


def many_label_sets(rng: np.random.Generator) -> tuple[Any, Any]:
    """The same, of 5 classes, one class twice; one row has all classes."""
    return np.array([[4, 0, -1, 3, 3], [2, 2, 1, -1, -1], [4, 3, 2, 1, 0]]), 2 * rng.normal(size=(3, 5))


for inputs in (label_sets, many_label_sets):
    add("multilabel_margin", multilabel_margin, "row", inputs, edges=(
        Edge(([[3, 0, -1, 1]], [[0.1, 0.2, 0.4, 0.8]]), [0.85], "torch's documentation",
             {}, [[-0.5, 0.5, 0.5, -0.5]]),
        Edge(([[-1, 0]], [[1.0, 2.0]]), [0.0], "no right class", {}, [[0.0, 0.0]]),
        Edge(([[0, 1]], [[1.0, 2.0]]), [0.0], "no wrong class", {}, [[0.0, 0.0]]),
        Edge(([[0, -1]], [[1.0, 0.0]]), [0.0], "the kink has gradient 0", {}, [[0.0, 0.0]]),
        Edge(([[0, -1]], [[-1e4, 1e4]]), [10000.5], "20001 / 2", {}, [[-0.5, 0.5]]),
        Edge(([[0, 2]], [[-1.0, 1.0]]), [np.nan], "no such class"),
        Edge(([[0, -1]], [[5.0, np.nan]]), [np.nan], "nan is not hidden"),
    ))  # fmt: skip


def projected(z: Row) -> tuple[Row, Number]:
    """Martins & Astudillo 2016, algorithm 1: sparsemax, and its threshold."""
    ordered = sorted(z, reverse=True)
    k = max(n for n in range(1, len(z) + 1) if 1 + n * ordered[n - 1] > mp.fsum(ordered[:n]))
    tau = (mp.fsum(ordered[:k]) - 1) / k
    return [max(v - tau, mp.mpf(0)) for v in z], tau


def sparsemax(y: int, z: Row) -> Number:
    """Their loss of one label."""
    p, tau = projected(z)
    return -z[y] + mp.fsum(v * v - tau * tau for v, q in zip(z, p, strict=True) if q > 0) / 2 + mp.mpf(1) / 2


def near(rng: np.random.Generator) -> tuple[Any, Any]:
    """Labels, and logits of which several are within 1 of the largest."""
    return np.array([2, 0, 1, 4]), rng.uniform(-0.6, 0.6, (4, 5))


for inputs in (labelled, near):
    add("sparsemax", sparsemax, "row", inputs, edges=(
        Edge(([0], [[0.0, 0.0]]), [0.25], "(1/2)^2", {}, [[-0.5, 0.5]]),
        Edge(([0], [[1.0, 0.0]]), [0.0], "a margin of 1 is enough", {}, [[0.0, 0.0]]),
        Edge(([0], [[-1e4, 1e4, 0.0]]), [2e4], "wrong by far", {}, [[-1.0, 1.0, 0.0]]),
        Edge(([0], [[1e4, -1e4, 0.0]]), [0.0], "right by far", {}, [[0.0, 0.0, 0.0]]),
        Edge(([1], [[1e4, 1e4, -np.inf]]), [0.25], "a class masked by -inf", {}, [[0.5, -0.5, 0.0]]),
        *(Edge(([0], [[np.nan if i == j else 0.0 for i in range(3)]]), [np.nan], "nan is not hidden")
          for j in range(3)),
    ))  # fmt: skip


def binary_sparsemax(t: Number, z: Number) -> Number:
    """The sparsemax loss of the logits (0, z), for the class t."""
    return sparsemax(int(t), [mp.mpf(0), z])


add("binary_sparsemax", binary_sparsemax, "element", bits, edges=(
    Edge(([[1.0, 0.0]], [[0.0, 0.0]]), [0.25], "1/4", {}, [[-0.25, 0.25]]),
    Edge(([[1.0, 0.0]], [[1.0, -1.0]]), [0.0], "a margin of 1 is enough", {}, [[0.0, 0.0]]),
    Edge(([[1.0, 0.0]], [[-1e4, 1e4]]), [1e4], "wrong by far", {}, [[-0.5, 0.5]]),
    Edge(([[1.0, 0.0]], [[-1.0, 1.0]]), [1.0], "where the parabola ends", {}, [[-0.5, 0.5]]),
    Edge(([[1.0]], [[np.nan]]), [np.nan], "nan is not hidden", {}, [[np.nan]]),
))  # fmt: skip

"""Losses of ranked lists, by loops over items."""

from typing import Any

import numpy as np

from reference.information import CONTEXT as mp

from .classification import softmax
from .entry import Edge, add

Number = Any


def lists(rng: np.random.Generator) -> tuple[Any, Any]:
    return rng.integers(0, 3, size=(3, 5)).astype(np.float64), 2 * rng.normal(size=(3, 5))


def real_lists(rng: np.random.Generator) -> tuple[Any, Any]:
    return rng.normal(size=(3, 5)), 2 * rng.normal(size=(3, 5))


def with_a_tied_list(rng: np.random.Generator) -> tuple[Any, Any]:
    t, z = lists(rng)
    t[1] = 2.0
    return t, z


def ranknet(t: list[Number], z: list[Number], pairs: str = "mean") -> tuple[Number, Number]:
    """The sum of log(1 + exp(-(z_i - z_j))) over t_i > t_j, divided by how many they are; lists of none do not count
    in a mean."""
    found = [
        mp.log1p(mp.exp(-(z[i] - z[j]))) if z[i] - z[j] > -50 else z[j] - z[i] + mp.log1p(mp.exp(z[i] - z[j]))
        for i in range(len(t))
        for j in range(len(t))
        if t[i] > t[j]
    ]
    if not found:
        return mp.mpf(0), mp.mpf(0)
    return mp.fsum(found) / (len(found) if pairs == "mean" else 1), mp.mpf(1)


def listnet(t: list[Number], z: list[Number]) -> Number:
    """The cross entropy of both lists' top one probabilities."""
    return -mp.fsum(a * mp.log(b) for a, b in zip(softmax(t), softmax(z), strict=True))


def ranking_softmax(t: list[Number], z: list[Number]) -> Number:
    return -mp.fsum(a * mp.log(b) for a, b in zip(t, softmax(z), strict=True))


LOG2, SOFTPLUS_1, SIGMOID_1 = 0.6931471805599453, 1.3132616875182228, 0.7310585786300049

add(
    "ranknet",
    ranknet,
    "row",
    lists,
    options=({}, {"pairs": "sum"}),
    edges=(
        Edge(([[1.0, 0.0]], [[0.5, -0.5]]), [0.3132616875182228], "log(1 + 1/e)",
             gradient=[[SIGMOID_1 - 1, 1 - SIGMOID_1]]),
        Edge(([[1.0, 1.0, 1.0]], [[3.0, -2.0, 0.0]]), [0.0], "no pair", gradient=[[0.0, 0.0, 0.0]]),
        Edge(([[1.0, 1.0]], [[3.0, -2.0]]), [0.0], "no pair to sum", {"pairs": "sum"}, [[0.0, 0.0]]),
        Edge(([[7.0]], [[3.0]]), [0.0], "a list of one item", gradient=[[0.0]]),
        Edge(([[2.0, 1.0, 0.0]], [[5.0, 5.0, 5.0]]), [LOG2], "three pairs, each a tie: log 2, slopes of 1/2",
             gradient=[[-1 / 3, 0.0, 1 / 3]]),
        Edge(([[2.0, 1.0, 0.0]], [[5.0, 5.0, 5.0]]), [3 * LOG2], "the same, summed", {"pairs": "sum"},
             [[-1.0, 0.0, 1.0]]),
        Edge(([[1.0, 0.0, 0.0]], [[0.0, 1.0, 1.0]]), [SOFTPLUS_1], "two pairs of 1 / (1 + 1/e); the losers make none",
             gradient=[[-SIGMOID_1, SIGMOID_1 / 2, SIGMOID_1 / 2]]),
        Edge(([[1.0, 0.0]], [[-1e4, 1e4]]), [2e4], "far wrong: the difference", gradient=[[-1.0, 1.0]]),
        Edge(([[1.0, 0.0]], [[1e4, -1e4]]), [0.0], "far right", gradient=[[0.0, 0.0]]),
        Edge(([[1.0, float("nan"), 0.0]], [[0.0, 0.0, 0.0]]), [float("nan")], "a relevance of nan"),
        Edge(([[1.0, 0.0, 0.0]], [[0.0, 0.0, float("nan")]]), [float("nan")], "a score of nan"),
        Edge(([[0.0, 0.0]], [[0.0, float("nan")]]), [float("nan")], "a score of nan in no pair"),
    ),
)  # fmt: skip
add("ranknet", ranknet, "row", with_a_tied_list, options=({}, {"pairs": "sum"}))
add(
    "listnet",
    listnet,
    "row",
    real_lists,
    edges=(
        Edge(([[1.0, 1.0]], [[3.0, 3.0]]), [LOG2], "two outcomes, even", gradient=[[0.0, 0.0]]),
        Edge(([[0.0, 0.0]], [[0.0, 2.0]]), [LOG2 + 0.43378083048302719], "log 2 + log cosh 1",
             gradient=[[-0.3807970779778824, 0.3807970779778824]]),
        Edge(([[1e4, -1e4]], [[-1e4, 1e4]]), [2e4], "all of it on the item that the scores put last",
             gradient=[[-1.0, 1.0]]),
        Edge(([[0.0, 0.0, -np.inf]], [[1.0, 1.0, -np.inf]]), [LOG2], "an item that is no part of the list",
             gradient=[[0.0, 0.0, 0.0]]),
        Edge(([[5.0]], [[3.0]]), [0.0], "a list of one item", gradient=[[0.0]]),
        Edge(([[0.0, float("nan")]], [[1.0, 1.0]]), [float("nan")], "a relevance of nan"),
    ),
)  # fmt: skip
add(
    "ranking_softmax",
    ranking_softmax,
    "row",
    lists,
    edges=(
        Edge(([[2.0, 0.0]], [[3.0, 3.0]]), [2 * LOG2], "twice log 2", gradient=[[-1.0, 1.0]]),
        Edge(([[0.0, 0.0]], [[1.0, 3.0]]), [0.0], "no relevant item", gradient=[[0.0, 0.0]]),
        Edge(([[1.0, 0.0]], [[-1e4, 1e4]]), [2e4], "far wrong: the difference", gradient=[[-1.0, 1.0]]),
        Edge(([[1.0, 0.0]], [[2.0, -np.inf]]), [0.0], "the only item that is left", gradient=[[0.0, 0.0]]),
        Edge(([[1.0, 0.0]], [[2.0, float("nan")]]), [float("nan")], "a score of nan"),
    ),
)  # fmt: skip

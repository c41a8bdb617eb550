"""CTC by what it means: all alignments, one by one."""

import itertools
from typing import Any

import numpy as np

from reference.information import CONTEXT as mp

from .entry import Edge, add

Number = Any


def spelled(path: tuple[int, ...], blank: int) -> list[int]:
    """The labels that an alignment stands for: repeats merged, then blanks removed."""
    return [label for label, _ in itertools.groupby(path) if label != blank]


def ctc(
    labels: list[list[int]],
    logits: list[list[list[Any]]],
    label_lengths: Any = None,
    input_lengths: Any = None,
    blank: int = 0,
    zero_infinity: bool = False,
    normalize: str | None = None,
) -> list[Any]:
    """Minus the logarithm of the sum, over all C^T alignments that spell the labels, of the product over frames."""
    values = []
    for n, (spoken, z) in enumerate(zip(labels, logits, strict=True)):
        wanted = spoken if label_lengths is None else spoken[: label_lengths[n]]
        frames = z if input_lengths is None else z[: input_lengths[n]]
        p = [[mp.exp(x) / mp.fsum(mp.exp(y) for y in row) for x in row] for row in frames]
        total = mp.mpf(0)
        for path in itertools.product(range(len(z[0])), repeat=len(p)):
            if spelled(path, blank) == wanted:
                total += mp.fprod(row[c] for row, c in zip(p, path, strict=True))
        value = -mp.log(total) if total else mp.mpf(0) if zero_infinity else mp.inf
        values.append(value / max(len(wanted), 1) if normalize == "length" else value)
    return values


def full(rng: np.random.Generator) -> tuple[Any, ...]:
    """Three samples of four frames, three classes and two labels; one repeats its label."""
    return np.array([[1, 2], [1, 1], [2, 1]]), rng.normal(size=(3, 4, 3))


def lengths(rng: np.random.Generator) -> tuple[Any, ...]:
    """Other lengths of each sample: an empty one, and one that fits in one way only."""
    labels = np.array([[1, 2], [1, 1], [2, 1], [2, 2]])
    return labels, rng.normal(size=(4, 4, 3)), np.array([2, 0, 1, 2]), np.array([4, 3, 2, 3])


def blank_last(rng: np.random.Generator) -> tuple[Any, ...]:
    return np.array([[0, 1], [0, 0], [1, 0]]), rng.normal(size=(3, 4, 3)), np.array([2, 2, 1]), None


UNIFORM = np.zeros((1, 2, 3))
NO_FRAMES = np.zeros((1, 0, 3))
LARGE = np.array([[[-1e4, 1e4, 0.0], [0.0, -1e4, 1e4]]])
# Of two frames, class 2 cannot be: masked logits.
MASKED = np.array([[[0.0, 0.0, -np.inf], [0.0, 0.0, -np.inf]]])
UNREAD = np.array([[[0.0, 0.0, 0.0], [np.nan, np.nan, np.nan]]])
LOG3 = float(mp.log(3))

add("ctc", ctc, "batch", full, options=({}, {"normalize": "length"}, {"zero_infinity": True}))
add("ctc", ctc, "batch", blank_last, options=({"blank": 2, "normalize": "length"},))
add(
    "ctc",
    ctc,
    "batch",
    lengths,
    options=({}, {"normalize": "length"}),
    edges=(
        Edge(([[1]], UNIFORM), [LOG3], "11, 1- and -1: 3 of 9"),
        Edge(([[1, 2]], UNIFORM), [2 * LOG3], "12 alone", gradient=[[[1 / 3, -2 / 3, 1 / 3], [1 / 3, 1 / 3, -2 / 3]]]),
        Edge(([[1, 1]], UNIFORM), [np.inf], "1-1 needs three frames", gradient=[[[0.0] * 3] * 2]),
        Edge(([[1, 1]], UNIFORM), [0.0], "counted as 0", {"zero_infinity": True}, [[[0.0] * 3] * 2]),
        Edge(([[1, 2, 1]], UNIFORM), [np.inf], "three labels in two frames", gradient=[[[0.0] * 3] * 2]),
        Edge(([[1, 0]], UNIFORM), [np.inf], "no alignment spells a blank", gradient=[[[0.0] * 3] * 2]),
        Edge(([[1, 0]], UNIFORM, [0], [2]), [2 * LOG3], "an empty label: --", gradient=[[[-2 / 3, 1 / 3, 1 / 3]] * 2]),
        Edge(([[1, 0]], UNIFORM, [0], [0]), [0.0], "no frames for no labels", gradient=[[[0.0] * 3] * 2]),
        Edge(([[1, 0]], UNIFORM, [1], [0]), [np.inf], "no frames for one label", gradient=[[[0.0] * 3] * 2]),
        Edge(([[1, 0]], NO_FRAMES, [0], [0]), [0.0], "T = 0 for no labels", gradient=np.zeros((1, 0, 3))),
        Edge(([[1, 0]], NO_FRAMES, [1], [0]), [np.inf], "T = 0 for one label", gradient=np.zeros((1, 0, 3))),
        Edge((np.zeros((1, 0), int), NO_FRAMES), [0.0], "T = 0 and L = 0", gradient=np.zeros((1, 0, 3))),
        Edge((np.zeros((1, 0), int), UNIFORM), [2 * LOG3], "L = 0", gradient=[[[-2 / 3, 1 / 3, 1 / 3]] * 2]),
        Edge(([[1]], UNREAD, [1], [1]), [LOG3], "nan behind", gradient=[[[1 / 3, -2 / 3, 1 / 3], [0.0] * 3]]),
        Edge(([[1, 2]], LARGE), [0.0], "certain", gradient=[[[0.0] * 3] * 2]),
        Edge(([[2, 1]], LARGE), [3e4], "1e4 and 2e4", gradient=[[[0.0, 1.0, -1.0], [0.0, -1.0, 1.0]]]),
        Edge(([[1]], MASKED), [float(mp.log(4) - mp.log(3))], "3 of 4", gradient=[[[1 / 6, -1 / 6, 0.0]] * 2]),
        Edge(([[2]], MASKED), [np.inf], "a logit of -inf is a probability of 0", gradient=[[[0.0] * 3] * 2]),
    ),
)

"""Losses of regions, by loops over the elements of each region."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from reference.information import CONTEXT as mp

from .entry import Edge, add

Number = Any
Region = list[tuple[Number, Number]]
"""(t, p) of each element."""


def masks_and_probabilities(rng: np.random.Generator) -> tuple[Any, Any]:
    return (rng.random((4, 6)) < 0.4).astype(np.float64), 0.05 + 0.9 * rng.random((4, 6))


def images(rng: np.random.Generator) -> tuple[Any, Any]:
    return rng.random((2, 3, 4, 2)), 0.05 + 0.9 * rng.random((2, 3, 4, 2))


def one_hot_images(rng: np.random.Generator) -> tuple[Any, Any]:
    """One-hot targets that lack the last of four classes, classes last: 2 x 3 x 3 x 4."""
    t = np.eye(4)[np.stack([np.arange(9).reshape(3, 3) % 3, np.minimum(np.arange(9), 2).reshape(3, 3)])]
    p = 0.05 + rng.random((2, 3, 3, 4))
    return t, p / p.sum(-1, keepdims=True)


def classes_second(rng: np.random.Generator) -> tuple[Any, Any]:
    return tuple(np.moveaxis(x, -1, 1).copy() for x in one_hot_images(rng))  # type: ignore[return-value]


def _at(x: Any, index: tuple[int, ...]) -> Any:
    for i in index:
        x = x[i]
    return x


def _lengths(x: Any) -> list[int]:
    return [len(x), *_lengths(x[0])] if isinstance(x, list) else []


def regions(region: Callable[..., Number]) -> Callable[..., Any]:
    """The formula of one region, for each index of the axes that `axis` leaves; `region` gets (index, (t, p)) pairs."""

    def batch(t: Any, p: Any, axis: Any = -1, **options: Any) -> Any:
        lengths = _lengths(p)
        axes = range(len(lengths)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        summed = [i % len(lengths) for i in axes]
        if "class_axis" in options:
            chosen = options.pop("class_axis")
            options["class_axis"] = max(summed) if chosen is None else chosen % len(lengths)

        def value(index: tuple[int, ...]) -> Number:
            ranges = [range(n) if i in summed else [0] for i, n in enumerate(lengths)]
            places = []
            for inner in itertools.product(*ranges):
                kept = iter(index)
                places.append(tuple(inner[i] if i in summed else next(kept) for i in range(len(lengths))))
            return region([(place, _at(t, place), _at(p, place)) for place in places], **options)

        def nested(kept: list[int], index: tuple[int, ...]) -> Any:
            if not kept:
                return value(index)
            return [nested(kept[1:], (*index, i)) for i in range(kept[0])]

        return nested([n for i, n in enumerate(lengths) if i not in summed], ())

    return batch


def dice(region: Any, smooth: float = 0.0, squared: bool = False) -> Number:
    power = 2 if squared else 1
    top = 2 * mp.fsum(t * p for _, t, p in region) + mp.mpf(smooth)
    bottom = mp.fsum(t**power for _, t, _ in region) + mp.fsum(p**power for *_, p in region) + mp.mpf(smooth)
    return 1 - top / bottom if bottom else mp.mpf(0)


def generalized_dice(region: Any, class_axis: int) -> Number:
    """1 - 2 sum w I / sum w (T + P), w = 1 / T^2; for an absent class the largest of the others."""
    classes = sorted({place[class_axis] for place, _, _ in region})
    t_sum = [mp.fsum(t for place, t, _ in region if place[class_axis] == c) for c in classes]
    p_sum = [mp.fsum(p for place, _, p in region if place[class_axis] == c) for c in classes]
    both = [mp.fsum(t * p for place, t, p in region if place[class_axis] == c) for c in classes]
    finite = [1 / size**2 for size in t_sum if size]
    weights = [1 / size**2 if size else max(finite, default=mp.mpf(1)) for size in t_sum]
    top = mp.fsum(w * i for w, i in zip(weights, both, strict=True))
    bottom = mp.fsum(w * (a + b) for w, a, b in zip(weights, t_sum, p_sum, strict=True))
    return 1 - 2 * top / bottom if bottom else mp.mpf(0)


def tversky(region: Any, alpha: float = 0.5, beta: float = 0.5) -> Number:
    hit = mp.fsum(t * p for _, t, p in region)
    false_positive = mp.fsum(p for *_, p in region) - hit
    false_negative = mp.fsum(t for _, t, _ in region) - hit
    bottom = hit + mp.mpf(alpha) * false_positive + mp.mpf(beta) * false_negative
    return 1 - hit / bottom if bottom else mp.mpf(0)


def focal_tversky(region: Any, alpha: float = 0.3, beta: float = 0.7, gamma: float = 0.75) -> Number:
    return tversky(region, alpha, beta) ** mp.mpf(gamma)


def jaccard(region: Any) -> Number:
    hit = mp.fsum(t * p for _, t, p in region)
    union = mp.fsum(t for _, t, _ in region) + mp.fsum(p for *_, p in region) - hit
    return 1 - hit / union if union else mp.mpf(0)


def lovasz_extension(foreground: list[bool], errors: list[Number]) -> Number:
    """The Lovasz extension of the Jaccard loss: that of growing sets of mispredicted pixels, largest error first."""
    order = sorted(range(len(errors)), key=lambda i: -errors[i])
    region = {i for i, inside in enumerate(foreground) if inside}

    def jaccard_loss(wrong: set[int]) -> Number:
        return mp.mpf(len(wrong)) / len(region | wrong) if wrong else mp.mpf(0)

    return mp.fsum(
        errors[i] * (jaccard_loss({*order[: k + 1]}) - jaccard_loss({*order[:k]})) for k, i in enumerate(order)
    )


def lovasz_of_pixels(pixels: Any, classes: Any) -> Number:
    found = []
    for c in range(len(pixels[0][1])) if pixels else ():
        foreground = [label == c for label, _ in pixels]
        if not isinstance(classes, str) and c not in classes:
            continue
        if classes == "present" and not any(foreground):
            continue
        errors = [1 - p[c] if inside else p[c] for inside, (_, p) in zip(foreground, pixels, strict=True)]
        found.append(lovasz_extension(foreground, errors))
    return mp.fsum(found) / len(found) if found else mp.mpf(0)


def lovasz_softmax(labels: Any, p: Any, axis: int = -1, classes: Any = "present") -> Any:
    lengths = _lengths(p)
    axis %= len(lengths)
    pixels = []
    for place in itertools.product(*(range(n) for i, n in enumerate(lengths) if i != axis)):
        vector = [_at(p, (*place[:axis], c, *place[axis:])) for c in range(lengths[axis])]
        pixels.append((_at(labels, place), vector))
    return lovasz_of_pixels(pixels, classes)


EMPTY, NAN = ([[0.0, 0.0]], [[0.0, 0.0]]), float("nan")
NOTHING = {"value": [0.0], "gradient": [[0.0, 0.0]]}
HALF = ([[1.0, 1.0, 0.0, 0.0]], [[1.0, 0.0, 1.0, 0.0]])
"""One hit, one false positive, one false negative."""
SPACE = ({"axis": (1, 2)}, {"axis": None}, {"axis": 0})


def _nans(name: str) -> tuple[Edge, ...]:
    return (
        Edge(([[0.0, NAN]], [[0.0, 0.0]]), [NAN], f"{name}: a target of nan"),
        Edge(([[0.0, 0.0]], [[0.0, NAN]]), [NAN], f"{name}: a prediction of nan"),
    )


def _with(options: tuple[dict[str, Any], ...], more: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
    return tuple({**a, **b} for a in options for b in more)


add(
    "dice",
    regions(dice),
    "batch",
    masks_and_probabilities,
    options=({}, {"smooth": 1.0}, {"squared": True}, {"smooth": 0.5, "squared": True}, {"axis": ()}),
    edges=(
        Edge(EMPTY, source="both empty (Keras 1, Optax nan)", **NOTHING),
        Edge(EMPTY, source="both empty, squares", options={"squared": True}, **NOTHING),
        Edge(EMPTY, [0.0], "both empty, smoothed: 1 - 1 / 1; d/dp of p / (p + 1)", {"smooth": 1.0}, [[1.0, 1.0]]),
        Edge(([[0.0, 0.0]], [[0.5, 0.0]]), [1.0], "an empty target", gradient=[[0.0, 0.0]]),
        Edge(([[1.0, 0.0]], [[0.0, 0.0]]), [1.0], "an empty prediction; 1 - 2 p / (1 + p + q)",
             gradient=[[-2.0, 0.0]]),
        Edge(([[1.0, 0.0]], [[1.0, 0.0]]), [0.0], "an exact fit; from one side", gradient=[[-0.5, 0.5]]),
        Edge(HALF, [0.5], "1 - 2 / (2 + 2)", gradient=[[-0.375, -0.375, 0.125, 0.125]]),
        Edge(HALF, [0.5], "squares of 0 and 1 are themselves", {"squared": True}, [[-0.25, -0.5, 0.25, 0.0]]),
        *_nans("dice"),
    ),
)  # fmt: skip
add("dice", regions(dice), "batch", images, options=_with(SPACE, ({}, {"squared": True})))
add(
    "generalized_dice",
    regions(generalized_dice),
    "batch",
    one_hot_images,
    options=(
        {"axis": (1, 2, 3), "class_axis": None},
        {"axis": None, "class_axis": -1},
        {"axis": (1, 2, 3), "class_axis": 3},
        {"axis": (2, 3), "class_axis": None},
        {"axis": -1, "class_axis": None},
    ),
    edges=(
        Edge(EMPTY, source="both empty", **NOTHING),
        Edge(([[[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]], [[[0.5, 0.5], [0.0, 1.0], [0.0, 1.0]]]), [5 / 21],
             "1 - 2 (0.5 + 2 / 4) / (1.5 + 4.5 / 4)", {"axis": (1, 2)}),
        Edge(([[[1.0, 0.0], [1.0, 0.0]]], [[[1.0, 0.0], [0.5, 0.5]]]), [0.25],
             "weights 1/4 and, of the absent class, 1/4 too: 1 - 2 x 1.5 / (3.5 + 0.5)", {"axis": (1, 2)}),
        Edge(([[[0.0, 0.0]]], [[[0.5, 0.25]]]), [1.0], "no class at all: weights of 1", {"axis": (1, 2)},
             [[[0.0, 0.0]]]),
        Edge(([[[1.0, 0.0], [0.0, 1.0]]], [[[1.0, 0.0], [0.0, 1.0]]]), [0.0], "an exact fit; from one side",
             {"axis": (1, 2)}, [[[-0.25, 0.25], [0.25, -0.25]]]),
        Edge(([[[1e-30, 0.0], [0.0, 1e-30]]], [[[1.0, 0.0], [0.0, 1.0]]]), [1.0],
             "1 / T^2 is beyond float32", {"axis": (1, 2)}),
        *_nans("generalized_dice"),
    ),
)  # fmt: skip
add(
    "generalized_dice",
    regions(generalized_dice),
    "batch",
    classes_second,
    options=({"axis": (1, 2, 3), "class_axis": 1}, {"axis": (-1, -2, -3), "class_axis": -3}),
)
add(
    "tversky",
    regions(tversky),
    "batch",
    masks_and_probabilities,
    options=({}, {"alpha": 0.3}, {"beta": 2.0}, {"alpha": 0.0, "beta": 1.0}),
    edges=(
        Edge(EMPTY, source="both empty", **NOTHING),
        Edge(([[1.0, 0.0]], [[1.0, 1.0]]), [0.5], "alpha weighs false positives (Keras: 0)",
             {"alpha": 1.0, "beta": 0.0}, [[-0.25, 0.25]]),
        Edge(([[1.0, 1.0]], [[1.0, 0.0]]), [0.0], "a false negative of no weight (Keras: 0.5)",
             {"alpha": 1.0, "beta": 0.0}, [[0.0, 0.0]]),
        Edge(([[0.0, 0.0]], [[1.0, 0.0]]), source="false positives of no weight: 0 / 0",
             options={"alpha": 0.0}, **NOTHING),
        Edge(HALF, [0.5], "1 - 1 / (1 + 0.5 + 0.5)"),
        Edge(HALF, [0.6], "1 - 1 / (1 + 1 + 0.5)", {"alpha": 1.0}),
        *_nans("tversky"),
    ),
)  # fmt: skip
add("tversky", regions(tversky), "batch", images, options=_with(SPACE, ({"alpha": 0.2, "beta": 0.8},)))
add(
    "focal_tversky",
    regions(focal_tversky),
    "batch",
    masks_and_probabilities,
    options=({}, {"gamma": 2.0}, {"gamma": 1.0, "alpha": 0.5}, {"beta": 0.2, "gamma": 1.5}),
    edges=(
        Edge(EMPTY, source="both empty", **NOTHING),
        Edge(EMPTY, source="both empty", options={"gamma": 1.0}, **NOTHING),
        Edge(([[1.0, 0.0]], [[1.0, 0.0]]), source="an exact fit, whose slope is infinite: 0", **NOTHING),
        Edge(([[1.0, 0.0]], [[1.0, 0.0]]), source="an exact fit, flat", options={"gamma": 2.0}, **NOTHING),
        Edge(([[1.0, 0.0]], [[1.0, 0.0]]), [0.0], "an exact fit of tversky", {"gamma": 1.0}, [[-0.7, 0.3]]),
        Edge(([[1.0, 0.0]], [[1.0001, 0.0]]), [0.0], "beyond 1 by rounding: no nan"),
        Edge(HALF, [0.25], "0.5 squared", {"gamma": 2.0}),
        *_nans("focal_tversky"),
    ),
)  # fmt: skip
add("focal_tversky", regions(focal_tversky), "batch", images, options=SPACE)
add(
    "jaccard",
    regions(jaccard),
    "batch",
    masks_and_probabilities,
    edges=(
        Edge(EMPTY, source="both empty", **NOTHING),
        Edge(HALF, [2 / 3], "one of three"),
        Edge(([[1.0, 0.0]], [[1.0, 0.0]]), [0.0], "an exact fit; from one side", gradient=[[-1.0, 1.0]]),
        Edge(([[1.0, 0.0]], [[0.0, 1.0]]), [1.0], "apart", gradient=[[-0.5, 0.0]]),
        *_nans("jaccard"),
    ),
)  # fmt: skip
add("jaccard", regions(jaccard), "batch", images, options=SPACE)


def pixels(rng: np.random.Generator) -> tuple[Any, ...]:
    """Two images of five pixels, three classes, one of which the second image has not."""
    p = rng.uniform(0.05, 1.0, (2, 5, 3))
    return np.array([[0, 1, 2, 1, 0], [0, 0, 1, 1, 1]]), p / p.sum(-1, keepdims=True)


add(
    "lovasz_softmax",
    lovasz_softmax,
    "batch",
    pixels,
    options=({}, {"classes": "all"}, {"classes": (0, 2)}),
    edges=(
        Edge(([0, 1], [[1.0, 0.0], [0.0, 1.0]]), 0.0, "no error: at the kink of each", gradient=[[0.0, 0.0]] * 2),
        Edge(([0], [[0.75, 0.25]]), 0.25, "one pixel, one class of two: its error", gradient=[[-1.0, 0.0]]),
        Edge(([0], [[0.75, 0.25]]), 0.25, "the absent class: its largest error", {"classes": "all"}, [[-0.5, 0.5]]),
        # class 0: errors .5 (inside), .25: steps 1 and 0, as J_1 = 1; class 1: errors .5 (outside), .25 (inside): steps
        # J_1 = 1 - 1/2, J_2 = 1
        Edge(([0, 1], [[0.5, 0.5], [0.25, 0.75]]), 0.4375, "two pixels: (0.5 + 0.375) / 2",
             gradient=[[-0.5, 0.25], [0.0, -0.25]]),
        Edge(([0, 0, 0], [[0.5], [0.5], [0.5]]), 0.5, "errors of equal rank: 1/3 each", gradient=[[-1 / 3]] * 3),
        # outside first in order: J = 1/2, 1/2, so the second pixel (inside) gets 1/2, too; the other order 1 and 0
        Edge(([1, 0], [[0.5, 0.5], [0.5, 0.5]]), 0.5, "a tie of a pixel inside and one outside, in their order",
             gradient=[[0.25, -0.5], [-0.25, 0.0]]),
        Edge(([0, 0], [[0.5, 0.5], [NAN, 0.5]]), NAN, "nan"),
        Edge(([0, 0], [[0.5, 0.5], [0.5, NAN]]), NAN, "nan in a class that is absent"),
    ),
)  # fmt: skip


def pixels_of_channels(rng: np.random.Generator) -> tuple[Any, ...]:
    labels, p = pixels(rng)
    return labels, np.moveaxis(p, -1, 1)


add(
    "lovasz_softmax",
    lambda labels, p, class_axis, **options: lovasz_softmax(labels, p, axis=class_axis, **options),
    "batch",
    pixels_of_channels,
    options=({"class_axis": 1}, {"class_axis": -2, "classes": (1,)}),
)

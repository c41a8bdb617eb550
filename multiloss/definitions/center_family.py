"""The close family of center loss: the same table of centers, other values, two with a step of their own. Pure.

`y_true` is a `Compared`: what features are held against. contrastive_center, triplet_center and island look at all
centers, so they cost batch x classes x features (island: classes x features) and are no losses for a million classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from multiloss.engine.definition import over_axis
from multiloss.engine.options import NonNegative, Positive
from multiloss.engine.table import Compared, Rule, Table

Array = Any


def _to_all(xp: Any, c: Compared, x: Array) -> tuple[Array, Array, Array]:
    """x - c_j for each center (..., C, D), its square (..., C), and where j is another class (..., C)."""
    # The direct difference: |x|^2 + |c|^2 - 2xc loses every digit once |x| is far larger than |x - c|.
    e = x[..., None, :] - c.centers
    each = xp.reshape(xp.class_range(c.centers, 0), (-1,))
    return e, xp.sum(e * e, axis=-1), each != c.labels[..., None]


def _only(xp: Any, where: Array, x: Array) -> Array:
    return xp.where(where, x, 0)


@over_axis(name="contrastive_center", table=Table(compares=True))
def contrastive_center(xp: Any, y_true: Any, y_pred: Array, *, axis: int = -1, delta: Positive = 1.0) -> Array:
    """Contrastive-center loss (Qi & Su, ICIP 2017): the distance to the own center over that to all others.

    Ce Qi and Fei Su, "Contrastive-center loss for deep neural networks", ICIP 2017, pp. 2851-2855, Eq. 2 (there the
    sum over the batch); arXiv:1707.07391.

    .. math:: \\tfrac12 \\frac{\\lVert x - c_y \\rVert^2}{\\delta + \\sum_{j \\ne y} \\lVert x - c_j \\rVert^2}

    The centers move by Eq. 4 of center loss. It compares with all centers: batch x classes x features numbers.

    Args:
        labels: integer classes y, one a sample.
        features: x, (..., D).
        delta: keeps the quotient finite, > 0, in the squared unit of the features.

    Returns:
        One value per sample, without unit. (Ports that sum over the batch before they divide compute something else.)
    """
    _, squares, others = _to_all(xp, y_true, y_pred)
    e = y_pred - y_true.rows
    return 0.5 * xp.sum(e * e, axis=axis) / (delta + xp.sum(_only(xp, others, squares), axis=-1))


@contrastive_center.gradient
def _(xp: Any, y_true: Any, y_pred: Array, *, delta: float) -> Array:
    differences, squares, others = _to_all(xp, y_true, y_pred)
    e = y_pred - y_true.rows
    by = (delta + xp.sum(_only(xp, others, squares), axis=-1))[..., None]
    away = xp.sum(_only(xp, others[..., None], differences), axis=-2)
    return e / by - (xp.sum(e * e, axis=-1)[..., None] / by) * (away / by)


def nearest_other(xp: Any, c: Compared, x: Array) -> tuple[Array, Array]:
    """The class of the nearest center of another class (the first one at ties), and whether there is any."""
    _, squares, others = _to_all(xp, c, xp.stop_gradient(x))
    far = xp.where(others, squares, float("inf"))
    return xp.argmax(-far, axis=-1), xp.any(others, axis=-1)


def triplet_gap(xp: Any, c: Compared, x: Array, margin: float) -> tuple[Array, Array, Array]:
    """margin + D(x, c_y) - D(x, c_q), 0 where there is no other class; c_q; and q."""
    q, exists = nearest_other(xp, c, x)
    other = xp.gather(c.centers, q)
    pull, push = x - c.rows, x - other
    gap = margin + 0.5 * xp.sum(pull * pull, axis=-1) - 0.5 * xp.sum(push * push, axis=-1)
    return _only(xp, exists, gap), other, q


def active(xp: Any, gap: Array) -> Array:
    """Whether a sample counts: its gap is above 0, or nan."""
    return (gap > 0) | xp.isnan(gap)  # ~(gap <= 0) is gap > 0 to TensorFlow's graphs, where a nan is lost


@over_axis(
    name="triplet_center",
    table=Table(compares=True, moves_all=lambda own: own["push"], step_in_words="a step of its own, of all classes"),
)
def triplet_center(
    xp: Any, y_true: Any, y_pred: Array, *, axis: int = -1, margin: NonNegative = 5.0, push: bool = True
) -> Array:
    """Triplet-center loss (He et al., CVPR 2018): the own center nearer than the next one, by a margin.

    Xinwei He, Yang Zhou, Zhichao Zhou, Song Bai and Xiang Bai, "Triplet-center loss for multi-view 3D object
    retrieval", CVPR 2018, pp. 1945-1954; arXiv:1803.06189.

    .. math:: \\max(0,\\; m + D_y - \\min_{j \\ne y} D_j), \\quad D_j = \\tfrac12 \\lVert x - c_j \\rVert^2

    With q the nearest other center, active samples only (their value is above 0), and counts of them:

    .. math:: c_j \\leftarrow c_j - \\alpha (P_j - Q_j)

    .. math:: P_j = \\frac{\\sum_{i: y_i = j} (c_j - x_i)}{1 + n^+_j}

    .. math:: Q_j = \\frac{\\sum_{i: q_i = j} (c_j - x_i)}{1 + n^-_j}

    A sample whose value is nan keeps its own class where it is, and no other. It compares with all centers: batch x
    classes x features numbers.

    Args:
        labels: integer classes y, one a sample.
        features: x, (..., D).
        margin: m, >= 0, in the squared unit of the features.
        push: False moves the centers by Eq. 4 of center loss, over all samples.

    Returns:
        One value per sample, in the squared unit of the features; 0 while there is one class only. The gradient is
        c_q - c_y where the value is above 0, else 0.
    """
    gap, *_ = triplet_gap(xp, y_true, y_pred, margin)
    return xp.where(gap <= 0, 0, gap)  # so asked, a nan stays


@triplet_center.gradient
def _(xp: Any, y_true: Any, y_pred: Array, *, margin: float) -> Array:
    gap, other, _ = triplet_gap(xp, y_true, y_pred, margin)
    return _only(xp, active(xp, gap)[..., None], other - y_true.rows)


@triplet_center.stepping
def _(xp: Any, c: Compared, x: Array, sums: Callable[..., Any], *, margin: float) -> tuple[Array, Array]:
    gap, other, q = triplet_gap(xp, c, x, margin)
    keep = c.keep & active(xp, gap)
    # What is not finite is near to nothing, and touches its own class only.
    away, n = sums(xp.where(xp.isnan(gap), c.labels, xp.astype(q, c.labels.dtype)), other, keep)
    return keep, -away / (1 + n)[:, None]


def directions(xp: Any, vectors: Array) -> tuple[Array, Array]:
    """Vectors divided by their lengths, and these (..., 1); that of a zero vector is 0."""
    largest = xp.max(xp.abs(vectors), axis=-1, keepdims=True)
    scaled = vectors / xp.where(largest == 0, 1, largest)  # so that squares stay finite
    length = xp.sqrt(xp.sum(scaled * scaled, axis=-1, keepdims=True))
    return scaled / xp.where(length == 0, 1, length), length * largest


@over_axis(
    name="island",
    table=Table(compares=True, moves_all=lambda own: True, step_in_words="a step of its own, of all classes"),
)
def island(xp: Any, y_true: Any, y_pred: Array, *, axis: int = -1, weight: NonNegative = 1.0) -> Array:
    """Island loss (Cai et al., FG 2018): center loss, and each pair of centers apart in angle.

    Jie Cai, Zibo Meng, Ahmed Shehab Khan, Zhiyuan Li, James O'Reilly and Yan Tong, "Island loss for learning
    discriminative features in facial expression recognition", FG 2018; arXiv:1710.03144.

    .. math:: \\tfrac12 \\lVert x - c_y \\rVert^2 + w \\sum_{k \\ne j} (\\cos(c_k, c_j) + 1)

    The sum runs over the ordered pairs of all centers; a zero center has cosine 0. With u the centers divided by
    their norms m, all centers move, also those of classes that the batch lacks:

    .. math:: c_j \\leftarrow c_j - \\alpha (P_j + Q_j)

    .. math:: P_j = \\frac{\\sum_{i: y_i = j} (c_j - x_i)}{1 + n_j}

    .. math:: Q_j = \\frac{w}{C - 1} \\sum_{k \\ne j} \\frac{u_k - (u_k \\cdot u_j)\\, u_j}{m_j}

    Args:
        labels: integer classes y, one a sample.
        features: x, (..., D).
        weight: w, >= 0, in the squared unit of the features.

    Returns:
        One value per sample; the pairs' term is in each, so that `reduction="mean"` has it once. The gradient with
        respect to x is that of center loss.
    """
    e = y_pred - y_true.rows
    return 0.5 * xp.sum(e * e, axis=axis) + weight * _pairs(xp, y_true.centers)


@island.gradient
def _(xp: Any, y_true: Any, y_pred: Array) -> Array:
    return y_pred - y_true.rows


def _pairs(xp: Any, centers: Array) -> Array:
    unit, _ = directions(xp, centers)
    n = int(centers.shape[0])
    total = xp.sum(unit, axis=0)
    # The sum of all cosines is the squared length of the sum of the directions; each with itself goes off again.
    return xp.sum(total * total) - xp.sum(unit * unit) + n * (n - 1)


@island.stepping
def _(xp: Any, c: Compared, x: Array, sums: Callable[..., Any], *, weight: float) -> tuple[Array, Array]:
    return c.keep, _push(xp, c.centers, weight)


def _push(xp: Any, centers: Array, weight: float) -> Array:
    """The pairs' part of each center's step, (C, D)."""
    unit, length = directions(xp, centers)
    total = xp.sum(unit, axis=0) - unit  # of the other directions
    across = total - xp.sum(total * unit, axis=-1, keepdims=True) * unit
    by = xp.where(length == 0, float("inf"), length)  # a zero center stays put
    return weight / max(int(centers.shape[0]) - 1, 1) * across / by


@over_axis(name="git", table=Table(compares=True, of_batch=True))
def git(xp: Any, y_true: Any, y_pred: Array, *, axis: int = -1, weight: NonNegative = 1.0) -> Array:
    """Git loss (Calefati et al., BMVC 2018): center loss, and away from the centers of the other samples.

    Alessandro Calefati, Muhammad Kamran Janjua, Shah Nawaz and Ignazio Gallo, "Git loss for deep face recognition",
    BMVC 2018, section 3; arXiv:1807.08512.

    .. math:: \\tfrac12 d(x_i, c_{y_i})^2 + w \\sum_{j \\ne i} \\frac{1}{1 + d(x_i, c_{y_j})^2}

    d is the Euclidean distance. The centers move by Eq. 4 of center loss. Pairs of one class are in the sum. Pairs are
    of one batch (of one process), batch x batch x features numbers. (The authors' code works per dimension.)

    Args:
        labels: integer classes y, (N,).
        features: x, (N, D).
        weight: w, >= 0, in the squared unit of the features.

    Returns:
        One value per sample.
    """
    _, squares, others = _to_samples(xp, y_true, y_pred)
    e = y_pred - y_true.rows
    return 0.5 * xp.sum(e * e, axis=axis) + weight * xp.sum(_only(xp, others, 1 / (1 + squares)), axis=-1)


@git.gradient
def _(xp: Any, y_true: Any, y_pred: Array, *, weight: float) -> Array:
    e, squares, others = _to_samples(xp, y_true, y_pred)
    by = 1 + squares
    pull = _only(xp, others[..., None], (e / by[..., None]) / by[..., None])
    return (y_pred - y_true.rows) - 2 * weight * xp.sum(pull, axis=-2)


def _to_samples(xp: Any, c: Compared, x: Array) -> tuple[Array, Array, Array]:
    """x_i - c_(y_j) (N, N, D), its square, and where j is another sample that counts."""
    e = x[:, None, :] - c.rows
    each = xp.reshape(xp.class_range(c.rows, 0), (-1,))
    return e, xp.sum(e * e, axis=-1), (each[:, None] != each) & c.keep


def _first_radius(own: Mapping[str, Any]) -> np.ndarray:
    return np.array([[math.nan if own["radius"] is None else own["radius"]]])


@over_axis(
    name="ring",
    table=Table(
        one_row=True,
        presets={None: (Rule(by_class=False, by_batch=True), {"alpha": 0.001})},
        measure=lambda xp, features: directions(xp, features)[1],
        first=_first_radius,
        step_in_words="the radius by its gradient",
    ),
)
def ring(
    xp: Any, y_true: Array, y_pred: Array, *, axis: int = -1, weight: NonNegative = 0.01, radius: Positive | None = None
) -> Array:
    """Ring loss (Zheng et al., CVPR 2018): the lengths of all feature vectors near one radius, which is learned.

    Yutong Zheng, Dipan K. Pal and Marios Savvides, "Ring loss: convex feature normalization for face recognition",
    CVPR 2018, pp. 5089-5097; arXiv:1803.00130.

    .. math:: \\tfrac{w}{2} \\left(\\lVert x \\rVert - R\\right)^2

    R is the one center of all classes, in a table of shape (1, 1). Each training step moves it by its gradient:

    .. math:: R \\leftarrow R - \\alpha \\frac1N \\sum_i \\left(R - \\lVert x_i \\rVert\\right)

    so alpha is the learning rate that an optimizer would have, times the weight; its default is 0.001.

    Args:
        labels: integer classes, one a sample, as of the other losses; they are not used.
        features: x, (..., D).
        weight: w, >= 0.
        radius: the first R, in the unit of the features; None: the mean length in the first training batch (until
            then the table holds nan, and an evaluation takes the mean length of its own batch).

    Returns:
        One value per sample, in the squared unit of the features. The gradient of a zero vector is 0.
    """
    _, length = directions(xp, y_pred)
    e = length - y_true
    return 0.5 * weight * xp.sum(e * e, axis=axis)


@ring.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, weight: float) -> Array:
    unit, length = directions(xp, y_pred)
    return weight * (length - y_true) * unit

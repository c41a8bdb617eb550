"""The close family of center loss: the same table of centers, other values, and for some of them another step.

x are features, c what they are held against (`Compared`). contrastive_center and triplet_center compare each sample
with all centers, batch x classes x features numbers, so they are no losses for a million classes.
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
    # The difference comes first: |x|^2 + |c|^2 - 2xc loses every digit where |x| is far larger than |x - c|.
    e = x[..., None, :] - c.centers
    j = xp.reshape(xp.class_range(c.centers, 0), (-1,))
    return e, xp.sum(e * e, axis=-1), j != c.labels[..., None]


@over_axis(table=Table(compares=True))
def contrastive_center(xp: Any, c: Compared, x: Array, *, axis: int = -1, delta: Positive = 1.0) -> Array:
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
    _, squares, others = _to_all(xp, c, x)
    e = x - c.rows
    return 0.5 * xp.sum(e * e, axis=axis) / (delta + xp.sum(xp.where(others, squares, 0), axis=-1))


@contrastive_center.gradient
def _(xp: Any, c: Compared, x: Array, *, delta: float) -> Array:
    differences, squares, others = _to_all(xp, c, x)
    e = x - c.rows
    divisor = (delta + xp.sum(xp.where(others, squares, 0), axis=-1))[..., None]
    away = xp.sum(xp.where(others[..., None], differences, 0), axis=-2)
    return e / divisor - (xp.sum(e * e, axis=-1)[..., None] / divisor) * (away / divisor)


@over_axis(table=Table(compares=True, moves_all=lambda own: own["push"]))
def triplet_center(
    xp: Any, c: Compared, x: Array, *, axis: int = -1, margin: NonNegative = 5.0, push: bool = True
) -> Array:
    """Triplet-center loss (He et al., CVPR 2018): the own center nearer than the next one, by a margin.

    Xinwei He, Yang Zhou, Zhichao Zhou, Song Bai and Xiang Bai, "Triplet-center loss for multi-view 3D object
    retrieval", CVPR 2018, pp. 1945-1954; arXiv:1803.06189.

    .. math:: \\max(0,\\; m + D_y - \\min_{j \\ne y} D_j), \\quad D_j = \\tfrac12 \\lVert x - c_j \\rVert^2

    With q the nearest other center, and sums and counts of the active samples only (their value is above 0):

    .. math:: c_j \\leftarrow c_j - \\alpha (P_j - Q_j)

    .. math:: P_j = \\frac{\\sum_{i: y_i = j} (c_j - x_i)}{1 + n^+_j}

    .. math:: Q_j = \\frac{\\sum_{i: q_i = j} (c_j - x_i)}{1 + n^-_j}

    A sample whose value is nan keeps the center of its own class where it is, and no other. It compares with all
    centers: batch x classes x features numbers.

    Args:
        labels: integer classes y, one a sample.
        features: x, (..., D).
        margin: m, >= 0, in the squared unit of the features.
        push: False moves the centers by Eq. 4 of center loss, over all samples.

    Returns:
        One value per sample, in the squared unit of the features; 0 while there is one class only. The gradient is
        c_q - c_y where the value is above 0, else 0.
    """
    gap, *_ = _gap(xp, c, x, margin)
    return xp.hinge(gap)


@triplet_center.gradient
def _(xp: Any, c: Compared, x: Array, *, margin: float) -> Array:
    gap, nearest, _ = _gap(xp, c, x, margin)
    return xp.where(_is_active(xp, gap)[..., None], nearest - c.rows, 0)


@triplet_center.stepping
def _(xp: Any, c: Compared, x: Array, sums: Callable[..., Any], *, margin: float) -> tuple[Array, Array]:
    gap, nearest, q = _gap(xp, c, x, margin)
    active = c.keep & _is_active(xp, gap)
    # What is not finite is near to nothing, so it counts for its own class only.
    pushed = xp.where(xp.isnan(gap), c.labels, xp.astype(q, c.labels.dtype))
    total, n = sums(pushed, nearest, active)
    return active, -total / (1 + n)[:, None]


def _gap(xp: Any, c: Compared, x: Array, margin: float) -> tuple[Array, Array, Array]:
    """m + D_y - D_q, 0 where there is no other class; c_q; and q, the first of the nearest ones."""
    _, squares, others = _to_all(xp, c, xp.stop_gradient(x))
    q = xp.argmax(-xp.where(others, squares, float("inf")), axis=-1)
    nearest = xp.gather(c.centers, q)
    pull, push = x - c.rows, x - nearest
    gap = margin + 0.5 * xp.sum(pull * pull, axis=-1) - 0.5 * xp.sum(push * push, axis=-1)
    return xp.where(xp.any(others, axis=-1), gap, 0), nearest, q


def _is_active(xp: Any, gap: Array) -> Array:
    """Whether a gap is above 0, or nan."""
    return (gap > 0) | xp.isnan(gap)  # TensorFlow's graphs make gap > 0 of ~(gap <= 0), and lose a nan


@over_axis(table=Table(compares=True, moves_all=lambda own: True))
def island(xp: Any, c: Compared, x: Array, *, axis: int = -1, weight: NonNegative = 1.0) -> Array:
    """Island loss (Cai et al., FG 2018): center loss, and each pair of centers apart in angle.

    Jie Cai, Zibo Meng, Ahmed Shehab Khan, Zhiyuan Li, James O'Reilly and Yan Tong, "Island loss for learning
    discriminative features in facial expression recognition", FG 2018; arXiv:1710.03144.

    .. math:: \\tfrac12 \\lVert x - c_y \\rVert^2 + w \\sum_{k \\ne j} (\\cos(c_k, c_j) + 1)

    The sum runs over the ordered pairs of all centers; a zero center has cosine 0. With u_j = c_j / m_j and m_j the
    length of c_j, all centers move, those of classes that the batch lacks, too:

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
    e = x - c.rows
    return 0.5 * xp.sum(e * e, axis=axis) + weight * _pairs(xp, c.centers)


def _pairs(xp: Any, centers: Array) -> Array:
    """The sum of cos + 1 over the ordered pairs of centers."""
    u, n = xp.unit_rows(centers), int(centers.shape[0])
    total = xp.sum(u, axis=0)
    # The squared length of the sum of all u is the sum of all cosines; those of each with itself are taken off.
    return xp.sum(total * total) - xp.sum(u * u) + n * (n - 1)


@island.gradient
def _(xp: Any, c: Compared, x: Array) -> Array:
    return x - c.rows


@island.stepping
def _(xp: Any, c: Compared, x: Array, sums: Callable[..., Any], *, weight: float) -> tuple[Array, Array]:
    m = xp.row_norm(c.centers)
    u = xp.unit_rows(c.centers, m)
    others = xp.sum(u, axis=0) - u  # the sum of u_k over k != j
    across = others - xp.sum(others * u, axis=-1, keepdims=True) * u
    divisor = xp.where(m == 0, float("inf"), m)[:, None]  # a zero center stays where it is
    return c.keep, weight / max(int(c.centers.shape[0]) - 1, 1) * across / divisor


@over_axis(table=Table(compares=True, of_batch=True))
def git(xp: Any, c: Compared, x: Array, *, axis: int = -1, weight: NonNegative = 1.0) -> Array:
    """Git loss (Calefati et al., BMVC 2018): center loss, and away from the centers of the other samples.

    Alessandro Calefati, Muhammad Kamran Janjua, Shah Nawaz and Ignazio Gallo, "Git loss for deep face recognition",
    BMVC 2018, section 3; arXiv:1807.08512.

    .. math:: \\tfrac12 d(x_i, c_{y_i})^2 + w \\sum_{j \\ne i} \\frac{1}{1 + d(x_i, c_{y_j})^2}

    d is the Euclidean distance. The centers move by Eq. 4 of center loss. The sum runs over the samples of one batch
    (of one process), those of the same class too: batch x batch x features numbers. (The authors' code works per
    dimension.)

    Args:
        labels: integer classes y, (N,).
        features: x, (N, D).
        weight: w, >= 0, in the squared unit of the features.

    Returns:
        One value per sample.
    """
    _, squares, others = _to_samples(xp, c, x)
    e = x - c.rows
    away = xp.sum(xp.where(others, 1 / (1 + squares), 0), axis=-1)
    return 0.5 * xp.sum(e * e, axis=axis) + weight * away


@git.gradient
def _(xp: Any, c: Compared, x: Array, *, weight: float) -> Array:
    e, squares, others = _to_samples(xp, c, x)
    divisor = (1 + squares)[..., None]
    pull = xp.where(others[..., None], (e / divisor) / divisor, 0)
    return (x - c.rows) - 2 * weight * xp.sum(pull, axis=-2)


def _to_samples(xp: Any, c: Compared, x: Array) -> tuple[Array, Array, Array]:
    """x_i - c_(y_j) (N, N, D), its square (N, N), and where j is another sample that counts (N, N)."""
    e = x[:, None, :] - c.rows
    i = xp.reshape(xp.class_range(c.rows, 0), (-1,))
    return e, xp.sum(e * e, axis=-1), (i[:, None] != i) & c.keep


def _lengths(xp: Any, x: Array) -> Array:
    return xp.expand_dims(xp.row_norm(x), axis=-1)


def _first_radius(own: Mapping[str, Any]) -> np.ndarray:
    return np.array([[math.nan if own["radius"] is None else own["radius"]]])


@over_axis(
    table=Table(
        one_row=True,
        presets={None: (Rule(by_class=False, by_batch=True), {"alpha": 0.001})},
        measure=_lengths,
        first=_first_radius,
        step_in_words="the radius by its gradient",
    ),
)
def ring(
    xp: Any, r: Array, x: Array, *, axis: int = -1, weight: NonNegative = 0.01, radius: Positive | None = None
) -> Array:
    """Ring loss (Zheng et al., CVPR 2018): the lengths of all feature vectors near one radius, which is learned.

    Yutong Zheng, Dipan K. Pal and Marios Savvides, "Ring loss: convex feature normalization for face recognition",
    CVPR 2018, pp. 5089-5097; arXiv:1803.00130.

    .. math:: \\tfrac{w}{2} \\left(\\lVert x \\rVert - R\\right)^2

    R is the one center of all classes, in a table of shape (1, 1). Each training step moves it by its gradient:

    .. math:: R \\leftarrow R - \\alpha \\frac{1}{N} \\sum_i \\left(R - \\lVert x_i \\rVert\\right)

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
    e = _lengths(xp, x) - r
    return 0.5 * weight * xp.sum(e * e, axis=axis)


@ring.gradient
def _(xp: Any, r: Array, x: Array, *, weight: float) -> Array:
    return weight * (_lengths(xp, x) - r) * xp.unit_rows(x)

"""Cross entropies of logits that features and a weight make, one row a class: plain, and with a margin at the label."""

from __future__ import annotations

import math
from typing import Any

from multiloss.definitions.classification import (
    IgnoreIndex,
    LabelSmoothing,
    picked,
    sparse_categorical_crossentropy,
)
from multiloss.engine.definition import of_inputs
from multiloss.engine.numerics import bits
from multiloss.engine.options import Angle, Count, NonNegative, Positive

Array = Any
_SHAPES = {"labels": "N int<C", "features": "N D", "weight": "C D"}


@of_inputs({"y_true": "... int<C", "features": "... D", "weight": "C D", "bias": "C"})
def linear_cross_entropy(
    xp: Any,
    y_true: Array,
    features: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    label_smoothing: LabelSmoothing = 0.0,
    ignore_index: IgnoreIndex = None,
) -> Array:
    """Cross entropy of integer labels and a linear layer's logits, in nats.

    .. math:: -(1 - s) \\log p_y - \\tfrac{s}{C} \\sum_k \\log p_k, \\quad p = \\mathrm{softmax}(W x + b)

    Args:
        y_true: integer labels y in [0, C), (...).
        features: x, (..., D).
        weight: W, a row for each class, (C, D).
        bias: b, (C,), or None for no bias.

    Returns:
        One value per sample, in nats: `sparse_categorical_crossentropy(from_logits=True)` of W x + b.

    Raises:
        TypeError: labels that are no integers.
        ValueError: a label outside [0, C), where values can be read.

    Source: Bridle 1990. `torch.nn.functional.linear_cross_entropy` (input, linear_weight, target), whose
    `ignore_index` is -100 unless told otherwise.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("linear_cross_entropy", backend="numpy")
        >>> f"{loss([0], [[1.0, 2.0]], [[1.0, 1.0], [0.0, 1.0]]):.6f}"
        '0.313262'
    """
    logits = xp.linear(features, weight)
    return _cross_entropy(xp, y_true, logits if bias is None else logits + bias, label_smoothing)


def _cross_entropy(xp: Any, labels: Array, logits: Array, label_smoothing: float = 0.0) -> Array:
    how = {"axis": -1, "from_logits": True, "label_smoothing": label_smoothing}
    return sparse_categorical_crossentropy(xp, labels, logits, **how)


@of_inputs(_SHAPES)
def arcface(
    xp: Any, labels: Array, features: Array, weight: Array, *, scale: Positive = 64.0, margin: Angle = 0.5
) -> Array:
    """ArcFace: the softmax of scaled cosines, in which the angle to the own class counts as larger by a margin.

    .. math:: -\\log \\frac{e^{s \\phi(\\theta_y)}}{e^{s \\phi(\\theta_y)} + \\sum_{j \\ne y} e^{s \\cos \\theta_j}},
        \\quad \\phi(\\theta) = \\cos(\\theta + m)

    and, where theta + m is above pi, phi(theta) = cos(theta) - m sin(m).

    Args:
        labels: integer classes y in [0, C), (N,).
        features: x, (N, D); only their directions count.
        weight: W, a row for each class, (C, D); only their directions count. theta_j is the angle of x and W_j.
        scale: s; positive.
        margin: m in radians, in [0, pi]; pytorch-metric-learning takes degrees.

    Returns:
        One value per sample, (N,), in nats. A row of 0 is at a right angle to all others, with gradient 0; where x and
        W_y point the same way (to rounding) or in opposite ways, the gradient of the angle is 0.

    Raises:
        ValueError: a label outside [0, C), where values can be read.

    Source: Deng et al. 2019; beyond pi as pytorch-metric-learning's `ArcFaceLoss` and the authors' first code,
    so that a larger angle never costs less.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("arcface", backend="numpy", scale=1.0, margin=0.0)
        >>> f"{loss([0], [[2.0, 0.0]], [[1.0, 0.0], [0.0, 3.0]]):.6f}"
        '0.313262'
    """
    x, w = xp.unit_rows(features), xp.unit_rows(weight)
    cosines = xp.matmul(x, xp.matrix_transpose(w))
    cosine = picked(xp, labels, cosines, axis=-1)
    turned = cosine * math.cos(margin) - _sine(xp, x, xp.gather(w, labels), cosine) * math.sin(margin)
    further = xp.where(cosine < -math.cos(margin), cosine - margin * math.sin(margin), turned)
    return _cross_entropy(xp, labels, scale * (cosines + xp.one_hot_times(further - cosine, labels, cosines, -1)))


def _sine(xp: Any, x: Array, w: Array, cosine: Array) -> Array:
    """The sine of the angle of unit rows x and w, as the distance of x from the line of w; 0 where that is rounding."""
    # sqrt(1 - cosine^2) would lose the digits of small angles, and has an infinite derivative.
    sine = xp.row_norm(x - xp.expand_dims(cosine, axis=-1) * w)
    small = sine < (2.0**-50 if bits(sine) == 64 else 2.0**-21)
    return xp.where(xp.row_norm(x) == 0, 1, xp.where(small, 0, sine))


@of_inputs(_SHAPES)
def cosface(
    xp: Any, labels: Array, features: Array, weight: Array, *, scale: Positive = 64.0, margin: NonNegative = 0.35
) -> Array:
    """CosFace: the softmax of scaled cosines, in which that of the own class counts as smaller by a margin.

    .. math:: -\\log \\frac{e^{s (\\cos \\theta_y - m)}}{e^{s (\\cos \\theta_y - m)} +
        \\sum_{j \\ne y} e^{s \\cos \\theta_j}}

    Args:
        labels: integer classes y in [0, C), (N,).
        features: x, (N, D); only their directions count.
        weight: W, a row for each class, (C, D); only their directions count. theta_j is the angle of x and W_j.
        scale: s; positive.
        margin: m, 0 or above.

    Returns:
        One value per sample, (N,), in nats. A row of 0 is at a right angle to all others, with gradient 0.

    Raises:
        ValueError: a label outside [0, C), where values can be read.

    Source: Wang et al. 2018 (CosFace); AM-Softmax, Wang et al. 2018, is the same.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("cosface", backend="numpy", scale=1.0, margin=0.5)
        >>> f"{loss([0], [[2.0, 0.0]], [[1.0, 0.0], [0.0, 3.0]]):.6f}"
        '0.474077'
    """
    cosines = xp.matmul(xp.unit_rows(features), xp.matrix_transpose(xp.unit_rows(weight)))
    less = xp.full_like(picked(xp, labels, cosines, axis=-1), margin)
    return _cross_entropy(xp, labels, scale * (cosines - xp.one_hot_times(less, labels, cosines, -1)))


@of_inputs(_SHAPES)
def sphereface(xp: Any, labels: Array, features: Array, weight: Array, *, margin: Count = 4) -> Array:
    """SphereFace (angular softmax): the angle to the own class counts as a multiple of itself.

    .. math:: -\\log \\frac{e^{\\lVert x \\rVert \\psi(\\theta_y)}}{e^{\\lVert x \\rVert \\psi(\\theta_y)} +
        \\sum_{j \\ne y} e^{\\lVert x \\rVert \\cos \\theta_j}}, \\quad
        \\psi(\\theta) = (-1)^k \\cos(m \\theta) - 2 k, \\quad k \\le m \\theta / \\pi \\le k + 1

    Args:
        labels: integer classes y in [0, C), (N,).
        features: x, (N, D); their lengths count.
        weight: W, a row for each class, (C, D); only their directions count. theta_j is the angle of x and W_j.
        margin: m, an integer of at least 1; 1 is the softmax without a margin.

    Returns:
        One value per sample, (N,), in nats. The gradient of a feature of 0 is that of the softmax without a margin.

    Raises:
        ValueError: a label outside [0, C), where values can be read.

    Source: Liu et al. 2017, without the annealing of the authors' code.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("sphereface", backend="numpy", margin=2)
        >>> f"{loss([0], [[0.0, 1.0]], [[1.0, 0.0], [-1.0, 0.0]]):.6f}"
        '1.313262'
    """
    w = xp.unit_rows(weight)
    logits = xp.matmul(features, xp.matrix_transpose(w))
    cosine = xp.sum(xp.unit_rows(features) * xp.gather(w, labels), axis=-1)
    # The length times cosine is linear; the rest alone has a kink at 0.
    more = xp.row_norm(features) * (_psi(xp, cosine, margin) - cosine)
    return _cross_entropy(xp, labels, logits + xp.one_hot_times(more, labels, logits, -1))


def _psi(xp: Any, cosine: Array, m: int) -> Array:
    sign, k = xp.ones_like(cosine), xp.zeros_like(cosine)
    for i in range(1, m):
        beyond = cosine < math.cos(i * math.pi / m)
        sign, k = xp.where(beyond, -sign, sign), xp.where(beyond, k + 1, k)
    return sign * xp.chebyshev(cosine, m) - 2 * k

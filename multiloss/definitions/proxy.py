"""Losses of features and proxies: a learned point for each class, which stands for its samples."""

from __future__ import annotations

from typing import Any

from multiloss.engine.definition import of_inputs
from multiloss.engine.options import NonNegative, Positive

Array = Any
_SHAPES = {"labels": "N int<C", "features": "N D", "weight": "C D"}


@of_inputs(_SHAPES)
def proxy_nca(
    xp: Any, labels: Array, features: Array, weight: Array, *, scale: Positive = 1.0, plus: bool = False
) -> tuple[Array, Array]:
    """Proxy-NCA: each sample is drawn to the proxy of its class, and away from the others.

    .. math:: -\\log \\frac{e^{-s d(x, w_y)}}{\\sum_{j \\ne y} e^{-s d(x, w_j)}}, \\quad
        d(x, w) = \\left\\lVert \\frac{x}{\\lVert x \\rVert} - \\frac{w}{\\lVert w \\rVert} \\right\\rVert^2

    Args:
        labels: integer classes y in [0, C), (N,).
        features: x, (N, D); divided by their length here.
        weight: the proxies w, one a class, (C, D); divided by their length here.
        scale: s; positive.
        plus: whether the own proxy is in the denominator, too: a softmax.

    Returns:
        One value per sample, (N,); negative where the own proxy is by far the nearest, but for `plus`. Without `plus`
        a single class has nothing to compare with: 0, and the sample leaves the mean.

    Raises:
        ValueError: a label outside [0, C), where values can be read.

    Source: Movshovitz-Attias et al. 2017; Teh et al. 2020 (ProxyNCA++) is `plus=True, scale=9`.
    pytorch-metric-learning's `ProxyNCALoss` is `plus=True, scale=1`.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("proxy_nca", backend="numpy")
        >>> f"{loss([0], [[2.0, 0.0]], [[1.0, 0.0], [0.0, 3.0]]):.6f}"
        '-2.000000'
    """
    w = xp.unit_rows(weight)
    # -s d, less the squared length of x / |x|, which is the same for all proxies. That of w is 1, or 0.
    square = xp.stop_gradient(xp.sum(w * w, axis=-1))
    nearness = scale * (2 * xp.matmul(xp.unit_rows(features), xp.matrix_transpose(w)) - square)
    own = xp.class_range(nearness, -1) == xp.expand_dims(labels, axis=-1)
    among = xp.ones_like(nearness, dtype=xp.bool) if plus else xp.logical_not(own)
    mine = xp.sum(xp.where(own, nearness, 0), axis=-1)
    has = xp.any(among, axis=-1)
    one = xp.ones_like(mine)
    value = xp.where(has, xp.masked_logsumexp(nearness, among) - mine, 0 * mine)
    return value, xp.where(has, one, 0)


@of_inputs(_SHAPES, whole_batch=True)
def proxy_anchor(
    xp: Any,
    labels: Array,
    features: Array,
    weight: Array,
    *,
    keep: Array | None = None,
    alpha: Positive = 32.0,
    margin: NonNegative = 0.1,
) -> Array:
    """Proxy-Anchor: each proxy draws the samples of its class and repels the others, the hardest the most.

    .. math:: \\frac{1}{|P^+|} \\sum_{p \\in P^+} \\log(1 + \\sum_{x \\in X_p^+} e^{-\\alpha (s(x, p) - \\delta)})
        + \\frac{1}{|P|} \\sum_{p \\in P} \\log(1 + \\sum_{x \\in X_p^-} e^{\\alpha (s(x, p) + \\delta)})

    Args:
        labels: integer classes in [0, C), (N,); X_p^+ are the samples of p's class, X_p^- the others.
        features: x, (N, D); s(x, p) is the cosine.
        weight: the proxies p, one a class, (C, D): P. P^+ are those whose class is in the batch.
        alpha: the scale; positive.
        margin: delta, 0 or above.

    Returns:
        One value for the batch; masked samples are in none of the sums.

    Raises:
        ValueError: a label outside [0, C), where values can be read. Weights of samples: the anchors, which weights
            would apply to, are the proxies.

    Source: Kim et al. 2020.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("proxy_anchor", backend="numpy", alpha=1.0, margin=0.0)
        >>> f"{loss([0], [[2.0, 0.0]], [[1.0, 0.0], [0.0, 3.0]]):.6f}"
        '0.659835'
    """
    similarity = xp.matmul(xp.unit_rows(weight), xp.matrix_transpose(xp.unit_rows(features)))
    own = xp.matrix_transpose(xp.class_range(xp.matrix_transpose(similarity), -1)) == xp.expand_dims(labels, axis=0)
    other = xp.logical_not(own)
    if keep is not None:
        own, other = own & xp.expand_dims(keep, axis=0), other & xp.expand_dims(keep, axis=0)
    drawn, present = _softplus_sum(xp, -alpha * (similarity - margin), own)
    repelled, _ = _softplus_sum(xp, alpha * (similarity + margin), other)
    number = xp.sum(present)
    return xp.sum(drawn) / xp.where(number == 0, 1, number) + xp.mean(repelled)


def _softplus_sum(xp: Any, x: Array, among: Array) -> tuple[Array, Array]:
    """log(1 + sum(exp(x))) over the last axis, of the entries in the mask; and 1 where there is one, else 0."""
    value = xp.softplus(xp.masked_logsumexp(x, among))
    some, one = xp.any(among, axis=-1), xp.ones_like(value)
    return xp.where(some, value, 0 * value), xp.where(some, one, 0)

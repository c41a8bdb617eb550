"""Losses of embeddings that compare every sample of a batch with every other."""

from __future__ import annotations

from typing import Any

from multiloss.engine.definition import of_inputs
from multiloss.engine.options import Positive

Array = Any


def pairs(xp: Any, labels: Array, keep: Array | None) -> tuple[Array, Array]:
    """(N, N): whether j is another sample of i's class; whether it is another sample. False where i or j is masked."""
    number = xp.class_range(xp.expand_dims(labels, axis=0), -1)
    other = xp.expand_dims(xp.squeeze(number, axis=0), axis=1) != number
    if keep is not None:
        other = other & xp.expand_dims(keep, axis=0) & xp.expand_dims(keep, axis=1)
    same = xp.expand_dims(labels, axis=0) == xp.expand_dims(labels, axis=1)
    return other & same, other


def cosines(xp: Any, features: Array) -> Array:
    """(N, N): the cosine of each two samples; that with a row of 0 is 0."""
    z = xp.unit_rows(features)
    return xp.matmul(z, xp.matrix_transpose(z))


def any_of(xp: Any, among: Array) -> Array:
    """(N,): whether a row of the mask has an entry."""
    return xp.any(among, axis=-1)


def nothing(xp: Any, features: Array) -> Array:
    """(N,): 0, the value of an anchor without pairs; nan where its features are not finite, so that it shows."""
    return xp.sum(0 * features, axis=-1)


def ones_where(xp: Any, condition: Array, like: Array) -> Array:
    """1 where the condition holds, else 0: a count."""
    return xp.where(condition, xp.ones_like(like), xp.zeros_like(like))


@of_inputs({"labels": "N int", "features": "N D"})
def supervised_contrastive(
    xp: Any,
    labels: Array,
    features: Array,
    *,
    keep: Array | None = None,
    temperature: Positive = 0.07,
    official: bool = False,
) -> tuple[Array, Array]:
    """Supervised contrastive loss: every other sample of the class is a positive, all others are compared with.

    .. math:: -\\frac{1}{|P(i)|} \\sum_{p \\in P(i)} \\log
        \\frac{e^{z_i \\cdot z_p / \\tau}}{\\sum_{a \\ne i} e^{z_i \\cdot z_a / \\tau}}

    Args:
        labels: integer classes, (N,).
        features: embeddings, (N, D); divided by their length here.
        temperature: tau; positive.
        official: as the authors' code: times tau / 0.07, and an anchor without a positive stays in the mean.

    Returns:
        One value per anchor, (N,); an anchor without a positive has 0 and leaves the mean. Costs N x N.

    Source: Khosla et al. 2020, eq. 2 (L_out).

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("supervised_contrastive", backend="numpy", temperature=1.0)
        >>> f"{loss([0, 0, 1], [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]):.6f}"
        '0.313262'
    """
    similarity = cosines(xp, features) / temperature
    positive, other = pairs(xp, labels, keep)
    log_p = similarity - xp.expand_dims(xp.masked_logsumexp(similarity, other), axis=-1)
    number = xp.sum(ones_where(xp, positive, log_p), axis=-1)
    total = xp.sum(xp.where(positive, log_p, 0), axis=-1)
    has, one = number > 0, xp.ones_like(number)
    values = xp.where(has, -total / xp.where(has, number, one), nothing(xp, features))
    return (values * (temperature / 0.07), one) if official else (values, ones_where(xp, has, number))


@of_inputs({"labels": "N int", "features": "N D"})
def ntxent(
    xp: Any, labels: Array, features: Array, *, keep: Array | None = None, temperature: Positive = 0.07
) -> tuple[Array, Array]:
    """NT-Xent: cross entropy of each positive pair against the anchor's negatives (other positives are left out).

    .. math:: -\\log \\frac{e^{s_{ip}}}{e^{s_{ip}} + \\sum_{n \\in N(i)} e^{s_{in}}}, \\quad
        s_{ij} = \\frac{z_i \\cdot z_j}{\\tau}

    Args:
        labels: integer classes, (N,).
        features: embeddings, (N, D); divided by their length here.
        temperature: tau; positive.

    Returns:
        One value per pair, (N, N): row the anchor, column the positive; other pairs have 0 and leave the mean. A
        pair whose anchor has no negative has 0.

    Source: Chen et al. 2020, eq. 1, where there is one positive (their code adds two means: twice this value); Optax's
        `ntxent`. Not in Keras, not in torch.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("ntxent", backend="numpy", temperature=1.0)
        >>> f"{loss([0, 0, 1], [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]):.6f}"
        '0.313262'
    """
    similarity = cosines(xp, features) / temperature
    positive, other = pairs(xp, labels, keep)
    negative = other & xp.logical_not(positive)
    against = xp.expand_dims(xp.masked_logsumexp(similarity, negative), axis=-1)
    found = positive & xp.expand_dims(any_of(xp, negative), axis=-1)
    values = xp.softplus(xp.where(found, against - similarity, 0))
    values = xp.where(found, values, xp.expand_dims(nothing(xp, features), axis=-1))
    return values, ones_where(xp, positive, similarity)


@of_inputs({"x1": "N D", "x2": "N D"})
def info_nce(
    xp: Any,
    x1: Array,
    x2: Array,
    *,
    keep: Array | None = None,
    temperature: Positive = 0.07,
    symmetric: bool = False,
) -> Array:
    """InfoNCE: row i of x2 is to be found among all rows of x2, given row i of x1.

    .. math:: -\\log \\frac{e^{s_{ii}}}{\\sum_j e^{s_{ij}}}, \\quad
        s_{ij} = \\frac{x_{1i} \\cdot x_{2j}}{\\tau \\lVert x_{1i} \\rVert \\lVert x_{2j} \\rVert}

    Args:
        x1: embeddings, (N, D); divided by their length here.
        x2: those of the positives, (N, D); divided by their length here.
        temperature: tau; positive.
        symmetric: whether the value is the mean of both directions (x1 is found, given x2).

    Returns:
        One value per row, (N,). Costs N x N.

    Source: van den Oord, Li & Vinyals 2018, with cosines; Radford et al. 2021 (CLIP) is `symmetric=True`.
        Not in Keras, torch and Optax.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("info_nce", backend="numpy", temperature=1.0)
        >>> f"{loss([[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [0.0, 3.0]]):.6f}"
        '0.313262'
    """
    u, v = xp.unit_rows(x1), xp.unit_rows(x2)
    similarity = xp.matmul(u, xp.matrix_transpose(v)) / temperature
    own = xp.sum(u * v, axis=-1) / temperature
    number = xp.class_range(x1, 0)
    other = number != xp.matrix_transpose(number)
    if keep is not None:
        other = other & xp.expand_dims(keep, axis=0) & xp.expand_dims(keep, axis=1)
    some = any_of(xp, other)

    def one_way(similarity: Array) -> Array:
        # As log(1 + sum_(j != i) exp(s_ij - s_ii)), which keeps the digits of a small value.
        gap = xp.masked_logsumexp(similarity, other) - own
        return xp.where(some, xp.softplus(gap), 0 * own)

    if symmetric:
        return 0.5 * (one_way(similarity) + one_way(xp.matrix_transpose(similarity)))
    return one_way(similarity)


@of_inputs({"labels": "N int", "features": "N D"})
def multi_similarity(
    xp: Any,
    labels: Array,
    features: Array,
    *,
    keep: Array | None = None,
    alpha: Positive = 2.0,
    beta: Positive = 50.0,
    base: float = 0.5,
) -> Array:
    """Multi-similarity loss: an anchor's positives shall be above a cosine, its negatives below it.

    .. math:: \\frac{1}{\\alpha} \\log \\Big(1 + \\sum_{p \\in P(i)} e^{-\\alpha (s_{ip} - \\lambda)}\\Big) +
        \\frac{1}{\\beta} \\log \\Big(1 + \\sum_{n \\in N(i)} e^{\\beta (s_{in} - \\lambda)}\\Big)

    Args:
        labels: integer classes, (N,).
        features: embeddings, (N, D); divided by their length here, so that s is the cosine.
        alpha: sharpness for positives; positive.
        beta: sharpness for negatives; positive.
        base: lambda, a cosine.

    Returns:
        One value per anchor, (N,); all count in the mean. No pair is mined away.

    Source: Wang et al. 2019, of all pairs (the paper mines them before). Not in Keras, torch and Optax.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("multi_similarity", backend="numpy", reduction="none", beta=2.0)
        >>> f"{loss([0, 0], [[1.0, 0.0], [0.0, 1.0]])[0]:.6f}"
        '0.656631'
    """
    similarity = cosines(xp, features)
    positive, other = pairs(xp, labels, keep)
    negative = other & xp.logical_not(positive)

    def part(exponents: Array, among: Array) -> Array:
        total = xp.masked_logsumexp(exponents, among)
        return xp.where(any_of(xp, among), xp.softplus(total), nothing(xp, features))

    return part(-alpha * (similarity - base), positive) / alpha + part(beta * (similarity - base), negative) / beta


@of_inputs(
    {"labels": "N int", "features": "N D"},
    holds_constant=True,
)
def circle(
    xp: Any,
    labels: Array,
    features: Array,
    *,
    keep: Array | None = None,
    gamma: Positive = 80.0,
    margin: float = 0.4,
    detach: bool = True,
) -> tuple[Array, Array]:
    """Circle loss: each cosine is weighted by how far it is from its optimum.

    .. math:: \\log \\Big(1 + \\sum_n e^{\\gamma w_n (s_n - m)} \\sum_p e^{-\\gamma w_p (s_p - 1 + m)}\\Big), \\quad
        w_p = \\max(0, 1 + m - s_p), \\; w_n = \\max(0, s_n + m)

    Args:
        labels: integer classes, (N,).
        features: embeddings, (N, D); divided by their length here, so that s is the cosine.
        gamma: scale; positive.
        margin: m, the relaxation of both optima.
        detach: whether the weights w are constants for the gradient, as in the paper; the value is the same.

    Returns:
        One value per anchor, (N,); an anchor without a positive or without a negative has 0 and leaves the mean.

    Source: Sun et al. 2020. Keras's `Circle` is `detach=False` of features of unit length, and its mean
        is over the anchors whose value is above 0. Not in torch and Optax.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("circle", backend="numpy", reduction="none", gamma=1.0)
        >>> f"{loss([0, 0, 1], [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])[0]:.6f}"
        '0.545893'
    """
    similarity = cosines(xp, features)
    positive, other = pairs(xp, labels, keep)
    negative = other & xp.logical_not(positive)
    constant = xp.stop_gradient(similarity) if detach else similarity
    pull = -gamma * xp.hinge(1 + margin - constant) * (similarity - (1 - margin))
    push = gamma * xp.hinge(constant + margin) * (similarity - margin)
    both = any_of(xp, positive) & any_of(xp, negative)
    exponent = xp.masked_logsumexp(push, negative) + xp.masked_logsumexp(pull, positive)
    return xp.where(both, xp.softplus(exponent), nothing(xp, features)), ones_where(xp, both, exponent)

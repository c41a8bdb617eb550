"""Losses of embeddings that compare every sample of a batch with every other."""

from __future__ import annotations

from typing import Any

from multiloss.definition import of_inputs
from multiloss.definitions.embedding import masked_logsumexp, unit_rows
from multiloss.options import positive

Array = Any


def pairs(xp: Any, labels: Array, keep: Array | None) -> tuple[Array, Array]:
    """(N, N): whether j is another sample of i's class; whether it is another sample at all. Of the kept ones only."""
    number = xp.class_range(xp.expand_dims(labels, axis=0), -1)
    other = xp.expand_dims(xp.squeeze(number, axis=0), axis=1) != number
    if keep is not None:
        other = other & xp.expand_dims(keep, axis=0) & xp.expand_dims(keep, axis=1)
    same = xp.expand_dims(labels, axis=0) == xp.expand_dims(labels, axis=1)
    return other & same, other


@of_inputs({"labels": "N int", "features": "N D"}, readers={"temperature": positive})
def supervised_contrastive(
    xp: Any, labels: Array, features: Array, *, keep: Array | None = None, temperature: float = 0.07
) -> tuple[Array, Array]:
    """Supervised contrastive loss: every other sample of the class is a positive, all others are compared with.

    .. math:: -\\frac{1}{|P(i)|} \\sum_{p \\in P(i)} \\log
        \\frac{e^{z_i \\cdot z_p / \\tau}}{\\sum_{a \\ne i} e^{z_i \\cdot z_a / \\tau}}

    Args:
        labels: integer classes, (N,).
        features: embeddings, (N, D); divided by their length here.
        temperature: tau; positive.

    Returns:
        One value per anchor, (N,); an anchor without a positive has 0 and leaves the mean. Costs N x N.

    Source: Khosla et al. 2020, eq. 2 (L_out).

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("supervised_contrastive", backend="numpy", temperature=1.0)
        >>> f"{loss([0, 0, 1], [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]):.6f}"
        '0.313262'
    """
    z = unit_rows(xp, features)
    similarity = xp.matmul(z, xp.matrix_transpose(z)) / temperature
    positive, other = pairs(xp, labels, keep)
    log_p = similarity - xp.expand_dims(masked_logsumexp(xp, similarity, other), axis=-1)
    number = xp.sum(xp.where(positive, xp.ones_like(log_p), xp.zeros_like(log_p)), axis=-1)
    total = xp.sum(xp.where(positive, log_p, xp.zeros_like(log_p)), axis=-1)
    has = number > 0
    one = xp.ones_like(number)
    return -total / xp.where(has, number, one), xp.where(has, one, xp.zeros_like(one))

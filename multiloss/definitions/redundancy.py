"""Redundancy reduction: losses of two views of a batch, by means and covariances of their features; no negatives."""

from __future__ import annotations

from typing import Any

from multiloss.engine.definition import of_inputs
from multiloss.engine.options import NonNegative

Array = Any


@of_inputs({"x1": "N D", "x2": "N D"}, whole_batch=True, symmetric=True)
def barlow_twins(
    xp: Any, x1: Array, x2: Array, *, keep: Array | None = None, off_diagonal: NonNegative = 0.0051
) -> Array:
    """Barlow Twins: the cross correlation of two views' features is drawn to the identity.

    .. math:: \\sum_i (1 - C_{ii})^2 + \\lambda \\sum_{i \\ne j} C_{ij}^2, \\quad
        C = Z_1^T Z_2 / N, \\quad z = \\frac{x - \\operatorname{mean} x}{\\sqrt{\\operatorname{var} x + 10^{-5}}}

    Args:
        x1: features of one view, (N, D).
        x2: features of the other view of the same samples, (N, D).
        off_diagonal: lambda, 0 or above.

    Returns:
        One value for the batch: a sum over the D x D entries. Mean and variance are those of the samples that are not
        masked, the variance divided by their number.

    Source: Zbontar et al. 2021, eq. 1; the 1e-5 is that of the batch normalisation in the authors' code.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("barlow_twins", backend="numpy")
        >>> f"{loss([[1000.0], [-1000.0]], [[-1000.0], [1000.0]]):.6f}"
        '4.000000'
    """
    number = _number(xp, x1, keep)
    z1, z2 = (_standard(xp, x, keep, number) for x in (x1, x2))
    correlation = xp.matmul(xp.matrix_transpose(z1), z2) / number
    diagonal = _diagonal(xp, correlation)
    missing = xp.where(diagonal, 1 - correlation, 0)
    rest = xp.where(diagonal, 0, correlation)
    return _zero_if_empty(xp, xp.sum(missing * missing) + off_diagonal * xp.sum(rest * rest), keep)


@of_inputs(
    {"x1": "N D", "x2": "N D"},
    whole_batch=True,
    symmetric=True,
)
def vicreg(
    xp: Any,
    x1: Array,
    x2: Array,
    *,
    keep: Array | None = None,
    invariance: NonNegative = 25.0,
    variance: NonNegative = 25.0,
    covariance: NonNegative = 1.0,
) -> Array:
    """VICReg: two views agree, each feature varies by 1 at least, and no two features vary together.

    .. math:: \\frac{\\lambda}{N D} \\lVert X_1 - X_2 \\rVert^2 + \\sum_{X = X_1, X_2} (\\frac{\\mu}{2 D}
        \\sum_j \\max(0, 1 - \\sqrt{\\operatorname{Cov}(X)_{jj} + 10^{-4}})
        + \\frac{\\nu}{D} \\sum_{i \\ne j} \\operatorname{Cov}(X)_{ij}^2 )

    Args:
        x1: features of one view, (N, D).
        x2: features of the other view of the same samples, (N, D).
        invariance: lambda, 0 or above.
        variance: mu, 0 or above.
        covariance: nu, 0 or above.

    Returns:
        One value for the batch. Covariances are those of the samples that are not masked, divided by their number less
        1; a single sample has none: 0. The gradient at the kink, a deviation of 1, is 0.

    Source: Bardes et al. 2022, with the factors of the authors' code: a mean over D too for the agreement,
    half for the variance.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("vicreg", backend="numpy")
        >>> f"{loss([[0.0], [3.0]], [[1.0], [4.0]]):.6f}"
        '25.000000'
    """
    number = _number(xp, x1, keep)
    apart = _kept(xp, x1 - x2, keep)
    value = invariance * xp.sum(xp.mean(apart * apart, axis=-1)) / number
    for x in (x1, x2):
        centered = _centered(xp, x, keep, number)
        less = xp.clamp_min(number - 1, 1.0)
        spread = xp.sum(centered * centered, axis=0) / less
        short = 1 - xp.sqrt(spread + 1e-4)
        value = value + 0.5 * variance * xp.mean(xp.hinge(short))
        together = xp.matmul(xp.matrix_transpose(centered), centered) / less
        rest = xp.where(_diagonal(xp, together), 0, together)
        value = value + covariance * xp.sum(xp.mean(rest * rest, axis=0))
    return _zero_if_empty(xp, value, keep)


def _kept(xp: Any, x: Array, keep: Array | None) -> Array:
    """x, and 0 in the rows that are masked."""
    return x if keep is None else xp.where(xp.expand_dims(keep, axis=-1), x, 0)


def _number(xp: Any, x: Array, keep: Array | None) -> Any:
    """How many samples there are, at least 1."""
    one = xp.ones_like(x[:, 0])
    return xp.clamp_min(xp.sum(one if keep is None else xp.where(keep, one, 0)), 1.0)


def _centered(xp: Any, x: Array, keep: Array | None, number: Any) -> Array:
    """x less its mean over the samples; 0 where masked."""
    return _kept(xp, x - xp.sum(_kept(xp, x, keep), axis=0) / number, keep)


def _standard(xp: Any, x: Array, keep: Array | None, number: Any) -> Array:
    """Centered, and divided by the standard deviation; no square overflows."""
    centered = _centered(xp, x, keep, number)
    # A quarter of the largest, as in `norms.divisor`.
    scale = xp.clamp_min(xp.stop_gradient(0.25 * xp.max(xp.abs(centered), axis=0)), 1.0)
    small = centered / scale
    return small / xp.sqrt(xp.sum(small * small, axis=0) / number + 1e-5 / scale / scale)


def _diagonal(xp: Any, x: Array) -> Array:
    row = xp.class_range(x, -1)
    return xp.matrix_transpose(row) == row


def _zero_if_empty(xp: Any, value: Array, keep: Array | None) -> Array:
    """The value, and 0 where the mask leaves no sample."""
    return value if keep is None else xp.where(xp.any(keep), value, 0)

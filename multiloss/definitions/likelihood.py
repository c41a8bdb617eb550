"""Negative log-likelihoods and deviances of parametric distributions; `y_true` holds the observations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from multiloss.engine.checks import NON_NEGATIVE, POSITIVE
from multiloss.engine.definition import elementwise
from multiloss.engine.numerics import tiny
from multiloss.engine.options import NonNegative, between

Array = Any


@elementwise(domain=lambda _: {"y_true": NON_NEGATIVE, "y_pred": NON_NEGATIVE})
def poisson(xp: Any, y_true: Array, y_pred: Array, *, epsilon: NonNegative = 1e-7) -> Array:
    """Poisson loss of a predicted rate: the negative log-likelihood of a count, without log t!.

    .. math:: p - t \\log(p + \\epsilon)

    Args:
        y_true: counts t, 0 or above, any shape.
        y_pred: rates p, 0 or above, the shape of `y_true`.
        epsilon: added to the rate inside the logarithm; 0 is the bare formula, with 0 log 0 = 0.

    Returns:
        One value per element, in nats, without log t!; averaged over `axis`. It may be negative.

    Source: Poisson 1837. `keras.losses.Poisson`; `torch.nn.PoissonNLLLoss(log_input=False, eps=1e-7)`, which has 1e-8
    by default. `poisson_nll` takes the logarithm of the rate.

    Example:
        >>> import multiloss
        >>> float(multiloss.get("poisson", backend="numpy", epsilon=0.0)([3.0, 0.0], [1.0, 2.0]))
        1.5
    """
    return y_pred - y_true * xp.log(_shifted(xp, y_true, y_pred, epsilon))


def _shifted(xp: Any, t: Array, rate: Array, epsilon: float) -> Array:
    """p + epsilon, the logarithm's argument; with epsilon 0, 0 log 0 is 0."""
    return rate + epsilon if epsilon > 0 else xp.safe_log_arg(t, rate)


@poisson.gradient
def _poisson_gradient(xp: Any, y_true: Array, y_pred: Array, *, epsilon: float) -> Array:
    return 1 - y_true / _shifted(xp, y_true, y_pred, epsilon)


@poisson.hessian
def _poisson_hessian(xp: Any, y_true: Array, y_pred: Array, *, epsilon: float) -> Array:
    rate = _shifted(xp, y_true, y_pred, epsilon)
    return y_true / rate / rate


def _counts(options: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"y_true": NON_NEGATIVE, **({} if options["log_input"] else {"y_pred": NON_NEGATIVE})}


def _log_residual(xp: Any, y_true: Array, y_pred: Array) -> Array:
    return y_pred - xp.log(y_true)


@elementwise(domain=_counts, residual=_log_residual)
def poisson_nll(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    log_input: bool = True,
    full: bool = False,
    stirling: bool = False,
    epsilon: NonNegative = 1e-8,
) -> Array:
    """Poisson negative log-likelihood of the logarithm of a rate.

    .. math:: e^z - t z \\; [+ \\log t!]

    Args:
        y_true: counts t, 0 or above, any shape.
        y_pred: logarithms of rates z; rates p = exp(z), 0 or above, without `log_input`. The shape of `y_true`.
        log_input: whether `y_pred` holds logarithms; False is p - t log(p + epsilon).
        full: add log t!, which does not depend on the prediction: the whole negative log-likelihood.
        stirling: with `full`, Stirling's approximation t log t - t + log(2 pi t) / 2 where t > 1 and 0 elsewhere, as
            torch's `full` has it (2! gives 0.652, not 0.693).
        epsilon: added to a rate inside the logarithm, without `log_input`; 0 is the bare formula, with 0 log 0 = 0.

    Returns:
        One value per element, in nats; averaged over `axis`. Without `full` it may be negative.

    Source: Poisson 1837. `torch.nn.PoissonNLLLoss`; `keras.losses.Poisson` is this of a rate (`log_input=False`) with
    an epsilon of 1e-7, here `poisson`.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("poisson_nll", backend="numpy", full=True)
        >>> f"{loss([2.0], [0.0]):.6f}"
        '1.693147'
    """
    value = xp.exp(y_pred) - y_true * y_pred if log_input else poisson.value(xp, y_true, y_pred, epsilon=epsilon)
    if not full:
        return value
    return value + (_stirling(xp, y_true) if stirling else xp.lgamma(y_true + 1))


def _stirling(xp: Any, t: Array) -> Array:
    """Stirling's approximation of log t! where t > 1, else 0."""
    large = t > 1
    n = xp.where(large, t, 1)
    return xp.where(large, n * xp.log(n) - n + 0.5 * xp.log(2 * math.pi * n), 0)


@poisson_nll.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, log_input: bool, epsilon: float) -> Array:
    return xp.exp(y_pred) - y_true if log_input else _poisson_gradient(xp, y_true, y_pred, epsilon=epsilon)


@poisson_nll.hessian
def _(xp: Any, y_true: Array, y_pred: Array, *, log_input: bool, epsilon: float) -> Array:
    return xp.exp(y_pred) if log_input else _poisson_hessian(xp, y_true, y_pred, epsilon=epsilon)


@elementwise(domain=lambda _: {"y_true": NON_NEGATIVE, "y_pred": POSITIVE})
def tweedie(xp: Any, y_true: Array, y_pred: Array, *, power: Annotated[float, between(1.0, 2.0)] = 1.5) -> Array:
    """Tweedie deviance of a predicted mean, for amounts that are often exactly 0, as claims and rain are.

    .. math:: 2 \\left(\\frac{t^{2-r}}{(1-r)(2-r)} - \\frac{t\\, p^{1-r}}{1-r} + \\frac{p^{2-r}}{2-r}\\right)

    Args:
        y_true: amounts t, 0 or above, any shape.
        y_pred: means p, above 0, the shape of `y_true`.
        power: r, above 1 and below 2: the variance grows as the mean to the power r. The limits 1 and 2 are the
            deviances of Poisson and gamma, which have other formulas.

    Returns:
        One value per element, in the unit of the inputs to the power 2 - r; averaged over `axis`. It is 0 at p = t, but
        for rounding.

    Source: Jorgensen 1987. `sklearn.metrics.mean_tweedie_deviance`. Others leave out the factor 2 and what depends on
    t alone. Keras, torch and Optax have none.

    Example:
        >>> import multiloss
        >>> float(multiloss.get("tweedie", backend="numpy")([0.0, 4.0], [1.0, 1.0]))
        4.0
    """
    a, b = 1 - power, 2 - power
    rate = y_pred**a
    return 2 / b * (y_true**b / a + y_pred * rate) - 2 / a * y_true * rate


@tweedie.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, power: float) -> Array:
    # 2 (p - t) p^-r, with the quotient first: p^-r may overflow where the derivative does not.
    return 2 * xp.zero_times((y_pred - y_true) / xp.clamp_min(y_pred, tiny(y_pred)), y_pred ** (1 - power))


@tweedie.hessian
def _(xp: Any, y_true: Array, y_pred: Array, *, power: float) -> Array:
    return 2 * ((1 - power) + power * (y_true / y_pred)) * y_pred**-power

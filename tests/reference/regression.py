"""Regression losses of one element: value and derivative with respect to the prediction.

t is the truth, p the prediction, e = p - t the error.
"""

import math

from .scalars import divide, log1p, sign, softplus


def squared_error(t: float, p: float) -> float:
    """e^2."""
    return (p - t) * (p - t)


def squared_error_slope(t: float, p: float) -> float:
    """d e^2 / dp = 2 e."""
    return 2.0 * (p - t)


def absolute_error(t: float, p: float) -> float:
    """|e|."""
    return abs(p - t)


def absolute_error_slope(t: float, p: float) -> float:
    """d |e| / dp = sign(e), 0 at the kink."""
    return sign(p - t)


def percentage_error(t: float, p: float, *, epsilon: float = 1e-7) -> float:
    """100 |e| / max(|t|, epsilon), in percent (Keras)."""
    if math.isnan(t):
        return math.nan
    return divide(100.0 * abs(p - t), max(abs(t), epsilon))


def percentage_error_slope(t: float, p: float, *, epsilon: float = 1e-7) -> float:
    """100 sign(e) / max(|t|, epsilon), 0 at the kink."""
    if math.isnan(t):
        return math.nan
    return 0.0 if p == t else divide(100.0 * sign(p - t), max(abs(t), epsilon))


def log_ratio(t: float, p: float) -> float:
    """log(1 + p) - log(1 + t), by the form that does not cancel where p and t are near each other.

    With r = (p - t) / (1 + t) it is log(1 + r), as (1 + p) / (1 + t) = 1 + r. That is well conditioned for r >= 0;
    where p < t the two change places: -(log(1 + (t - p) / (1 + p))).
    """
    if p <= -1.0 or t <= -1.0 or math.isinf(p) or math.isinf(t):
        return log1p(p) - log1p(t)
    return math.log1p((p - t) / (1.0 + t)) if p >= t else -math.log1p((t - p) / (1.0 + p))


def squared_log_error(t: float, p: float) -> float:
    """(log(1 + p) - log(1 + t))^2, nothing clipped."""
    return log_ratio(t, p) * log_ratio(t, p)


def squared_log_error_slope(t: float, p: float) -> float:
    """2 (log(1 + p) - log(1 + t)) / (1 + p)."""
    return divide(2.0 * log_ratio(t, p), 1.0 + p)


def log_ratio_slope(t: float, p: float) -> float:
    """d (log(1 + p) - log(1 + t)) / dp = 1 / (1 + p); the truth does not enter."""
    return divide(1.0, 1.0 + p)


def log_cosh(t: float, p: float) -> float:
    """log(cosh(e)).

    Near 0 through cosh(e) = 1 + 2 sinh(e/2)^2; far from 0, where cosh would overflow, through
    log(cosh(e)) = |e| + log(1 + exp(-2|e|)) - log(2).
    """
    e = abs(p - t)
    if e < 1.0:
        return math.log1p(2.0 * math.sinh(e / 2.0) ** 2)
    return e + softplus(-2.0 * e) - math.log(2.0)


def log_cosh_slope(t: float, p: float) -> float:
    """d log(cosh(e)) / dp = tanh(e)."""
    return math.tanh(p - t)


def huber(t: float, p: float, *, delta: float = 1.0) -> float:
    """e^2 / 2 where |e| <= delta, delta (|e| - delta / 2) beyond (Huber 1964)."""
    e = abs(p - t)
    return 0.5 * e * e if e <= delta else delta * (e - 0.5 * delta)


def huber_slope(t: float, p: float, *, delta: float = 1.0) -> float:
    """e where |e| <= delta, delta sign(e) beyond."""
    e = p - t
    return e if abs(e) <= delta else delta * sign(e)

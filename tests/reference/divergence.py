"""Kullback-Leibler divergence of two distributions over one sample's classes."""

import math

from .classification import floored_log, floored_log_slope, through_normalization
from .scalars import total


def kl_divergence(t: list[float], p: list[float], *, epsilon: float = 1e-7, normalize: bool = False) -> float:
    """sum_k t_k (log max(t_k, epsilon) - log max(p_k, epsilon)), 0 log 0 = 0; `normalize`: t / sum t, p / sum p.

    Kullback & Leibler 1951, with the epsilon of the contract (section 2, "probabilities").
    """
    if normalize:
        t, p = [v / total(t) for v in t], [v / total(p) for v in p]
    return total([kl_term(t[k], p[k], epsilon) for k in range(len(t))])


def kl_term(t: float, p: float, epsilon: float) -> float:
    """t log(t / p) of one class. Above the floor the quotient is taken as log1p((t - p) / p), which does not cancel."""
    if t > epsilon and p > epsilon and math.isfinite(t) and 0.5 < t / p < 2.0:
        return t * math.log1p((t - p) / p)
    return floored_log(t, t, epsilon) - floored_log(t, p, epsilon)


def kl_divergence_slope(
    t: list[float], p: list[float], *, epsilon: float = 1e-7, normalize: bool = False
) -> list[float]:
    """-t_j / p_j, 0 below the floor; with `normalize` through p / sum p."""
    if not normalize:
        return [-floored_log_slope(t[k], p[k], epsilon) for k in range(len(t))]
    size_t, size_p = total(t), total(p)
    slopes = [-floored_log_slope(t[k] / size_t, p[k] / size_p, epsilon) for k in range(len(t))]
    return through_normalization(slopes, p)

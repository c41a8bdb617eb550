"""Functions of one real number that Python's `math` lacks, or raises an error for where IEEE 754 has an answer."""

import math


def log(x: float) -> float:
    """Natural logarithm; -inf at 0, nan below."""
    if x > 0.0:
        return math.log(x)
    return -math.inf if x == 0.0 else math.nan


def log1p(x: float) -> float:
    """log(1 + x), right for small x; -inf at -1, nan below."""
    if x > -1.0:
        return math.log1p(x)
    return -math.inf if x == -1.0 else math.nan


def divide(a: float, b: float) -> float:
    """a / b with IEEE 754's answers for b = 0."""
    if b != 0.0:
        return a / b
    return math.nan if a == 0.0 or math.isnan(a) else math.copysign(math.inf, a)


def sign(x: float) -> float:
    """-1, 0 or 1; nan for nan."""
    if math.isnan(x):
        return math.nan
    return float((x > 0.0) - (x < 0.0))


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), relative precision kept in both tails."""
    if x >= 0.0:
        return 1.0 / (1.0 + math.exp(-x))
    return math.exp(x) / (1.0 + math.exp(x))


def softplus(x: float) -> float:
    """log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)); both terms are positive, so nothing cancels."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x))) if not math.isnan(x) else math.nan


def total(terms: list[float]) -> float:
    """Sum, correctly rounded (`math.fsum`); sums that hold both infinities, or overflow, follow IEEE 754."""
    try:
        return math.fsum(terms)
    except (OverflowError, ValueError):
        return sum(terms)

"""Elementary functions for frameworks that compile by XLA, whose own ones lose digits."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from multiloss.engine.numerics import bits

Array = Any


def _tanh_series(terms: int) -> list[float]:
    """The Taylor coefficients of tanh(x) / x over x^2, from tanh' = 1 - tanh^2."""
    c = [Fraction(1)]
    for n in range(1, terms):
        c.append(-sum((c[i] * c[n - 1 - i] for i in range(n)), Fraction(0)) / (2 * n + 1))
    return [float(x) for x in c]


_TANH = {32: _tanh_series(8), 64: _tanh_series(17)}
"""As many terms as change float32 and float64 below 0.52: each is a tenth of the one before."""


_SMALL = 0.52


def tanh(xp: Any, x: Array) -> Array:
    """The hyperbolic tangent within 3 units in the last place; XLA's own is 5 (float32) and 7 (float64) off."""
    u, small = xp.exp(-2 * xp.abs(x)), xp.abs(x) < _SMALL
    near = xp.where(small, x, 0)  # the series must not overflow where it is not taken
    series = xp.zeros_like(x)
    for c in reversed(_TANH[bits(x)]):
        series = series * (near * near) + c
    return xp.where(small, near * series, xp.sign(x) * (1 - u) / (1 + u))


_COSH = {bits: [2 / math.factorial(2 * k + 2) for k in range(terms)] for bits, terms in ((32, 4), (64, 8))}
"""The Taylor coefficients of 2 (cosh(x) - 1) / x^2 over x^2, as many as change float32 and float64 below 0.52."""


def log_cosh_by_exp(xp: Any, x: Array) -> Array:
    """log(cosh(x)) from exp(-2|x|), which its derivative needs, too, so that a compiler computes it once."""
    size, small = xp.abs(x), xp.abs(x) < _SMALL
    near = xp.where(small, x, 0)
    square = near * near
    series = xp.zeros_like(x)
    for c in reversed(_COSH[bits(x)]):
        series = series * square + c
    # log1p(cosh(x) - 1) keeps the digits near 0, |x| + log(1 + exp(-2|x|)) - log 2 those above.
    log = xp.log1p(xp.where(small, 0.5 * square * series, xp.exp(-2 * size)))
    return xp.where(small, log, (size - math.log(2)) + log)


XLA = {"tanh": tanh, "log_cosh": log_cosh_by_exp}
"""What replaces XLA's own function, or a default of `numerics`, where XLA compiles."""


def log1p(xp: Any, x: Array) -> Array:
    """log(1 + x), computed from arguments of 0 and above: near -0.4 XLA's own is 127 units in the last place off."""
    negative = x < 0
    value = xp.log1p(xp.where(negative, -x / (1 + x), x))
    return xp.where(negative, -value, value)

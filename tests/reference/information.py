"""Numbers of 50 digits, and the soft maximum: exponents have no limits there, so the textbook formula is right."""

from collections.abc import Callable

import mpmath
import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
CONTEXT = mpmath.mp.clone()
CONTEXT.dps = 50


def _vectors(function: Callable[[list[float]], list[float]], x: ArrayLike, axis: int) -> Array:
    """The function of each vector along the axis."""
    return np.apply_along_axis(lambda z: np.array(function(z.tolist())), axis, np.asarray(x, dtype=np.float64))


def logsumexp(x: ArrayLike, axis: int = -1) -> Array:
    return _vectors(lambda z: float(CONTEXT.log(CONTEXT.fsum(map(CONTEXT.exp, z)))), x, axis)


def softmax(x: ArrayLike, axis: int = -1) -> Array:
    return _vectors(lambda z: [float(1 / CONTEXT.fsum(CONTEXT.exp(w - v) for w in z)) for v in z], x, axis)


def log_softmax(x: ArrayLike, axis: int = -1) -> Array:
    """-log(1 + sum_{j != k} exp(x_j - x_k)), so that a value near 0 keeps its digits."""

    def one(z: list[float]) -> list[float]:
        others = [[w - v for j, w in enumerate(z) if j != k] for k, v in enumerate(z)]
        return [float(-CONTEXT.log1p(CONTEXT.fsum(map(CONTEXT.exp, gaps)))) for gaps in others]

    return _vectors(one, x, axis)

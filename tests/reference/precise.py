"""Single elements with 50 digits, by the textbook formulas: what errors in units in the last place are counted from."""

from collections.abc import Callable
from typing import Any

from .information import CONTEXT as mp

Pair = tuple[Any, Any]


def _squared_error(t: Any, p: Any) -> Pair:
    return (p - t) ** 2, 2 * (p - t)


def _absolute_error(t: Any, p: Any) -> Pair:
    return abs(p - t), mp.sign(p - t)


def _percentage_error(t: Any, p: Any, epsilon: float = 1e-7) -> Pair:
    scale = max(abs(t), mp.mpf(epsilon))
    return 100 * abs(p - t) / scale, 100 * mp.sign(p - t) / scale


def _squared_log_error(t: Any, p: Any) -> Pair:
    d = mp.log1p(p) - mp.log1p(t)
    return d**2, 2 * d / (1 + p)


def _root_squared_log_error(t: Any, p: Any) -> Pair:
    d = mp.log1p(p) - mp.log1p(t)
    return abs(d), mp.sign(d) / (1 + p)


def _log_cosh(t: Any, p: Any) -> Pair:
    return mp.log(mp.cosh(p - t)), mp.tanh(p - t)


def _huber(t: Any, p: Any, delta: float = 1.0) -> Pair:
    e, bound = p - t, mp.mpf(delta)
    if abs(e) <= bound:
        return e**2 / 2, e
    return bound * (abs(e) - bound / 2), bound * mp.sign(e)


def _binary(t: Any, p: Any, from_logits: bool = False, label_smoothing: float = 0.0, epsilon: float = 1e-7) -> Pair:
    t = t * (1 - mp.mpf(label_smoothing)) + mp.mpf(label_smoothing) / 2
    if from_logits:
        value = t * mp.log1p(mp.exp(-p)) + (1 - t) * mp.log1p(mp.exp(p))
        return value, (1 - t) / (1 + mp.exp(-p)) - t / (1 + mp.exp(p))
    value, slope = mp.mpf(0), mp.mpf(0)
    for weight, chance, side in ((t, p, 1), (1 - t, 1 - p, -1)):
        if weight != 0:
            value -= weight * mp.log(max(chance, mp.mpf(epsilon)))
            if chance >= epsilon:
                slope -= side * weight / chance
    return value, slope


EXACT: dict[str, Callable[..., Pair]] = {
    "mean_squared_error": _squared_error,
    "mean_absolute_error": _absolute_error,
    "mean_absolute_percentage_error": _percentage_error,
    "mean_squared_logarithmic_error": _squared_log_error,
    "root_mean_squared_error": _absolute_error,  # the root of one square
    "root_mean_squared_logarithmic_error": _root_squared_log_error,
    "log_cosh": _log_cosh,
    "huber": _huber,
    "binary_crossentropy": _binary,
}


def exact(name: str, y_true: Any, y_pred: Any, **options: Any) -> Pair:
    """Value and derivative (with respect to `y_pred`) of one element of an elementwise loss, as mpmath numbers."""
    return EXACT[name](_number(y_true), _number(y_pred), **options)


def _number(x: Any) -> Any:
    return x if isinstance(x, mp.mpf) else mp.mpf(float(x))

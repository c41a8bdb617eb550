"""Losses of pairs of scores, of which one should be the larger."""

from __future__ import annotations

from typing import Any

from multiloss.engine.checks import SIGN
from multiloss.engine.definition import of_inputs, shared

Array = Any


@of_inputs({"y_true": "...", "x1": "...", "x2": "..."}, domain=lambda _: {"y_true": SIGN})
def margin_ranking(xp: Any, y_true: Array, x1: Array, x2: Array, *, margin: float = 0.0) -> Array:
    """Margin ranking loss: the score that should be higher must be so by a margin.

    .. math:: \\max(0, -t (x_1 - x_2) + m)

    Args:
        y_true: t, +1 where x1 should be the higher and -1 where x2 should be, (...).
        x1: the first score of each pair, (...).
        x2: the second, (...).
        margin: m, in the unit of the scores.

    Returns:
        One value per pair, (...), in the unit of the scores. The gradient is 0 at the kink.

    Raises:
        ValueError: a target that is neither -1 nor +1, at the first call.

    Source: Herbrich, Graepel & Obermayer 2000, as torch's `margin_ranking_loss` has it, which takes (x1, x2, y_true).
    Keras and Optax have none.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("margin_ranking", backend="numpy", margin=1.0, reduction="none")
        >>> loss([1.0, -1.0], [3.0, 3.0], [1.0, 1.0]).tolist()
        [0.0, 3.0]
    """
    return xp.hinge(_short(xp, y_true, x1, x2, margin=margin))


@shared
def _short(xp: Any, y_true: Array, x1: Array, x2: Array, *, margin: float) -> Array:
    """m - t (x1 - x2)."""
    return margin - xp.signed_margin(y_true, x1 - x2)


@margin_ranking.gradient("x2")
def _(xp: Any, y_true: Array, x1: Array, x2: Array, *, margin: float) -> Array:
    return xp.zero_times(xp.above_zero(_short(xp, y_true, x1, x2, margin=margin)), y_true)


@margin_ranking.gradient("x1")
def _(xp: Any, y_true: Array, x1: Array, x2: Array, *, margin: float) -> Array:
    return -xp.zero_times(xp.above_zero(_short(xp, y_true, x1, x2, margin=margin)), y_true)


@margin_ranking.gradient("y_true")
def _(xp: Any, y_true: Array, x1: Array, x2: Array, *, margin: float) -> Array:
    return xp.zero_times(xp.above_zero(_short(xp, y_true, x1, x2, margin=margin)), x2 - x1)

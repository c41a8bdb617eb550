"""Losses of relative errors."""

from typing import Any

import numpy as np

from reference.information import CONTEXT as mp

from .entry import Edge, add

Number = Any


def both_signs(rng: np.random.Generator) -> tuple[Any, Any]:
    """Targets and predictions away from 0, most pairs of one sign, 5 x 3."""
    t = rng.uniform(0.5, 3.0, (5, 3)) * rng.choice([-1.0, 1.0], (5, 3))
    return t, t * rng.uniform(0.2, 4.0, (5, 3)) * np.where(np.arange(15).reshape(5, 3) % 4 == 3, -1.0, 1.0)


def smape(t: Number, p: Number) -> Number:
    """Makridakis & Hibon 2000: percent of the mean of both sizes."""
    return 100 * abs(t - p) / ((abs(t) + abs(p)) / mp.mpf(2))


add(
    "symmetric_mean_absolute_percentage_error",
    smape,
    "element",
    both_signs,
    edges=(
        Edge(([0.0], [0.0]), 0.0, "both 0: 0", gradient=[0.0]),
        Edge(([2.0], [2.0]), 0.0, "the kink", gradient=[0.0]),
        Edge(([[100.0], [300.0]], [[300.0], [100.0]]), [100.0, 100.0], "200 / 200", gradient=[[0.25], [-0.75]]),
        Edge(([[0.0], [1.0]], [[3.0], [-3.0]]), [200.0, 200.0], "the most there is, level", gradient=[[0.0], [0.0]]),
        Edge(([4.0], [0.0]), 200.0, "|p| at 0 has slope 0: -200 / 4 is left", gradient=[-50.0]),
        Edge(([1e4], [-1e4]), 200.0, "extremes", gradient=[0.0]),
        Edge(([3e38], [1e38]), 100.0, "sums beyond float32: 2e38 / 2e38", gradient=[-7.5e-37]),
        Edge(([1e-30], [3e-30]), 100.0, "small ones", gradient=[2.5e31]),
        Edge(([0.0, 1.0], [np.nan, 1.0]), np.nan, "nan is not hidden"),
    ),
)

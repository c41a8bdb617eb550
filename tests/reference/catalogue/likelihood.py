"""Negative log-likelihoods and deviances."""

import math
from typing import Any

import numpy as np

from reference.information import CONTEXT as mp

from .entry import Edge, add

Number = Any


def counts_and_rates(rng: np.random.Generator) -> tuple[Any, Any]:
    return rng.poisson(2.0, (4, 3)).astype(np.float64), rng.uniform(0.2, 5.0, (4, 3))


def counts_and_logarithms(rng: np.random.Generator) -> tuple[Any, Any]:
    return rng.poisson(2.0, (4, 3)).astype(np.float64), rng.normal(size=(4, 3))


def amounts_and_means(rng: np.random.Generator) -> tuple[Any, Any]:
    t = rng.uniform(0.2, 5.0, (4, 3))
    t[::2, 0] = 0.0
    return t, rng.uniform(0.2, 5.0, (4, 3))


def poisson(t: Number, p: Number, epsilon: float = 1e-7) -> Number:
    return p - t * mp.log(p + mp.mpf(epsilon))


def poisson_nll(
    t: Number, z: Number, log_input: bool = True, full: bool = False, stirling: bool = False, epsilon: float = 1e-8
) -> Number:
    """torch.nn.PoissonNLLLoss; log t! exactly unless `stirling`."""
    value = mp.exp(z) - t * z if log_input else z - t * mp.log(z + mp.mpf(epsilon))
    if not full:
        return value
    if not stirling:
        return value + mp.log(mp.gamma(t + 1))
    return value + (t * mp.log(t) - t + mp.log(2 * mp.pi * t) / 2 if t > 1 else 0)


def tweedie(t: Number, mu: Number, power: float = 1.5) -> Number:
    """sklearn's mean_tweedie_deviance of one element, 1 < power < 2."""
    r = mp.mpf(power)
    first = t ** (2 - r) / ((1 - r) * (2 - r)) if t > 0 else 0
    return 2 * (first - t * mu ** (1 - r) / (1 - r) + mu ** (2 - r) / (2 - r))


LN2 = math.log(2.0)
add(
    "poisson",
    poisson,
    "element",
    counts_and_rates,
    options=({}, {"epsilon": 0.125}, {"epsilon": 0.0}),
    edges=(
        Edge(([[3.0], [0.0]], [[1.0], [2.0]]), [1.0, 2.0], "1 - 3 log 1; 2", {"epsilon": 0.0}, [[-2.0], [1.0]]),
        Edge(([0.0], [0.0]), 0.0, "0 log 0 = 0", {"epsilon": 0.0}, gradient=[1.0]),
        Edge(([0.0], [0.0]), 0.0, "0 log epsilon", gradient=[1.0]),
        Edge(([2.0], [0.0]), 14 * math.log(10), "Keras at a rate of 0: -2 log 1e-7", gradient=[1 - 2e7]),
        Edge(([1e4], [1e4]), 1e4 - 1e4 * math.log(1e4), "extremes", {"epsilon": 0.0}, gradient=[0.0]),
        Edge(([2.0], [np.nan]), np.nan, "nan is not hidden"),
        Edge(([0.0], [np.nan]), np.nan, "nan is not hidden", {"epsilon": 0.0}),
    ),
)
add(
    "poisson_nll",
    poisson_nll,
    "element",
    counts_and_logarithms,
    options=({}, {"full": True}, {"full": True, "stirling": True}),
    edges=(
        Edge(([[0.0], [3.0]], [[0.0], [0.0]]), [1.0, 1.0], "e^0", gradient=[[1.0], [-2.0]]),
        Edge(([0.0, 1.0], [0.0, 0.0]), 1.0, "0! = 1! = 1", {"full": True}, gradient=[0.5, 0.0]),
        Edge(([2.0], [0.0]), 1 + LN2, "2! exactly", {"full": True}, gradient=[-1.0]),
        Edge(
            ([2.0], [0.0]),
            1 + 2 * LN2 - 2 + math.log(4 * math.pi) / 2,
            "torch's full, 0.6518 for log 2!",
            {"full": True, "stirling": True},
            [-1.0],
        ),
        Edge(([0.0, 1.0], [0.0, 0.0]), 1.0, "torch's full adds 0 to 1", {"full": True, "stirling": True}, [0.5, 0.0]),
        Edge(([2.0], [-1e4]), 2e4, "a rate of e^-10000", gradient=[-2.0]),
        Edge(([170.0], [0.0]), 1 + math.lgamma(171.0), "170! is no float32", {"full": True}, gradient=[-169.0]),
        Edge(([0.0], [0.0]), 0.0, "0 log 0 = 0", {"log_input": False, "epsilon": 0.0}, gradient=[1.0]),
        Edge(([2.0], [0.0]), 16 * math.log(10), "torch at a rate of 0: 36.8", {"log_input": False}, [1 - 2e8]),
        Edge(([2.0], [np.nan]), np.nan, "nan is not hidden", {"full": True}),
        Edge(([np.nan], [1.0]), np.nan, "nan is not hidden", {"full": True}),
        Edge(([np.nan], [1.0]), np.nan, "nan is not hidden", {"full": True, "stirling": True}),
    ),
)
add("poisson_nll", poisson_nll, "element", counts_and_logarithms, options=({"full": True},), wrt=("y_true",),
    positions=(0,))  # fmt: skip
add(
    "poisson_nll",
    poisson_nll,
    "element",
    counts_and_rates,
    options=({"log_input": False}, {"log_input": False, "epsilon": 0.125}, {"log_input": False, "full": True}),
)
add(
    "tweedie",
    tweedie,
    "element",
    amounts_and_means,
    options=({}, {"power": 1.125}, {"power": 1.875}),
    edges=(
        Edge(([[4.0], [0.0]], [[1.0], [1.0]]), [4.0, 4.0], "2 (4 sqrt(4)/-1 + 8 + 2); 4", gradient=[[-6.0], [2.0]]),
        Edge(([4.0], [4.0]), 0.0, "an exact fit: 2 (-8 + 4 + 4)", gradient=[0.0]),
        Edge(([0.0], [1e4]), 400.0, "4 sqrt(1e4)", gradient=[0.02]),
        Edge(([1e4], [1e-4]), 4e6 - 800 + 0.04, "2 (-400 + 2e6 + 0.02)", gradient=[-2e10 + 200]),
        Edge(([1.0], [np.nan]), np.nan, "nan is not hidden"),
        Edge(([np.nan], [1.0]), np.nan, "nan is not hidden"),
    ),
)

"""Losses of two distributions."""

import math
from typing import Any

import numpy as np

from reference.information import CONTEXT as mp

from .classification import xlog
from .entry import BY_BOTH, Edge, add

Vector = list[Any]
NAN, INF = np.nan, np.inf


def distributions(rng: np.random.Generator) -> tuple[Any, Any]:
    t, p = rng.uniform(0.1, 1.0, (2, 4, 3))
    return t / t.sum(-1, keepdims=True), p / p.sum(-1, keepdims=True)


def amounts(rng: np.random.Generator) -> tuple[Any, Any]:
    t, p = rng.uniform(0.1, 3.0, (2, 4, 3))
    return t, p


def logarithms_of(inputs: Any, of_target: bool, of_prediction: bool) -> Any:
    def make(rng: np.random.Generator) -> tuple[Any, Any]:
        t, p = inputs(rng)
        return np.log(t) if of_target else t, np.log(p) if of_prediction else p

    return make


def floors(epsilon: float, log_input: bool, log_target: bool) -> tuple[float, float]:
    """Of t and of p; logarithms that are given have none."""
    return 0.0 if log_target else epsilon, 0.0 if log_input else epsilon


def plain(t: Vector, p: Vector, log_input: bool, log_target: bool) -> tuple[Vector, Vector]:
    return [mp.exp(x) for x in t] if log_target else t, [mp.exp(x) for x in p] if log_input else p


def kl_divergence(
    t: Vector,
    p: Vector,
    epsilon: float = 1e-7,
    normalize: bool = False,
    log_input: bool = False,
    log_target: bool = False,
) -> Any:
    t, p = plain(t, p, log_input, log_target)
    if normalize:
        t, p = [x / mp.fsum(t) for x in t], [x / mp.fsum(p) for x in p]
    of_t, of_p = floors(epsilon, log_input, log_target)
    return mp.fsum(xlog(a, a, of_t) - xlog(a, b, of_p) for a, b in zip(t, p, strict=True))


def generalized_kl(
    t: Vector, p: Vector, epsilon: float = 1e-7, log_input: bool = False, log_target: bool = False
) -> Any:
    t, p = plain(t, p, log_input, log_target)
    of_t, of_p = floors(epsilon, log_input, log_target)
    return mp.fsum(xlog(a, a, of_t) - xlog(a, b, of_p) - a + b for a, b in zip(t, p, strict=True))


def js_divergence(t: Vector, p: Vector, epsilon: float = 1e-7) -> Any:
    """Half of KL(t, m) and half of KL(p, m), m their mean."""
    m = [(a + b) / 2 for a, b in zip(t, p, strict=True)]
    return kl_divergence(t, m, epsilon) / 2 + kl_divergence(p, m, epsilon) / 2


def wasserstein_1d(t: Vector, p: Vector, positions: list[float] | None = None) -> Any:
    """The area between both cumulative distribution functions."""
    x = range(len(t)) if positions is None else positions
    total = mp.mpf(0)
    for k in range(len(t) - 1):
        gap = mp.mpf(x[k + 1]) - mp.mpf(x[k])
        total += gap * abs(mp.fsum(t[: k + 1]) - mp.fsum(p[: k + 1]))
    return total


LN2 = math.log(2.0)
LN_FLOOR = math.log(1e-7)
HALVES, ONE = [[0.5, 0.5]], [[1.0, 0.0]]
LOGS: dict[str, Any] = {"log_input": True}
BOTH: dict[str, Any] = {"log_input": True, "log_target": True}

add(
    "kl_divergence",
    kl_divergence,
    "row",
    distributions,
    options=({}, {"epsilon": 0.25}, {"epsilon": 0.0}, {"normalize": True}),
    **BY_BOTH,
    edges=(
        Edge((ONE, HALVES), [LN2], "1 log 2", gradient=[[-2.0, 0.0]]),
        Edge((ONE, HALVES), [LN2], "without a floor", {"epsilon": 0.0}, gradient=[[-2.0, 0.0]]),
        Edge((ONE, ONE), [0.0], "0 log 0 = 0", {"epsilon": 0.0}, gradient=[[-1.0, 0.0]]),
        Edge(([[0.0, 1.0]], ONE), [-LN_FLOOR], "Keras: 16.118", gradient=[[0.0, 0.0]]),
        Edge(([[0.0, 1.0]], ONE), [INF], "the bare formula", {"epsilon": 0.0}),
        *(
            Edge((ONE, [[p, 0.0]]), [3 * LN2], "a floor of 1/8", {"epsilon": 0.125}, [[slope, 0.0]])
            for p, slope in ((0.0, 0.0), (0.0625, 0.0), (0.125, -8.0))
        ),
        Edge(([[0.5, 0.5, 0.0, 0.0]], [[0.25] * 4]), [LN2], "1 bit (issue 3, item 6)", gradient=[[-2, -2, 0, 0]]),
        Edge(([[0.2, 0.2]], [[0.4, 0.4]]), [-0.4 * LN2], "nothing is renormalised", gradient=[[-0.5, -0.5]]),
        Edge(([[2.0, 2.0]], [[0.1, 0.3]]), [0.5 * math.log(4 / 3)], "1/2, 1/2; 1/4, 3/4", {"normalize": True}),
    ),
)
add(
    "kl_divergence",
    kl_divergence,
    "row",
    logarithms_of(distributions, False, True),
    options=(LOGS, LOGS | {"normalize": True}),
    edges=(
        Edge((HALVES, np.log([[0.25, 0.75]])), [LN2 - 0.5 * math.log(3)], "torch", LOGS, gradient=[[-0.5, -0.5]]),
        Edge((ONE, [[0.0, -INF]]), [0.0], "torch and Optax give nan for 0 (-inf)", LOGS, gradient=[[-1.0, 0.0]]),
        Edge((ONE, [[-INF, 0.0]]), [INF], "what cannot happen did", LOGS, gradient=[[-1.0, 0.0]]),
        Edge((ONE, [[-1e4, 0.0]]), [1e4], "extremes", LOGS, gradient=[[-1.0, 0.0]]),
        Edge(
            (ONE, [[-1e4, 1e4]]),
            [2e4],
            "logits: their softmax is 0, 1",
            LOGS | {"normalize": True},
            gradient=[[-1.0, 1.0]],
        ),
        Edge((ONE, [[0.0, NAN]]), [NAN], "nan is not hidden", LOGS),
        Edge((ONE, [[0.0, INF]]), [NAN], "an infinity that is no 0 is not hidden", LOGS),
    ),
)
add(
    "kl_divergence",
    kl_divergence,
    "row",
    logarithms_of(distributions, True, False),
    options=({"log_target": True}, {"log_target": True, "epsilon": 0.25}, {"log_target": True, "normalize": True}),
    edges=(
        Edge(([[0.0, -INF]], HALVES), [LN2], "exp(-inf) = 0", {"log_target": True}, gradient=[[-2.0, 0.0]]),
        Edge(([[0.0, -INF]], ONE), [0.0], "0 log 0", {"log_target": True, "epsilon": 0.0}, gradient=[[-1.0, 0.0]]),
        Edge(([[NAN, 0.0]], HALVES), [NAN], "nan is not hidden", {"log_target": True}),
    ),
)
add(
    "kl_divergence",
    kl_divergence,
    "row",
    logarithms_of(distributions, True, True),
    options=(BOTH, BOTH | {"normalize": True}),
    edges=(
        Edge(([[0.0, -INF]], [[-LN2, -LN2]]), [LN2], "torch and Optax give nan", BOTH, gradient=[[-1.0, 0.0]]),
        Edge(([[0.0, -INF]], [[0.0, -INF]]), [0.0], "both exp(-inf)", BOTH, gradient=[[-1.0, 0.0]]),
        Edge(([[0.0, -1e4]], [[-1e4, 0.0]]), [1e4], "extremes", BOTH, gradient=[[-1.0, 0.0]]),
    ),
)
add(
    "generalized_kl_divergence",
    generalized_kl,
    "row",
    amounts,
    options=({}, {"epsilon": 0.0}, {"epsilon": 0.45}),
    edges=(
        Edge(([[2.0, 0.0]], [[1.0, 3.0]]), [2 * LN2 + 2], "2 log 2 - 2 + 1 + 3", gradient=[[-1.0, 1.0]]),
        Edge(([[2.0, 5.0]], [[2.0, 5.0]]), [0.0], "an exact fit", gradient=[[0.0, 0.0]]),
        Edge(([[0.0]], [[0.0]]), [0.0], "0 log 0 = 0", {"epsilon": 0.0}, gradient=[[1.0]]),
        Edge(([[1.0]], [[0.0]]), [-LN_FLOOR - 1], "below the floor only + p has a slope", gradient=[[1.0]]),
        Edge(([[1e4]], [[1.0]]), [1e4 * math.log(1e4) - 9999], "extremes", gradient=[[-9999.0]]),
        Edge(([[1.0]], [[NAN]]), [NAN], "nan is not hidden"),
    ),
)
add(
    "generalized_kl_divergence",
    generalized_kl,
    "row",
    logarithms_of(amounts, False, True),
    options=(LOGS,),
    edges=(
        Edge(([[2.0, 0.0]], [[0.0, -INF]]), [2 * LN2 - 1], "2 log 2 - 2 + 1; 0", LOGS, gradient=[[-1.0, 0.0]]),
        Edge(([[2.0]], [[-1e4]]), [2 * LN2 - 2 + 2e4], "extremes", LOGS, gradient=[[-2.0]]),
    ),
)
add(
    "generalized_kl_divergence",
    generalized_kl,
    "row",
    logarithms_of(amounts, True, False),
    options=({"log_target": True},),
)
add("generalized_kl_divergence", generalized_kl, "row", logarithms_of(amounts, True, True), options=(BOTH,))
add(
    "js_divergence",
    js_divergence,
    "row",
    distributions,
    options=({}, {"epsilon": 0.0}, {"epsilon": 0.25}),
    edges=(
        Edge((HALVES, HALVES), [0.0], "equal ones", gradient=[[0.0, 0.0]]),
        Edge((ONE, [[0.0, 1.0]]), [LN2], "the most there is", {"epsilon": 0.0}, gradient=[[-INF, 0.5 * LN2]]),
        Edge(
            (ONE, [[0.0, 1.0]]),
            [LN2],
            "the slope stops at the floor: (log 1e-7 - log 1/2 - 1) / 2",
            gradient=[[0.5 * (LN_FLOOR + LN2 - 1), 0.5 * LN2]],
        ),
        Edge((ONE, ONE), [0.0], "0 log 0 = 0", {"epsilon": 0.0}, gradient=[[0.0, 0.0]]),
        Edge((ONE, ONE), [0.0], "0 log epsilon", gradient=[[0.0, 0.0]]),
        Edge((ONE, [[NAN, 1.0]]), [NAN], "nan is not hidden"),
    ),
)
add(
    "wasserstein_1d",
    wasserstein_1d,
    "row",
    distributions,
    options=({}, {"positions": [-1.0, 0.5, 4.0]}),
    edges=(
        Edge(([[1.0, 0.0, 0.0]], [[0.0, 0.0, 1.0]]), [2.0], "two steps", gradient=[[-2.0, -1.0, 0.0]]),
        Edge(
            ([[0.0, 0.0, 1.0]], [[0.5, 0.5, 0.0]]),
            [4.5],
            "half of it by 5, half by 4",
            {"positions": [0.0, 1.0, 5.0]},
            [[5.0, 4.0, 0.0]],
        ),
        Edge(([[0.25, 0.75]], [[0.25, 0.75]]), [0.0], "equal ones: the kink", gradient=[[0.0, 0.0]]),
        Edge(([[1.0]], [[1.0]]), [0.0], "one position", gradient=[[0.0]]),
        Edge(([[1.0, 0.0]], [[0.0, 1.0]]), [2e4], "extremes", {"positions": [-1e4, 1e4]}, [[-2e4, 0.0]]),
        Edge(([[0.5, 0.5]], [[0.5, NAN]]), [NAN], "nan is not hidden"),
    ),
)

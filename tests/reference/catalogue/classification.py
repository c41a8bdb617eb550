"""Cross entropies and their kin: focal, poly, generalized, squentropy; p are probabilities, z logits."""

from typing import Any

import numpy as np

from reference.information import CONTEXT as mp

from .entry import BY_BOTH, ENTRIES, STEP, Edge, add

Number = Any
Row = list[Any]
LABELS = np.array([2, 0, 1, 1])


def softmax(z: Row) -> Row:
    powers = [mp.exp(v) for v in z]
    return [power / mp.fsum(powers) for power in powers]


def log(p: Number, epsilon: float) -> Number:
    """log(max(p, epsilon)); differences at the floor itself are those of log p."""
    return mp.log(p if p > epsilon - 2 * STEP else mp.mpf(epsilon))


def xlog(x: Number, p: Number, epsilon: float) -> Number:
    """x log p, 0 log 0 = 0."""
    return x * log(p, epsilon) if x else mp.mpf(0)


def softplus(x: Number) -> Number:
    """log(1 + exp(x)) = -log(logistic(-x))."""
    return mp.log1p(mp.exp(x))


def logistic(z: Number) -> Number:
    return 1 / (1 + mp.exp(-z))


def smoothed(t: Row, s: float) -> Row:
    """Mixed with the uniform distribution."""
    return [x * (1 - mp.mpf(s)) + mp.mpf(s) / len(t) for x in t]


def one_hot(label: int, classes: int) -> Row:
    return [mp.mpf(k == label) for k in range(classes)]


def distribution(p: Row, from_logits: bool, normalize: bool) -> Row:
    if from_logits:
        return softmax(p)
    return [x / mp.fsum(p) for x in p] if normalize else p


def unit(rng: np.random.Generator) -> tuple[Any, Any]:
    return rng.uniform(0.1, 0.9, (4, 3)), rng.uniform(0.1, 0.9, (4, 3))


def bits(rng: np.random.Generator) -> tuple[Any, Any]:
    return np.array([[0.0, 1, 1], [1, 0, 0], [0, 0, 1], [1, 1, 1]]), 3 * rng.normal(size=(4, 3))


def soft(rng: np.random.Generator) -> tuple[Any, Any]:
    t = rng.uniform(0.1, 0.9, (4, 3))
    return t / t.sum(-1, keepdims=True), 2 * rng.normal(size=(4, 3))


def labelled(rng: np.random.Generator) -> tuple[Any, Any]:
    return LABELS, 2 * rng.normal(size=(4, 3))


def labelled_unit(rng: np.random.Generator) -> tuple[Any, Any]:
    return LABELS, rng.uniform(0.1, 0.9, (4, 3))


def labelled_logs(rng: np.random.Generator) -> tuple[Any, Any]:
    return LABELS, -rng.uniform(0.1, 3.0, (4, 3))


def binary_crossentropy(
    t: Number, p: Number, from_logits: bool = False, label_smoothing: float = 0.0, epsilon: float = 1e-7,
    pos_weight: float = 1.0,
) -> Number:  # fmt: skip
    s = mp.mpf(label_smoothing)
    t = t * (1 - s) + s / 2
    if from_logits:
        return mp.mpf(pos_weight) * t * softplus(-p) + (1 - t) * softplus(p)
    return -mp.mpf(pos_weight) * xlog(t, p, epsilon) - xlog(1 - t, 1 - p, epsilon)


LN2, SOFTPLUS_1, CHANCE_1 = np.log(2), 1.3132616875182228, 0.7310585786300049
LOGITS = {"from_logits": True}
WEIGHTED = {"pos_weight": 2.5}
add("binary_crossentropy", binary_crossentropy, "element", unit, **BY_BOTH,
    options=({}, WEIGHTED, {"pos_weight": 0.0}, {**WEIGHTED, "label_smoothing": 0.25}))  # fmt: skip
add(
    "binary_crossentropy", binary_crossentropy, "element", bits,
    options=({"from_logits": True, **WEIGHTED}, {"from_logits": True, "label_smoothing": 0.25, **WEIGHTED}),
    edges=(
        Edge(([[1.0, 0.0]], [[-1e4, 1e4]]), [15000.0], "w 1e4 and 1e4, their mean",
             {"from_logits": True, "pos_weight": 2.0}, [[-1.0, 0.5]]),
        Edge(([[1.0, 0.0]], [[1e4, -1e4]]), [0.0], "right and certain", {"from_logits": True, "pos_weight": 2.0},
             [[0.0, 0.0]]),
        Edge(([[1.0, 0.0]], [[0.0, 0.0]]), [1.5 * np.log(2)], "(2 log 2 + log 2) / 2",
             {"from_logits": True, "pos_weight": 2.0}, [[-0.5, 0.25]]),
        Edge(([[1.0]], [[0.0]]), [2.0 * np.log(1e7)], "the floor", {"pos_weight": 2.0}, [[0.0]]),
        Edge(([[1.0, 0.0]], [[0.5, 0.75]]), [1.5 * LN2], "log 2 and 2 log 2", {}, [[-1.0, 2.0]]),
        Edge(([[0.0]], [[1.0]]), [3 * np.log(10)], "the floor of 1 - p", {"epsilon": 1e-3}, [[0.0]]),
        Edge(([[1.0]], [[1.0]]), [0.0], "0 log 0 = 0", {"epsilon": 0.0}, [[-1.0]]),
        Edge(([[1.0]], [[0.0]]), [np.inf], "the bare formula", {"epsilon": 0.0}),
        Edge(([[1.0, 0.0]], [[1.0, 0.0]]), [0.0], "right and certain: nothing is clipped above", {}, [[-0.5, 0.5]]),
        *(Edge(([[t]] * 4, [[abs(1 - t - p)] for p in (0.0, 0.0625, 0.125, 0.5)]), [3 * LN2, 3 * LN2, 3 * LN2, LN2],
               "p and 1 - p have a floor of 1/8 each, with slope 0 below it", {"epsilon": 0.125},
               [[0.0], [0.0], [8 * (1 - 2 * t)], [2 * (1 - 2 * t)]]) for t in (0.0, 1.0)),
        *(Edge(([[t]], [[np.inf]]), [value], "certain", LOGITS) for t, value in ((1.0, 0.0), (0.0, np.inf))),
        Edge(([[1.0]], [[0.25]]), [1.5 * LN2 + 0.25 * np.log(4 / 3)], "3/4 of log 4, 1/4 of log 4/3",
             {"label_smoothing": 0.5}, [[-3 + 1 / 3]]),
        Edge(([[0.0]], [[-40.0]]), [float(mp.exp(-40))], "log1p(e^-40): the tail", {"from_logits": True}),
    ),
)  # fmt: skip


def categorical_crossentropy(
    t: Row, p: Row, from_logits: bool = False, label_smoothing: float = 0.0, epsilon: float = 1e-7,
    normalize: bool = False,
) -> Number:  # fmt: skip
    q, floor = distribution(p, from_logits, normalize), 0.0 if from_logits else epsilon
    return -mp.fsum(xlog(x, y, floor) for x, y in zip(smoothed(t, label_smoothing), q, strict=True))


def sparse_categorical_crossentropy(t: int, p: Row, **options: Any) -> Number:
    return categorical_crossentropy(one_hot(t, len(p)), p, **options)


FLOOR = 7 * np.log(10)
SMOOTHED = {"label_smoothing": 0.3}
OF_CHANCES = ({}, {"epsilon": 0.0}, {"epsilon": 0.3}, {"normalize": True}, {"epsilon": 0.0, **SMOOTHED},
              {"normalize": True, **SMOOTHED})  # fmt: skip
add(
    "categorical_crossentropy",
    categorical_crossentropy,
    "row",
    unit,
    **BY_BOTH,
    options=OF_CHANCES,
    edges=(
        Edge(([[0.5, 0.5]], [[2.0, 6.0]]), [np.log(16 / 3) / 2], "1/4 and 3/4", {"normalize": True}),
        Edge(([[1.0, 1.0, 0.0]], [[1.0, 2.0, 3.0]]), [3.8152119288887612], "rosetta, section 4: 3.8152", LOGITS),
        Edge(
            ([[1.0, 0.0], [0.5, 0.5]], [[0.5, 0.5]] * 2), [LN2, 2 * LN2], "weights of 1 and 2", {"class_weight": (1, 3)}
        ),
        Edge(
            ([[0.75, 0.25, 0.0]], [[1.0, 2.0, -np.inf]]),
            [SOFTPLUS_1 - 0.25],
            "a class ruled out: log(1 + e) - 0.25",
            LOGITS,
            [[0.25 - CHANCE_1, CHANCE_1 - 0.25, 0.0]],
        ),
    ),
)
add("categorical_crossentropy", categorical_crossentropy, "row", soft, options=(LOGITS, {**LOGITS, **SMOOTHED}))
add("sparse_categorical_crossentropy", sparse_categorical_crossentropy, "row", labelled_unit, options=OF_CHANCES)
add("sparse_categorical_crossentropy", sparse_categorical_crossentropy, "row", labelled,
    options=(LOGITS, {**LOGITS, **SMOOTHED}), edges=(
        Edge(([1, 1, 0], [[0.5, 0.5]] * 3), [3 * LN2, 3 * LN2, 0.0], "weights of 1 and 3, a label ignored",
             {"class_weight": (1, 3), "ignore_index": 0}),
        Edge(([0], [[1.0, 2.0, -np.inf]]), [SOFTPLUS_1], "a class ruled out", LOGITS, [[-CHANCE_1, CHANCE_1, 0.0]]),
        *(Edge(([0], [[3.1 * scale, 3.0, 3.0]]), [loss], "log1p(2 exp(3 - 3.1 scale)): issue 3, item 6", LOGITS)
          for scale, loss in ((1, 1.0330687599495758), (2, 0.0783715347709484))),
    ))  # fmt: skip
for name, of_first, of_second in (
    ("categorical_crossentropy", [[1.0, 0.0]], [[0.0, 1.0]]), ("sparse_categorical_crossentropy", [0], [1]),
):  # fmt: skip
    first: Any = of_first
    second: Any = of_second
    ENTRIES[name][0].edges += (
        Edge((second, [[0.5, 0.5]]), [LN2], "log 2", {}, [[0.0, -2.0]]),
        Edge((second, [[0.2, 0.2]]), [np.log(5)], "rosetta, section 4: torch's nll_loss of log p", {}, [[0.0, -5.0]]),
        Edge((second, [[0.2, 0.2]]), [LN2], "and Keras'", {"normalize": True}, [[2.5, -2.5]]),
        Edge((first, [[0.0, 1.0]]), [FLOOR], "the floor", {}, [[0.0, 0.0]]),
        Edge((first, [[0.125, 0.0]]), [3 * LN2], "at the floor", {"epsilon": 0.125}, [[-8.0, 0.0]]),
        Edge((first, [[0.0625, 0.0]]), [3 * LN2], "below it", {"epsilon": 0.125}, [[0.0, 0.0]]),
        Edge((first, [[1.0, 0.0]]), [0.0], "right and certain: nothing is clipped above", {}, [[-1.0, 0.0]]),
        Edge((first, [[1e-6, 1.0]]), [6 * np.log(10)], "nor below, above the floor", {}, [[-1e6, 0.0]]),
        Edge((first, [[0.0, 1.0]]), [np.inf], "the bare formula", {"epsilon": 0.0}),
        Edge((first, [[1e4, -1e4]]), [0.0], "right and certain", LOGITS, [[0.0, 0.0]]),
        Edge((second, [[1e4, -1e4]]), [2e4], "wrong and certain", LOGITS, [[1.0, -1.0]]),
        Edge((first, [[0.0, float(mp.log(3))]]), [0.75 * np.log(4) + 0.25 * np.log(4 / 3)],
             "targets 3/4, 1/4; softmax 1/4, 3/4", {**LOGITS, "label_smoothing": 0.5}, [[-0.5, 0.5]]),
    )  # fmt: skip


def binary_focal_crossentropy(
    t: Number, p: Number, gamma: float = 2.0, alpha: float | None = None, from_logits: bool = False,
    label_smoothing: float = 0.0, epsilon: float = 1e-7,
) -> Number:  # fmt: skip
    """Lin et al. 2017, eq. 5: alpha_t (1 - p_t)^gamma CE, soft targets as in Keras and Optax."""
    s = mp.mpf(label_smoothing)
    t = t * (1 - s) + s / 2
    p = logistic(p) if from_logits else p
    p_t = t * p + (1 - t) * (1 - p)
    alpha_t = 1 if alpha is None else t * mp.mpf(alpha) + (1 - t) * (1 - mp.mpf(alpha))
    floor = 0.0 if from_logits else epsilon
    return alpha_t * (1 - p_t) ** mp.mpf(gamma) * (-t * log(p, floor) - (1 - t) * log(1 - p, floor))


add("binary_focal_crossentropy", binary_focal_crossentropy, "element", unit, options=(
    {}, {"gamma": 0.0}, {"gamma": 0.5}, {"alpha": 0.25}, {"label_smoothing": 0.25, "alpha": 0.75}, {"epsilon": 0.0},
    {**LOGITS, "gamma": 1.5}), edges=(
        Edge(([[1.0, 0.0]], [[1.0, 0.0]]), [0.0], "right and certain", {"gamma": 0.5}, [[0.0, 0.0]]),
        Edge(([[1.0]], [[0.0]]), [np.log(1e7)], "the floor: (1 - 0)^2 16.1; gradient -2 x 16.1", {},
             [[-2 * np.log(1e7)]]),
        Edge(([[1.0]], [[0.5]]), [0.25 * 0.25 * np.log(2)], "alpha 0.25, (1/2)^2, log 2", {"alpha": 0.25},
             [[-0.25 * (np.log(2) + 0.5)]]),
    ))  # fmt: skip
SURE = (([[1.0, 0.0]], [[1e4, -1e4]]), [0.0])
add("binary_focal_crossentropy", binary_focal_crossentropy, "element", bits, options=(
    LOGITS, {**LOGITS, "gamma": 0.5}, {**LOGITS, "gamma": 0.0}, {**LOGITS, "alpha": 0.25, "gamma": 3.0},
    {**LOGITS, "label_smoothing": 0.25}), edges=(
        *(Edge(*SURE, "right and certain: no nan (rosetta, 5)", {**LOGITS, "gamma": gamma}, [[0.0, 0.0]])
          for gamma in (0.0, 0.25, 1.0, 2.0)),
        *(Edge(([[0.0, 1.0]], [[1e4, -1e4]]), [1e4], "wrong and certain: nothing is clipped",
               {**LOGITS, "gamma": gamma}, [[0.5, -0.5]]) for gamma in (0.0, 0.5, 2.0)),
        Edge(([[1.0]], [[0.0]]), [0.25 * np.log(2)], "(1/2)^2 log 2", LOGITS, [[-0.25 * (np.log(2) + 0.5)]]),
        Edge(([[1.0]], [[20.0]]), [float(mp.mpf(1) / (1 + mp.exp(20)) ** 2 * mp.log1p(mp.exp(-20)))],
             "about e^-60: the digits of the tail", LOGITS),
    ))  # fmt: skip


def categorical_focal_crossentropy(
    t: Row, p: Row, gamma: float = 2.0, alpha: Any = None, from_logits: bool = False, label_smoothing: float = 0.0,
    epsilon: float = 1e-7, normalize: bool = False,
) -> Number:  # fmt: skip
    """-sum_k t_k alpha_k (1 - p_k)^gamma log p_k."""
    p = distribution(p, from_logits, normalize)
    weights = [1] * len(p) if alpha is None else list(alpha) if isinstance(alpha, tuple) else [alpha] * len(p)
    floor = 0.0 if from_logits else epsilon
    return -mp.fsum(
        x * mp.mpf(a) * (1 - q) ** mp.mpf(gamma) * log(q, floor)
        for x, q, a in zip(smoothed(t, label_smoothing), p, weights, strict=True)
    )


def sparse_categorical_focal_crossentropy(t: int, p: Row, **options: Any) -> Number:
    return categorical_focal_crossentropy(one_hot(t, len(p)), p, **options)


FOCAL = ({}, {"gamma": 0.0}, {"gamma": 0.5, "alpha": 0.25}, {"alpha": (0.5, 1.0, 2.0)}, {"label_smoothing": 0.3},
         {"normalize": True}, {"epsilon": 0.0})  # fmt: skip
FROM_LOGITS = tuple({**LOGITS, **o} for o in FOCAL[:5])
QUARTER = 0.25 * 0.25 * np.log(2)
add("categorical_focal_crossentropy", categorical_focal_crossentropy, "row", unit, options=FOCAL, edges=(
    Edge(([[1.0, 0.0]], [[1.0, 0.0]]), [0.0], "right and certain", {"gamma": 0.5}, [[0.0, 0.0]]),
    Edge(([[1.0, 0.0]], [[0.0, 1.0]]), [np.log(1e7)], "the floor; gradient of (1 - p)^2 alone", {},
         [[-2 * np.log(1e7), 0.0]]),
    Edge(([[1.0, 0.0]], [[0.5, 0.5]]), [QUARTER], "Keras' alpha: 0.25 (1/2)^2 log 2", {"alpha": 0.25}),
))  # fmt: skip
add("categorical_focal_crossentropy", categorical_focal_crossentropy, "row", soft, options=FROM_LOGITS, edges=(
    *(Edge(([[1.0, 0.0, 0.0]], [[1e4, -1e4, 0.0]]), [0.0], "right and certain", {**LOGITS, "gamma": gamma},
           [[0.0, 0.0, 0.0]]) for gamma in (0.0, 0.25, 1.0, 2.0)),
    *(Edge(([[0.0, 1.0, 0.0]], [[1e4, -1e4, 0.0]]), [2e4], "wrong and certain", {**LOGITS, "gamma": gamma},
           [[1.0, -1.0, 0.0]]) for gamma in (0.0, 0.5, 2.0)),
    Edge(([[1.0, 0.0]], [[0.0, -np.inf]]), [0.0], "a class masked by -inf", {**LOGITS, "gamma": 0.5}),
    Edge(([[1.0, 0.0]], [[0.0, 0.0]]), [QUARTER], "0.25 (1/2)^2 log 2", {**LOGITS, "alpha": 0.25}),
))  # fmt: skip
add("sparse_categorical_focal_crossentropy", sparse_categorical_focal_crossentropy, "row", labelled_unit,
    options=FOCAL, edges=(
        Edge(([0], [[1.0, 0.0]]), [0.0], "right and certain", {"gamma": 0.5}, [[0.0, 0.0]]),
        Edge(([0], [[np.nan, 0.5]]), [np.nan], "nan is not hidden"),
        Edge(([1], [[np.nan, 0.5]]), [np.nan], "nan is not hidden"),
    ))  # fmt: skip
add("sparse_categorical_focal_crossentropy", sparse_categorical_focal_crossentropy, "row", labelled,
    options=FROM_LOGITS, edges=(
        Edge(([0], [[1e4, -1e4, 0.0]]), [0.0], "right and certain", {**LOGITS, "gamma": 0.5}, [[0.0, 0.0, 0.0]]),
        Edge(([1], [[1e4, -1e4, 0.0]]), [2e4], "wrong and certain", {**LOGITS, "gamma": 0.5}, [[1.0, -1.0, 0.0]]),
    ))  # fmt: skip


def nll(t: int, p: Row) -> Number:
    return -p[t]


add("nll", nll, "row", labelled_logs, edges=(
    Edge(([1], [[-np.inf, 0.0]]), [0.0], "certain", {}, [[0.0, -1.0]]),
    Edge(([0], [[-1.0, np.nan]]), [np.nan], "nan is not hidden"),
    Edge(([0], [[-np.inf, 0.0]]), [np.inf], "impossible"),
    Edge(([0, 1], [[-1.0, -2.0], [-1.0, -2.0]]), [0.5, 6.0], "weights of the classes", {"class_weight": (0.5, 3.0)}),
    Edge(([0, 1], [[-1.0, -2.0], [-1.0, -2.0]]), [0.0, 2.0], "ignored", {"ignore_index": 0}, [[0.0, 0.0], [0.0, -1.0]]),
))  # fmt: skip


def generalized_cross_entropy(t: int, p: Row, q: float = 0.7, from_logits: bool = False) -> Number:
    return (1 - distribution(p, from_logits, False)[t] ** mp.mpf(q)) / mp.mpf(q)


add("generalized_cross_entropy", generalized_cross_entropy, "row", labelled_unit, options=({}, {"q": 0.1}, {"q": 1.0}),
    edges=(
        Edge(([0], [[0.0, 1.0]]), [2.0], "1 / q; Keras' gradient is nan", {"q": 0.5}),
        Edge(([0], [[1.0, 0.0]]), [0.0], "right", {"q": 0.5}, [[-1.0, 0.0]]),
        Edge(([0], [[0.0, 1.0]]), [1.0], "the absolute error", {"q": 1.0}, [[-1.0, 0.0]]),
        Edge(([0], [[0.25, np.nan]]), [np.nan], "nan is not hidden"),
    ))  # fmt: skip
add("generalized_cross_entropy", generalized_cross_entropy, "row", labelled, options=(LOGITS, {**LOGITS, "q": 0.1}),
    edges=(
        Edge(([0], [[-1e4, 1e4]]), [2.0], "1 / q", {**LOGITS, "q": 0.5}, [[0.0, 0.0]]),
        Edge(([0], [[1e4, -1e4]]), [0.0], "right", {**LOGITS, "q": 0.5}, [[0.0, 0.0]]),
        Edge(([0], [[0.0, 0.0]]), [2 - 2**0.5], "(1 - (1/2)^(1/2)) 2", {**LOGITS, "q": 0.5},
             [[-(0.5**1.5), 0.5**1.5]]),
    ))  # fmt: skip


def poly_cross_entropy(
    t: Row, p: Row, poly_epsilon: float = 2.0, from_logits: bool = False, label_smoothing: float = 0.0,
    epsilon: float = 1e-7, normalize: bool = False,
) -> Number:  # fmt: skip
    """Leng et al. 2022: -log p + epsilon_1 (1 - p), weighed by the targets."""
    p = distribution(p, from_logits, normalize)
    floor = 0.0 if from_logits else epsilon
    return mp.fsum(
        x * (-log(q, floor) + mp.mpf(poly_epsilon) * (1 - q))
        for x, q in zip(smoothed(t, label_smoothing), p, strict=True)
    )


def sparse_poly_cross_entropy(t: int, p: Row, **options: Any) -> Number:
    return poly_cross_entropy(one_hot(t, len(p)), p, **options)


POLY = ({}, {"poly_epsilon": -0.5}, {"label_smoothing": 0.3}, {"normalize": True}, {"epsilon": 0.0})
POLY_LOGITS = tuple({**LOGITS, **o} for o in POLY[:3])
for name, formula, inputs, options in (
    ("poly_cross_entropy", poly_cross_entropy, unit, POLY),
    ("poly_cross_entropy", poly_cross_entropy, soft, POLY_LOGITS),
    ("sparse_poly_cross_entropy", sparse_poly_cross_entropy, labelled_unit, POLY),
    ("sparse_poly_cross_entropy", sparse_poly_cross_entropy, labelled, POLY_LOGITS),
):
    label: Any = [0] if name.startswith("sparse") else [[1.0, 0.0]]
    add(name, formula, "row", inputs, options=options, edges=(
        Edge((label, [[-1e4, 1e4]]), [2e4 + 2], "wrong and certain: 2e4 + 2 (1 - 0)", LOGITS, [[-1.0, 1.0]]),
        Edge((label, [[1e4, -1e4]]), [0.0], "right and certain", LOGITS, [[0.0, 0.0]]),
        Edge((label, [[0.0, 0.0]]), [np.log(2) + 1], "log 2 + 2 / 2", LOGITS, [[-1.0, 1.0]]),
        Edge((label, [[0.0, 1.0]]), [np.log(1e7) + 2], "the floor; the gradient of 2 (1 - p) alone", {}, [[-2.0, 0.0]]),
    ))  # fmt: skip


def squentropy(t: int, z: Row) -> Number:
    """Hui et al. 2023: cross entropy, and the mean of z_j^2 over the wrong classes."""
    wrong = [v * v for j, v in enumerate(z) if j != t]
    return -mp.log(softmax(z)[t]) + (mp.fsum(wrong) / len(wrong) if wrong else 0)


add("squentropy", squentropy, "row", labelled, edges=(
    Edge(([0], [[1e4, 1.0, -1.0]]), [1.0], "a large right logit costs no digits", {}, [[0.0, 1.0, -1.0]]),
    Edge(([1], [[1e4, 0.0, 0.0]]), [1e4 + 0.5e8], "1e4 + 1e8 / 2", {}, [[1.0 + 1e4, -1.0, 0.0]]),
    Edge(([0], [[0.0, 0.0, 0.0]]), [np.log(3)], "log 3", {}, [[-2 / 3, 1 / 3, 1 / 3]]),
    Edge(([0], [[3.0]]), [0.0], "one class has no others", {}, [[0.0]]),
))  # fmt: skip

"""The reference itself: hand-worked literals, each with its source, and its gradients against mpmath's derivatives.

The right sides below are worked by hand or quoted, never computed by the reference's own expression.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import reference

mp = reference.CONTEXT  # 50 digits

TRUE = [1.0, 2.0, 3.0, 100.0]
FAR = [1.0, 2.0, 3.0, 110.0]
NEAR = [2.0, 3.0, 4.0, 100.0]


def close(actual: Any, expected: Any, rtol: float = 1e-14, atol: float = 1e-300) -> None:
    np.testing.assert_allclose(np.asarray(actual, dtype=np.float64), expected, rtol=rtol, atol=atol)


# --- values, by hand ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "far", "near"),
    [  # the notes' example; issue 3, item 6
        ("mean_squared_error", 25.0, 0.75),  # (110 - 100)^2 / 4; 3 x 1 / 4
        ("root_mean_squared_error", 5.0, math.sqrt(0.75)),
        ("mean_absolute_error", 2.5, 0.75),
        ("mean_absolute_percentage_error", 2.5, 100 * (1 + 1 / 2 + 1 / 3) / 4),  # 10 % of one in four; 11/6 / 4
        # (0.4054651^2 + 0.2876821^2 + 0.2231436^2) / 4: ln 3/2, ln 4/3, ln 5/4
        ("mean_squared_logarithmic_error", math.log(111 / 101) ** 2 / 4, 0.0742389933),
        ("root_mean_squared_logarithmic_error", math.log(111 / 101) / 2, 0.2724683344),
        ("huber", 9.5 / 4, 1.5 / 4),  # delta 1: |10| - 1/2; three times 1/2
    ],
)
def test_example_of_the_notes(name: str, far: float, near: float) -> None:
    close(reference.per_sample(name, TRUE, FAR), far)
    close(reference.per_sample(name, TRUE, NEAR), near, rtol=1e-7)


def test_printed_digits_of_the_notes() -> None:
    squared = [reference.per_sample("mean_squared_error", TRUE, p, axis=()) for p in (FAR, NEAR)]
    assert [float(reference.reduce(v, "sum")) for v in squared] == [100.0, 3.0]
    msle = [float(reference.per_sample("mean_squared_logarithmic_error", TRUE, p)) for p in (FAR, NEAR)]
    assert [round(v, 7) for v in msle] == [0.0022283, 0.0742390]  # issue 3 prints 0.0742393: its last digit is wrong
    rmsle = [float(reference.per_sample("root_mean_squared_logarithmic_error", TRUE, p)) for p in (FAR, NEAR)]
    assert [round(v, 7) for v in rmsle] == [0.0472048, 0.2724683]  # and 0.2724688


@pytest.mark.parametrize(
    ("name", "t", "p", "options", "expected"),
    [
        ("log_cosh", 0.0, 1000.0, {}, 999.3068528194401),  # 1000 - ln 2, exp(-2000) is nothing
        ("log_cosh", 1.0, 0.0, {}, 0.43378083048302),  # ln cosh 1 = ln 1.5430806348152437
        ("log_cosh", 0.0, 1e-8, {}, 5e-17),  # x^2 / 2; the textbook formula says 0
        ("huber", 0.0, 0.5, {}, 0.125),
        ("huber", 0.0, -3.0, {"delta": 2.0}, 4.0),  # 2 (3 - 1)
        ("mean_absolute_percentage_error", 0.0, 1e-9, {}, 1.0),  # 100 x 1e-9 / 1e-7
        ("mean_absolute_percentage_error", -4.0, -5.0, {}, 25.0),
        ("mean_squared_logarithmic_error", 0.0, math.e - 1, {}, 1.0),
        ("mean_squared_logarithmic_error", 1e-12, 2e-12, {}, 1e-24 * (1 - 3e-12)),
        ("binary_crossentropy", 1.0, 0.5, {}, math.log(2)),
        ("binary_crossentropy", 0.0, 0.75, {}, 2 * math.log(2)),
        ("binary_crossentropy", 1.0, 0.0, {}, 7 * math.log(10)),  # the floor: -log 1e-7 = 16.118
        ("binary_crossentropy", 0.0, 1.0, {"epsilon": 1e-3}, 3 * math.log(10)),
        ("binary_crossentropy", 1.0, 1.0, {"epsilon": 0.0}, 0.0),  # 0 log 0 = 0
        ("binary_crossentropy", 0.0, 1e4, {"from_logits": True}, 1e4),
        ("binary_crossentropy", 0.0, -40.0, {"from_logits": True}, math.exp(-40)),  # softplus(x) ~ exp(x)
        ("binary_crossentropy", 1.0, 0.25, {"label_smoothing": 0.5}, 1.5 * math.log(2) + 0.25 * math.log(4 / 3)),
    ],
)
def test_single_elements(name: str, t: float, p: float, options: dict[str, Any], expected: float) -> None:
    close(reference.per_sample(name, t, p, axis=(), **options), expected, rtol=1e-13)
    value, _ = reference.exact(name, t, p, **options)
    close(float(value), expected, rtol=1e-13)


@pytest.mark.parametrize(
    ("t", "p", "options", "expected"),
    [
        ([0.5, 0.5, 0, 0], [0.25] * 4, {}, math.log(2)),  # issue 3, item 6: 1 bit
        ([0.25] * 4, [0.25] * 4, {}, 0.0),
        ([1.0, 0.0], [0.0, 1.0], {}, 7 * math.log(10)),  # floored at 1e-7
        ([0.0, 1.0], [0.0, 1.0], {"epsilon": 0.0}, 0.0),
        ([0.2, 0.2], [0.4, 0.4], {}, -0.4 * math.log(2)),  # nothing is renormalised
        ([2.0, 2.0], [0.1, 0.3], {"normalize": True}, 0.5 * math.log(4 / 3)),  # t = 1/2, 1/2; p = 1/4, 3/4
    ],
)
def test_kl_divergence(t: list[float], p: list[float], options: dict[str, Any], expected: float) -> None:
    close(reference.per_sample("kl_divergence", t, p, **options), expected, atol=1e-16)


@pytest.mark.parametrize(
    ("t", "p", "options", "expected"),
    [
        ([0.0, 1.0], [0.5, 0.5], {}, math.log(2)),
        ([0.0, 1.0, 0.0], [0.2, 0.2, 0.2], {}, math.log(5)),  # rosetta, section 4: nll_loss(log p) has 1.6094
        ([0.0, 1.0, 0.0], [0.2, 0.2, 0.2], {"normalize": True}, math.log(3)),  # and Keras 1.0986
        ([1.0, 0.0], [0.0, 1.0], {}, 7 * math.log(10)),
        ([1.0, 0.0], [1e4, -1e4], {"from_logits": True}, 0.0),
        ([0.0, 1.0], [1e4, -1e4], {"from_logits": True}, 2e4),
        ([1.0, 0.0], [0.0, -40.0], {"from_logits": True}, math.exp(-40)),  # the tail is not 0
        ([1.0, 1.0, 0.0], [1.0, 2.0, 3.0], {"from_logits": True}, 3.8152119289),  # rosetta, section 4: 3.8152
        ([1.0, 0.0], [0.0, math.log(3)], {"from_logits": True, "label_smoothing": 0.5}, 0.75 * math.log(4)
         + 0.25 * math.log(4 / 3)),  # targets 3/4, 1/4; softmax 1/4, 3/4
    ],
)  # fmt: skip
def test_categorical_crossentropy(t: list[float], p: list[float], options: dict[str, Any], expected: float) -> None:
    close(reference.per_sample("categorical_crossentropy", t, p, **options), expected, rtol=1e-10)
    if max(t) == sum(t) == 1.0:
        label = t.index(1.0)
        close(reference.per_sample("sparse_categorical_crossentropy", label, p, **options), expected, rtol=1e-10)


def test_labels_never_count_from_the_end() -> None:
    values = reference.per_sample("sparse_categorical_crossentropy", [0, -1, 2], np.full((3, 2), 0.5))
    np.testing.assert_array_equal(np.isnan(values), [False, True, True])


# --- axes, reductions, weights and masks -------------------------------------------------------------------------


def test_axes() -> None:
    t = np.zeros((2, 3))
    p = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])  # squares 1 4 9, 16 25 36
    for axis, expected in [
        (-1, [14 / 3, 77 / 3]),
        (0, [17 / 2, 29 / 2, 45 / 2]),
        (None, 91 / 6),
        ((0, 1), 91 / 6),
        ((), [[1, 4, 9], [16, 25, 36]]),
    ]:
        close(reference.per_sample("mean_squared_error", t, p, axis=axis), expected)
    close(reference.per_sample("root_mean_squared_error", t, p), np.sqrt([14 / 3, 77 / 3]))


VALUES = [1.0, 2.0, 4.0]
WEIGHTS = [1.0, 3.0, 0.5]


@pytest.mark.parametrize(
    ("reduction", "plain", "weighted", "masked", "both"),
    [  # w v: 1, 6, 2, their sum 9; the mask keeps the last two
        ("mean", 7 / 3, 9 / 3, 6 / 2, 8 / 2),
        ("weighted_mean", 7 / 3, 9 / 4.5, 6 / 2, 8 / 3.5),
        ("sum", 7, 9, 6, 8),
        ("batchmean", 7 / 3, 9 / 3, 6 / 3, 8 / 3),
        ("none", [1, 2, 4], [1, 6, 2], [0, 2, 4], [0, 6, 2]),
    ],
)
def test_reductions(reduction: str, plain: Any, weighted: Any, masked: Any, both: Any) -> None:
    mask = [False, True, True]
    close(reference.reduce(VALUES, reduction), plain)
    close(reference.reduce(VALUES, reduction, WEIGHTS), weighted)
    close(reference.reduce(VALUES, reduction, None, mask), masked)
    close(reference.reduce([math.nan, *VALUES[1:]], reduction, WEIGHTS, mask), both)


def test_reductions_of_more_axes() -> None:
    values = np.array([[1.0, 2.0], [3.0, 4.0]])
    close(reference.reduce(values, "batchmean"), 5.0)  # 10 over the first dimension's 2
    close(reference.reduce(values, "mean", [2.0, 0.0]), 6 / 4)  # weights from the left: rows
    close(reference.reduce(values, "weighted_mean", [2.0, 0.0]), 6 / 4)  # each weight counts for both columns
    close(reference.reduce(values, "mean", None, [False, True]), 7 / 2)
    close(reference.reduce(values, "sum", None, [[True], [False]]), 3.0)
    close(reference.reduce(5.0, "batchmean"), 5.0)


@pytest.mark.parametrize("reduction", ["mean", "weighted_mean", "sum", "batchmean"])
def test_nothing_left(reduction: str) -> None:
    assert reference.reduce([], reduction) == 0.0
    assert reference.reduce([math.nan], reduction, None, [False]) == 0.0
    assert reference.reduce([1.0, 2.0], reduction, [0.0, 0.0]) == 0.0


def test_class_weight_and_ignore_index() -> None:
    p = np.full((3, 2), 0.5)  # every value ln 2
    weight = [1.0, 3.0]
    sparse = "sparse_categorical_crossentropy"
    # rosetta, section 0: torch's mean over class weights is weighted_mean; Keras' divides by the count
    close(reference.loss(sparse, [0, 1, 1], p, class_weight=weight), 7 / 3 * math.log(2))
    close(reference.loss(sparse, [0, 1, 1], p, class_weight=weight, reduction="weighted_mean"), math.log(2))
    close(reference.loss(sparse, [0, 1, -1], p, class_weight=weight, ignore_index=-1), 2 * math.log(2))
    soft = [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]  # weights 1, 2, 3
    got = reference.loss("categorical_crossentropy", soft, p, class_weight=weight, reduction="none")
    close(got, np.log(2) * np.array([1.0, 2.0, 3.0]))


# --- gradients ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(reference.LOSSES) - set(reference.CLASS_LOSSES)))
@pytest.mark.parametrize(("t", "p"), [(0.25, 0.75), (0.75, 0.125), (0.5, 0.5078125), (3.0, 1.5), (0.25, 9.0)])
def test_elementwise_gradient_is_the_derivative(name: str, t: float, p: float) -> None:
    for options in (
        ({}, {"label_smoothing": 0.25}, {"from_logits": True})
        if name == "binary_crossentropy"
        else ({}, {"delta": 0.125})
        if name == "huber"
        else ({},)
    ):
        if name == "binary_crossentropy" and (p > 1 or t > 1) and "from_logits" not in options:
            continue
        derivative = mp.diff(lambda x, o=options: reference.exact(name, t, x, **o)[0], p)
        assert abs(derivative - reference.exact(name, t, p, **options)[1]) < mp.mpf("1e-15")
        close(reference.gradient(name, t, p, axis=(), **options), float(derivative), rtol=1e-13)


def textbook_cross_entropy(t: list[float], p: list[Any], from_logits: bool, s: float, normalize: bool) -> Any:
    t = [v * (1 - s) + s / len(t) for v in t]
    if from_logits:
        p = [mp.exp(v) for v in p]
    if from_logits or normalize:
        p = [v / sum(p) for v in p]
    return -sum(a * mp.log(b) for a, b in zip(t, p, strict=True))


def textbook_kl(t: list[float], p: list[Any], normalize: bool) -> Any:
    if normalize:
        t, p = [v / sum(t) for v in t], [v / sum(p) for v in p]
    return sum(a * mp.log(a / b) for a, b in zip(t, p, strict=True) if a)


def partial_derivatives(function: Callable[[list[Any]], Any], p: list[float]) -> list[float]:
    def moved(k: int, x: Any) -> list[Any]:
        return [x if j == k else mp.mpf(v) for j, v in enumerate(p)]

    return [float(mp.diff(lambda x, k=k: function(moved(k, x)), p[k])) for k in range(len(p))]


@pytest.mark.parametrize("t", [[0.0, 1.0, 0.0], [0.125, 0.5, 0.25]])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("s", [0.0, 0.25])
@pytest.mark.parametrize("from_logits", [False, True])
def test_categorical_gradient_is_the_derivative(t: list[float], normalize: bool, s: float, from_logits: bool) -> None:
    p = [3.0, -1.0, 0.5] if from_logits else [0.25, 0.125, 0.5]
    options: dict[str, Any] = {"from_logits": from_logits, "label_smoothing": s, "normalize": normalize}
    name = "categorical_crossentropy"
    close(
        reference.per_sample(name, t, p, **options),
        float(textbook_cross_entropy(t, [mp.mpf(v) for v in p], from_logits, s, normalize)),
    )
    expected = partial_derivatives(lambda x: textbook_cross_entropy(t, x, from_logits, s, normalize), p)
    close(reference.gradient(name, t, p, **options), expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("t", [[0.0, 1.0, 0.0], [0.25, 0.5, 0.25]])
@pytest.mark.parametrize("normalize", [False, True])
def test_kl_gradient_is_the_derivative(t: list[float], normalize: bool) -> None:
    p = [0.25, 0.125, 0.5]
    close(
        reference.per_sample("kl_divergence", t, p, normalize=normalize),
        float(textbook_kl(t, [mp.mpf(v) for v in p], normalize)),
        rtol=1e-13,
    )
    expected = partial_derivatives(lambda x: textbook_kl(t, x, normalize), p)
    close(reference.gradient("kl_divergence", t, p, normalize=normalize), expected, rtol=1e-13, atol=1e-15)


def test_gradient_of_a_root_couples_the_sample() -> None:
    # d sqrt((3^2 + 4^2) / 2) = e_i / (2 root), root = 5 / sqrt 2
    close(reference.gradient("root_mean_squared_error", [0, 0], [3.0, 4.0]), np.array([0.3, 0.4]) * math.sqrt(2))


@pytest.mark.parametrize("reduction", reference.REDUCTIONS)
@pytest.mark.parametrize("name", reference.LOSSES)
def test_gradient_of_reductions_is_a_finite_difference(name: str, reduction: str) -> None:
    rng = np.random.default_rng(5)
    p = rng.uniform(0.1, 0.9, (3, 4))
    t: Any = rng.integers(0, 4, 3) if name.startswith("sparse") else rng.uniform(0.1, 0.9, (3, 4))
    options: dict[str, Any] = {"reduction": reduction, "sample_weight": [2.0, 0.5, 1.0], "mask": [True, True, False]}
    if "categorical" in name:
        options["class_weight"] = [1.0, 2.0, 3.0, 0.5]
    numeric = np.zeros_like(p)
    for index in np.ndindex(p.shape):
        step = np.zeros_like(p)
        step[index] = 1e-6
        up, down = (float(reference.loss(name, t, p + d, **options).sum()) for d in (step, -step))
        numeric[index] = (up - down) / 2e-6
    close(reference.gradient(name, t, p, **options), numeric, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    "name", ["mean_absolute_error", "mean_absolute_percentage_error", *reference.ROOTS, "huber", "log_cosh"]
)
def test_zero_gradient_at_the_exact_fit(name: str) -> None:
    np.testing.assert_array_equal(reference.gradient(name, TRUE, TRUE), 0.0)


def test_zero_gradient_below_the_floor() -> None:
    for name in ("binary_crossentropy", "categorical_crossentropy", "kl_divergence"):
        got = reference.gradient(name, [1.0, 0.0], [1e-8, 0.5], reduction="sum")
        assert got[0] == 0.0
    close(reference.gradient("binary_crossentropy", [1.0], [1.0]), -1.0)  # 1 - p below the floor, p not


def test_masked_entries_have_exactly_no_gradient() -> None:
    p = [[math.nan, math.inf], [1.0, 3.0]]
    got = reference.gradient("mean_squared_error", np.zeros((2, 2)), p, mask=[False, True])
    np.testing.assert_array_equal(got, [[0.0, 0.0], [1.0, 3.0]])


# --- information, soft maximum, center loss ----------------------------------------------------------------------


def test_information() -> None:
    p, q = [0.5, 0.5, 0.0, 0.0], [0.25] * 4
    assert reference.entropy(p, base=2) == 1.0
    assert reference.cross_entropy(p, q, base=2) == 2.0
    assert reference.relative_entropy(p, q, base=2) == 1.0
    close(reference.relative_entropy(p, q), math.log(2))
    assert reference.cross_entropy(q, p) == math.inf
    close(reference.entropy([[1.0, 0.0], [0.25, 0.75]], base=2), [0.0, 0.8112781244591328])  # MacKay 2003, H2(0.25)


def test_soft_maximum() -> None:
    close(reference.softmax([0.0, math.log(3)]), [0.25, 0.75])
    close(reference.log_softmax([0.0, -40.0]), [-math.exp(-40), -40.0])
    close(reference.logsumexp([1e4, 1e4]), 1e4 + math.log(2))
    close(reference.softmax([[1e4, 0.0], [-1e4, -1e4]]), [[1.0, 0.0], [0.5, 0.5]])
    close(reference.softmax([[0.0, 0.0], [0.0, math.log(3)]], axis=0), [[0.5, 0.25], [0.5, 0.75]])


@pytest.mark.parametrize(
    ("scale", "probability", "loss"),
    [  # issue 3, item 6: logits [3.1, 3, 3], class 0 multiplied; p = 1 / (1 + 2 exp(3 - 3.1 scale))
        (1, 0.3559131, 1.0330688),
        (2, 0.9246208, 0.0783715),
        (10, 1.0, 1.3828800e-12),  # 2 exp(-28)
        (100, 1.0, 9.3891019e-134),  # 2 exp(-307)
    ],
)
def test_overconfidence(scale: float, probability: float, loss: float) -> None:
    logits = [3.1 * scale, 3.0, 3.0]
    odds = 2 * math.exp(3 - 3.1 * scale)
    close(reference.softmax(logits)[0], 1 / (1 + odds))
    close(reference.softmax(logits)[0], probability, rtol=1e-7)
    got = reference.per_sample("sparse_categorical_crossentropy", 0, logits, from_logits=True)
    close(got, math.log1p(odds))
    close(got, loss, rtol=1e-6)


def test_center_step() -> None:
    """Eq. 4 by hand: class 0 has rows (2, 0) and (0, 4), class 1 none, class 2 one."""
    centers = [[1.0, 1.0], [5.0, 5.0], [0.0, 0.0]]
    features = [[2.0, 0.0], [0.0, 4.0], [3.0, 4.0]]
    values, new = reference.center_step(centers, [0, 0, 2], features, 0.5)
    close(values, [1.0, 5.0, 12.5])  # (1 + 1) / 2, (1 + 9) / 2, 25 / 2
    # class 0: sum of (c - x) = (-1 + 1, 1 - 3) = (0, -2), over 1 + 2; class 2: -(3, 4) over 1 + 1
    close(new, [[1.0, 1.0 + 0.5 * 2 / 3], [5.0, 5.0], [0.75, 1.0]])


def test_center_step_masked_and_non_finite() -> None:
    centers = [[0.0], [0.0]]
    values, new = reference.center_step(centers, [0, 1, 1], [[math.nan], [2.0], [4.0]], 1.0, mask=[True, True, False])
    assert math.isnan(values[0])
    close(values[1:], [2.0, 0.0])
    close(new, [[0.0], [1.0]])  # class 0 keeps its center; class 1: 2 / (1 + 1), the masked 4 left out

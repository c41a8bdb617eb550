"""What losses are to each other: one is another with an option, a factor, other units or swapped arguments."""

from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import to_native, to_numpy
from helpers.losses import make

RNG = np.random.default_rng(7)
T, P = RNG.normal(size=(5, 4)), 2 * RNG.normal(size=(5, 4))
COUNTS, RATES = RNG.poisson(3.0, (5, 4)).astype(np.float64), RNG.uniform(0.2, 6.0, (5, 4))
A, B = RNG.uniform(0.1, 1.0, (2, 5, 4))
A, B = A / A.sum(-1, keepdims=True), B / B.sum(-1, keepdims=True)


def values(backend: str, name: str, y_true: Any, y_pred: Any, **options: Any) -> tuple[Any, Any]:
    """Of each sample, in float64, and the gradient of their sum."""
    loss = make(backend, name, "float64", reduction="none", **options)
    value, gradient = loss.value_and_grad(*(to_native(backend, np.asarray(x)) for x in (y_true, y_pred)))
    return to_numpy(value), to_numpy(gradient)


def same(one: tuple[Any, Any], other: tuple[Any, Any], factor: float = 1.0, plus: Any = 0.0) -> None:
    """One value is the other times a factor, plus something that does not depend on the prediction."""
    np.testing.assert_allclose(one[0], factor * other[0] + plus, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(one[1], factor * other[1], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("delta", [0.25, 1.0, 3.0])
def test_huber_is_delta_times_smooth_l1(backend: str, delta: float) -> None:
    same(values(backend, "huber", T, P, delta=delta), values(backend, "smooth_l1", T, P, beta=delta), delta)


def test_smooth_l1_at_its_ends(backend: str) -> None:
    same(values(backend, "smooth_l1", T, P, beta=0.0), values(backend, "mean_absolute_error", T, P))
    same(values(backend, "smooth_l1", T, P, beta=100.0), values(backend, "half_squared_error", T, P), 0.01)


def test_the_median_is_half_the_absolute_error(backend: str) -> None:
    same(values(backend, "quantile", T, P), values(backend, "mean_absolute_error", T, P), 0.5)


def test_opposite_quantiles(backend: str) -> None:
    """q and 1 - q together are the absolute error."""
    one, other = (values(backend, "quantile", T, P, q=q) for q in (0.125, 0.875))
    both = one[0] + other[0], one[1] + other[1]
    same(both, values(backend, "mean_absolute_error", T, P))


def test_charbonnier_between_its_neighbours(backend: str) -> None:
    """Far below epsilon half the square over epsilon, above it; far above, the absolute error."""
    value, slope = values(backend, "charbonnier", T, P, epsilon=1e-9)
    absolute = values(backend, "mean_absolute_error", T, P)
    np.testing.assert_allclose(value, absolute[0], rtol=1e-12)
    np.testing.assert_allclose(slope, absolute[1], rtol=1e-12)
    value, slope = values(backend, "charbonnier", T, P, epsilon=1e6)
    half = values(backend, "half_squared_error", T, P)
    np.testing.assert_allclose(slope * 1e6, half[1], rtol=1e-9)


def test_smape_has_no_unit_and_no_first_argument(backend: str) -> None:
    name = "symmetric_mean_absolute_percentage_error"
    value, slope = values(backend, name, T, P)
    scaled = values(backend, name, 1e3 * T, 1e3 * P)
    same(scaled, (value, slope / 1e3))
    np.testing.assert_allclose(values(backend, name, P, T)[0], value, rtol=1e-12)


def test_poisson_of_a_logarithm(backend: str) -> None:
    value, slope = values(backend, "poisson", COUNTS, RATES, epsilon=0.0)
    by_log = values(backend, "poisson_nll", COUNTS, np.log(RATES))
    same(by_log, (value, slope * RATES))
    plain = values(backend, "poisson_nll", COUNTS, RATES, log_input=False, epsilon=1e-7)
    same(plain, values(backend, "poisson", COUNTS, RATES))


@pytest.mark.parametrize("log_input", [True, False])
def test_full_poisson_sums_to_one(backend: str, log_input: bool) -> None:
    """exp(-value) over all counts is a distribution; a factorial goes one count up by its logarithm."""
    n = np.arange(80.0)[:, None]
    rate = np.full_like(n, 4.0)
    options = {"full": True, "log_input": log_input, "epsilon": 0.0}
    value, _ = values(backend, "poisson_nll", n, np.log(rate) if log_input else rate, **options)
    np.testing.assert_allclose(np.exp(-value).sum(), 1.0, rtol=1e-13)
    np.testing.assert_allclose(np.diff(value), np.log(n[1:, 0]) - np.log(4.0), rtol=1e-11, atol=1e-13)


def test_tweedie_near_one_is_twice_the_poisson_deviance(backend: str) -> None:
    value, slope = values(backend, "tweedie", COUNTS + 1, RATES, power=1 + 1e-7)
    kl = values(backend, "generalized_kl_divergence", COUNTS + 1, RATES)
    np.testing.assert_allclose(value * 4, 2 * kl[0], rtol=1e-5)
    np.testing.assert_allclose(slope * 4, 2 * kl[1], rtol=1e-5, atol=1e-6)


def test_tweedie_scales_with_its_power(backend: str) -> None:
    value, slope = values(backend, "tweedie", COUNTS, RATES, power=1.25)
    factor = 16.0**0.75
    same(values(backend, "tweedie", 16 * COUNTS, 16 * RATES, power=1.25), (factor * value, factor / 16 * slope))


def test_cosine_distance_and_similarity(backend: str) -> None:
    similarity = values(backend, "cosine_similarity", T, P)
    same(values(backend, "cosine_distance", T, P), similarity, plus=1.0)
    same(values(backend, "cosine_similarity", 3 * T, 5 * P), (similarity[0], similarity[1] / 5))
    t, p = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (T, P))
    half = np.sum((t - p) ** 2, -1)
    np.testing.assert_allclose(1 + similarity[0], half / 2, rtol=1e-12)


@pytest.mark.parametrize("name", ["cosine_similarity", "cosine_distance"])
def test_a_zero_vector_has_no_direction(backend: str, name: str) -> None:
    """Exactly: a gradient of 0, whatever the other vector's length rounds to."""
    p = np.random.default_rng(0).normal(size=(40, 3))
    for y_true, y_pred in ((0 * p, p), (p, 0 * p), (0 * p, 0 * p)):
        value, gradient = values(backend, name, y_true, y_pred)
        np.testing.assert_array_equal(value, np.full(40, 1.0 if name == "cosine_distance" else 0.0))
        np.testing.assert_array_equal(gradient, 0 * p)


def test_cosine_distance_keeps_the_digits_of_small_angles(backend: str) -> None:
    """1 - cos(angle) is angle^2 / 2: 5e-17 here, of which the difference 1 - cosine has nothing."""
    value, _ = values(backend, "cosine_distance", [[1.0, 0.0]], [[1.0, 1e-8]])
    np.testing.assert_allclose(value, 5e-17, rtol=1e-7)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize(("log_input", "log_target"), [(True, False), (False, True), (True, True)])
def test_kl_of_logarithms(backend: str, log_input: bool, log_target: bool, normalize: bool) -> None:
    value, slope = values(backend, "kl_divergence", A, B, normalize=normalize)
    t, p = np.log(A) if log_target else A, np.log(B) if log_input else B
    options = {"log_input": log_input, "log_target": log_target, "normalize": normalize}
    same(values(backend, "kl_divergence", t, p, **options), (value, slope * B if log_input else slope))


def test_kl_of_logits_is_cross_entropy_without_entropy(backend: str) -> None:
    kl = values(backend, "kl_divergence", A, P, log_input=True, normalize=True)
    entropy = -np.sum(A * np.log(A), -1)
    same(kl, values(backend, "categorical_crossentropy", A, P, from_logits=True), plus=-entropy)


@pytest.mark.parametrize("log_input", [False, True])
def test_generalized_kl_of_distributions_is_kl(backend: str, log_input: bool) -> None:
    p = np.log(B) if log_input else B
    kl = values(backend, "kl_divergence", A, p, log_input=log_input)
    general = values(backend, "generalized_kl_divergence", A, p, log_input=log_input)
    same(general, (kl[0], kl[1] + (B if log_input else 1.0)))


def test_js_is_half_of_two_kl(backend: str) -> None:
    m = (A + B) / 2
    halves = [values(backend, "kl_divergence", x, m)[0] / 2 for x in (A, B)]
    value, _ = values(backend, "js_divergence", A, B)
    np.testing.assert_allclose(value, halves[0] + halves[1], rtol=1e-12)
    np.testing.assert_allclose(values(backend, "js_divergence", B, A)[0], value, rtol=1e-12)
    assert np.all(value > 0) and np.all(value < np.log(2))


def test_wasserstein_of_points_is_their_distance(backend: str) -> None:
    x = [-2.0, 0.5, 1.0, 7.0]
    one_hot = np.eye(4)
    for i in range(4):
        value, _ = values(backend, "wasserstein_1d", one_hot[[i] * 4], one_hot, positions=x)
        np.testing.assert_allclose(value, [abs(x[i] - x[j]) for j in range(4)], rtol=1e-13)
    steps = values(backend, "wasserstein_1d", A, B)
    same(values(backend, "wasserstein_1d", A, B, positions=[0.0, 3.0, 6.0, 9.0]), steps, 3.0)


def test_wasserstein_over_another_axis(backend: str) -> None:
    value, slope = values(backend, "wasserstein_1d", A, B, positions=[0.0, 1.0, 3.0, 4.0])
    turned = values(backend, "wasserstein_1d", A.T, B.T, positions=[0.0, 1.0, 3.0, 4.0], axis=0)
    same(turned, (value, slope.T))


def test_wasserstein_wants_a_position_for_each_outcome(backend: str) -> None:
    with pytest.raises(ValueError, match="positions must be one for each outcome"):
        values(backend, "wasserstein_1d", A, B, positions=[0.0, 1.0])
    with pytest.raises(ValueError, match="positions must be increasing"):
        values(backend, "wasserstein_1d", A, B, positions=[0.0, 1.0, 1.0, 2.0])


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("quantile", {"q": 1.5}),
        ("tweedie", {"power": 2.0}),
        ("tweedie", {"power": 1.0}),
        ("charbonnier", {"epsilon": 0}),
        ("smooth_l1", {"beta": -1.0}),
        ("js_divergence", {"epsilon": 0.5}),
    ],
)
def test_impossible_options(backend: str, name: str, bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        multiloss.get(name, backend=backend, **bad)


@pytest.mark.reads
@pytest.mark.parametrize(
    ("name", "t", "p", "options"),
    [
        ("poisson", 1.0, -1.0, {}),
        ("poisson_nll", -1.0, 1.0, {}),
        ("tweedie", 1.0, 0.0, {}),
        ("kl_divergence", 0.5, 0.5, {"log_input": True}),
        ("kl_divergence", 0.5, -0.7, {"log_input": True, "log_target": True}),
        ("generalized_kl_divergence", 0.5, -0.7, {}),
        ("js_divergence", 0.5, 1.5, {}),
    ],
)
def test_values_outside_the_domain(backend: str, name: str, t: float, p: float, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must hold"):
        values(backend, name, [[t, t]], [[p, p]], **options)


@pytest.mark.reads
def test_logarithms_that_do_not_sum_to_one(backend: str) -> None:
    good, bad = np.log([[0.5, 0.5]]), np.log([[0.5, 0.25]])
    values(backend, "kl_divergence", [[0.5, 0.5]], good, log_input=True, validate=True)
    with pytest.raises(ValueError, match="must sum to 1"):
        values(backend, "kl_divergence", [[0.5, 0.5]], bad, log_input=True, validate=True)


@pytest.mark.parametrize(
    ("name", "options"),
    [("mean_absolute_error", {}), ("smooth_l1", {"beta": 0.0}), ("quantile", {"q": 0.9}), ("smape", {}),
     ("wasserstein_1d", {}), ("cosine_distance", {})],
)  # fmt: skip
def test_kinks_have_slope_0_by_both_inputs(backend: str, name: str, options: dict[str, Any]) -> None:
    loss = multiloss.get(name, backend=backend, **options)
    x = to_native(backend, np.array([[1.0, 0.0, 0.0]], np.float32))
    _, gradients = loss.value_and_grad(x, x, wrt=("y_true", "y_pred"))
    for gradient in gradients:
        np.testing.assert_array_equal(to_numpy(gradient), np.zeros((1, 3)))


@pytest.mark.parametrize("name", ["cosine_similarity", "cosine_distance", "js_divergence", "wasserstein_1d", "tweedie"])
def test_nothing_costs_nothing(backend: str, name: str) -> None:
    empty = to_native(backend, np.zeros((0, 3), np.float32))
    for axis in (-1, 0):
        assert float(to_numpy(multiloss.get(name, backend=backend, axis=axis)(empty, empty))) == 0

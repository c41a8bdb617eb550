"""The numbers of the notes, worked by hand, on every backend through the public API.

y_true [1, 2, 3, 100]; one guess is off by 10 at the 100, the other by 1 at each of the three small ones. Squared
errors sum to 100 and 3 (means 25 and 0.75); logarithmic errors rank the two the other way round.
"""

import math
from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import jit, native_grad, to_native, to_numpy

TRUE = np.array([1.0, 2.0, 3.0, 100.0])
FAR = np.array([1.0, 2.0, 3.0, 110.0])
NEAR = np.array([2.0, 3.0, 4.0, 100.0])
FORMS = ["named", "from the arrays"]


@pytest.fixture
def rtol(backend: str) -> float:
    """The literals below have ten digits; the Keras backend computes in Keras' floatx, float32: four units there."""
    return 4.8e-7 if backend == "keras" else 2e-10


def value(backend: str, form: str, name: str, y_true: Any, y_pred: Any, **options: Any) -> np.ndarray:
    """The loss, both ways of asking for it: with the backend's name, and with native arrays alone.

    Keras tensors are those of the framework that Keras runs on: without a name, that backend answers.
    """
    loss = multiloss.get(name, **({"backend": backend} if form == "named" else {}), **options)
    return to_numpy(loss(to_native(backend, y_true), to_native(backend, y_pred)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("name", "far", "near"),
    [
        ("mean_squared_error", 25.0, 0.75),  # 10^2 / 4; 3 x 1 / 4
        ("root_mean_squared_error", 5.0, 0.8660254037844386),  # sqrt(3) / 2
        ("mean_absolute_error", 2.5, 0.75),
        ("mean_absolute_percentage_error", 2.5, 45.833333333333336),  # 10 % / 4; (100 + 50 + 33 1/3) % / 4
        ("mean_squared_logarithmic_error", 0.0022282971304820, 0.0742389932991086),
        # ln(111/101) / 2 and sqrt(ln(3/2)^2 + ln(4/3)^2 + ln(5/4)^2) / 2; the notes print 0.047 and 0.27
        ("root_mean_squared_logarithmic_error", 0.0472048422355374, 0.2724683344888148),
        ("huber", 2.375, 0.375),  # 9.5 / 4; 3 x 0.5 / 4
        ("log_cosh", 2.3267132054, 0.3253356229),  # (10 - ln 2) / 4; 3 ln cosh 1 / 4
    ],
)
def test_example_of_the_notes(backend: str, rtol: float, form: str, name: str, far: float, near: float) -> None:
    np.testing.assert_allclose(value(backend, form, name, TRUE, FAR), far, rtol=rtol)
    np.testing.assert_allclose(value(backend, form, name, TRUE, NEAR), near, rtol=rtol)


@pytest.mark.parametrize("form", FORMS)
def test_sums_of_squares(backend: str, form: str) -> None:
    """The notes' 100 and 3 are sums: every element a value of its own (`axis=()`), then `reduction="sum"`."""
    options: dict[str, Any] = {"axis": (), "reduction": "sum"}
    assert value(backend, form, "mean_squared_error", TRUE, FAR, **options) == 100.0
    assert value(backend, form, "mean_squared_error", TRUE, NEAR, **options) == 3.0


def test_squares_and_logarithms_rank_the_guesses_oppositely(backend: str) -> None:
    far, near = ({n: value(backend, "named", n, TRUE, p) for n in ("mse", "msle")} for p in (FAR, NEAR))
    assert far["mse"] > near["mse"]
    assert far["msle"] < near["msle"]


def test_printed_digits(backend: str) -> None:
    """Issue 3 prints 0.0742393 and 0.2724688; by hand they are 0.0742390 and 0.2724683."""
    msle = [float(value(backend, "named", "msle", TRUE, p)) for p in (FAR, NEAR)]
    rmsle = [float(value(backend, "named", "rmsle", TRUE, p)) for p in (FAR, NEAR)]
    assert [f"{v:.7f}" for v in msle + rmsle] == ["0.0022283", "0.0742390", "0.0472048", "0.2724683"]


def test_information_in_bits_and_nats(backend: str, rtol: float) -> None:
    """p = [1/2, 1/2, 0, 0], q uniform: 1 bit, 2 bits, 1 bit; ln 2 nats."""
    p, q = to_native(backend, np.array([0.5, 0.5, 0.0, 0.0])), to_native(backend, np.full(4, 0.25))
    info = multiloss.info
    for got, bits in [
        (lambda base: info.entropy(p, base=base), 1.0),
        (lambda base: info.cross_entropy(p, q, base=base), 2.0),
        (lambda base: info.kl_divergence(p, q, base=base), 1.0),
    ]:
        np.testing.assert_allclose(to_numpy(got(2)), bits, rtol=rtol)
        np.testing.assert_allclose(to_numpy(got(None)), bits * math.log(2), rtol=rtol)
    assert to_numpy(info.cross_entropy(q, p, base=2)) == math.inf


@pytest.mark.parametrize("form", FORMS)
def test_kl_divergence_is_one_bit(backend: str, rtol: float, form: str) -> None:
    got = value(backend, form, "kl_divergence", [0.5, 0.5, 0.0, 0.0], [0.25] * 4)
    np.testing.assert_allclose(got, math.log(2), rtol=rtol)


@pytest.mark.parametrize("form", FORMS)
def test_log_cosh_of_a_thousand(backend: str, rtol: float, form: str) -> None:
    """1000 - ln 2 = 999.30685..., gradient tanh(1000) = 1; cosh(1000) is beyond float64."""
    np.testing.assert_allclose(value(backend, form, "log_cosh", [0.0], [1000.0]), 999.3068528194401, rtol=rtol)
    loss = multiloss.get("log_cosh", backend=backend)
    y_true, y_pred = to_native(backend, np.array([0.0])), to_native(backend, np.array([1000.0]))
    assert to_numpy(loss.value_and_grad(y_true, y_pred)[1]) == [1.0]
    if backend != "numpy":
        assert native_grad(backend, lambda x: loss(y_true, x), y_pred) == [1.0]
    with pytest.raises(OverflowError):  # the textbook formula
        math.log(math.cosh(1000.0))
    with np.errstate(over="ignore"):
        assert np.log(np.cosh(np.float32(100.0))) == math.inf


@pytest.mark.graph
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own, while it traces
def test_log_cosh_of_infinite_errors(backend: str) -> None:
    """The derivative is the sign of the error, by the prediction and by the target, compiled too."""
    loss = multiloss.get("log_cosh", backend=backend, axis=(), reduction="sum", validate=False)
    target, infinite = (to_native(backend, np.array(x, np.float32)) for x in ([0.0, 0.0], [np.inf, -np.inf]))
    signs = [[1, -1], [-1, 1]]
    _, found = loss.value_and_grad(target, infinite, wrt=("y_pred", "y_true"))
    np.testing.assert_array_equal([to_numpy(x) for x in found], signs)
    if backend in ("torch", "tensorflow", "jax"):
        compiled = jit(backend, loss)
        by_pred = native_grad(backend, lambda x: compiled(target, x), infinite)
        by_true = native_grad(backend, lambda x: compiled(x, infinite), target)
        np.testing.assert_array_equal([by_pred, by_true], signs)


@pytest.mark.parametrize(
    ("scale", "probability", "loss"),
    [  # class 0 times 1, 2, 10, 100: p = 1 / (1 + 2 exp(3 - 3.1 scale)), the loss is -ln p
        (1, 0.3559130712072203, 1.0330687599495758),
        (2, 0.9246208339294422, 0.0783715347709484),
        (10, 1.0, 1.3828800213870844e-12),  # 2 exp(-28)
        (100, 1.0, 9.3891018758e-134),  # 2 exp(-307): 0 where float32 is all there is
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_overconfidence(backend: str, rtol: float, form: str, scale: float, probability: float, loss: float) -> None:
    """The loss falls as the winning logit grows, though the ranking was right from the start."""
    logits = np.array([[3.1 * scale, 3.0, 3.0]])
    np.testing.assert_allclose(to_numpy(multiloss.softmax(to_native(backend, logits)))[0, 0], probability, rtol=rtol)
    # the logarithm of a probability next to 1 may be off by that probability's rounding; the tail has a test of its own
    tolerance = {"rtol": rtol, "atol": 2.4e-7 if backend == "keras" else 4.5e-16}
    got = value(backend, form, "sparse_categorical_crossentropy", np.array([0]), logits, from_logits=True)
    np.testing.assert_allclose(got, loss, **tolerance)
    got = value(backend, form, "categorical_crossentropy", [[1.0, 0.0, 0.0]], logits, from_logits=True)
    np.testing.assert_allclose(got, loss, **tolerance)


def test_overconfidence_only_falls(backend: str) -> None:
    losses = [
        float(value(backend, "named", "scce", np.array([0]), np.array([[3.1 * s, 3.0, 3.0]]), from_logits=True))
        for s in (1, 2, 10, 100)
    ]
    assert losses[0] > losses[1] > losses[2] >= losses[3] >= 0.0  # the last two are below what float32 may show

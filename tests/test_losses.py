"""Every loss on every backend against the reference (`tests/reference/`): values, gradients, properties, accuracy.

Tolerances are counted, not guessed (`helpers.losses`).
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import multiloss
import reference
from helpers.arrays import dtype_name, dtypes, jit, native_grad, native_second, native_second_forward, to_native
from helpers.arrays import to_numpy as read
from helpers.losses import ALL_OPTIONS, COMPUTE, FEW, TINY, UNIT, check_gradient, check_value, label, make, native
from multiloss.engine import registry
from reference.cases import OPTIONS, cases, fixed, floats
from reference.losses import CLASS_LOSSES, LOSSES, SPARSE
from reference.tolerances import magnitude

MANY, SOME = min(20, settings().max_examples * 2 // 3), min(5, settings().max_examples // 3)
SYMMETRIC = (
    "mean_squared_error",
    "mean_absolute_error",
    "mean_squared_logarithmic_error",
    "root_mean_squared_error",
    "root_mean_squared_logarithmic_error",
    "log_cosh",
    "huber",
)
#: those whose second derivatives are other formulas
CURVATURES = [(name, options) for name, options in ALL_OPTIONS if set(options) <= {"from_logits", "normalize"}]


@pytest.mark.filterwarnings("ignore:.*absolute value.*")
@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=MANY)
@given(data=st.data())
def test_value_and_gradient(backend: str, name: str, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(dtypes(backend)))
    case = data.draw(cases(name, dtype))
    y_true, y_pred, arguments = native(backend, case, dtype)
    value, gradient = make(backend, name, dtype, **case.options).value_and_grad(y_true, y_pred, **arguments)
    assert dtype_name(gradient) == dtype
    assert dtype_name(value) == COMPUTE[dtype]
    check_value(name, case, dtype, read(value))
    check_gradient(name, case, dtype, read(gradient))


@pytest.mark.filterwarnings("ignore:.*absolute value.*")
@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=SOME)
@given(data=st.data())
def test_call_and_automatic_differentiation(backend: str, name: str, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(["float32", "float64"]))
    case = data.draw(cases(name, dtype))
    y_true, y_pred, arguments = native(backend, case, dtype)
    loss = make(backend, name, dtype, **case.options)
    check_value(name, case, dtype, read(loss(y_true, y_pred, **arguments)))
    if backend != "numpy":
        got = native_grad(backend, lambda x: loss(y_true, x, **arguments), y_pred)
        check_gradient(name, case, dtype, got)


WEIGHT_AND_MASK = {
    "sample_weight": np.array([1.0, 2.0, 0.5, 3.0]),
    "mask": np.array([True, True, False, True]),
}


@pytest.mark.graph
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own, while it traces
@pytest.mark.filterwarnings("ignore:(?s).*Online softmax is disabled:UserWarning")  # torch 2.11, which decides to
@pytest.mark.parametrize("name", LOSSES)
def test_compiled(backend: str, name: str) -> None:
    """Compiled as a whole, value and gradient are those of the reference; one option set that has a kernel path."""
    case = fixed(name, "float32", **OPTIONS.get(name, ({},))[-1])
    case.arguments = WEIGHT_AND_MASK
    loss = make(backend, name, "float32", **case.options)
    y_true, y_pred, arguments = native(backend, case, "float32")
    compiled = jit(backend, lambda t, p, w, m: loss(t, p, sample_weight=w, mask=m))
    rest = (arguments["sample_weight"], arguments["mask"])
    check_value(name, case, "float32", read(compiled(y_true, y_pred, *rest)))
    if backend != "numpy":
        got = native_grad(backend, lambda p: compiled(y_true, p, *rest), y_pred)
        check_gradient(name, case, "float32", got)


@pytest.mark.parametrize(
    ("name", "options"),
    [one for one in ALL_OPTIONS if one[0] != SPARSE],
    ids=lambda v: v if isinstance(v, str) else label(v),
)
def test_the_closed_form_stays_while_targets_are_differentiated(
    backend: str, name: str, options: dict[str, Any]
) -> None:
    case = fixed(name, "float64", **options)
    case.arguments = WEIGHT_AND_MASK
    case.y_pred[0] = 0.0 if options.get("from_logits") else 1.0
    case.y_true[0] = [1.0, 0.0, 1.0]
    loss = make(backend, name, "float64", **case.options)
    y_true, y_pred, arguments = native(backend, case, "float64")
    alone = loss.value_and_grad(y_true, y_pred, **arguments)
    value, (by_pred, by_true) = loss.value_and_grad(y_true, y_pred, **arguments, wrt=("y_pred", "y_true"))
    np.testing.assert_allclose(read(value), read(alone[0]), rtol=1e-13)
    np.testing.assert_allclose(read(by_pred), read(alone[1]), rtol=1e-13, atol=1e-15)
    only = loss.value_and_grad(y_true, y_pred, **arguments, wrt="y_true")[1]
    np.testing.assert_allclose(read(by_true), read(only), rtol=1e-13, atol=1e-15)


@pytest.mark.only("torch", "tensorflow", "jax", "keras")  # NumPy differentiates nothing by itself
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")  # torch's own, from its forward mode
@pytest.mark.parametrize(("name", "options"), CURVATURES, ids=lambda v: v if isinstance(v, str) else label(v))
def test_second_derivatives(backend: str, name: str, options: dict[str, Any]) -> None:
    """Hessian times a vector, reverse over reverse and forward over reverse, against differences of the reference.

    A central difference of a gradient with step h is off by h^2 / 6 x the next derivative but one and by unit / h x
    the gradient: with h = 1e-5 and the values here both are below 1e-8 of the largest entry, if that is not near 0.
    """
    case = fixed(name, **options)
    case.arguments = WEIGHT_AND_MASK
    direction = np.linspace(-1.0, 0.5, case.y_pred.size).reshape(case.y_pred.shape)
    up, down = (
        reference.gradient(name, case.y_true, case.y_pred + h * direction, **case.everything) for h in (1e-5, -1e-5)
    )
    expected = (up - down) / 2e-5
    y_true, y_pred, arguments = native(backend, case, "float64")
    loss = make(backend, name, "float64", **case.options)
    along = to_native(backend, direction, "float64")
    for second in (native_second, native_second_forward):
        got = second(backend, lambda p: loss(y_true, p, **arguments), y_pred, along)
        bound = 1e-8 * max(np.abs(expected).max(), np.abs(up).max())
        np.testing.assert_allclose(got, expected, rtol=0.0, atol=bound, err_msg=second.__name__)


def test_which_are_symmetric() -> None:
    assert {name for name in LOSSES if registry.find(name).symmetric} == set(SYMMETRIC)


@pytest.mark.parametrize(("name", "options"), ALL_OPTIONS, ids=lambda v: v if isinstance(v, str) else label(v))
def test_masked_nan_and_infinity_change_nothing(backend: str, name: str, options: dict[str, Any]) -> None:
    case = fixed(name, "float32", **options)
    case.arguments = WEIGHT_AND_MASK
    case.y_pred[2] = [np.nan, np.inf, -np.inf]
    if name != SPARSE:
        case.y_true[2] = [np.inf, -np.inf, np.nan]
    y_true, y_pred, arguments = native(backend, case, "float32")
    loss = make(backend, name, "float32", **case.options)
    value, gradient = loss.value_and_grad(y_true, y_pred, **arguments)
    check_value(name, case, "float32", read(value))
    check_gradient(name, case, "float32", read(gradient))
    if backend != "numpy":
        check_gradient(name, case, "float32", native_grad(backend, lambda p: loss(y_true, p, **arguments), y_pred))


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_left_gives_0_and_no_gradient(backend: str, name: str) -> None:
    case = fixed(name, "float32")
    y_true, y_pred, _ = native(backend, case, "float32")
    none = to_native(backend, np.zeros(4, dtype=bool))
    zero = to_native(backend, np.zeros(4), "float32")
    for reduction in reference.REDUCTIONS if name == SPARSE else ("mean", "weighted_mean"):
        loss = make(backend, name, "float32", reduction=reduction)
        for arguments in ({"mask": none}, {"sample_weight": zero}):
            value, gradient = (read(v) for v in loss.value_and_grad(y_true, y_pred, **arguments))
            np.testing.assert_array_equal(value, np.zeros((4,) if reduction == "none" else ()))
            np.testing.assert_array_equal(gradient, np.zeros((4, 3)))
        value, gradient = (read(v) for v in loss.value_and_grad(y_true[:0], y_pred[:0]))
        np.testing.assert_array_equal(value, np.zeros((0,) if reduction == "none" else ()))
        assert gradient.shape == (0, 3)


@pytest.mark.filterwarnings("ignore:.*absolute value.*")
@pytest.mark.parametrize(("shape", "axis"), [((0,), -1), ((0, 3), None), ((0, 3), 0), ((3, 0), 1), ((0, 3), (0, 1))])
@pytest.mark.parametrize("name", sorted(set(LOSSES) - set(CLASS_LOSSES)))
def test_empty_samples_give_0_and_no_nan(backend: str, name: str, shape: tuple[int, ...], axis: Any) -> None:
    nothing = to_native(backend, np.zeros(shape), "float32")
    value, gradient = (read(v) for v in make(backend, name, "float32", axis=axis).value_and_grad(nothing, nothing))
    assert value == 0 and gradient.shape == shape
    if backend != "numpy":
        call = make(backend, name, "float32", axis=axis)
        assert read(call(nothing, nothing)) == 0
        assert native_grad(backend, lambda p: call(nothing, p), nothing).shape == shape


@pytest.mark.parametrize("name", ["mean_squared_error", SPARSE])
def test_a_mean_of_very_many(backend: str, name: str) -> None:
    """2^19 equal values have their mean to a few units: one added after the other would lose half their digits."""
    number = 2**19
    y_pred = np.full((number, 2), 0.3, np.float32)
    y_true = np.zeros(number, np.int64) if name == SPARSE else np.zeros((number, 2), np.float32)
    arguments = {"mask": to_native(backend, np.arange(number) % 3 > 0)}
    loss, one = make(backend, name, "float32"), make(backend, name, "float32")
    expected = read(one(to_native(backend, y_true[:1]), to_native(backend, y_pred[:1])))
    for more in ({}, arguments):
        got = read(loss(to_native(backend, y_true), to_native(backend, y_pred), **more))
        np.testing.assert_allclose(got, expected, rtol=64 * UNIT["float32"])


@pytest.mark.parametrize("name", sorted(set(LOSSES) - set(CLASS_LOSSES) - {"binary_crossentropy"}))
def test_an_exact_fit_has_value_and_gradient_0(backend: str, name: str) -> None:
    values = np.array([[0.0, 1.0, 3.5], [2.0, 0.25, 100.0]])
    y = to_native(backend, values, "float32")
    loss = make(backend, name, "float32")
    value, gradient = (read(v) for v in loss.value_and_grad(y, y))
    assert value == 0.0
    np.testing.assert_array_equal(gradient, np.zeros((2, 3)))
    if backend != "numpy":
        np.testing.assert_array_equal(native_grad(backend, lambda p: loss(y, p), y), np.zeros((2, 3)))


@settings(max_examples=40)
@given(data=st.data())
def test_kl_is_never_negative(backend: str, data: st.DataObject) -> None:
    """Gibbs: KL >= 0 for two distributions, to the rounding of its terms; 0 for a distribution and itself."""
    t, p = (0.001 + data.draw(floats((4, 3), 0.0, 1.0, "float32")) for _ in range(2))
    t, p = t / t.sum(-1, keepdims=True), p / p.sum(-1, keepdims=True)
    one, other = to_native(backend, t, "float64"), to_native(backend, p, "float64")
    loss = make(backend, "kl_divergence", "float64", reduction="none")
    bound = (3 + FEW) * UNIT["float64"] * magnitude("kl_divergence", t, p)
    assert np.all(read(loss(one, other)) >= -bound)
    assert np.all(np.abs(read(loss(one, one))) <= bound)


@settings(max_examples=MANY)
@given(data=st.data())
def test_softmax(backend: str, data: st.DataObject) -> None:
    """Sums to 1, does not feel a shift, agrees with mpmath and has no nan up to +-1e4; its logarithm likewise."""
    dtype = data.draw(st.sampled_from(["float32", "float64"]))
    bound = data.draw(st.sampled_from([10.0, 1e4]))
    axis = data.draw(st.sampled_from([-1, 0]))
    z = np.round(data.draw(floats((4, 3), -bound, bound, "float32")) * 8) / 8  # a shift by 16 is then exact
    x = to_native(backend, z, dtype)
    unit = UNIT[dtype]
    soft, logs = (read(f(x, axis=axis)) for f in (multiloss.softmax, multiloss.log_softmax))
    np.testing.assert_allclose(soft.sum(axis), 1.0, atol=6 * unit)
    # exp turns an absolute error of z - max z (half a unit of it) into a relative one; exact here, so few units remain
    np.testing.assert_allclose(soft, reference.softmax(z, axis), rtol=FEW * unit, atol=TINY[dtype])
    assert np.all(np.isfinite(logs))
    spread = np.ptp(z, axis=axis, keepdims=True)
    assert np.all(np.abs(logs - reference.log_softmax(z, axis)) <= FEW * unit * (spread + np.log(4.0)))
    total = read(multiloss.logsumexp(x, axis=axis))
    np.testing.assert_allclose(total, reference.logsumexp(z, axis), rtol=FEW * unit, atol=FEW * unit)
    np.testing.assert_array_equal(read(multiloss.softmax(to_native(backend, z + 16.0, dtype), axis=axis)), soft)


def points(name: str, dtype: str) -> tuple[Any, Any]:
    """Pairs of truth and prediction whose errors run from 1e-6 to 1e4, both signs, at several truths."""
    rng = np.random.default_rng(3)
    if name == "binary_crossentropy":
        tails = 10.0 ** rng.uniform(-6, -0.31, 60)
        p = np.concatenate([tails, 1.0 - tails, np.linspace(0.01, 0.99, 60)]).astype(dtype)
        p = p[(p > 1e-6) & (p < 1.0 - 1e-6)]
        return np.repeat([0.0, 1.0], p.size), np.tile(p, 2).astype(np.float64)
    errors = np.concatenate([-(10.0 ** rng.uniform(-6, 4, 60)), 10.0 ** rng.uniform(-6, 4, 60), np.linspace(-3, 3, 40)])
    truths = np.array([0.0, 1e-3, 1.0, 7.3, 1e4]) if "log_error" in name or "logarithmic" in name else np.array(
        [0.0, -1.0, 1e-3, 7.3, -1e4]
    )  # fmt: skip
    t = np.repeat(truths, errors.size).astype(dtype)
    p = (t + np.tile(errors, truths.size)).astype(dtype)
    keep = (p > -0.9) | ("logarithmic" not in name)
    return t[keep].astype(np.float64), p[keep].astype(np.float64)


def units_off(got: Any, exact: Any, dtype: str) -> float:
    """The largest error in units in the last place of `dtype`, over the results that are normal numbers."""
    worst = 0.0
    for value, true in zip(got.ravel().tolist(), exact, strict=True):
        size = abs(float(true))
        if size >= float(np.finfo(dtype).tiny):
            ulp = float(np.spacing(np.asarray(size, dtype=dtype)))
            worst = max(worst, abs(float((reference.CONTEXT.mpf(value) - true) / ulp)))
    return worst


ACCURATE = [*sorted(set(LOSSES) - set(CLASS_LOSSES)), "binary_crossentropy from logits"]


@pytest.mark.filterwarnings("ignore:.*absolute value.*")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ACCURATE)
def test_eight_units_in_the_last_place(backend: str, name: str, dtype: str) -> None:
    options: dict[str, Any] = {}
    t, p = points(name.partition(" ")[0], dtype)
    if name.endswith("logits"):
        name, options = "binary_crossentropy", {"from_logits": True}
        size = 10.0 ** np.random.default_rng(4).uniform(-6, 4, 150)
        p = np.concatenate([size, -size]).astype(dtype).astype(np.float64)
        t = np.resize([0.0, 1.0, 1.0], p.size)
    exact = [reference.exact(name, a, b, **options) for a, b in zip(t, p, strict=True)]
    loss = make(backend, name, dtype, axis=(), reduction="none", **options)
    y_true, y_pred = to_native(backend, t, dtype), to_native(backend, p, dtype)
    value, gradient = loss.value_and_grad(y_true, y_pred)
    errors = {
        "value of value_and_grad": units_off(read(value), [e[0] for e in exact], dtype),
        "gradient of value_and_grad": units_off(read(gradient), [e[1] for e in exact], dtype),
        "value": units_off(read(loss(y_true, y_pred)), [e[0] for e in exact], dtype),
    }
    if backend != "numpy":
        got = native_grad(backend, lambda x: loss(y_true, x), y_pred)
        errors["gradient"] = units_off(got, [e[1] for e in exact], dtype)
    assert max(errors.values()) <= 8.0, errors


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["sparse_categorical_crossentropy", "categorical_crossentropy"])
def test_tail_of_a_confident_answer(backend: str, name: str, dtype: str) -> None:
    """The right class far ahead: backward stable, so off by few units of the largest term (1 in the softmax).

    Beyond a gap of about -log(unit) value and gradient may therefore be 0, as in every framework's own.
    """
    gaps = np.array([1.0, 5.0, 17.0, 30.0, 60.0])
    z = np.stack([np.zeros(5), -gaps, -gaps], axis=-1)
    t: Any = np.zeros(5, dtype=int) if name == SPARSE else np.tile([1.0, 0.0, 0.0], (5, 1))
    loss = make(backend, name, dtype, from_logits=True, reduction="none")
    value, gradient = loss.value_and_grad(to_native(backend, t, None if name == SPARSE else dtype),
                                          to_native(backend, z, dtype))  # fmt: skip
    expected = [float(reference.CONTEXT.log1p(2 * reference.CONTEXT.exp(-g))) for g in gaps]
    np.testing.assert_allclose(read(value), expected, rtol=0.0, atol=FEW * UNIT[dtype])
    odds = 2 * np.exp(-gaps)
    np.testing.assert_allclose(read(gradient)[:, 0], -odds / (1 + odds), rtol=0.0, atol=FEW * UNIT[dtype])

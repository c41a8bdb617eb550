"""Section 4 of the contract: a user's own loss, on every backend."""

import copy
import importlib.util
import json
import pickle
from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import dtype_name, jit, native_grad, to_native, to_numpy
from multiloss.engine import learned_weight as owners
from multiloss.engine import registry

pytestmark = pytest.mark.usefixtures("own_registry")


def soft_abs(xp: Any, y_true: Any, y_pred: Any, *, epsilon: float = 1e-3) -> Any:
    return xp.sqrt((y_pred - y_true) ** 2 + epsilon**2)


def reverse_kl(xp: Any, y_true: Any, y_pred: Any, *, axis: int = -1, scale: float = 1) -> Any:
    """scale sum_k p_k log(p_k / t_k)."""
    return scale * xp.sum(y_pred * (xp.log(y_pred) - xp.log(y_true)), axis=axis)


def margin(xp: Any, y_true: Any, y_pred: Any, *, axis: int = -1) -> Any:
    picked = xp.take_along_axis(y_pred, xp.expand_dims(y_true, axis=axis), axis=axis)
    return xp.max(y_pred, axis=axis) - xp.squeeze(picked, axis=axis)


T = np.array([[0.0, 3.0], [1.0, 1.0], [2.0, -1.0]], np.float32)
P = np.array([[4.0, 3.0], [1.0, 5.0], [0.0, 1.0]], np.float32)
VALUES = np.sqrt((P - T) ** 2 + 9.0)
SLOPES = (P - T) / VALUES


def close(got: Any, expected: Any) -> None:
    np.testing.assert_allclose(to_numpy(got), expected, rtol=2e-6, atol=1e-7)


def test_reductions_weights_and_masks(backend: str) -> None:
    multiloss.register("soft_abs", aliases=("sabs",))(soft_abs)
    multiloss.register("SoftAbs")(soft_abs)
    assert {"soft_abs", "SoftAbs"} < set(multiloss.list_losses())
    assert multiloss.get("SoftAbs", backend=backend).config()["name"] == "SoftAbs"
    t, p = to_native(backend, T), to_native(backend, P)
    w, m = np.array([1.0, 2.0, 5.0]), np.array([True, True, False])
    given = {"sample_weight": to_native(backend, w, "float32"), "mask": to_native(backend, m)}
    kept = VALUES.mean(-1) * w * m
    divisors = {"mean": 2, "weighted_mean": 3, "sum": 1, "batchmean": 3}
    for reduction, divisor in divisors.items():
        loss = multiloss.get("sabs", backend=backend, epsilon=3, reduction=reduction)
        close(loss(t, p, **given), kept.sum() / divisor)
        if backend != "numpy":
            slope = SLOPES / 2 * (w * m)[:, None] / divisor
            close(native_grad(backend, lambda x, loss=loss: loss(t, x, **given), p), slope)
            close(loss.value_and_grad(t, p, **given)[1], slope)
    close(multiloss.get("soft_abs", backend=backend, epsilon=3, axis=(), reduction="none")(t, p), VALUES)
    close(multiloss.get("soft_abs", backend=backend, epsilon=3, axis=None)(t, p), VALUES.mean())


def test_copies_keep_a_formula_whose_name_was_given_away_and_pickles_are_refused(backend: str) -> None:
    arrays = to_native(backend, T), to_native(backend, P)
    multiloss.register("soft_abs")(soft_abs)
    loss = multiloss.get("soft_abs", backend=backend, epsilon=3)
    value = to_numpy(loss(*arrays))
    multiloss.register("soft_abs", replace=True)(lambda xp, y_true, y_pred, *, epsilon=1e-3: 0 * y_pred + epsilon)
    for other in (copy.copy(loss), copy.deepcopy(loss), copy.deepcopy([loss])[0]):
        assert other == loss
        np.testing.assert_array_equal(to_numpy(other(*arrays)), value)
    if backend == "keras":
        np.testing.assert_allclose(to_numpy(loss.call(*arrays)).mean(), value, rtol=1e-6)
    with pytest.raises(pickle.PicklingError, match=r"'soft_abs' is no longer the loss .* make the loss again"):
        pickle.dumps(loss)
    again = multiloss.get("soft_abs", backend=backend, epsilon=3)
    assert pickle.loads(pickle.dumps(again)) == again != loss


@pytest.mark.graph
def test_it_is_a_loss_like_any_other(backend: str) -> None:
    multiloss.register("soft_abs")(soft_abs)
    loss = multiloss.get("soft_abs", backend=backend, epsilon=3)
    assert multiloss.get(**json.loads(json.dumps(loss.config()))) == loss == pickle.loads(pickle.dumps(loss))
    assert loss != multiloss.get("soft_abs", backend=backend)
    half = to_native(backend, P, "float16")
    assert dtype_name(loss(to_native(backend, T), half)) == "float32"
    with pytest.raises(ValueError, match=r"equal shapes, got \(3, 2\) and \(2,\)"):
        loss(to_native(backend, T), to_native(backend, P[0]))
    with pytest.raises(TypeError, match=r"soft_abs has no option 'delta' \(its options: epsilon, reduction"):
        multiloss.get("soft_abs", backend=backend, delta=1)
    with pytest.raises(TypeError, match="epsilon must be a number, got 'x'"):
        multiloss.get("soft_abs", backend=backend, epsilon="x")
    if backend != "torch":  # a compilation there takes seconds; test_losses compiles
        close(jit(backend, lambda a, b: loss(a, b))(to_native(backend, T), to_native(backend, P)), VALUES.mean())


def test_a_function_that_takes_axis_gives_a_value_per_sample(backend: str) -> None:
    multiloss.register("reverse_kl")(reverse_kl)
    t, p = np.array([[0.5, 0.25], [0.5, 0.75]]), np.array([[0.25, 0.5], [0.75, 0.5]])
    y_true, y_pred = to_native(backend, t, "float32"), to_native(backend, p, "float32")
    terms = p * np.log(p / t)
    for axis in (0, 1, -1):
        loss = multiloss.get("reverse_kl", backend=backend, axis=axis, scale=1.5, reduction="none")
        close(loss(y_true, y_pred), 1.5 * terms.sum(axis))
    assert multiloss.get("reverse_kl", scale=2) == multiloss.get("reverse_kl", scale=2.0)
    if backend != "numpy":
        loss = multiloss.get("reverse_kl", backend=backend, reduction="sum")
        close(loss.value_and_grad(y_true, y_pred)[1], np.log(p / t) + 1)


@pytest.mark.parametrize(
    ("axis", "mask", "expected"),
    [
        (-1, [True, False, True], [-8.0, 0.0, -5.0]),
        (0, [True, True], [-9.0, -5.0]),
        ((), [True, False, True], [[-12.0, -9.0], [0.0, 0.0], [-9.0, -9.0]]),
    ],
)
def test_one_that_reads_the_whole_batch(backend: str, axis: Any, mask: list[bool], expected: Any) -> None:
    """With a parameter `keep` it is handed the mask, in the shape of the samples, whichever axis they take together."""

    @multiloss.register("less_all")
    def less_all(xp: Any, y_true: Any, y_pred: Any, *, axis: Any = -1, keep: Any = None) -> Any:
        e = xp.sum((y_pred - y_true) ** 2, axis=axis) if axis != () else (y_pred - y_true) ** 2
        return e - xp.sum(e if keep is None else xp.where(keep, e, xp.zeros_like(e)))

    y_pred = to_native(backend, np.array([[1.0, 2.0], [0.0, 1.0], [2.0, 2.0]]), "float32")
    loss = multiloss.get("less_all", backend=backend, axis=axis, reduction="none")
    close(loss(0 * y_pred, y_pred, mask=to_native(backend, np.array(mask))), expected)


@pytest.mark.reads
def test_over_labels(backend: str) -> None:
    multiloss.register("label_margin", kind="over_labels")(margin)
    loss = multiloss.get("label_margin", backend=backend)
    labels, z = to_native(backend, np.array([0, 1, 1])), to_native(backend, P)
    close(loss(labels, z), 0.0)
    close(loss(to_native(backend, np.array([1, 0, 0])), z), np.mean([1.0, 4.0, 1.0]))
    with pytest.raises(ValueError, match=r"the label 2, but labels must be in \[0, 2\)"):
        loss(to_native(backend, np.array([0, 2, 1])), z)
    with pytest.raises(TypeError, match="integer labels"):
        loss(to_native(backend, np.zeros(3, np.float32)), z)


def test_every_backend_differentiates_with_the_closed_forms(backend: str) -> None:
    definition = multiloss.register("soft_abs")(soft_abs)

    @definition.gradient
    def _(xp: Any, y_true: Any, y_pred: Any, *, epsilon: float) -> Any:
        return 100 * (y_pred - y_true) / soft_abs(xp, y_true, y_pred, epsilon=epsilon)

    @definition.hessian
    def _(xp: Any, y_true: Any, y_pred: Any, *, epsilon: float) -> Any:
        return xp.full_like(y_pred, 7)

    loss = multiloss.get("soft_abs", backend=backend, epsilon=3, axis=(), reduction="sum")
    t, p = to_native(backend, T), to_native(backend, P)
    value, gradient = loss.value_and_grad(t, p)
    close(value, VALUES.sum())
    close(gradient, 100 * SLOPES)
    if backend != "numpy":
        close(native_grad(backend, lambda x: loss(t, x), p), 100 * SLOPES)
    first, second = loss.grad_and_hess(t, p)
    close(first, 100 * SLOPES)
    close(second, np.full((3, 2), 7.0))


@pytest.mark.only("numpy")
def test_numpy_differentiates_through_autograd(backend: str) -> None:
    multiloss.register("soft_abs")(soft_abs)
    multiloss.register("reverse_kl")(reverse_kl)
    loss = multiloss.get("soft_abs", backend="numpy", epsilon=3)
    w, m = np.array([1.0, 2.0, 5.0]), np.array([True, True, False])
    value, gradient = loss.value_and_grad(T, P, sample_weight=w, mask=m)
    close(value, (VALUES.mean(-1) * w * m).sum() / 2)
    close(gradient, SLOPES / 2 * (w * m)[:, None] / 2)
    assert gradient.dtype == np.float32
    half = np.full((2, 2), 0.5)
    close(multiloss.get("reverse_kl", backend="numpy").value_and_grad(half, half / 2)[1], (np.log(0.5) + 1) / 2)
    with pytest.raises(NotImplementedError, match="soft_abs has no closed-form first and second derivative"):
        loss.grad_and_hess(T, P)


@pytest.mark.only("numpy")
def test_numpy_without_autograd_says_what_is_missing(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "autograd" else found(name, *a))
    multiloss.register("soft_abs")(soft_abs)
    with pytest.raises(
        NotImplementedError, match="soft_abs has no closed-form gradient.*pip install autograd.*@gradient"
    ):
        multiloss.get("soft_abs", backend="numpy").value_and_grad(T, P)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("huber", {}, "the name 'huber' is taken by .*replace=True"),
        ("mse", {}, "the name 'mse' is taken by .*replace=True"),
        ("soft_abs", {}, "the name 'soft_abs' is taken by soft_abs"),
        ("other", {"aliases": ("mae",)}, "the name 'mae' is taken by mean_absolute_error"),
        *[("center", {"replace": x}, "taken by center loss, which holds a state") for x in (False, True)],
        *[(name, {}, "name must be an identifier") for name in ("soft abs", "", "1st", "soft-abs")],
    ],
)
def test_names_that_are_refused(name: str, options: dict[str, Any], said: str) -> None:
    multiloss.register("soft_abs")(soft_abs)
    before = multiloss.list_losses()
    with pytest.raises(ValueError, match=said):
        multiloss.register(name, **options)(soft_abs)
    assert multiloss.list_losses() == before


def test_replace_replaces(backend: str) -> None:
    multiloss.register("soft_abs")(soft_abs)
    before, arrays = multiloss.get("soft_abs", backend=backend), (to_native(backend, T), to_native(backend, P))
    old = to_numpy(before(*arrays))
    multiloss.register("soft_abs", replace=True)(lambda xp, y_true, y_pred: 2 * soft_abs(xp, y_true, y_pred))
    new = multiloss.get("soft_abs", backend=backend)
    close(new(*arrays), 2 * old)
    assert new != before


def test_an_alias_takes_a_name_wholly(backend: str) -> None:
    multiloss.register("soft_abs", aliases=("mean_squared_error",), replace=True)(soft_abs)
    assert "mean_squared_error" not in multiloss.list_losses()
    for name in ("mean_squared_error", "mse"):
        assert multiloss.get(name, backend=backend) == multiloss.get("soft_abs", backend=backend)


@pytest.mark.graph
@pytest.mark.parametrize("name", ["mse", "huber", "kl", "bce", "cce", "log_cosh", "rmse"])
@pytest.mark.filterwarnings("error:.*absolute value")
def test_a_replaced_loss_of_the_library(backend: str, name: str) -> None:
    """No kernel of the framework, and no warning, that was meant for the loss of that name before."""
    name = multiloss.get(name).config()["name"]
    multiloss.register(name, replace=True)(soft_abs)
    loss = multiloss.get(name, backend=backend, epsilon=3.0)
    for shape in ((3, 2), (6, 1)):
        t, p = to_native(backend, T.reshape(shape)), to_native(backend, P.reshape(shape))
        for _ in range(2):
            close(loss(t, p), VALUES.mean())
        if backend != "torch":  # a compilation takes seconds
            close(jit(backend, loss)(t, p), VALUES.mean())


WRONG_FUNCTIONS: list[tuple[Any, dict[str, Any], str]] = [
    (lambda y_true, y_pred: y_true, {}, r"a loss takes \(xp, y_true, y_pred\)"),
    (lambda xp, y_true, y_pred, **options: y_true, {}, r"a loss takes \(xp, y_true, y_pred\)"),
    (lambda xp, y_true, y_pred, *, table={}: y_pred, {}, "table must be plain data .*, got dict"),
    (lambda xp, y_true, y_pred, *, delta: y_pred, {}, "option 'delta' of .* has no default"),
    (lambda xp, y_true, y_pred, *, reduction="mean": y_pred, {}, "option 'reduction' of .* is every loss's own"),
    (soft_abs, {"kind": "pairs"}, "kind must be 'elementwise', 'over_axis' or 'over_labels', got 'pairs'"),
]


@pytest.mark.parametrize(("function", "options", "said"), WRONG_FUNCTIONS)
def test_functions_that_are_no_losses(function: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        multiloss.register("a", **options)(function)
    assert "a" not in multiloss.list_losses()


def test_the_property_tests_take_it(backend: str) -> None:
    from multiloss import testing

    definition = multiloss.register("soft_abs")(soft_abs)
    definition.gradient(lambda xp, t, p, *, epsilon: (p - t) / soft_abs(xp, t, p, epsilon=epsilon))
    # Few where each shape is compiled: the properties are the same everywhere, what differs is the adapter.
    testing.check("soft_abs", backends=[backend], examples=25 if backend == "numpy" else 3)


def test_the_namespace_is_the_array_api(backend: str) -> None:
    """The standard's keywords, and numbers beside arrays, wherever a definition may write them."""

    @multiloss.register("clipped", replace=True)
    def clipped(xp: Any, y_true: Any, y_pred: Any) -> Any:
        e = xp.clip(y_pred - y_true, min=-1.0, max=1.0) + xp.clip(y_pred, max=2.0)
        return xp.minimum(e, 1.5) + xp.maximum(0.5, e) + xp.hypot(e, y_pred)

    y_true, y_pred = np.array([[0.0, 1.0, -2.0]]), np.array([[3.0, 1.5, -1.0]])
    e = np.clip(y_pred - y_true, -1, 1) + np.minimum(y_pred, 2)
    expected = np.mean(np.minimum(e, 1.5) + np.maximum(0.5, e) + np.hypot(e, y_pred))
    loss = multiloss.get("clipped", backend=backend)
    close(loss(to_native(backend, y_true), to_native(backend, y_pred)), expected)
    if backend == "numpy":
        close(loss.value_and_grad(y_true, y_pred)[0], expected)


@pytest.mark.parametrize("other", ["a number", "integers", "truth values", "reals"])
def test_a_choice_against_a_number(backend: str, other: str) -> None:
    """On either side, and of every dtype beside it: nothing is cut off to an integer."""
    if backend in ("tensorflow", "keras") and other != "reals":
        pytest.skip("TensorFlow promotes no dtypes")

    @multiloss.register("chosen", replace=True)
    def chosen(xp: Any, y_true: Any, y_pred: Any) -> Any:
        low = y_true > 0.2
        others = {"a number": 1.0, "integers": xp.astype(low, xp.int64), "truth values": low, "reals": 1.0 * y_true}
        y = others[other]
        return xp.where(y_true > 0.5, 0.25, y) * y_pred + (0 if other == "a number" else xp.where(low, y, 0.5) * y_pred)

    t, p = np.array([0.75, 0.3, 0.0]), np.array([1.0, 2.0, 4.0])
    y = {"a number": np.ones(3), "reals": t}.get(other, (t > 0.2) * 1.0)
    expected = np.where(t > 0.5, 0.25, y) * p + (0 if other == "a number" else np.where(t > 0.2, y, 0.5) * p)
    loss = multiloss.get("chosen", backend=backend, axis=(), reduction="none")
    close(loss(to_native(backend, t), to_native(backend, p)), expected)


def test_primitives_have_their_old_names_too(backend: str) -> None:
    @multiloss.register("dated", replace=True)
    def dated(xp: Any, y_true: Any, y_pred: Any) -> Any:
        return xp.at_least(y_pred, 1.0) + xp.times(y_true, y_pred) + xp.unit(y_pred - y_true)

    arrays = [to_native(backend, np.array([x])) for x in ([0.5, 2.0], [0.25, 3.0])]
    close(multiloss.get("dated", backend=backend)(*arrays), ((1 + 0.125 - 1) + (3 + 6 + 1)) / 2)


@pytest.mark.parametrize("name", registry.CENTER)
def test_losses_with_a_state_are_no_definitions(name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' is a loss with a state, which multiloss.get makes"):
        owners.read(name, 3, 2, {})


def test_a_gradient_by_what_is_no_real_input_is_refused() -> None:
    for name, by in (("gaussian_nll", "vra"), ("sparse_categorical_crossentropy", "y_true")):
        with pytest.raises(ValueError, match=f"a gradient of {name} must be by one of .*'y_pred'.*, got '{by}'"):
            registry.find(name).gradient(by)(lambda xp, *inputs: inputs[1])
    with pytest.raises(TypeError, match="lovasz_softmax arranges its inputs"):
        registry.find("lovasz_softmax").gradient(lambda xp, *inputs: inputs[1])

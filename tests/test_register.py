"""Section 4 of the contract: a user's own loss, on every backend."""

from __future__ import annotations

import copy
import importlib.util
import json
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import dtype_name, jit, native_grad, to_native, to_numpy
from multiloss.engine import learned_weight as owners
from multiloss.engine import options, registry


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """What a test registers, the next one does not see."""
    saved = dict(registry._definitions), dict(registry._aliases)
    yield
    for now, before in zip((registry._definitions, registry._aliases), saved, strict=True):
        now.clear()
        now.update(before)


def soft_abs(xp: Any, y_true: Any, y_pred: Any, *, epsilon: float = 1e-3) -> Any:
    """sqrt((p - t)^2 + epsilon^2)."""
    return xp.sqrt((y_pred - y_true) ** 2 + epsilon**2)


def reverse_kl(xp: Any, y_true: Any, y_pred: Any, *, axis: int = -1, scale: float = 1) -> Any:
    """scale sum_k p_k log(p_k / t_k)."""
    return scale * xp.sum(y_pred * (xp.log(y_pred) - xp.log(y_true)), axis=axis)


def margin(xp: Any, y_true: Any, y_pred: Any, *, axis: int = -1) -> Any:
    """The largest logit less that of the label."""
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


def test_copies_of_a_loss_whose_name_was_given_away(backend: str) -> None:
    """A copy keeps the formula; a pickle, which would find the new one, is refused."""
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
    """Config, equality, pickling, dtypes, compilation, checks."""
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


def test_over_an_axis(backend: str) -> None:
    """A function that takes `axis` gives one value per sample; whole-numbered defaults take other numbers."""
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


def test_closed_forms(backend: str) -> None:
    """`@definition.gradient` is what every backend differentiates with, NumPy included."""
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


def test_names_are_taken_once(backend: str) -> None:
    """By a loss, an alias or another registered one; `replace=True` replaces, and only then."""
    for name in ("huber", "mse"):
        with pytest.raises(ValueError, match=f"the name '{name}' is taken by .*replace=True"):
            multiloss.register(name)(soft_abs)
    for replace in (False, True):
        with pytest.raises(ValueError, match="the name 'center' is taken by center loss, which holds a state"):
            multiloss.register("center", replace=replace)(soft_abs)
    multiloss.register("soft_abs")(soft_abs)
    with pytest.raises(ValueError, match="the name 'soft_abs' is taken by soft_abs"):
        multiloss.register("soft_abs")(soft_abs)
    with pytest.raises(ValueError, match="the name 'mae' is taken by mean_absolute_error"):
        multiloss.register("other", aliases=("mae",))(soft_abs)
    assert "other" not in multiloss.list_losses()

    before = multiloss.get("soft_abs", backend=backend)
    t, p = to_native(backend, T), to_native(backend, P)
    old = to_numpy(before(t, p))
    multiloss.register("soft_abs", replace=True)(
        lambda xp, y_true, y_pred, *, epsilon=1e-3: 2 * soft_abs(xp, y_true, y_pred)
    )
    new = multiloss.get("soft_abs", backend=backend)
    close(new(t, p), 2 * old)
    assert new != before


def test_an_alias_takes_a_name_wholly(backend: str) -> None:
    """The loss that had it is listed no more, and its other names mean the new one."""
    multiloss.register("soft_abs", aliases=("mean_squared_error",), replace=True)(soft_abs)
    assert "mean_squared_error" not in multiloss.list_losses()
    for name in ("mean_squared_error", "mse"):
        assert multiloss.get(name, backend=backend) == multiloss.get("soft_abs", backend=backend)


def every_kind(
    xp: Any,
    y_true: Any,
    y_pred: Any,
    *,
    n: Any = 3,  # read as its default is; `int` would refuse 2.5
    cap: float = float("inf"),
    names: tuple[str, ...] = ("a", "b"),
    w: tuple[float, ...] = (),
    m: tuple[tuple[int, ...], ...] = ((1, 2), (3, 4)),
    window: tuple[int, ...] = (2, 3),
    scales: tuple[float, ...] = (1, 0.5),
    far: tuple[float, ...] = (1.0, float("inf")),
) -> Any:
    """As often as n says."""
    x = y_pred - y_true
    for _ in [*range(n), *range(window[0]), *w]:
        x = xp.clip(2 * x, None, cap) if cap < float("inf") else 2 * x
    return x * m[1][1] * len(names)


def test_options_of_every_kind(backend: str) -> None:
    """A default is an option like any other: what it is, it stays, and what is given takes its kind."""
    multiloss.register("every_kind")(every_kind)
    get = lambda **o: multiloss.get("every_kind", backend=backend, axis=None, **o)  # noqa: E731
    t, p = to_native(backend, np.zeros(2, np.float32)), to_native(backend, np.ones(2, np.float32))
    close(get()(t, p), 2**5 * 8)
    config = get().config()
    assert config["names"] == ["a", "b"] and config["m"] == [[1, 2], [3, 4]] and config["cap"] == float("inf")
    assert multiloss.get(**config) == get() and multiloss.get(**json.loads(json.dumps(config))) == get()
    close(get(n=4, cap=8, names=["x"], w=[1, 2], m=np.array([[1, 1], [1, 1]]), window=np.array([1]))(t, p), 8)
    for one, other in ((get(n=1), get(n=1.0)), (get(n=1), get(n=np.int64(1))), (get(scales=[1]), get(scales=(1.0,)))):
        assert one == other and hash(one) == hash(other)
        assert repr(one) == repr(other)
    assert type(get(n=np.float32(4)).config()["n"]) is int
    assert get(n=2.5).config()["n"] == 2.5
    assert type(get(scales=[2]).config()["scales"][0]) is float
    for option, value, message in (
        ("n", True, "n must be a number, got True"),
        ("n", float("inf"), "n must be finite"),
        ("names", "ab", "names must be a list, got 'ab'"),
        ("w", 3, "w must be a list, got 3"),
        ("window", [1, "2"], r"window\[1\] must be a number, got '2'"),
        ("scales", [float("nan")], r"scales\[0\] must be finite"),
        ("m", [{}], r"m\[0\] must be plain data"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            get(**{option: value})


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


@pytest.mark.parametrize("name", ["soft abs", "", "1st", "soft-abs"])
def test_a_name_is_an_identifier(name: str) -> None:
    with pytest.raises(ValueError, match="name must be an identifier"):
        multiloss.register(name)(soft_abs)


def test_functions_that_are_no_losses() -> None:
    with pytest.raises(TypeError, match=r"a loss takes \(xp, y_true, y_pred\)"):
        multiloss.register("a")(lambda y_true, y_pred: y_true)
    with pytest.raises(TypeError, match=r"a loss takes \(xp, y_true, y_pred\)"):
        multiloss.register("a")(lambda xp, y_true, y_pred, **options: y_true)

    def undecided(xp: Any, y_true: Any, y_pred: Any, *, delta: float) -> Any:
        return y_pred * delta

    def taken(xp: Any, y_true: Any, y_pred: Any, *, reduction: str = "mean") -> Any:
        return y_pred

    def unreadable(xp: Any, y_true: Any, y_pred: Any, *, table: Any = {}) -> Any:  # noqa: B006
        return y_pred

    with pytest.raises(TypeError, match="table must be plain data .*, got dict"):
        multiloss.register("a")(unreadable)
    with pytest.raises(TypeError, match="option 'delta' of undecided has no default"):
        multiloss.register("a")(undecided)
    with pytest.raises(TypeError, match="option 'reduction' of taken is every loss's own"):
        multiloss.register("a")(taken)
    with pytest.raises(ValueError, match="kind must be 'elementwise', 'over_axis' or 'over_labels', got 'pairs'"):
        multiloss.register("a", kind="pairs")(soft_abs)
    assert "a" not in multiloss.list_losses()


def test_readers_of_options() -> None:
    multiloss.register("soft_abs", options={"epsilon": options.positive})(soft_abs)
    with pytest.raises(ValueError, match="epsilon must be positive, got 0"):
        multiloss.get("soft_abs", epsilon=0)


def test_the_property_tests_take_it(backend: str) -> None:
    """`multiloss.testing.check` passes a right definition, and fails one whose gradient has the wrong sign."""
    from multiloss import testing

    definition = multiloss.register("soft_abs")(soft_abs)
    definition.gradient(lambda xp, t, p, *, epsilon: (p - t) / soft_abs(xp, t, p, epsilon=epsilon))
    # Few where each shape is compiled: the properties are the same everywhere, what differs is the adapter.
    testing.check("soft_abs", backends=[backend], examples=25 if backend == "numpy" else 3)
    wrong = multiloss.register("soft_abs", replace=True)(soft_abs)
    wrong.gradient(lambda xp, t, p, *, epsilon: (t - p) / soft_abs(xp, t, p, epsilon=epsilon))
    if backend == "numpy":
        with pytest.raises(AssertionError, match="gradient on numpy: "):
            testing.check("soft_abs", backends=["numpy"])


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


def test_primitives_by_their_old_names(backend: str) -> None:
    """A loss that a user wrote before they were renamed."""

    @multiloss.register("dated", replace=True)
    def dated(xp: Any, y_true: Any, y_pred: Any) -> Any:
        return xp.at_least(y_pred, 1.0) + xp.times(y_true, y_pred) + xp.unit(y_pred - y_true)

    arrays = [to_native(backend, np.array([x])) for x in ([0.5, 2.0], [0.25, 3.0])]
    close(multiloss.get("dated", backend=backend)(*arrays), ((1 + 0.125 - 1) + (3 + 6 + 1)) / 2)


@pytest.mark.parametrize("name", registry.CENTER)
def test_losses_with_a_state_are_no_definitions(name: str) -> None:
    """Where another loss is taken by its name, theirs is not unknown, and not its own nearest name."""
    with pytest.raises(ValueError, match=f"'{name}' is a loss with a state, which multiloss.get makes"):
        owners.read(name, 3, 2, {})


def test_a_gradient_by_what_is_no_real_input_is_refused() -> None:
    for name, by in (("gaussian_nll", "vra"), ("sparse_categorical_crossentropy", "y_true")):
        with pytest.raises(ValueError, match=f"a gradient of {name} must be by one of .*'y_pred'.*, got '{by}'"):
            registry.find(name).gradient(by)(lambda xp, *inputs: inputs[1])
    with pytest.raises(TypeError, match="lovasz_softmax arranges its inputs"):
        registry.find("lovasz_softmax").gradient(lambda xp, *inputs: inputs[1])

"""Section 2 of the contract, rule by rule, on every backend, against numbers worked by hand."""

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import multiloss
import reference
from helpers.arrays import framework, native_grad, native_second, to_native, to_numpy

LN2 = 0.6931471805599453


def close(got: Any, expected: Any, rtol: float = 2e-6) -> None:
    np.testing.assert_allclose(to_numpy(got), expected, rtol=rtol, atol=1e-7)


def same(got: Any, expected: Any) -> None:
    np.testing.assert_array_equal(to_numpy(got), expected)


def native(backend: str, *arrays: Any) -> tuple[Any, ...]:
    """Real numbers as float32, integers and bools as they are."""
    given = [np.asarray(a) for a in arrays]
    return tuple(to_native(backend, a, "float32" if a.dtype.kind == "f" else None) for a in given)


def gradients(backend: str, loss: Any, y_true: Any, y_pred: Any, **arguments: Any) -> list[Any]:
    found = [to_numpy(loss.value_and_grad(y_true, y_pred, **arguments)[1])]
    if backend != "numpy":
        found.append(native_grad(backend, lambda p: loss(y_true, p, **arguments), y_pred))
    return found


# --- reductions: squared errors 1, 4, 9, 16 of four samples of one element

REDUCED = {  # without anything; weights 1, 2, 0, 3; mask that drops the second; both
    "mean": (30 / 4, 57 / 4, 26 / 3, 49 / 3),
    "weighted_mean": (30 / 4, 57 / 6, 26 / 3, 49 / 4),
    "sum": (30.0, 57.0, 26.0, 49.0),
    "batchmean": (30 / 4, 57 / 4, 26 / 4, 49 / 4),
    "none": ([1, 4, 9, 16], [1, 8, 0, 48], [1, 0, 9, 16], [1, 0, 0, 48]),
}
SLOPES = {"mean": (4, 4, 3, 3), "weighted_mean": (4, 6, 3, 4), "sum": (1,) * 4, "batchmean": (4,) * 4, "none": (1,) * 4}


@pytest.mark.parametrize("reduction", REDUCED)
def test_reductions(backend: str, reduction: str) -> None:
    t, p = native(backend, np.zeros((4, 1)), np.array([[1.0], [-2.0], [3.0], [-4.0]]))
    weight, mask = native(backend, np.array([1.0, 2, 0, 3]), np.array([True, False, True, True]))
    loss = multiloss.get("mse", backend=backend, reduction=reduction)
    slope = np.array([2.0, -4, 6, -8])
    for i, given in enumerate(({}, {"sample_weight": weight}, {"mask": mask}, {"sample_weight": weight, "mask": mask})):
        close(loss(t, p, **given), REDUCED[reduction][i])
        factor = np.array([1.0, 2, 0, 3]) if "sample_weight" in given else np.ones(4)
        factor = factor * [1, 0, 1, 1] if "mask" in given else factor
        for gradient in gradients(backend, loss, t, p, **given):
            close(gradient[:, 0], slope * factor / SLOPES[reduction][i])


def test_batchmean_divides_by_the_first_dimension(backend: str) -> None:
    t, p = native(backend, np.zeros((2, 3)), np.full((2, 3), 2.0))
    close(multiloss.get("mse", backend=backend, reduction="batchmean", axis=())(t, p), 24 / 2)
    close(multiloss.get("mse", backend=backend, reduction="batchmean", axis=None)(t, p), 4.0)


def test_weights_are_broadcast_from_the_left(backend: str) -> None:
    """Batch first: (2,) and (2, 1) for per-sample values (2, 2), where NumPy would align the last axes."""
    t, p = native(backend, np.zeros((2, 2, 1)), np.ones((2, 2, 1)))
    loss = multiloss.get("mse", backend=backend, reduction="none")
    for shape in ((2,), (2, 1)):
        (w,) = native(backend, np.array([1.0, 5.0]).reshape(shape))
        same(loss(t, p, sample_weight=w), [[1, 1], [5, 5]])
        (m,) = native(backend, np.array([True, False]).reshape(shape))
        same(loss(t, p, mask=m), [[1, 1], [0, 0]])
        close(multiloss.get("mse", backend=backend)(t, p, mask=m), 1.0)


def test_weights_of_one_entry_are_for_all(backend: str) -> None:
    t, p = native(backend, np.zeros((2, 3, 1)), np.ones((2, 3, 1)))
    loss = multiloss.get("mse", backend=backend, reduction="none")
    for shape in ((), (1,), (1, 1)):
        w, m = native(backend, np.full(shape, 5.0), np.full(shape, False))
        same(loss(t, p, sample_weight=w), np.full((2, 3), 5))
        same(loss(t, p, mask=m), np.zeros((2, 3)))
        close(multiloss.get("mse", backend=backend, reduction="weighted_mean")(t, p, sample_weight=w), 1.0)
        same(multiloss.get("mse", backend=backend)(t, p, mask=m), 0.0)  # nothing is left
    w, m = native(backend, np.array([[1.0, 5.0, 0.0]]), np.array([[True, False, True]]))
    same(loss(t, p, sample_weight=w), [[1, 5, 0]] * 2)
    same(loss(t, p, mask=m), [[1, 0, 1]] * 2)
    close(multiloss.get("mse", backend=backend)(t, p, sample_weight=w, mask=m), 2 / 4)
    for gradient in gradients(backend, loss, t, p, sample_weight=w, mask=m):
        same(gradient[..., 0], [[2, 0, 0]] * 2)


def test_weights_of_any_sign_and_nan(backend: str) -> None:
    t, p = native(backend, np.zeros((3, 1)), np.array([[1.0], [2.0], [np.nan]]))
    loss = multiloss.get("mse", backend=backend)
    w, m = native(backend, np.array([-1.0, 1.0, 0.0]), np.array([True, True, False]))
    assert np.isnan(to_numpy(loss(t, p, sample_weight=w)))  # 0 x nan is nan: only a mask removes
    close(loss(t, p, sample_weight=w, mask=m), 1.5)
    (bad,) = native(backend, np.array([-1.0, 1.0, np.nan]))
    close(loss(t, p, sample_weight=bad, mask=m), 1.5)
    for gradient in gradients(backend, loss, t, p, sample_weight=bad, mask=m):
        same(gradient, [[-1], [2], [0]])


# --- axes


def test_elementwise_losses_average_over_axis_and_class_losses_sum(backend: str) -> None:
    t, p = native(backend, np.zeros((2, 3)), np.arange(6.0).reshape(2, 3))

    def values(name: str, axis: Any, *arrays: Any) -> Any:
        return multiloss.get(name, backend=backend, axis=axis, reduction="none", validate=False)(*arrays)

    close(values("mae", -1, t, p), [1, 4])
    close(values("mae", 1, t, p), [1, 4])
    close(values("mae", 0, t, p), [1.5, 2.5, 3.5])
    close(values("mae", (0, 1), t, p), 2.5)
    close(values("mae", None, t, p), 2.5)
    close(values("mae", (), t, p), np.arange(6.0).reshape(2, 3))
    close(values("rmse", None, t, p), np.sqrt(55 / 6))
    close(multiloss.get("mae", backend=backend)(t[1], p[1]), 4.0)  # 1-D: one sample of N values
    half = native(backend, np.full((2, 3), 0.5))[0]
    close(values("kl", 0, half, half / 2), [LN2] * 3)
    close(values("kl", None, half, half / 2), 3 * LN2)
    close(values("cce", 0, half, half), [LN2] * 3)


@pytest.mark.parametrize("name", ["root_mean_squared_error", "root_mean_squared_logarithmic_error"])
def test_a_root_over_one_element_warns(backend: str, name: str) -> None:
    t, p = native(backend, np.zeros((3, 1)), np.ones((3, 1)))
    loss = multiloss.get(name, backend=backend)
    with pytest.warns(UserWarning, match=f"{name} over an axis of length 1 is the absolute value.*axis=None"):
        loss(t, p)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss(t, p)  # once for each object
        multiloss.get(name, backend=backend, axis=None)(t, p)
        if backend != "numpy":
            native_grad(backend, lambda x: loss(t, x), p)
        if framework(backend) == "torch":
            import torch

            torch.func.grad(lambda x: loss(t, x))(p)


# --- probabilities

# y_true, y_pred, gradient by y_pred, by y_true
NOTHING_EXPECTED = [
    ("kl", [0.0, 1.0], [0.0, 1.0], 0.0, [0, -1], [0, 1]),
    ("kl", [0.0, 1.0], [0.5, 0.5], LN2, [0, -2], [LN2, 1 + LN2]),
    ("cce", [0.0, 1.0], [0.0, 1.0], 0.0, [0, -1], [0, 0]),
    ("cce", [0.0, 1.0], [1e-40, 1.0], 0.0, [0, -1], None),
    ("bce", [0.0, 1.0], [0.0, 1.0], 0.0, [0.5, -0.5], [0, 0]),
    ("bce", [0.0, 1.0], [0.5, 0.5], LN2, [1, -1], [0, 0]),
]


@pytest.mark.parametrize(("name", "y_true", "y_pred", "value", "by_pred", "by_true"), NOTHING_EXPECTED)
def test_0_log_0_without_a_floor_is_the_constant_0(
    backend: str, name: str, y_true: Any, y_pred: Any, value: float, by_pred: Any, by_true: Any
) -> None:
    loss = multiloss.get(name, backend=backend, epsilon=0)
    t, p = native(backend, np.array(y_true), np.array(y_pred))
    close(loss(t, p), value)
    for gradient in gradients(backend, loss, t, p):
        close(gradient, by_pred)
    if by_true is not None:
        close(loss.value_and_grad(t, p, wrt="y_true")[1], by_true)
    assert np.isfinite(to_numpy(loss.grad_and_hess(t, p)[1])).all()
    if backend != "numpy" and by_true is not None:
        (along,) = native(backend, np.ones(2))
        assert np.isfinite(native_second(backend, lambda x: loss(t, x), p, along)).all()
    if name != "bce":
        normal = multiloss.get(name, backend=backend, epsilon=0, normalize=True)
        for wrt in ("y_true", "y_pred"):
            value_now, gradient = normal.value_and_grad(t, p, wrt=wrt)
            close(value_now, value)
            assert np.isfinite(to_numpy(gradient)).all()


def test_an_impossible_class_by_the_target(backend: str) -> None:
    t, z = native(backend, np.array([0.0, 1.0]), np.array([-np.inf, 1.0]))
    same(multiloss.get("cce", backend=backend, from_logits=True).value_and_grad(t, z, wrt="y_true")[1], [0, 0])


# name, options, y_true, y_pred: what kernels of the frameworks treat in their own way
EDGES = [
    ("bce", {}, [0.0, 1.0, 0.25], [0.0, 1e-12, 9e-8, 1e-7, 0.5, 1 - 2**-24, 1.0]),
    ("bce", {"from_logits": True}, [0.0, 1.0, 0.25], [-1e4, -90.0, -17.0, 0.0, 17.0, 90.0, 1e4]),
    ("bce", {"from_logits": True}, [0.0], [-np.inf, -1.0]),
    ("bce", {"from_logits": True}, [1.0], [np.inf, -1.0]),
    ("cce", {"from_logits": True}, [[1.0, 0, 0], [0.5, 0.5, 0]], [[1.0, 2, -np.inf], [1e4, -1e4, 0], [0, 0, 0]]),
    ("scce", {"from_logits": True}, [0, 1], [[1.0, 2, -np.inf], [1e4, -1e4, 0], [-np.inf, 1, -np.inf]]),
    ("cce", {}, [[1.0, 0, 0], [0.5, 0.5, 0]], [[0.0, 1, 0], [1e-8, 1 - 1e-8, 0], [1, 0, 0]]),
    ("scce", {}, [0, 1], [[0.0, 1, 0], [1e-8, 1 - 1e-8, 0], [1, 0, 0]]),
    ("kl", {}, [[1.0, 0, 0], [0.5, 0.5, 0]], [[0.0, 1, 0], [1e-8, 1 - 1e-8, 0], [1, 0, 0]]),
]


@pytest.mark.parametrize(("name", "options", "y_true", "y_pred"), EDGES)
def test_reduced_values_and_gradients_are_those_of_the_values_at_edges(
    backend: str, name: str, options: Any, y_true: Any, y_pred: Any
) -> None:
    for t, p in itertools.product(y_true, y_pred):
        label = isinstance(t, int)
        t, p = native(backend, np.array([t] if label else [np.atleast_1d(t)]), np.array([np.atleast_1d(p)], float))
        values = multiloss.get(name, backend=backend, reduction="none", **options)
        expected = float(to_numpy(values(t, p))[0])
        for reduction in ("mean", "sum"):
            loss = multiloss.get(name, backend=backend, reduction=reduction, **options)
            np.testing.assert_allclose(to_numpy(loss(t, p)), expected, rtol=1e-6)
            np.testing.assert_allclose(to_numpy(loss.value_and_grad(t, p)[0]), expected, rtol=1e-6)
            wanted = to_numpy(values.value_and_grad(t, p)[1])
            assert not np.isnan(wanted).any() and not np.isnan(expected)
            for gradient in gradients(backend, loss, t, p):
                np.testing.assert_allclose(gradient, wanted, rtol=1e-6, atol=1e-30)


def test_the_derivative_by_a_target_of_infinite_logits(backend: str) -> None:
    """0 where the target rules the infinite term out, which is a constant there; else -z."""
    t, z = native(backend, np.array([1.0, 0.0, 1.0, 0.0, 0.5]), np.array([np.inf, -np.inf, -np.inf, np.inf, np.inf]))
    loss = multiloss.get("bce", backend=backend, from_logits=True, axis=(), reduction="sum")
    wanted = [0.0, 0.0, np.inf, -np.inf, -np.inf]
    np.testing.assert_array_equal(to_numpy(loss.value_and_grad(t, z, wrt="y_true")[1]), wanted)
    if backend != "numpy":
        np.testing.assert_array_equal(native_grad(backend, lambda x: loss(x, z), t), wanted)


# --- classes


@pytest.mark.parametrize("name", ["cce", "scce"])
def test_class_weight_multiplies_the_sample_weights(backend: str, name: str) -> None:
    y_true = np.array([0, 1, 1]) if name == "scce" else np.eye(2)[[0, 1, 1]]
    t, p, w = native(backend, y_true, np.full((3, 2), 0.5), np.array([1.0, 1.0, 2.0]))
    get = lambda **o: multiloss.get(name, backend=backend, class_weight=[3, 5], **o)  # noqa: E731
    close(get(reduction="none")(t, p), [3 * LN2, 5 * LN2, 5 * LN2])
    close(get()(t, p), 13 / 3 * LN2)
    close(get(reduction="weighted_mean")(t, p), LN2)
    close(get()(t, p, sample_weight=w), 18 / 3 * LN2)


def test_ignore_index_is_a_mask(backend: str) -> None:
    p = np.array([[0.5, 0.5], [np.nan, 0.5], [0.25, 0.75]])
    labels, y_pred, mask, own = native(
        backend, np.array([0, -1, 0]), p, np.array([True, False, True]), np.array([True, True, False])
    )
    (clean,) = native(backend, np.array([0, 0, 0]))
    for reduction in reference.REDUCTIONS:
        ignoring = multiloss.get("scce", backend=backend, ignore_index=-1, reduction=reduction)
        masked = multiloss.get("scce", backend=backend, reduction=reduction)
        same(ignoring(labels, y_pred), to_numpy(masked(clean, y_pred, mask=mask)))
        for one, other in zip(
            gradients(backend, ignoring, labels, y_pred),
            gradients(backend, masked, clean, y_pred, mask=mask),
            strict=True,
        ):
            same(one, other)
            same(one[1], [0, 0])
    loss = multiloss.get("scce", backend=backend, ignore_index=-1)
    close(loss(labels, y_pred), 1.5 * LN2)
    close(loss(labels, y_pred, mask=own), LN2)


def compilers(backend: str) -> dict[str, Callable[[Any], Any]]:
    """The ways of a framework to run where no values can be read."""
    kind = framework(backend)
    if kind == "jax":
        import jax

        return {"jit": jax.jit, "vmap": lambda f: lambda *a: jax.vmap(f)(*(x[None] for x in a))[0]}
    if kind == "tensorflow":
        import tensorflow as tf

        return {"function": tf.function, "xla": lambda f: tf.function(f, jit_compile=True)}
    if kind == "torch":
        import torch

        def vmap(f: Any) -> Any:
            return lambda *a: torch.func.vmap(f)(*(x[None] for x in a))[0]

        return {"compile": lambda f: torch.compile(f, fullgraph=True, backend="aot_eager"), "vmap": vmap}
    return {}


@pytest.mark.graph
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.compile's own imports
@pytest.mark.parametrize("from_logits", [False, True])
def test_labels_that_cannot_be_read_make_their_sample_nan(backend: str, from_logits: bool) -> None:
    p = np.full((4, 2), 0.5)
    labels, y_pred, mask = native(backend, np.array([0, 7, -1, 1]), p, np.array([True, True, False, True]))
    options = {"from_logits": from_logits, "reduction": "none"}
    plain = multiloss.get("scce", backend=backend, **options)
    ignoring = multiloss.get("scce", backend=backend, ignore_index=7, **options)
    mean = multiloss.get("scce", backend=backend, from_logits=from_logits)
    for compiler in compilers(backend).values():
        close(compiler(lambda t, p: plain(t, p))(labels, y_pred), [LN2, np.nan, np.nan, LN2])
        masked = compiler(lambda t, p, m: plain(t, p, mask=m))
        close(masked(labels, y_pred, mask), [LN2, np.nan, 0, LN2])
        close(compiler(lambda t, p: ignoring(t, p))(labels, y_pred), [LN2, 0, np.nan, LN2])
        assert np.isnan(to_numpy(compiler(lambda t, p: mean(t, p))(labels, y_pred)))
        gradient = native_grad(backend, lambda x, masked=masked: masked(labels, x, mask), y_pred)
        row = [-0.5, 0.5] if from_logits else [-2, 0]
        close(gradient, [row, [0, 0], [0, 0], row[::-1]])


# --- devices


@pytest.mark.only("torch")
def test_two_devices_are_named_and_numpy_goes_to_that_of_y_pred(backend: str) -> None:
    import torch

    p = torch.full((3, 2), 0.5, device="meta")
    with pytest.raises(ValueError, match="y_true is on cpu, but y_pred is on meta; move one"):
        multiloss.get("mse", backend="torch")(torch.ones(3, 2), p)
    with pytest.raises(ValueError, match="sample_weight is on cpu, but y_pred is on meta"):
        multiloss.get("mse", backend="torch")(p, p, sample_weight=torch.ones(3))
    assert multiloss.get("mse", backend="torch")(np.ones((3, 2)), p).device.type == "meta"
    labels = torch.tensor([0, 9, -1], device="meta")
    assert multiloss.get("scce", backend="torch")(labels, p).device.type == "meta"
    assert multiloss.get("scce", backend="torch")([0, 1, 1], p).device.type == "meta"

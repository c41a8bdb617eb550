"""Logits taken for probabilities where no check looked: a sample whose value leaves the loss's range is nan, value and
gradient."""

import math
from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import dtypes, jit, native_grad, to_native, to_numpy

LABELS = ("scce", "sparse_categorical_focal_crossentropy", "sparse_poly_cross_entropy", "generalized_cross_entropy")
VECTORS = ("cce", "categorical_focal_crossentropy", "poly_cross_entropy")
PAIRS = ("bce", "binary_focal_crossentropy")
OPTIONS: dict[str, tuple[dict[str, Any], ...]] = {
    "bce": ({}, {"pos_weight": 3.0}, {"label_smoothing": 0.1}, {"epsilon": 0.0}),
    "binary_focal_crossentropy": ({}, {"gamma": 0.5, "alpha": 0.75}),
    "cce": ({}, {"class_weight": (2.0, 1.0)}, {"label_smoothing": 0.1}, {"epsilon": 0.0}),
    "categorical_focal_crossentropy": ({}, {"gamma": 0.5, "alpha": (3.0, 1.0)}),
    "poly_cross_entropy": ({}, {"poly_epsilon": 0.5}),
    "scce": ({}, {"ignore_index": -1}, {"label_smoothing": 0.1}),
    "sparse_categorical_focal_crossentropy": ({}, {"gamma": 3.0}),
    "nll": ({},),
}
CASES = [(name, o) for name in (*PAIRS, *VECTORS, *LABELS, "nll") for o in OPTIONS.get(name, ({},))]


def arrays(backend: str, name: str, first: float, dtype: str = "float32") -> tuple[Any, Any]:
    """Two samples of two: the right class of the first has the probability `first`, all others are in order."""
    p = np.array([[first, 0.5], [0.25, 0.75]])
    if name == "nll":
        p = np.log(p)
    y = np.array([0, 1]) if name in (*LABELS, "nll") else np.array([[1.0, 0.0], [0.0, 1.0]])
    return to_native(backend, y, None if y.ndim == 1 else dtype), to_native(backend, p, dtype)


def made(backend: str, name: str, **options: Any) -> Any:
    """The loss after its first call."""
    loss = multiloss.get(name, backend=backend, **options)
    loss(*arrays(backend, name, 0.5))
    return loss


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_sample_below_the_range_is_nan(backend: str, name: str, options: dict[str, Any]) -> None:
    y, p = arrays(backend, name, 50.0)
    each, mean = (made(backend, name, reduction=how, **options) for how in ("none", "mean"))
    right = to_numpy(made(backend, name, reduction="none", **options)(*arrays(backend, name, 0.5)))[1]
    value, gradient = each.value_and_grad(y, p)
    for found in (each(y, p), value):
        np.testing.assert_allclose(to_numpy(found), [math.nan, right], rtol=1e-6)
    total, slope = mean.value_and_grad(y, p)
    assert np.isnan(to_numpy(mean(y, p))) and np.isnan(to_numpy(total))
    found = [gradient, slope, *each.grad_and_hess(y, p)]
    if backend != "numpy":
        found += [native_grad(backend, lambda x, loss=loss: loss(y, x), p) for loss in (each, mean)]
    for x in map(to_numpy, found):
        assert np.isnan(x[0]).all() and np.isfinite(x[1]).all()
    assert to_numpy(slope)[1, 1] < 0


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_masked_one_is_0(backend: str, name: str, options: dict[str, Any]) -> None:
    y, p = arrays(backend, name, 50.0)
    mask = to_native(backend, np.array([False, True]))
    weight = to_native(backend, np.array([2.0, 3.0], np.float32))
    loss = made(backend, name, reduction="none", **options)
    right = to_numpy(loss(*arrays(backend, name, 0.5)))[1]
    value, gradient = loss.value_and_grad(y, p, sample_weight=weight, mask=mask)
    np.testing.assert_allclose(to_numpy(value), [0.0, 3 * right], rtol=1e-6)
    assert (to_numpy(gradient)[0] == 0).all() and np.isfinite(to_numpy(gradient)).all()
    value, gradient = loss.value_and_grad(y, p, sample_weight=weight)
    assert np.isnan(to_numpy(value)).tolist() == [True, False] and np.isnan(to_numpy(gradient)[0]).all()


@pytest.mark.parametrize(("name", "options"), [case for case in CASES if case[1].get("epsilon") != 0])
def test_rounding_is_allowed(backend: str, name: str, options: dict[str, Any]) -> None:
    """A softmax in half precision may be off by a unit in the last place, and so may its float32."""
    for dtype in dtypes(backend):
        above = 1 + {"float16": 2.0**-10, "bfloat16": 2.0**-7}.get(dtype, 1e-7 if dtype == "float32" else 1e-15)
        y, p = arrays(backend, name, above, dtype)
        loss = made(backend, name, **options)
        value, gradient = loss.value_and_grad(y, p)
        below = loss.value_and_grad(*arrays(backend, name, 2 - above, dtype))
        slack = 2 * (above - 1)  # from the one to the other side of 1
        for found, wanted in zip((value, gradient), below, strict=True):
            if options.get("gamma", 2) >= 1 and "label_smoothing" not in options:  # the others are steep there
                np.testing.assert_allclose(to_numpy(found), to_numpy(wanted), rtol=4 * slack, atol=4 * slack)
            assert np.isfinite(to_numpy(found)).all() and np.abs(to_numpy(found)).max() < 4
        assert np.isfinite(to_numpy(loss(y, p)))


@pytest.mark.parametrize("name", [name for name in (*PAIRS, *VECTORS, *LABELS, "nll") if "focal" not in name])
def test_unless_nothing_is_to_be_checked(backend: str, name: str) -> None:
    """A value below the range, as the formula gives it."""
    y, p = arrays(backend, name, 4.0)
    loss = multiloss.get(name, backend=backend, validate=False, reduction="none")
    value, gradient = loss.value_and_grad(y, p)
    assert to_numpy(value)[0] < 0 and to_numpy(loss(y, p))[0] < 0 and np.isfinite(to_numpy(gradient)).all()


@pytest.mark.graph
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own, while it traces
@pytest.mark.only("torch", "tensorflow", "jax", "keras")
@pytest.mark.parametrize("name", ["bce", "scce", "categorical_focal_crossentropy"])
def test_what_is_compiled(backend: str, name: str) -> None:
    """A traced call is no first one: nobody ever looked."""
    loss = multiloss.get(name, backend=backend)
    y, p = arrays(backend, name, 50.0)
    fine = arrays(backend, name, 0.5)
    compiled = jit(backend, lambda y, x: loss(y, x))
    assert np.isnan(to_numpy(compiled(y, p))) and np.isfinite(to_numpy(compiled(*fine)))
    if name == "bce":
        one = to_native(backend, np.ones(2, np.float32))
        assert np.isnan(to_numpy(compiled(one, to_native(backend, np.array([2.0, 50.0], np.float32)))))
    for arrays_of, wrong in (((y, p), True), (fine, False)):
        slope = native_grad(backend, lambda x, y=arrays_of[0]: compiled(y, x), arrays_of[1])
        assert np.isnan(slope).any(axis=1).tolist() == [wrong, False]


def test_each_element_of_a_mean_counts(backend: str) -> None:
    """A large loss beside it does not hide a value below the range."""
    loss = made(backend, "bce")
    y, p = np.array([[1.0, 1.0, 0.0]]), np.array([[3.0, 1e-6, 0.9]])
    value, gradient = loss.value_and_grad(to_native(backend, y), to_native(backend, p))
    assert np.isnan(to_numpy(value)) and np.isnan(to_numpy(gradient)).all()
    for axis in ((), 0):
        alone = multiloss.get("bce", backend=backend, axis=axis, reduction="none")
        alone(to_native(backend, y), to_native(backend, np.full_like(p, 0.5)))
        value, gradient = alone.value_and_grad(to_native(backend, y), to_native(backend, p))
        assert np.isnan(to_numpy(gradient)).tolist() == [[True, False, False]]
        assert np.isnan(to_numpy(value)).ravel().tolist() == [True, False, False]


@pytest.mark.only("numpy")
def test_a_loss_that_may_be_negative_has_no_such_range(backend: str) -> None:
    """With alpha, or a coefficient of 1 - p, below 0 the values of probabilities are negative."""
    y, p = [[1.0, 0.0]], [[0.5, 0.5]]
    for name, options in (
        ("categorical_focal_crossentropy", {"alpha": -1.0}),
        ("poly_cross_entropy", {"poly_epsilon": -3}),
    ):
        assert multiloss.get(name, backend=backend, **options)(y, p) < 0


@pytest.mark.only("torch", "jax")
def test_under_vmap(backend: str) -> None:
    if backend == "torch":
        import torch

        each, slope = torch.func.vmap, torch.func.grad
    else:
        import jax

        each, slope = jax.vmap, jax.grad
    loss = multiloss.get("cce", backend=backend)
    y, p = arrays(backend, "cce", 50.0)
    assert np.isnan(to_numpy(each(loss)(y, p))).tolist() == [True, False]
    gradient = each(slope(loss, argnums=1))(y, p)
    assert np.isnan(to_numpy(gradient)).tolist() == [[True, True], [False, False]]


@pytest.mark.only("torch")
@pytest.mark.parametrize("name", ["bce", "cce", "scce", "binary_focal_crossentropy"])
def test_one_of_many(backend: str, name: str) -> None:
    """torch computes so many in blocks, which are no samples."""
    import torch

    loss = made(backend, name)
    y, p = (x.repeat_interleave(200_000, 0) for x in arrays(backend, name, 0.5))
    p[150_000, 0] = 50.0
    p.requires_grad_()
    value = loss(y, p)
    (gradient,) = torch.autograd.grad(value, p)
    wrong = torch.isnan(gradient).any(-1)
    assert torch.isnan(value) and wrong.sum() == 1 and wrong[150_000]

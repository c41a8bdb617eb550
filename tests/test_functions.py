"""Functions beside the losses: what they refuse, which axes they take, and 0 log 0."""

from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import native_grad, to_native, to_numpy
from helpers.errors import says

LN2 = np.log(2)


def close(got: Any, expected: Any) -> None:
    np.testing.assert_allclose(to_numpy(got), expected, rtol=2e-6, atol=1e-7)


def test_0_log_0_of_the_functions(backend: str) -> None:
    info = multiloss.info
    p, q, r = (
        to_native(backend, np.array(x, np.float32)) for x in ([0.5, 0.5, 0, 0], [0.25, 0.25, 0.5, 0], [0.0, 1.0])
    )
    close(info.kl_divergence(r, r), 0.0)
    close(info.cross_entropy(r, r), 0.0)
    for base in (None, 0.5):
        assert not np.signbit(to_numpy(info.entropy(r, base=base)))  # not -0.0
    for base, unit in ((None, LN2), (2, 1.0)):
        close(info.entropy(p, base=base), unit)
        close(info.cross_entropy(p, q, base=base), 2 * unit)
        close(info.kl_divergence(p, q, base=base), unit)
    assert to_numpy(info.kl_divergence(q, p)) == np.inf
    if backend == "numpy":
        return
    close(native_grad(backend, info.entropy, p), [LN2 - 1, LN2 - 1, 0, 0])
    close(native_grad(backend, lambda x: info.cross_entropy(x, q), p), [2 * LN2, 2 * LN2, LN2, 0])
    close(native_grad(backend, lambda x: info.cross_entropy(p, x), q), [-2, -2, 0, 0])
    close(native_grad(backend, lambda x: info.kl_divergence(x, q), p), [1 + LN2, 1 + LN2, LN2, 0])
    close(native_grad(backend, lambda x: info.kl_divergence(p, x), q), [-2, -2, 0, 0])


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_functions_of_an_axis_name_what_is_wrong(backend: str, name: str) -> None:
    x, function = to_native(backend, np.array([[0.25, 0.75]], np.float32)), getattr(multiloss, name)
    with says(ValueError, "axis 3 does not exist in x of shape (1, 2)"):
        function(x, axis=3)
    with says(TypeError, "x must hold real numbers"):
        function("abc")
    several = name == "logsumexp"
    one = "an integer" if several else "one integer (the axis of the classes)"
    for axis in ("a", True, 1.5, *(() if several else ((0, 1), None))):
        with says(TypeError, f"axis must be {one}, got {axis!r}"):
            function(x, axis=axis)
    for axis in (np.int64(1), np.array(1)):
        np.testing.assert_array_equal(to_numpy(function(x, axis=axis)), to_numpy(function(x)))
    empty = to_native(backend, np.zeros((0,), np.float32))
    np.testing.assert_array_equal(to_numpy(function(empty)), -np.inf if several else np.zeros(0))


def test_logsumexp_over_several_axes(backend: str) -> None:
    x = to_native(backend, np.array([[0.25, 0.75]], np.float32))
    for axis in ((0, 1), np.array([0, 1]), None):
        found = to_numpy(multiloss.logsumexp(x, axis=axis))
        np.testing.assert_allclose(found, np.log(np.exp(0.25) + np.exp(0.75)), rtol=1e-6)
    np.testing.assert_array_equal(to_numpy(multiloss.logsumexp(x, axis=())), to_numpy(x))
    with says(TypeError, "keepdims must be True or False, got 'no'"):
        multiloss.logsumexp(x, keepdims="no")  # type: ignore[arg-type]


@pytest.mark.reads
@pytest.mark.parametrize("name", ["entropy", "cross_entropy", "kl_divergence"])
def test_functions_of_distributions(backend: str, name: str) -> None:
    info, x = multiloss.info, to_native(backend, np.array([[0.25, 0.75]], np.float32))

    def call(p: Any, **options: Any) -> Any:
        return getattr(info, name)(*((p,) if name == "entropy" else (p, p)), **options)

    for base in (1, 0, -2):
        with says(ValueError, "base must be positive and not 1", str(base)):
            call(x, base=base)
    with says(TypeError, "base must be a number", "'e'"):
        call(x, base="e")
    with says(ValueError, "axis 2 does not exist in p of shape (1, 2)"):
        call(x, axis=2)
    for axis in ("a", True, 1.5):
        with says(TypeError, f"axis must be an integer, got {axis!r}"):
            call(x, axis=axis)
    for axis in (np.int64(1), (0, 1), np.array([0, 1]), None):
        np.testing.assert_array_equal(np.ravel(to_numpy(call(x, axis=axis))), to_numpy(call(x)))
    with pytest.raises(ValueError, match=r"p must hold probabilities in \[0, 1\], got -6$"):
        call(to_native(backend, np.array([7.0, -6.0], np.float32)))
    with says(ValueError, "p and q must have equal shapes", "(1, 2)", "(2,)"):
        info.kl_divergence(x, x[0])
    with says(TypeError, "p must hold real numbers", "bool"):
        info.entropy(to_native(backend, np.array([True, False])))

"""A source loss itself, against what `multiloss.port` makes of it; and arrays for both, by what they mean.

Values and gradients are compared in float64. The three libraries run here, so these tests are in the environment that
has all of them (`@pytest.mark.cross`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

import multiloss
from helpers.arrays import native_value_and_grad, to_native, to_numpy
from multiloss import porting

Array = NDArray[Any]
Arrays = Mapping[str, Any]


def check(
    form: str,
    arrays: Arrays,
    *,
    backends: tuple[str, ...] = ("numpy", "torch", "jax"),
    rtol: float = 1e-10,
    atol: float = 1e-300,
    gradient: str | None = "y_pred",
    targets: str = "labels",
    peer: Any = None,
) -> None:
    """The port of `form` gives the values and the gradient (of the sum) of the source on these arrays, by name here.

    `atol`: what rounding leaves of a difference of terms, where these cancel.
    `peer`: the source as a function of its arrays in its own order, where calling it takes more than its name.
    """
    source, arguments = porting.resolve(form)
    value, slope = run(source, arguments, arrays, gradient, peer)
    for backend in backends:
        loss = multiloss.port(form, to=backend, targets=targets)
        inputs = {name: to_native(backend, x) for name, x in arrays.items()}
        np.testing.assert_allclose(to_numpy(loss(**inputs)), value, rtol=rtol, atol=atol, err_msg=f"{form} {backend}")
        if gradient is not None:
            found = to_numpy(loss.value_and_grad(**inputs, wrt=gradient)[1])
            scale = np.abs(slope).max(initial=0.0)
            np.testing.assert_allclose(
                found, slope, rtol=rtol, atol=max(rtol * scale, atol), err_msg=f"{form} {backend} gradient"
            )


def run(source: Any, arguments: dict[str, Any], arrays: Arrays, wrt: str | None, peer: Any = None) -> tuple[Any, Any]:
    """Value and gradient of the source itself."""
    library = source.name.partition(".")[0]
    backend = {"torch": "torch", "keras": "tensorflow", "optax": "jax"}[library]
    call = peer or native(source, arguments, backend)
    names = list(source.data)
    inputs = [to_native(backend, arrays[name]) for name in names]
    if wrt is None:
        return to_numpy(call(*inputs)), None
    at = names.index(wrt)
    return native_value_and_grad(backend, lambda x: call(*inputs[:at], x, *inputs[at + 1 :]), inputs[at])


def native(source: Any, arguments: dict[str, Any], backend: str) -> Any:
    """The source as a function of its arrays."""
    import importlib

    module, _, name = source.name.rpartition(".")
    theirs = getattr(importlib.import_module(module), name)
    ready = {key: _array(backend, key, value) for key, value in arguments.items()}
    if source.is_class:
        return theirs(**ready, **({"dtype": "float64"} if backend == "tensorflow" and "dtype" not in ready else {}))
    return lambda *inputs, **named: theirs(*inputs, **ready, **named)


def _array(backend: str, name: str, value: Any) -> Any:
    """torch and Optax take weights as arrays."""
    listed = isinstance(value, list) or (name in ("weight", "pos_weight") and value is not None)
    return to_native(backend, np.asarray(value, float)) if backend != "tensorflow" and listed else value


SHAPES = [(4,), (4, 3), (2, 5, 3)]
"""(N,), (N, C) and (N, L, C)."""


def distribution(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    e = np.exp(rng.normal(size=shape))
    return np.asarray(e / e.sum(-1, keepdims=True))


def one_hot(rng: np.random.Generator, shape: tuple[int, ...], axis: int = -1) -> Array:
    lengths = [n for i, n in enumerate(shape) if i != axis % len(shape)]
    return np.moveaxis(np.eye(shape[axis])[rng.integers(0, shape[axis], lengths)], -1, axis)


def unit(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    x = rng.normal(size=shape)
    return np.asarray(x / np.linalg.norm(x, axis=-1, keepdims=True))


MAKERS = {
    "real": lambda rng, shape: rng.normal(size=shape),
    "wide": lambda rng, shape: 10.0 ** rng.uniform(-9, 9, size=shape) * rng.choice([-1.0, 1.0], size=shape),
    "count": lambda rng, shape: rng.poisson(2.0, size=shape).astype(float),
    "rate": lambda rng, shape: rng.uniform(0.1, 5.0, size=shape),
    "chance": lambda rng, shape: rng.uniform(0.02, 0.98, size=shape),
    "bit": lambda rng, shape: rng.integers(0, 2, size=shape).astype(float),
    "sign": lambda rng, shape: 2.0 * rng.integers(0, 2, size=shape) - 1.0,
    "soft": distribution,
    "log": lambda rng, shape: np.log(distribution(rng, shape)),
    "hot": one_hot,
    "hot on 1": lambda rng, shape: one_hot(rng, shape, 1),
    "unit": unit,
    "label": lambda rng, shape: rng.integers(0, shape[-1], size=shape[:-1]),
    "label of 0": lambda rng, shape: rng.integers(0, shape[0], size=shape[1:]),
    "bit label": lambda rng, shape: rng.integers(0, 2, size=shape),
}


def make(kinds: dict[str, str], shape: tuple[int, ...], seed: int = 0) -> dict[str, Array]:
    """Arrays of these kinds, by name."""
    rng = np.random.default_rng(seed)
    return {name: np.asarray(MAKERS[kind](rng, shape)) for name, kind in kinds.items()}


def check_note(
    form: str, words: str, arrays: Arrays, theirs: Any, ours: Any, *, wrt: str = "y_pred", targets: str = "labels"
) -> None:
    """The port has notes with all of these words (with | between them), and they are true: `theirs` and `ours` are the
    value and the gradient of the source and of the port: a number, what it has to fulfil, or None, whatever it is."""
    loss = multiloss.port(form, to="numpy", targets=targets)
    for word in words.split("|"):
        assert any(word in note for note in loss.notes), (word, loss.notes)
    inputs = {name: np.asarray(x) for name, x in arrays.items()}
    pairs = zip(run(*porting.resolve(form), inputs, wrt), theirs, strict=True)
    for got, wanted in (*pairs, *zip(loss.value_and_grad(**inputs, wrt=wrt), ours, strict=True)):
        if callable(wanted):
            assert wanted(np.asarray(got)), got
        elif wanted is not None:
            np.testing.assert_allclose(got, np.broadcast_to(wanted, np.shape(got)), rtol=1e-5, atol=1e-16)


def is_nan(x: Array) -> bool:
    return bool(np.isnan(x).all())


def is_finite(x: Array) -> bool:
    return bool(np.isfinite(x).all())


def has_nan(x: Array) -> bool:
    return bool(np.isnan(x).any())

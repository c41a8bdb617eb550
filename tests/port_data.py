"""Arrays for the tests of ports, by what they mean."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SHAPES = [(4,), (4, 3), (2, 5, 3)]
"""(N,), (N, C) and (N, L, C)."""
Array = NDArray[Any]


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

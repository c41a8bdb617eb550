"""A center loss with given first centers, a batch, and the values and centers that `reference.center_step` expects."""

from typing import Any

import numpy as np

import multiloss
import reference
from helpers.arrays import to_native, to_numpy

C, D, N = 5, 3, 8
LABELS = np.array([0, 2, 2, 1, 0, 2, 1, 2])  # repeated ones, 3 and 4 are absent
RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(N, D)).astype(np.float32)
FIRST = RNG.normal(size=(C, D)).astype(np.float32)
MASK = np.array([True, True, False, True, True, True, False, False])
VALUES, MOVED = reference.center_step(FIRST, LABELS, FEATURES, 0.5)


def make(backend: str, **options: Any) -> Any:
    options = {"num_classes": C, "feature_dim": D, "centers_init": FIRST} | options
    return multiloss.get("center", backend=backend, **options)


def native(backend: str, *arrays: Any) -> tuple[Any, ...]:
    return tuple(to_native(backend, a) for a in arrays)


def evaluate(center: Any, *arrays: Any, **arguments: Any) -> Any:
    if center.backend != "torch":
        return center(*arrays, training=False, **arguments)
    center.eval()
    value = center(*arrays, **arguments)
    center.train()
    return value


def close(got: Any, expected: Any, rtol: float = 1e-5) -> None:
    np.testing.assert_allclose(to_numpy(got), expected, rtol=rtol, atol=1e-6)


def same(got: Any, expected: Any) -> None:
    np.testing.assert_array_equal(to_numpy(got), expected)

"""What the tests of `multiloss.compare` share: arrays, the losses of two arrays, a squared error by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

import multiloss
from multiloss.engine import registry

RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 4))
P = np.exp(X) / np.exp(X).sum(axis=1, keepdims=True)
Q = np.exp(Y) / np.exp(Y).sum(axis=1, keepdims=True)
LABELS = np.array([0, 1, 2, 3, 1, 2])
WEIGHT = np.array([1.0, 2.0, 3.0, 1.0, 0.5, 1.0])
PLAIN = [
    name
    for name in multiloss.list_losses()
    if name not in set(registry.CENTER.values()) and registry.find(name).kind != "of_inputs"
]


def mse(y_true: Any, y_pred: Any) -> Any:
    return ((y_pred - y_true) ** 2).mean()


def first(a: Any, b: Any, *arrays: Any, **options: Any) -> str:
    """The first of the causes."""
    report = multiloss.compare(a, b, *arrays, **options)
    assert not report.same
    return report.causes[0]

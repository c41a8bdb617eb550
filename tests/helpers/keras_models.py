"""The small models that the tests of Keras train, and their data."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

import multiloss.keras
from helpers.arrays import to_numpy

BATCH = 24
RNG = np.random.default_rng(0)
X = RNG.normal(size=(BATCH, 4)).astype(np.float32)
Y = RNG.integers(0, 3, BATCH)
ONE_HOT = np.eye(3, dtype=np.float32)[Y]


def network(softmax: bool = False, masking: bool = False, classes: int = 3, width: int = 4, **first: Any) -> Any:
    """Two dense layers, the first called "features"; the same weights at each call."""
    keras.utils.set_random_seed(0)
    x = keras.Input((width,))
    features = keras.layers.Dense(2, name="features", **first)(keras.layers.Masking(0.0)(x) if masking else x)
    return keras.Model(x, keras.layers.Dense(classes, activation="softmax" if softmax else None)(features))


def with_center(net: Any = None, compiled: dict[str, Any] | None = None, **options: Any) -> Any:
    """The network, or another one, with a center loss on its features; compiled for labels."""
    net = network() if net is None else net
    model = multiloss.keras.WithCenterLoss(net, features="features", **{"num_classes": 3} | options)
    model.compile("sgd", loss=multiloss.get("scce", backend="keras", from_logits=True), **compiled or {})
    return model


def centers(x: Any) -> np.ndarray:
    """A copy of the centers of a layer or model."""
    return to_numpy(x.centers).copy()


def fit(model: Any, x: Any, y: Any, **arguments: Any) -> float:
    """The loss that `fit` reports for one epoch, of one batch unless told otherwise."""
    return float(
        model.fit(x, y, **{"batch_size": BATCH, "shuffle": False, "verbose": 0} | arguments).history["loss"][0]
    )

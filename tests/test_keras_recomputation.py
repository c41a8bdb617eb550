"""`keras.remat` where rows cannot be kept for the recomputation: refused before anything has moved, or run once."""

from __future__ import annotations

import contextlib
from typing import Any

import keras
import numpy as np
import pytest

import multiloss.keras
from helpers.arrays import framework, to_native, to_numpy
from helpers.keras_models import fit, network, with_center

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

LABELS = np.array([0, 2, 2, 1])
FEATURES = np.array([[1, 2], [3, -1], [1, 0], [0.5, 4]], np.float32)


def layer(**options: Any) -> Any:
    return multiloss.keras.CenterLoss(num_classes=4, feature_dim=2, **options)


def test_remat() -> None:
    """What would move the layer's centers twice is refused."""
    center, labels, features = layer(), to_native("keras", LABELS), to_native("keras", FEATURES)
    if framework("keras") != "jax":  # whose transformations take no call that changes a variable
        with pytest.raises(RuntimeError, match="would compute the center loss again, and move the centers twice"):
            keras.remat(lambda x: center(labels, x))(features)
    assert not to_numpy(center.centers).any()
    value = keras.remat(lambda x: layer()(labels, x, training=False))(features)
    np.testing.assert_allclose(to_numpy(value), 0.5 * (FEATURES**2).sum(1).mean(), rtol=1e-6)


@pytest.mark.parametrize("mode", ["full", "list_of_layers"])
def test_remat_scope(mode: str) -> None:
    """The layer, and `fit`, under the scope: the centers and weights of the run without."""
    found: list[list[Any]] = []
    for scope in (keras.RematScope(mode=mode, layer_names=["center", "features"]), contextlib.nullcontext()):
        with scope:
            center = layer(name="center")
            center(LABELS, to_native("keras", FEATURES))
            found.append([to_numpy(center.centers)])
            if framework("keras") != "tensorflow":  # where Keras' own layers fail under the scope, in a graph
                model = with_center(network(classes=4, width=2, activation="tanh"), num_classes=4, weight=0.5)
                fit(model, FEATURES, LABELS, batch_size=2, epochs=2)
                found[-1] += [to_numpy(w.value) for w in model.weights]
    for got, wanted in zip(*found, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)

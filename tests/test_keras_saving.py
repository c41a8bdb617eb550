"""What is saved with a compiled model: losses of every kind, whatever was imported first; and what is exported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import multiloss
import multiloss.keras
from helpers.arrays import framework, to_numpy

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
X = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)


def network() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])


@pytest.mark.parametrize("of", ["keras", "its own framework", None])
def test_a_loss_of_any_backend_is_compiled_saved_and_loaded(backend: str, of: str | None, tmp_path: Path) -> None:
    loss = multiloss.get("huber", backend=framework(backend) if of == "its own framework" else of, delta=2.0)
    model = network()
    model.compile("sgd", loss)
    model.fit(X, X[:, :1], verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again.loss) is type(loss) and again.loss == loss
    again.fit(X, X[:, :1], verbose=0)


def test_a_model_is_loaded_where_keras_was_imported_first(backend: str, tmp_path: Path) -> None:
    """And where it was not, after `import multiloss.keras`; else Keras' own error."""
    model = network()
    model.compile("sgd", multiloss.get("huber", backend="keras", delta=2.0))
    model.save(tmp_path / "model.keras")
    for imports, said in (
        ("keras, multiloss", "delta=2.0"),
        ("multiloss.keras, keras", "delta=2.0"),
        ("multiloss, keras", "Could not locate class 'KerasLoss'"),
    ):
        code = f"import {imports}; print(keras.models.load_model({str(tmp_path / 'model.keras')!r}).loss)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
        assert said in done.stdout + done.stderr


@pytest.mark.only("keras")
def test_a_model_with_center_loss_is_exported(backend: str, tmp_path: Path) -> None:
    if framework(backend) != "tensorflow":
        pytest.skip("the format is TensorFlow's")
    import tensorflow as tf

    x = keras.Input((4,))
    net = keras.Model(x, keras.layers.Dense(3)(keras.layers.Dense(2, name="features")(x)))
    model: Any = multiloss.keras.WithCenterLoss(net, features="features", num_classes=3)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(X, np.arange(8) % 3, verbose=0)
    model.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(tmp_path / "served")
    np.testing.assert_allclose(to_numpy(served.serve(X)), model.predict(X, verbose=0), rtol=1e-6)


def test_a_loss_of_another_framework(backend: str) -> None:
    """The error names a loss of the framework that Keras runs on, and one of Keras, which takes labels, too."""
    model = network()
    model.compile("sgd", multiloss.get("huber", backend="numpy"))
    here = framework(backend)
    with pytest.raises(TypeError, match=rf"to_backend\('{here}'\).*, loss.to_backend\('keras'\) in a Keras model"):
        model.fit(X, X[:, :1], verbose=0)


def test_labels_of_a_loss_without_the_backend() -> None:
    """Keras casts them to floats before such a loss sees them; the error names the loss that gets them as they are."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile("sgd", loss=multiloss.get("scce", from_logits=True))
    with pytest.raises(TypeError, match="float32.*; model.compile of Keras casts .* backend='keras'"):
        model.fit(np.zeros((4, 4)), np.array([0, 1, 2, 0]), verbose=0)

"""The network as a functional Keras model, for the tensorflow and the keras backend."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from multiloss.demo.settings import Predict, in_chunks


def build(shape: tuple[int, ...], classes: int, network: str) -> Any:
    """Images -> class outputs; the 2 features are the output of the layer `"features"`."""
    images = keras.Input(shape)
    hidden = cnn(images) if network == "cnn" else mlp(images)
    features = layers.Dense(2, name="features")(hidden)
    return keras.Model(images, layers.Dense(classes, name="outputs")(features))


def mlp(x: Any) -> Any:
    """Two hidden layers."""
    x = layers.Flatten()(x)
    x = layers.Dense(128, activation="relu")(x)
    return layers.Dense(64, activation="relu")(x)


def cnn(x: Any) -> Any:
    """Two convolutions of 5 x 5, without padding; each PReLU has one slope."""
    for filters in (16, 32):
        x = layers.Conv2D(filters, 5)(x)
        x = layers.PReLU(alpha_initializer=keras.initializers.Constant(0.25), shared_axes=(1, 2, 3))(x)
        x = layers.MaxPooling2D(2)(x)
    return layers.Flatten()(x)


def predictor(model: Any) -> Predict:
    """The function images -> (features, class outputs) of a model of `build`; each call takes its weights of then."""
    both = keras.Model(model.input, [model.get_layer("features").output, model.get_layer("outputs").output])

    @in_chunks
    def predict(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        features, outputs = both.predict_on_batch(images)
        return np.asarray(features), np.asarray(outputs)

    return predict

"""The experiment in Keras: `compile` and `fit`; the center loss through `multiloss.keras.WithCenterLoss`."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

import multiloss
import multiloss.keras
from multiloss.demo import keras_net
from multiloss.demo.data import Data
from multiloss.demo.settings import CENTER, SQUARED, AfterEpoch, Settings, Trained


def train(data: Data, settings: Settings, after_epoch: AfterEpoch) -> Trained:
    """Train one network, on whichever backend Keras runs."""
    keras.utils.set_random_seed(settings.seed)
    classes = len(data.classes)
    inner = keras_net.build(data.shape, classes, settings.network)
    predict = keras_net.predictor(inner)
    targets: Any = data.y_train
    if settings.objective == SQUARED:
        loss = multiloss.get("mean_squared_error", backend="keras")
        targets = keras.utils.to_categorical(data.y_train, classes)
    else:
        loss = multiloss.get("sparse_categorical_crossentropy", backend="keras", from_logits=True)
    model = inner
    if settings.objective == CENTER:
        model = multiloss.keras.WithCenterLoss(
            inner, features="features", num_classes=classes, weight=settings.center_weight, alpha=settings.alpha
        )
    model.compile(keras.optimizers.SGD(settings.learning_rate, momentum=settings.momentum), loss=loss)
    model.fit(
        data.x_train,
        targets,
        batch_size=min(settings.batch, len(targets)),
        epochs=settings.epochs,
        verbose=0,
        callbacks=[
            keras.callbacks.LearningRateScheduler(lambda epoch, _: settings.rate(epoch)),
            keras.callbacks.LambdaCallback(on_epoch_end=lambda _, logs: after_epoch(float(logs["loss"]), predict)),
        ],
    )
    centers = keras.ops.convert_to_numpy(model.centers) if settings.objective == CENTER else None
    return Trained(predict, None if centers is None else np.array(centers))

"""The experiment in TensorFlow: a Keras model, a `GradientTape` in a `tf.function`, the center loss as an object."""

from __future__ import annotations

import keras
import tensorflow as tf

import multiloss
from multiloss.demo import keras_net
from multiloss.demo.data import Data
from multiloss.demo.errors import UserError
from multiloss.demo.settings import CENTER, SQUARED, AfterEpoch, Settings, Trained, batches


def train(data: Data, settings: Settings, after_epoch: AfterEpoch) -> Trained:
    """Train one network."""
    if keras.backend.backend() != "tensorflow":
        raise UserError(
            f"--backend tensorflow needs Keras on TensorFlow, and Keras runs on {keras.backend.backend()}: "
            "set KERAS_BACKEND=tensorflow, or take --backend keras"
        )
    keras.utils.set_random_seed(settings.seed)
    classes = len(data.classes)
    model = keras_net.build(data.shape, classes, settings.network)
    net = keras.Model(model.input, [model.get_layer("features").output, model.output])
    optimizer = keras.optimizers.SGD(settings.learning_rate, momentum=settings.momentum)
    softmax = multiloss.get("sparse_categorical_crossentropy", backend="tensorflow", from_logits=True)
    squared = multiloss.get("mean_squared_error", backend="tensorflow")
    center = multiloss.get("center", backend="tensorflow", num_classes=classes, feature_dim=2, alpha=settings.alpha)
    x_train, y_train = tf.constant(data.x_train), tf.constant(data.y_train)

    @tf.function
    def step(index: tf.Tensor) -> tf.Tensor:
        images, labels = tf.gather(x_train, index), tf.gather(y_train, index)
        with tf.GradientTape() as tape:
            features, outputs = net(images, training=True)
            if settings.objective == SQUARED:
                loss = squared(tf.one_hot(labels, classes), outputs)
            else:
                loss = softmax(labels, outputs)
            if settings.objective == CENTER:
                loss += settings.center_weight * center(labels, features)  # the centers move by themselves
        grads = tape.gradient(loss, net.trainable_variables)
        optimizer.apply_gradients(zip(grads, net.trainable_variables, strict=True))
        return loss

    predict = keras_net.predictor(model)
    for epoch in range(settings.epochs):
        optimizer.learning_rate.assign(settings.rate(epoch))
        order = tf.constant(batches(len(data.x_train), settings, epoch))
        losses = [step(index) for index in order]
        after_epoch(float(tf.reduce_mean(losses)), predict)
    return Trained(predict, center.centers.numpy() if settings.objective == CENTER else None)

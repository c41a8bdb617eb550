"""The experiment in plain NumPy: the gradient of each loss comes from `value_and_grad`, the rest is the chain rule."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

import multiloss
from multiloss.demo.data import Data
from multiloss.demo.settings import CENTER, SQUARED, AfterEpoch, Settings, Trained, batches


class Net:
    """Two hidden ReLU layers, 2 features, linear class outputs: `layers` is a list of (weight, bias)."""

    def __init__(self, values: int, classes: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        sizes = (values, 128, 64, 2, classes)
        self.layers = [
            (rng.normal(0, np.sqrt(2 / before), (before, after)).astype(np.float32), np.zeros(after, np.float32))
            for before, after in pairwise(sizes)
        ]

    def forward(self, images: np.ndarray) -> list[np.ndarray]:
        """What enters each layer, and the class outputs at the end; the features are `[-2]`."""
        values = [images.reshape(len(images), -1)]
        for i, (weight, bias) in enumerate(self.layers):
            out = values[-1] @ weight + bias
            values.append(np.maximum(out, 0) if i < 2 else out)
        return values

    def backward(
        self, values: list[np.ndarray], d_outputs: np.ndarray, d_features: np.ndarray | float
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Gradients of `layers`, from the gradients with respect to the class outputs and to the features."""
        grads = []
        d_out = d_outputs
        for i in reversed(range(len(self.layers))):
            grads.append((values[i].T @ d_out, d_out.sum(0)))
            d_out = d_out @ self.layers[i][0].T
            if i == len(self.layers) - 1:
                d_out = d_out + d_features
            elif i > 0:
                d_out = d_out * (values[i] > 0)
        return grads[::-1]


def train(data: Data, settings: Settings, after_epoch: AfterEpoch) -> Trained:
    """Train one network."""
    classes = len(data.classes)
    net = Net(int(np.prod(data.shape)), classes, settings.seed)
    velocity = [(np.zeros_like(weight), np.zeros_like(bias)) for weight, bias in net.layers]
    softmax = multiloss.get("sparse_categorical_crossentropy", backend="numpy", from_logits=True)
    squared = multiloss.get("mean_squared_error", backend="numpy")
    center = multiloss.get("center", backend="numpy", num_classes=classes, feature_dim=2, alpha=settings.alpha)
    one_hot = np.eye(classes, dtype=np.float32)

    def predict(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        *_, features, outputs = net.forward(images)
        return features, outputs

    for epoch in range(settings.epochs):
        rate, total = settings.rate(epoch), 0.0
        order = batches(len(data.x_train), settings, epoch)
        for index in order:
            labels = data.y_train[index]
            values = net.forward(data.x_train[index])
            *_, features, outputs = values
            d_features: np.ndarray | float = 0.0
            if settings.objective == SQUARED:
                loss, d_outputs = squared.value_and_grad(one_hot[labels], outputs)
            else:
                loss, d_outputs = softmax.value_and_grad(labels, outputs)
            if settings.objective == CENTER:
                value, d_center = center.value_and_grad(labels, features)  # the centers move by themselves
                loss, d_features = loss + settings.center_weight * value, settings.center_weight * d_center
            for layer, speed, grad in zip(
                net.layers, velocity, net.backward(values, d_outputs, d_features), strict=True
            ):
                for parameter, v, g in zip(layer, speed, grad, strict=True):
                    v *= settings.momentum
                    v += g
                    parameter -= rate * v
            total += float(loss)
        after_epoch(total / len(order), predict)
    return Trained(predict, np.array(center.centers) if settings.objective == CENTER else None)

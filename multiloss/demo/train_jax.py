"""The experiment in JAX: Flax NNX for the network, Optax for the steps, the center loss as its pure `step`."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import multiloss
from multiloss.demo.data import Data
from multiloss.demo.settings import CENTER, SQUARED, AfterEpoch, Settings, Trained, batches, in_chunks


class Net(nnx.Module):
    """A body that ends in 2 features, and a linear layer that makes class outputs of them."""

    def __init__(self, shape: tuple[int, ...], classes: int, network: str, rngs: nnx.Rngs) -> None:
        self.body = cnn(shape, rngs) if network == "cnn" else mlp(shape, rngs)
        self.output = nnx.Linear(2, classes, rngs=rngs)

    def __call__(self, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Images -> features (N, 2) and class outputs (N, C)."""
        features = self.body(images)
        return features, self.output(features)


def mlp(shape: tuple[int, ...], rngs: nnx.Rngs) -> nnx.Sequential:
    """Two hidden layers."""
    return nnx.Sequential(
        flatten,
        nnx.Linear(int(np.prod(shape)), 128, rngs=rngs),
        jax.nn.relu,
        nnx.Linear(128, 64, rngs=rngs),
        jax.nn.relu,
        nnx.Linear(64, 2, rngs=rngs),
    )


def cnn(shape: tuple[int, ...], rngs: nnx.Rngs) -> nnx.Sequential:
    """Two convolutions of 5 x 5, without padding."""
    height, width = (((side - 4) // 2 - 4) // 2 for side in shape[:2])
    return nnx.Sequential(
        nnx.Conv(shape[2], 16, (5, 5), padding="VALID", rngs=rngs),
        nnx.PReLU(0.25),
        max_pool,
        nnx.Conv(16, 32, (5, 5), padding="VALID", rngs=rngs),
        nnx.PReLU(0.25),
        max_pool,
        flatten,
        nnx.Linear(32 * height * width, 2, rngs=rngs),
    )


def flatten(x: jax.Array) -> jax.Array:
    """(N, ...) -> (N, values)."""
    return x.reshape(len(x), -1)


def max_pool(x: jax.Array) -> jax.Array:
    """Largest of every 2 x 2; a reshape, because the gradient of `nnx.max_pool` is slow on a CPU."""
    n, height, width, channels = x.shape
    x = x[:, : height // 2 * 2, : width // 2 * 2]
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).max((2, 4))


def train(data: Data, settings: Settings, after_epoch: AfterEpoch) -> Trained:
    """Train one network."""
    classes = len(data.classes)
    graph, params = nnx.split(Net(data.shape, classes, settings.network, nnx.Rngs(settings.seed)))
    optimizer = optax.inject_hyperparams(optax.sgd)(settings.learning_rate, momentum=settings.momentum)
    opt_state = optimizer.init(params)
    softmax = multiloss.get("sparse_categorical_crossentropy", backend="jax", from_logits=True)
    squared = multiloss.get("mean_squared_error", backend="jax")
    center = multiloss.get("center", backend="jax", num_classes=classes, feature_dim=2, alpha=settings.alpha)
    center_state = center.init_state()

    def objective(params: Any, center_state: Any, images: jax.Array, labels: jax.Array) -> tuple[jax.Array, Any]:
        features, outputs = nnx.merge(graph, params)(images)
        if settings.objective == SQUARED:
            return squared(jax.nn.one_hot(labels, classes), outputs), center_state
        loss = softmax(labels, outputs)
        if settings.objective == CENTER:
            value, center_state = center.step(center_state, labels, features, training=True)
            loss = loss + settings.center_weight * value
        return loss, center_state

    @partial(jax.jit, donate_argnums=(0, 1, 2, 3))
    def step(params: Any, opt_state: Any, center_state: Any, total: jax.Array, x: Any, y: Any, index: Any) -> Any:
        (loss, center_state), grads = jax.value_and_grad(objective, has_aux=True)(
            params, center_state, x[index], y[index]
        )
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, center_state, total + loss

    @jax.jit
    def forward(params: Any, images: jax.Array) -> Any:
        return nnx.merge(graph, params)(images)

    @in_chunks
    def predict(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        features, outputs = forward(params, images)
        return np.asarray(features), np.asarray(outputs)

    x_train, y_train = jnp.asarray(data.x_train), jnp.asarray(data.y_train)
    for epoch in range(settings.epochs):
        opt_state.hyperparams["learning_rate"] = jnp.asarray(settings.rate(epoch), jnp.float32)
        total = jnp.zeros(())
        order = batches(len(x_train), settings, epoch)
        for index in order:
            params, opt_state, center_state, total = step(
                params, opt_state, center_state, total, x_train, y_train, index
            )
        after_epoch(float(total) / len(order), predict)
    return Trained(predict, np.asarray(center_state["centers"]) if settings.objective == CENTER else None)

"""What type checkers see where the frameworks are installed (`tox -e types-full`)."""

from __future__ import annotations

from typing import Any, assert_type

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import Tensor, nn

import multiloss
import multiloss.torch
from multiloss.typing import TorchCenter


def of_torch(labels: Tensor, features: Tensor, scores: Tensor) -> None:
    loss = multiloss.get("scce", backend="torch", from_logits=True, class_weight=torch.ones(3))
    module: nn.Module = loss.to("cpu")
    assert_type(loss(labels, scores), Tensor)
    assert_type(loss(labels, scores, mask=labels > 0), Tensor)
    assert_type(loss(labels.tolist(), np.zeros((2, 3)), sample_weight=[1.0, 2.0]), Tensor)
    assert_type(loss.value_and_grad(labels, scores), tuple[Tensor, Tensor])
    center = multiloss.get("center", backend="torch", num_classes=3, feature_dim=2)
    own_class: TorchCenter = center
    assert_type(center(labels, features, sample_weight=None), Tensor)
    assert_type(center.step(center.init_state(), labels, features)[0], Tensor)
    own = multiloss.torch.ArcFace(num_classes=3, feature_dim=2)
    assert_type(own(labels, features), Tensor)
    nn.ModuleList([module, own_class, own]).train()
    assert_type(multiloss.port(nn.HuberLoss(), to="torch.nn"), nn.Module)


def of_jax(labels: jax.Array, scores: jax.Array) -> None:
    loss = multiloss.get("scce", backend="jax", from_logits=True)
    assert_type(loss(labels, scores), jax.Array)

    @jax.jit
    def mean(x: jax.Array) -> jax.Array:
        return loss(jnp.zeros(2, int), x)

    assert_type(loss.value_and_grad(labels, scores, wrt=("y_pred",)), tuple[jax.Array, tuple[jax.Array, ...]])
    assert_type(multiloss.get("huber", backend="jax")(scores, scores, delta=jnp.ones(())), jax.Array)
    center = multiloss.get("center", backend="jax", num_classes=3, feature_dim=2)
    value, state = center.step(center.init_state(), labels, scores)
    print(value + mean(scores), state["centers"])


def of_others(x: Any) -> None:
    multiloss.get("mse", backend="tensorflow")(x, x, sample_weight=x)
    multiloss.get("mse", backend="keras").call(x, x)
    multiloss.get("center", backend="keras", num_classes=3)(x, features=x, training=False)

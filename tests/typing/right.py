"""Calls that type checkers must take, and the types that they must see (`tox -e types`)."""

from __future__ import annotations

import json
from typing import Any, assert_type, cast

import numpy as np
import numpy.typing as npt

import multiloss
from multiloss.boosting import Objective
from multiloss.typing import (
    AnyLoss,
    BackendName,
    Definition,
    JaxLoss,
    KerasCenter,
    KerasLoss,
    Loss,
    LossName,
    NumpyCenter,
    NumpyLoss,
    TensorflowLoss,
    TorchCenter,
    TorchLoss,
)

labels, scores = np.array([0, 1]), np.zeros((2, 3))


def each_backend_has_its_class() -> None:
    of_numpy: NumpyLoss = multiloss.get("huber", backend="numpy", delta=2.0)
    of_torch: TorchLoss = multiloss.get("mse", backend="torch", reduction="sum", axis=())
    of_tensorflow: TensorflowLoss = multiloss.get("bce", "tensorflow", from_logits=True, label_smoothing=0.1)
    of_jax: JaxLoss = multiloss.get("arcface", backend="jax", scale=30.0)
    of_keras: KerasLoss = multiloss.get("scce", backend="keras", class_weight=[1.0, 2.0, 1.0])
    of_none: Loss = multiloss.get("huber")
    print(of_numpy, of_torch, of_tensorflow, of_jax, of_keras, of_none)


def losses_with_centers_are_another_class() -> None:
    center = multiloss.get("center", backend="torch", num_classes=10, feature_dim=2, alpha=0.5)
    a_module: TorchCenter = center
    center.save_centers("centers.safetensors")
    own = multiloss.get("center_loss", backend="numpy", centers_init=np.zeros((2, 3)))
    a_callable: NumpyCenter = own
    a_layer: KerasCenter = multiloss.get("island", backend="keras", num_classes=3)
    print(a_module, a_callable, a_layer)
    state = own.init_state()
    value, state = own.step(state, labels, scores, training=True, mask=[True, False])
    value = own(labels, features=scores, sample_weight=[1.0, 2.0], training=False)
    print(value, state)


def calls_have_names() -> None:
    loss = multiloss.get("sparse_categorical_crossentropy", backend="numpy", from_logits=True)
    loss(labels, scores, sample_weight=[1.0, 2.0], mask=np.array([True, False]))
    loss(y_true=labels, y_pred=scores)
    assert_type(loss.value_and_grad(labels, scores), tuple[Any, npt.NDArray[Any]])
    assert_type(loss.value_and_grad(labels, scores, wrt="y_pred"), tuple[Any, npt.NDArray[Any]])
    assert_type(loss.value_and_grad(labels, scores, wrt=("y_pred",)), tuple[Any, tuple[npt.NDArray[Any], ...]])
    assert_type(loss.grad_and_hess(labels, scores), tuple[npt.NDArray[Any], npt.NDArray[Any]])
    assert_type(loss.config(), dict[str, Any])
    margin = multiloss.get("arcface", backend="numpy")
    margin(labels, scores, weight=np.ones((3, 3)), mask=[True, True])
    margin.value_and_grad(labels, scores, np.ones((3, 3)), wrt=["features", "weight"])
    multiloss.get("triplet_margin", backend="numpy")(anchor=scores, positive=scores, negative=scores)
    multiloss.get("gaussian_nll")(scores, scores, var=scores)
    multiloss.get("ctc", backend="numpy", blank=0)(labels, scores, input_lengths=None)


def options_are_attributes() -> None:
    loss = multiloss.get("huber", backend="torch", delta=2.0)
    assert_type(loss.delta, float)
    assert_type(loss.axis, int | tuple[int, ...] | None)
    assert_type(multiloss.get("scce").class_weight, tuple[float, ...] | None)
    center = multiloss.get("center", backend="numpy")
    assert_type(center.num_classes, int | None)
    assert_type(center.alpha, float)


def names_that_only_the_program_knows(name: str, third: str, config: dict[str, Any]) -> None:
    assert_type(multiloss.get_by_name(name, backend="torch", delta=2.0), TorchLoss | TorchCenter)
    assert_type(multiloss.get_by_name(name), AnyLoss)
    assert_type(multiloss.from_config(config), AnyLoss)
    assert_type(multiloss.from_config(json.loads("{}"), backend="numpy"), NumpyLoss | NumpyCenter)
    loss = multiloss.get_by_name(name, backend=third)
    print(loss(labels, scores), loss.value_and_grad(labels, scores), loss.config())
    multiloss.get(**config)
    either: TorchLoss | TorchCenter = multiloss.get(cast(LossName, name), backend="torch")
    print(either)


def backends_in_a_variable(backend: BackendName) -> None:
    loss = multiloss.get("huber", backend=backend)
    loss(scores, scores, sample_weight=np.ones(2))
    for name in multiloss.list_losses():
        multiloss.get_by_name(name, backend="jax")


def losses_of_your_own() -> None:
    @multiloss.register("soft_abs")
    def soft_abs(xp: Any, y_true: Any, y_pred: Any, *, epsilon: float = 1e-3) -> Any:
        return xp.sqrt((y_pred - y_true) ** 2 + epsilon**2)

    assert_type(soft_abs, Definition)
    assert_type(multiloss.get(soft_abs, backend="torch", epsilon=0.1), TorchLoss)
    assert_type(multiloss.objective(soft_abs, library="xgboost"), Objective)


def others() -> None:
    ported = multiloss.port("torch.nn.HuberLoss(delta=2.0)", to="jax")
    assert_type(ported, JaxLoss)
    print(ported.notes, ported.source)
    assert_type(multiloss.port(len), Loss)
    assert_type(multiloss.port("optax.l2_loss", to="torch", targets="probabilities"), TorchLoss)
    multiloss.port(ported, to="torch.nn")
    assert_type(multiloss.objective("huber", library="lightgbm", hessian="exact", delta=2.0), Objective)
    assert_type(multiloss.objective("scce", "xgboost"), Objective)


def options_may_come_in_a_dict() -> None:
    common: dict[str, Any] = {"delta": 2.0, "reduction": "sum"}
    multiloss.get("huber", backend="torch", **common)
    multiloss.get("huber", backend="numpy", delta=np.float32(2.0), axis=np.int64(1))

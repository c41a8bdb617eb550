"""Center loss in torch's training loops: accumulation, half precision, scaled losses. Activation checkpointing is in
`test_torch_checkpointing.py`."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

import multiloss
import reference

C, D = 4, 3
RNG = np.random.default_rng(0)
BATCHES = [(torch.from_numpy(RNG.integers(0, C, 6)), torch.from_numpy(RNG.normal(size=(6, D)))) for _ in range(3)]


def make() -> Any:
    return multiloss.get("center", backend="torch", num_classes=C, feature_dim=D, centers_init=np.ones((C, D)))


def test_gradient_accumulation() -> None:
    """Each forward pass in training mode is one update, in its order."""
    center, centers = make(), np.ones((C, D))
    for y, x in BATCHES:
        leaf = x.float().requires_grad_()
        (center(y, leaf) / len(BATCHES)).backward()
        _, moved = reference.center_step(centers, y, x, 0.5)
        np.testing.assert_allclose(leaf.grad, (x.numpy() - centers[y]) / len(y) / len(BATCHES), rtol=1e-5, atol=1e-6)
        centers = moved
    np.testing.assert_allclose(center.centers, centers, rtol=1e-5)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_autocast_and_grad_scaler(half: torch.dtype) -> None:
    """Half-precision features: float32 centers, one update; scaling the loss changes no step."""
    torch.manual_seed(0)
    layer, center, (y, x) = torch.nn.Linear(D, D), make(), BATCHES[0]
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    with torch.autocast("cpu", dtype=half):
        features = layer(x.float())
        assert features.dtype == half
        value = center(y, features)
    assert value.dtype == torch.float32 and center.centers.dtype == torch.float32
    values, moved = reference.center_step(np.ones((C, D)), y, features.detach().double(), 0.5)
    np.testing.assert_allclose(value.item(), values.mean(), rtol=1e-5)
    np.testing.assert_allclose(center.centers, moved, rtol=1e-6)
    scaler.scale(value).backward()
    scaler.unscale_(optimizer)
    slope = (features.detach().double() - 1).T @ x / len(y)
    np.testing.assert_allclose(layer.weight.grad, slope, rtol=2e-2, atol=2e-2)
    scaler.step(optimizer)
    np.testing.assert_allclose(center.centers, moved, rtol=1e-6)


def test_scaled_to_overflow() -> None:
    """A step that GradScaler skips has moved the centers by finite numbers: the scale is not in them."""
    center, (y, x) = make(), BATCHES[0]
    leaf = x.half().requires_grad_()
    (center(y, leaf) * 1e38).backward()
    assert not leaf.grad.isfinite().all() and center.centers.isfinite().all()
    np.testing.assert_allclose(
        center.centers, reference.center_step(np.ones((C, D)), y, x.half().double(), 0.5)[1], rtol=1e-6
    )


def test_an_average_of_a_loss_without_centers() -> None:
    """torch cannot copy centers into a copy without any; the first batch says what to do, at the user's line."""
    y, x = BATCHES[0]
    for how in ({}, {"num_classes": C}):
        model = torch.nn.Sequential(multiloss.get("center", backend="torch", **how))
        average = torch.optim.swa_utils.AveragedModel(model)
        with pytest.warns(UserWarning, match="num_classes= and feature_dim=") as caught:
            model[0](y, x)
        assert [one.filename for one in caught] == [__file__]
        with pytest.raises(RuntimeError):
            average.update_parameters(model)
    model = torch.nn.Sequential(multiloss.get("center", backend="torch", num_classes=C, feature_dim=D))
    average = torch.optim.swa_utils.AveragedModel(model)
    model[0](y, x)
    average.update_parameters(model)
    assert torch.equal(average.module[0].centers, model[0].centers)
    resumed = multiloss.get("center", backend="torch")
    copied = copy.deepcopy(resumed)
    for one in (resumed, copied):  # each with its checkpoint: a warning would be an error here
        one.load_state_dict({"centers": torch.zeros(C, D)})
    resumed(y, x)
    alone = multiloss.get("center", backend="torch")
    del model, average
    alone(y, x)  # nothing else has its number: a warning would be an error here

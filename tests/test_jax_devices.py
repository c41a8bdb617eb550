"""Center loss over devices and processes: one table, the one of a single device fed the whole batch."""

from __future__ import annotations

import socket
from typing import Any

import jax
import numpy as np
import pytest

import multiloss
from helpers import groups
from helpers.groups import D, device_batch
from helpers.processes import run, same_everywhere

Ranks = list[dict[str, Any]]


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two processes"])
def ranks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ranks:
    """What each process kept; 4 devices in all."""
    folder = tmp_path_factory.mktemp("devices")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    return run("jax_devices", request.param, folder, address, timeout=240, JAX_PLATFORMS="cpu")


def on_one_device(classes: int, masked: bool, **options: Any) -> tuple[Any, Any]:
    """The last value and the centers after three steps."""
    center = groups.made("jax", classes, D, **options)
    for seed in range(3):
        y, x, mask = device_batch(classes, seed)
        value = center(y, x, mask=mask if masked else None)
    return value, center.centers


CASES = groups.CENTER + groups.FAMILY


@pytest.mark.parametrize(("name", "classes", "options"), CASES, ids=[case[0] for case in CASES])
def test_axis_name(ranks: Ranks, name: str, classes: int, options: dict[str, Any]) -> None:
    """Under `jax.shard_map`, a device's batch each, with masks of different lengths."""
    _, centers = on_one_device(classes, True, **options)
    np.testing.assert_allclose(same_everywhere(ranks, f"{name} centers"), centers, rtol=1e-6, atol=1e-6)


MESHES = ["", "explicit "] if hasattr(jax.sharding, "auto_axes") else [""]


@pytest.mark.parametrize("mesh", MESHES, ids=lambda mesh: mesh or "auto")
@pytest.mark.parametrize("how", ["replicated", "by class"])
@pytest.mark.parametrize(("name", "classes", "options"), CASES, ids=[case[0] for case in CASES])
def test_sharded_arrays(ranks: Ranks, name: str, classes: int, options: dict[str, Any], how: str, mesh: str) -> None:
    """Under plain `jit`, the batch sharded, the centers replicated or sharded by class; over axes of type Explicit by
    the pure step alone, with a mask and the gradient, placed as the arguments."""
    key = f"{mesh}{name} {how}"
    if how == "by class" and classes == 3:
        assert f"{key} centers" not in ranks[0]  # 3 classes (1 radius) are not 4 devices' to share
        return
    one = groups.made("jax", classes, **options)
    for seed in range(3):
        y, x, mask = device_batch(classes, seed)
        value, gradient = one.value_and_grad(y, x, mask=mask if mesh else None)
    for what, expected in {"value": value, "centers": one.centers, **({"gradient": gradient} if mesh else {})}.items():
        np.testing.assert_allclose(same_everywhere(ranks, f"{key} {what}"), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.skipif(not hasattr(jax.sharding, "auto_axes"), reason="this JAX has no auto_axes")
def test_the_object_on_explicit_axes(ranks: Ranks) -> None:
    if len(ranks) > 1:  # several processes have the pure step only
        assert "explicit object centers" not in ranks[0]
        return
    one = groups.made("jax", 3, D)
    for seed in range(3):
        _, gradient = one.value_and_grad(*device_batch(3, seed)[:2])
    np.testing.assert_allclose(ranks[0]["explicit object centers"], one.centers, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(ranks[0]["explicit object gradient"], gradient, rtol=1e-6, atol=1e-6)


def test_flax_on_a_sharded_batch(ranks: Ranks) -> None:
    value, centers = on_one_device(3, False)
    np.testing.assert_allclose(same_everywhere(ranks, "flax value"), value, rtol=1e-6)
    np.testing.assert_allclose(same_everywhere(ranks, "flax centers"), centers, rtol=1e-6, atol=1e-6)


def test_what_axis_name_refuses() -> None:
    center = multiloss.get("center", backend="jax", num_classes=3, feature_dim=D, axis_name="batch")
    with pytest.raises(RuntimeError, match=r"pure step inside jax\.shard_map"):
        center(*device_batch(3, 0)[:2])
    assert multiloss.get(**center.config()).config() == center.config() and center.config()["axis_name"] == "batch"
    for wrong in ("", 3, ["a", 1], []):
        with pytest.raises(ValueError, match="axis_name must be a name or a tuple of names"):
            multiloss.get("center", backend="jax", axis_name=wrong)
    for backend, options in (("numpy", {"axis_name": "batch"}), ("jax", {"process_group": False})):
        with pytest.raises(ValueError, match="is an option of the"):
            multiloss.get("center", backend=backend, **options)

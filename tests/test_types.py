"""The stub that type checkers read, and losses by a name that only the running program knows. What the checkers see is
tested by themselves: tests/typing, in the tox environment `types`."""

import json
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import multiloss
import multiloss.typing as types
from helpers.arrays import to_numpy

SCRIPT = Path(__file__).parents[1] / "scripts" / "make_types.py"
TARGETS, SCORES = np.array([0.0, 3.0]), np.array([4.0, 3.0])


def soft_abs(xp: Any, y_true: Any, y_pred: Any, *, epsilon: float = 1e-3) -> Any:
    return xp.sqrt((y_pred - y_true) ** 2 + epsilon**2)


def test_the_stub_is_what_the_registry_says() -> None:
    """In a process of its own, whose registry no test has changed."""
    done = subprocess.run([sys.executable, "-P", SCRIPT, "--check"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    in_checkout = SCRIPT.parents[1] / "multiloss" / "typing.pyi"
    assert Path(multiloss.__file__).with_name("typing.pyi").read_bytes() == in_checkout.read_bytes()


def test_the_names_are_there_when_a_program_runs() -> None:
    """For libraries that read annotations."""
    names = typing.get_args(types.LossName)
    assert {"huber", "mse", "mean_squared_error", "center", "center_loss", "arcface"} < {*names}
    assert typing.get_args(types.BackendName) == ("numpy", "torch", "tensorflow", "jax", "keras")
    assert "huber" not in typing.get_args(types.Alias)
    for name in typing.get_args(types.Alias):
        assert multiloss.get(name, backend="numpy").config()["name"] in names


def test_the_classes_of_a_backend(backend: str) -> None:
    loss = multiloss.get("huber", backend=backend)
    center = multiloss.get("center", backend=backend, num_classes=2, feature_dim=2)
    assert type(loss) is getattr(types, f"{backend.title()}Loss")
    assert type(center) is getattr(types, f"{backend.title()}Center")
    assert isinstance(multiloss.get("huber"), types.Loss)


def test_a_class_that_is_none() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'TorhcLoss'"):
        types.TorhcLoss  # noqa: B018


def test_get_by_name(backend: str) -> None:
    name = "".join(["hub", "er"])
    loss = multiloss.get_by_name(name, backend=backend, delta=2.0)
    assert loss == multiloss.get("huber", backend=backend, delta=2.0)
    with pytest.raises(ValueError, match="unknown loss 'hubre'.*huber"):
        multiloss.get_by_name("hubre", backend=backend)


def test_from_config(backend: str) -> None:
    loss = multiloss.get("huber", backend=backend, delta=2.0, reduction="sum")
    config = json.loads(json.dumps(loss.config()))
    assert multiloss.from_config(config) == multiloss.get(**config) == loss
    on_numpy = multiloss.from_config(config, backend="numpy")
    assert float(on_numpy(TARGETS, SCORES)) == 3.0  # the mean of 2 * (4 - 2 / 2) and 0
    assert config["backend"] == backend
    center = multiloss.get("center", backend=backend, num_classes=3, feature_dim=2, alpha=0.25)
    assert multiloss.from_config(center.config()).config() == center.config()


@pytest.mark.parametrize(("config", "told"), [({}, "got nothing"), ({"delta": 2.0}, "got 'delta'")])
def test_a_config_without_a_name(config: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=rf"the 'name' of a loss, {told}"):
        multiloss.from_config(config)


@pytest.mark.usefixtures("own_registry")
def test_get_takes_what_register_gives(backend: str) -> None:
    registered = multiloss.register("soft_abs_of_types")(soft_abs)
    loss = multiloss.get(registered, backend=backend, epsilon=3.0)
    assert loss == multiloss.get("soft_abs_of_types", backend=backend, epsilon=3.0)
    np.testing.assert_allclose(to_numpy(loss(TARGETS, SCORES)), 4.0, rtol=1e-6)  # (sqrt(16 + 9) + 3) / 2


@pytest.mark.usefixtures("own_registry")
def test_get_refuses_a_definition_that_was_replaced() -> None:
    old = multiloss.register("soft_abs_of_types")(soft_abs)
    multiloss.register("soft_abs_of_types", replace=True)(soft_abs)
    with pytest.raises(ValueError, match="'soft_abs_of_types' is no longer registered as this loss"):
        multiloss.get(old)

"""JAX as it comes, without float64: the other tests switch x64 on."""

import os
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import multiloss
from helpers.calls import calls
from helpers.losses import check_gradient, check_value, make
from reference.cases import fixed
from reference.losses import LOSSES, SPARSE

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:  # JAX 0.6
    from jax.experimental import enable_x64


@pytest.mark.filterwarnings("ignore:.*absolute value.*")
@pytest.mark.parametrize("name", LOSSES)
def test_without_x64(name: str) -> None:
    """Value and gradient, also of data that NumPy made in double precision."""
    with enable_x64(False):
        case = fixed(name, "float32")
        loss = make("jax", name, "float32", **case.options)
        y_true = jnp.asarray(case.y_true) if name == SPARSE else jnp.asarray(case.y_true, jnp.float32)
        value, gradient = loss.value_and_grad(y_true, np.asarray(case.y_pred, np.float64))
        assert value.dtype == gradient.dtype == jnp.float32
        check_value(name, case, "float32", np.asarray(value))
        check_gradient(name, case, "float32", np.asarray(gradient))
        assert jax.jit(jax.grad(lambda p: loss(y_true, p)))(jnp.asarray(case.y_pred, jnp.float32)).dtype == jnp.float32


def test_center_loss_without_x64() -> None:
    with enable_x64(False):
        center = multiloss.get("center", backend="jax", num_classes=3, feature_dim=1)
        center(np.array([0, 0]), np.array([[1.0], [3.0]]))
        value, state = jax.jit(center.step)(center.init_state(), jnp.array([0, 0]), jnp.array([[1.0], [3.0]]))
        assert value == 2.5 and state["centers"].dtype == jnp.float32
        np.testing.assert_allclose(center.centers[:, 0], [2 / 3, 0, 0], rtol=1e-6)
        np.testing.assert_allclose(state["centers"][:, 0], [2 / 3, 0, 0], rtol=1e-6)


@pytest.mark.parametrize(("name", "options", "inputs"), list(calls(True)))
def test_products_keep_all_digits(name: str, options: dict[str, Any], inputs: dict[str, Any]) -> None:
    """On a GPU or TPU as on the CPU: the default precision of a matrix product there is a third of the digits."""
    loss = multiloss.get(name, backend="jax", validate=False, **options)
    arrays = [jnp.asarray(x, jnp.float32 if x.dtype.kind == "f" else None) for x in inputs.values()]
    real = tuple(i for i, x in enumerate(inputs.values()) if x.dtype.kind == "f")

    def call(*arrays: Any) -> Any:
        return loss(**dict(zip(inputs, arrays, strict=True)))

    text = jax.jit(jax.value_and_grad(call, real)).lower(*arrays).as_text()
    products = [line for line in text.splitlines() if "dot_general" in line]
    assert all("precision = [HIGHEST, HIGHEST]" in line for line in products), products
    if name in ("ntxent", "linear_cross_entropy"):
        assert products


def test_a_chosen_precision_of_products_is_kept() -> None:
    x = jnp.ones((4, 3), jnp.float32)
    with jax.default_matmul_precision("bfloat16"):
        text = jax.jit(multiloss.get("ntxent", backend="jax")).lower(jnp.array([0, 0, 1, 1]), x).as_text()
    assert "dot_general" in text and "HIGHEST" not in text


def test_losses_start_no_devices() -> None:
    """`jax.distributed.initialize` and the number of devices can be chosen after the import and `multiloss.get`."""
    code = """
import jax, multiloss
loss = multiloss.get("mse", backend="jax")
multiloss.get("center", backend="jax", num_classes=3)
jax.config.update("jax_num_cpu_devices", 2)  # an error once there are devices
assert jax.device_count() == 2
assert loss.value_and_grad([1.0], [3.0])[0] == 4
"""
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment | {"JAX_PLATFORMS": "cpu"})


def test_a_first_call_under_jit_or_a_transfer_guard() -> None:
    """Makes no array, and leaves nothing of the trace for later calls."""
    code = """
import jax, jax.numpy as jnp, multiloss
loss = multiloss.get("mse", backend="jax")
y, p = jnp.ones((4, 3)), jnp.zeros((4, 3))
assert jax.jit(lambda a, b: loss(a, b))(y, p) == 1
loss(y, p)
assert loss._is_like_before(y, p)
with jax.transfer_guard("disallow"):
    value, (again, gradient) = loss(y, p), loss.value_and_grad(y, p)
assert value == again == 1 and gradient.shape == (4, 3)
"""
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"JAX_PLATFORMS": "cpu"})

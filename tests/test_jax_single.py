"""JAX as it comes, without float64: the other tests switch x64 on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import multiloss
from reference.cases import fixed
from reference.losses import LOSSES, SPARSE
from test_losses import check_gradient, check_value, make


@pytest.mark.filterwarnings("ignore:.*absolute value.*")
@pytest.mark.parametrize("name", LOSSES)
def test_without_x64(name: str) -> None:
    """Value and gradient, also of data that NumPy made in double precision."""
    with jax.enable_x64(False):
        case = fixed(name, "float32")
        loss = make("jax", name, "float32", **case.options)
        y_true = jnp.asarray(case.y_true) if name == SPARSE else jnp.asarray(case.y_true, jnp.float32)
        value, gradient = loss.value_and_grad(y_true, np.asarray(case.y_pred, np.float64))
        assert value.dtype == gradient.dtype == jnp.float32
        check_value(name, case, "float32", np.asarray(value))
        check_gradient(name, case, "float32", np.asarray(gradient))
        assert jax.jit(jax.grad(lambda p: loss(y_true, p)))(jnp.asarray(case.y_pred, jnp.float32)).dtype == jnp.float32


def test_center_loss_without_x64() -> None:
    with jax.enable_x64(False):
        center = multiloss.get("center", backend="jax", num_classes=3, feature_dim=1)
        center(np.array([0, 0]), np.array([[1.0], [3.0]]))
        value, state = jax.jit(center.step)(center.init_state(), jnp.array([0, 0]), jnp.array([[1.0], [3.0]]))
        assert value == 2.5 and state["centers"].dtype == jnp.float32
        np.testing.assert_allclose(center.centers[:, 0], [2 / 3, 0, 0], rtol=1e-6)
        np.testing.assert_allclose(state["centers"][:, 0], [2 / 3, 0, 0], rtol=1e-6)

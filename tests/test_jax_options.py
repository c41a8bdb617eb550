"""Options of Optax losses are often traced: on JAX a number may be given at the call, and then has a derivative."""

import functools
from typing import Any

import numpy as np
import pytest

import multiloss

pytestmark = pytest.mark.only("jax")

TRUE, PRED = [0.0, 1.0, 2.0], [0.5, 3.0, -2.5]
OPTIONS = {
    "huber_loss": {"delta": 0.7},
    "sigmoid_focal_loss": {"alpha": 0.3},
    "poly_loss_cross_entropy": {"epsilon": 1.5},
}


def arrays(name: str) -> tuple[Any, Any]:
    import jax.numpy as jnp

    true = [0.0, 1.0, 0.0] if name != "huber_loss" else TRUE
    return jnp.array(true), jnp.array(PRED)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_traced_option_of_a_ported_loss(backend: str, name: str) -> None:
    """Value and derivative by the option are those of Optax, under jit and grad."""
    import jax
    import optax

    ((option, number),) = OPTIONS[name].items()
    true, pred = arrays(name)
    theirs = functools.partial(getattr(optax.losses, name), pred, true)
    form = f"optax.losses.{name}({option}={number})" if name == "sigmoid_focal_loss" else f"optax.losses.{name}"
    ours = functools.partial(multiloss.port(form, to="jax", **_targets(name)), true, pred)
    ours_called = {"epsilon": "poly_epsilon"}.get(option, option)

    def both(loss: Any, named: str) -> Any:
        return jax.jit(jax.value_and_grad(lambda x: loss(**{named: x}).sum()))(number)

    np.testing.assert_allclose(both(ours, ours_called), both(theirs, option), rtol=2e-6)


def _targets(name: str) -> dict[str, str]:
    return {"targets": "probabilities"} if name == "poly_loss_cross_entropy" else {}


def test_a_number_at_the_call(backend: str) -> None:
    """It replaces the option for this call alone, and is checked: |1 - 3| of delta 0.5 is 0.5 (2 - 0.25)."""
    import jax.numpy as jnp

    loss = multiloss.get("huber", backend="jax", axis=(), reduction="none")
    for half in (0.5, jnp.float32(0.5)):
        np.testing.assert_allclose(loss(jnp.array([1.0]), jnp.array([3.0]), delta=half), [0.875])
        assert loss(jnp.array([1.0]), jnp.array([3.0])) == 1.5  # that of delta 1
    for wrong in (-1.0, jnp.float32(-1.0)):
        with pytest.raises(ValueError, match="delta must be positive, got -1"):
            loss(jnp.array([1.0]), jnp.array([3.0]), delta=wrong)


def test_what_cannot_be_traced(backend: str) -> None:
    """A number that decides between formulas, an array, and one that `get` would have to keep."""
    import jax
    import jax.numpy as jnp

    loss = multiloss.get("binary_focal_crossentropy", backend="jax", from_logits=True)
    call = jax.jit(lambda gamma: loss(jnp.zeros(2), jnp.ones(2), gamma=gamma))
    with pytest.raises(TypeError, match="gamma of binary_focal_crossentropy decides which formula"):
        call(2.0)
    with pytest.raises(TypeError, match="gamma must be one real number, got a traced array of float"):
        call(jnp.ones(2))
    with pytest.raises(TypeError, match=r"delta must be a number.*given at the call: loss\(y_true, y_pred, delta="):
        jax.jit(lambda delta: multiloss.get("huber", backend="jax", delta=delta)(0.0, 1.0))(2.0)

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
    "cosine_similarity": {"epsilon": 12.0},
}
GAMMA = {"sigmoid_focal_loss": {"gamma": 1.5}}


def arrays(name: str) -> tuple[Any, Any]:
    import jax.numpy as jnp

    true = TRUE if name in ("huber_loss", "cosine_similarity") else [0.0, 1.0, 0.0]
    return jnp.array(true), jnp.array(PRED)


@pytest.mark.parametrize(
    ("name", "option", "number"), [(name, *pair) for of in (OPTIONS, GAMMA) for name in of for pair in of[name].items()]
)
def test_a_traced_option_of_a_ported_loss(backend: str, name: str, option: str, number: float) -> None:
    """Value and derivative by the option are those of Optax, under jit and grad."""
    import jax
    import optax

    true, pred = arrays(name)
    theirs = functools.partial(getattr(optax.losses, name), pred, true)
    written = option == "alpha" or name == "cosine_similarity"  # by default they have another formula
    form = f"optax.losses.{name}({option}={number})" if written else f"optax.losses.{name}"
    ours = functools.partial(multiloss.port(form, to="jax", **_targets(name)), true, pred)
    ours_called = "poly_epsilon" if name == "poly_loss_cross_entropy" else option

    def both(loss: Any, named: str) -> Any:
        return jax.jit(jax.value_and_grad(lambda x: loss(**{named: x}).sum()))(number)

    np.testing.assert_allclose(both(ours, ours_called), both(theirs, option), rtol=2e-6)


def _targets(name: str) -> dict[str, str]:
    return {"targets": "probabilities"} if name == "poly_loss_cross_entropy" else {}


def test_a_number_at_the_call(backend: str) -> None:
    """It replaces the option for this call alone, and is checked: |1 - 3| of delta 0.5 is 0.5 (2 - 0.25)."""
    import jax
    import jax.numpy as jnp

    loss = multiloss.get("huber", backend="jax", axis=(), reduction="none")
    for half in (0.5, jnp.float32(0.5)):
        np.testing.assert_allclose(loss(jnp.array([1.0]), jnp.array([3.0]), delta=half), [0.875])
    np.testing.assert_allclose(jax.jit(lambda delta: loss(jnp.array([1.0]), jnp.array([3.0]), delta=delta))(1), [1.5])
    of_logits = multiloss.get("bce", backend="jax", from_logits=True)
    for smoothing in (0.0, jnp.float32(0.0)):  # 0 has another formula: known numbers may decide
        value = of_logits(jnp.ones(2), jnp.zeros(2), label_smoothing=smoothing)
        np.testing.assert_allclose(value, np.log(2), rtol=1e-6)
        assert loss(jnp.array([1.0]), jnp.array([3.0])) == 1.5  # that of delta 1
    for wrong in (-1.0, jnp.float32(-1.0)):
        with pytest.raises(ValueError, match="delta must be positive, got -1"):
            loss(jnp.array([1.0]), jnp.array([3.0]), delta=wrong)


def test_what_cannot_be_traced(backend: str) -> None:
    """A number that decides between formulas, an array, no real number, and one that `get` would keep."""
    import jax
    import jax.numpy as jnp

    loss = multiloss.get("binary_focal_crossentropy", backend="jax", from_logits=True)
    half = jnp.float32(0.5)
    call = jax.jit(lambda **options: loss(jnp.zeros(2), jnp.ones(2), alpha=half, **options))
    with pytest.raises(TypeError, match="^label_smoothing of binary_focal_crossentropy decides which formula"):
        call(label_smoothing=0.1)
    with pytest.raises(TypeError, match="one number for which any real one would do; gamma got float"):
        call(gamma=jnp.ones(2))
    sparse = multiloss.get("scce", backend="jax")
    for label in (1, 1.0):
        with pytest.raises(TypeError, match="ignore_index got"):
            jax.jit(lambda label: sparse(jnp.array([1]), jnp.array([[0.5, 0.5]]), ignore_index=label))(label)
    with pytest.raises(TypeError, match="'delta'; it is an option, given to multiloss.get"):
        multiloss.get("huber", backend="jax").value_and_grad(jnp.zeros(2), jnp.ones(2), delta=0.5)
    with pytest.raises(TypeError, match=r"delta must be a number.*given at the call: loss\(y_true, y_pred, delta="):
        jax.jit(lambda delta: multiloss.get("huber", backend="jax", delta=delta)(0.0, 1.0))(2.0)


def test_a_floor_that_logits_do_not_have(backend: str) -> None:
    """Optax calls another number so, which would be lost."""
    import jax.numpy as jnp

    ported = multiloss.port("optax.losses.poly_loss_cross_entropy", to="jax", targets="probabilities")
    with pytest.raises(TypeError, match="of logits it has none; the coefficient of the polynomial is called poly_eps"):
        ported(jnp.eye(2), jnp.eye(2), epsilon=1.0)
    with pytest.raises(TypeError, match="of logits it has none$"):
        multiloss.get("bce", "jax", from_logits=True)(jnp.ones(2), jnp.ones(2), epsilon=0.1)
    np.testing.assert_allclose(multiloss.get("bce", "jax")(jnp.ones(2), jnp.zeros(2), epsilon=0.1), -np.log(0.1), 1e-6)


def test_an_error_of_the_loss_itself(backend: str, own_registry: None) -> None:
    """A function that looks at its arrays fails as it does without options at the call."""
    import jax
    import jax.numpy as jnp

    multiloss.register("looks")(lambda xp, y_true, y_pred, *, k=2.0: k * y_pred if y_pred.sum() > 0 else y_true)
    with pytest.raises(jax.errors.ConcretizationTypeError):
        multiloss.get("looks", backend="jax")(jnp.zeros(2), jnp.ones(2), k=1.0)

"""Center loss and what JAX has of its own: transformations, copies, Flax."""

import copy
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import multiloss
import reference

C, D = 4, 2
LABELS = np.array([0, 2, 2, 1])
FEATURES = np.array([[1, 2], [3, -1], [1, 0], [0.5, 4]], np.float32)
VALUES, MOVED = reference.center_step(np.zeros((C, D)), LABELS, FEATURES, 0.5)


def close(got: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-6)


def make(**options: Any) -> Any:
    return multiloss.get("center", backend="jax", num_classes=C, feature_dim=D, **options)


def test_tracers_are_named_and_leave_the_centers() -> None:
    center, y, x = make(), jnp.asarray(LABELS), jnp.asarray(FEATURES)
    for transformed, said in (
        (lambda: jax.jit(center)(y, x), "labels and features are traced"),
        (lambda: jax.grad(lambda x: center(y, x))(x), "features is traced"),
        (lambda: jax.vmap(center)(y[:, None], x[:, None]), "labels and features are traced"),
        (lambda: jax.jit(lambda m: center(y, x, mask=m))(y == 0), "mask is traced"),
        (lambda: jax.jit(center.value_and_grad)(y, x), "labels and features are traced"),
        (lambda: jax.jit(center.update)(y, x), "labels and features are traced"),
        (lambda: jax.jit(lambda a: a + center(y, x))(1.0), "the center loss is traced"),  # of constants
    ):
        with pytest.raises(RuntimeError, match=f"{said}.*init_state.*step"):
            transformed()
    close(center.centers, np.zeros((C, D)))


def test_copies_have_tables_of_their_own() -> None:
    center = make(centers_init="normal")
    center(LABELS, FEATURES)
    before = np.array(center.centers)
    for copied in (copy.copy(center), copy.deepcopy(center)):
        copied(LABELS, FEATURES)
        np.testing.assert_array_equal(center.centers, before)
    center(LABELS, FEATURES)
    np.testing.assert_array_equal(copied.centers, center.centers)
    assert copy.copy(make()).centers.shape == (C, D)


def test_transforms_the_pure_core() -> None:
    center, y, x = make(), jnp.asarray(LABELS), jnp.asarray(FEATURES)
    state = center.init_state()
    (value, new), gradient = jax.jit(
        jax.value_and_grad(lambda x, s: center.step(s, y, x), has_aux=True)
    )(x, state)  # fmt: skip
    close(value, VALUES.mean())
    close(new["centers"], MOVED)
    close(gradient, FEATURES / 4)
    by_state = jax.grad(lambda s: center.step(s, y, x)[0])(state)
    assert not by_state["centers"].any()  # centers get no gradient

    last, values = jax.lax.scan(lambda s, x: center.step(s, y, x)[::-1], state, jnp.stack([x, x]))
    again, twice = reference.center_step(MOVED, LABELS, FEATURES, 0.5)
    close(values, [VALUES.mean(), again.mean()])
    close(last["centers"], twice)

    many = {"centers": jnp.stack([state["centers"], jnp.asarray(MOVED, state["centers"].dtype)])}
    value, new = jax.vmap(lambda s: center.step(s, y, x))(many)
    close(value, [VALUES.mean(), again.mean()])
    close(new["centers"], [MOVED, twice])


def test_labels_that_cannot_be_read() -> None:
    center = make(reduction="none")
    value, state = jax.jit(center.step)(center.init_state(), np.array([0, 9, 2, -1]), FEATURES)
    np.testing.assert_array_equal(np.isnan(value), [False, True, False, True])
    assert not np.asarray(state["centers"]).any()


def test_flax() -> None:
    from flax import nnx

    import multiloss.flax

    center = multiloss.flax.CenterLoss(num_classes=C, feature_dim=D)
    assert not nnx.state(center, nnx.Param) and len(nnx.state(center)) == 1

    @nnx.jit
    def step(center: Any, y: Any, x: Any) -> Any:
        return nnx.value_and_grad(lambda center, x: center(y, x), argnums=1)(center, x)

    value, gradient = step(center, LABELS, FEATURES)
    close(value, VALUES.mean())
    close(gradient, FEATURES / 4)
    close(center.centers[...], MOVED)
    center.eval()
    step(center, LABELS, FEATURES)
    center(LABELS, FEATURES)
    close(center.centers[...], MOVED)
    center.train()
    center(LABELS, FEATURES, training=False)
    close(center.centers[...], MOVED)
    center.update(LABELS, FEATURES)
    close(center.centers[...], reference.center_step(MOVED, LABELS, FEATURES, 0.5)[1])

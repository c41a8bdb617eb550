"""`triplet` holds arrays of B x B and B x D numbers, never of B x B x D (torch: `test_torch_pairwise.py`)."""

import tracemalloc

import numpy as np
import pytest

import multiloss
from arrays import to_native

BATCH, DIM = 64, 512
LABELS = np.arange(BATCH) // 4
X = np.random.default_rng(0).normal(size=(BATCH, DIM))


@pytest.mark.only("numpy")
def test_numpy(backend: str) -> None:
    loss = multiloss.get("triplet", backend=backend)
    loss.value_and_grad(LABELS, X)  # what is made once
    tracemalloc.start()
    loss.value_and_grad(LABELS, X)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert X.nbytes <= most < BATCH * X.nbytes / 4


@pytest.mark.only("jax")
@pytest.mark.parametrize("order", [1, 2])
def test_jax(backend: str, order: int) -> None:
    import jax

    labels, x = (to_native(backend, a) for a in (LABELS, X))
    loss = multiloss.get("triplet", backend=backend)

    def gradient(x: jax.Array) -> jax.Array:
        return jax.grad(lambda x: loss(labels, x))(x)

    function = gradient if order == 1 else lambda x: jax.jvp(gradient, (x,), (x,))[1]
    used = jax.jit(function).lower(x).compile().memory_analysis().temp_size_in_bytes
    assert used < BATCH * X.nbytes / 4


@pytest.mark.only("tensorflow")
def test_tensorflow(backend: str) -> None:
    import tensorflow as tf

    labels, x = (to_native(backend, a) for a in (LABELS, X))
    loss = multiloss.get("triplet", backend=backend)

    @tf.function
    def gradient(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = loss(labels, x)
        return tape.gradient(value, x)

    operations = gradient.get_concrete_function(x).graph.get_operations()
    sizes = [out.shape.num_elements() or 0 for one in operations for out in one.outputs]
    assert X.size <= max(sizes) <= 2 * X.size

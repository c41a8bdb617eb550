"""Distances within a batch hold B x B and B x D numbers, never B x B x D (torch: `test_torch_pairwise.py`);
and what takes the place of loops over rows on an accelerator."""

import tracemalloc

import numpy as np
import pytest

import multiloss
from helpers.arrays import to_native, to_numpy
from multiloss.engine import dispatch

BATCH, DIM = 64, 512
LABELS = np.arange(BATCH) // 4
X = np.random.default_rng(0).normal(size=(BATCH, DIM))


@pytest.mark.only("numpy")
def test_memory_on_numpy(backend: str) -> None:
    loss = multiloss.get("triplet", backend=backend)
    loss.value_and_grad(LABELS, X)  # what is made once
    tracemalloc.start()
    loss.value_and_grad(LABELS, X)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert X.nbytes <= most < BATCH * X.nbytes / 4


@pytest.mark.only("jax")
@pytest.mark.parametrize("order", [1, 2])
def test_memory_on_jax(backend: str, order: int) -> None:
    import jax

    labels, x = (to_native(backend, a) for a in (LABELS, X))
    loss = multiloss.get("triplet", backend=backend)

    def gradient(x: jax.Array) -> jax.Array:
        return jax.grad(lambda x: loss(labels, x))(x)

    function = gradient if order == 1 else lambda x: jax.jvp(gradient, (x,), (x,))[1]
    used = jax.jit(function).lower(x).compile().memory_analysis().temp_size_in_bytes
    assert used < BATCH * X.nbytes / 4


@pytest.mark.only("tensorflow")
def test_memory_on_tensorflow(backend: str) -> None:
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


@pytest.mark.only("jax", "tensorflow")
@pytest.mark.parametrize("accelerator", [False, True])
def test_by_row_or_all_rows_at_once(backend: str, accelerator: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    be = dispatch.backend(backend)
    if accelerator and backend == "jax":
        monkeypatch.setattr("jax.default_backend", lambda: "gpu")
    elif accelerator:
        monkeypatch.setattr(be.ops, "_accelerators", lambda: True)
    rng = np.random.default_rng(0)
    x, factor = rng.normal(size=(5, 70)), rng.normal(size=(5, 5))
    gaps = x[:, None] - x
    found = be.xp.pair_squares(to_native(backend, x))
    np.testing.assert_allclose(to_numpy(found), np.einsum("ijd,ijd->ij", gaps, gaps), rtol=1e-12)
    found = be.xp.pair_gaps(to_native(backend, x), to_native(backend, factor))
    np.testing.assert_allclose(to_numpy(found), np.einsum("ij,ijd->id", factor, gaps), rtol=1e-10)

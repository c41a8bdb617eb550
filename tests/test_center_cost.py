"""The cost of a step grows with the batch, never with the number of classes: nothing as long as the table is made."""

from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import to_native, to_numpy

C, D, N = 200_003, 4, 5  # a prime that nothing else has as its length
LABELS = np.array([0, 7, 7, C - 1, 3])
FEATURES = np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)


def make(backend: str) -> Any:
    return multiloss.get("center", backend=backend, num_classes=C, feature_dim=D)


@pytest.mark.only("numpy")
def test_numpy(backend: str) -> None:
    import tracemalloc

    center = make(backend)
    center(LABELS, FEATURES)
    tracemalloc.start()
    try:
        center(LABELS, FEATURES)
        center.value_and_grad(LABELS, FEATURES)
        center.update(LABELS, FEATURES)
        assert tracemalloc.get_traced_memory()[1] < C  # bytes
    finally:
        tracemalloc.stop()
    assert center.centers[[0, 7, C - 1, 3]].all() and np.count_nonzero(center.centers) == 4 * D


@pytest.mark.only("torch")
def test_torch_makes_no_tensor_as_long_as_the_table(backend: str) -> None:
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    made = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = function(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor) and out.numel() >= C and out is not args[0]:
                made.append(str(function))
            return out

    center, x = make(backend), torch.from_numpy(FEATURES).requires_grad_()
    where = center.centers.data_ptr()
    with Watch():
        center(torch.from_numpy(LABELS), x).backward()
        center.value_and_grad(torch.from_numpy(LABELS), x)
        center.update(torch.from_numpy(LABELS), x.detach())
        assert not [name for name in made if "detach" not in name and "alias" not in name], made
        torch.zeros(C)  # the watch sees what is there to be seen
        assert made
    assert center.centers.data_ptr() == where and int(center.centers.count_nonzero()) == 4 * D


@pytest.mark.only("jax")
def test_jax_puts_rows_into_a_donated_table_in_place(backend: str) -> None:
    import jax

    center = make(backend)
    step = jax.jit(jax.value_and_grad(lambda x, s, y: center.step(s, y, x), has_aux=True), donate_argnums=1)
    state = center.init_state()
    text = step.lower(FEATURES, state, LABELS).compile().as_text()
    large = [line for line in text.splitlines() if f"f32[{C},{D}]" in line.split("=")[-1].split("(")[0]
             or f"f64[{C},{D}]" in line.split("=")[-1].split("(")[0]]  # fmt: skip
    assert not [line for line in large if " copy(" in line or "broadcast(" in line or " add(" in line], large
    assert "input_output_alias" in text
    _, gradient = step(FEATURES, state, LABELS)
    assert state["centers"].is_deleted() and gradient.shape == FEATURES.shape
    (_, state), _ = step(FEATURES, center.init_state(), LABELS)
    assert int((state["centers"] != 0).sum()) == 4 * D


def test_a_table_of_zeros_is_made_by_the_framework(backend: str) -> None:
    import tracemalloc

    make(backend)  # imports
    tracemalloc.start()
    try:
        center = make(backend)
        made = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert made < C * D + (C * D * 8 if backend == "numpy" else 0)  # bytes; NumPy's is the table
    assert center.centers.shape == (C, D) and not np.asarray(to_numpy(center.centers)).any()


@pytest.mark.only("jax")
def test_jax_makes_a_table_when_it_is_asked_for(backend: str) -> None:
    """The pure step has the state alone, not beside a table that the object never uses."""
    import jax

    def tables() -> int:
        return sum(x.shape == (C, D) for x in jax.live_arrays())

    before, center = tables(), make(backend)
    state = center.init_state()
    jax.jit(center.step)(state, LABELS, FEATURES)
    assert tables() == before + 1
    for _ in range(3):  # the object has two, so that one is whole wherever a step is interrupted
        center(LABELS, FEATURES)
        assert tables() == before + 3
    asked = make(backend)
    jax.jit(lambda x: x + asked.centers[0])(FEATURES)  # asked for inside a trace, it is no part of it
    asked(LABELS, FEATURES)
    assert int((asked.centers != 0).sum()) == 4 * D


@pytest.mark.only("jax")
def test_jax_object_writes_rows_into_its_second_table_in_place(backend: str) -> None:
    import jax.numpy as jnp

    from multiloss_jax.center import _compiled

    center = make(backend)
    table, lag = center.centers, jnp.zeros(4, jnp.int64)
    arguments = table, jnp.array(table), lag, jnp.asarray(LABELS), jnp.asarray(FEATURES), None, None
    text = _compiled(center.options, True, True, True).lower(*arguments).compile().as_text()
    made = [line.split(" = ", 1)[-1] for line in text.splitlines() if " = " in line]
    large = {line.split("(")[0].split()[-1] for line in made if line.startswith(f"f64[{C},{D}]")}
    assert "parameter" in large and not large & {"copy", "broadcast", "add", "select", "convert"}, large
    assert "input_output_alias" in text


@pytest.mark.graph
@pytest.mark.only("tensorflow")
def test_tensorflow_has_nothing_of_the_tables_length_in_a_graph(backend: str) -> None:
    import tensorflow as tf

    center = make(backend)

    @tf.function
    def step(y: Any, x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = center(y, x)
        return value, tape.gradient(value, x)

    y, x = (to_native(backend, v) for v in (LABELS, FEATURES))
    graph = step.get_concrete_function(y, x).graph
    large = [
        op.type for op in graph.get_operations() for out in op.outputs
        if out.shape.rank and out.shape[0] == C and op.type not in ("Placeholder", "ReadVariableOp")
    ]  # fmt: skip
    assert not large
    step(y, x)
    assert int(tf.math.count_nonzero(center.centers)) == 4 * D

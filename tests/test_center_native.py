"""Center loss and what each framework has of its own: transformations, compilation, modules, checkpoints."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import multiloss
import reference
from helpers import groups

C, D = 4, 2
LABELS = np.array([0, 2, 2, 1])
FEATURES = np.array([[1, 2], [3, -1], [1, 0], [0.5, 4]], np.float32)
VALUES, MOVED = reference.center_step(np.zeros((C, D)), LABELS, FEATURES, 0.5)


def close(got: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-6)


def make(backend: str, **options: Any) -> Any:
    return multiloss.get("center", backend=backend, num_classes=C, feature_dim=D, **options)


# --- JAX


@pytest.mark.only("jax")
def test_jax_tracers_are_named(backend: str) -> None:
    """The stateful call raises under every transformation, and leaves the centers."""
    import jax

    center, y, x = make("jax"), jax.numpy.asarray(LABELS), jax.numpy.asarray(FEATURES)
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


@pytest.mark.only("jax")
def test_jax_copies(backend: str) -> None:
    """A call donates its table: a copy, shallow or deep, has one of its own."""
    center = make("jax", centers_init="normal")
    center(LABELS, FEATURES)
    before = np.array(center.centers)
    for copied in (copy.copy(center), copy.deepcopy(center)):
        copied(LABELS, FEATURES)
        np.testing.assert_array_equal(center.centers, before)
    center(LABELS, FEATURES)
    np.testing.assert_array_equal(copied.centers, center.centers)
    assert copy.copy(make("jax")).centers.shape == (C, D)


@pytest.mark.only("jax")
def test_jax_transforms_the_pure_core(backend: str) -> None:
    import jax
    import jax.numpy as jnp

    center, y, x = make("jax"), jnp.asarray(LABELS), jnp.asarray(FEATURES)
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


@pytest.mark.only("jax")
def test_jax_labels_that_cannot_be_read(backend: str) -> None:
    import jax

    center = make("jax", reduction="none")
    value, state = jax.jit(center.step)(center.init_state(), np.array([0, 9, 2, -1]), FEATURES)
    np.testing.assert_array_equal(np.isnan(value), [False, True, False, True])
    assert not np.asarray(state["centers"]).any()


@pytest.mark.only("jax")
def test_flax(backend: str) -> None:
    """Under nnx.jit and nnx.value_and_grad the variable moves; no optimizer filter for parameters sees it."""
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


# --- torch


@pytest.mark.only("torch")
def test_torch_module(backend: str) -> None:
    import torch

    center = make("torch")
    assert isinstance(center, torch.nn.Module) and not list(center.parameters())
    assert list(dict(center.named_buffers())) == ["centers"] and type(center.centers) is torch.Tensor
    x = torch.tensor(FEATURES, requires_grad=True)
    center(torch.tensor(LABELS), x).backward()
    close(x.grad, FEATURES / 4)
    assert not center.centers.requires_grad and center.centers.grad_fn is None
    close(center.centers, MOVED)


@pytest.mark.only("torch")
def test_torch_checkpoints(backend: str, tmp_path: Path) -> None:
    """A module without a shape takes the checkpoint's; one with another shape refuses it, as torch does."""
    import torch

    center = make("torch")
    center(torch.tensor(LABELS), torch.tensor(FEATURES))
    torch.save(center.state_dict(), tmp_path / "center.pt")
    saved = torch.load(tmp_path / "center.pt", weights_only=True)
    for fresh in (multiloss.get("center", backend="torch"), make("torch")):
        net = torch.nn.ModuleDict({"center": fresh})
        net.load_state_dict({f"center.{key}": value for key, value in saved.items()})
        close(fresh.centers, MOVED)
    wrong = multiloss.get("center", backend="torch", num_classes=3, feature_dim=D)
    with pytest.raises(RuntimeError, match=r"size mismatch for centers.*\[4, 2\].*\[3, 2\]"):
        wrong.load_state_dict(saved)


@pytest.mark.only("torch")
def test_torch_copies(backend: str) -> None:
    import torch

    center = make("torch")
    for other in (copy.deepcopy(center), pickle.loads(pickle.dumps(center))):
        other(torch.tensor(LABELS), torch.tensor(FEATURES))
        close(other.centers, MOVED)
        assert not center.centers.any()  # nothing is shared


@pytest.mark.only("torch")
def test_torch_dtypes_and_devices(backend: str) -> None:
    import torch

    for convert in (torch.nn.Module.half, torch.nn.Module.bfloat16, lambda m: m.to(torch.float16)):
        center = make("torch", centers_init=np.full((C, D), 1 / 3))
        convert(torch.nn.Sequential(center))
        assert center.centers.dtype == torch.float32
        close(center.centers, np.full((C, D), np.float32(1 / 3)))
    assert make("torch").double().centers.dtype == torch.float64
    there = make("torch").to("meta")
    assert there.centers.device.type == there.init_state()["centers"].device.type == "meta"
    with pytest.raises(ValueError, match="features is on cpu, but the loss's table of centers is on meta; move one"):
        there(torch.tensor([0]), torch.ones(1, D))
    with pytest.raises(ValueError, match="features is on cpu, but the state's table of centers is on meta; move one"):
        there.step(there.init_state(), torch.tensor([0]), torch.ones(1, D))
    assert there([0], [[1.0] * D]).device.type == "meta"


@pytest.mark.only("torch")
def test_torch_autocast(backend: str) -> None:
    """It changes nothing about value and update."""
    import torch

    center = make("torch")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = center(torch.tensor(LABELS), torch.tensor(FEATURES))
    close(value, VALUES.mean())
    close(center.centers, MOVED)


@pytest.mark.only("torch")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of torch.compile itself
@pytest.mark.parametrize("compiler", ["aot_eager", "inductor"])
def test_torch_compile(backend: str, compiler: str) -> None:
    import torch

    torch._dynamo.reset()
    center = make("torch")
    compiled = torch.compile(center, fullgraph=True, backend=compiler)
    x = torch.tensor(FEATURES, requires_grad=True)
    value = compiled(torch.tensor(LABELS), x)
    value.backward()
    close(value.detach(), VALUES.mean())
    close(x.grad, FEATURES / 4)
    close(center.centers, MOVED)
    bad = compiled(torch.tensor([0, 9, 2, -1]), x)
    assert bad.isnan()
    close(center.centers, MOVED)
    unknown = multiloss.get("center", backend="torch")
    for _ in range(2):  # and after eager steps: a new label could not be refused any more
        with pytest.raises(Exception, match="pass num_classes"):
            torch.compile(unknown, fullgraph=True, backend="eager")(torch.tensor(LABELS), x)
        unknown(torch.tensor(LABELS), x)


@pytest.mark.only("torch")
def test_torch_without_gradients(backend: str) -> None:
    """Nothing moves, by `value_and_grad` neither."""
    import torch

    center, y, x = make("torch"), torch.tensor(LABELS), torch.tensor(FEATURES)
    with torch.no_grad():
        center(y, x)
        _, gradient = center.value_and_grad(y, x)
    close(gradient, FEATURES / 4)
    assert not center.centers.any()
    center.value_and_grad(y, x)
    close(center.centers, MOVED)


@pytest.mark.only("torch")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of torch.compile itself
@pytest.mark.parametrize("compiler", ["aot_eager", "aot_eager_decomp_partition"])
@pytest.mark.parametrize(("name", "classes", "options"), groups.CENTER[::2] + groups.FAMILY)
def test_torch_compiled_gradients(
    backend: str, name: str, classes: int, options: dict[str, Any], compiler: str
) -> None:
    """Of the centers before the step: a compiled backward pass that reads the buffer again finds the moved ones."""
    import torch

    torch._dynamo.reset()
    eager, compiled = (groups.made("torch", classes, 2, **options) for _ in range(2))
    run = torch.compile(compiled, fullgraph=True, backend=compiler)
    for first in (1.0, -3.0, np.nan, np.inf):
        x, again = (torch.tensor(FEATURES) for _ in range(2))
        x[0, 0] = again[0, 0] = first
        x.requires_grad_(), again.requires_grad_()
        eager(torch.tensor(LABELS), x).backward()
        run(torch.tensor(LABELS), again).backward()
        torch.testing.assert_close(again.grad, x.grad, rtol=1e-5, atol=1e-6, equal_nan=True)
        torch.testing.assert_close(compiled.centers, eager.centers, rtol=1e-5, atol=1e-6, equal_nan=True)
    assert compiled.centers.isfinite().all()


@pytest.mark.only("torch")
@pytest.mark.parametrize("assign", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_torch_a_checkpoint_in_half_precision(backend: str, known: bool, assign: bool) -> None:
    """Whatever the file holds, the centers are float32 at least."""
    import torch

    saved = {"centers": torch.arange(6.0).reshape(3, 2).half()}
    shape = {"num_classes": 3, "feature_dim": 2} if known else {}
    center = multiloss.get("center", backend="torch", **shape)
    center.load_state_dict(saved, assign=assign)
    assert center.centers.dtype == torch.float32
    close(center.centers, np.arange(6.0).reshape(3, 2))
    assert dict(center.named_buffers())["centers"] is center.centers


@pytest.mark.only("torch")
def test_torch_first_batch_in_inference_mode(backend: str) -> None:
    """As the sanity check of a trainer before the first epoch: what it makes can be trained."""
    import torch

    center = multiloss.get("center", backend="torch")
    with torch.inference_mode():
        center(torch.tensor(LABELS), torch.tensor(FEATURES))
    center(torch.tensor(LABELS), torch.tensor(FEATURES))
    assert center.centers.any()


@pytest.mark.only("torch")
def test_torch_func(backend: str) -> None:
    import torch

    center, y, x = make("torch"), torch.tensor(LABELS), torch.tensor(FEATURES)
    with pytest.raises(RuntimeError, match=r"torch.func .* init_state\(\) and step\(\)"):
        torch.func.grad(lambda x: center(y, x))(x)
    assert not center.centers.any()
    state = center.init_state()
    gradient, new = torch.func.grad(lambda x: center.step(state, y, x), has_aux=True)(x)
    close(gradient, FEATURES / 4)
    close(new["centers"], MOVED)


# --- TensorFlow


@pytest.mark.graph
@pytest.mark.only("tensorflow")
def test_tensorflow_warns_of_functions_that_keep_the_old_table(backend: str) -> None:
    import tensorflow as tf

    center = make("tensorflow")
    function = tf.function(center)
    function(tf.constant(LABELS), tf.constant(FEATURES))
    with pytest.warns(UserWarning, match="make the function anew"):
        center.resize(7)
    assert np.isnan(function(tf.constant(LABELS), tf.constant(FEATURES)))  # and not the old numbers, for ever
    center.resize(8)  # once is enough
    assert np.isfinite(tf.function(center)(tf.constant(LABELS), tf.constant(FEATURES)))
    again = make("tensorflow")
    again.resize(7)
    assert again.centers.shape == (7, 2)


@pytest.mark.graph
@pytest.mark.only("tensorflow")
@pytest.mark.parametrize("xla", [False, True])
def test_tensorflow_function(backend: str, xla: bool) -> None:
    import tensorflow as tf

    center = make("tensorflow")

    @tf.function(jit_compile=xla)
    def step(y: Any, x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = center(y, x)
        return value, tape.gradient(value, x)

    value, gradient = step(tf.constant(LABELS), tf.constant(FEATURES))
    close(value, VALUES.mean())
    close(gradient, FEATURES / 4)
    close(center.centers, MOVED)
    value, _ = step(tf.constant([0, 9, 2, -1], tf.int64), tf.constant(FEATURES))
    assert np.isnan(value)
    close(center.centers, MOVED)
    evaluate = tf.function(lambda y, x: center(y, x, training=False), jit_compile=xla)
    close(
        evaluate(tf.constant(LABELS), tf.constant(FEATURES)),
        reference.center_step(MOVED, LABELS, FEATURES, 0)[0].mean(),
    )
    close(center.centers, MOVED)


@pytest.mark.graph
@pytest.mark.only("tensorflow")
@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_tensorflow_batches_of_any_length(backend: str, xla: bool, known: bool) -> None:
    import tensorflow as tf

    center, centers = make("tensorflow"), np.zeros((C, D))
    rows = [tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, FEATURES.shape[1]], tf.float32)]
    step = tf.function(center, input_signature=None if known else rows, jit_compile=xla)
    for length in (1, 2, 0, 1, 4):
        y, x = LABELS[:length], FEATURES[:length]
        values, centers = reference.center_step(centers, y, x, 0.5)
        close(step(tf.constant(y, tf.int64), tf.constant(x, tf.float32)), values.mean() if length else 0)
        close(center.centers, centers)


@pytest.mark.graph
@pytest.mark.only("tensorflow")
def test_tensorflow_cannot_grow_in_a_function(backend: str) -> None:
    import tensorflow as tf

    center = multiloss.get("center", backend="tensorflow")
    for _ in range(2):  # and after eager steps: a new label could not be refused any more
        with pytest.raises(ValueError, match="pass num_classes"):
            tf.function(lambda y, x: center(y, x))(tf.constant(LABELS), tf.constant(FEATURES))
        center(LABELS, FEATURES)


@pytest.mark.only("tensorflow")
def test_tensorflow_checkpoint(backend: str, tmp_path: Path) -> None:
    import tensorflow as tf

    center = make("tensorflow")
    center(LABELS, FEATURES)
    path = tf.train.Checkpoint(center=center).write(str(tmp_path / "checkpoint"))
    other = make("tensorflow")
    tf.train.Checkpoint(center=other).read(path).assert_consumed()
    close(other.centers, MOVED)
    with tf.GradientTape() as tape:
        other(LABELS, tf.constant(FEATURES))
    assert not tape.watched_variables() and not center.trainable_variables and len(center.variables) == 1

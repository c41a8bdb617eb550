"""What `test_jax_devices.py` runs: `python -m helpers.jax_devices RANK SIZE FOLDER`, on 4 devices altogether."""

from __future__ import annotations

import os
import sys
from pathlib import Path

rank, size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
DEVICES = 4
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + f" --xla_force_host_platform_device_count={DEVICES // size}"

from typing import Any  # noqa: E402

import jax  # noqa: E402

if size > 1:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(sys.argv[4], size, rank)

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from flax import nnx  # noqa: E402
from jax.sharding import NamedSharding  # noqa: E402
from jax.sharding import PartitionSpec as P  # noqa: E402

import multiloss  # noqa: E402
import multiloss.flax  # noqa: E402
from helpers import groups  # noqa: E402
from helpers.groups import D, device_batch  # noqa: E402

if hasattr(jax, "shard_map"):
    shard_map = jax.shard_map
else:  # JAX 0.6
    from jax.experimental.shard_map import shard_map


def on_explicit_axes(place: Any) -> dict[str, Any]:
    """A mesh with axes of type Explicit, plain `jit`, no shardings but those of the arguments."""
    mesh = jax.make_mesh((DEVICES,), ("batch",), axis_types=(jax.sharding.AxisType.Explicit,))
    by_batch, everywhere = NamedSharding(mesh, P("batch")), NamedSharding(mesh, P())
    kept: dict[str, Any] = {}
    whole = jax.jit(lambda x: jax.sharding.reshard(x, everywhere))
    for name, classes, options in groups.CENTER + groups.FAMILY:
        loss = groups.made("jax", classes, D, **options)

        def run(state: Any, y: Any, x: Any, m: Any, loss: Any = loss) -> Any:
            return jax.value_and_grad(lambda x: loss.step(state, y, x, mask=m), has_aux=True)(x)

        first = np.asarray(loss.init_state()["centers"])
        for how, sharding in (("replicated", everywhere), ("by class", by_batch)):
            if len(first) % DEVICES and how == "by class":
                continue
            state, step = {"centers": place(first, sharding)}, jax.jit(run, donate_argnums=0)
            for seed in range(3):
                before = state["centers"]
                (value, state), gradient = step(state, *(place(x, by_batch) for x in device_batch(classes, seed)))
                assert before.is_deleted() and gradient.sharding.is_equivalent_to(by_batch, 2)
            assert value.sharding.is_fully_replicated and state["centers"].sharding.is_equivalent_to(sharding, 2)
            for what, x in (("value", value), ("gradient", gradient), ("centers", state["centers"])):
                kept[f"explicit {name} {how} {what}"] = np.asarray(whole(x).addressable_shards[-1].data)
    each = multiloss.get("center", backend="jax", num_classes=3, feature_dim=D, reduction="none")
    with jax.set_mesh(mesh):  # where the state of `init_state`, too, is on the mesh
        value, _ = jax.jit(each.step)(each.init_state(), *(place(x, by_batch) for x in device_batch(3, 0)[:2]))
    assert value.sharding.is_equivalent_to(by_batch, 1)
    if size == 1:  # the object that holds its table
        held = groups.made("jax", 3, D)
        for seed in range(3):
            value, gradient = held.value_and_grad(*(place(x, by_batch) for x in device_batch(3, seed)[:2]))
        kept["explicit object centers"], kept["explicit object gradient"] = np.asarray(held.centers), gradient
    return kept


def main() -> None:
    """Everything; arrays are left in the folder."""
    mesh = jax.make_mesh((DEVICES,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    by_batch, by_class, everywhere = (NamedSharding(mesh, spec) for spec in (P("batch"), P("batch", None), P()))

    def place(x: Any, sharding: Any) -> Any:
        return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])

    kept: dict[str, Any] = {}
    for name, classes, options in groups.CENTER + groups.FAMILY:
        mapped = groups.made("jax", classes, D, axis_name="batch", **options)

        def step(state: Any, y: Any, x: Any, m: Any, loss: Any = mapped) -> Any:
            value, state = loss.step(state, y, x, mask=m)
            return jax.lax.pmean(value, "batch"), state

        specs = P(), P("batch"), P("batch"), P("batch")
        # JAX 0.6 cannot check an argmax, and says so.
        unchecked = {"check_rep": False} if name == "triplet" and not hasattr(jax, "shard_map") else {}
        together = jax.jit(shard_map(step, mesh=mesh, in_specs=specs, out_specs=(P(), P()), **unchecked))
        state = jax.tree.map(lambda x: place(np.asarray(x), everywhere), mapped.init_state())
        for seed in range(3):
            _, state = together(state, *(place(x, by_batch) for x in device_batch(classes, seed)))
        kept[f"{name} centers"] = np.asarray(state["centers"].addressable_shards[-1].data)

        # plain jit: XLA finds the communication from the sharding of the arrays
        plain = groups.made("jax", classes, D, **options)
        for how, sharding in (("replicated", everywhere), ("by class", by_class)):
            if mapped.init_state()["centers"].shape[0] % DEVICES and how == "by class":
                continue
            run = jax.jit(plain.step, donate_argnums=0, out_shardings=(everywhere, {"centers": sharding}))
            state = {"centers": place(np.asarray(plain.init_state()["centers"]), sharding)}
            for seed in range(3):
                y, x, _ = (place(x, by_batch) for x in device_batch(classes, seed))
                value, state = run(state, y, x)
            kept[f"{name} {how} value"] = np.asarray(value.addressable_shards[0].data)
            assert state["centers"].sharding.is_equivalent_to(sharding, 2)
            whole = jax.jit(lambda x: x, out_shardings=everywhere)(state["centers"])
            kept[f"{name} {how} centers"] = np.asarray(whole.addressable_shards[-1].data)

    if hasattr(jax.sharding, "auto_axes"):
        kept |= on_explicit_axes(place)

    # a Flax module under `nnx.jit`, the batch sharded
    module = multiloss.flax.CenterLoss(num_classes=3, feature_dim=D, centers_init="normal")
    module.centers[...] = place(np.asarray(module.centers[...]), everywhere)
    train = nnx.jit(lambda module, y, x: module(y, x))
    for seed in range(3):
        y, x, _ = (place(x, by_batch) for x in device_batch(3, seed))
        value = train(module, y, x)
    kept["flax value"] = np.asarray(value.addressable_shards[0].data)
    kept["flax centers"] = np.asarray(module.centers[...].addressable_shards[-1].data)
    np.savez(folder / f"{rank}.npz", **kept)
    assert jnp.isfinite(value.addressable_shards[0].data)


main()

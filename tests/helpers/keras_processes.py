"""What each process of `test_keras_distributed.py` runs: `python -m helpers.keras_processes RANK SIZE FOLDER`."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import keras
import numpy as np
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

import multiloss.keras
from helpers.groups import D
from helpers.processes import FAILURES, Failing, raised, refused, ways

C, STEPS = 3, 3


def layer(**options: Any) -> Any:
    """A center loss of first values that are not all alike."""
    return multiloss.keras.CenterLoss(**{"num_classes": C, "feature_dim": D, "centers_init": "normal"} | options)


def batches(size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The labels and inputs of each step, a block a process."""
    rng = np.random.default_rng(1)
    return [(rng.integers(0, C, (size, 5)), rng.normal(size=(size, 5, D)).astype(np.float32)) for _ in range(STEPS)]


class Net(keras.Model):
    """A layer and the center loss of what it gives."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(D)
        self.center = layer()

    def call(self, labels: Any, x: Any, training: bool = True) -> Any:
        return self.center(labels, self.dense(x), training=training)


def trained(net: Any, model: Net, parts: Any) -> None:
    """Steps of plain SGD in torch's own loop."""
    optimizer = torch.optim.SGD([w.value for w in model.dense.trainable_weights], lr=0.1)
    for labels, x in parts:
        optimizer.zero_grad()
        net(torch.from_numpy(labels), torch.from_numpy(x)).backward()
        optimizer.step()


def made() -> Net:
    """The same in each process."""
    keras.utils.set_random_seed(0)
    model = Net()
    model(torch.zeros(1, dtype=torch.int64), torch.zeros(1, D), training=False)
    return model


def main(rank: int, size: int, folder: Path) -> None:
    """Everything, one scenario after the other; arrays and messages are left in `folder`."""
    keras.config.disable_traceback_filtering()
    dist.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=size, timeout=timedelta(seconds=60)
    )
    kept: dict[str, Any] = {}

    model = made()
    trained(DistributedDataParallel(model), model, [(y[rank], x[rank]) for y, x in batches(size)])
    kept["centers"] = model.center.centers.detach().numpy()
    kept["kernel"] = model.dense.kernel.value.detach().numpy()

    # uneven batches, and none; alone
    center = layer()
    for step, (y, x) in enumerate(batches(size)):
        n = 0 if (rank, step) == (1, 0) else 1 + rank + step
        leaf = torch.from_numpy(x[rank][:n]).requires_grad_()
        center.value_and_grad(torch.from_numpy(y[rank][:n]), leaf) if step == 1 else center(y[rank][:n], leaf)
    kept["uneven"] = center.centers.detach().numpy()
    if rank == 0:
        center(y[0], torch.from_numpy(x[0]), training=False)
    radius = multiloss.keras.CenterLoss(loss="ring")  # not known before: the mean length in all batches
    radius.value_and_grad([0, 0], torch.full((2, D), 1.0 + rank))
    kept["radius"] = radius.centers.detach().numpy()
    value, _ = multiloss.keras.CenterLoss(loss="ring").value_and_grad([0, 0], torch.full((2, D), 1.0 + rank))
    kept["ring"] = value.detach().numpy()
    own = layer(process_group=False)
    own([0, 1], torch.full((2, D), float(rank)))
    kept["own"] = own.centers.detach().numpy()

    # what one process refuses, all do
    for what, labels, width in (("label", [0, 9], D), ("width", [0, 1], D + 1)):
        given = (labels, torch.ones(2, width)) if rank == 1 else ([0, 1], torch.ones(2, D))
        kept[f"refused {what}"] = refused(lambda given=given: center(*given))
    kept["afterwards"] = center.centers.detach().numpy()
    late = layer(feature_dim=None)
    kept["refused feature_dim"] = refused(lambda: late([0, 1], torch.ones(2, D + rank)))
    kept["refused growth"] = refused(lambda: multiloss.keras.CenterLoss()([0, 1], torch.ones(2, D)))
    kept["refused other centers"] = refused(lambda: layer(seed=rank)([0, 1], torch.ones(2, D)))

    # whatever fails in one process is an error in all; with a wrapping model, too
    for error in FAILURES[:3]:
        bad = Failing(error) if rank == 1 else [0, 1]
        for how, call in ways(center).items():
            kept[f"{error.__name__} {how}"] = raised(lambda call=call, bad=bad: call(bad, torch.ones(2, D)))
    if rank == 0:
        kept["alone"] = raised(lambda: center(Failing(IndexError), torch.ones(2, D), training=False))
    inputs = keras.Input((D,))
    features = keras.layers.Dense(2, name="features")(inputs)
    whole = multiloss.keras.WithCenterLoss(keras.Model(inputs, keras.layers.Dense(2)(features)), "features", 2)
    whole.compile("sgd", "mse")
    targets = np.array([[0.5, 0.5], [1, 0]] if rank == 1 else [[0, 1], [1, 0]], np.float32)
    kept["soft targets"] = raised(lambda: whole.train_on_batch(np.ones((2, D), np.float32), targets))
    kept["after errors"] = center.centers.detach().numpy()

    # another order of calls, a table that one process changed, a group that is gone
    pair = [layer(), layer()]
    kept["order"] = [raised(lambda one=one: one([0], torch.ones(1, D))) for one in (pair[::-1] if rank == 1 else pair)]
    for one in pair:
        one([0], torch.ones(1, D))
    if rank == 1:
        one._table.assign(np.ones((C, D)))
    kept["edit"] = [raised(lambda: one([0], torch.ones(1, D))) for _ in range(2)]
    group = dist.new_group(list(range(size)))
    gone = layer(process_group=group)
    gone([0], torch.ones(1, D))
    dist.destroy_process_group(group)
    kept["destroyed"] = raised(lambda: gone([0], torch.ones(1, D)))

    np.savez(folder / f"{rank}.npz", **kept)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))

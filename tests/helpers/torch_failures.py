"""What each process of `test_torch_failures.py` runs: `python -m helpers.torch_failures RANK SIZE FOLDER`."""

from __future__ import annotations

import copy
import datetime
import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed.tensor import Replicate, Shard, distribute_tensor, init_device_mesh
from torch.nn.parallel import DistributedDataParallel

import multiloss
import multiloss.torch
from helpers import groups
from helpers.calls import NAMES, good
from helpers.groups import D
from helpers.processes import FAILURES, Failing, raised, ways
from multiloss.center import files
from multiloss.engine import registry
from multiloss_torch.distributed import Processes


def center(classes: int = 5, **options: Any) -> Any:
    """The same in each process."""
    return groups.made("torch", classes, **options)


def main(rank: int, size: int, folder: Path) -> None:
    """One scenario after the other; arrays and messages are left in `folder`."""
    limit = datetime.timedelta(seconds=60)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=size, timeout=limit
    )
    kept: dict[str, Any] = {}
    y, x = torch.tensor([0, 1, 1]), torch.full((3, D), float(rank + 1))
    _errors(rank, kept, y, x)
    _order(rank, kept, y, x)
    _edits(rank, folder, kept, y, x)
    _broken(rank, size, kept, y, x)
    _nothing(rank, size, kept)
    _distributed_tensors(kept)
    _destroyed(size, folder, kept, y, x)
    np.savez(folder / f"{rank}.npz", **kept)


def _errors(rank: int, kept: dict[str, Any], y: Any, x: Any) -> None:
    """Every kind of error, from the input of rank 1; then all go on together."""
    for name, loss in (("plain", center()), ("shared out", center(7, sharded=True))):
        loss(y, x)
        for error in FAILURES:
            bad = Failing(error) if rank == 1 else y
            for how, call in ways(loss).items():
                kept[f"{name} {error.__name__} {how}"] = raised(lambda call=call, bad=bad: call(bad, x))
        loss(y, x)
        kept[f"{name} after errors"] = loss.centers.numpy().copy()
    loss.eval()
    kept["evaluation IndexError"] = raised(lambda: loss(Failing(IndexError) if rank == 1 else y, x))
    kept["evaluation after"] = loss(y, x).detach().numpy()
    suspect = center()
    if rank == 1:  # while the centers are read for the first comparison
        suspect._host_centers = lambda: np.asarray(Failing(KeyboardInterrupt))
    kept["checksum KeyboardInterrupt"] = raised(lambda: suspect(y, x))


def _order(rank: int, kept: dict[str, Any], y: Any, x: Any) -> None:
    """Two equal center losses, called in another order on rank 1."""
    for name, prepare in (
        ("at first", lambda pair: None), ("after a step", lambda pair: [one(y, x) for one in pair]),
        ("copies", lambda pair: pair.append(copy.deepcopy(pair.pop()))),
        ("pickled", lambda pair: pair.append(pickle.loads(pickle.dumps(pair.pop())))),
    ):  # fmt: skip
        pair = [center(), center()]
        prepare(pair)
        before = [one.centers.clone() for one in pair]
        turn = pair[::-1] if rank == 1 else pair
        kept[f"order {name}"] = [raised(lambda one=one: one(y, x)) for one in turn]
        kept[f"order {name} stays"] = all(torch.equal(one.centers, was) for one, was in zip(pair, before, strict=True))
        for one in pair:  # in the same order, all go on
            one(y, x)
        kept[f"order {name} after"] = np.stack([one.centers.numpy() for one in pair])

    # what only one process has changes nothing: one to evaluate, a copy, a pickle, another group's, one that is gone
    if rank == 0:
        one_more = center()
        one_more.eval()
        one_more(y, x)
        center(process_group=False)(y, x)
    pair = [center(), center()]
    kept["order late"] = [raised(lambda one=one: one(y, x)) for one in (pair[::-1] if rank == 1 else pair)]
    own = center()
    best = copy.deepcopy(own) if rank == 1 else None
    own(y, x)
    second = center()
    if rank == 1:  # goes on with a copy, which took the state of the others
        best.load_state_dict(own.state_dict())
        own = best
    for one in (second, own, second, own):
        one(y, x)
    kept["order alone"] = np.stack([one.centers.numpy() for one in (own, second)])


def _edits(rank: int, folder: Path, kept: dict[str, Any], y: Any, x: Any) -> None:
    """Of a table, on rank 1 only."""

    def by_hand(loss: Any) -> None:
        with torch.no_grad():
            loss.centers[3, 1] += 0.01

    def by_numpy(loss: Any) -> None:
        loss.centers.numpy()[3, 1] = 7

    def load(loss: Any) -> None:
        files.save(folder / "edit", np.ones(tuple(loss.centers.shape), np.float32))
        loss.load_centers(folder / "edit")

    def load_state(loss: Any) -> None:
        loss.load_state_dict({"centers": torch.ones(loss.centers.shape)})

    for classes in (5, 5000):
        for edit in (by_hand, by_numpy, load, load_state):
            loss = center(classes)
            loss(y, x)
            before = loss.centers.clone()
            if rank == 1:
                edit(loss)
            kept[f"edit {edit.__name__} {classes}"] = [raised(lambda loss=loss: loss(y, x)) for _ in range(7)]
            if rank == 1:
                loss.load_state_dict({"centers": before})
            if classes == 5:
                loss(y, x)
                kept[f"edit {edit.__name__} after"] = loss.centers.numpy().copy()
    same = center()
    same(y, x)
    if rank == 1:  # its own: not an edit
        same.load_state_dict(same.state_dict())
    same(y, x)
    kept["edit of nothing"] = same.centers.numpy().copy()


def _broken(rank: int, size: int, kept: dict[str, Any], y: Any, x: Any) -> None:
    """Rank 1 is interrupted when all is said and the sums travel: nobody pairs with another step, nobody waits for
    longer than the group's timeout."""
    group = dist.new_group(list(range(size)), timeout=datetime.timedelta(seconds=10))
    loss, second = center(process_group=group), center(process_group=group)
    loss(y, x)
    before = loss.centers.clone()

    def interrupted(self: Any, x: Any) -> Any:
        raise KeyboardInterrupt

    whole = Processes.sum, Processes.gather
    if rank == 1:
        Processes.sum = Processes.gather = interrupted  # type: ignore[method-assign]
    kept["broken"] = raised(lambda: loss(y, x)).partition(":")[0]
    Processes.sum, Processes.gather = whole  # type: ignore[method-assign]
    kept["broken next"] = [raised(lambda one=one: one(y, x)) for one in (loss, second)]
    kept["broken stays"] = torch.equal(loss.centers, before)
    loss.eval()
    kept["broken evaluation"] = loss(y, x).numpy()
    lonely = center(process_group=dist.new_group(list(range(size)), timeout=datetime.timedelta(seconds=10)))
    if rank == 1:  # an error that the others never come to hear
        kept["unheard"] = raised(lambda: lonely(Failing(KeyboardInterrupt), x))
    dist.barrier()


def _nothing(rank: int, size: int, kept: dict[str, Any]) -> None:
    """DistributedDataParallel over a loss that owns its weight; the last rank has no samples, or masks all."""
    for how in ("empty", "masked"):
        net = torch.nn.ModuleDict({"layer": torch.nn.Linear(D, D), "loss": multiloss.torch.LinearCrossEntropy(5, D)})
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.copy_(torch.linspace(-1, 1, parameter.numel()).view(parameter.shape))

        class Net(torch.nn.Module):
            def __init__(self, parts: Any) -> None:
                super().__init__()
                self.parts = parts

            def forward(self, y: Any, x: Any, mask: Any) -> Any:
                return self.parts["loss"](y, self.parts["layer"](x), mask=mask)

        whole = DistributedDataParallel(Net(net))
        nothing = rank == size - 1
        n = 0 if nothing and how == "empty" else 2
        for _ in range(2):  # the second one waits for the gradients of the first
            whole(torch.arange(n), torch.ones(n, D), torch.full((n,), not nothing)).backward()
        kept[f"nothing {how}"] = np.concatenate([p.grad.flatten().numpy() for p in net.parameters()])


def _distributed_tensors(kept: dict[str, Any]) -> None:
    """DTensors: parts of unequal length, whole ones, and those of every loss."""
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    for name in NAMES:
        definition = registry.find(name)
        inputs = {key: torch.from_numpy(array) for key, array in good(name).items()}
        loss = multiloss.get(name, backend="torch")
        for key in definition.inputs:
            if key not in inputs:
                continue
            parts = distribute_tensor(inputs[key], mesh, [Shard(0)])
            for how, call in (("call", loss), ("value_and_grad", loss.value_and_grad)):
                kept[f"DTensor {name} {key} {how}"] = raised(lambda i=inputs, k=key, p=parts, c=call: c(**i | {k: p}))
    rows = distribute_tensor(torch.tensor([[3.0], [1.0], [2.0]]), mesh, [Shard(0)]).requires_grad_()
    zeros = distribute_tensor(torch.zeros(3, 1), mesh, [Shard(0)])
    for name in ("mse", "mae", "huber"):
        loss = multiloss.get(name, backend="torch")
        loss(torch.zeros(3, 1), torch.ones(3, 1))  # such arrays go to a kernel from now on
        for how, call in (
            ("both", loss), ("value_and_grad", loss.value_and_grad), ("grad_and_hess", loss.grad_and_hess),
            ("compiled", torch.compile(loss, backend="eager")),
        ):  # fmt: skip
            kept[f"DTensor {name} {how}"] = raised(lambda call=call: call(zeros, rows))
    ones, whole = torch.ones(3, 1), distribute_tensor(torch.ones(3), mesh, [Replicate()])
    for what, given in {"sample_weight": whole, "mask": whole > 0}.items():
        kept[f"DTensor {what}"] = raised(lambda what=what, given=given: loss(ones, ones, **{what: given}))
    y, x = torch.zeros(3, dtype=torch.int64), torch.ones(3, D)
    owner, table = multiloss.torch.ArcFace(5, D), center()
    owner.weight = torch.nn.Parameter(distribute_tensor(owner.weight.detach(), mesh, [Shard(0)]))
    kept["DTensor weight"] = raised(lambda: owner(y, x))
    kept["DTensor features"] = raised(lambda: table(y, distribute_tensor(x, mesh, [Shard(0)])))
    # what the message says to do
    value = multiloss.get("mse", backend="torch")(torch.zeros(3, 1), rows.full_tensor())
    value.backward()
    kept["DTensor full gradient"] = rows.grad.full_tensor().numpy()


def _destroyed(size: int, folder: Path, kept: dict[str, Any], y: Any, x: Any) -> None:
    """A group that was chosen, and then all of them."""
    other = dist.new_group(list(range(size)))
    gone, world, default = center(process_group=other), center(process_group=dist.group.WORLD), center()
    shared = center(7, sharded=True)
    for loss in (gone, world, default, shared):
        loss(y, x)
    dist.destroy_process_group(other)
    before = gone.centers.clone()
    for how, call in ways(gone).items():
        kept[f"group destroyed {how}"] = raised(lambda call=call: call(y, x))
    gone.eval()
    kept["group destroyed evaluation"] = gone(y, x).numpy()
    kept["group destroyed stays"] = torch.equal(gone.centers, before)
    dist.barrier()
    dist.destroy_process_group()
    kept["world destroyed"] = raised(lambda: world(y, x))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        default(y, x)
        default(y, x)
    kept["default destroyed"] = [str(each.message) for each in said]
    shared.eval()
    kept["shared out destroyed"] = raised(lambda: shared(y, x))
    kept["shared out saved"] = raised(lambda: shared.save_centers(folder / "alone"))
    kept["shared out block"] = shared.state_dict()["block"].numpy()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))

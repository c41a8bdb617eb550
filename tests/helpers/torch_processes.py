"""What each process of `test_torch_distributed.py` runs: `python -m helpers.torch_processes RANK SIZE FOLDER`."""

from __future__ import annotations

import gc
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

import multiloss
import multiloss.torch
from helpers import groups
from helpers.groups import D, process_batch
from helpers.processes import refused, ways
from helpers.torch_checkpoints import MARKED, PLAIN, REENTRANT, run
from multiloss.center import files
from multiloss_torch import checkpointing

MORE = [
    ("batch size, many", 500, {"preset": "jxgu1016"}),
    ("double", 3, {"centers_init": np.eye(3, D)}),
]


center = partial(groups.made, "torch")


def main(rank: int, size: int, folder: Path) -> None:
    """Everything, one scenario after the other; arrays and messages are left in `folder`."""
    dist.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=size, timeout=timedelta(seconds=60)
    )
    kept: dict[str, Any] = {}

    def tensors(labels: Any, features: Any) -> tuple[Any, Any]:
        return torch.from_numpy(labels[rank]), torch.from_numpy(features[rank]).requires_grad_()

    for name, classes, options in groups.CENTER + groups.FAMILY + MORE:
        loss = center(classes, **options)
        for step in range(4):
            y, x = tensors(*process_batch(size, classes, step))
            value = loss(y, x)
            if len(y):
                value.backward()
                kept[f"{name} gradient {step}"] = x.grad.numpy()
        kept[f"{name} centers"] = loss.centers.numpy().copy()
    kept["describe"] = loss.describe()

    # a mask, and one process with nan: the classes that it touches stay everywhere
    loss = center(5)
    y, x = torch.tensor([0, 1, 2]), torch.full((3, D), float(rank + 1))
    if rank == size - 1:
        x[1, 0] = torch.nan
    loss(y, x, mask=torch.tensor([True, True, rank == 0]))
    kept["nan centers"] = loss.centers.numpy().copy()

    # one process evaluates alone, and records nothing alone; `False` switches the others off
    if rank == 0:
        loss.eval()
        kept["alone"] = loss(y, torch.ones(3, D)).detach().numpy()
        loss.train()
        with torch.no_grad():
            loss(y, torch.ones(3, D))
    own = center(5, process_group=False)
    own(y, torch.full((3, D), float(rank)))
    kept["own centers"] = own.centers.numpy().copy()

    # a group of some processes only
    pair = dist.new_group([0, 1])
    if rank < 2:
        some = center(5, process_group=pair)
        some(y, torch.full((3, D), float(rank)))
        kept["pair centers"] = some.centers.numpy().copy()

    # what one process refuses, all refuse, and nothing has changed; then all go on
    before = loss.centers.numpy().copy()
    bad = {
        "label": (torch.tensor([0, 9, 1]), torch.ones(3, D)),
        "float label": (torch.tensor([0.0, 1.0, 1.0]), torch.ones(3, D)),
        "width": (torch.tensor([0, 1, 1]), torch.ones(3, D + 1)),
        "length": (torch.tensor([0, 1]), torch.ones(3, D)),
        "text": (["a"], torch.ones(1, D)),
    }
    for what, arguments in bad.items():
        given = arguments if rank == 1 else (torch.tensor([0, 1, 1]), torch.ones(3, D))
        for how, call in ways(loss).items():
            kept[f"refused {what} {how}"] = refused(lambda call=call, given=given: call(*given))
    kept["unchanged"] = bool((loss.centers.numpy() == before).all())
    good = torch.tensor([0, 1]), torch.ones(2, D)
    for what, different in (
        ("num_classes", center(5 + rank)), ("alpha", center(5, alpha=0.5 - 0.1 * rank)),
        ("preset", center(5, preset=["paper", "facenet"][rank % 2], alpha=0.5)),
        ("feature_dim", multiloss.get("center", backend="torch", num_classes=5)),
        ("float_bits", multiloss.get("center", backend="torch", num_classes=5)),
        ("sharded", center(5, sharded=rank == 0)),
        ("moves_all", center(5, loss="triplet_center", push=rank == 0)),
        ("weight", center(5, loss="island", weight=1.0 + rank)),
        ("growth", multiloss.get("center", backend="torch")),
        ("other centers at first", center(5, seed=rank)),
    ):  # fmt: skip
        x = torch.ones(2, D + rank) if what == "feature_dim" else good[1]
        x = x.double() if what == "float_bits" and rank else x
        kept[f"refused {what}"] = refused(lambda loss=different, x=x: loss(good[0], x))
        kept[f"unchanged {what}"] = tuple(different.centers.shape)
    loaded = center(5)
    loaded(*good)
    files.save(folder / f"file {rank}", np.ones((5, D), np.float32))
    if rank == 1:
        loaded.load_centers(folder / "file 1")
    kept["refused other centers loaded"] = refused(lambda: loaded(*good))
    loss(*good)
    kept["afterwards"] = loss.centers.numpy().copy()

    # compiled as one graph: what cannot work there is said in our words
    for what, options in (
        ("compiled", {}), ("compiled without num_classes", {"num_classes": None}),
        ("compiled alone without num_classes", {"num_classes": None, "process_group": False}),
    ):  # fmt: skip
        torch._dynamo.reset()
        whole = torch.compile(center(5, **options), backend="eager", fullgraph=True)
        kept[f"refused {what}"] = refused(lambda whole=whole: whole(good[0], good[1].requires_grad_()))

    # classes shared out: the same numbers, and files for any number of processes
    for name, classes, options in (("shared", 7, {}), ("shared by batch size", 7, {"preset": "kaiyangzhou"})):
        loss = center(classes, sharded=True, **options)
        for step in range(4):
            y, x = tensors(*process_batch(size, classes, step))
            value, gradient = loss.value_and_grad(y, x.detach())
            kept[f"{name} value {step}"], kept[f"{name} gradient {step}"] = value.numpy(), gradient.numpy()
        kept[f"{name} block"], kept[f"{name} first"] = loss.centers.numpy().copy(), loss.first
        loss.save_centers(folder / name)
    loss.save_centers(folder / "again")
    loss.save_centers(folder / ("again" if rank == 0 else "lost"))  # breaks off: the first one alone has written
    kept["refused save"] = refused(lambda: loss.save_centers(folder / ("half" if rank == 0 else "half/of/it")))
    unread = center(7, sharded=True, validate=False)
    unread(torch.tensor([rank, -1]), torch.ones(2, D), mask=torch.tensor([True, False]))
    kept["shared unread block"] = unread.centers.numpy().copy()
    kept["refused shared"] = refused(lambda: loss(torch.tensor([0, 9 if rank == 1 else 1]), torch.ones(2, D)))
    loss.eval()
    kept["shared alone"] = loss(torch.tensor([1]), torch.ones(1, D)).numpy()
    kept["shared stays"] = bool((loss.centers.numpy() == kept["shared by batch size block"]).all())
    table = np.arange(7.0 * D, dtype=np.float32).reshape(7, D)
    dist.barrier()
    if rank == 0:  # as five processes would have left it
        for first in range(0, 7, 2):
            files.save_piece(folder / "other", first, 7, table[first : first + 2], "five")
        files.save(folder / "whole", table)
    dist.barrier()
    for where in ("other", "whole"):
        loss.load_centers(folder / where)
        kept[f"shared from {where}"] = loss.centers.numpy().copy()
    kept["refused broken save"] = refused(lambda: loss.load_centers(folder / "again"))
    kept["describe shared"] = loss.describe()

    loss = center(7, sharded=True)
    saved = loss.state_dict()
    kept["state dict of shared"] = f"{sorted(saved)} {[name for name, _ in loss.named_buffers()]}"
    loss.load_state_dict(saved)
    everyone: list[Any] = [None] * size
    dist.all_gather_object(everyone, saved)
    try:
        loss.load_state_dict(everyone[0])
        kept["refused state dict"] = ""
    except RuntimeError as error:
        kept["refused state dict"] = str(error)
    kept["state dict stays"] = bool((loss.centers == saved["centers"]).all())
    kept["ddp shared block wanted"] = loss.centers.numpy().copy()
    net = DistributedDataParallel(torch.nn.ModuleDict({"layer": torch.nn.Linear(D, D), "center": loss}))
    kept["ddp shared block"] = net.module["center"].centers.numpy().copy()

    # inside a checkpointed region, and without
    for name, classes, options in groups.CHECKPOINTED:
        for kind, kinds in (
            ("plain", ()), ("not reentrant", (PLAIN,)), ("reentrant", (REENTRANT,)), ("twice", (PLAIN, REENTRANT)),
            ("marked", (MARKED,)),
        ):  # fmt: skip
            loss = center(classes, **options)
            for step in range(3):
                y, x = tensors(*process_batch(size, classes, step))
                if name == "not read" and len(y):
                    y[0] = -1
                keep = y >= 0
                # squared, so that what autograd saves depends on the value
                value = run(lambda x, y=y, keep=keep, loss=loss: loss(y, torch.tanh(x), mask=keep).exp(), x, kinds)
                if step == 2:  # centers that have moved before the backward pass
                    loss.update(y, x.detach() + 1, mask=keep)
                if len(y):
                    value.backward()
                    kept[f"{name} {kind} gradient {step}"] = x.grad.numpy()
                kept[f"{name} {kind} value {step}"] = value.detach().numpy()
            kept[f"{name} {kind} centers"] = loss.centers.numpy().copy()

    # the frames of one process cannot be trusted: what it refuses, all do, before anything has moved
    was, checkpointing.frames_are_right = checkpointing.frames_are_right, lambda: rank != 1
    for sharded in (False, True):
        loss, x = center(5, sharded=sharded), torch.ones(2, D, requires_grad=True)
        before = loss.centers.numpy().copy()

        def step(kind: Any = PLAIN, loss: Any = loss, x: Any = x) -> Any:
            return run(lambda x: loss(good[0], x), x, (kind,))

        kept[f"refused frames {sharded}"] = refused(step)
        kept[f"unmoved {sharded}"] = bool((loss.centers.numpy() == before).all())
        kept[f"marked {sharded}"] = step(MARKED).detach().numpy()
        kept[f"moved {sharded}"] = bool((loss.centers.numpy() != before).any())
    checkpointing.frames_are_right = was
    gc.collect()  # older versions of torch leave a region that raised only when it is collected

    # inside DistributedDataParallel
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(D, D)
            self.center = center(3)

        def forward(self, x: Any, y: Any) -> Any:
            return self.center(y, self.layer(x))

    for name, prepare, options in (
        ("broadcast", lambda m: m, {"broadcast_buffers": True}), ("no broadcast", lambda m: m,
        {"broadcast_buffers": False}), ("kept out", multiloss.torch.keep_out_of_broadcast, {}),
    ):  # fmt: skip
        torch.manual_seed(0)
        net = DistributedDataParallel(prepare(Net()), **options)
        kept[f"{name} sent"] = len(net.modules_buffers)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        rng = np.random.default_rng(1)
        for _ in range(3):
            y, x = torch.from_numpy(rng.integers(0, 3, (size, 5))), torch.from_numpy(rng.normal(size=(size, 5, D)))
            optimizer.zero_grad()
            net(x[rank].float(), y[rank]).backward()
            optimizer.step()
        kept[f"ddp {name} centers"] = net.module.center.centers.numpy().copy()
        kept[f"ddp {name} weight"] = net.module.layer.weight.detach().numpy().copy()

    np.savez(folder / f"{rank}.npz", **kept)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))

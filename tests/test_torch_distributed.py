"""Center loss on real processes (gloo): one table, the one of a single process fed the whole batch."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import multiloss
from helpers import groups
from helpers.arrays import told_by_compiler
from helpers.groups import D, process_batch
from helpers.processes import run, same_everywhere
from helpers.torch_processes import MORE
from multiloss.center import files

SIZE = 3
Ranks = list[dict[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the processes leave their files."""
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def ranks(folder: Path) -> Ranks:
    """What each process kept."""
    return run("torch_processes", SIZE, folder, OMP_NUM_THREADS="1")


center = partial(groups.made, "torch")


@pytest.mark.parametrize(
    ("name", "classes", "options"),
    groups.CENTER + groups.FAMILY + MORE,
)
def test_one_table(ranks: Ranks, name: str, classes: int, options: dict[str, Any]) -> None:
    """Uneven and empty batches: the centers of one process on the whole batch, each process's own gradient."""
    one = center(classes, **options)
    for step in range(4):
        labels, features = process_batch(SIZE, classes, step)
        for rank, (y, x) in enumerate(zip(labels, features, strict=True)):
            if len(y) and not groups.starts(name, step):
                leaf = torch.from_numpy(x).requires_grad_()
                one.eval()
                one(torch.from_numpy(y), leaf).backward()
                # a gradient is a difference of centers, which are the same to 1e-6
                np.testing.assert_allclose(ranks[rank][f"{name} gradient {step}"], leaf.grad, rtol=1e-6, atol=1e-6)
        one.train()
        one(torch.from_numpy(np.concatenate(labels)), torch.from_numpy(np.concatenate(features)))
    np.testing.assert_allclose(same_everywhere(ranks, f"{name} centers"), one.centers, rtol=1e-6, atol=1e-6)


def test_a_mask_and_nan_on_one_process(ranks: Ranks) -> None:
    one = center(5)
    y, x = torch.tensor([0, 1, 2] * SIZE), torch.arange(1.0, SIZE + 1).repeat_interleave(3)[:, None].repeat(1, D)
    x[-2, 0] = torch.nan
    mask = torch.tensor([[True, True, rank == 0] for rank in range(SIZE)]).ravel()
    first = one.centers.clone()
    one(y, x, mask=mask)
    assert torch.equal(one.centers[1], first[1]) and not torch.equal(one.centers[0], first[0])
    np.testing.assert_allclose(same_everywhere(ranks, "nan centers"), one.centers, rtol=1e-6)


def test_alone(ranks: Ranks) -> None:
    """Evaluation, no_grad, `process_group=False` and a group of some touch no other process."""
    assert np.isfinite(ranks[0]["alone"])
    for rank, kept in enumerate(ranks):
        own = center(5)
        own(torch.tensor([0, 1, 2]), torch.full((3, D), float(rank)))
        np.testing.assert_array_equal(kept["own centers"], own.centers)
    pair = center(5)
    pair(torch.tensor([0, 1, 2] * 2), torch.tensor([0.0, 1.0]).repeat_interleave(3)[:, None].repeat(1, D))
    np.testing.assert_allclose(same_everywhere(ranks[:2], "pair centers"), pair.centers, rtol=1e-6)


DIFFERENT = ("num_classes", "alpha", "preset", "feature_dim", "float_bits", "sharded", "moves_all", "weight")
BAD = {"label": "label 9", "float label": "integer labels", "width": "4 features", "length": "one class per",
       "text": "labels must hold real numbers"}  # fmt: skip
OF_ONE = {f"{what} {how}": said for what, said in BAD.items() for how in ("call", "update", "value_and_grad")} | {
    "shared": "label 9",
    "frames False": "pass context_fn=multiloss.torch.checkpoint_contexts",
    "frames True": "pass context_fn=multiloss.torch.checkpoint_contexts",
}
"""What rank 1 alone gives, or is."""
OF_ALL = {what: f"{what} must be the same in all processes, got " for what in DIFFERENT} | {
    "growth": "pass num_classes",
    "other centers at first": "checksum_of_centers must be the same in all processes",
    "other centers loaded": "checksum_of_centers must be the same in all processes",
    "broken save": "are pieces of different saves",
    # `torch.compile(fullgraph=True)` has an error of its own, and shows ours in it
    "compiled": "cannot update with other processes inside a compiled function",
    "compiled without num_classes": "a group of processes needs num_classes, too",
    "compiled alone without num_classes": "pass num_classes to multiloss.get",
}


@pytest.mark.parametrize("what", OF_ONE)
def test_what_one_process_refuses_all_do(ranks: Ranks, what: str) -> None:
    """An error on every process, no hang."""
    for rank, kept in enumerate(ranks):
        message = str(kept[f"refused {what}"])
        assert OF_ONE[what] in message and ("rank 1 refused its batch" in message) == (rank != 1), message


@pytest.mark.parametrize("what", OF_ALL)
def test_what_all_processes_refuse(ranks: Ranks, what: str) -> None:
    told = told_by_compiler(OF_ALL[what]) if what.startswith("compiled") else OF_ALL[what]
    assert all(re.search(told, str(kept[f"refused {what}"])) for kept in ranks)


def test_what_was_refused_changed_nothing(ranks: Ranks) -> None:
    """And all go on together; with contexts, where one process cannot trust its frames."""
    for kept in ranks:
        assert kept["unchanged"] and kept["shared stays"]
        assert all(tuple(kept[f"unchanged {what}"]) == (0, 0) for what in ("feature_dim", "float_bits"))
        for sharded in (False, True):
            assert kept[f"unmoved {sharded}"] and np.isfinite(kept[f"marked {sharded}"])
    assert all(any(kept[f"moved {sharded}"] for kept in ranks) for sharded in (False, True))
    same_everywhere(ranks, "afterwards")


@pytest.mark.parametrize(("name", "options"), [("shared", {}), ("shared by batch size", {"preset": "kaiyangzhou"})])
def test_classes_shared_out(ranks: Ranks, name: str, options: dict[str, Any]) -> None:
    """The numbers of one process with the whole table: values, gradients, and the blocks put together."""
    one = center(7, **options)
    for step in range(4):
        labels, features = process_batch(SIZE, 7, step)
        one.eval()
        for rank, (y, x) in enumerate(zip(labels, features, strict=True)):
            value, gradient = one.value_and_grad(torch.from_numpy(y), torch.from_numpy(x))
            np.testing.assert_allclose(ranks[rank][f"{name} value {step}"], value, rtol=1e-6)
            np.testing.assert_allclose(ranks[rank][f"{name} gradient {step}"], gradient, rtol=1e-6, atol=1e-7)
        one.train()
        one(torch.from_numpy(np.concatenate(labels)), torch.from_numpy(np.concatenate(features)))
    blocks = np.concatenate([kept[f"{name} block"] for kept in ranks])
    np.testing.assert_allclose(blocks, one.centers, rtol=1e-6, atol=1e-6)
    firsts = np.cumsum([0] + [len(kept[f"{name} block"]) for kept in ranks])[:-1]
    assert [int(kept[f"{name} first"]) for kept in ranks] == firsts.tolist()


def test_a_masked_label_of_none_where_labels_are_not_read(ranks: Ranks) -> None:
    """Classes shared out: a masked -1 is no bad input, and the others move."""
    one = center(7)
    one(torch.arange(SIZE), torch.ones(SIZE, D))
    blocks = np.concatenate([kept["shared unread block"] for kept in ranks])
    np.testing.assert_allclose(blocks, one.centers, rtol=1e-6)


def test_a_save_that_broke_off(ranks: Ranks, folder: Path) -> None:
    """By the same number of processes, over an older save: the names and shapes say nothing, so the pieces do."""
    with pytest.raises(ValueError, match="00000000-of-00000007 and .* are pieces of different saves"):
        center(7).load_centers(folder / "again")


def test_a_save_that_fails_in_one_process_fails_in_all(ranks: Ranks) -> None:
    first, *others = (str(kept["refused save"]) for kept in ranks)
    assert first.startswith(f"RuntimeError: {SIZE - 1} of the processes could not write their pieces of ")
    assert all(said.startswith("FileNotFoundError") for said in others)


def test_files_of_shared_classes(ranks: Ranks, folder: Path) -> None:
    """Pieces are read by any number of processes, one too; a missing piece is named."""
    one = center(7)
    one.load_centers(folder / "shared")
    np.testing.assert_array_equal(one.centers, np.concatenate([kept["shared block"] for kept in ranks]))
    table = np.arange(7.0 * D, dtype=np.float32).reshape(7, D)
    for where in ("other", "whole"):
        np.testing.assert_array_equal(np.concatenate([kept[f"shared from {where}"] for kept in ranks]), table)
    with pytest.raises(ValueError, match="number of classes"):
        files.load_rows(folder / "other", 0, 8, (8, D))
    with pytest.raises(FileNotFoundError, match="no such file"):
        files.load_rows(folder / "nothing", 0, 8, (8, D))
    alone = center(7, sharded=True)  # one process owns all
    alone.load_centers(folder / "other")
    np.testing.assert_array_equal(alone.centers, table)
    (folder / "other.00000002-of-00000007").rename(folder / "away")
    try:
        with pytest.raises(ValueError, match="lack the classes from 2 on"):
            alone.load_centers(folder / "other")
    finally:
        (folder / "away").rename(folder / "other.00000002-of-00000007")
    old = files.piece(folder / "other", 3, 7)  # what a save by other processes has left
    for about, said in (
        ({"save": "old"}, r"3-of-00000007 are pieces of different saves \(five and old\).*remove the old ones"),
        ({"save": "five"}, "3-of-00000007 starts at class 3, where the piece before has come to 4"),
        ({}, "3-of-00000007 does not say which save it is a piece of"),
    ):
        files.save(old, np.zeros((4, D), np.float32), about)
        with pytest.raises(ValueError, match=said):
            alone.load_centers(folder / "other")
    old.unlink()
    np.testing.assert_array_equal(alone.centers, table)


def test_a_state_dict_of_shared_classes(ranks: Ranks) -> None:
    """Each process's own goes back; another's is refused, and nothing has changed. DDP sends none to the others."""
    for rank, kept in enumerate(ranks):
        np.testing.assert_array_equal(kept["ddp shared block"], kept["ddp shared block wanted"])
        assert kept["state dict of shared"] == "['block', 'centers'] []"
        told = str(kept["refused state dict"])
        assert told == "" if rank == 0 else "holds the classes 0 to" in told and "each process loads its own" in told
        assert kept["state dict stays"]


def test_what_shared_classes_refuse(ranks: Ranks) -> None:
    assert all(np.isfinite(kept["shared alone"]) and "this one owns" in str(kept["describe shared"]) for kept in ranks)
    with pytest.raises(ValueError, match="sharded centers need num_classes"):
        multiloss.get("center", backend="torch", sharded=True)
    for call in (lambda c: c.resize(3), lambda c: c.select([0]), lambda c: c.to_backend("numpy")):
        with pytest.raises(NotImplementedError, match="sharded centers"):
            call(center(7, sharded=True))


@pytest.mark.parametrize("kind", ["not reentrant", "reentrant", "twice", "marked"])
@pytest.mark.parametrize(("name", "classes", "options"), groups.CHECKPOINTED)
def test_activation_checkpointing(ranks: Ranks, name: str, classes: int, options: dict[str, Any], kind: str) -> None:
    """Values, gradients and centers of the run without it: the recomputation, alone, reads what all found."""
    for kept in ranks:
        for what in [what for what in kept if what.startswith(f"{name} plain ")]:
            np.testing.assert_allclose(kept[what.replace("plain", kind)], kept[what], rtol=1e-6, atol=1e-7)
        assert np.isfinite(kept[f"{name} plain value 1"]) and np.abs(kept[f"{name} plain gradient 1"]).max() > 1e-3
    first = center(classes, **options)
    parts = [kept[f"{name} {kind} centers"] for kept in ranks]
    table = np.concatenate(parts) if first.options.sharded else parts[0]
    assert (table != first.centers.numpy()).any()


@pytest.mark.parametrize("name", ["broadcast", "no broadcast", "kept out"])
def test_inside_ddp(ranks: Ranks, name: str) -> None:
    """Centers and weights are those of one process; what is kept out is not broadcast."""
    assert all(kept[f"{name} sent"] == (name != "kept out") for kept in ranks)
    torch.manual_seed(0)
    layer, one = torch.nn.Linear(D, D), center(3)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    rng = np.random.default_rng(1)
    for _ in range(3):
        y, x = torch.from_numpy(rng.integers(0, 3, (SIZE, 5))), torch.from_numpy(rng.normal(size=(SIZE, 5, D)))
        optimizer.zero_grad()
        one(y.ravel(), layer(x.reshape(-1, D).float())).backward()  # batches of one length: the mean of means
        optimizer.step()
    np.testing.assert_allclose(same_everywhere(ranks, f"ddp {name} centers"), one.centers, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        same_everywhere(ranks, f"ddp {name} weight"), layer.weight.detach(), rtol=1e-5, atol=1e-6
    )


def test_describe_names_the_processes(ranks: Ranks) -> None:
    assert f"over {SIZE} processes" in str(ranks[0]["describe"])
    with pytest.raises(TypeError, match="process_group must be a torch ProcessGroup, None or False, got str"):
        center(3, process_group="all")

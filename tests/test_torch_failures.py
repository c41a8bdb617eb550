"""Center loss on real processes (gloo) where something goes wrong in one of them: an error in all, none waits, and none
goes on with other centers than the others."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

import multiloss.torch
from helpers.groups import D
from helpers.processes import FAILURES, run, same_everywhere
from helpers.torch_failures import center

SIZE = 3
Ranks = list[dict[str, Any]]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Ranks:
    """What each process kept."""
    folder = tmp_path_factory.mktemp("processes")
    return run("torch_failures", SIZE, folder, OMP_NUM_THREADS="1")


def moved(one: Any, steps: int) -> Any:
    """The centers of one process that steps with the batches of all."""
    x = torch.arange(1.0, SIZE + 1).repeat_interleave(3)[:, None].repeat(1, D)
    for _ in range(steps):
        one(torch.tensor([0, 1, 1] * SIZE), x)
    return one.centers


@pytest.mark.parametrize("error", [error.__name__ for error in FAILURES])
@pytest.mark.parametrize("name", ["plain", "shared out"])
def test_any_error_of_one_process(ranks: Ranks, name: str, error: str) -> None:
    """An interrupt, too: there as it was, and in the others one that names the rank; then all go on together."""
    for how in ("call", "update", "value_and_grad"):
        for rank, kept in enumerate(ranks):
            told = str(kept[f"{name} {error} {how}"])
            if rank == 1:
                assert told == (error if error in ("Unreadable", "Endless") else f"{error}: of the input")
            else:
                assert re.match(
                    rf"ValueError: the center loss of rank 1 (refused|broke off) its batch: .*{error}", told
                )
    wanted = moved(center(7 if name == "shared out" else 5), 2)
    tables = [kept[f"{name} after errors"] for kept in ranks]
    table = np.concatenate(tables) if name == "shared out" else same_everywhere(ranks, "plain after errors")
    np.testing.assert_allclose(table, wanted, rtol=1e-6, atol=1e-6)


def test_an_error_in_an_evaluation_of_shared_classes_and_in_a_checksum(ranks: Ranks) -> None:
    for rank, kept in enumerate(ranks):
        for what, error in (("evaluation", "IndexError"), ("checksum", "KeyboardInterrupt")):
            told = str(kept[f"{what} {error}"])
            assert error in told and ("rank 1" in told) == (rank != 1)
        assert np.isfinite(kept["evaluation after"])


@pytest.mark.parametrize("name", ["at first", "after a step", "copies", "pickled"])
def test_another_order_of_calls(ranks: Ranks, name: str) -> None:
    """Of two equal center losses: an error in all processes, nothing moves, and in one order they go on."""
    for kept in ranks:
        assert all("different center losses at the same time" in told for told in kept[f"order {name}"])
        assert kept[f"order {name} stays"]
    wanted = moved(center(), 2 if name == "after a step" else 1)
    for table in same_everywhere(ranks, f"order {name} after"):
        np.testing.assert_allclose(table, wanted, rtol=1e-6, atol=1e-6)


def test_another_order_where_one_process_has_made_more(ranks: Ranks) -> None:
    """Then the first of two calls cannot tell; the second one does."""
    for kept in ranks:
        first, second = kept["order late"]
        assert first == "nothing" and "different center losses at the same time" in second


def test_what_one_process_has_alone_is_no_other_order(ranks: Ranks) -> None:
    """Center losses that only evaluate there or move alone, and a copy that goes on in place of the first."""
    for table, steps in zip(same_everywhere(ranks, "order alone"), (3, 2), strict=True):
        np.testing.assert_allclose(table, moved(center(), steps), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("edit", ["by_hand", "by_numpy", "load", "load_state"])
def test_a_table_that_one_process_changed(ranks: Ranks, edit: str) -> None:
    """An error in all processes from the next step on, of a large table (20,000 numbers) within five steps, until it is
    the same again."""
    for kept in ranks:
        small, large = kept[f"edit {edit} 5"], kept[f"edit {edit} 5000"]
        assert all("checksum_of_centers must be the same in all processes" in told for told in (*small, *large[5:]))
        assert list(large) == list(ranks[0][f"edit {edit} 5000"])
        if edit.startswith("load"):
            assert "checksum_of_centers" in large[0]
    wanted = moved(center(), 2)
    for what in (f"edit {edit} after", "edit of nothing"):
        np.testing.assert_allclose(same_everywhere(ranks, what), wanted, rtol=1e-6, atol=1e-6)


def test_an_exchange_that_broke_off(ranks: Ranks) -> None:
    """An interrupt between the message and the sums: the others' communication fails at the group's timeout, and no
    process pairs with another step of any center loss."""
    for rank, kept in enumerate(ranks):
        assert str(kept["broken"]) == ("KeyboardInterrupt" if rank == 1 else "RuntimeError")
        assert all("broke off in this process" in told for told in kept["broken next"])
        assert kept["broken stays"] and np.isfinite(kept["broken evaluation"])
    assert str(ranks[1]["unheard"]) == "KeyboardInterrupt: of the input"  # as it was, once the others do not answer


def test_a_destroyed_group(ranks: Ranks) -> None:
    """One that was chosen: no step alone, and evaluation as before. The default one: alone, after a warning."""
    for rank, kept in enumerate(ranks):
        for how in ("call", "update", "value_and_grad"):
            assert "process_group of this center loss was destroyed" in str(kept[f"group destroyed {how}"])
        assert kept["group destroyed stays"] and np.isfinite(kept["group destroyed evaluation"])
        assert "process_group of this center loss was destroyed" in str(kept["world destroyed"])
        (warning,) = kept["default destroyed"]
        assert "moves its centers alone from now on" in warning
        assert kept["shared out block"].tolist() == [3 * rank, min(3 * rank + 3, 7), 7]  # what it holds, as before
        said = f"holds the classes {3 * rank} to {min(3 * rank + 2, 6)} and should hold 0 to 6"
        assert all(said in str(kept[f"shared out {what}"]) for what in ("destroyed", "saved"))


@pytest.mark.parametrize("how", ["empty", "masked"])
def test_ddp_where_one_process_has_nothing(ranks: Ranks, how: str) -> None:
    """Two steps: gradients of all parameters, the mean over the processes."""
    size = len(ranks)
    layer, loss = torch.nn.Linear(D, D), multiloss.torch.LinearCrossEntropy(5, D)
    parameters = [*layer.parameters(), *loss.parameters()]
    with torch.no_grad():
        for parameter in parameters:
            parameter.copy_(torch.linspace(-1, 1, parameter.numel()).view(parameter.shape))
    (2 * (size - 1) / size * loss(torch.arange(2), layer(torch.ones(2, D)))).backward()
    wanted = np.concatenate([parameter.grad.flatten().numpy() for parameter in parameters])
    np.testing.assert_allclose(same_everywhere(ranks, f"nothing {how}"), wanted, rtol=1e-5, atol=1e-6)


def test_distributed_tensors(ranks: Ranks) -> None:
    """Refused by name, every input of every loss, on every way of a call; torch's mean of unequal parts is wrong."""
    for kept in ranks:
        told = {what: str(message) for what, message in kept.items() if what.startswith("DTensor ")}
        full = told.pop("DTensor full gradient")
        assert len(told) > 200 and full
        for what, message in told.items():
            named = next((n for n in what.split() if f"{n}.full_tensor()" in message), "y_pred")
            assert message.startswith(f"TypeError: {named} must be an ordinary tensor, got a DTensor"), what
            assert f"{named}.to_local()" in message
        np.testing.assert_allclose(kept["DTensor full gradient"], [[2], [2 / 3], [4 / 3]], rtol=1e-6)

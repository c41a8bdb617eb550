"""Keras on torch, several processes (gloo): the layer has one table, that of a single process fed the whole batch."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import multiloss.keras

if keras.backend.backend() != "torch":

    def test_process_groups_are_of_torch() -> None:
        with pytest.raises(ValueError, match="process_group is an option of Keras on torch, got it on"):
            multiloss.keras.CenterLoss(num_classes=2, process_group=False)

else:
    import torch

    from helpers import keras_processes
    from helpers.groups import D
    from helpers.keras_processes import STEPS, batches, layer
    from helpers.processes import FAILURES, run, same_everywhere

    SIZE = 2
    Ranks = list[dict[str, Any]]
    WAYS = ("call", "update", "value_and_grad")

    @pytest.fixture(scope="module")
    def ranks(tmp_path_factory: pytest.TempPathFactory) -> Ranks:
        """What each process kept."""
        folder = tmp_path_factory.mktemp("processes")
        return run("keras_processes", SIZE, folder, OMP_NUM_THREADS="1")

    def test_inside_ddp(ranks: Ranks) -> None:
        model = keras_processes.made()
        keras_processes.trained(model, model, [(y.ravel(), x.reshape(-1, D)) for y, x in batches(SIZE)])
        for name, one in (("centers", model.center.centers), ("kernel", model.dense.kernel.value)):
            np.testing.assert_allclose(same_everywhere(ranks, name), one.detach(), rtol=1e-5, atol=1e-6)

    def test_uneven_batches(ranks: Ranks) -> None:
        """And an empty one; `process_group=False` and an evaluation touch no other process."""
        one = layer()
        for step, (y, x) in zip(range(STEPS), batches(SIZE), strict=True):
            lengths = [0 if (rank, step) == (1, 0) else 1 + rank + step for rank in range(SIZE)]
            parts = [(y[rank][:n], x[rank][:n]) for rank, n in enumerate(lengths)]
            one(np.concatenate([y for y, _ in parts]), torch.from_numpy(np.concatenate([x for _, x in parts])))
        np.testing.assert_allclose(same_everywhere(ranks, "uneven"), one.centers.detach(), rtol=1e-5, atol=1e-6)
        for rank, kept in enumerate(ranks):
            own = layer()
            own([0, 1], torch.full((2, D), float(rank)))
            np.testing.assert_array_equal(kept["own"], own.centers.detach())

    def test_the_first_radius_is_of_all_batches(ranks: Ranks) -> None:
        """Also to `value_and_grad`: samples of the lengths 2 and 4."""
        one = multiloss.keras.CenterLoss(loss="ring")
        one([0] * 4, torch.arange(1.0, 3).repeat_interleave(2)[:, None].expand(4, D))
        np.testing.assert_allclose(same_everywhere(ranks, "radius"), one.centers.detach(), rtol=1e-6)
        for rank, kept in enumerate(ranks):
            known = multiloss.keras.CenterLoss(loss="ring", radius=3.0)
            value = known([0, 0], torch.full((2, D), 1.0 + rank), training=False)
            np.testing.assert_allclose(kept["ring"], value.detach(), rtol=1e-6)

    OF_ONE = {
        "refused label": "label 9",
        "refused width": "4 features",
        "soft targets": "got soft targets",
        **{f"{error.__name__} {how}": error.__name__ for error in FAILURES[:3] for how in WAYS},
    }
    """What rank 1 alone gives."""
    OF_ALL = {
        "refused feature_dim": "feature_dim must be the same in all processes",
        "refused other centers": "checksum_of_centers must be the same in all processes",
        "refused growth": "pass num_classes",
        "order": "different center losses at the same time",
        "edit": "checksum_of_centers must be the same in all processes",
        "destroyed": "process_group of this center loss was destroyed",
    }

    @pytest.mark.parametrize("what", OF_ONE)
    def test_what_fails_in_one_process_is_an_error_in_all(ranks: Ranks, what: str) -> None:
        """Also what Keras would meet before the layer is called; without a hang, and nothing has changed."""
        for rank, kept in enumerate(ranks):
            told = str(kept[what])
            assert OF_ONE[what] in told and ("ValueError: the center loss of rank 1" in told) == (rank != 1), told
            np.testing.assert_array_equal(kept["afterwards"], kept["uneven"])
        np.testing.assert_array_equal(same_everywhere(ranks, "after errors"), ranks[0]["uneven"])

    @pytest.mark.parametrize("what", OF_ALL)
    def test_processes_that_would_diverge(ranks: Ranks, what: str) -> None:
        """By other options or centers, another order of calls, a table changed in one of them, a group that is gone."""
        for kept in ranks:
            assert all(OF_ALL[what] in str(told) for told in np.atleast_1d(kept[what]))

    def test_an_evaluation_tells_nobody(ranks: Ranks) -> None:
        assert str(ranks[0]["alone"]) == "IndexError: of the input"

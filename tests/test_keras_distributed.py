"""Keras on torch, several processes (gloo): the layer has one table, that of a single process fed the whole batch."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import multiloss.keras

if keras.backend.backend() != "torch":

    def test_process_groups_are_of_torch(backend: str) -> None:
        with pytest.raises(ValueError, match="process_group is an option of Keras on torch, got it on"):
            multiloss.keras.CenterLoss(num_classes=2, process_group=False)

else:
    import torch

    from helpers import keras_processes
    from helpers.groups import D
    from helpers.keras_processes import STEPS, batches, layer
    from helpers.processes import FAILURES, run, same_everywhere

    SIZE = 2

    @pytest.fixture(scope="module")
    def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
        """What each process kept."""
        folder = tmp_path_factory.mktemp("processes")
        return run("keras_processes", SIZE, folder, OMP_NUM_THREADS="1")

    def test_inside_ddp(backend: str, ranks: list[dict[str, Any]]) -> None:
        model = keras_processes.made()
        keras_processes.trained(model, model, [(y.ravel(), x.reshape(-1, D)) for y, x in batches(SIZE)])
        for name, one in (("centers", model.center.centers), ("kernel", model.dense.kernel.value)):
            np.testing.assert_allclose(same_everywhere(ranks, name), one.detach(), rtol=1e-5, atol=1e-6)

    def test_uneven_batches(backend: str, ranks: list[dict[str, Any]]) -> None:
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

    def test_the_first_radius_is_of_all_batches(backend: str, ranks: list[dict[str, Any]]) -> None:
        """Also to `value_and_grad`: samples of the lengths 2 and 4."""
        one = multiloss.keras.CenterLoss(loss="ring")
        one([0] * 4, torch.arange(1.0, 3).repeat_interleave(2)[:, None].expand(4, D))
        np.testing.assert_allclose(same_everywhere(ranks, "radius"), one.centers.detach(), rtol=1e-6)
        for rank, kept in enumerate(ranks):
            known = multiloss.keras.CenterLoss(loss="ring", radius=3.0)
            value = known([0, 0], torch.full((2, D), 1.0 + rank), training=False)
            np.testing.assert_allclose(kept["ring"], value.detach(), rtol=1e-6)

    def test_bad_input_on_one_process(backend: str, ranks: list[dict[str, Any]]) -> None:
        """An error on every process, no hang, and nothing has changed."""
        for rank, kept in enumerate(ranks):
            for what, said in (("label", "label 9"), ("width", "4 features")):
                told = str(kept[f"refused {what}"])
                assert said in told and ("rank 1 refused its batch" in told) == (rank != 1), told
            np.testing.assert_array_equal(kept["afterwards"], kept["uneven"])
            for what in ("feature_dim", "alpha", "checksum_of_centers"):
                told = str(kept["refused other centers" if what == "checksum_of_centers" else f"refused {what}"])
                assert f"{what} must be the same in all processes" in told
            assert "pass num_classes" in str(kept["refused growth"])

    @pytest.mark.parametrize("error", [error.__name__ for error in FAILURES])
    def test_any_error_of_one_process(backend: str, ranks: list[dict[str, Any]], error: str) -> None:
        """Which Keras would meet before the layer is called; an evaluation tells nobody."""
        for how in ("call", "update", "value_and_grad"):
            for rank, kept in enumerate(ranks):
                told = str(kept[f"{error} {how}"])
                assert error in told and ("ValueError: the center loss of rank 1" in told) == (rank != 1), told
        assert str(ranks[0]["alone"]) == "IndexError: of the input"
        np.testing.assert_array_equal(same_everywhere(ranks, "after errors"), ranks[0]["uneven"])

    def test_soft_targets_of_one_process(backend: str, ranks: list[dict[str, Any]]) -> None:
        for rank, kept in enumerate(ranks):
            told = str(kept["soft targets"])
            assert "got soft targets" in told and ("rank 1 refused its batch" in told) == (rank != 1), told

    def test_processes_that_would_diverge(backend: str, ranks: list[dict[str, Any]]) -> None:
        """By another order of calls, a table changed in one of them, a group that is gone."""
        for kept in ranks:
            assert all("different center losses at the same time" in told for told in kept["order"])
            assert all("checksum_of_centers must be the same in all processes" in told for told in kept["edit"])
            assert "process_group of this center loss was destroyed" in str(kept["destroyed"])

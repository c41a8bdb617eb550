"""The quick step of center loss on torch against the general one, which a mask of True makes answer."""

import copy
import math
import pickle
from typing import Any
from unittest import mock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import multiloss
from multiloss_torch import fast_center, mode

RNG = torch.Generator().manual_seed(0)
INF = float("inf")


def _pair(**options: Any) -> tuple[Any, Any]:
    """Two equal center losses."""
    given = {"num_classes": 7, "feature_dim": 3, "centers_init": "normal"} | options
    one, other = (multiloss.get("center", backend="torch", **given) for _ in range(2))
    return one, other


def _step(center: Any, labels: torch.Tensor, features: torch.Tensor, **more: Any) -> tuple[Any, Any]:
    leaf = features.clone().requires_grad_()
    value = center(labels, leaf, **more)
    (gradient,) = torch.autograd.grad(value, leaf)
    return value.detach(), gradient


@pytest.fixture
def quick_calls(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What each call of the quick step gave: whether it answered."""
    calls: list[bool] = []
    original = fast_center.step

    def step(*arguments: Any) -> Any:
        found = original(*arguments)
        calls.append(found is not None)
        return found

    monkeypatch.setattr(fast_center, "step", step)
    return calls


PRESETS = [None, "paper", "tensorflow", "caffe", "facenet", "kaiyangzhou", "jxgu1016"]
IN_RANGE, ANY = st.integers(0, 6), st.integers(0, 6) | st.sampled_from([-1, 7, 2**40, -(2**63)])


def _both_stay_equal(
    looked: bool, preset: str | None, dtype: torch.dtype, labels: list[int], last: float | None, **options: Any
) -> None:
    """Three steps of both; `last`: a feature of the last one. What the batch has not, and all if a label is out of
    range, stays."""
    one, other = (x.to(dtype) for x in _pair(**options | ({"preset": preset} if preset else {})))
    y, bad = torch.tensor(labels), any(not 0 <= label < 7 for label in labels)
    before, place = one.centers.clone(), len(labels) // 2
    with mock.patch.object(mode, "can_read", mode.can_read if looked else lambda _: False):
        for turn in range(3):
            x = torch.randn(len(labels), 3, generator=RNG, dtype=dtype)
            if turn == 2 and last is not None:
                x[place, 0] = last
            found, wanted = _step(one, y, x), _step(other, y, x, mask=torch.ones(len(labels), dtype=torch.bool))
            torch.testing.assert_close(found[0], wanted[0], equal_nan=True)
            ordinary = [i for i in range(len(labels)) if turn < 2 or i != place]
            torch.testing.assert_close(found[1][ordinary], wanted[1][ordinary])
            torch.testing.assert_close(one.centers, other.centers)
    absent = [c for c in range(7) if bad or c not in labels]
    assert found[0].isnan() or not bad
    assert torch.equal(one.centers[absent], before[absent])


@given(
    labels=st.lists(IN_RANGE, min_size=1, max_size=12),
    reduction=st.sampled_from(["mean", "sum", "batchmean", "weighted_mean"]),
    preset=st.sampled_from(PRESETS),
    per_feature=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_equal_to_the_general_step(
    labels: list[int], reduction: str, preset: str | None, per_feature: bool, dtype: torch.dtype
) -> None:
    options = {"reduction": reduction} | ({} if preset else {"per_feature": per_feature, "alpha": 0.3})
    _both_stay_equal(True, preset, dtype, labels, None, **options)


@pytest.mark.parametrize("preset", PRESETS)
@given(
    labels=st.lists(ANY, min_size=1, max_size=12),
    reduction=st.sampled_from(["mean", "sum", "batchmean", "weighted_mean"]),
    alpha=st.sampled_from([0.0, 0.3, 1.0]),
    feature=st.sampled_from([0.5, 3e38, INF, -INF, math.nan]),
)
def test_without_looking_it_is_the_general_step_too(
    preset: str | None, labels: list[int], reduction: str, alpha: float, feature: float
) -> None:
    """As on an accelerator: a label out of range makes the value nan and moves nothing."""
    _both_stay_equal(False, preset, torch.float32, labels, feature, reduction=reduction, alpha=alpha)


@pytest.mark.parametrize("looked", [True, False])
def test_second_derivatives(looked: bool) -> None:
    """Those of a constant where a label is out of range and nobody looks."""
    y, x, found = torch.tensor([1, 1, 4 if looked else 9]), torch.randn(3, 3, generator=RNG), []
    with mock.patch.object(mode, "can_read", mode.can_read if looked else lambda _: False):
        for center, more in zip(_pair(alpha=0.0), ({}, {"mask": torch.ones(3, dtype=torch.bool)}), strict=True):
            for _ in range(2):  # the second call is the quick one
                leaf = x.clone().requires_grad_()
                (first,) = torch.autograd.grad(center(y, leaf, **more), leaf, create_graph=True)
                found.append(torch.autograd.grad(first.square().sum(), leaf)[0])
    for other in found[1:]:
        torch.testing.assert_close(other, found[0])
    assert found[0].isfinite().all() and bool(found[0][2].any()) == looked


def test_lists_are_of_the_default_dtype_at_every_call() -> None:
    for options in ({"num_classes": 3}, {"num_classes": 3, "feature_dim": 2}):
        center = multiloss.get("center", backend="torch", **options)
        for _ in range(2):
            value, gradient = center.value_and_grad([0, 1], [[1.0, 2.0], [3.0, 4.0]])
            assert value.dtype == gradient.dtype == torch.float32


def test_the_quick_step_answers_and_gives_way(quick_calls: list[bool]) -> None:
    center, _ = _pair()
    y, x = torch.tensor([1, 1, 4]), torch.ones(3, 3)
    _step(center, y, x)
    assert quick_calls == []  # all checks first
    _step(center, y, x)
    assert quick_calls == [True]
    before = center.centers.clone()
    for bad in ([1, 7, 4], [1, -1, 4]):
        with pytest.raises(ValueError, match=r"labels.*\[0, 7\)"):
            center(torch.tensor(bad), x.requires_grad_())
    with pytest.raises(ValueError, match="features"):
        center(y, torch.ones(3, 2))
    assert torch.equal(center.centers, before)
    value = center(y, torch.tensor([[INF, 0, 0], [0, 0, 0], [1, 2, 3.0]]))
    assert value.isinf() and torch.equal(center.centers[1], before[1]) and not torch.equal(center.centers[4], before[4])
    assert quick_calls == [True, False, False, False]
    center.eval()
    moved = center.centers.clone()
    center(y, x)
    center.train()
    with torch.no_grad():
        center(y, x)
    assert torch.equal(center.centers, moved) and len(quick_calls) == 4
    center.resize(9)
    _step(center, y, x)
    center.double()
    _step(center, y, x.double())
    _step(center, y, x)
    _step(center, y, x.double())
    center.centers = torch.zeros(9, 3)
    _step(center, y, x.double())  # the table keeps its dtype
    assert quick_calls[4:] == [True, False, True, True]  # each time of the table that there is


def test_growth_copies_and_pickles(quick_calls: list[bool]) -> None:
    center = multiloss.get("center", backend="torch")
    y, x = torch.tensor([0, 2]), torch.ones(2, 3)
    _step(center, y, x)
    _step(center, y, x)
    _step(center, torch.tensor([0, 5]), x)
    assert quick_calls == [True, False] and center.centers.shape == (6, 3)
    for twin in (copy.deepcopy(center), pickle.loads(pickle.dumps(center))):
        before = center.centers.clone()
        _step(twin, y, x)
        _step(twin, y, x)
        assert torch.equal(center.centers, before) and not torch.equal(twin.centers, before)

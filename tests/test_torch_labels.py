"""torch's kernels of labels: out of range, unchecked, and where nobody can look at them."""

from typing import Any
from unittest import mock

import pytest
import torch
from torch.autograd import forward_ad

import multiloss
from multiloss_torch import arrays, kernels, mode

DRAW = torch.Generator().manual_seed(0)
LABELS, SCORES = torch.randint(0, 10, (32,), generator=DRAW), torch.randn(32, 10, generator=DRAW)
DISTRIBUTION = torch.softmax(torch.randn(32, 10, generator=DRAW), -1)


@pytest.fixture(params=["few", "many"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is for few elements, and what is for many."""
    if request.param == "many":
        monkeypatch.setattr(kernels, "_FEW", 0)


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize("name", ["nll", "multi_margin"])
def test_labels_out_of_range(name: str) -> None:
    """Refused at every call, also of a kind seen before; unchecked, nan."""
    scores = torch.full((3, 2), -1.0, requires_grad=True)
    for _ in range(2):
        loss = multiloss.get(name, backend="torch")
        loss(torch.tensor([0, 1, 1]), scores)
        for bad in (2, -1, -100):
            with pytest.raises(ValueError, match=str(bad)):
                loss(torch.tensor([0, bad, 1]), scores)
            unchecked = multiloss.get(name, backend="torch", validate=False)
            assert unchecked(torch.tensor([0, bad, 1]), scores).isnan()


@pytest.mark.usefixtures("size")
def test_sets_out_of_range() -> None:
    """What is no class, unchecked: nan before the first -1, nothing behind it."""
    loss = multiloss.get("multilabel_margin", backend="torch", validate=False)
    scores = torch.tensor([[0.1, 0.2, 0.4, 0.8]], requires_grad=True)
    assert loss(torch.tensor([[4, -1, 0, 0]]), scores).isnan()
    for rest in (0, 7, -5):
        for dtype in (torch.int64, torch.int32):
            sets = torch.tensor([[3, 0, -1, rest]], dtype=dtype)
            torch.testing.assert_close(loss(sets, scores).item(), 0.85, rtol=1e-6, atol=0.0)
    loss.value_and_grad(torch.tensor([[3, 0, -1, 1]]), scores)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_of_labels_that_nobody_looked_at(smoothing: float) -> None:
    """As on an accelerator, by torch's kernel: nan where a label is out of range, a constant in every derivative."""
    loss = multiloss.get("scce", backend="torch", from_logits=True, label_smoothing=smoothing)
    plain = multiloss.get("scce", backend="torch", from_logits=True, label_smoothing=smoothing, reduction="none")
    z, v, w = torch.randn(3, 3, 4, generator=torch.Generator().manual_seed(0)).double()
    for y in (torch.tensor([0, 1, 3]), torch.tensor([0, 1, 9]), torch.tensor([-1, -(2**63), 2])):
        known = (y >= 0) & (y < 4)
        with mock.patch.object(mode, "can_read", return_value=False):
            assert kernels.BLIND[loss.spec.definition.kernel](loss.spec.kwargs, -1, z.shape) is not None
            leaf = z.clone().requires_grad_()
            value = loss(y, leaf)
            (first,) = torch.autograd.grad(value, leaf, create_graph=True)
            (second,) = torch.autograd.grad((first * v).sum(), leaf)
            with forward_ad.dual_level():
                tangent = forward_ad.unpack_dual(loss(y, forward_ad.make_dual(z, w))).tangent
        assert value.isnan() == (not known.all())
        leaf = z.clone().requires_grad_()
        wanted = plain(y[known], leaf[known]).sum() / 3
        (slope,) = torch.autograd.grad(wanted, leaf, create_graph=True)
        torch.testing.assert_close(first, slope)
        torch.testing.assert_close(second, torch.autograd.grad((slope * v).sum(), leaf)[0])
        torch.testing.assert_close(tangent, (slope * w).sum())
        if known.all():
            torch.testing.assert_close(value, wanted)


UNSEEN = [("nll", {}), ("scce", {}), ("scce", {"from_logits": True}),
          ("scce", {"from_logits": True, "label_smoothing": 0.1})]  # fmt: skip


@pytest.mark.parametrize("read", [True, False])
@pytest.mark.parametrize(("name", "options"), UNSEEN)
def test_unchecked_is_the_same_loss(
    name: str, options: dict[str, Any], read: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Value and gradient of NumPy's; a nan at another class is not hidden, nor one under the floor made more."""
    if not read:
        monkeypatch.setattr(mode, "can_read", lambda _: False)
        monkeypatch.setattr(arrays, "host", lambda _: None)
    y_pred = {"nll": DISTRIBUTION.log()}.get(name, SCORES if options else DISTRIBUTION).double().clone()
    if name == "scce" and not options:
        y_pred[0, LABELS[0]] = 1e-9
    loss = multiloss.get(name, backend="torch", validate=False, **options)
    expected = loss.to_backend("numpy").value_and_grad(LABELS.numpy(), y_pred.numpy())
    found = loss.value_and_grad(LABELS, y_pred)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, torch.as_tensor(other), rtol=1e-14, atol=1e-18)
    y_pred[3, (LABELS[3] + 1) % 10] = torch.nan
    assert loss(LABELS, y_pred).isnan()


@pytest.mark.parametrize(("name", "options"), UNSEEN)
def test_a_label_out_of_range_that_nobody_checked(name: str, options: dict[str, Any]) -> None:
    """On the CPU torch notices it: nan, as on every backend. (A GPU's kernel ends the process.)"""
    loss = multiloss.get(name, backend="torch", validate=False, **options)
    labels = LABELS.clone()
    labels[0] = 10
    assert loss(labels, DISTRIBUTION.log() if name == "nll" else DISTRIBUTION).isnan()

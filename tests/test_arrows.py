"""Pictures of what losses of features pull and push."""

from typing import Any

import numpy as np
import pytest

import multiloss
from multiloss.engine import registry
from multiloss.pictures import arrows, curves, mixed

NAMES = [n for n in multiloss.list_losses() if n not in registry.CENTER and arrows.has_arrows(registry.find(n))]


@pytest.mark.parametrize("name", NAMES)
def test_arrows_are_minus_the_gradient(name: str) -> None:
    one = arrows.scene(name)
    size = sum(float((step**2).sum()) for step in one.steps.values())
    assert size > 1e-6
    loss = multiloss.get(name, backend="numpy", validate=False)
    before = np.sum(loss(**one.arrays))
    short = 1e-6 / size**0.5
    moved = {key: one.arrays[key] + short * step for key, step in one.steps.items()}
    after = np.sum(loss(**(one.arrays | moved)))
    assert (before - after) / short == pytest.approx(size, rel=1e-2)


def test_pairs_of_one_class_move_together_and_others_apart() -> None:
    one = arrows.scene("contrastive", {"margin": 1.0})
    towards = ((one.arrays["x2"] - one.arrays["x1"]) * one.steps["x1"]).sum(-1)
    assert (towards[:3] > 0).all() and (towards[3:] < 0).all()


HUBER, TRIPLET = ("huber", {}), ("triplet", {"margin": 0.5})


@pytest.mark.parametrize(
    ("asked", "lines", "points"),
    [
        ([TRIPLET, ("arcface", {})], [], ["triplet", "arcface"]),  # points all, although arcface has a curve, too
        ([HUBER, ("arcface", {}), ("hinge", {})], ["huber", "arcface", "hinge"], []),
        ([HUBER, TRIPLET, ("ring", {})], ["huber"], ["triplet", "ring"]),
        ([("center", {"per_feature": True})], ["center"], []),
        ([("center", {}), ("island", {})], [], ["center", "island"]),
        ([("ctc", {}), ("lovasz_softmax", {})], ["ctc", "lovasz_softmax"], []),
    ],
)
def test_any_losses_share_a_picture(
    asked: Any, lines: list[str], points: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: tuple[list[str], list[str]] = ([], [])
    monkeypatch.setattr(curves, "draw", lambda _, group: drawn[0].extend(one.label.split(",")[0] for one in group))
    monkeypatch.setattr(arrows, "draw", lambda _, scenes: drawn[1].extend(one.label.split(",")[0] for one in scenes))
    assert mixed.picture(asked).startswith(b"\x89PNG")
    assert drawn == (lines, points)


def test_every_loss_has_a_picture() -> None:
    for name in multiloss.list_losses():
        definition = curves.find(name)
        assert not curves.no_curve(definition) or arrows.has_arrows(definition), name


def test_features_are_pulled_to_their_centers() -> None:
    """The gradient of center loss is x - c, over the nine samples."""
    one = arrows.scene("center")
    wanted = (one.arrays["centers"][one.classes] - one.arrays["features"]) / 9
    np.testing.assert_allclose(one.steps["features"], wanted, atol=1e-8)

"""Pictures of what losses of features pull and push."""

from pathlib import Path

import numpy as np
import pytest

import multiloss
from multiloss import cli
from multiloss.engine import registry
from multiloss.pictures import arrows

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


def test_plot_draws_arrows_or_a_curve_and_not_both(tmp_path: Path) -> None:
    out = tmp_path / "a.png"
    assert cli.main(["plot", "triplet:margin=0.5", "arcface", "--out", str(out)]) == 0
    assert out.read_bytes()[:4] == b"\x89PNG"
    assert cli.main(["plot", "triplet", "huber", "--out", str(tmp_path / "b.png")]) == 2
    assert not (tmp_path / "b.png").exists()

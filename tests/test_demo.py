"""`multiloss demo`, small and quick."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers.demos import needs, refused, results, run
from multiloss.demo import data as images
from multiloss.demo import experiment, metrics, output
from multiloss.demo.settings import OBJECTIVES, Settings, batches

pytestmark = pytest.mark.graph

FILES = {"features.png", "features.gif", "history.png", "results.json"}
DIGITS = ("--data", "digits")


def test_every_backend_leaves_pictures_results_and_a_table(backend, tmp_path, capsys):
    needs(backend)
    assert run(*DIGITS, "--backend", backend, "--epochs", 2, "--out", tmp_path / "out") == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    for name in ("features.png", "history.png"):
        content = (tmp_path / "out" / name).read_bytes()
        assert content.startswith(b"\x89PNG")
        assert content.endswith(b"IEND\xaeB`\x82")
    found = results(tmp_path / "out")
    assert found["backend"] == backend
    assert [one["settings"]["objective"] for one in found["runs"]] == list(OBJECTIVES)
    for one in found["runs"]:
        assert 0 <= one["measured"]["accuracy"] <= 1
        assert one["measured"]["within"] > 0
        assert 0 < one["measured"]["nearest"] <= one["measured"]["between"]
        assert one["measured"]["ratio"] == pytest.approx(one["measured"]["within"] / one["measured"]["between"])
        assert one["measured"]["seconds"] > 0
        assert len(one["history"]["loss"]) == len(one["history"]["accuracy"]) == 2
        assert np.shape(one["class_means" if one["settings"]["objective"] != OBJECTIVES[2] else "centers"]) == (10, 2)
    assert np.abs(found["runs"][2]["centers"]).max() > 0.01  # they moved from zero
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("squared error", "center", "accuracy", "results.json"))


def test_every_backend_learns_and_the_center_loss_draws_the_classes_together(backend, tmp_path):
    needs(backend)
    data = images.load("digits")
    within = {}
    for objective in (OBJECTIVES[0], OBJECTIVES[2]):
        settings = Settings(objective, "mlp", epochs=15, batch=32, learning_rate=0.02)
        result = experiment.run(experiment.trainer(backend), data, settings, lambda: None)
        assert result.measured["accuracy"] > 0.7
        assert result.history["accuracy"][-1] == pytest.approx(result.measured["accuracy"])
        within[objective] = result.measured["within"]
    assert within["softmax + center"] < 0.7 * within["softmax"]


@pytest.mark.parametrize("unknown", ["8,9", "0,4"])
def test_unknown_classes_are_left_out_and_told_from_the_known(tmp_path, unknown):
    assert run(*DIGITS, "--backend", "numpy", "--epochs", 3, "--unknown", unknown, "--out", tmp_path) == 0
    found = results(tmp_path)
    assert found["data"]["classes"] == [i for i in range(10) if str(i) not in unknown]
    assert found["data"]["images"]["unknown"] > 50
    for row in found["summary"].values():
        assert 0 <= row["auroc_probability"]["mean"] <= 1
        assert 0 <= row["auroc_distance"]["mean"] <= 1


def test_labels_that_stay_get_consecutive_ids():
    data = images.without(images.load("digits"), (0, 4))
    assert data.classes == (1, 2, 3, 5, 6, 7, 8, 9)
    assert sorted(set(data.y_train)) == list(range(8))
    assert set(data.y_test) == set(range(8))
    whole = images.load("digits")
    assert len(data.x_test) + len(data.x_unknown) == len(whole.x_test)
    kept = ~np.isin(whole.y_test, (0, 4))
    np.testing.assert_array_equal(np.array(data.classes)[data.y_test], whole.y_test[kept])
    np.testing.assert_array_equal(data.x_test, whole.x_test[kept])


def test_seeds_give_mean_and_spread(tmp_path):
    assert run(*DIGITS, "--backend", "numpy", "--epochs", 1, "--seeds", 3, "--out", tmp_path) == 0
    found = results(tmp_path)
    values = [one["measured"]["accuracy"] for one in found["runs"] if one["settings"]["objective"] == "softmax"]
    assert len(values) == 3
    assert len(set(values)) > 1
    assert found["summary"]["softmax"]["accuracy"]["mean"] == pytest.approx(np.mean(values))
    assert found["summary"]["softmax"]["accuracy"]["spread"] == pytest.approx(np.std(values, ddof=1))


def test_lambda_and_alpha_reach_the_training():
    data, train = images.load("digits"), experiment.trainer("numpy")

    def center(weight: float, alpha: float) -> experiment.Result:
        settings = Settings(OBJECTIVES[2], "mlp", 2, 32, 0.02, center_weight=weight, alpha=alpha)
        return experiment.run(train, data, settings, lambda: None)

    assert center(1.0, 0.5).measured["within"] < center(0.05, 0.5).measured["within"]
    assert not np.any(center(0.05, 0.0).centers)


def test_lambda_and_alpha_are_options(tmp_path):
    assert run(*DIGITS, "--backend", "numpy", "--epochs", 1, "--lambda", 0.2, "--alpha", 0.7, "--out", tmp_path) == 0
    assert {one["settings"]["center_weight"] for one in results(tmp_path)["runs"]} == {0.2}
    assert {one["settings"]["alpha"] for one in results(tmp_path)["runs"]} == {0.7}


# What is measured


def test_measures_by_hand():
    features = np.array([[0.0, 0], [0, 2], [5, 1], [5, 5]])
    labels = np.array([0, 0, 1, 1])  # means (0, 1) and (5, 3)
    assert metrics.distance_within(features, labels, 2) == pytest.approx((1 + 1 + 2 + 2) / 4)
    assert metrics.distance_between(features, labels, 2) == pytest.approx(np.sqrt(25 + 4))
    assert metrics.distance_between(features, labels, 3) == pytest.approx(np.sqrt(29))  # class 2 has no image
    # Class means 0, 3 and 9 on a line lie 3, 6 and 9 apart; every feature lies 1 from the mean of its class.
    line = np.array([[-1.0], [1], [2], [4], [8], [10]])
    third = np.array([0, 0, 1, 1, 2, 2])
    assert metrics.distance_nearest(line, third, 3) == 3
    assert metrics.distance_between(line, third, 3) == (3 + 6 + 9) / 3
    assert metrics.ratio(metrics.distance_within(line, third, 3), metrics.distance_between(line, third, 3)) == 1 / 6
    assert np.isnan(metrics.ratio(1.0, 0.0))
    assert metrics.accuracy(np.array([[1.0, 0], [1, 0], [1, 0], [0, 1]]), labels) == 0.75
    np.testing.assert_allclose(
        metrics.largest_probability(np.array([[0.0, 0], [np.log(3), 0], [1e4, 0]])), [0.5, 0.75, 1]
    )
    np.testing.assert_allclose(metrics.distance_to_nearest(features, np.array([[0.0, 0], [5, 5]])), [0, 2, 4, 0])
    assert metrics.auroc(np.array([0.0, 1]), np.array([2.0, 3])) == 1
    assert metrics.auroc(np.array([0.0, 2]), np.array([1.0, 3])) == 0.75
    assert np.isnan(metrics.auroc(np.array([0.0, np.nan]), np.array([1.0])))


def test_batches_are_whole_and_new_every_epoch():
    settings = Settings("softmax", "mlp", epochs=2, batch=4, learning_rate=0.1, seed=3)
    first, second = batches(10, settings, 0), batches(10, settings, 1)
    assert first.shape == (2, 4)
    assert len(set(first.ravel())) == 8
    assert (first != second).any()
    assert (first == batches(10, settings, 0)).all()
    assert batches(3, settings, 0).shape == (1, 3)


def test_learning_rate_falls_after_two_thirds():
    settings = Settings("softmax", "cnn", epochs=9, batch=128, learning_rate=0.01)
    assert [settings.rate(epoch) for epoch in range(9)] == pytest.approx([0.01] * 6 + [0.001] * 3)


def test_nan_becomes_null():
    assert json.loads(output.to_json({"a": [float("nan"), 1.0], "b": (float("inf"),)})) == {
        "a": [None, 1.0],
        "b": [None],
    }


# Bad input: one line, status 2, nothing written


def test_other_mistakes(tmp_path, capsys):
    np.save(tmp_path / "one.npy", np.zeros(3))
    refused(tmp_path, capsys, "one.npy is a single array, not an npz file", "--data", tmp_path / "one.npy")
    refused(
        tmp_path,
        capsys,
        "absent.npz: no such file; give 'mnist', 'digits' or an npz",
        "--data",
        tmp_path / "absent.npz",
    )
    refused(tmp_path, capsys, "--unknown 12: digits has the labels 0, 1, 2", *DIGITS, "--unknown", "8,12")
    refused(tmp_path, capsys, "--unknown leaves 1 of 10 classes", *DIGITS, "--unknown", "0,1,2,3,4,5,6,7,8")
    refused(tmp_path, capsys, "--network cnn: the NumPy backend has the MLP only", *DIGITS, "--network", "cnn")
    refused(tmp_path, capsys, "is not a folder", "--out", tmp_path / "one.npy")


@pytest.mark.only("torch", "tensorflow", "jax", "keras")
def test_the_cnn_needs_larger_images_than_the_digits(backend, tmp_path, capsys):
    needs(backend)
    refused(tmp_path, capsys, "needs images of at least 16 x 16", *DIGITS, "--network", "cnn", "--backend", backend)


@pytest.mark.parametrize(
    "options", [("--seeds", "0"), ("--epochs", "x"), ("--lambda", "-1"), ("--alpha", "2"), ("--unknown", "a")]
)
def test_options_out_of_range_are_refused_by_the_parser(options, capsys):
    with pytest.raises(SystemExit) as caught:
        run(*options)
    assert caught.value.code == 2
    assert options[0] in capsys.readouterr().err


def test_a_missing_framework_is_named_with_its_extra(tmp_path, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "multiloss.demo.train_jax", raising=False)
    monkeypatch.setitem(sys.modules, "jax", None)  # what makes `import jax` fail
    refused(tmp_path, capsys, "jax is not installed): pip install 'multiloss[demo,jax]'", *DIGITS, "--backend", "jax")


# Interruption


def test_an_interrupted_training_leaves_nothing(tmp_path, capsys, monkeypatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "run", interrupted)
    assert run(*DIGITS, "--backend", "numpy", "--out", tmp_path / "out") == 130
    assert capsys.readouterr().err.splitlines()[-1] == "multiloss demo: interrupted; no unfinished file was left behind"
    assert not (tmp_path / "out").exists()


def test_control_c_ends_a_real_run(tmp_path):
    code = (
        "import argparse, os, signal, sys, threading\n"
        "from multiloss import demo\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background job is born deaf to it
        "threading.Timer(4, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "parser = argparse.ArgumentParser()\n"
        "demo.add_arguments(parser)\n"
        "options = ['--data', 'digits', '--backend', 'numpy', '--epochs', '100000', '--out', sys.argv[1]]\n"
        "sys.exit(demo.main(parser.parse_args(options)))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "out")], capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 130, ended.stderr
    assert ended.stderr.strip().endswith("interrupted; no unfinished file was left behind")
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("moment", [0, 1, 2])
def test_an_interruption_while_writing_leaves_whole_files_only(tmp_path, monkeypatch, moment):
    (tmp_path / "b").write_text("old")
    calls = []

    def interrupted(source: Path, target: Path) -> None:
        if len(calls) == moment:
            raise KeyboardInterrupt
        calls.append(target)
        os.rename(source, target)

    monkeypatch.setattr(output.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        output.write(tmp_path, dict.fromkeys("abc", b"new"))
    left = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert left == {"b": "old"} | dict.fromkeys("abc"[:moment], "new")

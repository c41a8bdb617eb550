"""The benchmark scripts still run. Nothing here looks at a time."""

import importlib
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
# As a user runs them: a script finds its neighbours in its own folder, which PYTHONSAFEPATH (of tox) switches off.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}


def test_accuracy_of_one_loss(tmp_path: Path) -> None:
    out = tmp_path / "accuracy.json"
    command = [sys.executable, BENCHMARKS / "accuracy.py", "--backend", "numpy", "--loss", "log_cosh", "--number", "9"]
    command = [*map(str, command), "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    results = json.loads(out.read_text())
    assert {r["dtype"] for r in results} == {"float32", "float64"}
    assert all(0 < r["value"] <= 8 for r in results)


def test_speed_lists_its_losses() -> None:
    command = [sys.executable, str(BENCHMARKS / "speed.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRONMENT)
    assert "scce_logits" in done.stdout


def test_contenders_take_turns_in_being_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each comes behind each other one as often, and behind itself, uncounted, before it is timed."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    speed = importlib.import_module("speed")
    called: list[str] = []
    calls = {name: lambda name=name: called.append(name) for name in "abc"}
    times = speed.interleaved(calls, lambda _: None, 1e-9, itertools.count(step=1.0).__next__)
    assert {name: len(samples) for name, samples in times.items()} == dict.fromkeys(calls, 9)
    assert "".join(called[-9 * 3 * 2 :: 2]) == "".join(called[-9 * 3 * 2 + 1 :: 2]) == "abcbcacab" * 3


@pytest.mark.only("torch")
def test_center_of_one_size(backend: str, tmp_path: Path) -> None:
    out = tmp_path / "center.json"
    command = [sys.executable, str(BENCHMARKS / "center.py"), "--framework", "torch", "--classes", "1000"]
    command += ["--seconds", "0.01", "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    steps = {r["step"] for r in json.loads(out.read_text())}
    assert steps == {"ours", "by hand", "by hand, no autograd", "counts in a table", "matrix of distances"}

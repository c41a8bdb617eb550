"""The benchmark scripts still run. Nothing here looks at a time."""

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


@pytest.mark.only("torch")
def test_center_of_one_size(backend: str, tmp_path: Path) -> None:
    out = tmp_path / "center.json"
    command = [sys.executable, str(BENCHMARKS / "center.py"), "--framework", "torch", "--classes", "1000"]
    command += ["--seconds", "0.01", "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    steps = {r["step"] for r in json.loads(out.read_text())}
    assert steps == {"ours", "by hand", "by hand, no autograd", "counts in a table", "matrix of distances"}

"""`multiloss demo`, run and refused in this process, and what it leaves."""

import argparse
import json
import sys
from pathlib import Path

import pytest

from multiloss import demo
from multiloss.demo import experiment


def run(*options: object) -> int:
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    return demo.main(parser.parse_args([str(option) for option in options]))


def needs(backend: str) -> None:
    for package in experiment.FRAMEWORKS[backend]:
        pytest.importorskip(package, reason=f"the demo on {backend} needs {package}, which is not installed")
    if backend == "tensorflow" and sys.modules["keras"].backend.backend() != "tensorflow":
        pytest.skip("Keras runs on another framework")


def results(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())


def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], message: str, *options: object) -> None:
    out = () if "--out" in options else ("--out", tmp_path / "out")
    backend = () if "--backend" in options else ("--backend", "numpy")
    assert run(*options, *out, *backend) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert not printed.out
    assert not (tmp_path / "out").exists()

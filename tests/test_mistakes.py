"""What a user got wrong at the command line: one line, exit status 2, soon."""

from __future__ import annotations

import os
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from multiloss.cli import main


def large_array(path: Path) -> None:
    """An npz that declares 466 TiB, for every command that reads one."""
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 8, 8), }".ljust(117) + b"\n"
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    with zipfile.ZipFile(path, "w") as file:
        for name in ("y_true", "y_pred", "x_train", "y_train", "x_test", "y_test"):
            file.writestr(f"{name}.npy", array)


def something_else(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", "hello")


def pickled(path: Path) -> None:
    np.savez(path, y_true=np.array([{}]), x_train=np.array([{}]))


def pipe(path: Path) -> None:
    os.mkfifo(path)


HUBER, MSE = "torch.nn.HuberLoss()", "torch.nn.MSELoss()"
SIGNS = f"torch.nn.HuberLoss(delta={'-' * 900}1)"
CALLS = f"a{'.b()' * 170}"


LARGE = "torch.nn.HuberLoss(delta=10**400)"  # which `compare` hands to torch, and reports what torch says


@pytest.mark.parametrize("form", [SIGNS, CALLS, LARGE, f"a{'.b' * 3000}"])
@pytest.mark.parametrize("command", ["port", "compare"])
def test_written_forms_beyond_bounds(command: str, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = main([command, form, *([MSE] if command == "compare" else [])])
    assert status == (1 if (command, form) == ("compare", LARGE) else 2)
    printed = capsys.readouterr()
    assert printed.err.startswith("multiloss: error: ") or "a failed: OverflowError" in printed.out


@pytest.mark.parametrize("make", [large_array, something_else, pickled, pipe])
def test_files_that_hold_something_else(make: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "data.npz"
    make(path)
    commands = [["demo", "--data", str(path), "--out", str(tmp_path / "out")]]
    commands += [["compare", HUBER, MSE, "--data", str(path)]]
    for command in commands:
        assert main(command) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_scan_reads_no_pipe_and_no_endless_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipe(tmp_path / "pipe")
    with (tmp_path / "large.py").open("wb") as file:
        file.truncate(20_000_000)
    (tmp_path / "bad.ipynb").write_text("{}")
    for name in ("pipe", "large.py", "bad.ipynb", "nothing", "."):
        assert main(["scan", str(tmp_path / name)]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_scan_goes_on_behind_what_is_nested_too_deeply(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["from torch import nn", f"a = nn.HuberLoss(delta={'-' * 900}1)", f"b = c{'.d()' * 170}", ""]
    (tmp_path / "deep.py").write_text("\n".join([*lines, "h = nn.MSELoss()"]))
    assert main(["scan", str(tmp_path / "deep.py")]) == 0
    printed = capsys.readouterr().out
    assert "deep.py:2: an expression that is nested too deeply" in printed and "deep.py:5: nn.MSELoss()" in printed


def test_an_interrupt_before_the_command_runs(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("multiloss.cli._parser", interrupted)
    assert main(["list"]) == 130
    assert capsys.readouterr().err == "multiloss: interrupted\n"


def test_arrays_beyond_memory(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "mse", "mse", "--shape", "9999x9999x9999x9999"]) == 2
    assert capsys.readouterr().err.startswith("multiloss: error: ")


def test_options_of_plot_beyond_bounds(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["plot", f"huber:delta={'-' * 3000}1", "--out", str(tmp_path / "curves.png")]) == 2
    assert capsys.readouterr().err.startswith("multiloss: error: ")

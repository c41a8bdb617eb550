"""A module of `helpers` in several processes at once, as a distributed program is run; and what goes wrong there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np


def run(module: str, size: int, folder: Path, *more: str, timeout: int = 120, **environ: str) -> list[dict[str, Any]]:
    """What each process kept: `python -m helpers.MODULE RANK SIZE FOLDER ...` writes FOLDER/RANK.npz.

    One that fails or takes longer is an error that shows what all of them said.
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, sys.path))} | environ
    command = [sys.executable, "-P", "-m", f"helpers.{module}"]
    running = [
        subprocess.Popen([*command, str(rank), str(size), str(folder), *more], env=environment, stderr=subprocess.PIPE)
        for rank in range(size)
    ]
    try:
        errors = [process.communicate(timeout=timeout)[1].decode() for process in running]
    finally:
        for process in running:
            process.kill()
    assert all(process.returncode == 0 for process in running), "\n".join(errors)
    return [dict(np.load(folder / f"{rank}.npz")) for rank in range(size)]


def same_everywhere(ranks: list[dict[str, Any]], name: str) -> Any:
    """What all processes kept alike, bit for bit."""
    for other in ranks[1:]:
        np.testing.assert_array_equal(ranks[0][name], other[name])
    return ranks[0][name]


class Unreadable(Exception):
    """An error whose text cannot be had."""

    def __str__(self) -> str:
        raise OSError


class Endless(Exception):
    """An error whose text is longer than a message, in any encoding."""

    def __str__(self) -> str:
        return "\0\ud800\U0001f600" * 10_000


FAILURES = [IndexError, MemoryError, KeyboardInterrupt, SystemExit, GeneratorExit, Unreadable, Endless]


class Failing:
    """An input that fails when it is read."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise self.error("of the input")


def ways(loss: Any) -> dict[str, Any]:
    """The calls that move the centers."""
    return {"call": loss, "update": loss.update, "value_and_grad": loss.value_and_grad}


def raised(call: Any) -> str:
    """Whatever it raises, and what that says."""
    try:
        call()
    except BaseException as error:
        name = type(error).__name__
        return name if isinstance(error, Unreadable | Endless) else f"{name}: {error}"
    return "nothing"


def refused(call: Any) -> str:
    """What the error says."""
    try:
        call()
    except (ValueError, TypeError, RuntimeError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"

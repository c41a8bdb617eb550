"""Runs one script in several processes at once, as a distributed program is run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np


def run(script: str, size: int, folder: Path, *more: str, timeout: int = 120, **environ: str) -> list[dict[str, Any]]:
    """What each process kept: `script RANK SIZE FOLDER ...` of this folder writes FOLDER/RANK.npz.

    One that fails or takes longer is an error that shows what all of them said.
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, sys.path))} | environ
    command = [sys.executable, str(Path(__file__).parent / script)]
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

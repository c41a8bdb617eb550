"""How fast losses are: here, in the framework's own library, and in Keras on that framework (`multiloss bench`).

`pairs` is the table of what is timed, `arrays` what it is timed on, `own_*` how each framework calls it, `timing` how.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

BACKENDS = ("torch", "jax", "tensorflow")
LIMIT = 1.2
"""A ratio above it is marked."""


def environment(**more: str) -> dict[str, str]:
    """That of a process that imports what this one does."""
    paths = os.pathsep.join(str(path) for path in sys.path if path)
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    return os.environ | quiet | {"PYTHONPATH": paths} | more


def results(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What the process of one framework tells, as it comes: first the versions, then a line a loss, size and mode.

    Raises:
        ValueError: the process failed; with the last line that it wrote.
    """
    from multiloss.bench.worker import MARK

    command = [sys.executable, "-P", "-m", "multiloss.bench.worker", json.dumps(job)]
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment(KERAS_BACKEND=job["backend"])
        )
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if line.startswith(MARK):
                    yield json.loads(line.removeprefix(MARK))
            status = process.wait()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        if status:
            log.seek(0)
            told = [line for line in log.read().splitlines() if line.strip()] or [f"status {status}"]
            raise ValueError(f"bench on {job['backend']} failed: {told[-1]}")

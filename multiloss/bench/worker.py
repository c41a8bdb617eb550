"""What a process does that times the losses of one framework: a line of JSON for each that is done.

Each framework has a process of its own, because Keras takes its backend at import.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import statistics
import sys
import time
from typing import Any

from multiloss.bench import pairs
from multiloss.bench.timing import interleaved

MARK = "multiloss bench:"


def measure(
    framework: Any, backend: str, loss: tuple[str, dict[str, Any]], size: pairs.Size, mode: str, job: dict[str, Any]
) -> dict[str, Any]:
    """One line of the table."""
    import multiloss

    key, row = pairs.row_of(*loss)
    own_name, own = pairs.own_loss(row, framework)
    ours = multiloss.get_by_name(row.name, backend=backend, **row.options)
    contenders = {"ours": ours, "own": own, "keras": pairs.keras_loss(row)}
    inputs = [framework.array(x) for x in pairs.inputs(row, size)]
    calls = {
        name: framework.runner(mode, f, name == "ours", *inputs) for name, f in contenders.items() if f is not None
    }
    clock = time.process_time if job["processor_time"] else time.perf_counter
    times = interleaved(calls, framework.wait, job["seconds"], clock)
    medians = {name: statistics.median(found) for name, found in times.items()}

    def ratio(names: list[str]) -> float | None:
        """Ours / the fastest of those: the median of what each round gives."""
        if not names:
            return None
        best = min(names, key=lambda name: medians[name])
        return round(statistics.median(a / b for a, b in zip(times["ours"], times[best], strict=True)), 3)

    return {
        "framework": backend,
        "mode": mode,
        "loss": key,
        "size": f"{size[0]}x{size[1]}",
        "own_name": own_name,
        **{f"{name}_us": round(value, 2) for name, value in medians.items()},
        **{f"{name}_least_us": round(min(found), 2) for name, found in times.items()},
        "rounds": len(times["ours"]),
        # What a library offers is a peer; operations that a user would write are there to compare with.
        "ratio": ratio([name for name in medians if name != "ours" and (name, own_name) != ("own", "ops")]),
        "ratio_to_operations": ratio(["own"]) if own_name == "ops" else None,
    }


def run(job: dict[str, Any]) -> None:
    """All lines of one framework, printed as they come."""
    backend = job["backend"]
    processors = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
    if len(processors) > job["threads"]:
        os.sched_setaffinity(0, processors[: job["threads"]])
    framework = importlib.import_module(f"multiloss.bench.own_{backend}")
    framework.threads(job["threads"])
    framework.place(job["device"])
    rows = [pairs.row_of(*loss)[1] for loss, _ in job["losses"]]
    peers = [name for name in ("optax", "keras") if any(name in row.others for row in rows)]
    peers = [name for name in peers if importlib.util.find_spec(name) and (name != "optax" or backend == "jax")]
    _tell({"versions": [framework.VERSION, *(f"{x} {importlib.import_module(x).__version__}" for x in peers)]})
    for mode in job["modes"] or framework.MODES[:1]:
        if mode not in framework.MODES:
            continue
        for loss, sizes in job["losses"]:
            for size in sizes:
                _tell(measure(framework, backend, loss, tuple(size), mode, job))
            framework.forget()


def _tell(data: dict[str, Any]) -> None:
    print(MARK + json.dumps(data), flush=True)


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))

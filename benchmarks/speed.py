"""Value + gradient of each loss: here, in the framework's own library, and in Keras on that framework.

    python benchmarks/speed.py --framework torch --loss huber --size 256x1000
    python benchmarks/speed.py --json speed.json --markdown speed.md

Each framework runs in a process of its own, since Keras takes its backend at import. All contenders of a row are
timed in turn, each first as often as the others (A B C, B C A, ...) and after a call that is not counted, in float32;
the table gives medians over the rounds, and as ratio the median of what each round gives for ours / the fastest of the
framework's own and Keras; where a framework has no such loss, the operations that a user would write stand beside it,
with a ratio of their own.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import catalogue
import rows
from rows import ROWS, SIZES

ROOT = Path(__file__).resolve().parent.parent
FRAMEWORKS = ("torch", "jax", "tensorflow")
LIMIT = 1.2
Result = dict[str, Any]


def once(call: Callable[[], Any], wait: Callable[[Any], None], repeats: int, clock: Callable[[], float]) -> float:
    """Microseconds a call."""
    start = clock()
    for _ in range(repeats):
        result = call()
    wait(result)
    return (clock() - start) / repeats * 1e6


def interleaved(
    calls: dict[str, Callable[[], Any]],
    wait: Callable[[Any], None],
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Times of all contenders, in turn, for about `seconds` each; one that always came after a slow one, and so always
    found the memory given back, took a third longer than the same function did in another place."""
    repeats = {}
    for name, call in calls.items():
        once(call, wait, 3, clock)  # compiles, allocates
        guess = min(once(call, wait, 1, clock) for _ in range(3))
        repeats[name] = max(1, round(2000 / guess))  # a round of 2 ms, or of one call
    slowest = max(once(call, wait, repeats[name], clock) * (repeats[name] + 1) for name, call in calls.items())
    rounds = min(max(round(seconds * 1e6 / slowest), 7), 101)
    rounds += -rounds % len(calls)
    times: dict[str, list[float]] = {name: [] for name in calls}
    gc.collect()
    gc.disable()
    try:
        for turn in range(rounds):
            first = turn % len(calls)
            for name, call in [*calls.items()][first:] + [*calls.items()][:first]:
                once(call, wait, 1, clock)  # what another one left of the caches and the heap is not this one's
                times[name].append(once(call, wait, repeats[name], clock))
    finally:
        gc.enable()
    return times


def measure(
    framework: Any, backend: str, key: str, size: tuple[int, int], mode: str, arguments: argparse.Namespace
) -> Result:
    """One line of the table."""
    import multiloss

    if key in ROWS:
        row: Any = ROWS[key]
        arrays, keras = rows.inputs(row.data, size), rows.keras_loss(row)
        own_name, own = framework.OWN[key]
    else:
        row = catalogue.ROWS[key]
        arrays, keras = catalogue.inputs(row, size), catalogue.keras_loss(row)
        own_name, own = catalogue.own_loss(row, backend)
    ours = multiloss.get(row.name, backend=backend, **row.options)
    inputs = [framework.array(x) for x in arrays]
    calls = {
        name: framework.runner(mode, f, name == "ours", *inputs)
        for name, f in {"ours": ours, "own": own, "keras": keras}.items()
        if f is not None
    }
    clock = time.process_time if arguments.processor_time else time.perf_counter
    times = interleaved(calls, framework.wait, arguments.seconds, clock)
    medians = {name: statistics.median(samples) for name, samples in times.items()}
    # What a library offers is held to the limit; operations that a user would write are there to compare with.
    offered = [name for name in medians if name != "ours" and (name, own_name) != ("own", "ops")]

    def ratio(names: list[str]) -> float | None:
        """Ours / the fastest of those."""
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
        "ratio": ratio(offered),
        "ratio_to_operations": ratio(["own"]) if own_name == "ops" else None,
    }


HEADER = ("framework", "mode", "loss", "size", "ours us", "own us", "keras us", "own", "ratio", "to ops")


def cells(result: Result) -> tuple[str, ...]:
    """A line of the table."""
    times = (f"{result[key]:.1f}" if key in result else "-" for key in ("ours_us", "own_us", "keras_us"))
    ratios = ("-" if result[key] is None else f"{result[key]:.2f}" for key in ("ratio", "ratio_to_operations"))
    first, second = ratios
    return (*(str(result[key]) for key in ("framework", "mode", "loss", "size")), *times, result["own_name"],
            first + (" !" if too_slow(result) else ""), second)  # fmt: skip


def too_slow(result: Result) -> bool:
    """Whether a line is above the limit."""
    return result["ratio"] is not None and result["ratio"] > LIMIT


def line(items: tuple[str, ...]) -> str:
    """A line of the table as printed."""
    return "{:<10} {:<14} {:<30} {:>9} {:>10} {:>10} {:>10}  {:<42} {:<7} {}".format(*items)


def markdown(results: list[Result]) -> str:
    """The table as Markdown."""
    lines = [HEADER, tuple("---" for _ in HEADER), *map(cells, results)]
    return "\n".join("| " + " | ".join(items) + " |" for items in lines) + "\n"


def run_framework(backend: str, arguments: argparse.Namespace) -> list[Result]:
    """All lines of one framework, printed as they come."""
    processors = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
    if len(processors) > arguments.threads:
        os.sched_setaffinity(0, processors[: arguments.threads])
    framework = importlib.import_module(f"own_{backend}")
    framework.threads(arguments.threads)
    framework.place(arguments.device)
    import keras

    time_kind = "processor time" if arguments.processor_time else "wall time"
    versions = f"{framework.VERSION}, keras {keras.__version__} on {keras.backend.backend()}"
    print(f"# {versions}, float32, {arguments.device}, threads: {arguments.threads}, {time_kind}")
    print(line(HEADER), flush=True)
    results = []
    for mode in arguments.mode or framework.MODES:
        if mode not in framework.MODES:
            continue
        for key in arguments.loss or (catalogue.ROWS if arguments.catalogue else ROWS):
            for size in arguments.size or (SIZES if key in ROWS else catalogue.ROWS[key].sizes):
                result = measure(framework, backend, key, size, mode, arguments)
                results.append(result)
                print(line(cells(result)), flush=True)
            framework.forget()
    return results


def in_own_process(backend: str, arguments: list[str]) -> list[Result]:
    """`run_framework` in a process with that Keras backend."""
    paths = [str(ROOT), str(ROOT / "backends"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "KERAS_BACKEND": backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "results.json")
        command = [sys.executable, __file__, *arguments, "--framework", backend, "--worker", str(out)]
        subprocess.run(command, env=environment, check=True)
        results: list[Result] = json.loads(out.read_text())
    return results


def size(text: str) -> tuple[int, int]:
    """`256x1000`."""
    rows, columns = text.split("x")
    return int(rows), int(columns)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parse = argparse.ArgumentParser(description="value + gradient: ours, the framework's own, Keras")
    parse.add_argument("--framework", action="append", choices=FRAMEWORKS, help="default: all; may be repeated")
    parse.add_argument(
        "--loss", action="append", choices=[*ROWS, *catalogue.ROWS], help="default: all; may be repeated"
    )
    parse.add_argument(
        "--catalogue", action="store_true", help="the losses of catalogue.py instead of those of rows.py"
    )
    parse.add_argument("--size", action="append", type=size, help="ROWSxCOLUMNS; default: 32x10, 256x1000, 4096x1000")
    parse.add_argument("--mode", action="append", help="eager, value_and_grad, compile, grad, jit, function, xla")
    parse.add_argument("--seconds", type=float, default=0.3, help="about how long each contender of a line is timed")
    parse.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="default: all processors")
    parse.add_argument("--processor-time", action="store_true", help="not wall time: for a machine that others use too")
    parse.add_argument(
        "--device", default="cpu", help="where torch's tensors are; JAX and TensorFlow take what they find"
    )
    parse.add_argument("--json", type=Path, help="write the results here")
    parse.add_argument("--markdown", type=Path, help="write the table here")
    parse.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    return parse


def main(argv: list[str]) -> None:
    """Run what the command line asks for."""
    arguments = parser().parse_args(argv)
    if arguments.worker:
        arguments.worker.write_text(json.dumps(run_framework(arguments.framework[-1], arguments)))
        return
    results = [r for name in arguments.framework or FRAMEWORKS for r in in_own_process(name, argv)]
    held = [result for result in results if result["ratio"] is not None]
    slow = [result for result in held if too_slow(result)]
    print(f"\n{len(held) - len(slow)} of {len(held)} lines within {LIMIT} x; above: {len(slow)}")
    for result in sorted(slow, key=lambda r: -r["ratio"]):
        print(line(cells(result)))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    if arguments.markdown:
        arguments.markdown.write_text(markdown(results))


if __name__ == "__main__":
    main(sys.argv[1:])

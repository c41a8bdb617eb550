"""`multiloss bench`: how fast losses are, beside the framework's own and Keras'."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from multiloss.cli import output
from multiloss.cli.arguments import argument, losses_with_options, name_and_options, positive, size, whole

_BACKENDS = ("torch", "jax", "tensorflow")
_MODES = ("eager", "value_and_grad", "compile", "grad", "jit", "function", "xla")


def bench(args: argparse.Namespace) -> int:
    """Times and ratios as a table that grows, and as a picture."""
    from multiloss import bench, list_backends
    from multiloss.bench import pairs, picture
    from multiloss.pictures import curves

    if args.out is not None:
        file_format = args.out.suffix[1:].lower()
        if file_format not in curves.FORMATS:
            raise ValueError(f"--out {args.out}: the name must end in {', '.join('.' + f for f in curves.FORMATS)}")
        curves.figure((1, 1))  # tells now if matplotlib is missing
    here = list_backends()
    missing = next((name for name in args.backend or () if not here[name]), None)
    if missing:
        raise ImportError(
            f"bench on {missing} needs {missing}, which is not installed: pip install 'multiloss[{missing}]'"
        )
    backends = list(dict.fromkeys(args.backend or (name for name in _BACKENDS if here[name])))
    if not backends:
        raise ImportError(f"bench needs one of {', '.join(_BACKENDS)}, and none is installed")
    asked = [name_and_options(word) for word in args.losses]
    asked = asked or [(key, {}) for key, row in pairs.ROWS.items() if args.all or row in pairs.CORE]
    rows = [(one, *pairs.row_of(*one)) for one in asked]
    losses = [(one, args.size or row.sizes) for one, _, row in rows]
    job = {
        "losses": losses,
        "modes": args.mode,
        "seconds": args.seconds,
        "threads": args.threads,
        "device": args.device,
        "processor_time": args.processor_time,
    }
    table = _Table(max(len(key) for _, key, _ in rows), job, quiet=args.json)
    found: list[dict[str, Any]] = []
    total = sum(len(sizes) for _, sizes in losses) * max(1, len(args.mode or ())) * len(backends)
    versions = {}
    for backend in backends:
        _progress(found, total, f"starting {backend}")
        for told in bench.results({**job, "backend": backend}):
            if "versions" in told:
                versions[backend] = told["versions"]
                continue
            _progress()
            table.add(told, versions[backend])
            found.append(told)
            _progress(found, total, f"{backend} {told['mode']}")
        _progress()
    if not found:
        raise ValueError(f"none of {', '.join(backends)} has the mode {' or '.join(args.mode)}")
    if args.out is not None:
        curves.write(args.out, picture.picture(found, file_format))
    if args.json:
        told = {name: value for name, value in job.items() if name != "losses"}
        output.say_json({"versions": versions, **told, "results": found})
        return 0
    table.end(found)
    if args.out is not None:
        print(args.out)
    return 0


def _progress(found: list[Any] | None = None, total: int = 0, what: str = "") -> None:
    """A line on a terminal that the next one replaces: how many lines are done."""
    if sys.stderr.isatty():
        line = "" if found is None else f"{len(found)} of {total}, {what}"
        print(f"\r{line:<60}\r{line}", end="", file=sys.stderr, flush=True)


class _Table:
    """Lines in columns whose widths are known before the first line is."""

    def __init__(self, column: int, job: dict[str, Any], quiet: bool) -> None:
        self.column, self.job, self.quiet, self.group = max(column, 4), job, quiet, ""

    def add(self, one: dict[str, Any], versions: list[str]) -> None:
        if self.quiet:
            return
        group = f"{', '.join(versions)}: {one['mode']}"
        if group != self.group:
            print(f"{chr(10) if self.group else ''}{group}")
            self._line("loss", "size", "ours", "own", "Keras", "ratio", "own is")
            self.group = group
        times = (f"{one[key]:.1f}" if key in one else "-" for key in ("ours_us", "own_us", "keras_us"))
        self._line(one["loss"], one["size"], *times, _ratio(one), one["own_name"])

    def _line(self, *cells: str) -> None:
        loss, size, ours, own, keras, ratio, name = cells
        line = f"{loss:<{self.column}}  {size:>9}  {ours:>9}  {own:>9}  {keras:>9}  {ratio:>7}  {name}"
        print(line.rstrip(), flush=True)

    def end(self, found: list[dict[str, Any]]) -> None:
        """What the numbers are."""
        from multiloss.bench import LIMIT

        held = [one["ratio"] for one in found if one["ratio"] is not None]
        kind = "processor time" if self.job["processor_time"] else "wall time"
        where = f"float32, {self.job['device']}, {self.job['threads']} threads, {kind}"
        told = (
            f"Microseconds for value and gradient ({where}): medians of calls that take turns. The ratio is ours / the "
            f"fastest other in the same round; in brackets against plain operations, where no library has the loss. "
            f"{sum(ratio <= LIMIT for ratio in held)} of {len(held)} ratios are within {LIMIT}; ! marks the others."
        )
        print("", *output.wrapped(told, ""), sep="\n")


def _ratio(one: dict[str, Any]) -> str:
    from multiloss.bench import LIMIT

    if one["ratio"] is not None:
        return f"{'! ' * (one['ratio'] > LIMIT)}{one['ratio']:.2f}"
    return "-" if one["ratio_to_operations"] is None else f"({one['ratio_to_operations']:.2f})"


COMMANDS: dict[str, tuple[Any, ...]] = {
    "bench": (
        bench,
        "time losses: here, in the framework's own library, and in Keras",
        "Each framework runs in a process of its own. Options of a loss follow a colon, as for plot.",
        argument(
            "losses",
            nargs="*",
            metavar="LOSS[:OPTION=VALUE,...]",
            completer=losses_with_options,
            help="default: fifteen common ones",
        ),
        argument("--all", action="store_true", help="every loss of the table of pairs, if none is named"),
        argument(
            "--backend",
            action="extend",
            nargs="+",
            choices=_BACKENDS,
            metavar="BACKEND",
            help="torch, jax, tensorflow; default: those that are installed",
        ),
        argument(
            "--size",
            action="extend",
            nargs="+",
            type=size,
            metavar="ROWSxCOLUMNS",
            help="the batch; default: 32x10 256x1000 4096x1000 for most losses",
        ),
        argument(
            "--mode",
            action="extend",
            nargs="+",
            choices=_MODES,
            metavar="MODE",
            help=f"of {', '.join(_MODES)}; default: eager (torch), jit (jax), function (tensorflow)",
        ),
        argument(
            "--seconds",
            type=positive,
            default=0.1,
            metavar="S",
            help="about how long each contender of a line is timed (default: 0.1)",
        ),
        argument(
            "--threads",
            type=whole(1),
            default=os.cpu_count() or 1,
            metavar="N",
            help="default: all processors",
        ),
        argument(
            "--processor-time",
            action="store_true",
            help="not wall time: for a machine that others use too, with --threads 1",
        ),
        argument("--device", default="cpu", help="where torch's tensors are; JAX and TensorFlow take what they find"),
        argument("--out", type=Path, metavar="FILE", help="draw the times: a .png, .pdf or .svg file"),
        argument("--json", action="store_true", help="print it as JSON, for a program"),
    ),
}

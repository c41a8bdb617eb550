"""`multiloss verify` and `compare`: whether losses have their properties, and whether two are the same."""

from __future__ import annotations

import argparse
import dataclasses
import zipfile
from pathlib import Path
from typing import Any

from multiloss.cli import output
from multiloss.cli.arguments import argument, backends, losses, shape, sources, whole


def verify(args: argparse.Namespace) -> int:
    """The property tests of losses, on the installed backends or those that are named."""
    from multiloss import catalogue, list_backends, testing
    from multiloss.engine import dispatch, registry

    # Names and backends are looked up first, so that a mistake is told before minutes of work.
    names = list(dict.fromkeys(catalogue.definition(name).name for name in args.names))
    names = names or [name for name in catalogue.list_losses() if name not in registry.CENTER]
    stateful = next((name for name in names if name in registry.CENTER), None)
    if stateful:
        raise ValueError(f"{stateful} loss holds centers, and verify checks losses without a state only")
    on = list(dict.fromkeys(args.backend or (name for name, here in list_backends().items() if here)))
    failures: dict[tuple[str, str], str] = {}
    with output.without_logs():
        for backend in on:
            dispatch.backend(backend)
        shown = _Table(names, on, quiet=args.json)
        for name in names:
            shown.begin(name)
            for backend in on:
                try:
                    testing.check(name, backends=[backend], examples=args.examples)
                except Exception as error:  # any error is the verdict on this loss; the others are still checked
                    failures[name, backend] = _first_lines(error)
                shown.add(backend, "FAIL" if (name, backend) in failures else "ok")
            shown.end()
    checked = len(names) * len(on)
    if args.json:
        results = [
            {"loss": name, "backend": backend, "passed": (name, backend) not in failures,
             "reason": failures.get((name, backend))} for name in names for backend in on
        ]  # fmt: skip
        about = {"properties": testing.checked(), "examples": args.examples}
        output.say_json({**about, "passed": checked - len(failures), "failed": len(failures), "results": results})
        return 1 if failures else 0
    print(f"\nChecked of each loss on each backend, in {args.examples} random example{'s' * (args.examples > 1)}:")
    for told in testing.checked():
        print(*output.wrapped(told, "    ", "  - "), sep="\n")
    for (name, backend), reason in failures.items():
        print(f"\n{name} on {backend}: {reason}")
    print(f"\n{checked - len(failures)} passed, {len(failures)} failed")
    return 1 if failures else 0


class _Table:
    """A table that grows by a cell whenever a check is done."""

    def __init__(self, names: list[str], on: list[str], quiet: bool) -> None:
        self.column, self.widths = max(map(len, names)), {backend: max(len(backend), 4) for backend in on}
        self.quiet = quiet
        self._print(f"{'':<{self.column}}  " + "  ".join(f"{b:<{w}}" for b, w in self.widths.items()).rstrip() + "\n")

    def begin(self, name: str) -> None:
        self._print(f"{name:<{self.column}}")

    def add(self, backend: str, verdict: str) -> None:
        last = backend == list(self.widths)[-1]
        self._print(f"  {verdict}" if last else f"  {verdict:<{self.widths[backend]}}")

    def end(self) -> None:
        self._print("\n")

    def _print(self, text: str) -> None:
        if not self.quiet:
            print(text, end="", flush=True)


def _first_lines(error: Exception, most: int = 12) -> str:
    lines = (str(error) or type(error).__name__).strip().splitlines()
    if not isinstance(error, AssertionError):
        lines[0] = f"{type(error).__name__}: {lines[0]}"
    return "\n    ".join(lines[:most] + (["..."] if len(lines) > most else []))


def compare(args: argparse.Namespace) -> int:
    """Two losses on the same arrays."""
    import numpy as np

    from multiloss import compare

    given = {}
    if args.data is not None:
        if Path(args.data).exists() and not Path(args.data).is_file():
            raise ValueError(f"--data must name a file, and {args.data} is something else")
        try:
            with np.load(args.data, allow_pickle=False) as file:
                given = {name: file[name] for name in file.files}
        except (ValueError, EOFError, TypeError, MemoryError, zipfile.BadZipFile):  # text, pickles, an array alone
            raise ValueError(f"--data {args.data} is no npz file of plain arrays") from None
        names = ("y_true", "y_pred", "sample_weight")
        wrong = next((name for name in given if name not in names), None)
        missing = next((name for name in names[:2] if name not in given), None)
        if wrong or missing:
            told = f"holds {wrong!r}" if wrong else f"lacks {missing!r}"
            raise ValueError(f"--data {args.data} {told}; it holds y_true and y_pred, and may hold sample_weight")
    shape_given = {} if args.shape is None else {"shape": args.shape}
    with output.without_logs():
        report = compare(args.a, args.b, **given, seed=args.seed, **shape_given)
    if args.json:
        output.say_json(dataclasses.asdict(report))
    else:
        for line in report.text(output.width()).splitlines():
            indent = " " * (len(line) - len(line.lstrip()) + 4)
            print(*(output.wrapped(line, indent, "") or [line]), sep="\n")
    return 0 if report.same else 1


_JSON = argument("--json", action="store_true", help="print it as JSON, for a program")
COMMANDS: dict[str, tuple[Any, ...]] = {
    "verify": (
        verify,
        "run the property tests on losses, in the installed frameworks",
        "It says what was checked. The exit status is 1 if a check failed.",
        argument("names", nargs="*", metavar="NAME", completer=losses, help="default: every loss"),
        argument(
            "--backend",
            action="extend",
            nargs="+",
            metavar="BACKEND",
            completer=backends,
            help="default: every one that is installed",
        ),
        argument(
            "--examples",
            type=whole(1),
            default=25,
            metavar="N",
            help="random examples for each property (default: 25)",
        ),
        _JSON,
    ),
    "compare": (
        compare,
        "run two losses on the same arrays: their numbers, and why they differ",
        (
            "A and B are written forms, parsed and never evaluated: \"torch.nn.KLDivLoss(reduction='batchmean')\", "
            'optax.l2_loss, "huber(delta=2.0)" for a loss of this library. The exit status is 1 if they differ.'
        ),
        argument("a", metavar="A", completer=sources, help="the written form of a loss"),
        argument("b", metavar="B", completer=sources, help="another"),
        argument("--seed", type=whole(0), default=0, metavar="N", help="seed of the generated arrays (default: 0)"),
        argument("--shape", type=shape, metavar="NxC", help="their shape (default: 8x5)"),
        argument(
            "--data",
            type=Path,
            metavar="FILE",
            help="a .npz file with y_true, y_pred and perhaps sample_weight; default: generated arrays",
        ),
        _JSON,
    ),
}

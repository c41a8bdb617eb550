"""`multiloss port` and `scan`: losses of PyTorch, Keras and Optax, and what gives their numbers elsewhere."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiloss.cli import output
from multiloss.cli.arguments import argument, backends, sources

if TYPE_CHECKING:
    from multiloss.porting.scan import Use


def port(args: argparse.Namespace) -> int:
    """The code that gives the numbers of a loss elsewhere."""
    from multiloss import porting

    code, notes = porting.code(args.source, args.to, targets=args.targets)
    if args.json:
        output.say_json({"source": args.source, "code": code, "notes": notes})
        return 0
    print(code)
    for note in [] if args.code else notes:
        print(*output.wrapped(note, "    ", "  - "), sep="\n")
    return 0


def scan(args: argparse.Namespace) -> int:
    """The losses that files use; each note is printed once, where it first applies."""
    from multiloss import porting
    from multiloss.porting.scan import scan

    porting.check_place(args.to)
    found, unread = [], []
    for file in args.files:
        try:
            found.append((file, scan(file, args.to)))
        except (ValueError, OSError) as error:  # the other files are still read
            unread.append(str(error))
    if args.json:
        output.say_json([{"file": str(file), **dataclasses.asdict(use)} for file, uses in found for use in uses])
    else:
        _print(found)
    for why in unread:
        print(f"multiloss: error: {' '.join(why.split())}", file=sys.stderr)
    return 2 if unread else 0


def _print(found: list[tuple[Path, list[Use]]]) -> None:
    numbers: dict[str, int] = {}
    for file, uses in found:
        for use in uses:
            place = f"{file}:{use.line}" if use.cell is None else f"{file}, cell {use.cell}, line {use.line}"
            print(f"{place}: {use.text}", use.becomes or "is not ported", sep="\n    ")
            known = [numbers[note] for note in use.notes if note in numbers]
            for note in dict.fromkeys(use.notes):
                if note not in numbers:
                    numbers[note] = len(numbers) + 1
                    print(*output.wrapped(note, "        ", f"    [{numbers[note]}] "), sep="\n")
            if known:
                print(f"    and {', '.join(f'[{number}]' for number in known)}, as above")
        if not uses:
            print(f"{file}: no loss of PyTorch, Keras or Optax")


_JSON = argument("--json", action="store_true", help="print it as JSON, for a program")
COMMANDS: dict[str, tuple[Any, ...]] = {
    "port": (
        port,
        "print the code that gives the numbers of a loss of PyTorch, Keras or Optax elsewhere",
        "",
        argument(
            "source",
            metavar="SOURCE",
            completer=sources,
            help="as it is written, such as 'torch.nn.HuberLoss(delta=2.0)'",
        ),
        argument(
            "--to",
            metavar="WHERE",
            completer=backends,
            help="a backend, such as jax, or a library: torch.nn, keras.losses, optax",
        ),
        argument(
            "--targets",
            choices=("labels", "probabilities"),
            default="labels",
            help="what y_true holds, if the source takes both (default: labels)",
        ),
        argument("--code", action="store_true", help="print the code alone, for pasting"),
        _JSON,
    ),
    "scan": (
        scan,
        "list the losses that Python files and notebooks use, and the code that replaces each",
        (
            "The files are parsed, never run. A note is printed once, and named by its number where it applies again. "
            "The exit status is 2 if a file could not be read; the others are scanned all the same."
        ),
        argument("files", type=Path, nargs="+", metavar="FILE"),
        argument("--to", metavar="BACKEND", completer=backends, help="the backend that the code names"),
        _JSON,
    ),
}

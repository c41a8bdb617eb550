"""The command line: `multiloss demo`, `list`, `show`, `plot`, `verify`, `port`, `scan`, `compare`.

Exit status: 0; 1 if a check failed or two losses differ; 2 for a mistake of the user, told in one line; 130 if
interrupted. A command imports what it needs when it runs, so that `--help` is quick.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import os
import re
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from multiloss.pictures.formulas import formula_text


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after `multiloss`; default: those of the process.

    Returns:
        The exit status.
    """
    try:
        args = _parser().parse_args(argv)
        _tolerate_narrow_encodings()
        return int(args.run(args))
    except KeyboardInterrupt:
        print("multiloss: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `multiloss list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, TypeError, ImportError, OSError, OverflowError, MemoryError, RecursionError) as error:
        print(f"multiloss: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    from multiloss import demo
    from multiloss.version import __version__

    parser = argparse.ArgumentParser(prog="multiloss", description="The same loss in every framework.")
    parser.add_argument("--version", action="version", version=f"multiloss {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Any, summary: str, more: str, *arguments: Any) -> argparse.ArgumentParser:
        about = f"{summary[0].upper()}{summary[1:]}. {more}".strip()
        added = commands.add_parser(name, help=summary, description=about)
        added.set_defaults(run=run)
        for words, keywords in arguments:
            added.add_argument(*words, **keywords)
        return added

    summary = "train a small network with three losses, and draw what it learns"
    demo.add_arguments(command("demo", demo.main, summary, ""))
    for name, about in _COMMANDS.items():
        command(name, *about)
    return parser


def _whole(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        return int(text)

    return read


def _shape(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"[1-9]\d{0,3}(x[1-9]\d{0,3}){1,3}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a shape such as 8x5")
    return tuple(int(length) for length in text.split("x"))


def _tolerate_narrow_encodings() -> None:
    """Print question marks where a terminal cannot show the characters of formulas and curves."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _list(args: argparse.Namespace) -> int:
    from multiloss import list_losses
    from multiloss.pictures import curves as plotting

    found = sorted(map(plotting.find, list_losses()), key=lambda definition: definition.family)
    width = max(len(definition.name) for definition in found)
    for i, (family, group) in enumerate(itertools.groupby(found, lambda definition: definition.family)):
        print(f"{os.linesep if i else ''}{family}")
        for definition in group:
            aliases = f" [{', '.join(definition.aliases)}]" if definition.aliases else ""
            summary = " ".join(definition.doc.partition("\n\n")[0].split())
            print(f"  {definition.name:<{width}}  {summary}{aliases}")
    return 0


def _show(args: argparse.Namespace) -> int:
    from multiloss.pictures import curves as plotting

    definition = plotting.find(args.name)
    print(f"{definition.name} ({definition.family})")
    if definition.aliases:
        print(f"also called {', '.join(definition.aliases)}")
    print(f"\n{formula_text(definition.doc)}")
    if definition.kind == "of_inputs":
        inputs = definition.shapes.items()
        lines = (f"{name} ({shape.text}){' of integers' if shape.integer else ''}" for name, shape in inputs)
        print("\nInputs:", *lines, sep="\n    ")
    print("\nOptions:", *_options(definition), sep="\n    ")
    if not plotting.no_curve(definition):
        print("", *plotting.text(plotting.curve(args.name)), sep="\n")
    return 0


def _options(definition: Any) -> list[str]:
    if definition.table is not None:
        from multiloss.center import explained

        rows = [(f"{name} = {default!r}", means) for name, default, means in explained(definition.name)]
        return [f"{row:<24} {means}".rstrip() for row, means in rows]
    axis = {} if definition.axis is None else {"axis": -1}
    defaults = {**definition.options, "reduction": "mean", **axis, "validate": None}
    return [f"{key} = {value!r}" for key, value in defaults.items()]


def _plot(args: argparse.Namespace) -> int:
    from multiloss.pictures import arrows
    from multiloss.pictures import curves as plotting

    file_format = args.out.suffix[1:].lower()
    if file_format not in plotting.FORMATS:
        raise ValueError(f"--out {args.out}: the name must end in {', '.join('.' + f for f in plotting.FORMATS)}")
    if not args.out.absolute().parent.is_dir():
        raise ValueError(f"--out {args.out}: there is no folder {args.out.parent}")
    asked = [(plotting.find(name), options) for name, options in map(_name_and_options, args.names)]
    if all(arrows.has_arrows(definition) for definition, _ in asked):
        content = arrows.picture([arrows.scene(definition.name, options) for definition, options in asked], file_format)
    else:
        curves = [plotting.curve(definition.name, options) for definition, options in asked]
        content = plotting.picture(curves, file_format)
    plotting.write(args.out, content)
    print(args.out)
    return 0


def _name_and_options(word: str) -> tuple[str, dict[str, Any]]:
    """The name and the options of a word such as `huber:delta=2`."""
    name, _, rest = word.partition(":")
    options = {}
    for part in filter(None, re.split(r",(?![^(\[]*[)\]])", rest)):
        option, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"{word!r}: {part!r} must be OPTION=VALUE")
        try:
            options[option.strip()] = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError):
            options[option.strip()] = value.strip()
    return name, options


def _verify(args: argparse.Namespace) -> int:
    from multiloss import list_backends, list_losses, testing
    from multiloss.engine import dispatch, registry
    from multiloss.pictures import curves as plotting

    # Names and backends are looked up first, so that a mistake is told before minutes of work.
    names = list(dict.fromkeys(plotting.find(name).name for name in args.names))
    names = names or [name for name in list_losses() if name not in registry.CENTER]
    stateful = next((name for name in names if name in registry.CENTER), None)
    if stateful:
        raise ValueError(f"{stateful} loss holds centers, and verify checks losses without a state only")
    backends = list(dict.fromkeys(args.backend or (name for name, here in list_backends().items() if here)))
    for backend in backends:
        dispatch.backend(backend)
    widths = [max(map(len, names)), *(max(len(backend), 4) for backend in backends)]
    print("  ".join(f"{cell:<{w}}" for cell, w in zip(["", *backends], widths, strict=True)).rstrip(), flush=True)
    failures: list[str] = []
    for name in names:
        print(f"{name:<{widths[0]}}", end="", flush=True)
        for backend, width in zip(backends, widths[1:], strict=True):
            verdict = "ok"
            try:
                testing.check(name, backends=[backend], examples=args.examples)
            except Exception as error:  # any error is the verdict on this loss; the others are still checked
                verdict = "FAIL"
                failures.append(f"{name} on {backend}: {_first_lines(error)}")
            print(f"  {verdict:<{width}}", end="", flush=True)
        print(flush=True)
    for failure in failures:
        print(f"\n{failure}")
    checked = len(names) * len(backends)
    print(f"\n{checked - len(failures)} passed, {len(failures)} failed")
    return 1 if failures else 0


def _first_lines(error: Exception, most: int = 12) -> str:
    lines = (str(error) or type(error).__name__).strip().splitlines()
    if not isinstance(error, AssertionError):
        lines[0] = f"{type(error).__name__}: {lines[0]}"
    return "\n    ".join(lines[:most] + (["..."] if len(lines) > most else []))


def _port(args: argparse.Namespace) -> int:
    from multiloss import porting

    code, notes = porting.code(args.source, args.to, targets=args.targets)
    print(code, *([] if args.code else notes), sep="\n  - ")
    return 0


def _scan(args: argparse.Namespace) -> int:
    from multiloss.porting.scan import scan

    uses = scan(args.file, args.to)
    for use in uses:
        notes = (f"- {note}" for note in use.notes)
        place = f"{args.file}:{use.line}" if use.cell is None else f"{args.file}, cell {use.cell}, line {use.line}"
        print(f"{place}: {use.text}", use.becomes or "is not ported", *notes, sep="\n    ")
    if not uses:
        print(f"{args.file}: no loss of PyTorch, Keras or Optax")
    return 0


def _compare(args: argparse.Namespace) -> int:
    import numpy as np

    from multiloss import compare

    given = {}
    if args.data is not None:
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
    report = compare(args.a, args.b, **given, seed=args.seed, **({} if args.shape is None else {"shape": args.shape}))
    print(report)
    return 0 if report.same else 1


def _argument(*name: str, **keywords: Any) -> tuple[tuple[str, ...], dict[str, Any]]:
    return name, keywords


_COMMANDS: dict[str, tuple[Any, ...]] = {
    "list": (_list, "list all losses by family, with their short names", ""),
    "show": (
        _show,
        "show the formula of a loss, its shapes, options, source and curve",
        "",
        _argument("name", metavar="NAME", help="canonical or short name, such as huber or mse"),
    ),
    "plot": (
        _plot,
        "draw losses and their gradients; of losses of features, what they pull and push",
        "Options follow a colon: huber:delta=2, binary_crossentropy:from_logits=True,label_smoothing=0.1.",
        _argument("names", nargs="+", metavar="NAME[:OPTION=VALUE,...]"),
        _argument("--out", type=Path, required=True, metavar="FILE", help="a .png, .pdf or .svg file"),
    ),
    "verify": (
        _verify,
        "run the property tests on losses, in the installed frameworks",
        "",
        _argument("names", nargs="*", metavar="NAME", help="default: every loss"),
        _argument("--backend", nargs="+", metavar="BACKEND", help="default: every one that is installed"),
        _argument(
            "--examples",
            type=_whole(1),
            default=25,
            metavar="N",
            help="random examples for each property (default: 25)",
        ),
    ),
    "port": (
        _port,
        "print the code that gives the numbers of a loss of PyTorch, Keras or Optax elsewhere",
        "",
        _argument("source", metavar="SOURCE", help="as it is written, such as 'torch.nn.HuberLoss(delta=2.0)'"),
        _argument(
            "--to",
            metavar="WHERE",
            help="a backend, such as jax, or a library: torch.nn, keras.losses, optax",
        ),
        _argument(
            "--targets",
            choices=("labels", "probabilities"),
            default="labels",
            help="what y_true holds, if the source takes both (default: labels)",
        ),
        _argument("--code", action="store_true", help="print the code alone, for pasting"),
    ),
    "scan": (
        _scan,
        "list the losses that a Python file uses, and the code that replaces each",
        "The file is parsed, never run.",
        _argument("file", type=Path, metavar="FILE"),
        _argument("--to", metavar="BACKEND", help="the backend that the code names"),
    ),
    "compare": (
        _compare,
        "run two losses on the same arrays: their numbers, and why they differ",
        (
            "A and B are written forms, parsed and never evaluated: \"torch.nn.KLDivLoss(reduction='batchmean')\", "
            'optax.l2_loss, "huber(delta=2.0)" for a loss of this library. The exit status is 1 if they differ.'
        ),
        _argument("a", metavar="A", help="the written form of a loss"),
        _argument("b", metavar="B", help="another"),
        _argument("--seed", type=_whole(0), default=0, metavar="N", help="seed of the generated arrays (default: 0)"),
        _argument("--shape", type=_shape, metavar="NxC", help="their shape (default: 8x5)"),
        _argument(
            "--data",
            type=Path,
            metavar="FILE",
            help="a .npz file with y_true, y_pred and perhaps sample_weight; default: generated arrays",
        ),
    ),
}
"""Of each command but `demo`: its function, summary, more text of `--help`, and arguments."""

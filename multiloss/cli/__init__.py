# PYTHON_ARGCOMPLETE_OK
"""The command line, `multiloss COMMAND`: a file for each group of commands.

Exit status: 0; 1 if a check failed, two losses differ, or nothing was found; 2 for a mistake of the user, told in one
line; 130 if interrupted. A command imports what it needs when it runs, so that `--help` is quick.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from multiloss.cli import bench, checks, doctor, losses, output, ports

_COMMANDS = {**losses.COMMANDS, **checks.COMMANDS, **ports.COMMANDS, **bench.COMMANDS, **doctor.COMMANDS}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after `multiloss`; default: those of the process.

    Returns:
        The exit status.
    """
    try:
        parser = _parser()
        _complete(parser)
        output.fit_the_terminal()
        args = parser.parse_args(argv)
        if args.command is None:
            parser.print_help()
            return 0
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


def _complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks for completions, by the library `argcomplete`."""
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)


def _parser() -> argparse.ArgumentParser:
    from multiloss import demo
    from multiloss.version import __version__

    parser = argparse.ArgumentParser(prog="multiloss", description="The same loss in every framework.")
    parser.add_argument("--version", action="version", version=f"multiloss {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    summary = "train a small network with three losses, and draw what it learns"
    added = commands.add_parser("demo", help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    added.set_defaults(run=demo.main)
    demo.add_arguments(added)
    for name, (run, summary, more, *arguments) in _COMMANDS.items():
        about = f"{summary[0].upper()}{summary[1:]}. {more}".strip()
        added = commands.add_parser(name, help=summary, description=about)
        added.set_defaults(run=run)
        for words, keywords, completer in arguments:
            action = added.add_argument(*words, **keywords)
            if completer is not None:
                action.completer = completer  # type: ignore[attr-defined]
    return parser

"""How the words of a command are read, and completed in a shell."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Callable
from typing import Any

Command = Callable[[argparse.Namespace], int]


def argument(*name: str, completer: Any = None, **keywords: Any) -> tuple[tuple[str, ...], dict[str, Any], Any]:
    """An argument of a command: what `add_argument` takes, and what completes it in a shell."""
    return name, keywords, completer


def whole(least: int) -> Callable[[str], int]:
    """The reader of whole numbers."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        return int(text)

    return read


def positive(text: str) -> float:
    """The reader of positive numbers."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return value


def shape(text: str) -> tuple[int, ...]:
    """The reader of shapes such as 8x5."""
    if not re.fullmatch(r"[1-9]\d{0,3}(x[1-9]\d{0,3}){1,3}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a shape such as 8x5")
    return tuple(int(length) for length in text.split("x"))


def size(text: str) -> tuple[int, int]:
    """The reader of a batch: rows and columns."""
    if not re.fullmatch(r"[1-9]\d{0,6}x[1-9]\d{0,6}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not ROWSxCOLUMNS, such as 256x1000")
    rows, columns = map(int, text.split("x"))
    return rows, columns


def name_and_options(word: str) -> tuple[str, dict[str, Any]]:
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


def losses(prefix: str = "", **_: Any) -> list[str]:
    """The names and short names of all losses, for completion."""
    from multiloss import catalogue

    found = (catalogue.definition(name) for name in catalogue.list_losses())
    return [name for one in found for name in (one.name, *one.aliases) if name.startswith(prefix)]


def losses_with_options(prefix: str = "", **_: Any) -> list[str]:
    """Names; behind a colon the options of that loss, for completion."""
    from multiloss import catalogue

    name, colon, rest = prefix.partition(":")
    if not colon:
        return losses(prefix)
    try:
        options = catalogue.definition(name).options
    except ValueError:
        return []
    begun, comma, last = rest.rpartition(",")
    given = {part.partition("=")[0] for part in begun.split(",")}
    return [f"{name}:{begun}{comma}{option}=" for option in options if option.startswith(last) and option not in given]


def families(prefix: str = "", **_: Any) -> list[str]:
    """The families of losses, for completion."""
    from multiloss.definitions import FAMILIES

    return [name for name in FAMILIES if name.startswith(prefix)]


def tasks(prefix: str = "", **_: Any) -> list[str]:
    """What losses are for, as one word each, for completion."""
    from multiloss.definitions import TASKS

    return [word for word in (task.replace(" ", "-") for task in TASKS) if word.startswith(prefix)]


def backends(prefix: str = "", **_: Any) -> list[str]:
    """The backends whose framework is installed, for completion."""
    from multiloss.engine.dispatch import list_backends

    return [name for name, here in list_backends().items() if here and name.startswith(prefix)]


def sources(prefix: str = "", **_: Any) -> list[str]:
    """The losses of other libraries, for completion."""
    from multiloss import porting

    long = prefix.startswith("optax.losses")
    names = (name if long else name.replace("optax.losses.", "optax.") for name in porting.sources())
    return [name for name in names if name.startswith(prefix)]

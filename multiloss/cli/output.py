"""How commands print: in the width of the terminal, in its encoding, as JSON, and without log lines of frameworks."""

from __future__ import annotations

import codecs
import contextlib
import json
import math
import os
import re
import shutil
import sys
import tempfile
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

_PLAIN = {
    "½": "1/2", "²": "^2", "³": "^3", "·": "*", "≤": "<=", "≥": ">=", "≠": "!=", "Σ": "sum", "α": "alpha", "β": "beta",
    "δ": "delta", "ε": "epsilon", "∈": "in", "γ": "gamma", "σ": "sigma", "τ": "tau", "π": "pi", "‖": "||", "←": "<-",
    "→": "->", "√": "sqrt", "∞": "inf", "×": "x", "…": "...", "–": "-", "—": "-", "’": "'", "“": '"', "”": '"',
    "µ": "u", "λ": "lambda", "θ": "theta", "±": "+-",
}  # fmt: skip
"""What is written for a character that the terminal cannot show."""
_HEIGHTS = {0x01 | 0x08: "'", 0x02 | 0x10: "-", 0x04 | 0x20: "-", 0x40 | 0x80: "_"}
"""The dots of one row in a cell of braille, from above, and what stands for them."""


def fit_the_terminal() -> None:
    """Where the encoding of the output lacks a character of formulas or curves, write it in ASCII."""
    codecs.register_error("multiloss", _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="multiloss")


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(ascii_of, error.object[error.start : error.end])), error.end


def ascii_of(sign: str) -> str:
    """A character in ASCII: a curve of dots as one of strokes, a letter without its accents."""
    dots = ord(sign) - 0x2800
    if 0 <= dots < 256:
        strokes = [stroke for row, stroke in _HEIGHTS.items() if dots & row]
        return strokes[0] if len(strokes) == 1 else ("|" if len(strokes) > 2 else ":" if strokes else " ")
    plain = _PLAIN.get(sign) or unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode()
    return plain or "?"


def shows(sign: str) -> bool:
    """Whether the output has this character."""
    try:
        sign.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def width() -> int | None:
    """The columns of the terminal, or what COLUMNS says; None where the output goes into a file or a pipe."""
    if os.environ.get("COLUMNS", "").isdecimal() or sys.stdout.isatty():
        return max(40, shutil.get_terminal_size().columns)
    return None


def shortened(text: str, room: int | None) -> str:
    """A text in so many columns, cut at a word."""
    if room is None:
        return text
    end = "…" if shows("…") else "..."
    return textwrap.shorten(text, max(room, len(end) + 1), placeholder=end)


def table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Rows as lines of aligned columns; those numbered in `right` are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = [">" if i in right else "<" for i in range(len(widths))]
    aligned = ([f"{x:{s}{w}}" for x, s, w in zip(row, sides, widths, strict=True)] for row in rows)
    return ["  ".join(cells).rstrip() for cells in aligned]


def wrapped(text: str, indent: str, first: str | None = None) -> list[str]:
    """A text in the width of the terminal, at most 120 columns; on one line where the output is no terminal."""
    columns = width()
    if columns is None:
        return [(indent if first is None else first) + text]
    return textwrap.wrap(
        text,
        min(columns, 120),
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def say_json(data: Any) -> None:
    """Print data for programs; numbers that JSON lacks as "nan" and "inf"."""
    print(json.dumps(_plain(data), indent=2))


def _plain(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else str(data)
    if isinstance(data, dict):
        return {str(key): _plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple | set):
        return [_plain(one) for one in data]
    if data is None or isinstance(data, str | bool | int):
        return data
    return _plain(data.tolist()) if hasattr(data, "tolist") else str(data)


_LOG = re.compile(r"[IWE]\d{4} |\d{4}-\d\d-\d\d |WARNING: All log messages|To enable the following instructions")


@contextlib.contextmanager
def without_logs() -> Iterator[None]:
    """While this lasts, what C++ code of frameworks writes to the error output is held back, so that it tears no table;
    afterwards all of it that is no log line is written."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    except (OSError, AttributeError, ValueError):  # no error output at all
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            told = [line for line in held.read().decode(errors="replace").splitlines() if not _LOG.match(line)]
            told = [line for line in told if line.strip()]
            if told:
                print(*told, sep="\n", file=sys.stderr)

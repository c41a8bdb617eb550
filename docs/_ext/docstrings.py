"""The docstring of a loss, taken apart: its sections, its arguments, and all that as Markdown."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal

from multiloss.center import explained
from multiloss.engine import options as read
from multiloss.engine.definition import Definition

FORMULA = re.compile(r"^\.\. math:: (.+(?:\n    +\S.*)*)$", re.MULTILINE)
_HEADER = re.compile(r"^(Args|Returns|Raises|Source|Example): *(.*)$")


def sections(doc: str) -> dict[str, str]:
    """Title -> text. The text before the first title is called "About"."""
    found: dict[str, list[str]] = {"About": []}
    title = "About"
    for line in doc.splitlines():
        if header := _HEADER.match(line):
            title = header[1]
            found[title] = [header[2]] if header[2] else []
        else:
            found[title].append(line)
    return {title: "\n".join(lines).strip("\n") for title, lines in found.items()}


def entries(text: str) -> dict[str, str]:
    """What a section says of each name: `name: text`, its further lines indented more."""
    found: dict[str, str] = {}
    last = ""
    for line in text.splitlines():
        if start := re.match(r"    (\w+): +(.*)$", line):
            last, found[start[1]] = start[1], start[2]
        elif last and line.strip():
            found[last] += " " + line.strip()
    return found


def summary(definition: Definition) -> str:
    """The first sentence of the docstring, on one line, with a point at its end."""
    first = " ".join(definition.doc.partition("\n\n")[0].split())
    first = re.sub(r"(?<![A-Z])(?<!et al)\. .*", "", first)
    return first if first.endswith(".") else first + "."


def formulas(definition: Definition) -> list[str]:
    """The formulas, in TeX."""
    return [" ".join(tex.split()) for tex in FORMULA.findall(definition.doc)]


def about(definition: Definition) -> str:
    """What stands before the arguments, as Markdown, without the first sentence."""
    text = sections(definition.doc)["About"].partition("\n\n")[2]
    return FORMULA.sub(lambda found: f"$$\n{' '.join(found[1].split())}\n$$", text)


def flat(text: str) -> str:
    """A section on one line."""
    return " ".join(text.split())


def options_of(definition: Definition) -> list[tuple[str, str, str, str]]:
    """Each option of a loss: name, type, default and meaning."""
    if definition.table is not None:
        told = entries(sections(definition.doc)["Args"])
        return [
            (name, type_of_center(definition, name), repr(default), told.get(name) or meaning)
            for name, default, meaning in explained(definition.name)
            if name != "factor"
        ]
    told = entries(sections(definition.doc)["Args"])
    rows = [
        (name, type_of(definition.value, name), repr(default), told[name])
        for name, default in definition.options.items()
    ]
    if "axis" in told:
        several = definition.axis is not read.single_axis
        words = "integer, tuple of integers, or `None` for all" if several else "integer"
        default = inspect.signature(definition.value).parameters["axis"].default
        rows.append(("axis", words, repr(-1 if default is inspect.Parameter.empty else default), told["axis"]))
    return rows


def type_of_center(definition: Definition, name: str) -> str:
    """The type of an option of a loss with a table: its own, or one that all such losses have."""
    from multiloss.center import CenterOptions

    return type_of(definition.value if name in definition.options else CenterOptions.__init__, name)


def type_of(function: Callable[..., Any], option: str) -> str:
    """What an option may be, in words, from its annotation."""
    annotation = inspect.signature(function).parameters[option].annotation
    return _words(read._resolved(function, option, annotation)) or "any"


_PLAIN = {float: "number", int: "integer", bool: "`True` or `False`", str: "text", types.NoneType: "`None`", Any: "any"}


def _words(hint: Any) -> str:
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        reader = next(filter(callable, parts[1:]), None)
        inner, limit = (
            _words(parts[0]),
            re.search(r"(?:that|and) must (be )?(.+)\.$", str(getattr(reader, "__doc__", ""))),
        )
        if limit is None:
            return inner
        must = "0 or above" if limit[2] == "not be negative" else limit[2]
        return f"{inner}, {must}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(filter(None, map(_words, parts)))
    if origin is Literal:
        return " or ".join(f"`{part!r}`" for part in parts)
    if origin is tuple:
        return f"list of {_words(parts[0])}s"
    return _PLAIN.get(hint, "")

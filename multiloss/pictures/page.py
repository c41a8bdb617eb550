"""The page of a loss, as text for a terminal and as data for a program."""

from __future__ import annotations

import itertools
import re
import textwrap
from typing import Any

from multiloss import catalogue, center
from multiloss.engine.definition import Definition
from multiloss.engine.loss import MEANS
from multiloss.engine.page import arguments
from multiloss.pictures import curves
from multiloss.pictures.formulas import formula_text

_FORMULA = re.compile(r"^ *\.\. math:: (.+(?:\n    +\S.*)*)$", re.MULTILINE)


def facts(name: str) -> dict[str, Any]:
    """What a page says of a loss, as data: names, tasks, formulas in TeX, inputs, options with defaults and meanings.

    Args:
        name: of the loss, or an alias.
    """
    one = catalogue.definition(name)
    return {
        "name": one.name,
        "aliases": list(one.aliases),
        "family": one.family,
        "tasks": list(catalogue.tasks(one.name)),
        "helps_with": list(catalogue.troubles(one.name)),
        "summary": summary(one),
        "formulas": [
            " ".join(tex.split()) for tex in re.findall(r"^ *\.\. math:: (.+(?:\n    +\S.*)*)$", one.doc, re.MULTILINE)
        ],
        "inputs": inputs(one),
        "options": [{"name": key, "default": default, "means": means} for key, default, means in options(one)],
        "documentation": one.doc,
    }


def summary(definition: Definition) -> str:
    """The first paragraph of its documentation, on one line."""
    return " ".join(definition.doc.partition("\n\n")[0].split())


def inputs(definition: Definition) -> list[dict[str, Any]]:
    """What a call of the loss takes, in order."""
    told = arguments(definition.doc)
    if definition.table is not None:  # which replaces labels by their centers before the formula sees them
        names = [name for name in told if name not in definition.options]
        return [{"name": name, "means": told[name]} for name in names]
    return [
        {
            "name": name,
            "shape": ", ".join(shape.text.split()),
            "integer": definition.is_integer(name),
            "optional": name in definition.optional,
            "means": told.get(name, ""),
        }
        for name, shape in definition.shapes.items()
    ]


def options(definition: Definition) -> list[tuple[str, Any, str]]:
    """Each option that `multiloss.get` takes for this loss: name, default, and what it means."""
    if definition.table is not None:
        told = arguments(definition.doc)
        return [(name, default, means or told.get(name, "")) for name, default, means in
                center.explained(definition.name)]  # fmt: skip
    axis = {} if definition.axis is None else {"axis": -1}
    defaults = {**definition.options, "reduction": "mean", **axis, "validate": None}
    means = MEANS | arguments(definition.doc)
    return [(name, default, means.get(name, "")) for name, default in defaults.items()]


def page(name: str, width: int = 100) -> str:
    """The page of a loss as text: formula, inputs, options, source, example and curve.

    Args:
        name: of the loss, or an alias.
        width: in columns.
    """
    one = catalogue.definition(name)
    head, _, rest = one.doc.partition("\nArgs:\n")
    rest = rest.partition("\n\n")[2]
    lines = [f"{one.name} ({one.family})"]
    lines += [f"also called {', '.join(one.aliases)}"] if one.aliases else []
    lines += [f"for {', '.join(catalogue.tasks(one.name))}"] if catalogue.tasks(one.name) else []
    lines += [f"helps with {', '.join(catalogue.troubles(one.name))}"] if catalogue.troubles(one.name) else []
    lines += ["", *_paragraphs(formula_text(head.strip()), width), "", "Inputs:"]
    for given in inputs(one):
        lines += _entry(given["name"], given["means"] or f"({given['shape']})", width)
    lines += ["", "Options:"]
    every = [(f"{key} = {default!r}", means) for key, default, means in options(one)]
    column = min(max(len(row) for row, _ in every), 26) + 2
    for row, means in every:
        lines += _entry(row, means, width, column)
    lines += ["", *_paragraphs(formula_text(rest.strip()), width)]
    if not curves.no_curve(one):
        lines += ["", *curves.text(curves.curve(one.name), width=min(max((width - 24) // 2, 12), 44))]
    return "\n".join(lines)


def _entry(name: str, means: str, width: int, column: int = 16) -> list[str]:
    """A name, and beside it, in a column of its own, what it means."""
    first, indent = f"    {name:<{column}}", " " * (4 + column)
    if len(name) > column - 2 and means:
        return [f"    {name}", *_filled(means, width, indent, indent)]
    return _filled(means, width, first, indent) or [first.rstrip()]


def _filled(text: str, width: int, first: str, rest: str) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )


def _paragraphs(text: str, width: int) -> list[str]:
    """The lines of a text; paragraphs with longer ones are filled anew, but not those of an example."""
    text, example, code = text.partition("Example:\n")
    lines: list[str] = []
    for (_, indent), run in itertools.groupby(text.splitlines(), key=_kind):
        part = list(run)
        if max(map(len, part)) <= width:
            lines += part
        elif any("Error: " in line for line in part):
            lines += [more for line in part for more in _filled(line.strip(), width, indent, indent + "    ")]
        else:
            lines += _filled(" ".join(line.strip() for line in part), width, indent, indent)
    return lines + (example + code).splitlines()


def _kind(line: str) -> tuple[bool, str]:
    """Whether a line is empty, and its indentation."""
    return not line.strip(), line[: len(line) - len(line.lstrip())]

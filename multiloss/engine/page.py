"""What is told of one object: the text of its loss, its options with their values, and where it comes from."""

from __future__ import annotations

import dataclasses
import re
import textwrap
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from multiloss.engine.definition import Definition
from multiloss.engine.formulas import formula_text

_SECTION = re.compile(r"^(Args|Returns|Raises|Source|Example):", re.MULTILINE)
_ARGUMENT = re.compile(r"^    (\w+): (.*(?:\n {5,}\S.*)*)", re.MULTILINE)
_WIDTH = 88
_MOST = 8
"""How many items of a list are shown; of a longer one the first two and the last."""
EVERY_CALL = {
    "sample_weight": "one number a sample, or None; its value is multiplied by it",
    "mask": "boolean, one a sample; True keeps it; or None",
}
"""What the inputs of all losses mean."""


def shown(value: Any) -> str:
    """The value of an option as code; of a long list its ends: `(1.0, 1.0, ..., 1.0; 1000 numbers)`."""
    if not isinstance(value, (list, tuple)):
        return repr(value)
    items = [shown(item) for item in (value if len(value) <= _MOST else (*value[:2], value[-1]))]
    if len(value) > _MOST:
        what = "numbers" if all(isinstance(item, (int, float)) for item in value) else "items"
        items[2:] = ["...", f"{items[2]}; {len(value)} {what}"]
    inside = ", ".join(items) + ("," if isinstance(value, tuple) and len(value) == 1 else "")
    return f"[{inside}]" if isinstance(value, list) else f"({inside})"


def sections(doc: str) -> dict[str, str]:
    """The parts of a docstring by their titles, `Args` and so on; what stands before them by the title `""`."""
    lead, *rest = _SECTION.split(doc)
    return {"": lead.strip()} | {title: text.rstrip() for title, text in zip(rest[::2], rest[1::2], strict=True)}


def arguments(doc: str) -> dict[str, str]:
    """What a docstring says of each argument, in one line."""
    return {name: " ".join(text.split()) for name, text in _ARGUMENT.findall(sections(doc).get("Args", ""))}


@dataclasses.dataclass(frozen=True)
class Page:
    """What is told of one object."""

    definition: Definition
    options: Mapping[str, Any]
    """Each option, and its value."""
    means: Mapping[str, str]
    """What those options and inputs mean of which the docstring of the loss does not tell."""
    inputs: Sequence[str]
    """The names of what a call takes."""
    elsewhere: Mapping[str, str]
    """How an option is read that is no attribute, since the framework has another one of that name."""
    another: str
    """What makes an object with other options, in words."""
    source: str | None = None
    """What the loss was ported from."""
    notes: Sequence[str] = ()
    about: str = ""
    """What kind of object it is, how it is called, and its methods."""

    @cached_property
    def parts(self) -> dict[str, str]:
        """The docstring of the loss by its titles."""
        found = sections(self.definition.doc)
        return found if found[""] else found | {"": self.definition.name}

    def meaning(self, name: str) -> str:
        """What an option or input means; nothing if nobody says it."""
        return self._arguments.get(name) or self.means.get(name, "")

    @cached_property
    def _arguments(self) -> dict[str, str]:
        return arguments(self.definition.doc)

    def text(self) -> str:
        """The page for a terminal."""
        blocks = [formula_text(self.parts[""])]
        if self.source:
            blocks.append("\n".join([f"It gives the numbers of {self.source}:", *map(_bullet, self.notes)]))
        elif self.notes:
            blocks.append("\n".join(["Notes:", *map(_bullet, self.notes)]))
        inputs = [_filled(f"{name}: {self.meaning(name)}", 4, 8) for name in self.inputs if self.meaning(name)]
        if inputs:
            blocks.append("\n".join(["Inputs:", *inputs]))
        options = [_filled(f"Options, to be read as attributes; {self.another}:", 0, 0)]
        for name, value in self.options.items():
            options.append(f"    {name} = {shown(value)}")
            told = [self.meaning(name), self.elsewhere.get(name, "")]
            options += [_filled(text, 8, 8) for text in told if text]
        blocks.append("\n".join(options))
        known = [title for title in ("Returns", "Raises", "Source", "Example") if title in self.parts]
        blocks += [f"{title}:{self.parts[title]}" for title in known]
        return "\n\n".join([*blocks, self.about]).rstrip()


def _filled(text: str, first: int, further: int) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent=" " * first, subsequent_indent=" " * further)


def _bullet(note: str) -> str:
    return textwrap.fill(note, _WIDTH, initial_indent="    - ", subsequent_indent="      ")

"""The shapes of a loss's inputs, written as they are in its docstring: `"N D"`, `"... "`, `"N L int<C"`.

A letter is a length, the same one in every input of a call; `...` are any leading axes, the same ones in every input
that has them. `int` marks integer labels, `int<C` labels in [0, C), `int<=L` numbers in [0, L]. The axes of samples,
which weights and masks have, are `...`, or else the first letter.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from multiloss.engine import checks

Shape = tuple[int | None, ...]
_SHAPE = re.compile(
    r"(?P<axes>(?P<leading>\.\.\.(?!\S))?(\s*\b[A-Z]\b)*)\s*"
    r"(?P<integer>int(?P<sign><=?)?(?P<below>[A-Z])?)?"
)


@dataclasses.dataclass(frozen=True)
class InputShape:
    """The shape of one input: the letters after any `leading` axes, and which letter integers must be `below`."""

    text: str
    leading: bool
    letters: tuple[str, ...]
    integer: bool
    below: str | None
    inclusive: bool

    @property
    def samples(self) -> bool:
        """Whether its first axes are those of the samples."""
        return self.leading or self.letters[:1] == ("N",)


def parse(text: str) -> InputShape:
    """Read one shape."""
    found = _SHAPE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no shape")
    words = found["axes"].split()
    leading, integer = found["leading"] is not None, found["integer"] is not None
    return InputShape(" ".join(words), leading, tuple(words[leading:]), integer, found["below"], found["sign"] == "<=")


def lengths(shapes: Mapping[str, InputShape], given: Mapping[str, Shape]) -> dict[str, Any]:
    """What each letter (and `...`, a tuple) stands for in a call. ValueError names an input that does not fit."""
    known: dict[str, Any] = {}
    source: dict[str, str] = {}
    for name, shape in given.items():
        wanted = shapes[name]
        own = len(wanted.letters)
        if len(shape) < own or (len(shape) > own and not wanted.leading):
            raise checks.shape_of_input(name, wanted.text, shape, known)
        head, tail = shape[: len(shape) - own], shape[len(shape) - own :]
        pairs: list[tuple[str, Any]] = [("...", head)] if wanted.leading else []
        for letter, length in [*pairs, *zip(wanted.letters, tail, strict=True)]:
            before = known.get(letter)
            if before is None or (letter != "..." and length is None):
                known[letter] = length if before is None else before
                source.setdefault(letter, name)
            elif not (checks.same(before, length) if letter == "..." else before == length):
                raise checks.lengths_differ(name, wanted.text, shape, known, letter, source[letter], shapes)
    return known


def not_empty(shapes: Mapping[str, InputShape], given: Mapping[str, Shape], may_be: str) -> None:
    """Refuse lengths of 0, except those of samples and of the letters in `may_be`; ValueError names the input."""
    for name, shape in given.items():
        letters = shapes[name].letters
        for letter, length in zip(letters, shape[len(shape) - len(letters) :], strict=True):
            if length == 0 and letter != "N" and letter not in may_be:
                raise checks.empty_length(name, shapes[name].text, shape, letter)

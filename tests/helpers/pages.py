"""The Python blocks of the documentation's pages, and which frameworks each of them needs.

It imports nothing but the standard library, so that `check_extra.py` can use it where nothing else is installed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"(?:^<!-- needs ([\w, ]+) -->\n+)?^```(python|console|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BACKENDS: Mapping[str, str] = {name: name for name in ("torch", "tensorflow", "jax", "keras")} | {
    "flax": "jax",
    "optax": "jax",
}
"""A framework that a block names, and the backend under which the block is run."""
NAMES = "|".join(BACKENDS)
NEEDS = re.compile(
    rf"\b(?:import|from) (?:multiloss\.)?({NAMES})\b"  # import torch; from flax import nnx; import multiloss.keras
    rf"|\b(?:backend|to)=\"({NAMES})\"|to_backend\(\"({NAMES})\"\)"
)


class Block(NamedTuple):
    """A fenced block of a page."""

    line: int
    language: str
    text: str
    frameworks: tuple[str, ...]
    """The packages that it names, in the order in which it names them."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The backends that it needs."""
        return tuple(dict.fromkeys(BACKENDS.get(name, name) for name in self.frameworks))


def blocks(page: Path, language: str) -> list[Block]:
    """The blocks of a page in one language."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        marked, kind, body = match.groups()
        if kind != language:
            continue
        named = [next(filter(None, groups)) for groups in NEEDS.findall(body)]
        frameworks = re.findall(r"\w+", marked) if marked else named
        found.append(Block(text[: match.start(3)].count("\n"), kind, body, tuple(dict.fromkeys(frameworks))))
    return found

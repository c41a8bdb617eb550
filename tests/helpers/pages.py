"""The blocks of the documentation's pages, and which frameworks each of them needs.

`python tests/helpers/pages.py PAGE` runs the Python blocks of a page one after the other, as a reader who copies them
does. It imports nothing but the standard library, so that this works where nothing else is installed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
FENCE = re.compile(
    r"(?:^<!-- (?:needs|within) ([\w., ]+) -->\n+)?^```(python|console|bash|output)\n(.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
PAGE_NEEDS = re.compile(r"^<!-- every block needs ([\w, ]+) -->$", re.MULTILINE)
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
    output: str | None = None
    """What it prints, where the page shows that in an `output` block after it."""
    within: float = 0.0
    """By how much the numbers in `output` may differ."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The backends that it needs."""
        return tuple(dict.fromkeys(BACKENDS.get(name, name) for name in self.frameworks))


def blocks(page: Path, language: str) -> list[Block]:
    """The blocks of a page in one language."""
    text = page.read_text(encoding="utf-8")
    everywhere = PAGE_NEEDS.search(text)
    found: list[Block] = []
    before = ""
    for match in FENCE.finditer(text):
        marked, kind, body = match.groups()
        if kind == "output" and before == language:
            found[-1] = found[-1]._replace(output=body, within=float(marked or 0))
        elif kind == language:
            named = [next(filter(None, groups)) for groups in NEEDS.findall(body)]
            marked = marked or (everywhere and everywhere[1])
            frameworks = re.findall(r"\w+", marked) if marked else named
            found.append(Block(text[: match.start(3)].count("\n"), kind, body, tuple(dict.fromkeys(frameworks))))
        before = kind
    return found


def run(block: Block, page: Path, namespace: dict[str, Any]) -> None:
    """Run a Python block that is not a doctest."""
    exec(compile("\n" * block.line + block.text, str(page), "exec"), namespace)


if __name__ == "__main__":
    shared: dict[str, Any] = {"__name__": "__main__"}
    for one in blocks(Path(sys.argv[1]).resolve(), "python"):
        run(one, Path(sys.argv[1]), shared)

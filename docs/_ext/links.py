"""`<!-- links to start/* -->` becomes links to the pages of that folder, by their titles."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

_MARKER = re.compile(r"<!-- links to (\S+) -->")


def links(folder: Path, pattern: str) -> str:
    """A link to each page, in the order of their names."""
    found = []
    for page in sorted(folder.glob(f"{pattern}.md")):
        title = re.search(r"^# (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        found.append(f"[{title[1] if title else page.stem}]({page.relative_to(folder).as_posix()})")
    return " · ".join(found)


def _source_read(app: Sphinx, name: str, content: list[str]) -> None:
    content[0] = _MARKER.sub(lambda found: links(Path(app.srcdir), found[1]), content[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Hook into the reading of pages."""
    app.connect("source-read", _source_read)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

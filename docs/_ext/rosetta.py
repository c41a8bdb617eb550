"""The Rosetta pages, made from the tables of `multiloss.porting`: for each loss, side by side, what PyTorch, Keras and
Optax compute under its name, what it is here, and the traps. In `rosetta/`, a page a family.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from multiloss import porting, registry
from multiloss.porting.rows import Row, Source

LIBRARIES = {"torch": "PyTorch", "keras": "Keras", "optax": "Optax"}


def rows() -> dict[str, dict[str, list[tuple[Source, Row]]]]:
    """Our loss -> library -> its sources, with the rows of their defaults."""
    found: dict[str, dict[str, list[tuple[Source, Row]]]] = {}
    for source in porting.sources().values():
        if source.refusal is None:
            row = source.to_row({})
            of_library = found.setdefault(meant(row.loss), {name: [] for name in LIBRARIES})
            of_library[source.name.partition(".")[0]].append((source, row))
    return found


def meant(name: str) -> str:
    """The loss of the catalogue that a row is a form of: itself, or what its variant says."""
    return getattr(registry.find(name), "like", None) or name


def pages() -> dict[str, str]:
    """Family -> its page."""
    parts: dict[str, list[str]] = {}
    for name, of_library in rows().items():
        parts.setdefault(registry.find(name).family, []).append(section(name, of_library))
    return {
        family: "\n\n".join([f"# {family.replace('_', ' ').capitalize()}", *sorted(sections)]) + "\n"
        for family, sections in parts.items()
    }


def section(name: str, of_library: dict[str, list[tuple[Source, Row]]]) -> str:
    """One loss."""
    anchor = f"loss-{name.replace('_', '-')}"
    lines = [f"## `{name}`", "", f"[Here](#{anchor}).", ""]
    for library, title in LIBRARIES.items():
        if not of_library[library]:
            lines += [f"**{title}** has none.", ""]
        for source, row in of_library[library]:
            lines += entry(title, source, row)
    return "\n".join(lines)


def entry(title: str, source: Source, row: Row) -> list[str]:
    """One source: its signature, what it computes, what it is here, the traps."""
    name = source.name.replace("optax.losses.", "optax.")
    parameters = ", ".join(str(p.replace(annotation=p.empty)) for p in source.parameters.values())
    arrays = "" if source.is_class else ", ".join(source.data) + (", " if parameters else "")
    told = " ".join((inspect.getdoc(source.row) or "").split())
    code = porting.code(porting.text_of(source, {}))[0]
    return [
        f"**{title}** `{name}({arrays}{parameters})`",
        f": {told}",
        "",
        f"  Here: `{code}`",
        *(["", *(f"  - {note}" for note in row.notes)] if row.notes else []),
        "",
    ]


def refused() -> str:
    """What is not ported, and why."""
    lines = ["| source | why |", "|---|---|"]
    lines += [f"| `{one.name}` | {one.refusal} |" for one in porting.sources().values() if one.refusal is not None]
    return "\n".join(lines)


def write_pages(app: Sphinx) -> None:
    """Those that changed are written; one of a family that is gone is removed."""
    folder = Path(app.srcdir) / "rosetta"
    folder.mkdir(exist_ok=True)
    made = pages()
    for old in folder.iterdir():
        if old.stem not in made:
            old.unlink()
    for family, text in made.items():
        page = folder / f"{family}.md"
        if not page.exists() or page.read_text() != text:
            page.write_text(text)


def _source_read(app: Sphinx, name: str, content: list[str]) -> None:
    content[0] = content[0].replace("<!-- what is refused -->", refused())


def setup(app: Sphinx) -> dict[str, Any]:
    """Hook into the reading of pages."""
    app.connect("builder-inited", write_pages)
    app.connect("source-read", _source_read)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

"""The Rosetta pages, made from the tables of `multiloss.porting`: for each loss, side by side, what PyTorch, Keras and
Optax compute under its name, what it is here, and the traps. In `rosetta/`, a page a family.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

import multiloss
from multiloss import porting
from multiloss.engine import registry
from multiloss.porting.rows import Row, Source

_NAMED_OTHERWISE = {
    "cross_entropy": "sparse_categorical_crossentropy",
    "binary_cross_entropy": "binary_crossentropy",
    "binary_dice": "dice",
    "multiclass_generalized_dice": "generalized_dice",
    "softmax_cross_entropy": "categorical_crossentropy",
}
LIBRARIES = {"torch": "PyTorch", "keras": "Keras", "optax": "Optax"}


def rows() -> dict[str, dict[str, list[tuple[Source, Row]]]]:
    """Our loss -> library -> its sources, with the rows of their defaults."""
    found: dict[str, dict[str, list[tuple[Source, Row]]]] = {}
    for source in porting.sources().values():
        if source.refusal is None:
            row = source.to_row(needed(source))
            of_library = found.setdefault(meant(row.loss), {name: [] for name in LIBRARIES})
            of_library[source.name.partition(".")[0]].append((source, row))
    return found


def needed(source: Source) -> dict[str, Any]:
    """A value for each argument without a default."""
    return {name: 0.5 for name, parameter in source.parameters.items() if parameter.default is parameter.empty}


def meant(name: str) -> str:
    """The loss of the catalogue that belongs to a row's loss: itself, or the one after which a variant is named."""
    after = name.rpartition(".")[2].removesuffix("_loss") if "." in name else name
    return registry.find(_NAMED_OTHERWISE.get(after, after) if "." in name else name).name


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
    """One loss: a table of the three libraries, and the traps of each."""
    titles = list(LIBRARIES.values())
    columns = [_column(sources) for sources in of_library.values()]
    lines = [f"## `{name}`", "", f"[What it is here](#loss-{name.replace('_', '-')})", ""]
    lines += ["| " + " | ".join(["", *titles]) + " |", "|---|---|---|---|"]
    for i, what in enumerate(("written", "computes", "is here")):
        cells = [column[i] if column else ("none" if i == 0 else "") for column in columns]
        lines.append("| " + " | ".join([f"**{what}**", *(cell.replace("|", r"\|") for cell in cells)]) + " |")
    lines += _agreement(of_library)
    for title, sources in zip(titles, of_library.values(), strict=True):
        traps = list(dict.fromkeys(note for _, row in sources for note in row.notes))
        if traps:
            lines += ["", f"Conventions and traps of {title}:", "", *(f"- {note}" for note in traps)]
    return "\n".join(lines)


def _agreement(of_library: dict[str, list[tuple[Source, Row]]]) -> list[str]:
    """Lists of calls with the same numbers: each source with its defaults, and the calls of the other libraries."""
    groups: list[list[str]] = []
    for source in (source for sources in of_library.values() for source, _ in sources):
        if source.is_class or source.name.startswith("optax."):
            ours = multiloss.port(porting.text_of(source, needed(source)))
            codes = [porting.code(ours, to=library)[0] for library in ("torch.nn", "keras.losses", "optax")]
            found = [code for code in codes if not code.startswith("multiloss.")]
            if len(found) > 1 and not any(set(found) & set(group) for group in groups):
                groups.append(found)
    lines = ["- " + " = ".join(f"`{code}`" for code in group) for group in groups]
    return ["", "The same numbers:", "", *lines] if lines else []


def _column(sources: list[tuple[Source, Row]]) -> tuple[str, str, str] | None:
    """How a library writes the loss, what it computes, and the code of that here."""
    if not sources:
        return None
    parts: tuple[list[str], ...] = ([], [], [])
    for source, _ in sources:
        name = source.name.replace("torch.nn.functional.", "F.")
        parameters = ", ".join(str(p.replace(annotation=p.empty)) for p in source.parameters.values())
        arrays = "" if source.is_class else ", ".join(source.data) + (", " if parameters else "")
        parts[0].append(f"`{name}({arrays}{parameters})`")
        parts[1].append(" ".join((inspect.getdoc(source.row) or "").split()))
        parts[2].append(f"`{porting.code(porting.text_of(source, needed(source)))[0]}`")
    written, computes, here = ("<br>".join(dict.fromkeys(part)) for part in parts)
    return written, computes, here


def refused() -> str:
    """What is not ported, and why."""
    lines = ["| source | why |", "|---|---|"]
    lines += [f"| `{one.name}` | {one.refusal} |" for one in porting.sources().values() if one.refusal is not None]
    return "\n".join(lines)


def write_pages(app: Sphinx) -> None:
    """Write the pages that changed, and remove those of families that are gone."""
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

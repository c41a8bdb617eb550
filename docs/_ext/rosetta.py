"""The Rosetta pages, made from the tables of `multiloss.porting`: for each loss what PyTorch, Keras and
Optax compute under its name, what it is here, and the traps. In `rosetta/`, a page a family.
"""

from __future__ import annotations

import functools
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


Ported = tuple[Source, Row, str]
"""A loss of a library, the loss here that it is, and which targets it then takes."""


@functools.cache
def by_loss() -> dict[str, dict[str, list[Ported]]]:
    """Our loss -> library -> its sources, with the rows of their defaults: for labels, and for probabilities where a
    source takes both."""
    found: dict[str, dict[str, list[Ported]]] = {}
    for source in porting.sources().values():
        if source.refusal is not None:
            continue
        for targets in ("labels", "probabilities") if source.chooses_targets else ("labels",):
            try:
                row = source.to_row(needed(source), targets)
            except porting.RefusedError:
                continue
            of_library = found.setdefault(meant(row.loss), {name: [] for name in LIBRARIES})
            of_library[source.name.partition(".")[0]].append((source, row, targets))
    return found


def needed(source: Source) -> dict[str, Any]:
    """A value for each argument without a default."""
    return {name: 0.5 for name, parameter in source.parameters.items() if parameter.default is parameter.empty}


def meant(name: str) -> str:
    """The loss of the catalogue that belongs to a row's loss: itself, or the one after which a variant is named."""
    after = name.rpartition(".")[2].removesuffix("_loss") if "." in name else name
    return registry.find(_NAMED_OTHERWISE.get(after, after) if "." in name else name).name


def anchor(name: str) -> str:
    """The target of a link to what the libraries have for a loss."""
    return f"rosetta-{name.replace('_', '-')}"


def pages() -> dict[str, str]:
    """Family -> its page."""
    parts: dict[str, list[str]] = {}
    for name, of_library in by_loss().items():
        parts.setdefault(registry.find(name).family, []).append(section(name, of_library))
    return {
        family: "\n\n".join([f"# Rosetta: {family.replace('_', ' ')}", *sorted(sections)]) + "\n"
        for family, sections in parts.items()
    }


def section(name: str, of_library: dict[str, list[Ported]]) -> str:
    """One loss: what each of the three libraries has for it, and the traps."""
    lines = [f"({anchor(name)})=", f"## `{name}`", "", f"What it is here: [`{name}`](#loss-{name.replace('_', '-')})."]
    for library, sources in of_library.items():
        lines += ["", f"**{LIBRARIES[library]}**" + ("" if sources else " has none.")]
        for computes, group in _alike(sources).items():
            lines += ["", computes, "", "```python", *group, "```"]
        if traps := list(dict.fromkeys(note for _, row, _ in sources for note in row.notes)):
            lines += ["", f"Conventions and traps of {LIBRARIES[library]}:", "", *(f"- {note}" for note in traps)]
    return "\n".join(lines + _agreement(of_library))


def _alike(sources: list[Ported]) -> dict[str, list[str]]:
    """What sources compute -> the lines of code that show them and the loss here."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    for source, _, targets in sources:
        name = source.name.replace("torch.nn.functional.", "F.")
        parameters = ", ".join(str(p.replace(annotation=p.empty)) for p in source.parameters.values())
        arrays = "" if source.is_class else ", ".join(source.data) + (", " if parameters else "")
        computes = " ".join((inspect.getdoc(source.row) or "").split())
        if source.chooses_targets:
            computes = f"With {'integer labels' if targets == 'labels' else 'probabilities'} as targets: {computes}"
        here = porting.code(porting.text_of(source, needed(source)), targets=targets)[0]
        written, ours = found.setdefault(computes, ([], []))
        written.append(f"{name}({arrays}{parameters})")
        ours.append(f"{here}  # the same in multiloss")
    return {computes: [*dict.fromkeys(w), *dict.fromkeys(ours)] for computes, (w, ours) in found.items()}


def _agreement(of_library: dict[str, list[Ported]]) -> list[str]:
    """Calls with the same numbers: each source with its defaults, and the calls of the other libraries."""
    groups: list[list[str]] = []
    for source, _, targets in (one for sources in of_library.values() for one in sources):
        if source.is_class or source.name.startswith("optax."):
            ours = multiloss.port(porting.text_of(source, needed(source)), targets=targets)
            codes = [porting.code(ours, to=library)[0] for library in ("torch.nn", "keras.losses", "optax")]
            found = [code for code in codes if not code.startswith("multiloss.")]
            if len(found) > 1 and not any(set(found) & set(group) for group in groups):
                groups.append(found)
    lines = [line for group in groups for line in ("", "```python", *group, "```")]
    return ["", "**The same numbers**, without sample weights:", *lines] if lines else []


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

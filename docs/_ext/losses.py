"""What is made from the definitions of losses: a page for each loss in `loss/`, one for each family in `families/`, the
gallery, and what stands in a page for `<!-- table of losses -->`, `<!-- gallery -->`, `<!-- center family -->` and
`<!-- options of center loss -->`. A new loss is listed by being there.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import docstrings
import gallery
import loss_page
from sphinx.application import Sphinx

from multiloss.center import explained
from multiloss.engine import registry
from multiloss.engine.definition import Definition


def families() -> dict[str, list[Definition]]:
    """Module name -> its losses in the order in which the file has them; modules as the package imports them."""
    found: dict[str, list[Definition]] = {}
    for definition in loss_page.losses():
        found.setdefault(definition.family, []).append(definition)
    return found


def table() -> str:
    """Name, short name and first sentence of each loss."""
    lines = ["| name | short | what it is |", "|---|---|---|"]
    for group in families().values():
        for one in group:
            short = min((one.name, *one.aliases), key=len)
            short = "" if short == one.name else f"`{short}`"
            about = docstrings.summary(one).replace("|", r"\|")
            lines.append(f"| [`{one.name}`](#{loss_page.anchor(one)}) | {short} | {about} |")
    return "\n".join(lines)


def family_page(name: str, group: list[Definition]) -> str:
    """A family: what its losses have in common, and a card for each."""
    module = importlib.import_module(group[0].value.__module__)
    intro = (inspect.getdoc(module) or "").partition("\n\n")[0]
    label = f"(family-{name.replace('_', '-')})="
    tree = ["```{toctree}", ":hidden:", "", *(f"../loss/{one.name}" for one in group), "```"]
    return (
        "\n\n".join(
            [f"{label}\n# {loss_page.family_title(name)}", intro, gallery.cards(group, "../loss/"), "\n".join(tree)]
        )
        + "\n"
    )


def write_pages(app: Sphinx) -> None:
    """Write the pages that changed, and remove those of losses and families that are gone."""
    cache = Path(app.srcdir) / "loss" / "kept"
    cache.mkdir(parents=True, exist_ok=True)
    before = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    write_all(Path(app.srcdir) / "loss", {one.name: loss_page.text(one, cache) for one in loss_page.losses()})
    write_all(Path(app.srcdir) / "families", {name: family_page(name, group) for name, group in families().items()})
    for path, when in before.items():
        if path.stat().st_mtime_ns == when:  # of an older version: no page asked for it
            path.unlink()


def write_all(folder: Path, pages: dict[str, str]) -> None:
    """These pages, and no others, in a folder; a page that is the same keeps its date, so that it is not read again."""
    folder.mkdir(exist_ok=True)
    for old in _files(folder):
        if old.suffix != ".md" or old.stem not in pages:
            old.unlink()
    for name, text in pages.items():
        page = folder / f"{name}.md"
        if not page.exists() or page.read_text() != text:
            page.write_text(text)


def _files(folder: Path) -> Iterable[Path]:
    return [path for path in folder.iterdir() if path.is_file()]


def center_family() -> str:
    """A card for each loss of center loss's family."""
    return gallery.cards([one for one in registry.TABLES.values() if one.name != "center"])


def center_options() -> str:
    """Each option of center loss: default and meaning."""
    rows = [f"| `{name}` | `{default!r}` | {means} |" for name, default, means in explained("center")]
    return "\n".join(["| option | default | meaning |", "|---|---|---|", *rows])


def escaped(doc: str) -> str:
    """The text with |x| escaped, which reStructuredText takes for a substitution; formulas and code stay."""
    keep = re.compile(r"\s*(\.\. math::|>>>|\.\.\.)")
    return "\n".join(line if keep.match(line) else line.replace("|", r"\|") for line in doc.splitlines())


def _source_read(app: Sphinx, name: str, content: list[str]) -> None:
    for marker, make in (
        ("<!-- table of losses -->", table),
        ("<!-- gallery -->", lambda: gallery.filters() + "\n\n" + gallery.cards(loss_page.losses())),
        ("<!-- center family -->", center_family),
        ("<!-- options of center loss -->", center_options),
    ):
        if marker in content[0]:
            content[0] = content[0].replace(marker, make())


def _process_docstring(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = escaped("\n".join(lines)).splitlines()


def setup(app: Sphinx) -> dict[str, Any]:
    """Hook into the reading of pages, and before napoleon into that of docstrings."""
    app.connect("builder-inited", write_pages)
    app.connect("source-read", _source_read)
    app.connect("autodoc-process-docstring", _process_docstring, priority=100)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

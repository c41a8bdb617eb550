"""The pages of the losses, made from their docstrings: in `families/` one a family (a module of multiloss.definitions)
with the curves of its losses. In a page `<!-- table of losses -->` becomes one line a loss; `<!-- center family -->`
and `<!-- options of center loss -->` are what they say. A new loss is listed by being there.
"""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config, GoogleDocstring

from multiloss.center import explained
from multiloss.engine import registry
from multiloss.engine.definition import Definition
from multiloss.pictures import arrows, curves

_FORMULA = re.compile(r"^\.\. math:: (.+(?:\n    +\S.*)*)$", re.MULTILINE)
_ARROWS = """What a step against the gradient does, with the default options: a colour is a class, a cross a row of
`weight`, a line joins what is compared (a triangle that points up is a positive, one that points down a negative). The
longest arrow of each panel has the same length."""
_NAPOLEON = Config(napoleon_use_param=False, napoleon_use_rtype=False)


def families() -> dict[str, list[Definition]]:
    """Module name -> its losses in the order in which the file has them; modules as the package imports them."""
    found: dict[str, list[Definition]] = {}
    for definition in map(registry.find, registry._definitions):
        if definition.value.__module__.startswith("multiloss.definitions."):
            found.setdefault(definition.family, []).append(definition)
    return found


def table() -> str:
    """Name, short name and formula of each loss."""
    lines = ["| name | short | formula |", "|---|---|---|"]
    for group in families().values():
        for one in group:
            formulas = "; ".join(f"${' '.join(tex.split())}$" for tex in _FORMULA.findall(one.doc))
            formulas = formulas.replace("|", r"\vert ")
            short = min((one.name, *one.aliases), key=len)
            short = "" if short == one.name else f"`{short}`"
            lines.append(f"| [`{one.name}`](#{anchor(one)}) | {short} | {formulas} |")
    return "\n".join(lines)


def anchor(definition: Definition) -> str:
    """The target of a link to a loss."""
    return f"loss-{definition.name.replace('_', '-')}"


def write_pages(app: Sphinx) -> None:
    """The page of each family, and its picture: values and gradients of those of its losses that have a curve."""
    folder = Path(app.srcdir) / "families"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        if old.stem.removesuffix("_arrows") not in families():
            old.unlink()
    for name, group in families().items():
        module = importlib.import_module(group[0].value.__module__)
        intro = (inspect.getdoc(module) or "").partition("\n\n")[0]
        parts = [f"# {name.replace('_', ' ').capitalize()}", intro]
        drawn = [one for one in group if not curves.no_curve(one)]
        if drawn:
            curves.write(folder / f"{name}.png", curves.picture([curves.curve(one.name) for one in drawn]))
            parts.append(f"![Values and gradients of {', '.join(one.name for one in drawn)}]({name}.png)")
        placed = [one for one in group if arrows.has_arrows(one)]
        if placed:
            curves.write(folder / f"{name}_arrows.png", arrows.picture([arrows.scene(one.name) for one in placed]))
            parts.append(
                f"![What {', '.join(one.name for one in placed)} pull and push]({name}_arrows.png)\n\n{_ARROWS}"
            )
        parts += [section(one) for one in group]
        text = "\n\n".join(parts) + "\n"
        page = folder / f"{name}.md"
        if not page.exists() or page.read_text() != text:
            page.write_text(text)


def family() -> str:
    """A section for each loss of center loss's family."""
    return "\n\n".join(section(one, "###") for one in registry.TABLES.values() if one.name != "center")


def center_options() -> str:
    """Each option of center loss: default and meaning."""
    rows = [f"| `{name}` | `{default!r}` | {means} |" for name, default, means in explained("center")]
    return "\n".join(["| option | default | meaning |", "|---|---|---|", *rows])


def section(definition: Definition, level: str = "##") -> str:
    """One loss: how it is called, and its docstring."""
    options = "".join(f", {name}={value!r}" for name, value in definition.options.items())
    body = f'.. code-block:: python\n\n   multiloss.get("{definition.name}"{options})\n\n{rst(definition.doc)}'
    aliases = f"Also called {', '.join(f'`{alias}`' for alias in definition.aliases)}." if definition.aliases else ""
    return f"({anchor(definition)})=\n{level} `{definition.name}`\n\n{aliases}\n\n```{{eval-rst}}\n{body}\n```"


def rst(doc: str) -> str:
    """A Google-style docstring as reStructuredText."""
    text = str(GoogleDocstring(escaped(doc), _NAPOLEON, what="data"))
    # outside of a Python signature nobody gives these fields their titles
    text = text.replace(":Parameters:", ":Arguments:").replace(":returns:", ":Returns:")
    return re.sub(r"^:raises (\w+):", r":Raises \1:", text, flags=re.MULTILINE)


def escaped(doc: str) -> str:
    """|x| is an absolute value here, no substitution; formulas and code keep theirs."""
    keep = re.compile(r"\s*(\.\. math::|>>>|\.\.\.)")
    return "\n".join(line if keep.match(line) else line.replace("|", r"\|") for line in doc.splitlines())


def _source_read(app: Sphinx, name: str, content: list[str]) -> None:
    for marker, make in (
        ("<!-- table of losses -->", table),
        ("<!-- center family -->", family),
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

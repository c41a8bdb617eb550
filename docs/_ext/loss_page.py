"""The page of one loss, in Markdown: when to use it, an example for each framework, curves, options, properties, and
its names in other libraries.
"""

from __future__ import annotations

import functools
import hashlib
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docstrings
import drawings
import examples
import rosetta

from multiloss import catalogue, testing
from multiloss.engine import registry
from multiloss.engine.definition import Definition

HERE = Path(__file__).parent
ASKED = {
    "convex": "Convex in `{by}`?",
    "bounded": "Bounded?",
    "symmetric": "Symmetric in its arguments?",
    "differentiable": "Differentiable?",
    "zero_at_target": "0 where `y_pred` equals `y_true`?",
}
WITHIN = {"ranking_softmax": {"y_true": (0.0, 3.0)}, "hinge_embedding": {"y_pred": (0.0, float("inf"))}}
"""What inputs are meant to be where the loss checks none."""


@functools.cache
def use_when() -> dict[str, str]:
    """For each loss when to use it."""
    with (HERE.parent / "use_when.toml").open("rb") as file:
        families = tomllib.load(file)
    return {name: words for group in families.values() for name, words in group.items()}


def losses() -> list[Definition]:
    """Every loss of the library, in the order of the documentation."""
    ours = [*registry.TABLES.values(), *map(registry.find, registry._definitions)]
    return [one for one in ours if one.value.__module__.startswith("multiloss.definitions.")]


def anchor(definition: Definition) -> str:
    """The target of a link to a loss."""
    return f"loss-{definition.name.replace('_', '-')}"


def family_title(family: str) -> str:
    """A family in words."""
    return family.replace("_", " ").capitalize()


def text(definition: Definition, cache: Path) -> str:
    """The page."""
    name = definition.name
    aliases = f" Also called {', '.join(f'`{alias}`' for alias in definition.aliases)}." if definition.aliases else ""
    tasks, family = ", ".join(catalogue.tasks(name)), family_title(definition.family)
    parts = [
        f"({anchor(definition)})=\n# `{name}`",
        f"{docstrings.summary(definition)}{aliases}",
        f"**Family**: [{family}](#family-{definition.family.replace('_', '-')}). **Task**: {tasks}.",
        f":::{{admonition}} Use it when\n:class: tip\n{use_when()[name]}\n:::",
        docstrings.about(definition),
        "## Example",
        _tabs(definition),
        *_pictures(definition, cache),
        *_inputs(definition),
        "## Options",
        _options(definition),
        "## Properties",
        _properties(definition, cache),
        *_elsewhere(definition),
        *_source(definition),
        _siblings(definition),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _tabs(definition: Definition) -> str:
    tabs = [
        f":::{{tab-item}} {title}\n:sync: {backend}\n```python\n{examples.code(definition, backend)}\n```\n:::"
        for backend, title in examples.BACKENDS.items()
    ]
    return "::::{tab-set}\n:sync-group: framework\n" + "\n".join(tabs) + "\n::::"


def _pictures(definition: Definition, cache: Path) -> list[str]:
    parts = []
    one, scene = drawings.curve_of(definition), drawings.scene_of(definition)
    if one is not None:
        key = [one.label, one.axis_label, one.x.tolist(), one.value.tolist(), one.slope.tolist()]
        drawn = kept(cache, "curve", key, lambda: drawings.curve_svgs(one))
        parts += ["## Value and gradient", _raw(drawn), f"Over: {one.axis_label}. The options are the defaults."]
    if scene is not None:
        key = [scene.label, *(x.tolist() for x in (*scene.arrays.values(), *scene.steps.values()))]
        drawn = kept(cache, "arrows", key, lambda: [drawings.arrow_svg(scene)])
        parts += ["## What it pulls and pushes", _raw(drawn), _about_arrows(definition, scene)]
    return parts


def _raw(svgs: list[str]) -> str:
    return '```{raw} html\n<div class="figures">\n' + "\n".join(svgs) + "\n</div>\n```"


def _about_arrows(definition: Definition, scene: Any) -> str:
    told = ["An arrow is a step against the gradient, with the default options; the longest one has a fixed length."]
    if definition.table is not None:
        told = ["An arrow is a step against the gradient, or a center's own in training; each kind has its scale."]
    if "weight" in scene.arrays:
        told.append("A colour is a class, a cross the row of the class: its center, weight or proxy.")
    elif "anchor" in scene.arrays:
        told.append("A circle is an anchor, a triangle that points up its positive, one that points down its negative.")
    elif "y_true" in scene.arrays:
        told.append("A line joins a pair; one colour has the similar pairs, the other one the dissimilar ones.")
    elif "x2" in scene.arrays:
        told.append("A line joins the two views of a sample.")
    else:
        told.append("A colour is a class.")
    return " ".join(told)


def _inputs(definition: Definition) -> list[str]:
    section = docstrings.sections(definition.doc)
    told = docstrings.entries(section["Args"])
    options = {name for name, *_ in docstrings.options_of(definition)} | {"factor"}
    rows = [f"* **`{name}`**: {means}" for name, means in told.items() if name not in options]
    parts = ["## Inputs and result", "\n".join(rows), docstrings.flat(section["Returns"])]
    if raised := section.get("Raises"):
        errors = docstrings.entries(raised)
        parts.append("\n".join(f"* `{name}` is raised for {means}" for name, means in errors.items()))
    return parts


def _options(definition: Definition) -> str:
    rows = docstrings.options_of(definition)
    common = "" if definition.table is not None else (
        "Every loss also takes `reduction`, `axis` and `validate`, and its call `sample_weight` and `mask`: see "
        "{doc}`/conventions`."
    )  # fmt: skip
    if definition.kind == "of_inputs":
        common = common.replace("`reduction`, `axis` and `validate`", "`reduction` and `validate`")
    if not rows:
        return f"It has none of its own. {common}"
    cells = [" | ".join(cell.replace("|", r"\|") for cell in (f"`{n}`", kind, f"`{d}`", m)) for n, kind, d, m in rows]
    lines = ["| option | type | default | meaning |", "|---|---|---|---|", *(f"| {cell} |" for cell in cells)]
    return "\n".join(lines) + f"\n\n{common}"


def _properties(definition: Definition, cache: Path) -> str:
    given = {k: v for k, v in examples.options(definition).items() if k not in ("num_classes", "feature_dim")}
    source = Path(testing.properties.__code__.co_filename).read_text()
    key = [definition.name, given, definition.doc, Path(definition.value.__code__.co_filename).read_text(), source]

    def search() -> Any:
        found = testing.properties(definition.name, within=WITHIN.get(definition.name), **given)
        return {"by": found.by} | {name: [getattr(found, name).holds, getattr(found, name).words] for name in ASKED}

    found = kept(cache, "properties", key, search)
    rows = []
    for name, question in ASKED.items():
        holds, words = found[name]
        if holds is not None:
            rows.append(f"| {question.format(by=found['by'])} | {'yes' if holds else 'no'} | {words} |")
    told = "".join(f", {name}={value!r}" for name, value in (given | _within(definition)).items())
    return (
        "\n".join(["| question | answer | what was found |", "|---|---|---|", *rows])
        + f'\n\nFound by `multiloss.testing.properties("{definition.name}"{told})`: a search with random points, which '
        "proves a *no* and not a *yes*."
    )


def _within(definition: Definition) -> dict[str, Any]:
    return {"within": WITHIN[definition.name]} if definition.name in WITHIN else {}


def _elsewhere(definition: Definition) -> list[str]:
    of_library = rosetta.by_loss().get(definition.name)
    if of_library is None:
        return ["## In other libraries", "PyTorch, Keras and Optax have no loss that is ported to this one."]
    lines = []
    for library, sources in of_library.items():
        names = [f"`{name}`" for name in dict.fromkeys(source.name for source, _, _ in sources)]
        lines.append(f"* **{rosetta.LIBRARIES[library]}**: {', '.join(names) or 'none'}")
    link = f"[What each of them computes, and the traps](#{rosetta.anchor(definition.name)})."
    return ["## In other libraries", "\n".join(lines), link]


def _source(definition: Definition) -> list[str]:
    source = docstrings.sections(definition.doc).get("Source")
    return ["## Source", docstrings.flat(source)] if source else []


def _siblings(definition: Definition) -> str:
    others = [one for one in losses() if one.family == definition.family and one is not definition]
    links = ", ".join(f"[`{one.name}`](#{anchor(one)})" for one in others)
    return f"**In the same family**: {links}." if links else ""


def kept(folder: Path, kind: str, key: Any, make: Callable[[], Any]) -> Any:
    """What `make` gives for this key, as JSON, from an earlier build if that had the same key and the same code."""
    code = b"".join(path.read_bytes() for path in (HERE / "drawings.py", HERE / "loss_page.py"))
    name = hashlib.sha256(code + json.dumps([kind, key], default=str).encode()).hexdigest()[:20]
    path = folder / f"{kind}-{name}.json"
    if not path.exists():
        path.write_text(json.dumps(make()))
    found = json.loads(path.read_text())
    path.touch()
    return found

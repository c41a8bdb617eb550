"""What a notebook shows of an object: the formula of its loss, its options, and its curve or arrows, as HTML.

Colours are those of the page around it, or greys and blues that a light and a dark page both leave readable. A notebook
draws MathML by itself, and `$$...$$` with MathJax. Pictures are images, which notebooks of others show, too.
"""

from __future__ import annotations

import base64
import dataclasses
import html
import re
from typing import Any

from multiloss.engine.page import Page, shown
from multiloss.pictures import arrows, curves
from multiloss.pictures.formulas import mathml

_INK, _BLUE = "#808080", "#2f86c9"
_CELL = "text-align:left;vertical-align:top;padding:2px 12px 2px 0;border-top:1px solid #8080804d"
_WIDE = "width:fit-content;max-width:100%;box-sizing:border-box;overflow:auto hidden;margin:8px 0"
_SHORT = 28
"""Characters of an option that stay on one line, on a phone, too."""
_ASIDE = "margin:6px 0;opacity:.75"
_PLAIN = "mathjax_ignore tex2jax_ignore"
"""Classes in which MathJax takes no $ for a formula."""
_TEX = "mathjax_process tex2jax_process"


def show(thing: Any, page: Page) -> str:
    """The HTML of an object.

    Args:
        thing: the object.
        page: what is told of it.

    Returns:
        One element, everything in it escaped.
    """
    parts = [f"<strong>{html.escape(page.definition.name)}</strong>", *map(_paragraph, _paragraphs(page.parts[""]))]
    rows = "".join(_row(page, name, value) for name, value in page.options.items())
    table = f'<table style="border-collapse:collapse;margin:0">{rows}</table>'
    parts.append(f'<div style="{_WIDE}">{table}</div>')
    if page.source or page.notes:
        origin = f"It gives the numbers of <code>{html.escape(page.source)}</code>:" if page.source else "Notes:"
        notes = "".join(f"<li>{_text(note)}</li>" for note in page.notes)
        parts.append(f'<p style="margin:6px 0">{origin}</p><ul>{notes}</ul>')
    parts.append(_picture(page))
    kind = f"{type(thing).__name__}; <code>help</code> tells of its inputs and methods"
    parts.append(f'<p style="{_ASIDE}">{kind}</p>')
    return f'<div class="{_PLAIN}" style="max-width:56em">{"".join(parts)}</div>'


def _row(page: Page, name: str, value: Any) -> str:
    """An option with its value, and what it means."""
    code, means = f"{name} = {shown(value)}", filter(None, (page.meaning(name), page.elsewhere.get(name)))
    wrap = ";white-space:nowrap" if len(code) <= _SHORT else ""
    return (
        f'<tr style="background:none"><td style="{_CELL}{wrap}"><code>{html.escape(code)}</code></td>'
        f'<td style="{_CELL}">{_text("; ".join(means))}</td></tr>'
    )


def _paragraphs(doc: str) -> list[str]:
    return [text for text in re.split(r"\n\s*\n", doc) if text.strip()]


def _paragraph(text: str) -> str:
    _, directive, tex = text.partition(".. math::")
    if not directive:
        return f'<p style="margin:6px 0">{_text(text)}</p>'
    return f'<div class="{_TEX}" style="{_WIDE};padding:2px 24px">{_formula(" ".join(tex.split()))}</div>'


def _formula(tex: str) -> str:
    try:
        return mathml(tex)
    except Exception:  # without latex2mathml, or of a formula that it does not know
        return f"$${html.escape(tex)}$$"


def _text(text: str) -> str:
    """A text, in which what stands in backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(" ".join(text.split())))


def _picture(page: Page) -> str:
    """The curve or the arrows; else why there is none."""
    name, definition = page.definition.name, page.definition
    own = {key: value for key, value in page.options.items() if key in definition.options}
    lists = {key: value for key, value in own.items() if isinstance(value, tuple)}
    said = ""
    try:
        if curves.find(name) is not definition:
            raise ValueError(f"the name {name} means another loss by now")
        try:
            drawn = _drawn(page, own)
        except (ValueError, TypeError):
            if not lists:
                raise
            # One number a class: the pictures have two or three classes.
            drawn = _drawn(page, {key: value for key, value in own.items() if key not in lists})
            without = " and ".join(lists)
            said = f'<p style="{_ASIDE}">The picture is without {without}, as it has two or three classes only.</p>'
    except Exception as error:  # whatever a loss of a user, or matplotlib, raises: the rest is shown
        return f'<p style="{_ASIDE}">No picture: {_text(str(error) or type(error).__name__)}</p>'
    data = base64.b64encode(drawn).decode()
    return (
        f'<img alt="{html.escape(f"what {name} is, drawn")}" style="max-width:100%;background:none" '
        f'src="data:image/svg+xml;base64,{data}">{said}'
    )


def _drawn(page: Page, own: dict[str, Any]) -> bytes:
    definition = page.definition
    why = curves.no_curve(definition)
    if not why:
        curve = curves.curve(definition.name, {key: x for key, x in own.items() if key != "factor"})
        if definition.table is not None:
            factor = definition.table.presets[page.options.get("preset")][0].factor
            curve = dataclasses.replace(curve, value=factor * curve.value, slope=factor * curve.slope)
        return _curve(curve)
    if arrows.has_arrows(definition):
        return _arrows(arrows.scene(definition.name, own))
    raise ValueError(f"{definition.name} {why}, and has no curve over one number")


def _curve(one: curves.Curve) -> bytes:
    """The value on the left, the gradient on the right."""
    figure = curves.figure((7.2, 2.3))
    for axis, title, values in zip(figure.subplots(1, 2), ("loss", "gradient"), (one.value, one.slope), strict=True):
        axis.plot(one.x, curves._broken_at_jumps(values), color=_BLUE, linewidth=2)
        axis.set_ylim(curves._limits([values]))
        axis.axhline(0, color=_INK, linewidth=0.8, alpha=0.5, zorder=1)
        axis.set_title(title, color=_INK, fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
        _grey(axis)
    figure.supxlabel(one.axis_label, color=_INK, fontsize=9)
    return _svg(figure)


def _arrows(scene: arrows.Scene) -> bytes:
    figure = curves.figure((2.9, 2.9))
    panel = figure.subplots()
    arrows._draw(panel, scene)
    panel.set_title("what a step against the gradient does", color=_INK, fontsize=9)
    for note in panel.texts:
        note.arrow_patch.set_color(_INK)
    _grey(panel)
    return _svg(figure)


def _grey(axis: Any) -> None:
    axis.set_facecolor("none")
    axis.tick_params(colors=_INK, labelsize=8)
    axis.spines[:].set_color(_INK)


def _svg(figure: Any) -> bytes:
    import matplotlib as mpl

    figure.patch.set_alpha(0)
    with mpl.rc_context({"svg.hashsalt": "multiloss", "svg.fonttype": "none"}):  # the same bytes each time, and small
        return curves.rendered(figure, "svg", 100)

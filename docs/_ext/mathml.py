"""Formulas as MathML: browsers draw it themselves, so pages need no script and no network."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

_THIN = '<mspace width="0.167em" />'
_FUNCTION = r"<mi>(?:log|ln|exp|cosh|tanh|sinh|max|min)</mi>"


def to_mathml(tex: str, display: str) -> str:
    """A formula, with the thin space that TeX puts between a function's name and its neighbours."""
    math = convert(tex, display=display)
    math = re.sub(rf"({_FUNCTION})(?=<m(?!o))", rf"\1{_THIN}", math)
    return re.sub(rf"(</(?:mi|mn|msub|msup|msubsup|mfrac|mstyle)>)(?={_FUNCTION})", rf"\1{_THIN}", math)


def inline(translator: Any, node: nodes.math) -> None:
    """A formula in a line of text."""
    translator.body.append(to_mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def block(translator: Any, node: nodes.math_block) -> None:
    """A formula on a line of its own; wide ones scroll."""
    translator.body.append(f'<div class="math-block">{to_mathml(node.astext(), "block")}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Make `mathml` known to `html_math_renderer`."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

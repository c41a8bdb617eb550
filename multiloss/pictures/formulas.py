"""The TeX formulas of docstrings as plain text, and as MathML, which browsers draw without a script."""

from __future__ import annotations

import re

from multiloss.engine.formulas import formula_text

__all__ = ["formula_text", "mathml"]

_THIN = '<mspace width="0.167em" />'
_FUNCTION = r"<mi>(?:log|ln|exp|cosh|tanh|sinh|max|min)</mi>"


def mathml(tex: str, display: str = "block") -> str:
    """A formula as MathML, with the thin space that TeX puts between a function's name and its neighbours.

    Args:
        tex: the formula.
        display: "block" on a line of its own, or "inline".

    Raises:
        ImportError: the package `latex2mathml` is not installed.
    """
    from latex2mathml.converter import convert

    math = convert(tex, display=display)
    math = re.sub(rf"({_FUNCTION})(?=<m(?!o))", rf"\1{_THIN}", math)
    return re.sub(rf"(</(?:mi|mn|msub|msup|msubsup|mfrac|mstyle)>)(?={_FUNCTION})", rf"\1{_THIN}", math)

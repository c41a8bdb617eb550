"""The TeX formulas of docstrings as plain text, and as MathML."""

from multiloss.engine.formulas import formula_text

__all__ = ["formula_text"]

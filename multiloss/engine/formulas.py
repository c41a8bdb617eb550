"""The TeX formulas of docstrings as plain text, for terminals."""

from __future__ import annotations

import re

_SYMBOLS = {
    r"\cdot": "·", r"\le": "≤", r"\ne": "≠", r"\min": "min", r"\max": "max", r"\cos": "cos",
    r"\ge": "≥", r"\sum": "Σ", r"\alpha": "α", r"\delta": "δ", r"\epsilon": "ε",
    r"\in": "∈", r"\gamma": "γ", r"\sigma": "σ", r"\tau": "τ", r"\pi": "π", r"\lVert": "‖", r"\rVert": "‖",
    r"\leftarrow": "←", r"\quad": "  ", r"\,": " ", r"\;": " ", r"\left": "", r"\right": "", r"\infty": "∞",
    r"\times": "×",
}  # fmt: skip


def formula_text(doc: str) -> str:
    r"""A docstring with its TeX formulas as plain text: `.. math:: \tfrac12 x^2` becomes `½ x²`."""
    lines = []
    one_line = re.sub(r"\.\. math::[^\n]*(?:\n    +[^\s][^\n]*)+", lambda found: " ".join(found[0].split()), doc)
    for line in one_line.splitlines():
        before, directive, formula = line.partition(".. math::")
        lines.append(f"    {_plain(formula.strip())}" if directive and not before.strip() else line)
    return "\n".join(lines)


def _plain(tex: str) -> str:
    tex = re.sub(r"\\(?:text|mathrm|operatorname)\{([^{}]*)\}", r"\1", tex)
    tex = re.sub(r"\\[td]?frac12\b|\\[td]?frac\{1\}\{2\}", "½", tex)
    inner = r"((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)"  # up to two levels of braces
    for _ in range(4):
        tex = re.sub(r"\\[td]?frac\{" + inner + r"\}\{" + inner + r"\}", _fraction, tex)
        tex = re.sub(r"\\sqrt\{" + inner + r"\}", r"√(\1)", tex)
    for symbol, shown in _SYMBOLS.items():
        tex = re.sub(re.escape(symbol) + r"(?![A-Za-z])", shown, tex)
    tex = re.sub(r"\^2(?!\d)", "²", tex)
    tex = re.sub(r"([_^])\{([^{}\s]*)\}", r"\1\2", tex)
    tex = re.sub(r"([_^])\{([^{}]*)\}", r"\1(\2)", tex)
    return re.sub(r"\\([A-Za-z]+)", r"\1", tex.replace("{", "").replace("}", ""))


def _fraction(match: re.Match[str]) -> str:
    above, below = (part if re.fullmatch(r"\\?\w+", part) else f"({part})" for part in match.groups())
    return f"{above}/{below}"

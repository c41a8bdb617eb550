"""Pictures of losses as SVG that stands in the page itself, so that it has the colours of the reader's theme."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

import multiloss
from multiloss.engine.definition import Definition
from multiloss.pictures import arrows, curves

# Colours that stand for those of the theme until the file is written.
_INK, _FAINT, _LINE = "#010101", "#020202", "#030303"
_THEMED = {
    _INK: "currentColor",
    _FAINT: "var(--color-background-border)",
    _LINE: "var(--curve)",
    "#262626": "currentColor",  # the arrows
    "#d9d9d9": "var(--color-background-border)",
    "#999999": "var(--color-foreground-muted)",
    "#0072b2": "var(--class0)",
    "#d55e00": "var(--class1)",
    "#009e73": "var(--class2)",
}


def _along(x: np.ndarray, right: Any, wrong: float) -> np.ndarray:
    """For each x a copy of logits or probabilities, in which x stands for 1 and the rest for 0."""
    right = np.asarray(right, float)
    return x[:, None, None] * right + (wrong * (1 - x))[:, None, None] * (1 - right)


_PATHS = {
    "ctc": curves._Path(
        "logit of the right class of each of 4 frames",
        (-4, 4),
        lambda x: {
            "y_true": np.tile([[1, 2]], (len(x), 1)),
            "y_pred": _along(x, [[0, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]], 0),
        },
        "y_pred",
        lambda x: np.broadcast_to([[0.0, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]], (len(x), 4, 3)),
    ),
}


def curve_of(definition: Definition) -> curves.Curve | None:
    """The curve of a loss; None where a loss is no function of one number."""
    if definition.name in _PATHS:
        path = _PATHS[definition.name]
        x = np.linspace(*path.ends, 241)
        loss = multiloss.get(definition.name, backend="numpy", reduction="none")
        value = np.asarray(loss(**path.inputs(x)))
        return curves.Curve(definition.name, path.axis_label, x, value, np.gradient(value, x))
    if definition.name == "lovasz_softmax":
        return _lovasz()
    if curves.no_curve(definition):
        return None
    return curves.curve(definition.name, points=241)


def _lovasz() -> curves.Curve:
    """Over one pixel of three, for the loss is one number for an image."""
    x = np.linspace(0, 1, 241)
    loss = multiloss.get("lovasz_softmax", backend="numpy")
    others = [[0.7, 0.3], [0.4, 0.6]]
    value = np.array([float(loss([0, 0, 1], np.array([[one, 1 - one], *others]))) for one in x])
    label = "probability of the true class of one pixel of three"
    return curves.Curve("lovasz_softmax", label, x, value, np.gradient(value, x))


def scene_of(definition: Definition) -> arrows.Scene | None:
    """Where a step takes features; None where a loss is none of points."""
    if definition.table is not None:
        return None if definition.table.one_row else _scene_of_centers(definition)
    return arrows.scene(definition.name) if arrows.has_arrows(definition) else None


def _scene_of_centers(definition: Definition) -> arrows.Scene:
    """Features of three classes and their centers: the steps of both in one training step."""
    given, classes = arrows._inputs(multiloss.engine.registry.find("arcface"))
    start = 0.75 * given["weight"]
    loss = multiloss.get(definition.name, backend="numpy", centers_init=start, reduction="sum")
    _, gradient = loss.value_and_grad(given["labels"], given["features"])
    moved = np.asarray(loss.centers) - start
    steps = {"features": -gradient, "weight": moved * np.hypot(*gradient.T).max() / max(np.hypot(*moved.T).max(), 1e-9)}
    return arrows.Scene(definition.name, {"features": given["features"], "weight": start}, steps, classes)


def curve_svgs(one: curves.Curve) -> list[str]:
    """The value and the gradient, a picture each, which stand side by side where there is room."""
    return [
        _panel(one, "loss", one.value, f"The value of {one.label} over: {one.axis_label}"),
        _panel(one, "gradient", curves._broken_at_jumps(one.slope), f"The slope of that curve of {one.label}"),
    ]


def _panel(one: curves.Curve, what: str, values: np.ndarray, alt: str) -> str:
    def draw(figure: Any) -> None:
        axis = figure.subplots()
        axis.grid(color=_FAINT, linewidth=0.7)
        axis.axhline(0, color=_INK, linewidth=0.6, zorder=1, alpha=0.6)
        axis.plot(one.x, values, color=_LINE, linewidth=2)
        axis.set(axisbelow=True, ylabel=what, ylim=curves._limits([values]))
        axis.set_xlabel(one.axis_label, fontsize=9 if len(one.axis_label) < 45 else 7.5)
        axis.spines[["top", "right"]].set_visible(False)

    return svg(draw, (4.0, 2.9), f"{one.label}-{what}", alt)


def arrow_svg(scene: arrows.Scene) -> str:
    """The points and the steps of a scene."""

    def draw(figure: Any) -> None:
        axis = figure.subplots()
        arrows._draw(axis, scene)
        axis.set_title("")
        figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.99)

    return svg(draw, (3.6, 3.6), f"{scene.label}-arrows", f"What {scene.label} pulls and pushes")


def svg(draw: Callable[[Any], None], size: tuple[float, float], salt: str, alt: str) -> str:
    """A figure as an SVG element with the colours of the theme; `alt` is read to those who do not see it."""
    style = {
        "svg.fonttype": "none", "svg.hashsalt": salt, "axes.labelcolor": _INK, "axes.edgecolor": _INK,
        "text.color": _INK, "xtick.color": _INK, "ytick.color": _INK, "axes.facecolor": "none",
        "path.simplify_threshold": 0.4,
    }  # fmt: skip
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure = Figure(size)  # a fixed layout: the constrained one draws each picture several times
        figure.subplots_adjust(left=0.17, right=0.98, bottom=0.17, top=0.97)
        figure.patch.set_alpha(0)
        draw(figure)
        text = curves.rendered(figure, "svg", 72).decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r' (?:width|height)="[\d.]+pt"', "", text, count=2)
    text = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", text)
    text = re.sub(r" font-family: [^;\"]*;", "", text)
    text = re.sub(r"<style type=\"text/css\">.*?</style>", "", text)  # it would be the style of the whole page
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r' transform="rotate\(-0 [^"]*\)"', "", text)
    text = re.sub(r"<defs>\s*</defs>\s*", "", text)
    for colour, themed in _THEMED.items():
        text = text.replace(colour, themed)
    text = text.replace("<svg ", f'<svg class="figure" role="img" aria-label="{alt}" ', 1)
    return re.sub(r"\n\s*", "\n", text)


def thumbnail(definition: Definition) -> str:
    """A small picture for a card: the curve of the loss, or its arrows, or nothing but a line."""
    if (one := curve_of(definition)) is not None:
        x = np.linspace(4, 116, len(one.x))
        low, high = curves._limits([one.value])
        y = 56 - 50 * (np.clip(one.value, low, high) - low) / ((high - low) or 1.0)
        points = " ".join(f"{a:.0f},{b:.1f}" for a, b in list(zip(x, y, strict=True))[::5])
        inner = f'<polyline points="{points}"/>'
    elif (scene := scene_of(definition)) is not None:
        inner = _dots(scene)
    else:
        inner = '<circle class="ring" cx="60" cy="30" r="18"/>' + "".join(
            f'<circle class="class0" cx="{60 + 26 * np.cos(a):.1f}" cy="{30 + 26 * np.sin(a):.1f}" r="2.5"/>'
            for a in np.arange(6) * np.pi / 3
        )
    return f'<svg class="thumbnail" viewBox="0 0 120 60" aria-hidden="true">{inner}</svg>'


def _dots(scene: arrows.Scene) -> str:
    parts = []
    longest = max((np.hypot(*step.T).max() for step in scene.steps.values()), default=0.0) or 1.0
    for name, step in scene.steps.items():
        points = scene.arrays[name]
        classes = np.arange(len(points)) if name == "weight" else np.resize(scene.classes, len(points))
        for (a, b), (da, db), group in zip(points, 0.6 * step / longest, classes, strict=True):
            x, y, u, v = 60 + 19 * a, 30 - 19 * b, 19 * da, -19 * db
            if np.hypot(u, v) > 0.8:
                parts.append(f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{x + u:.1f}" y2="{y + v:.1f}"/>')
            shape = f'<rect x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6"' if name == "weight" else (
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.3"'
            )  # fmt: skip
            parts.append(f'{shape} class="class{int(group) % 3}"/>')
    return "".join(parts)

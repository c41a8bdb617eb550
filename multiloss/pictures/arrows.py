"""What a loss of features pulls and pushes: points on a plane, and where a step against the gradient takes each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from multiloss import catalogue
from multiloss.engine.definition import Definition
from multiloss.engine.loss import make, make_spec
from multiloss.pictures import curves

_POINTS = ("features", "weight", "x1", "x2", "anchor", "positive", "negative")
_MARKS = {"features": "o", "weight": "X", "x1": "o", "x2": "s", "anchor": "o", "positive": "^", "negative": "v"}
_PLANE = {"embedding", "contrastive", "triplet", "margin_softmax", "proxy", "redundancy"}


@dataclass(frozen=True)
class Scene:
    """The inputs of a loss, and minus the gradient by each that is drawn."""

    label: str
    arrays: dict[str, np.ndarray]
    steps: dict[str, np.ndarray]
    classes: np.ndarray
    """The class of each point of an input, for its colour."""


def has_arrows(definition: Definition) -> bool:
    """Whether the loss is one of points that can be drawn."""
    if definition.table is not None:
        return True
    return definition.family in _PLANE and any(name in _POINTS for name in definition.inputs)


def scene(name: str, options: Mapping[str, Any] | None = None) -> Scene:
    """The points of a loss and what it does to them.

    Args:
        name: of a loss for which `has_arrows`.
        options: of the loss.

    Returns:
        Nine points of three classes; three class weights or centers; six pairs, the first three of one class; three
        triplets.
    """
    definition = catalogue.definition(name)
    arrays, classes = _inputs(definition)
    loss: Any
    if definition.table is None:
        loss = make(make_spec(name, {**(options or {}), "validate": False}), "numpy")
    else:
        centers = {} if definition.table.one_row else {"centers_init": arrays["centers"]}
        held = catalogue.get(name, "numpy", **{**(options or {}), "update": "manual", **centers})
        held(arrays["labels"], arrays["features"])  # which starts a radius

        def loss(labels: np.ndarray, features: np.ndarray, **_: np.ndarray) -> Any:
            return held(labels, features)

    def value(**changed: np.ndarray) -> float:
        return float(np.sum(loss(**(arrays | changed))))

    steps = {}
    for key in (key for key in arrays if key in _POINTS):
        steps[key] = np.zeros(arrays[key].shape)
        for index in np.ndindex(arrays[key].shape):
            # Differences have enough digits for a picture, and need no package for derivatives.
            shift = np.zeros(arrays[key].shape)
            shift[index] = 1e-5
            steps[key][index] = (value(**{key: arrays[key] - shift}) - value(**{key: arrays[key] + shift})) / 2e-5
    return Scene(curves.label_of(definition, options), arrays, steps, classes)


def _inputs(definition: Definition) -> tuple[dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(4)
    table = definition.table
    if table is not None or "features" in definition.inputs:
        labels = np.repeat(np.arange(3), 3)
        angles = np.array([90.0, 210.0, 330.0])[:, None] + np.array([-35.0, 0.0, 50.0])
        radius = rng.uniform(0.7, 1.2, size=(3, 3))
        features = (radius[..., None] * _directions(angles)).reshape(9, 2)
        if table is not None:
            held = {} if table.one_row else {"centers": 0.6 * _directions(np.array([100.0, 225.0, 315.0]))}
            return {"labels": labels, "features": features, **held}, labels
        found = {
            definition.inputs[0]: labels,
            "features": features,
            "weight": _directions(np.array([100.0, 225.0, 315.0])),
        }
        return {name: found[name] for name in definition.inputs if name in found}, labels
    count = 3 if "anchor" in definition.inputs else 6
    angles = np.linspace(0, 360, count, endpoint=False) + 20
    base = rng.uniform(0.8, 1.1, size=(count, 1)) * _directions(angles)
    near, far = (base + radius * _directions(rng.uniform(0, 360, count)) for radius in (0.45, 0.6))
    found = {"anchor": base, "positive": near, "negative": far, "x1": base, "x2": near}
    same = np.arange(count) < count // 2
    if "y_true" in definition.inputs:
        found["y_true"] = same.astype(np.float64) if definition.name == "contrastive" else np.where(same, 1.0, -1.0)
    return {name: found[name] for name in definition.inputs if name in found}, np.where(same, 0, 1)


def _directions(degrees: np.ndarray) -> np.ndarray:
    """Points of the unit circle."""
    return np.stack([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))], -1)


def picture(scenes: Sequence[Scene], file_format: str = "png") -> bytes:
    """One panel per loss. The longest arrow of each panel has the same length: directions and proportions count."""
    figure = curves.figure(figsize=(10.5, 3.5 * rows_of(scenes)))
    draw(figure, scenes)
    return curves.rendered(figure, file_format, 130)


def rows_of(scenes: Sequence[Scene]) -> int:
    """How many rows of panels they take."""
    return -(-len(scenes) // 3)


def draw(figure: Any, scenes: Sequence[Scene]) -> None:
    """The panels, three in a row."""
    panels = figure.subplots(rows_of(scenes), 3, squeeze=False).ravel()
    for panel, one in zip(panels, scenes, strict=False):
        _draw(panel, one)
    for panel in panels[len(scenes) :]:
        panel.set_visible(False)


def _draw(panel: Any, one: Scene) -> None:
    panel.set_title(one.label, fontsize=10)
    longest = max((np.hypot(*step.T).max() for step in one.steps.values()), default=0.0) or 1.0
    start = next((one.arrays[name] for name in ("x1", "anchor") if name in one.arrays), None)
    for name in ("x2", "positive", "negative"):
        for a, b in [] if start is None else zip(start, one.arrays.get(name, ()), strict=False):
            panel.plot(*zip(a, b, strict=True), color="0.85", linewidth=1, zorder=1)
    if "centers" in one.arrays:
        panel.scatter(*one.arrays["centers"].T, c=curves.COLOURS[:3], marker="X", s=90, zorder=3)
    for name, step in one.steps.items():
        points = one.arrays[name]
        classes = np.arange(len(points)) if name == "weight" else one.classes
        colours = [curves.COLOURS[int(c)] for c in classes] if start is None or "y_true" in one.arrays else "#0072b2"
        if name == "negative":
            colours = curves.COLOURS[1]
        panel.scatter(*points.T, c=colours, marker=_MARKS[name], s=90 if name == "weight" else 36, zorder=3)
        for point, arrow in zip(points, 0.55 * step / longest, strict=True):
            if np.hypot(*arrow) > 0.01:
                style = {"arrowstyle": "-|>", "color": "0.15", "linewidth": 1.3, "shrinkA": 0, "shrinkB": 0}
                panel.annotate("", point + arrow, point, arrowprops=style, zorder=4)
    panel.set(xlim=(-1.7, 1.7), ylim=(-1.7, 1.7), aspect="equal", xticks=[], yticks=[])
    panel.plot(0, 0, "+", color="0.6", zorder=0)
    panel.spines[:].set_color("0.85")

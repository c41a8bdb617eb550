"""One picture of any losses: a row of curves for each number that they depend on, then panels of points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from multiloss import catalogue
from multiloss.pictures import arrows, curves


def picture(asked: Sequence[tuple[str, Mapping[str, Any]]], file_format: str = "png") -> bytes:
    """The losses with these names and options.

    Losses of features that are all drawn as points share one row of panels. Among others a loss is a curve if it
    depends on one number, and a panel of points if not.
    """
    found = [(catalogue.definition(name), options) for name, options in asked]
    curved = [not curves.no_curve(one) for one, _ in found]
    if all(arrows.has_arrows(one) for one, _ in found) and {one.name for one, _ in found} != {"center"}:
        curved = [False] * len(found)
    lines = [curves.curve(one.name, options) for (one, options), line in zip(found, curved, strict=True) if line]
    scenes = [arrows.scene(one.name, options) for (one, options), line in zip(found, curved, strict=True) if not line]
    if not lines:
        return arrows.picture(scenes, file_format)
    if not scenes:
        return curves.picture(lines, file_format)
    rows, height = curves.rows_of(lines), 3.5 * arrows.rows_of(scenes)
    heights = [*[4.4] * len(rows), height]
    figure = curves.figure(figsize=(10.5, sum(heights)))
    *strips, last = figure.subfigures(len(heights), 1, height_ratios=heights)
    for strip, group in zip(strips, rows.values(), strict=True):
        curves.draw(strip, group)
    arrows.draw(last, scenes)
    return curves.rendered(figure, file_format, 130)

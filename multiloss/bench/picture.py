"""A picture of what was timed: a panel for each framework and mode, a line for each loss and size."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from multiloss.pictures import curves

_LOOK = {"ours": ("o", "multiloss"), "own": ("^", "the framework's own"), "keras": ("s", "Keras")}


def picture(results: Sequence[dict[str, Any]], file_format: str = "png") -> bytes:
    """Times as points on a logarithmic scale; on the right ours / the fastest other."""
    panels = [(key, list(group)) for key, group in itertools.groupby(results, lambda r: (r["framework"], r["mode"]))]
    heights = [1.1 + 0.28 * len(group) for _, group in panels]
    figure = curves.figure(figsize=(8.5, sum(heights) + 0.4))
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axis, ((framework, mode), group) in zip(axes, panels, strict=True):
        _panel(axis, f"{framework}, {mode}", group)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False)
    return curves.rendered(figure, file_format, 130)


def _panel(axis: Any, title: str, group: Sequence[dict[str, Any]]) -> None:
    heights = [-i for i in range(len(group))]
    for colour, (name, (mark, label)) in zip(curves.COLOURS, _LOOK.items(), strict=False):
        for of_operations in (False, True) if name == "own" else (False,):
            points = [
                (one[f"{name}_us"], y)
                for one, y in zip(group, heights, strict=True)
                if f"{name}_us" in one and (name != "own" or (one["own_name"] == "ops") == of_operations)
            ]
            told = "plain operations" if of_operations else label
            face = "none" if of_operations else colour
            times, places = zip(*points, strict=True) if points else ((), ())
            axis.scatter(times, places, marker=mark, facecolors=face, edgecolors=colour, s=42, zorder=3, label=told)
    for one, y in zip(group, heights, strict=True):
        ratio = one["ratio"] if one["ratio"] is not None else one["ratio_to_operations"]
        if ratio is not None:
            text = f"{ratio:.2f}" if one["ratio"] is not None else f"({ratio:.2f})"
            axis.text(1.01, y, text, transform=axis.get_yaxis_transform(), va="center", fontsize=9)
    axis.set(xscale="log", yticks=heights, yticklabels=[f"{one['loss']}  {one['size']}" for one in group])
    axis.set(ylim=(-len(group) + 0.4, 0.6), xlabel="microseconds for value and gradient", axisbelow=True)
    axis.set_title(title, loc="left", fontsize=10)
    axis.text(1.01, 1.0, "ratio", transform=axis.transAxes, va="bottom", fontsize=9)
    axis.grid(color="0.92", linewidth=0.8)
    axis.spines[["top", "right"]].set_visible(False)

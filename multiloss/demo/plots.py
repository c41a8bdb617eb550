"""The pictures, as PNG bytes; `output` writes them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from multiloss.demo.errors import missing

LINES = ("#0072b2", "#d55e00", "#009e73")  # distinct for colour-blind readers, too


def features_picture(
    panels: Sequence[tuple[str, np.ndarray, np.ndarray, bool]], labels: np.ndarray, classes: Sequence[int], title: str
) -> bytes:
    """Scatters side by side, one colour a class.

    A panel is (title, features (N, 2), centers (C, 2), whether the centers were learned).
    """
    figure = _figure((4.6 * len(panels), 5.5))
    axes = np.atleast_1d(figure.subplots(1, len(panels)))
    size = float(np.clip(4000 / max(len(labels), 1), 1.5, 14))
    colours = _colours(len(classes))
    for axis, (name, features, centers, learned) in zip(axes, panels, strict=True):
        for i in range(len(classes)):
            mine = features[labels == i]
            axis.scatter(mine[:, 0], mine[:, 1], s=size, color=colours[i], alpha=0.6, linewidths=0, rasterized=True)
        for i, (x, y) in enumerate(centers):
            if np.isfinite([x, y]).all():
                _mark(axis, x, y, str(classes[i]), colours[i])
        axis.set_title(f"{name}\n(circles: {'learned centers' if learned else 'class means'})", fontsize=12)
        axis.set_aspect("equal", adjustable="datalim")
        axis.grid(color="0.92", linewidth=0.8)
        axis.set_axisbelow(True)
        axis.set_xlabel("feature 1")
    axes[0].set_ylabel("feature 2")
    _legend(figure, colours, classes)
    figure.suptitle(title, fontsize=13)
    return _png(figure)


def history_picture(histories: dict[str, list[dict[str, list[float]]]], title: str) -> bytes:
    """Training loss and test accuracy after every epoch: the mean over the seeds, and a band from least to most."""
    figure = _figure((10.0, 4.2))
    for axis, key, name in zip(
        figure.subplots(1, 2), ("loss", "accuracy"), ("training loss", "test accuracy"), strict=True
    ):
        for colour, (objective, runs) in zip(LINES * len(histories), histories.items(), strict=False):
            values = np.array([run[key] for run in runs], np.float64)
            epochs = np.arange(1, values.shape[1] + 1)
            marker = "o" if values.shape[1] <= 20 else None
            axis.plot(epochs, values.mean(0), color=colour, label=objective, marker=marker, markersize=3.5)
            if len(values) > 1:
                axis.fill_between(epochs, values.min(0), values.max(0), color=colour, alpha=0.18, linewidth=0)
        axis.set_xlabel("epoch")
        axis.set_ylabel(name)
        axis.grid(color="0.92", linewidth=0.8)
        axis.spines[["top", "right"]].set_visible(False)
        axis.xaxis.get_major_locator().set_params(integer=True)
    losses, accuracies = figure.axes
    losses.set_yscale("log")  # the objectives are on different scales
    accuracies.set_ylim(top=1.0)
    losses.legend(frameon=False)
    figure.suptitle(title, fontsize=12)
    return _png(figure)


def _mark(axis: Any, x: float, y: float, text: str, colour: Any) -> None:
    axis.plot(x, y, "o", markersize=14, markerfacecolor="white", markeredgecolor="black", markeredgewidth=1.3, zorder=5)
    axis.text(x, y, text, ha="center", va="center_baseline", fontsize=9, fontweight="bold", color=colour, zorder=6)


def _legend(figure: Any, colours: Any, classes: Sequence[int]) -> None:
    with missing("matplotlib", "demo"):
        from matplotlib.lines import Line2D
    if len(classes) > 20:
        return
    dots = [Line2D([], [], marker="o", linestyle="", color=colour, markersize=8) for colour in colours]
    figure.legend(
        dots,
        [str(label) for label in classes],
        loc="outside lower center",
        ncols=min(len(classes), 10),
        frameon=False,
        handletextpad=0.1,
        columnspacing=1.4,
        fontsize=11,
    )


def _colours(count: int) -> Any:
    with missing("matplotlib", "demo"):
        from matplotlib import colormaps
    if count <= 10:
        return colormaps["tab10"](np.arange(count))
    return colormaps["nipy_spectral"](np.linspace(0.05, 0.95, count))


def _figure(size: tuple[float, float]) -> Any:
    with missing("matplotlib", "demo"):
        from matplotlib.figure import Figure
    return Figure(size, dpi=120, layout="constrained")


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()

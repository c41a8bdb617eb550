"""The pictures, as the bytes of PNG files; `output` writes them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from multiloss.demo import metrics
from multiloss.demo.errors import missing

LINES = ("#0072b2", "#d55e00", "#009e73")  # distinct for colour-blind readers, too


Panel = tuple[str, np.ndarray, np.ndarray, bool]
"""Title, features (N, 2), centers (C, 2), whether the centers were learned."""

Film = tuple[Sequence[str], Sequence[np.ndarray]]
"""Titles and features (N, 2), one of each for every frame."""


def features_picture(
    panels: Sequence[Panel], labels: np.ndarray, classes: Sequence[int], title: str, *, comparable: bool = False
) -> bytes:
    """Scatters side by side, one colour a class.

    `comparable` draws every panel in the same unit, the mean distance between its class means, and on the same axes: a
    class that looks smaller than in another panel is smaller, measured against the distances between the classes.
    """
    views = [View.of(features, labels, len(classes)) if comparable else View() for _, features, _, _ in panels]
    size = (4.6 * len(panels), 6.0 if comparable else 5.5)
    figure = _figure(size, layout="compressed" if comparable else "constrained")
    axes = np.atleast_1d(figure.subplots(1, len(panels)))
    colours = _colours(len(classes))
    for axis, (name, features, centers, learned), view in zip(axes, panels, views, strict=True):
        points = view(features)
        for i in range(len(classes)):
            mine = points[labels == i]
            axis.scatter(*mine.T, s=_size(labels), color=colours[i], alpha=0.6, linewidths=0, rasterized=True)
        for i, (x, y) in enumerate(view(centers)):
            if np.isfinite([x, y]).all():
                _mark(axis, x, y, str(classes[i]))
        axis.set_title(f"{name}\n(numbers: {'learned centers' if learned else 'class means'})", fontsize=12)
        _axes(axis)
    _label(axes)
    if comparable:
        _same_limits(axes, [view(features) for (_, features, _, _), view in zip(panels, views, strict=True)])
    _legend(figure, colours, classes)
    figure.suptitle(f"{title}\n{UNIT}" if comparable else title, fontsize=13)
    return _png(figure)


UNIT = "one unit is the mean distance between the class means of the panel"


@dataclass(frozen=True)
class View:
    """Moves features to `origin` and divides them by `unit`."""

    origin: np.ndarray | float = 0.0
    unit: float = 1.0

    @classmethod
    def of(cls, features: np.ndarray, labels: np.ndarray, classes: int) -> View:
        """The origin in the middle of the class means; the unit is the mean distance between two of them."""
        between = metrics.distance_between(features, labels, classes)
        middle = np.nanmean(metrics.class_means(features, labels, classes), 0)
        return cls(middle, between if np.isfinite(between) and between > 0 else 1.0)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """The points as they are drawn."""
        return (points - self.origin) / self.unit


def features_animation(
    films: Sequence[Film], epochs: Sequence[int], labels: np.ndarray, classes: Sequence[int], title: str
) -> bytes:
    """A GIF of how the features of each objective get to where they end, a frame for each of `epochs`.

    The unit of a panel is that of its last frame, all the time; what leaves the axes on its way is cut off.
    """
    with missing("matplotlib", "demo"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from PIL import Image
    views = [View.of(frames[-1], labels, len(classes)) for _, frames in films]
    figure = _figure((3.3 * len(films), 4.2), dpi=80, layout="compressed")
    axes = np.atleast_1d(figure.subplots(1, len(films)))
    colours = _colours(len(classes))
    clouds, names = [], []
    for axis, (captions, frames), view in zip(axes, films, views, strict=True):
        clouds.append(axis.scatter(*view(frames[-1]).T, s=_size(labels) / 2, c=colours[labels], linewidths=0))
        names.append([_mark(axis, 0, 0, str(label)) for label in classes])
        axis.set_title(captions[-1], fontsize=11)
        _axes(axis)
    _label(axes)
    _same_limits(axes, [view(frames[-1]) for (_, frames), view in zip(films, views, strict=True)])
    heading = figure.suptitle(f"{title}\n{UNIT}", fontsize=11)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # the same places in every frame, and a third of the time
    canvas, images = FigureCanvasAgg(figure), []
    for number, epoch in enumerate(epochs):
        heading.set_text(f"{title}: epoch {epoch} of {epochs[-1]}\n{UNIT}")
        for axis, cloud, texts, (captions, frames), view in zip(axes, clouds, names, films, views, strict=True):
            points = view(frames[number])
            axis.title.set_text(captions[number])
            cloud.set_offsets(points)
            for text, mean in zip(texts, metrics.class_means(points, labels, len(classes)), strict=True):
                text.set_position(np.nan_to_num(mean))
                text.set_visible(bool(np.isfinite(mean).all()))
        canvas.draw()
        images.append(Image.fromarray(np.array(canvas.buffer_rgba())).convert("RGB"))
    buffer = io.BytesIO()
    durations = [STAY] * (len(images) - 1) + [8 * STAY]
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], duration=durations, loop=0)
    return buffer.getvalue()


STAY = 250
"""Milliseconds of a frame; the last one stays eight times as long."""


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


def _size(labels: np.ndarray) -> float:
    return float(np.clip(8000 / max(len(labels), 1), 1.5, 14))


def _axes(axis: Any) -> None:
    axis.set_aspect("equal", adjustable="datalim")
    axis.grid(color="0.92", linewidth=0.8)
    axis.set_axisbelow(True)


def _label(axes: Any) -> None:
    for axis in axes:
        axis.set_xlabel("feature 1")
    axes[0].set_ylabel("feature 2")


def _same_limits(axes: Any, clouds: Sequence[np.ndarray]) -> None:
    """Square axes around the origin that hold all finite points of all panels."""
    extent = max(float(np.abs(cloud[np.isfinite(cloud)]).max(initial=0)) for cloud in clouds)
    for axis in axes:
        axis.set_aspect("equal", adjustable="box")
        axis.set_xlim(-1.05 * extent, 1.05 * extent)
        axis.set_ylim(-1.05 * extent, 1.05 * extent)


def _mark(axis: Any, x: float, y: float, text: str) -> Any:
    with missing("matplotlib", "demo"):
        from matplotlib.patheffects import withStroke
    halo = [withStroke(linewidth=3, foreground="white")]
    options = {"fontsize": 12, "fontweight": "bold", "path_effects": halo, "clip_on": True, "zorder": 6}
    return axis.text(x, y, text, ha="center", va="center_baseline", **options)


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


def _figure(
    size: tuple[float, float], dpi: int = 120, layout: Literal["constrained", "compressed"] = "constrained"
) -> Any:
    with missing("matplotlib", "demo"):
        from matplotlib.figure import Figure
    return Figure(size, dpi=dpi, layout=layout)


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()

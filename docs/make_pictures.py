"""Make the pictures of the pages, the same files each time: `python docs/make_pictures.py` (needs `multiloss[demo]`).

With names it makes those alone: `python docs/make_pictures.py start` runs the pages of `docs/start`, which need every
framework and LightGBM. The pictures of `mnist.md` are made by the experiment itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import multiloss
from multiloss import cli
from multiloss.demo import data, experiment, plots
from multiloss.demo.settings import CENTER, Settings

PICTURES = Path(__file__).parent / "pictures"
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"]  # Okabe and Ito: colour-blind readers see them apart
rcParams.update(
    {
        "font.size": 10,
        "axes.grid": True,
        "grid.color": "0.9",
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "lines.linewidth": 2,
        "svg.hashsalt": "multiloss",
    }
)


def save(figure: Figure, name: str) -> None:
    """One PNG, without the date and version that would make it differ from run to run."""
    figure.savefig(PICTURES / name, dpi=150, metadata={"Software": None})


def pair(width: float = 9.5, height: float = 3.6) -> tuple[Figure, Axes, Axes]:
    """A figure with a panel for the loss and one for its gradient."""
    figure = Figure(figsize=(width, height), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.set_title("loss")
    right.set_title("gradient")
    for axis in (left, right):
        axis.axhline(0, color="0.6", linewidth=0.8)
    return figure, left, right


def regression() -> None:
    """Losses of one real error."""
    e = np.linspace(-4, 4, 801)
    figure, left, right = pair()
    shown = [
        ("squared error", "mean_squared_error", {}),
        ("absolute error", "mean_absolute_error", {}),
        ("Huber, delta 1", "huber", {}),
        ("Huber, delta 2", "huber", {"delta": 2.0}),
        ("log-cosh", "log_cosh", {}),
    ]
    for i, (label, name, options) in enumerate(shown):
        loss = multiloss.get(name, backend="numpy", reduction="none", axis=(), **options)
        value, gradient = loss.value_and_grad(np.zeros_like(e), e)
        if name == "mean_absolute_error":
            gradient = np.where(e == 0, np.nan, gradient)  # no line across the jump
        # Later curves are thinner, so that curves that coincide all show.
        look = {"color": COLOURS[i], "linewidth": 3.4 - 0.45 * i}
        left.plot(e, value, label=label, **look)
        right.plot(e, gradient, **look)
    left.set_ylim(-0.2, 6)
    right.set_ylim(-3, 3)
    for axis in (left, right):
        axis.set_xlabel("y_pred - y_true")
    left.legend(loc="upper center")
    save(figure, "regression.png")


def crossentropy() -> None:
    """Cross entropy and squared error of the probability of the true outcome, over its logit."""
    z = np.linspace(-8, 8, 801)
    p = multiloss.softmax(np.stack([z, np.zeros_like(z)], -1))[:, 0]
    ones = np.ones_like(z)
    figure, left, right = pair()

    def logits(**options: float) -> tuple[np.ndarray, np.ndarray]:
        loss = multiloss.get(
            "binary_crossentropy", backend="numpy", from_logits=True, reduction="none", axis=(), **options
        )
        return loss.value_and_grad(ones, z)

    squared, slope = multiloss.get("mse", backend="numpy", reduction="none", axis=()).value_and_grad(ones, p)
    shown = [
        ("cross entropy", *logits()),
        ("cross entropy, label smoothing 0.2", *logits(label_smoothing=0.2)),
        ("squared error of the probability", squared, slope * p * (1 - p)),
    ]
    for colour, (label, value, gradient) in zip(COLOURS, shown, strict=False):
        left.plot(z, value, color=colour, label=label)
        right.plot(z, gradient, color=colour)
    for axis in (left, right):
        axis.set_xlabel("logit of what happened")
    left.legend(loc="upper right")
    save(figure, "crossentropy.png")


def overconfidence() -> None:
    """The loss of the logits [3.1, 3, 3] while class 0, or all of them, are scaled."""
    ce = multiloss.get("scce", backend="numpy", from_logits=True, reduction="none")
    figure = Figure(figsize=(6.6, 3.9), layout="constrained")
    axis = figure.subplots()
    scales = np.geomspace(1, 130, 600)
    marked = np.array([1.0, 2.0, 10.0, 100.0])

    def loss(of: np.ndarray, together: bool) -> np.ndarray:
        others = 3.0 * of if together else np.full_like(of, 3.0)
        return ce(np.zeros(len(of), int), np.stack([3.1 * of, others, others], -1))

    axis.plot(scales, loss(scales, False), color=COLOURS[0], label="class 0 scaled: [3.1 s, 3, 3]")
    axis.plot(scales, loss(scales, True), color=COLOURS[1], linestyle="--", label="all scaled: s [3.1, 3, 3]")
    for together, colour in ((False, COLOURS[0]), (True, COLOURS[1])):
        axis.plot(marked, loss(marked, together), "o", color=colour)
    for scale, value, offset in zip(marked, loss(marked, False), [(6, 8), (8, 6), (0, 9), (0, 9)], strict=True):
        axis.annotate(
            f"{value:.3g}",
            (scale, value),
            xytext=offset,
            textcoords="offset points",
            color=COLOURS[0],
            ha="left" if offset[0] else "center",
        )
    axis.set_xscale("log")
    axis.set_xticks(marked, [f"{s:g}" for s in marked])
    axis.minorticks_off()
    axis.set_ylim(-0.04, 1.15)
    axis.set_xlabel("scale s")
    axis.set_ylabel("cross entropy of class 0")
    axis.set_title("class 0 is predicted at every scale", fontsize=10)
    axis.legend(loc="upper right")
    save(figure, "overconfidence.png")


def center_step() -> None:
    """One step of Eq. 4 on three classes in the plane."""
    rng = np.random.default_rng(4)
    centers = np.array([[0.0, 0.0], [4.0, 0.0], [2.0, 3.2]])
    true = np.array([[1.2, 0.8], [3.6, 1.3], [2.6, 4.2]])
    labels = np.array([0] * 8 + [1] * 2)
    features = true[labels] + 0.35 * rng.standard_normal((len(labels), 2))
    center = multiloss.get("center", backend="numpy", centers_init=centers, alpha=0.5)
    center(labels, features)
    after = center.centers
    figure = Figure(figsize=(6.4, 3.9), layout="constrained")
    axis = figure.subplots()
    for j, colour in enumerate(COLOURS[:3]):
        own = features[labels == j]
        for x in own:
            axis.plot(*zip(x, centers[j], strict=True), color=colour, linewidth=0.7, alpha=0.5)
        axis.scatter(*own.T, color=colour, s=22, label=f"class {j}: {len(own)} samples")
        axis.scatter(*centers[j], marker="X", s=110, facecolor="white", edgecolor=colour, linewidth=1.8, zorder=3)
        if len(own):
            axis.annotate(
                "",
                after[j],
                centers[j],
                arrowprops={"arrowstyle": "-|>", "color": "black", "linewidth": 1.6, "shrinkA": 6, "shrinkB": 6},
                zorder=4,
            )
        axis.scatter(*after[j], marker="X", s=110, color=colour, edgecolor="black", linewidth=0.8, zorder=5)
    axis.annotate("absent: stays", centers[2], xytext=(10, -4), textcoords="offset points")
    axis.set_aspect("equal")
    axis.set_xlim(-0.7, 6.1)
    axis.set_ylim(-0.4, 3.6)
    axis.set_xlabel("feature 0")
    axis.set_ylabel("feature 1")
    axis.legend(loc="upper right")
    save(figure, "center_step.png")


def lambdas() -> None:
    """The features of the demo's network on the embedded digits, with more and more center loss (NumPy, one seed)."""
    digits = data.load("digits")
    panels = []
    for weight in (0.0, 0.001, 0.01, 0.1, 1.0):
        settings = Settings(CENTER, "mlp", epochs=60, batch=32, learning_rate=0.02, center_weight=weight)
        result = experiment.run(experiment.trainer("numpy"), digits, settings, lambda: None)
        measured = {key: round(value, 3) for key, value in result.measured.items() if key != "seconds"}
        print(f"lambda {weight:g}: {measured}")
        name = f"lambda = {weight:g}: {result.measured['accuracy']:.1%}"
        panels.append((name, result.features, result.centers, True))
    picture = plots.features_picture(panels, digits.y_test, digits.classes, "Digits, features of the test images")
    (PICTURES / "lambdas.png").write_bytes(picture)


def plot() -> None:
    """The picture that the command in `cli.md` draws."""
    words = "log_cosh huber:delta=2 mean_absolute_error"
    cli.main(["plot", *words.split(), "--out", str(PICTURES / "plot.png")])


def start() -> None:
    """What the blocks of the pages of Get started save, each page in a process and a folder of its own."""
    docs = PICTURES.parent
    run = [sys.executable, str(docs.parent / "tests" / "helpers" / "pages.py")]
    for page in sorted((docs / "start").glob("*.md")):
        # one thread, and the backend that the page about Keras names: the numbers that the pages show
        settings = {"KERAS_BACKEND": "tensorflow" if page.stem == "tensorflow" else "jax"} | dict.fromkeys(
            ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1"
        )
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([*run, str(page)], check=True, cwd=folder, env=os.environ | {"MPLBACKEND": "agg"} | settings)
            for picture in Path(folder).glob("start-*.png"):
                shutil.copy(picture, PICTURES)


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    every = (regression, crossentropy, overconfidence, center_step, lambdas, plot, start)
    for make in every:
        if not sys.argv[1:] or make.__name__ in sys.argv[1:]:
            make()

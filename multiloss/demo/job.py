"""The whole of `multiloss demo`: load, train with a progress bar, then write and print."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module

import numpy as np

from multiloss.demo import data as images
from multiloss.demo import experiment, metrics, output, plots
from multiloss.demo.data import Data
from multiloss.demo.errors import missing
from multiloss.demo.experiment import Result
from multiloss.demo.settings import OBJECTIVES, Settings, choose_network

MANY = 20_000
SCHEDULES = {
    ("cnn", True): (12, 32, 0.01),
    ("cnn", False): (9, 128, 0.01),
    ("mlp", True): (60, 32, 0.02),
    ("mlp", False): (60, 32, 0.02),
}
"""Network, and whether there are fewer than `MANY` training images -> epochs, images of a batch, learning rate."""


def run(args: argparse.Namespace) -> None:
    """Train and draw everything, and only then write the first file."""
    output.check_folder(args.out)
    data = images.without(images.load(args.data), args.unknown)
    train = experiment.trainer(args.backend)
    network = choose_network(args.network, data, args.backend)
    epochs, batch, rate = SCHEDULES[network, len(data.x_train) < MANY]
    settings = Settings(
        objective="",
        network=network,
        epochs=args.epochs or epochs,
        batch=batch,
        learning_rate=rate,
        center_weight=args.center_weight,
        alpha=args.alpha,
    )
    title = f"{data.name}, {network.upper()}, {args.backend}"
    with progress_bar(settings.epochs * len(OBJECTIVES) * args.seeds) as (describe, tick):
        results = experiment.run_all(train, data, settings, OBJECTIVES, args.seeds, describe, tick)
        describe("drawing the pictures")
        rows = {objective: experiment.summary(runs) for objective, runs in results.items()}
        made = files(args.backend, data, results, rows, title)
    output.write(args.out, made)
    output.print_table(title + (f", {args.seeds} seeds" if args.seeds > 1 else ""), rows, args.seeds)
    if args.backend == "numpy" and args.network == "auto" and len(data.shape) == 3 and min(data.shape[:2]) >= 16:
        print("The NumPy backend has the MLP only; the other backends train a CNN on these images.")
    if data.credit:
        print(data.credit)
    print(f"{', '.join(list(made)[:-1])} and {list(made)[-1]} are in {args.out}")


def files(
    backend: str, data: Data, results: dict[str, list[Result]], rows: dict[str, dict[str, dict[str, float]]], title: str
) -> dict[str, bytes]:
    """All files, name -> content; the pictures of the features show the first seed."""
    shown = [runs[0] for runs in results.values()]
    panels = [(captions(run, data)[-1], run.features, run.centers, run.centers_are_learned) for run in shown]
    films = [(captions(run, data), run.film) for run in shown]
    epochs = experiment.filmed(shown[0].settings.epochs)
    histories = {name: [result.history for result in runs] for name, runs in results.items()}
    return {
        "features.png": plots.features_picture(
            panels, data.y_test, data.classes, f"Features of the test images: {title}", comparable=True
        ),
        "features.gif": plots.features_animation(films, epochs, data.y_test, data.classes, title),
        "history.png": plots.history_picture(histories, title),
        "results.json": output.to_json(
            {
                "backend": backend,
                "versions": {
                    name: import_module(name).__version__ for name in ("numpy", *experiment.FRAMEWORKS[backend])
                },
                "data": {
                    "name": data.name,
                    "credit": data.credit,
                    "classes": data.classes,
                    "images": {"train": len(data.x_train), "test": len(data.x_test), "unknown": len(data.x_unknown)},
                },
                "summary": rows,
                "runs": [as_json(result) for runs in results.values() for result in runs],
            }
        ),
    }


def captions(result: Result, data: Data) -> list[str]:
    """For each epoch of the film the objective, and below it the two numbers that the picture is about."""
    texts = []
    for epoch, features in zip(experiment.filmed(result.settings.epochs), result.film, strict=True):
        within, between = (
            measure(features, data.y_test, len(data.classes))
            for measure in (metrics.distance_within, metrics.distance_between)
        )
        texts.append(
            f"{result.settings.objective}\n{result.history['accuracy'][epoch - 1]:.1%} right, "
            f"within / between {metrics.ratio(within, between):.2f}"
        )
    return texts


def as_json(result: Result) -> dict[str, object]:
    """One training as JSON, without its features."""
    centers = np.asarray(result.centers, np.float64).tolist()
    return {
        "settings": asdict(result.settings),
        "measured": result.measured,
        "history": result.history,
        "centers" if result.centers_are_learned else "class_means": centers,
    }


@contextmanager
def progress_bar(epochs: int) -> Iterator[tuple[Callable[[str], None], Callable[[], None]]]:
    """A bar on stderr that counts epochs: `(describe, tick)`."""
    with missing("rich", "demo"):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=epochs)
        yield lambda text: progress.update(task, description=text), lambda: progress.advance(task)

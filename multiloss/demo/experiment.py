"""The experiment: train the same network with each objective and each seed, and measure the results."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from multiloss.demo import metrics
from multiloss.demo.data import Data
from multiloss.demo.errors import missing
from multiloss.demo.settings import Predict, Settings, Trained

METRICS = {
    "accuracy": "accuracy",
    "within": "within class",
    "between": "between classes",
    "ratio": "within / between",
    "seconds": "seconds",
    "auroc_probability": "AUROC, softmax",
    "auroc_distance": "AUROC, center",
}
"""Key in `results.json` -> its name in the printed table, which leaves out `nearest`: the distance between the means of
the two classes that lie closest together."""

LEGEND = {
    "accuracy": "of the test images",
    "within": "mean distance of a feature from the mean of its class",
    "between": "mean distance between the means of two classes, over all pairs",
    "auroc_probability": "known against unknown by the largest softmax probability",
    "auroc_distance": "known against unknown by the distance to the nearest center",
}

FRAMEWORKS = {
    "numpy": ("numpy",),
    "torch": ("torch",),
    "tensorflow": ("tensorflow", "keras"),
    "jax": ("jax", "flax", "optax"),
    "keras": ("keras",),
}


@dataclass(frozen=True)
class Result:
    """One training, measured. `features` are those of the test images, `centers` the learned ones or the class means
    of the training images; `history` has one entry an epoch; `film` has the features of the test images after each of
    the epochs `filmed(epochs)`.
    """

    settings: Settings
    measured: dict[str, float]
    history: dict[str, list[float]]
    features: np.ndarray
    centers: np.ndarray
    centers_are_learned: bool
    film: list[np.ndarray]


FRAMES = 30
"""At most so many epochs are kept for the animation."""


def filmed(epochs: int) -> list[int]:
    """The epochs, counted from 1, whose features are kept: all of a few, and evenly spread ones of many."""
    return sorted({round(epoch) for epoch in np.linspace(1, epochs, min(epochs, FRAMES))})


def trainer(backend: str) -> Callable[..., Trained]:
    """The `train` of a framework; an error that names the extras if a package is not installed."""
    extras = ("demo",) if backend == "numpy" else ("demo", backend)
    with missing(" and ".join(FRAMEWORKS[backend]), *extras):
        module = importlib.import_module(f"multiloss.demo.train_{backend}")
    train: Callable[..., Trained] = module.train
    return train


@dataclass
class Watch:
    """Seconds of training, without those spent on measuring in between."""

    spent: float = 0.0
    since: float = field(default_factory=time.perf_counter)

    def pause(self) -> None:
        """Stop counting."""
        self.spent += time.perf_counter() - self.since

    def go_on(self) -> None:
        """Count again."""
        self.since = time.perf_counter()


def run(train: Callable[..., Trained], data: Data, settings: Settings, tick: Callable[[], None]) -> Result:
    """Train once and measure; `tick` is called after every epoch."""
    history: dict[str, list[float]] = {"loss": [], "accuracy": []}
    film: list[np.ndarray] = []
    kept = set(filmed(settings.epochs))
    watch = Watch()

    def after_epoch(loss: float, predict: Predict) -> None:
        watch.pause()
        features, outputs = predict(data.x_test)
        history["loss"].append(loss)
        history["accuracy"].append(metrics.accuracy(outputs, data.y_test))
        if len(history["loss"]) in kept:
            film.append(np.array(features, np.float32))
        tick()
        watch.go_on()

    trained = train(data, settings, after_epoch)
    watch.pause()
    classes = len(data.classes)
    features, outputs = trained.predict(data.x_test)
    centers = trained.centers
    if centers is None:
        centers = metrics.class_means(trained.predict(data.x_train)[0], data.y_train, classes)
    within = metrics.distance_within(features, data.y_test, classes)
    between = metrics.distance_between(features, data.y_test, classes)
    measured = {
        "accuracy": metrics.accuracy(outputs, data.y_test),
        "within": within,
        "between": between,
        "ratio": metrics.ratio(within, between),
        "nearest": metrics.distance_nearest(features, data.y_test, classes),
        "seconds": watch.spent,
    }
    if len(data.x_unknown):
        strange, strange_outputs = trained.predict(data.x_unknown)
        measured["auroc_probability"] = metrics.auroc(
            -metrics.largest_probability(outputs), -metrics.largest_probability(strange_outputs)
        )
        measured["auroc_distance"] = metrics.auroc(
            metrics.distance_to_nearest(features, centers), metrics.distance_to_nearest(strange, centers)
        )
    return Result(settings, measured, history, features, centers, trained.centers is not None, film)


def run_all(
    train: Callable[..., Trained],
    data: Data,
    settings: Settings,
    objectives: tuple[str, ...],
    seeds: int,
    progress: Callable[[str], None],
    tick: Callable[[], None],
) -> dict[str, list[Result]]:
    """Every objective with the seeds 0, 1, ...; `progress` is told which training begins."""
    results: dict[str, list[Result]] = {}
    for objective in objectives:
        for seed in range(seeds):
            progress(objective if seeds == 1 else f"{objective}, seed {seed}")
            results.setdefault(objective, []).append(
                run(train, data, replace(settings, objective=objective, seed=seed), tick)
            )
    return results


def summary(results: list[Result]) -> dict[str, dict[str, float]]:
    """Mean and spread (sample standard deviation; 0 for one seed) of each measure over the seeds."""
    return summarise([result.measured for result in results])


def summarise(measured: list[dict[str, float]]) -> dict[str, dict[str, Any]]:
    """The same from the measures alone."""
    out = {}
    for key in measured[0]:
        values = np.array([one[key] for one in measured], np.float64)
        out[key] = {"mean": float(values.mean()), "spread": float(values.std(ddof=1)) if len(values) > 1 else 0.0}
    return out

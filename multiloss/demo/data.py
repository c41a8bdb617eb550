"""The images of the experiment: 5,000 of MNIST, scikit-learn's digits, or an npz file with four arrays."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from multiloss.demo import mnist
from multiloss.demo.errors import UserError, missing

ARRAYS = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True)
class Data:
    """Images scaled to [-1, 1] at most, float32, shape (N, height, width, channels) or (N, values); labels 0..C-1.

    `classes[i]` is the label that the file gives to class `i`. `x_unknown` holds the test images of the classes
    that were left out of training (none, unless `without` was called). `credit` says whose images they are.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: tuple[int, ...]
    x_unknown: np.ndarray
    credit: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return self.x_train.shape[1:]


def load(source: str) -> Data:
    """`"mnist"` (4000 training and 1000 test images of 28 x 28), `"digits"` (1437 and 360 of 8 x 8), or the path of an
    npz file with `ARRAYS`.
    """
    if source == "mnist":
        return replace(_prepare(mnist.NAME, **mnist.load()), credit=mnist.CREDIT)
    if source == "digits":
        return _prepare("digits", **_digits())
    return _prepare(Path(source).name, **_read(Path(source)))


def without(data: Data, unknown: tuple[int, ...]) -> Data:
    """The data with some labels left out of training; their test images become `x_unknown`.

    The labels that stay are renumbered to consecutive ids, in order.
    """
    if not unknown:
        return data
    absent = sorted(set(unknown) - set(data.classes))
    if absent:
        raise UserError(f"--unknown {absent[0]}: {data.name} has the labels {_listed(data.classes)}")
    known = [label for label in data.classes if label not in unknown]
    if len(known) < 2:
        raise UserError(f"--unknown leaves {len(known)} of {len(data.classes)} classes; training needs at least 2")
    new_id = np.full(len(data.classes), -1, np.int64)
    new_id[[data.classes.index(label) for label in known]] = np.arange(len(known))
    y_train, y_test = new_id[data.y_train], new_id[data.y_test]
    if not (y_test >= 0).any() or (y_test >= 0).all():
        raise UserError(f"--unknown: {data.name} has no test images of the known, or of the unknown, classes")
    return replace(
        data,
        x_train=data.x_train[y_train >= 0],
        y_train=y_train[y_train >= 0],
        x_test=data.x_test[y_test >= 0],
        y_test=y_test[y_test >= 0],
        classes=tuple(known),
        x_unknown=data.x_test[y_test < 0],
    )


def _digits() -> dict[str, np.ndarray]:
    with missing("scikit-learn", "demo"):
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    images, labels = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(
        images.reshape(-1, 8, 8), labels, test_size=0.2, random_state=0, stratify=labels
    )
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


def _read(path: Path) -> dict[str, np.ndarray]:
    if not path.exists():
        raise UserError(f"--data {path}: no such file; give 'mnist', 'digits' or an npz file with {', '.join(ARRAYS)}")
    if not path.is_file():
        raise UserError(f"--data {path} is no file; give 'mnist', 'digits' or an npz file with {', '.join(ARRAYS)}")
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise UserError(f"{path.name} is a single array, not an npz file with {', '.join(ARRAYS)}")
            absent = [name for name in ARRAYS if name not in archive.files]
            if absent:
                has = ", ".join(archive.files) or "nothing"
                raise UserError(f"{path.name} lacks {', '.join(absent)} (it has {has})")
            return {name: archive[name] for name in ARRAYS}
    except UserError:
        raise
    except (ValueError, OSError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"{path.name} is not a readable npz file of plain arrays: {reason}") from error


def _prepare(name: str, x_train: Any, y_train: Any, x_test: Any, y_test: Any) -> Data:
    """Check the four arrays, scale the images, number the classes."""
    for part, images, labels in (("train", x_train, y_train), ("test", x_test, y_test)):
        if images.ndim not in (2, 3, 4) or 0 in images.shape:
            raise UserError(
                f"{name}: x_{part} has shape {images.shape}; "
                "wanted (N, values), (N, height, width) or (N, height, width, channels)"
            )
        if images.dtype.kind not in "uif":
            raise UserError(f"{name}: x_{part} has dtype {images.dtype}; wanted integers or floats")
        if images.dtype.kind == "f" and not np.isfinite(images).all():
            raise UserError(f"{name}: x_{part} holds nan or inf")
        if labels.shape != images.shape[:1]:
            raise UserError(
                f"{name}: y_{part} has shape {labels.shape}; wanted {images.shape[:1]}, one label an image of x_{part}"
            )
        if labels.dtype.kind not in "ui":
            raise UserError(f"{name}: y_{part} has dtype {labels.dtype}; wanted integer labels")
    if x_train.shape[1:] != x_test.shape[1:]:
        raise UserError(f"{name}: images of x_train are {x_train.shape[1:]}, those of x_test {x_test.shape[1:]}")
    classes, y_train = np.unique(y_train, return_inverse=True)
    if len(classes) < 2:
        raise UserError(f"{name}: y_train has one label only, {classes[0]}; wanted at least 2")
    strange = np.setdiff1d(y_test, classes)
    if len(strange):
        raise UserError(f"{name}: y_test has the label {strange[0]}, which y_train lacks")
    largest = np.abs(x_train.astype(np.float64)).max()
    if largest == 0:
        raise UserError(f"{name}: x_train is all zeros")

    def scaled(images: np.ndarray) -> np.ndarray:
        images = (images / largest).astype(np.float32)
        return images[..., None] if images.ndim == 3 else images

    x_test = scaled(x_test)
    return Data(
        name=name,
        x_train=scaled(x_train),
        y_train=y_train.reshape(-1).astype(np.int64),
        x_test=x_test,
        y_test=np.searchsorted(classes, y_test).astype(np.int64),
        classes=tuple(int(label) for label in classes),
        x_unknown=x_test[:0],
    )


def _listed(labels: tuple[int, ...]) -> str:
    shown = ", ".join(str(label) for label in labels[:20])
    return shown + (", ..." if len(labels) > 20 else "")

"""Centers as data: their first values, growth, and one safetensors file that every backend reads."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np


def first_centers(init: str, seed: int, rows: int, dim: int, dtype: Any = np.float32) -> np.ndarray:
    """Zeros, or standard normal numbers of which the first rows do not depend on how many there are.

    Args:
        init: "zeros" or "normal".
        seed: of the normal numbers, the same on every backend.
        rows: number of classes. dim: feature dimension.

    Returns:
        (rows, dim).
    """
    if init == "zeros":
        return np.zeros((rows, dim), dtype)
    return np.random.default_rng(seed).standard_normal((rows, dim)).astype(dtype)


def save(path: str | os.PathLike[str], centers: np.ndarray) -> None:
    """Write centers as a safetensors file; the file is complete or not there."""
    from safetensors.numpy import save as to_bytes

    target = Path(path)
    data = to_bytes(
        {"centers": np.ascontiguousarray(centers)}, metadata={"format": "multiloss.centers", "version": "1"}
    )
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load(path: str | os.PathLike[str]) -> np.ndarray:
    """Read centers; ValueError if the file is none that `save` wrote."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    data = Path(path).read_bytes()
    try:
        tensors = from_bytes(data)
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file: {error}") from None
    centers = tensors.get("centers")
    if centers is None or centers.ndim != 2 or centers.dtype.kind != "f":
        found = {name: tensor.shape for name, tensor in tensors.items()}
        raise ValueError(f"{path} must hold one real array 'centers' of shape (classes, features), got {found}")
    return centers

"""Centers as data: their first values, and what may take the place of a table."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from multiloss.engine import dispatch

_CHUNK = 65536


def first_centers(init: str, seed: int, rows: int, dim: int, dtype: Any = np.float32, first: int = 0) -> np.ndarray:
    """Zeros, or standard normal numbers; those of a class do not depend on how many classes there are.

    Args:
        init: "zeros" or "normal".
        seed: of the normal numbers, the same on every backend.
        rows: number of classes. dim: feature dimension.
        first: the first class wanted.

    Returns:
        (rows - first, dim).
    """
    if init == "zeros":
        return np.broadcast_to(np.zeros((), dtype), (rows - first, dim))
    numbers = np.random.default_rng(seed)
    for start in range(0, first, _CHUNK):  # the classes before are drawn, too, and forgotten
        numbers.standard_normal((min(_CHUNK, first - start), dim))
    return numbers.standard_normal((rows - first, dim)).astype(dtype)


def is_zeros(centers: np.ndarray) -> bool:
    """Whether these are the zeros of `first_centers`, one number in memory. A framework then makes its own zeros: those
    of 10,000,000 x 128 centers in float64 would be 10 GB to copy and convert."""
    return centers.size > 0 and centers.strides == (0, 0) and centers[0, 0] == 0


def extended(centers: np.ndarray, first: np.ndarray) -> np.ndarray:
    """These centers, cut or extended to as many classes as `first` has; new classes get their rows of `first`."""
    if len(first) <= len(centers):
        return centers[: len(first)]
    table = np.array(first, centers.dtype)
    table[: len(centers)] = centers
    return table


def real_table(centers: Any, wanted: str = "centers must be") -> np.ndarray:
    """A copy of any framework's array in NumPy; ValueError unless it is a real matrix."""
    if isinstance(centers, np.ma.MaskedArray):
        raise TypeError(f"{wanted} an array of numbers, got a NumPy masked array, whose mask would be lost")
    try:
        values = np.array(dispatch.to_host(centers), order="C")
    except ValueError as error:  # rows of unequal lengths
        raise ValueError(f"{wanted} a real (classes, features) array: {error}") from None
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise ValueError(f"{wanted} a real (classes, features) array, got {values.dtype} of shape {values.shape}")
    return values


def check_table(
    source: str,
    centers: np.ndarray,
    wanted: tuple[int | None, int | None],
    dtype: Any,
    other: bool,
    hint: str = "",
    *,
    unknown: bool = False,
) -> None:
    """Refuse centers that cannot replace others.

    Args:
        source: where they come from.
        centers: the new ones.
        wanted: the shape of the old ones; None where it is not known.
        dtype: that of the old ones, in which the new ones have to be finite.
        other: whether the number of classes is wrong.
        hint: what to do about that.
        unknown: whether nan stands for what is not known yet, as the radius of ring loss before the first batch.
    """
    if wanted[1] not in (None, centers.shape[1]) or other or not centers.size:
        hint = f"; {hint}" if other and wanted[1] in (None, centers.shape[1]) and hint else ""
        raise ValueError(f"{source} holds centers of shape {centers.shape}, but these are of shape {wanted}{hint}")
    with np.errstate(over="ignore"):
        values = centers.astype(dtype)
    wrong = np.isinf(values) if unknown else ~np.isfinite(values)
    if wrong.any():
        row = int(np.argwhere(wrong)[0, 0])
        raise ValueError(f"{source} holds centers that are not finite in {values.dtype}: class {row} is {centers[row]}")


def class_list(classes: Sequence[int], have: int, where: str) -> list[int]:
    """Existing classes, each once."""
    try:
        numbers = [dispatch.to_host(c) for c in dispatch.to_host(classes)]
        if any(np.asarray(c).dtype == bool for c in numbers):
            raise TypeError  # a mask of classes
        chosen = [operator.index(c) for c in numbers]
    except TypeError:
        raise TypeError(f"classes must be a list of class numbers of {where}, got {classes!r}") from None
    wrong = next((c for c in chosen if not 0 <= c < have), None)
    if not chosen or wrong is not None or len(set(chosen)) != len(chosen):
        told = "none" if not chosen else f"{wrong}" if wrong is not None else f"{chosen}, one of them twice"
        raise ValueError(f"classes must name classes of {where}, in [0, {have}), each once; got {told}")
    return chosen

"""Centers as data: their first values, growth, and one safetensors file that every backend reads."""

from __future__ import annotations

import glob
import operator
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
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
    values = np.array(dispatch.to_host(centers), order="C")
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
    chosen = [operator.index(c) for c in classes]
    wrong = next((c for c in chosen if not 0 <= c < have), None)
    if not chosen or wrong is not None or len(set(chosen)) != len(chosen):
        told = "none" if not chosen else f"{wrong}" if wrong is not None else f"{chosen}, one of them twice"
        raise ValueError(f"classes must name classes of {where}, in [0, {have}), each once; got {told}")
    return chosen


def save(path: str | os.PathLike[str], centers: np.ndarray, about: Mapping[str, str] | None = None) -> None:
    """Write centers as a safetensors file, all of it or nothing. `about` goes into its metadata."""
    from safetensors.numpy import save as to_bytes

    target = Path(path)
    data = to_bytes(
        {"centers": np.ascontiguousarray(centers)},
        metadata={"format": "multiloss.centers", "version": "1", **(about or {})},
    )
    # Not `mkstemp`, whose file only its owner may read.
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def load(path: str | os.PathLike[str]) -> np.ndarray:
    """Read centers from one file, or from the pieces of `save_piece`; ValueError if `save` did not write the file."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    pieces = [] if Path(path).exists() else _pieces(path)
    if pieces:
        classes, dim = int(pieces[0].name[-8:]), load(pieces[0]).shape[1]
        return load_rows(path, 0, classes, (classes, dim))
    data = Path(path).read_bytes()
    try:
        tensors = from_bytes(data)
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file: {error}") from None
    except KeyError as error:
        raise ValueError(f"{path} holds numbers of a type that NumPy has not, {error.args[0]}") from None
    centers = tensors.get("centers")
    if centers is None or centers.ndim != 2 or centers.dtype.kind != "f":
        found = {name: tensor.shape for name, tensor in tensors.items()}
        raise ValueError(f"{path} must hold one real array 'centers' of shape (classes, features), got {found}")
    return centers


def piece(path: str | os.PathLike[str], first: int, classes: int) -> Path:
    """The file of the block that starts at class `first`."""
    return Path(f"{os.fspath(path)}.{first:08d}-of-{classes:08d}")


def save_piece(path: str | os.PathLike[str], first: int, classes: int, centers: np.ndarray, save_id: str) -> None:
    """Write the block that starts at class `first`.

    Args:
        path: what the names of the pieces start with.
        first: the first class of the block.
        classes: of the whole table.
        centers: the block.
        save_id: one for all pieces of a save: a save that broke off leaves pieces of the one before, which look alike.
    """
    save(piece(path, first, classes), centers, {"save": save_id})


def _pieces(path: str | os.PathLike[str]) -> list[Path]:
    return sorted(Path(path).parent.glob(f"{glob.escape(Path(path).name)}.{'[0-9]' * 8}-of-{'[0-9]' * 8}"))


def load_rows(path: str | os.PathLike[str], first: int, stop: int, shape: tuple[int, int]) -> np.ndarray:
    """The classes `first` to `stop - 1` of a file, or of the pieces that processes wrote.

    Args:
        path: the file, or what the names of the pieces start with.
        first: the first class.
        stop: the class after the last one.
        shape: of the whole table.

    Raises:
        ValueError: it is of another shape, a piece is missing, or the pieces are of more than one save.
    """
    if Path(path).exists():
        whole = load(path)
        if whole.shape != shape:
            raise ValueError(f"{os.fspath(path)} holds centers of shape {whole.shape}, but these are of shape {shape}")
        return whole[first:stop]
    others = _pieces(path)
    found = [file for file in others if file.name.endswith(f"-of-{shape[0]:08d}")]
    if not found:
        told = f"pieces of a table with another number of classes, {others[0].name}" if others else "no such file"
        raise (ValueError if others else FileNotFoundError)(f"{os.fspath(path)}: {told}; wanted {shape[0]} classes")
    about = {file: _about(file) for file in found}
    rows, reached, one_save = [np.zeros((0, shape[1]), np.float32)], 0, about[found[0]][0]
    for file, (save_id, length, dim) in about.items():
        start = int(file.name[-20:].split("-of-")[0])
        if save_id != one_save:
            raise ValueError(
                f"{found[0]} and {file.name} are pieces of different saves ({one_save} and {save_id}), of "
                f"which one broke off or was by another number of processes; remove the old ones, or save again"
            )
        if dim != shape[1]:
            raise ValueError(f"{file} holds {dim} features, but these are {shape[1]}")
        if start > reached:
            break
        if start < reached:
            raise ValueError(f"{file} starts at class {start}, where the piece before has come to {reached}")
        if start < stop and start + length > first:
            rows.append(load(file)[max(first - start, 0) : stop - start])
        reached += length
    if reached < shape[0]:
        raise ValueError(f"the pieces of {os.fspath(path)} lack the classes from {reached} on")
    return np.concatenate(rows[1:] or rows)


def _about(path: Path) -> tuple[str, int, int]:
    """The id of the save of a piece, its classes and features, without reading its numbers."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            save_id, (rows, dim) = (file.metadata() or {}).get("save"), file.get_slice("centers").get_shape()
    except (SafetensorError, ValueError):
        load(path)  # which says what is wrong
        raise
    if save_id is None:
        raise ValueError(f"{path} does not say which save it is a piece of, so it cannot be put together with others")
    return save_id, rows, dim

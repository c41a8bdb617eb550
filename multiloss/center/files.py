"""Centers in files: one safetensors file that every backend reads, or the pieces of one that processes wrote."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import stat
import uuid
from collections.abc import Mapping
from pathlib import Path

import numpy as np

_FORMAT, _VERSION = "multiloss.centers", "1"


def save(path: str | os.PathLike[str], centers: np.ndarray, about: Mapping[str, str] | None = None) -> None:
    """Write centers as a safetensors file, all of it or nothing. `about` goes into its metadata."""
    from safetensors.numpy import save as to_bytes

    metadata = {"format": _FORMAT, "version": _VERSION, **(about or {})}
    data = to_bytes({"centers": np.ascontiguousarray(centers)}, metadata=metadata)
    _write(path, data)


def _write(path: str | os.PathLike[str], data: bytes) -> None:
    """Put a file in the place of another one at once, when all of it is on the disk.

    A link keeps pointing at the file, and that keeps its mode. What is no regular file, such as a device, is refused.
    Where the system can, the new file has no name until it is complete: a process that is killed leaves nothing behind.
    """
    target = Path(os.path.realpath(path))
    if not os.fspath(path) or target.is_symlink():  # a link that leads to itself
        raise ValueError(f"path must name a file, and {os.fspath(path)!r} does not")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{os.fspath(path)}: there is no folder {target.parent}")
    before = target.stat() if target.exists() else None
    if before is not None and not stat.S_ISREG(before.st_mode):
        raise ValueError(f"path must name a file, and {os.fspath(path)} is something else")
    temporary = target.with_name(f".{uuid.uuid4().hex}")  # short, however long the target's name is
    try:
        descriptor, has_name = _new_file(temporary)
        with open(descriptor, "wb") as file:
            if before is not None:
                os.chmod(descriptor if os.chmod in os.supports_fd else temporary, stat.S_IMODE(before.st_mode))
            file.write(data)
            file.flush()
            os.fsync(descriptor)
            if not has_name:
                folder = os.open(target.parent, os.O_RDONLY)
                # `src_dir_fd` is of no use here but for making Python follow the link, which is to the file.
                os.link(f"/proc/self/fd/{descriptor}", temporary, src_dir_fd=folder)
                os.close(folder)
        os.replace(temporary, target)
        with contextlib.suppress(OSError):  # Windows opens no folders
            folder = os.open(target.parent, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _new_file(temporary: Path) -> tuple[int, bool]:
    """A new file in the folder of `temporary`, and whether it has that name: no name yet on Linux."""
    if hasattr(os, "O_TMPFILE") and os.path.exists("/proc/self/fd"):
        with contextlib.suppress(OSError):  # not every file system has files without a name
            return os.open(temporary.parent, os.O_WRONLY | os.O_TMPFILE, 0o666), False
    return os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666), True


def load(path: str | os.PathLike[str]) -> np.ndarray:
    """Read centers from one file, or from the pieces of `save_piece`; ValueError if `save` did not write the file."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    pieces = [] if Path(path).exists() else _pieces(path)
    if pieces:
        classes, dim = int(pieces[0].name[-8:]), load(pieces[0]).shape[1]
        return load_rows(path, 0, classes, (classes, dim))
    if Path(path).exists() and not Path(path).is_file():
        raise ValueError(f"path must name a file, and {os.fspath(path)} is something else")
    data = Path(path).read_bytes()
    try:
        tensors = from_bytes(data)
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file: {error}") from None
    except KeyError as error:
        raise ValueError(f"{path} holds numbers of a type that NumPy has not, {error.args[0]}") from None
    about = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__", {})
    if about.get("format") != _FORMAT:
        raise ValueError(
            f"{path} is no file of `save_centers`: its format is {about.get('format')!r}, not {_FORMAT!r}; pass an "
            f"array of it as `centers_init`"
        )
    if about.get("version") != _VERSION:
        raise ValueError(
            f"{path} has version {about.get('version')!r} of {_FORMAT}, and this multiloss reads {_VERSION!r}; a newer "
            f"one may have written it"
        )
    centers = tensors.get("centers")
    if centers is None or centers.ndim != 2 or centers.dtype.kind != "f":
        found = ", ".join(f"{name!r} of {x.dtype} and shape {x.shape}" for name, x in tensors.items())
        raise ValueError(f"{path} must hold floats 'centers' of shape (classes, features), got {found or 'nothing'}")
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

"""The output of the demo: a printed table, and files that are written whole or not at all."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multiloss.demo.errors import UserError, missing
from multiloss.demo.experiment import LEGEND, METRICS


def check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be written to, before minutes of training."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise UserError(f"--out {folder}: {existing} is not a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"--out {folder}: no permission to write in {existing}")


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write all of `files` (name -> content) under temporary names, then rename them. So no half-written file ever has
    a name of `files`, and no temporary file is left after an interrupt.
    """
    folder.mkdir(parents=True, exist_ok=True)
    waiting: dict[str, Path] = {}
    try:
        for name, content in files.items():
            handle, temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=".tmp", dir=folder)
            waiting[name] = Path(temporary)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            waiting[name].chmod(0o644)  # mkstemp makes files that only their owner reads
        for name, path in waiting.items():
            os.replace(path, folder / name)
    finally:
        for path in waiting.values():
            path.unlink(missing_ok=True)


def to_json(value: Any) -> bytes:
    """JSON that every reader takes: nan and inf become null."""

    def plain(item: Any) -> Any:
        if isinstance(item, Mapping):
            return {key: plain(each) for key, each in item.items()}
        if isinstance(item, list | tuple):
            return [plain(each) for each in item]
        return None if isinstance(item, float) and not math.isfinite(item) else item

    return (json.dumps(plain(value), indent=1, allow_nan=False) + "\n").encode()


def shown(key: str, mean: float, spread: float, seeds: int) -> str:
    """A measure as the tables show it: `3.51 ± 0.42` over several seeds, `3.51` for one."""
    if not math.isfinite(mean):
        return "-"
    three_figures = 2 - math.floor(math.log10(abs(mean))) if mean else 0
    scale, digits, unit = {"accuracy": (100, 1, " %"), "seconds": (1, 1, "")}.get(key, (1, max(three_figures, 0), ""))
    text = f"{mean * scale:.{digits}f}"
    return text + (f" ± {spread * scale:.{digits}f}" if seeds > 1 else "") + unit


def print_table(title: str, rows: dict[str, dict[str, dict[str, float]]], seeds: int) -> None:
    """`rows`: objective -> summary."""
    with missing("rich", "demo"):
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
    keys = [key for key in METRICS if key in next(iter(rows.values()))]
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, caption_justify="left")
    table.add_column("objective", no_wrap=True)
    for key in keys:
        table.add_column(METRICS[key], justify="right", min_width=max(map(len, METRICS[key].split())))
    for objective, measures in rows.items():
        table.add_row(objective, *(shown(key, measures[key]["mean"], measures[key]["spread"], seeds) for key in keys))
    table.caption = "\n".join(f"{METRICS[key]}: {LEGEND[key]}" for key in keys if key in LEGEND)
    Console().print(table)

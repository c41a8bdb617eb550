"""Which losses of the three libraries a source file uses, and what each becomes. The file is parsed, never run."""

from __future__ import annotations

import ast
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from multiloss import porting
from multiloss.porting import written
from multiloss.porting.rows import Source

_COMPILED = {
    "mse": "MeanSquaredError",
    "mae": "MeanAbsoluteError",
    "mape": "MeanAbsolutePercentageError",
    "msle": "MeanSquaredLogarithmicError",
    "bce": "BinaryCrossentropy",
    "kld": "KLDivergence",
    "kl_divergence": "KLDivergence",
    "logcosh": "LogCosh",
}
"""Short names of Keras' losses, as `compile(loss="mse")` takes them."""


@dataclasses.dataclass(frozen=True)
class Use:
    """One place of a file where a loss is made or called."""

    line: int
    text: str
    """As the file has it."""
    source: str
    """The canonical name."""
    becomes: str | None
    """Code of the loss here, or None."""
    notes: tuple[str, ...]
    """The conventions that differ, the traps, and what could not be read; or why it is not ported."""


def scan(path: str | Path, to: str | None = None) -> list[Use]:
    """The losses that a Python source file uses, in its order.

    Args:
        path: the file.
        to: the backend that the code shall name; None names none.

    Returns:
        One `Use` for each place.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no Python source, or there is no such backend.

    Example:
        >>> import pathlib, tempfile
        >>> from multiloss.porting.scan import scan
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder, "train.py")
        ...     _ = file.write_text("from torch import nn\\nloss = nn.MSELoss(reduction='sum')\\n")
        ...     [(use.line, use.becomes) for use in scan(file)]
        [(2, "multiloss.get('mean_squared_error', reduction='sum', axis=())")]
    """
    porting.check_place(to)
    try:
        tree = ast.parse(Path(path).read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        version = ".".join(map(str, sys.version_info[:2]))
        raise ValueError(f"{path} is no Python source that Python {version} reads: {error}") from None
    aliases = _aliases(tree)
    uses = [_use(node, name, to) for node, name in _losses(tree, aliases)]
    uses += [_use(node, name, to, compiled=True) for node, name in _compiled(tree)]
    return sorted(uses, key=lambda use: use.line)


def _aliases(tree: ast.AST) -> dict[str, str]:
    """What the file's imports call a module, or a loss."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for item in node.names:
                known[item.asname or item.name] = item.name
        elif isinstance(node, ast.ImportFrom) and node.module:
            for item in node.names:
                if item.name == "*":
                    known |= {name: f"{node.module}.{name}" for name in _members(node.module)}
                else:
                    known[item.asname or item.name] = f"{node.module}.{item.name}"
    return known


def _members(module: str) -> list[str]:
    full = written.SHORT.get(module, module) + "."
    return [name.removeprefix(full) for name in porting.sources() if name.startswith(full)]


def _losses(tree: ast.AST, aliases: dict[str, str]) -> Iterator[tuple[ast.expr, str]]:
    """Calls of a loss, and losses that are handed on by name; not those that only name a type."""
    known = porting.sources()
    called = {id(part) for node in ast.walk(tree) for named in _types(node) for part in ast.walk(named)}
    for node in ast.walk(tree):
        where = node.func if isinstance(node, ast.Call) else node
        if id(node) in called or not isinstance(where, ast.Attribute | ast.Name) or not isinstance(node, ast.expr):
            continue
        called.add(id(where))
        try:
            name = written.canonical(written.dotted(where), known, aliases)
        except ValueError:
            continue
        yield node, name


def _types(node: ast.AST) -> list[ast.expr]:
    """What a node names as a type: annotations, and the bases of a class, which may compute anything."""
    if isinstance(node, ast.ClassDef):
        return node.bases
    parts = (getattr(node, "annotation", None), getattr(node, "returns", None))
    return [part for part in parts if isinstance(part, ast.expr)]


def _compiled(tree: ast.AST) -> Iterator[tuple[ast.expr, str]]:
    """Losses that Keras' `compile(optimizer, loss)` is given by name."""
    names = {name.rpartition(".")[2]: name for name in porting.sources() if name.startswith("keras.losses.")}
    classes = {name.lower(): full for name, full in names.items() if name[0].isupper()}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "compile":
            for loss in [*node.args[1:2], *(keyword.value for keyword in node.keywords if keyword.arg == "loss")]:
                for text, name in _strings(loss):
                    full = classes.get(_COMPILED.get(name.lower(), name.replace("_", "")).lower())
                    if full is not None:
                        yield text, full


def _strings(node: ast.expr | None) -> Iterator[tuple[ast.expr, str]]:
    """A string, or those of a list, of the values of a dictionary, of both ends of a condition."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node, node.value
    parts: list[ast.expr] = []
    if isinstance(node, ast.List | ast.Tuple):
        parts = node.elts
    elif isinstance(node, ast.Dict):
        parts = node.values
    elif isinstance(node, ast.IfExp):
        parts = [node.body, node.orelse]
    for part in parts:
        yield from _strings(part)


def _use(node: ast.expr, name: str, to: str | None, compiled: bool = False) -> Use:
    source = porting.sources()[name]
    text = ast.unparse(node)
    if source.refusal is not None:
        return Use(node.lineno, text, name, None, (source.refusal,))
    arguments, notes = ({}, []) if compiled else _arguments(node, source)
    try:
        form = porting.text_of(source, source.arguments((), arguments))
        code, more = porting.code(form, to)
    except (ValueError, TypeError) as error:
        return Use(node.lineno, text, name, None, (str(error), *notes))
    return Use(node.lineno, text, name, code, (*notes, *more))


def _arguments(node: ast.expr, source: Source) -> tuple[dict[str, Any], list[str]]:
    """The arguments that are literals, and a note for each that is not."""
    if not isinstance(node, ast.Call):
        return {}, []
    names = [*([] if source.is_class else source.data), *source.parameters]
    given: list[tuple[str, ast.expr]] = []
    notes: list[str] = []
    if any(isinstance(argument, ast.Starred) for argument in node.args):
        notes.append("* hands on arguments that are not read here")
    else:
        given += zip(names, node.args, strict=False)
    for keyword in node.keywords:
        if keyword.arg is None:
            notes.append("** hands on arguments that are not read here")
        else:
            given.append((keyword.arg, keyword.value))
    arguments = {}
    for name, value in given:
        if name in source.parameters:
            try:
                arguments[name] = written.literal(value, name)
            except ValueError:
                notes.append(f"{name}={ast.unparse(value)[:80]} is no literal, and left out here: give it yourself")
        elif source.is_class:  # what is left of a function's are its arrays
            notes.append(f"{source.name} has no argument {name!r}")
    return arguments, notes

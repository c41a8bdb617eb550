"""Which losses of the three libraries a source file uses, and what each becomes. The file is parsed, never run.

Options that are literals, arithmetic of numbers or constants of the module are read. If an option is computed in
another way, the suggested code calls `multiloss.port` on the loss as the file makes it.
"""

from __future__ import annotations

import ast
import dataclasses
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from multiloss import porting
from multiloss.porting import parse
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
    """A place of a file where a loss is made, called or named."""

    line: int
    """Its line in the file; in a notebook that of the cell."""
    text: str
    """The expression in the file."""
    source: str
    """The canonical name of the loss."""
    becomes: str | None
    """Code that makes the loss here, possibly with names of the file; None if it is not ported."""
    notes: tuple[str, ...]
    """Conventions that differ and options that could not be read; or why it is not ported."""
    cell: int | None = None
    """The code cell of a notebook, from 1."""


def scan(path: str | Path, to: str | None = None) -> list[Use]:
    """The losses that a Python source file uses, in its order.

    Args:
        path: the file, Python or a notebook (`.ipynb`).
        to: the backend that the code names; None for none.

    Returns:
        One `Use` for each place.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no Python source, is longer than 10 MB, or there is no such backend.

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
    cells = _cells(Path(path))
    try:
        tree = ast.parse(b"\n".join(cells))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        version = ".".join(map(str, sys.version_info[:2]))
        raise ValueError(f"{path} is no Python source that Python {version} reads: {error}") from None
    aliases, constants = _aliases(tree), _constants(tree)
    uses = []
    for node, name in _losses(tree, aliases):
        partial = isinstance(node, ast.Call) and _is_partial(node, aliases)
        try:
            uses.append(_use(node, name, to, _Given.of(node, porting.sources()[name], partial, constants)))
        except RecursionError:
            uses.append(Use(node.lineno, parse.text_of(node), name, None, ("it is nested too deeply to be read",)))
    uses += [_use(node, name, to, _Given()) for node, name in _compiled(tree)]
    uses.sort(key=lambda use: use.line)
    return [_in_cell(use, cells) for use in uses] if _is_notebook(Path(path)) else uses


def _is_notebook(path: Path) -> bool:
    return path.suffix == ".ipynb"


def _cells(path: Path) -> list[bytes]:
    """The source of a file, or of each code cell of a notebook, without what is for IPython."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name the files in it, such as {path / '*.py'}")
    if path.exists() and not path.is_file():
        raise ValueError(f"path must name a file, and {path} is something else")
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path} has {path.stat().st_size:,} bytes; a file of at most {_LARGEST:,} is read")
    source = path.read_bytes()
    if not _is_notebook(path):
        return [source]
    try:
        cells = ["".join(cell["source"]) for cell in json.loads(source)["cells"] if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError(f"{path} is no notebook of version 4") from None
    return [_python_of(cell, f"{path}, cell {number}").encode() for number, cell in enumerate(cells, 1)]


def _python_of(cell: str, place: str) -> str:
    """The Python of a cell; lines for IPython, which stand only where Python does not parse them, do nothing."""
    lines = cell.split("\n")
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    if lines[first].startswith("%%"):  # a whole cell in another language, or one that is timed or captured
        kept = lines[first + 1 :] if lines[first].split()[0] in _OF_PYTHON else [""] * (len(lines) - first - 1)
        lines = [*[""] * (first + 1), *kept]
    if not _parses("\n".join(lines)):
        lines = [_MAGIC.sub(r"\1pass", _ASSIGNED.sub(r"\1None", line)) for line in lines]
    if not _parses("\n".join(lines)):
        raise ValueError(f"{place} is no Python that can be read")
    return "\n".join(lines)


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


_OF_PYTHON = ("%%time", "%%timeit", "%%capture", "%%prun")
_MAGIC = re.compile(r"^(\s*)(?:[%!?].*|[\w.]+\?{1,2}\s*)$")
_ASSIGNED = re.compile(r"^(\s*[\w., ]+=\s*)[%!].*$")


def _in_cell(use: Use, cells: list[bytes]) -> Use:
    line = use.line
    for number, cell in enumerate(cells, 1):
        length = cell.count(b"\n") + 1
        if line <= length:
            return dataclasses.replace(use, line=line, cell=number)
        line -= length
    return use


_LARGEST = 10_000_000


def _constants(tree: ast.Module) -> dict[str, ast.expr]:
    """Constants: names that the module assigns once and that nothing in the file binds again."""
    bound: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bound.append(node.id)
        elif isinstance(node, ast.arg):
            bound.append(node.arg)
        elif isinstance(node, ast.alias):
            bound.append((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.Global | ast.Nonlocal):
            bound += node.names
        elif not isinstance(node, ast.Attribute | ast.keyword):  # functions, classes, exceptions, patterns
            bound += [x for x in (getattr(node, "name", None), getattr(node, "rest", None)) if isinstance(x, str)]
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            target, value = node.target, node.value
        else:
            continue
        may_change = any(isinstance(part, ast.List | ast.Dict | ast.Set) for part in ast.walk(value))
        if isinstance(target, ast.Name) and bound.count(target.id) == 1 and not may_change:
            found[target.id] = value
    return {} if "*" in bound else found


def _aliases(tree: ast.AST) -> dict[str, str]:
    """The names that the file imports modules and losses as."""
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
    full = parse.SHORT.get(module, module) + "."
    return [name.removeprefix(full) for name in porting.sources() if name.startswith(full)]


def _losses(tree: ast.AST, aliases: dict[str, str]) -> Iterator[tuple[ast.expr, str]]:
    """Calls of a loss, and losses that are passed on by name; not names of types."""
    known = porting.sources()
    called = {id(part) for node in ast.walk(tree) for named in _types(node) for part in ast.walk(named)}
    for node in ast.walk(tree):
        where = _what_is_called(node, aliases) if isinstance(node, ast.Call) else node
        if id(node) in called or not isinstance(where, ast.Attribute | ast.Name) or not isinstance(node, ast.expr):
            continue
        called.add(id(where))
        try:
            name = parse.find(parse.dotted(where), known, aliases)
        except ValueError:
            continue
        if name is not None:
            yield node, name


def _what_is_called(node: ast.Call, aliases: dict[str, str]) -> ast.expr:
    """The called function; for `functools.partial(loss, ...)` the loss."""
    return node.args[0] if node.args and _is_partial(node, aliases) else node.func


def _is_partial(node: ast.Call, aliases: dict[str, str]) -> bool:
    try:
        first, dot, rest = parse.dotted(node.func).partition(".")
    except ValueError:
        return False
    return aliases.get(first, first) + dot + rest == "functools.partial"


def _types(node: ast.AST) -> list[ast.expr]:
    """Expressions that name types: annotations, and bases of a class (a subclass may compute anything)."""
    if isinstance(node, ast.ClassDef):
        return node.bases
    parts = (getattr(node, "annotation", None), getattr(node, "returns", None))
    return [part for part in parts if isinstance(part, ast.expr)]


def _compiled(tree: ast.AST) -> Iterator[tuple[ast.expr, str]]:
    """Losses that are passed by name to Keras' `compile(optimizer, loss)`."""
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
    """The strings of an expression: itself, items of a list, values of a dictionary, both branches of a condition."""
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


@dataclasses.dataclass
class _Given:
    """The options of one use of a loss."""

    arguments: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Options that were read, by name."""
    notes: list[str] = dataclasses.field(default_factory=list)
    live: str | None = None
    """Code of the source loss with all options, if the file computes some of them."""
    unread: bool = False
    """Whether some options could not be read, so that `arguments` alone are another loss."""
    lost: bool = False
    """Whether it is not known which options these are."""

    @classmethod
    def of(cls, node: ast.expr, source: Source, partial: bool, constants: dict[str, ast.expr]) -> _Given:
        """The options of a call or of a `functools.partial`; none for a loss that is passed on by name."""
        if not isinstance(node, ast.Call):
            return cls(notes=["named here, not called: options that it gets elsewhere are not read"])
        given, by_place = cls(), node.args[1:] if partial else node.args
        where = node.args[0] if partial else node.func
        names = [*([] if source.is_class else source.data), *source.parameters]
        options: list[tuple[str, ast.expr]] = []
        starred = [ast.unparse(argument) for argument in by_place if isinstance(argument, ast.Starred)]
        if starred:
            given._misses(f"{starred[0]} hands on arguments", lost=True)
        elif len(by_place) > len(names):
            given._misses(f"{source.name} takes {len(names)} arguments by place, as it is known here", lost=True)
        else:
            options += zip(names, by_place, strict=False)
        arrays = sum(name in source.data for name, _ in options) if not source.is_class else 0
        for keyword in node.keywords:
            if keyword.arg is None:
                given._misses(f"**{ast.unparse(keyword.value)[:80]} hands on arguments")
            elif keyword.arg in source.parameters:
                options.append((keyword.arg, keyword.value))
            elif source.is_class or (arrays := arrays + 1) > len(source.data):  # other names are arrays of a function
                given._misses(f"{source.name} has no argument {keyword.arg!r} that is known here", lost=True)
        for name, value in options:
            if name in source.parameters and name not in _WITHOUT_EFFECT:
                try:
                    given.arguments[name] = parse.literal(value, name, constants)
                except ValueError:
                    given._misses(f"{name} is computed by {ast.unparse(value)[:80]}")
        if given.unread and source.is_class:
            given.live = ast.unparse(node)
        elif given.unread and not given.lost:
            listed = [f"{name}={ast.unparse(value)}" for name, value in options if name in source.parameters]
            listed += [ast.unparse(keyword) for keyword in node.keywords if keyword.arg is None]
            given.live = f"functools.partial({', '.join([ast.unparse(where), *listed])})"
        return given

    def _misses(self, what: str, lost: bool = False) -> None:
        self.unread, self.lost = True, self.lost or lost
        self.notes.append(what)


_WITHOUT_EFFECT = ("name",)
"""Arguments without an effect on numbers."""


def _use(node: ast.expr, name: str, to: str | None, given: _Given) -> Use:
    source = porting.sources()[name]
    text = ast.unparse(node)
    if source.refusal is not None:
        return Use(node.lineno, text, name, None, (source.refusal,))
    if given.unread:
        missing = "; ".join(given.notes)
        if given.live is None:
            return Use(node.lineno, text, name, None, (f"not ported: {missing}, which is not read here",))
        place = "" if to is None else f", to={to!r}"
        note = f"{missing}, which is not read here: this ports the loss itself, where it is run and that is known"
        return Use(node.lineno, text, name, f"multiloss.port({given.live}{place})", (note,))
    try:
        form = porting.text_of(source, source.arguments((), given.arguments))
        code, more = porting.code(form, to)
    except (ValueError, TypeError) as error:
        return Use(node.lineno, text, name, None, (str(error),))
    return Use(node.lineno, text, name, code, (*given.notes, *more))

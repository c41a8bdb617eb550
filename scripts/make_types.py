"""Write `multiloss/typing.pyi` from the registry: `python scripts/make_types.py`; NumPy is all that it needs.

With `--check` it writes nothing, and fails if the file is not what it would write.

A type checker reads that file in place of `multiloss/typing.py`: which names `get` takes, what it gives for each
backend, and how that is called. What it says of a loss comes from the definition: the names of its inputs and options.
"""

from __future__ import annotations

import dataclasses
import sys
import textwrap
import types
import typing
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

ROOT = Path(__file__).resolve().parents[1]
STUB = ROOT / "multiloss" / "typing.pyi"
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "backends")]

from multiloss import boosting, typing as runtime  # noqa: E402, I001  (found through the line above)
from multiloss.center.options import CenterOptions, explained  # noqa: E402
from multiloss.engine import registry  # noqa: E402
from multiloss.engine.definition import Definition  # noqa: E402
from multiloss.engine.options import KERAS_WEIGHTED, REDUCTIONS  # noqa: E402

Options = Mapping[str, set[str]]
"""Option -> what it takes, as the members of a union."""


@dataclasses.dataclass(frozen=True)
class Backend:
    """What a call takes and gives, as text, and what `port` gives for the library of its losses."""

    given: str
    value: str
    gradient: str
    library: str = ""
    native: str = ""

    @property
    def arrays(self) -> str:
        """The three arguments of the classes of calls."""
        return f"{self.given}, {self.value}, {self.gradient}"


BACKENDS: dict[str | None, Backend] = {
    None: Backend("Any", "Any", "Any"),
    "numpy": Backend("npt.ArrayLike", "Any", "npt.NDArray[Any]"),
    "torch": Backend("Tensor | npt.ArrayLike", "Tensor", "Tensor", "torch.nn", "nn.Module"),
    "tensorflow": Backend("tf.Tensor | tf.Variable | npt.ArrayLike", "tf.Tensor", "tf.Tensor"),
    "jax": Backend("jax.Array | npt.ArrayLike", "jax.Array", "jax.Array", "optax", "Callable[..., Any]"),
    "keras": Backend("Any", "Any", "Any", "keras.losses", "keras.losses.Loss"),
}

WIDTH = 120
ARRAY = "npt.ArrayLike"
HEAD = """\
# Types of what `multiloss` makes, for type checkers and editors. Written by scripts/make_types.py: change that instead.
# Names with an underscore do not exist when a program runs.

# That the classes below say more of a call than their bases is meant:
# mypy: disable-error-code="misc"
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Literal, Protocol, SupportsFloat, SupportsIndex, TypeAlias, TypedDict, TypeVar
from typing import Unpack, overload

import jax
import keras
import numpy.typing as npt
import tensorflow as tf
from torch import Tensor, nn

from multiloss.boosting import Objective
from multiloss.engine.definition import Definition
from multiloss.engine.loss import Loss, LossObject
"""

MIDDLE = """\
class AnyLoss(Protocol):
    def __call__(self, *inputs: Any, **named: Any) -> Any: ...
    def value_and_grad(self, *inputs: Any, **named: Any) -> Any: ...
    def config(self) -> dict[str, Any]: ...

class _NoSuchLossBackendOrOption: ...

_Given = TypeVar("_Given", contravariant=True)
_Value = TypeVar("_Value", covariant=True)
_Gradient = TypeVar("_Gradient", covariant=True)
"""


def literal(values: Iterable[Any]) -> str:
    """`Literal` of these."""
    return f"Literal[{', '.join(map(repr, values))}]".replace("'", '"')


def written(hint: Any) -> set[str]:
    """What an option takes, as the members of a union. Numbers may be NumPy's, and arrays become tuples."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return written(inside[0])
    if origin in (typing.Union, types.UnionType):
        return {text for one in inside for text in written(one)}
    if origin is Literal:
        return {literal(inside)}
    if origin is tuple:
        return {ARRAY}
    plain = {float: "SupportsFloat", int: "SupportsIndex", bool: "bool", str: "str", type(None): "None", Any: "Any"}
    return {plain[hint]}


def options_of(function: Callable[..., Any], names: Iterable[str]) -> Options:
    """These options of a function, by their annotations."""
    hints = typing.get_type_hints(function, include_extras=True)
    return {name: written(hints[name]) for name in names}


def merged(each: Iterable[Options]) -> Options:
    """All options of several losses."""
    found: dict[str, set[str]] = defaultdict(set)
    for options in each:
        for name, hints in options.items():
            found[name] |= hints
    return found


def typed_dict(name: str, options: Options) -> str:
    """Options as a `TypedDict`, in the order of their names."""
    lines = [f"class {name}(TypedDict, total=False):"]
    for option, hints in sorted(options.items()):
        union = " | ".join(sorted(hints, key=lambda text: (text == "None", text)))
        lines.append(f"    {option}: {'Any' if 'Any' in hints else union}")
    return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class Group:
    """The losses that take the same inputs."""

    inputs: tuple[str, ...]
    losses: list[Definition]

    @property
    def title(self) -> str:
        """The inputs as a part of names: YTrueYPred."""
        return "".join(part.title() for name in self.inputs for part in name.split("_"))

    @property
    def names(self) -> list[str]:
        """Canonical names and aliases."""
        return [name for one in self.losses for name in (one.name, *one.aliases)]

    @property
    def options(self) -> Options:
        """What these losses take at `get`."""
        common = {"reduction": {"_Reduction"}, "validate": {"bool", "None"}}
        if any(one.axis is not None for one in self.losses):
            common["axis"] = {"SupportsIndex", "Sequence[SupportsIndex]", "None"}
        return merged([common, *(options_of(one.value, one.options) for one in self.losses)])

    def call(self) -> str:
        """The class that says how these losses are called."""
        first = self.losses[0]
        takes = [f"{x}: _Given{' | None = None' if x in first.optional else ''}" for x in self.inputs]
        weights = "sample_weight: _Given | None = None, mask: _Given | None = None"
        if first.kind == "of_inputs":  # weights by name only
            one = f"self, {', '.join(takes)}, *, {weights}"
            both = f"{one}, wrt"
        else:
            one = f"self, {', '.join(takes)}, {weights}"
            both = f"{one}, *, wrt"
        real = literal(x for x in self.inputs if not all(loss.is_integer(x) for loss in self.losses))
        several = f"tuple[{real}, ...] | list[{real}]"
        lines = [
            f"class _{self.title}(Generic[_Given, _Value, _Gradient]):",
            f"    def __call__({one}) -> _Value: ...",
            "    @overload",
            f"    def value_and_grad({both}: {real} | None = None) -> tuple[_Value, _Gradient]: ...",
            "    @overload",
            f"    def value_and_grad({both}: {several}) -> tuple[_Value, tuple[_Gradient, ...]]: ...",
        ]
        if self.inputs == ("y_true", "y_pred"):
            lines.append(f"    def grad_and_hess(self, {', '.join(takes)}) -> tuple[_Gradient, _Gradient]: ...")
        return "\n".join(lines)


def groups() -> list[Group]:
    """All losses without a state; first those of targets and predictions, which are most."""
    found: dict[tuple[str, ...], list[Definition]] = defaultdict(list)
    for name in registry.names():
        definition = registry.find(name)
        if definition.family != "registered":
            found[definition.inputs].append(definition)
    return [Group(inputs, losses) for inputs, losses in sorted(found.items(), key=lambda item: -len(item[1]))]


def center_options() -> Options:
    """What losses with a table of centers take at `get`."""
    found: list[Options] = []
    for name, definition in registry.TABLES.items():
        taken = [option for option, *_ in explained(name)]
        own = [option for option in taken if option in definition.options]
        shared = [option for option in taken if option not in own]
        found += [options_of(definition.value, own), options_of(CenterOptions, shared)]
    return {**merged(found), "reduction": {"_Reduction"}, "centers_init": {literal(("zeros", "normal")), ARRAY}}


def overload(signature: str, result: str) -> str:
    """One way to call a function."""
    return f"@overload\ndef {signature} -> {result}: ..."


def class_of(backend: str | None, group: Group | None = None) -> str:
    """The class of a backend's losses, or that of those of one group."""
    own = "Loss" if backend is None else f"{backend.title()}Loss"
    return own if group is None else f"_{own}{group.title}"


def backend_is(backend: str | None) -> str:
    """The parameter of an overload."""
    return "backend: None = None" if backend is None else f"backend: {literal([backend])}"


def any_loss(backend: str | None) -> str:
    """What a backend makes of a name that is not known yet; without one there are no centers."""
    return class_of(backend) if backend is None else f"{class_of(backend)} | {backend.title()}Center"


def gets(every: list[Group]) -> list[str]:
    """The ways to call `get`, `get_by_name` and `from_config`."""
    found = []
    for group in every:
        for backend in BACKENDS:
            given = f"name: _{group.title}Name, {backend_is(backend)}, **options: Unpack[_{group.title}Options]"
            found.append(overload(f"get({given})", class_of(backend, group)))
    named = [backend for backend in BACKENDS if backend is not None]
    for backend in named:
        given = f"name: CenterName, {backend_is(backend)}, **options: Unpack[_CenterOptions]"
        found.append(overload(f"get({given})", f"{backend.title()}Center"))
    for backend in BACKENDS:
        given = f"name: Definition, {backend_is(backend)}, **options: Any"
        found.append(overload(f"get({given})", class_of(backend)))
    for backend in BACKENDS:
        names = "_NameWithoutCenters" if backend is None else "LossName"
        given = f"name: {names}, {backend_is(backend)}, **options: Unpack[_Options]"
        found.append(overload(f"get({given})", any_loss(backend)))
    found.append(
        "# Of a call that fits nothing mypy prints all of the above, unless one fits but for the type of the items:\n"
        "# every str is a Sequence, and none is of these items.\n"
        + overload("get(name: Sequence[_NoSuchLossBackendOrOption], backend: Any = None, **options: Any)", "AnyLoss")
    )
    for function, takes in (("get_by_name", "name: str"), ("from_config", "config: Mapping[str, Any]")):
        more = ", **options: Any" if function == "get_by_name" else ""
        known = [(backend_is(backend), any_loss(backend)) for backend in named]
        found += [overload(f"{function}({takes}, {backend}{more})", result) for backend, result in known]
        found.append(overload(f"{function}({takes}, backend: str | None = None{more})", "AnyLoss"))
    return found


def ports() -> list[str]:
    """The ways to call `port`."""
    targets = f'*, targets: {literal(("labels", "probabilities"))} = "labels"'
    places = [(backend_is(backend).replace("backend", "to", 1), class_of(backend)) for backend in BACKENDS]
    places += [(f"to: {literal([one.library])}", one.native) for one in BACKENDS.values() if one.library]
    places.append(("to: BackendName | None", "LossObject"))
    return [overload(f"port(source: object, {to}, {targets})", result) for to, result in places]


def objective(every: list[Group]) -> str:
    """How `objective` is called."""
    pairs = every[0]
    boosted = [one for one in pairs.losses if one.hess and (one.kind == "elementwise" or one.has_labels)]
    names = [name for one in boosted for name in (one.name, *one.aliases)]
    return f"""\
_Boosted: TypeAlias = {literal(names)}
def objective(name: _Boosted | Definition, library: {literal(boosting.LIBRARIES)}, *, \
hessian: {literal(("auto", "exact", "constant"))} = "auto", **given: Unpack[_{pairs.title}Options]) -> Objective: ..."""


def stub() -> str:
    """The text of `multiloss/typing.pyi`."""
    every, aliases, parts = groups(), [], [HEAD]
    for backend in BACKENDS:
        if backend is not None:
            center = "CenterLoss" if backend == "keras" else f"{backend.title()}Center"
            loss = class_of(backend)
            parts.append(
                f"from multiloss_{backend}.objects import {center} as {backend.title()}Center\n"
                f"from multiloss_{backend}.objects import {loss} as {loss}\n"
            )
    aliases = sorted(name for group in every for one in group.losses for name in one.aliases)
    center_aliases = [name for name, loss in registry.CENTER.items() if name != loss]
    parts.append(f"__all__ = {sorted(runtime.__all__)!r}")
    parts.append(f"BackendName: TypeAlias = {literal(backend for backend in BACKENDS if backend)}")
    parts += [f"_{group.title}Name: TypeAlias = {literal(group.names)}" for group in every]
    parts.append(f"CenterName: TypeAlias = {literal(registry.CENTER)}")
    parts.append(f"Alias: TypeAlias = {literal([*aliases, *center_aliases])}")
    parts.append(f"_NameWithoutCenters: TypeAlias = ({' | '.join(f'_{group.title}Name' for group in every)})")
    parts.append("LossName: TypeAlias = _NameWithoutCenters | CenterName")
    parts.append(MIDDLE)
    parts.append(f"_Reduction: TypeAlias = {literal((*REDUCTIONS, KERAS_WEIGHTED))}")
    for group in every:
        parts += [group.call(), typed_dict(f"_{group.title}Options", group.options)]
        for backend, one in BACKENDS.items():
            parts.append(f"class {class_of(backend, group)}(_{group.title}[{one.arrays}], {class_of(backend)}): ...")
    every_option = merged([*(group.options for group in every), center_options()])
    parts += [typed_dict("_CenterOptions", center_options()), typed_dict("_Options", every_option)]
    text = "\n".join([*parts, *gets(every), *ports(), objective(every), ""])
    return "\n".join(map(wrapped, text.split("\n")))


def wrapped(line: str) -> str:
    """A long line, broken inside its first brackets. (ruff would give each name of a loss a line.)"""
    if len(line) <= WIDTH:
        return line
    start = min(line.index(bracket) for bracket in "([" if bracket in line)
    depth = [sum((c in "([") - (c in ")]") for c in line[: i + 1]) for i in range(len(line))]
    end = next(i for i in range(start, len(line)) if depth[i] == 0)
    indent = " " * (len(line) - len(line.lstrip()))
    inside = textwrap.fill(
        line[start + 1 : end], WIDTH, initial_indent=f"{indent}    ", subsequent_indent=f"{indent}    "
    )
    return f"{line[: start + 1]}\n{inside}\n{indent}{line[end:]}"


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        if STUB.read_text(encoding="utf-8") != stub():
            sys.exit("multiloss/typing.pyi is not what the registry says; run python scripts/make_types.py")
    else:
        STUB.write_text(stub(), encoding="utf-8")

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

Options = Mapping[str, set[Any]]
"""Option -> its types, the members of a union."""


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
NONE = type(None)
REDUCTION: Any = Literal[*REDUCTIONS, KERAS_WEIGHTED]
COMMON: Options = {"reduction": {REDUCTION}, "validate": {bool, NONE}}
"""The options of every loss."""
HEAD = """\
# Types of what `multiloss` makes, for type checkers and editors. Written by scripts/make_types.py: change that instead.
# Names with an underscore do not exist when a program runs.

# That the classes below say more of a call than their bases is meant:
# mypy: disable-error-code="misc"
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, Literal, Protocol, SupportsFloat, SupportsIndex, TypeAlias, TypedDict
from typing import TypeVar, Unpack, overload

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


def members(hint: Any) -> set[Any]:
    """An annotation as the members of a union: plain types, `Literal` and tuples."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return members(inside[0])
    if origin in (typing.Union, types.UnionType):
        return {one for each in inside for one in members(each)}
    return {hint}


def written(hints: set[Any], *, given: bool) -> str:
    """The union that an option takes at `get` (numbers may be NumPy's, and arrays become tuples), or that it is."""
    if Any in hints:
        return "Any"
    names = {float: "SupportsFloat", int: "SupportsIndex"} if given else {}
    texts = set()
    for one in hints:
        if typing.get_origin(one) is Literal:
            texts.add(literal(typing.get_args(one)))
        elif typing.get_origin(one) is tuple:
            texts.add("npt.ArrayLike" if given else f"tuple[{typing.get_args(one)[0].__name__}, ...]")
        else:
            texts.add("None" if one is type(None) else names.get(one, one.__name__))
    return " | ".join(sorted(texts, key=lambda text: (text == "None", text)))


def options_of(function: Callable[..., Any], names: Iterable[str]) -> Options:
    """These options of a function, by their annotations."""
    hints = typing.get_type_hints(function, include_extras=True)
    return {name: members(hints[name]) for name in names}


def merged(each: Iterable[Options]) -> Options:
    """All options of several losses, in the order of their names."""
    found: dict[str, set[Any]] = defaultdict(set)
    for options in each:
        for name, hints in options.items():
            found[name] |= hints
    return dict(sorted(found.items()))


def typed_dict(name: str, options: Options, base: str = "TypedDict") -> str:
    """What `get` takes, as a `TypedDict`."""
    taken = [f"    {option}: {written(hints, given=True)}" for option, hints in options.items()]
    return "\n".join([f"class {name}({base}, total=False):", *taken])


def attributes(options: Options) -> list[str]:
    """Options as attributes that cannot be assigned."""
    return [f"    {option}: Final[{written(hints, given=False)}]" for option, hints in options.items()]


def camel(names: Iterable[str]) -> str:
    """Names as a part of the name of a class: YTrueYPred."""
    return "".join(part.title() for name in names for part in name.split("_"))


@dataclasses.dataclass(frozen=True)
class Group:
    """Losses that take the same inputs, or the same inputs and options."""

    losses: list[Definition]

    @property
    def inputs(self) -> tuple[str, ...]:
        """What a call takes."""
        return self.losses[0].inputs

    @property
    def title(self) -> str:
        """The inputs as a part of names."""
        return camel(self.inputs)

    @property
    def options_title(self) -> str:
        """The options as a part of names: the loss that alone has them, or what they are."""
        own = self.losses[0].options
        if not own:
            return self.title
        return camel([self.losses[0].name]) if len(self.losses) == 1 else f"With{camel(own)}"

    @property
    def names(self) -> list[str]:
        """Canonical names and aliases."""
        return [name for one in self.losses for name in (one.name, *one.aliases)]

    @property
    def common(self) -> Options:
        """The options of every loss that is called so."""
        return COMMON if self.losses[0].axis is None else {"axis": {int, tuple[int, ...], NONE}, **COMMON}

    @property
    def own(self) -> Options:
        """The options of these losses alone."""
        return merged(options_of(one.value, one.options) for one in self.losses)

    def by_options(self) -> list[Group]:
        """The losses that take the same options, too."""
        found: dict[tuple[str, ...], list[Definition]] = defaultdict(list)
        for one in self.losses:
            found[tuple(one.options)].append(one)
        return [Group(losses) for losses in sorted(found.values(), key=len, reverse=True)]

    def classes(self) -> list[str]:
        """The classes of these losses."""
        parts = [self.call(), typed_dict(f"_{self.title}Options", self.common)]
        for backend, one in BACKENDS.items():
            base = f"_{self.title}[{one.arrays}], {class_of(backend)}"
            # A call may give other options, which may be traced.
            call = (
                f"\n    def __call__({self.takes(one.given)}, **options: SupportsFloat | jax.Array) -> jax.Array: ..."
            )
            parts.append(f"class {class_of(backend, self.title)}({base}):{call if backend == 'jax' else ' ...'}")
        for group in self.by_options():
            own = group.options_title
            if group.own:
                parts += [f"class _{own}:", *attributes(group.own)]
                parts.append(typed_dict(f"_{own}Options", group.own, f"_{self.title}Options"))
                parts += [f"class {class_of(b, own)}(_{own}, {class_of(b, self.title)}): ..." for b in BACKENDS]
        return parts

    def takes(self, given: str = "_Given") -> str:
        """The parameters of a call."""
        first = self.losses[0]
        inputs = [f"{x}: {given}{' | None = None' if x in first.optional else ''}" for x in self.inputs]
        weights = f"sample_weight: {given} | None = None, mask: {given} | None = None"
        # Behind (y_true, y_pred) weights may come by place.
        return ", ".join(["self", *inputs, *["*"] * (first.kind == "of_inputs"), weights])

    def call(self) -> str:
        """The class that says how these losses are called."""
        takes = self.takes()
        both = f"{takes}{'' if '*' in takes else ', *'}, wrt"
        real = literal(x for x in self.inputs if not all(loss.is_integer(x) for loss in self.losses))
        several = f"tuple[{real}, ...] | list[{real}]"
        lines = [
            f"class _{self.title}(Generic[_Given, _Value, _Gradient]):",
            *attributes(self.common),
            f"    def __call__({takes}) -> _Value: ...",
            "    @overload",
            f"    def value_and_grad({both}: {real} | None = None) -> tuple[_Value, _Gradient]: ...",
            "    @overload",
            f"    def value_and_grad({both}: {several}) -> tuple[_Value, tuple[_Gradient, ...]]: ...",
        ]
        if self.inputs == ("y_true", "y_pred"):
            pair = "self, y_true: _Given, y_pred: _Given"
            lines.append(f"    def grad_and_hess({pair}) -> tuple[_Gradient, _Gradient]: ...")
        return "\n".join(lines)


def groups() -> list[Group]:
    """All losses without a state; first those of targets and predictions, which are most."""
    found: dict[tuple[str, ...], list[Definition]] = defaultdict(list)
    for name in registry.names():
        definition = registry.find(name)
        if definition.family != "registered":
            found[definition.inputs].append(definition)
    return [Group(losses) for losses in sorted(found.values(), key=len, reverse=True)]


def center_options() -> Options:
    """What losses with a table of centers take at `get`."""
    found: list[Options] = []
    for name, definition in registry.TABLES.items():
        taken = [option for option, *_ in explained(name)]
        own = [option for option in taken if option in definition.options]
        shared = [option for option in taken if option not in own]
        found += [options_of(definition.value, own), options_of(CenterOptions, shared)]
    found.append({"centers_init": {tuple[float, ...]}})  # an array
    return {**merged(found), "reduction": {REDUCTION}}


def overload(signature: str, result: str) -> str:
    """One way to call a function."""
    return f"@overload\ndef {signature} -> {result}: ..."


def class_of(backend: str | None, title: str | None = None) -> str:
    """The class of a backend's losses, or that of some of them."""
    own = "" if backend is None else backend.title()
    return f"{own}Loss" if title is None else f"_{own}Loss{title}"


def backend_is(backend: str | None) -> str:
    """The parameter of an overload."""
    return "backend: None = None" if backend is None else f"backend: {literal([backend])}"


def any_loss(backend: str | None) -> str:
    """What a backend makes of a name that is not known yet; without one there are no centers."""
    return class_of(backend) if backend is None else f"{class_of(backend)} | {backend.title()}Center"


def gets(every: list[Group]) -> list[str]:
    """The ways to call `get`, `get_by_name` and `from_config`."""
    found = []
    for part in (part for group in every for part in group.by_options()):
        own = part.options_title
        for backend in BACKENDS:
            given = f"name: _{own}Name, {backend_is(backend)}, **options: Unpack[_{own}Options]"
            found.append(overload(f"get({given})", class_of(backend, own)))
    named = [backend for backend in BACKENDS if backend is not None]
    for backend in named:
        given = f"name: CenterName, {backend_is(backend)}, **options: Unpack[_CenterOptions]"
        found.append(overload(f"get({given})", f"_{backend.title()}Center"))
    for backend in BACKENDS:
        given = f"name: Definition, {backend_is(backend)}, **options: Any"
        found.append(overload(f"get({given})", class_of(backend)))
    for backend in BACKENDS:
        names = "_NameWithoutCenters" if backend is None else "LossName"
        given = f"name: {names}, {backend_is(backend)}, **options: Unpack[_CommonOptions]"
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
    every_loss = [one for group in every for one in group.losses]
    boosted = Group([one for one in every_loss if one.hess and (one.kind == "elementwise" or one.has_labels)])
    return f"""\
_Boosted: TypeAlias = {literal(boosted.names)}
{typed_dict("_BoostedOptions", boosted.own, f"_{boosted.title}Options")}
def objective(name: _Boosted | Definition, library: {literal(boosting.LIBRARIES)}, *, \
hessian: {literal(("auto", "exact", "constant"))} = "auto", **given: Unpack[_BoostedOptions]) -> Objective: ..."""


def stub() -> str:
    """The text of `multiloss/typing.pyi`."""
    every, parts = groups(), [HEAD]
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
    sets = [part for group in every for part in group.by_options()]
    assert len({part.options_title for part in sets}) == len(sets), "two sets of options have one name"
    parts += [f"_{part.options_title}Name: TypeAlias = {literal(part.names)}" for part in sets]
    parts.append(f"CenterName: TypeAlias = {literal(registry.CENTER)}")
    parts.append(f"Alias: TypeAlias = {literal([*aliases, *center_aliases])}")
    parts.append(f"_NameWithoutCenters: TypeAlias = {literal(name for part in sets for name in part.names)}")
    parts.append("LossName: TypeAlias = _NameWithoutCenters | CenterName")
    parts.append(MIDDLE)
    for group in every:
        parts += group.classes()
    parts += ["class _Center:", *attributes(center_options())]
    parts += [f"class _{b.title()}Center(_Center, {b.title()}Center): ..." for b in BACKENDS if b is not None]
    parts += [typed_dict("_CenterOptions", center_options()), typed_dict("_CommonOptions", COMMON)]
    text = "\n".join([*parts, *gets(every), *ports(), objective(every), ""])
    return "\n".join(map(wrapped, text.split("\n")))


def wrapped(line: str) -> str:
    """A list of names, in as many lines as it takes. (ruff would give each name of a loss a line.)"""
    if len(line) <= WIDTH or not (": TypeAlias = " in line or line.startswith("__all__")):
        return line
    head, inside = line[:-1].split("[", 1)
    inside = textwrap.fill(inside, WIDTH, initial_indent="    ", subsequent_indent="    ")
    return f"{head}[\n{inside}\n]"


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        if STUB.read_text(encoding="utf-8") != stub():
            sys.exit("multiloss/typing.pyi is not what the registry says; run python scripts/make_types.py")
    else:
        STUB.write_text(stub(), encoding="utf-8")

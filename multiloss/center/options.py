"""The options of the losses with a table of centers: each is said once, with its default and what it means."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from multiloss.center.state import real_table
from multiloss.engine import dispatch, options, registry
from multiloss.engine.definition import Definition
from multiloss.engine.loss import Spec
from multiloss.engine.options import Count, UnitInterval
from multiloss.engine.table import Rule, Table


class _Option(NamedTuple):
    """What an option means, which backends have it (none named: all), and which tables."""

    means: str
    backends: tuple[str, ...] = ()
    of: Callable[[Table], bool] = lambda table: True


def _has_classes(table: Table) -> bool:
    return not table.one_row


@dataclasses.dataclass(frozen=True)
class CenterOptions:
    """The options of a center loss, normalised. An annotation says how one is read, what it means and who has it."""

    loss: Annotated[str, options.one_of(*registry.TABLES)] = "center"
    own: tuple[tuple[str, Any], ...] = ()
    """The options that the definition of this loss declares."""
    alpha: Annotated[UnitInterval, _Option("the step size of the centers, from 0 (they stay where they are) to 1")] = (
        0.5
    )
    num_classes: Annotated[
        Count | None, _Option("how many centers there are; None: as many as the labels that come need", of=_has_classes)
    ] = None
    feature_dim: Annotated[
        Count | None, _Option("the length of a center; None: that of the first features that come", of=_has_classes)
    ] = None
    centers_init: Annotated[
        Literal["zeros", "normal"],
        _Option(
            'the first centers: `"zeros"`; `"normal"`, drawn with `seed`, the same on every backend; or an array '
            "(num_classes, feature_dim)",
            of=_has_classes,
        ),
    ] = "zeros"
    seed: Annotated[int, _Option('the seed with which `centers_init="normal"` draws', of=_has_classes)] = 0
    reduction: Annotated[
        str,
        options.reduction,
        _Option('what is made of the values of the samples, as in every loss; the papers have `"sum"`'),
    ] = "mean"
    update: Annotated[
        Literal["auto", "manual"],
        _Option('`"auto"`: each training step moves the centers; `"manual"`: only `update` of the loss does'),
    ] = "auto"
    max_classes: Annotated[Count, _Option("to how many classes the centers grow by themselves", of=_has_classes)] = (
        65536
    )
    validate: Annotated[
        bool | None, _Option("False: labels are not checked, and one out of range makes the value nan")
    ] = None
    preset: Annotated[
        str | None,
        _Option(
            "take value and step of another implementation, whose name this is", of=lambda table: len(table.presets) > 1
        ),
    ] = None
    axis_name: Annotated[
        Annotated[Any, options.names] | None,
        _Option("the mesh axes whose devices move the centers together", ("jax",)),
    ] = None
    sharded: Annotated[
        bool, _Option("each process holds a block of the classes", ("torch",), lambda table: table.sharded)
    ] = False
    initial: Any = dataclasses.field(default=None, compare=False, repr=False)
    """The first centers, where `centers_init` is an array: data of a run, and no option."""
    process_group: Annotated[
        Any, _Option("the processes that move the centers together; False: this one alone", ("torch", "keras"))
    ] = dataclasses.field(default=None, compare=False, repr=False)

    spec: Spec = dataclasses.field(init=False, compare=False, repr=False)
    """The value as a loss of the pipeline: targets are the gathered rows, predictions the features."""

    def __post_init__(self) -> None:
        own = self.own
        if "factor" in self.definition.options:  # the preset decides it
            own = (*own, ("factor", self.rule.factor))
        object.__setattr__(self, "spec", Spec(self.definition, own, reduction=self.reduction, validate=False))

    def __reduce__(self) -> tuple[Any, ...]:
        # A pickle holds what these options were made of, and no code.
        return CenterOptions, tuple(getattr(self, f.name) for f in dataclasses.fields(self) if f.init)

    @property
    def definition(self) -> Definition:
        """The loss."""
        return registry.TABLES[self.loss]

    @property
    def table(self) -> Table:
        """What it says of its table."""
        table: Any = self.definition.table
        return table

    @property
    def moves_all(self) -> bool:
        """Whether a step may move every class, as that of some of the family does."""
        return self.table.moves_all(dict(self.own))

    @property
    def rule(self) -> Rule:
        """The scale of the value and the step of the centers."""
        return self.table.presets[self.preset][0]

    def readable(self, backend: str) -> dict[str, Any]:
        """The options that this loss has on a backend."""
        named = [name for name in _of(self.table) if name in _READERS]
        there = [name for name in named if not _OPTIONS[name].backends or backend in _OPTIONS[name].backends]
        return dict(self.own) | {name: getattr(self, name) for name in there}

    def means(self) -> dict[str, str]:
        """What those options mean that every loss with a table has."""
        return {name: option.means for name, option in _OPTIONS.items()}

    def given(self) -> dict[str, Any]:
        """The options as `read_options` takes them, in plain JSON data; the centers are not in it."""
        every = {name: getattr(self, name) for name in _of(self.table) if name in _READERS}
        shown = {name: value for name, value in every.items() if value or not _OPTIONS[name].backends}
        return {"loss": self.loss, **dict(self.own), **shown}

    def config(self) -> dict[str, Any]:
        """Plain JSON data from which `multiloss.get(**config)` makes an equal center loss (without its centers)."""
        given = self.given()
        return {"name": given.pop("loss")} | given


_OPTIONS = {
    name: part
    for name, hint in typing.get_type_hints(CenterOptions, include_extras=True).items()
    for part in getattr(hint, "__metadata__", ())
    if isinstance(part, _Option)
}
_READERS = {
    name: options.reader_of(CenterOptions.__init__, name) for name in ("loss", *_OPTIONS) if name != "process_group"
}


def _of(table: Table) -> list[str]:
    """The options that a table has."""
    return [name for name, option in _OPTIONS.items() if option.of(table)]


def all_names() -> set[str]:
    """The names of the options that some loss with a table has."""
    return {*_OPTIONS}.union(*(definition.options for definition in registry.TABLES.values())) - {"factor"}


def explained(loss: str) -> list[tuple[str, Any, str]]:
    """Each option of a loss with a table: name, default, and what it means."""
    chosen = read_options({"loss": loss})
    every = [(name, default, options.meaning_of(chosen.definition.value, name)) for name, default in chosen.own]
    for name in _of(chosen.table):
        only = f" ({', '.join(backends)} only)" if (backends := _OPTIONS[name].backends) else ""
        known = f": {', '.join(map(repr, filter(None, chosen.table.presets)))}" if name == "preset" else ""
        every.append((name, getattr(chosen, name), _OPTIONS[name].means + known + only))
    return every


def read_options(given: dict[str, Any]) -> CenterOptions:
    """Normalise the options of `multiloss.get("center", ...)`."""
    given = dict(given)
    process_group = given.pop("process_group", None)
    loss = _READERS["loss"]("loss", given.pop("loss", "center"))
    definition = registry.TABLES[loss]
    table: Any = definition.table
    defaults = {name: default for name, default in definition.options.items() if name != "factor"}
    known = [*defaults, *(name for name in _of(table) if name in _READERS)]
    for name in given:
        if name not in known:
            raise registry.unknown_option(loss, name, known)
    names = [name for name in table.presets if name]
    preset = options.optional(options.one_of(*names))("preset", given.get("preset"))
    given = {**table.presets[preset][1], **given}
    chosen = {name: definition.readers[name](name, given.pop(name, default)) for name, default in defaults.items()}
    if table.first is not None:
        given["centers_init"] = table.first(chosen)
    array, initial = None, given.get("centers_init")
    if initial is not None and not isinstance(initial, str):
        array = real_table(given.pop("centers_init"), "centers_init must be 'zeros', 'normal' or")
        for name, size in zip(("num_classes", "feature_dim"), array.shape, strict=True):
            if given.get(name) not in (None, size):
                raise ValueError(f"centers_init has shape {array.shape}, which contradicts {name}={given[name]}")
            given[name] = size
    read = {name: _READERS[name](name, value) for name, value in given.items() if name != "preset"}
    if read.get("num_classes") and "max_classes" not in read:
        read["max_classes"] = max(65536, read["num_classes"])
    return CenterOptions(
        loss=loss, own=tuple(chosen.items()), preset=preset, **read, initial=array, process_group=process_group
    )


def make(backend: str | None, given: Mapping[str, Any]) -> Any:
    """The center loss of a backend. It holds centers, so the backend must be named."""
    if backend is None:
        name = given.get("loss", "center")
        raise ValueError(f"{name} loss holds centers, so it needs a backend: multiloss.get({name!r}, backend='torch')")
    read = read_options(dict(given))
    for name in _of(read.table):
        only = _OPTIONS[name].backends
        if only and backend not in only and given.get(name) is not None:
            raise ValueError(f"{name} is an option of the {only[0]} backend's center loss, got backend={backend!r}")
    be = dispatch.backend(backend)
    if not hasattr(be, "center"):
        raise ValueError(f"the backend {backend!r} has no losses that hold centers: its adapter defines no `center`")
    return be.center(read)


def words(chosen: CenterOptions, dim: int | None) -> list[str]:
    """The value, the step and the effective alpha, a line each."""
    if len(chosen.table.presets) == 1:  # no preset changes what is computed, so the docstring's first line says it
        about = chosen.definition.doc.partition("\n\n")[0]
        own = ", ".join(f"{name} = {value}" if value is None else f"{name} = {value:g}" for name, value in chosen.own)
        step = "a step of its own, of all classes" if chosen.moves_all else chosen.table.step_in_words
        return [about, f"value: {_REDUCTIONS[chosen.reduction]} it, {own}", f"step: {step}, alpha = {chosen.alpha:g}"]
    rule = chosen.rule
    over_d = f" / {dim or 'D'}" if dict(chosen.own)["per_feature"] else ""
    divisor = "".join([" / (1 + n_j)"] * rule.by_class + [" / B"] * rule.by_batch)
    n, batch = 13, 128
    alpha = f"{rule.effective_alpha(chosen.alpha, n, batch):.4g}"
    same = " and for any other" if rule.by_class and not rule.by_batch else ""
    return [
        f"center loss{f', preset {chosen.preset!r}' if chosen.preset else ''}: {rule.source}",
        f"value: {_REDUCTIONS[chosen.reduction]} {rule.factor / 2:g} |x - c_y|^2{over_d}",
        f"step: c_j -= {chosen.alpha * rule.step_factor:g} sum(c_j - x_i){divisor}",
        f"effective alpha: {alpha}, of Eq. 4, for a class with {n} of {batch} samples{same}",
    ]


_REDUCTIONS = {
    "mean": "mean over the samples of",
    "weighted_mean": "weighted mean over the samples of",
    "sum": "sum over the samples of",
    "batchmean": "sum over the samples, divided by the batch size, of",
    "none": "per sample",
}

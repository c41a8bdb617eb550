"""A row of the tables: a function of a source loss's arguments that returns the loss of this library that it is.

    @source("torch.nn.HuberLoss", "torch.nn.functional.huber_loss")
    def huber(reduction="mean", delta=1.0):
        return Row("huber", delta=delta, reduction=torch_reduction(reduction), axis=())

The function has the signature of the source, without the arrays, so Python binds the arguments that a user wrote and
refuses those that the source does not have. It raises `RefusedError` if no loss of this library gives these numbers.

The way back leads from the options of a loss here to the arguments of the source. Equal names are not declared.
`back={"eps": "epsilon"}` says that the argument `eps` is the option `epsilon`; a function of all options may compute an
argument. What all sources of a library have, such as its reductions, is declared once, at `adder`.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from multiloss.porting.parse import Expression, not_literal

Back = Mapping[str, str | Callable[[Mapping[str, Any]], Any]]
"""For an argument of a source: the name of the option that has its value, or a function of all options."""


class RefusedError(ValueError):
    """A source loss that cannot be ported exactly, with the reason."""


@dataclasses.dataclass(frozen=True, init=False)
class Row:
    """A loss of this library with its options, and notes on the conventions that differ."""

    loss: str
    options: dict[str, Any]
    notes: tuple[str, ...]

    def __init__(self, loss: str, *notes: str, **options: Any) -> None:
        object.__setattr__(self, "loss", loss)
        object.__setattr__(self, "notes", notes)
        object.__setattr__(self, "options", options)


@dataclasses.dataclass(frozen=True)
class Source:
    """One public loss of another library."""

    name: str
    """Its canonical dotted name: "torch.nn.HuberLoss"."""
    data: tuple[str, ...]
    """The arrays that its call takes, in its order, under the names that they have here."""
    row: Callable[..., Row]
    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Values of arguments of `row` that this source does not have."""
    back: Back = dataclasses.field(default_factory=dict)
    """The way back, for arguments whose option has another name."""
    refusal: str | None = None
    """Why it is never ported, if it is not."""

    @property
    def is_class(self) -> bool:
        """Whether it is a class: made with its options, then called with arrays."""
        return self.name.rpartition(".")[2][0].isupper()

    @property
    def usual_loss(self) -> str | None:
        """The loss of this library that it is without arguments; None if it needs some, or is not ported."""
        try:
            return self.to_row(self.arguments((), {})).loss
        except (TypeError, RefusedError):
            return None

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """Its parameters besides arrays, in its order."""
        own = inspect.signature(self.row).parameters
        return {name: p for name, p in own.items() if name not in self.fixed and name != "targets"}

    @property
    def chooses_targets(self) -> bool:
        """Whether it takes integer labels and probabilities alike, which are two losses here."""
        return "targets" in inspect.signature(self.row).parameters

    def arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The given arguments by name; TypeError for one that the source does not have."""
        if self.refusal is not None:
            raise RefusedError(f"{self.name} is not ported: {self.refusal}")
        known = list(self.parameters)
        listed = ", ".join(known) or "none"
        if not self.is_class:
            args, kwargs = self._without_arrays(args, kwargs)
        if len(args) > len(known):
            raise TypeError(f"{self.name} takes at most {len(known)} arguments ({listed}), got {len(args)}")
        given = dict(zip(known, args, strict=False))
        for name, value in kwargs.items():
            if name not in known:
                raise TypeError(f"{self.name} has no argument {name!r} (its arguments: {listed})")
            if name in given:
                raise TypeError(f"{self.name} got {name!r} twice")
            given[name] = value
        for name, value in given.items():
            if isinstance(value, Expression):
                raise not_literal(name, value)
        missing = [name for name, p in self.parameters.items() if p.default is p.empty and name not in given]
        if missing:
            raise TypeError(f"{self.name} needs {missing[0]!r}")
        return given

    def _without_arrays(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments of a function without its arrays, which a written form names (`huber_loss(x, y)`) or not."""
        arrays, options = args[: len(self.data)], args[len(self.data) :]
        if not all(isinstance(x, Expression) for x in arrays):
            raise TypeError(
                f"{self.name}: leave out the arrays ({', '.join(self.data)}), or name them as in a call, and give its "
                f"options by name ({', '.join(self.parameters) or 'none'})"
            )
        named = [name for name, x in kwargs.items() if isinstance(x, Expression) and name not in self.parameters]
        named = named[: len(self.data) - len(arrays)]
        return options, {name: x for name, x in kwargs.items() if name not in named}

    def way_back(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments that these options translate to, without those that are the source's defaults.

        An option that the loss does not have, or that is None, leaves the default.
        """
        found = {}
        for name, parameter in self.parameters.items():
            way = self.back.get(name, name)
            if callable(way):
                value = way(options)
            else:
                own = options.get(way, options.get(name))
                value = parameter.default if own is None else own
            if value != parameter.default:
                found[name] = value
        return found

    def to_row(self, arguments: Mapping[str, Any], targets: str = "labels") -> Row:
        """The loss of this library that it is with these arguments."""
        chosen = {"targets": targets} if self.chooses_targets else {}
        return self.row(**arguments, **self.fixed, **chosen)


Rows = dict[str, Source]


def adder(
    rows: Rows, order: str, of_functions: Mapping[str, Any] | None = None, shared: Back | None = None
) -> Callable[..., Callable[[Callable[..., Row]], Callable[..., Row]]]:
    """A decorator that adds a row to a table, for one or several sources.

    `order` names the arrays of all sources that do not say otherwise, `of_functions` the arguments that are fixed for
    functions, and `shared` the way back of arguments that all sources have.
    """

    def source(
        *names: str, data: str = order, back: Back | None = None
    ) -> Callable[[Callable[..., Row]], Callable[..., Row]]:
        def add(row: Callable[..., Row]) -> Callable[..., Row]:
            for name in names:
                made = Source(name, tuple(data.split()), row, back={**(shared or {}), **(back or {})})
                rows[name] = made if made.is_class else dataclasses.replace(made, fixed=of_functions or {})
            return row

        return add

    return source


def refuses(rows: Rows, name: str, why: str) -> None:
    """Add a source that is never ported."""
    rows[name] = Source(name, (), Row, refusal=why)

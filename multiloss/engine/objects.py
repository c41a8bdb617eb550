"""What all objects that users hold share: options that are read and never assigned, and help that tells of them."""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, ClassVar, TypeVar

from multiloss.engine import checks
from multiloss.engine.definition import Definition
from multiloss.engine.page import Page

_html: list[Callable[[Any, Page], str]] = []


def show_by(function: Callable[[Any, Page], str]) -> None:
    """Let `function` make the HTML of an object for notebooks, from it and its page."""
    _html[:] = [function]


class _Doc:
    """The docstring of a class; that of its objects is their own page, which `help` shows."""

    def __init__(self, text: str | None) -> None:
        self.text = text

    def __get__(self, thing: Any, kind: Any = None) -> str | None:
        return (None if thing is None else thing._text()) or self.text


class _CallSignature:
    """What `inspect.signature` and `help` show of an object: the inputs of its loss. Classes have their usual one."""

    def __get__(self, thing: Any, kind: Any = None) -> inspect.Signature:
        found = None if thing is None else thing._signature()
        if found is None:
            raise AttributeError("__signature__")
        return found


class _Option:
    """An option as an attribute of a class."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, thing: Any, kind: Any = None) -> Any:
        options = {self.name: self} if thing is None else thing._options()
        if self.name not in options:
            raise AttributeError(f"{type(thing).__name__!r} object has no attribute {self.name!r}")
        return options[self.name]

    def __repr__(self) -> str:
        return f"<option {self.name}>"


_Class = TypeVar("_Class", bound=type)


def with_options(names: Iterable[str]) -> Callable[[_Class], _Class]:
    """Let the objects of a class have these options as attributes, but where the class itself has one of that name.

    A `__getattr__` would do it, too. But it makes every attribute of an object slower to find, and `torch.compile`
    cannot trace it where it stands before that of `nn.Module`.
    """

    def install(kind: _Class) -> _Class:
        for name in names:
            if not hasattr(kind, name):
                setattr(kind, name, _Option(name))
        return kind

    return install


class FixedOptions:
    """Options are attributes that can be read. Assigning one is refused, since it would be ignored: options are read
    when the object is made.

    Where the framework has an attribute of the name of an option, that is what the name means.
    """

    _help_name: ClassVar[str] = "loss"
    """The name that examples give such an object."""
    _help_methods: ClassVar[tuple[str, ...]] = ()
    """The methods of which help tells."""
    __signature__ = _CallSignature()

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.__doc__ = _Doc(cls.__dict__.get("__doc__"))  # type: ignore[assignment]

    def _options(self) -> Mapping[str, Any]:
        """The options and their values; none while the object is being made."""
        raise NotImplementedError

    def _hold_options(self) -> None:
        """Have the options as attributes of this object, but for names that mean something else here. An object whose
        options can change has them by its class (`with_options`)."""
        self.__dict__.update({name: x for name, x in self._options().items() if not hasattr(self, name)})

    def _fixed(self) -> Collection[str]:
        """The names that cannot be assigned; none while the object is being made, since frameworks assign some of them
        then."""
        return self._options()

    def _instead(self, name: str, value: str) -> str:
        """What to do instead of assigning the option."""
        raise NotImplementedError

    def _definition(self) -> Definition | None:
        """The loss; None while the object is being made."""
        return None

    def _means(self) -> Mapping[str, str]:
        """What options and inputs mean of which the docstring of the loss does not tell."""
        return {}

    def _signature(self) -> inspect.Signature | None:
        """How the object is called; None: as its class says."""
        return None

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and name in self._fixed():  # calls assign names with an underscore only
            raise checks.fixed_option(name, self._instead(name, " ".join(reprlib.repr(value).split())))
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        options, kind = self._options(), type(self)
        others = {name for name in super().__dir__() if not isinstance(getattr(kind, name, None), _Option)}
        return sorted(others.union(options))

    def _another(self) -> str:
        """What makes an object with other options."""
        raise NotImplementedError

    def _page(self) -> Page | None:
        """What is told of this object; None while it is being made."""
        definition = self._definition()
        if definition is None:
            return None
        called: Any = self
        options, signature = self._options(), inspect.signature(called)
        return Page(
            definition=definition,
            options=options,
            means=self._means(),
            inputs=[name for name in signature.parameters if name not in options],
            elsewhere={name: self._elsewhere(name) for name, x in options.items() if not self._has(name, x)},
            another=self._another(),
            source=getattr(self, "source", None),
            notes=getattr(self, "notes", ()),
            about=self._about(signature),
        )

    def _text(self) -> str | None:
        """The page for a terminal; None while the object is being made."""
        page = self._page()
        return None if page is None else page.text()

    def _has(self, name: str, value: Any) -> bool:
        """Whether that attribute is this value."""
        own = getattr(self, name, self)
        return type(own) is type(value) and repr(own) == repr(value)

    def _elsewhere(self, name: str) -> str:
        """Where an option is read whose name the framework, or this library, has for something else."""
        said = self._help_name
        return f"{said}.config()[{name!r}] reads it, since {said}.{name} is another attribute of {type(self).__name__}"

    def _about(self, signature: inspect.Signature) -> str:
        """What kind of object it is, how it is called, and its methods."""
        kind, said = type(self), self._help_name
        plain = [x.replace(annotation=x.empty) for x in signature.parameters.values()]
        lines = [f"{kind.__name__}, called as {said}{inspect.Signature(plain)}."]
        if kind.__doc__:
            lines.append(inspect.cleandoc(kind.__doc__).partition("\n\n")[0])
        if self._help_methods:
            lines.append(f"Methods: {', '.join(self._help_methods)}; help(type({said})) tells of them.")
        return "\n".join(lines)

    def _repr_html_(self) -> str | None:
        """The page in a notebook; None, for which notebooks show the `repr`, if it cannot be made."""
        try:
            page = self._page()
            return None if page is None or not _html else _html[0](self, page)
        except Exception:  # of a user's own subclass: its `repr` is shown
            return None

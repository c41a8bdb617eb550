"""How an option of a loss is read when the loss is made: normalised to plain JSON data, or refused by name.

A reader takes `(name, value)` and returns a bool, int, float, str, tuple or None. So a config is plain data, two specs
are equal when their options are, and `1` and `1.0` make one jit cache entry. The annotation of an option chooses its
reader: `delta: Positive = 1.0` (`reader_of`).
"""

from __future__ import annotations

import contextlib
import inspect
import itertools
import math
import operator
import types
import typing
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

Reader = Callable[[str, Any], Any]


def _plain_array(value: Any) -> Any:
    """Arrays and tensors of any framework as numbers and nested lists."""
    if hasattr(value, "numpy") and not hasattr(value, "tolist"):  # TensorFlow's
        value = value.numpy()
    return value.tolist() if hasattr(value, "tolist") else value


REDUCTIONS = ("mean", "weighted_mean", "sum", "batchmean", "none")
KERAS_WEIGHTED = "keras.weighted_mean"
"""Keras' `mean_with_sample_weight`, of ported losses: it divides by the sum of the weights in the shape in which they
came, where a weight that stands for several values counts once."""
_FOREIGN_REDUCTIONS = {
    "sum_over_batch_size": "mean",
    "mean_with_sample_weight": "weighted_mean",
    "elementwise_mean": "mean",
}


def flag(name: str, value: Any) -> bool:
    """True or False; 0 and 1 are read as such."""
    value = _plain_array(value)
    if isinstance(value, (bool, int)) and value in (0, 1):
        return bool(value)
    raise TypeError(f"{name} must be True or False, got {value!r}")


def real(name: str, value: Any) -> float:
    """A finite real number."""
    number = _any_real(name, value)
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {number}")
    return number


def _any_real(name: str, value: Any) -> float:
    if isinstance(value, (bool, str)) or value is None:
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(
            f"{name} must be a number that a float can hold, got an integer of {len(hex(value)) - 2} hex digits"
        ) from None
    except (TypeError, ValueError):
        kind = type(value).__name__
        hint = f"; a traced one is given at the call: loss(y_true, y_pred, {name}=...)" if "Tracer" in kind else ""
        raise TypeError(f"{name} must be a number, got {kind}{hint}") from None


def _which(reader: Reader, fits: Callable[[Any], bool], must: str) -> Reader:
    """`reader`, restricted to the numbers that fit; the error for others says what a number must be."""

    def read(name: str, value: Any) -> Any:
        number = reader(name, value)
        if not fits(number):
            raise ValueError(f"{name} {must}, got {number if isinstance(number, int) else format(number, 'g')}")
        return number

    read.__doc__ = f"{str(reader.__doc__).removesuffix('.')} that {must}."
    return read


positive = _which(real, lambda x: x > 0, "must be positive")
non_negative = _which(real, lambda x: x >= 0, "must not be negative")
unit_interval = _which(real, lambda x: 0 <= x <= 1, "must be in [0, 1]")
open_unit = _which(real, lambda x: 0 < x <= 1, "must be in (0, 1]")
below_half = _which(real, lambda x: 0 <= x < 0.5, "must be in [0, 0.5)")  # so that p and 1 - p are never both floored
angle = _which(real, lambda x: 0 <= x <= math.pi, "is an angle in radians and must be in [0, pi]")


def between(low: float, high: float) -> Reader:
    """A reader of real numbers above `low` and below `high`."""
    return _which(real, lambda x: low < x < high, f"must be above {low:g} and below {high:g}")


def integer(name: str, value: Any) -> int:
    """An integer."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None


count = _which(integer, lambda n: n >= 1, "must be at least 1")
non_negative_integer = _which(integer, lambda n: n >= 0, "must not be negative")


def _list_of(reader: Reader, what: str = "a list", *, may_be_empty: bool = True) -> Reader:
    def read(name: str, value: Any) -> tuple[Any, ...]:
        value = _plain_array(value)
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise TypeError(f"{name} must be {what}, got {value!r}")
        if not value and not may_be_empty:
            raise ValueError(f"{name} must not be empty")
        return tuple(reader(f"{name}[{i}]", item) for i, item in enumerate(value))

    return read


def vector(name: str, value: Any) -> tuple[float, ...]:
    """A list or array of real numbers, kept as a tuple."""
    return _list_of(real, "a list of numbers", may_be_empty=False)(name, value)


def increasing(name: str, value: Any) -> tuple[float, ...]:
    """A list or array of real numbers, each above the one before."""
    numbers = vector(name, value)
    for i, (before, now) in enumerate(itertools.pairwise(numbers), 1):
        if now <= before:
            raise ValueError(f"{name} must be increasing, but {name}[{i}] is {now:g} after {before:g}")
    return numbers


def one_or_each(reader: Reader) -> Reader:
    """A reader of one value, or of a list of them."""
    each = _list_of(reader, may_be_empty=False)

    def read(name: str, value: Any) -> Any:
        value = _plain_array(value)
        return (each if isinstance(value, (list, tuple)) else reader)(name, value)

    return read


def text(name: str, value: Any) -> str:
    """A string."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {value!r}")
    return str(value)


def one_of(*choices: Any) -> Reader:
    """A reader of one of `choices`: strings, integers, True, False or None."""

    def read(name: str, value: Any) -> Any:
        plain = str(value) if isinstance(value, str) else _plain_array(value)
        for choice in choices:
            if type(plain) is type(choice) and plain == choice:  # 1 is neither True nor 1.0
                return choice
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")

    return read


def names(name: str, value: Any) -> str | tuple[str, ...]:
    """A name, or a tuple of names."""
    value = _plain_array(value)
    if isinstance(value, str) and value:
        return value
    if isinstance(value, list | tuple) and value and all(isinstance(item, str) and item for item in value):
        return tuple(value)
    raise ValueError(f"{name} must be a name or a tuple of names, got {value!r}")


def optional(reader: Reader) -> Reader:
    """The same reader, or None."""
    return lambda name, value: None if value is None else reader(name, value)


def reduction(name: str, value: Any) -> str:
    """One of the five reductions; other libraries' names get a hint."""
    if isinstance(value, str) and value in REDUCTIONS:
        return str(value)
    hint = _FOREIGN_REDUCTIONS.get(str(value), "none" if value is None else "")
    raise ValueError(
        f"{name} must be one of {', '.join(map(repr, REDUCTIONS))}, got {value!r}"
        + (f"; what you mean is called {hint!r} here" if hint else "")
    )


def reduction_of_port(name: str, value: Any) -> str:
    """One of the five, or `KERAS_WEIGHTED`."""
    return KERAS_WEIGHTED if value == KERAS_WEIGHTED else reduction(name, value)


def axis(name: str, value: Any) -> int | tuple[int, ...] | None:
    """An axis, a tuple of axes (`()` keeps single elements), or None for all of them."""
    value = _plain_array(value)
    if value is None:
        return None
    if isinstance(value, (list, tuple)):
        axes = tuple(integer(name, item) for item in value)
        if len(set(axes)) != len(axes):
            raise ValueError(f"{name} names an axis twice: {axes}")
        return axes
    return integer(name, value)


def single_axis(name: str, value: Any) -> int:
    """The one axis of the classes."""
    value = _plain_array(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise TypeError(f"{name} must be one integer (the axis of the classes), got {value!r}")


Positive = Annotated[float, positive]
"""Above 0."""
NonNegative = Annotated[float, non_negative]
"""0 or above."""
UnitInterval = Annotated[float, unit_interval]
"""In [0, 1]."""
OpenUnit = Annotated[float, open_unit]
"""In (0, 1]."""
BelowHalf = Annotated[float, below_half]
"""In [0, 0.5)."""
Angle = Annotated[float, angle]
"""Radians, in [0, pi]."""
Count = Annotated[int, count]
"""An integer of at least 1."""
NonNegativeInteger = Annotated[int, non_negative_integer]
"""An integer, 0 or above."""
Vector = Annotated[tuple[float, ...], vector]
"""A list or array of real numbers."""
Increasing = Annotated[tuple[float, ...], increasing]
"""The same, each above the one before."""
OneOrEach = Annotated[float | tuple[float, ...], one_or_each(real)]
"""A real number, or a list of them."""
Axis = Annotated[int | tuple[int, ...] | None, axis]
"""An axis, a tuple of axes, or None for all."""


def reader_of(function: Callable[..., Any], option: str) -> Reader:
    """The reader of an option of `function`, by its annotation, or without one by the type of its default (`like`).

    The reader is the first callable of an `Annotated`; `Literal` takes its values, `float`, `int`, `bool` and `str`
    such values, and `X | None` also None. An annotation that cannot be resolved where the function stands (an alias
    local to another function, under `from __future__ import annotations`) is ignored.
    """
    parameter = inspect.signature(function).parameters[option]
    hint = _resolved(function, option, parameter.annotation)
    return _understood(hint, parameter.default) or like(parameter.default)


def as_declared(function: Callable[..., Any], option: str, value: Any) -> Any:
    """A value for an option of `function`, read by its reader."""
    return reader_of(function, option)(option, value)


def meaning_of(function: Callable[..., Any], option: str) -> str:
    """What an option of `function` means, if its annotation says it: `Annotated[bool, "divide by the length"]`."""
    hint = _resolved(function, option, inspect.signature(function).parameters[option].annotation)
    return next((part for part in getattr(hint, "__metadata__", ()) if isinstance(part, str)), "")


def _resolved(function: Callable[..., Any], option: str, annotation: Any) -> Any:
    """One annotation, evaluated if it is a string; None if it cannot be."""
    function = inspect.unwrap(function)
    closure = {}
    free = getattr(getattr(function, "__code__", None), "co_freevars", ())
    for name, cell in zip(free, getattr(function, "__closure__", None) or (), strict=False):
        with contextlib.suppress(ValueError):  # not assigned yet: the name of a function that is being decorated
            closure[name] = cell.cell_contents
    one = types.SimpleNamespace(__annotations__={option: annotation})
    try:
        return typing.get_type_hints(one, getattr(function, "__globals__", {}), closure, include_extras=True)[option]
    except Exception:  # whatever the evaluation of a user's annotation raises
        return None


def _understood(hint: Any, default: Any) -> Reader | None:
    """The reader that a resolved annotation names, or None."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return next(filter(callable, parts[1:]), None) or _understood(parts[0], default)
    if origin in (typing.Union, types.UnionType):
        some = [part for part in parts if part is not types.NoneType]
        reader = _understood(some[0], default) if len(some) == 1 else None
        return reader and optional(reader)
    if origin is Literal:
        reader = one_of(*parts) if all(type(part) in (str, int, bool, types.NoneType) for part in parts) else None
    elif hint is float and isinstance(default, float) and not math.isfinite(default):
        reader = _any_real
    else:
        reader = next((read for kind, read in _PLAIN_TYPES if hint is kind), None)
    return optional(reader) if reader and default is None else reader  # None may be given where it is the default


_PLAIN_TYPES: tuple[tuple[type, Reader], ...] = ((float, real), (int, integer), (bool, flag), (str, text))


def like(default: Any) -> Reader:
    """The reader for an option that has no annotation, from its default value."""
    if isinstance(default, bool):
        return flag
    if isinstance(default, int):
        return _number
    if isinstance(default, float):
        return real if math.isfinite(default) else _any_real
    if isinstance(default, (tuple, list)):
        numbers = bool(default) and all(type(item) in (int, float) for item in default)
        readers = [like(item) for item in default]
        return _list_of(next(r for r in (_any_real, real, _number) if r in readers) if numbers else _plain)
    return _plain


def _number(name: str, value: Any) -> int | float:
    # An option with the default 2 takes 2.5, too. A whole number becomes an int, so that the loss can count with it.
    value = _plain_array(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    number = real(name, value)
    return int(number) if number.is_integer() else number


def _plain(name: str, value: Any) -> Any:
    value = _plain_array(value)
    if isinstance(value, (list, tuple)):
        return tuple(_plain(name, item) for item in value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{name} must be plain data (bool, number, str, list or None), got {type(value).__name__}")

"""An option is read as its annotation says, wherever the function that declares it stands."""

import importlib
import json
import math
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import numpy as np
import pytest

import multiloss
from multiloss.center.options import _READERS, CenterOptions
from multiloss.engine import learned_weight as owners
from multiloss.engine import loss, options, registry
from multiloss.engine.definition import Definition
from multiloss.engine.options import Positive
from multiloss.porting import variants

FUTURE = "from __future__ import annotations\n"
NAMES = """
import math
from typing import Annotated, Any, Literal, Optional, Union
import multiloss
from multiloss import options
from multiloss.engine.options import Count, Positive, Vector, between, one_or_each
"""
LOSS = """
@multiloss.register("own")
def own(xp, y_true: Unknown, y_pred: "Unknown too", *, other: "Unknown" = 1, option{annotation} = {default}):
    return y_pred - y_true
"""
"""The annotations of what is no option are not read, and one that is not understood is not in the way of the others."""


pytestmark = pytest.mark.usefixtures("own_registry")


def run_as_module(source: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, "<cell>", "exec", dont_inherit=True), names)  # not with this file's own __future__
    return names


def option(**given: Any) -> Any:
    return multiloss.get("own", **given).config()["option"]


FORMS: list[tuple[str, str, list[tuple[Any, Any]], list[tuple[Any, str]]]] = [
    # annotation, default, what is read as what, what is refused in which words
    ("float", "1.0", [(2, 2.0), (0.5, 0.5)], [("a", "option must be a number"), (math.inf, "option must be finite")]),
    ("float", "2", [(3, 3.0), (2.5, 2.5)], [(None, "option must be a number, got None")]),
    ("float", "math.inf", [(-math.inf, -math.inf), (1, 1.0)], [("a", "option must be a number")]),
    ("int", "2", [(3, 3), (np.int64(4), 4)], [(2.5, "option must be an integer, got 2.5"), (True, "an integer")]),
    ("bool", "False", [(1, True), (np.bool_(True), True)], [(2, "option must be True or False, got 2")]),
    ("str", "'a'", [("b", "b")], [(1, "option must be a string, got 1"), (None, "option must be a string")]),
    ("Literal['mean', 'sum']", "'sum'", [("mean", "mean")], [("min", "must be one of 'mean', 'sum', got 'min'")]),
    ("Literal[1, 2]", "1", [(2, 2), (np.int64(2), 2)], [(3, "must be one of 1, 2, got 3"), (True, "1, 2, got True")]),
    (
        "Literal['a', False, None]",
        "None",
        [(False, False), ("a", "a")],
        [(0, "must be one of 'a', False, None, got 0")],
    ),
    ("float | None", "None", [(2, 2.0), (None, None)], [("a", "option must be a number, got 'a'")]),
    ("None | int", "3", [(None, None), (4, 4)], [(0.5, "option must be an integer")]),
    ("Optional[bool]", "None", [(1, True), (None, None)], [("a", "option must be True or False")]),
    ("Union[str, None]", "None", [("a", "a"), (None, None)], [(1, "option must be a string")]),
    ("Literal['a'] | None", "None", [("a", "a"), (None, None)], [("b", "option must be one of 'a', got 'b'")]),
    ("float", "None", [(2, 2.0), (None, None)], [("a", "option must be a number")]),
    ("Positive", "1.0", [(2, 2.0)], [(0, "option must be positive, got 0")]),
    ("Positive | None", "None", [(2, 2.0), (None, None)], [(-1, "option must be positive, got -1")]),
    ("Optional['Positive']", "None", [(2, 2.0), (None, None)], [(-1, "option must be positive, got -1")]),
    ("Count", "4", [(2, 2)], [(0, "option must be at least 1, got 0"), (1.5, "option must be an integer")]),
    ("Vector", "(1.0,)", [(np.array([1, 2]), [1.0, 2.0])], [(3, "option must be a list of numbers, got 3")]),
    ("Annotated[float, between(1.0, 2.0)]", "1.5", [(1.75, 1.75)], [(2, "must be above 1 and below 2, got 2")]),
    ("Annotated[float, 'metres', options.positive, abs]", "1.0", [(2, 2.0)], [(0, "option must be positive")]),
    ("Annotated[Positive, 'metres']", "1.0", [(2, 2.0)], [(0, "option must be positive")]),
    ("Annotated[float | None, 'metres']", "None", [(2, 2.0), (None, None)], [("a", "option must be a number")]),
    (
        "Annotated[Any, one_or_each(options.positive)]",
        "1.0",
        [([1, 2], [1.0, 2.0])],
        [([1, 0], r"option\[1\] must be")],
    ),
    # What says nothing is read by the type of the default, as what has no annotation is.
    ("", "2", [(2.5, 2.5), (3, 3), (3.0, 3)], [("a", "option must be a number")]),
    ("Any", "2", [(2.5, 2.5)], [("a", "option must be a number")]),
    ("", "3", [(np.float32(4), 4), (np.int64(1), 1)], [(True, "a number, got True"), (math.inf, "must be finite")]),
    ("", "float('inf')", [(8, 8.0)], [("a", "option must be a number")]),
    ("", "('a', 'b')", [(["x"], ["x"])], [("ab", "option must be a list, got 'ab'")]),
    ("", "()", [([1, 2], [1, 2])], [(3, "option must be a list, got 3")]),
    ("", "(2, 3)", [(np.array([1]), [1])], [([1, "2"], r"option\[1\] must be a number, got '2'")]),
    ("", "(1, 0.5)", [([2], [2.0])], [([math.nan], r"option\[0\] must be finite")]),
    ("", "((1, 2), (3, 4))", [(np.array([[1, 1]]), [[1, 1]])], [([{}], r"option\[0\] must be plain data")]),
    ("float | int", "2", [(2.5, 2.5), (3, 3)], [("a", "option must be a number")]),
    ("list[float]", "(1.0, 2.0)", [([3, 4], [3.0, 4.0])], [(["a"], r"option\[0\] must be a number")]),
    ("Literal[b'a']", "1.0", [(2, 2.0)], [("a", "option must be a number")]),
    ("'no Python'", "True", [(0, False)], [(2, "option must be True or False")]),
    ("'1 / 0'", "True", [(0, False)], [(2, "option must be True or False")]),
    ("[3]", "1.0", [(2, 2.0)], [("a", "option must be a number")]),
]


@pytest.mark.parametrize(("annotation", "default", "read", "refused"), FORMS)
@pytest.mark.parametrize("future", [FUTURE, ""], ids=["strings", "objects"])
def test_forms(future: str, annotation: str, default: str, read: list[Any], refused: list[Any]) -> None:
    text = LOSS.format(annotation=annotation and f": {annotation}", default=default)
    run_as_module(future + NAMES + (text if future else text.replace("y_true: Unknown", "y_true")))
    for given, expected in read:
        loss = multiloss.get("own", option=given)
        assert repr(loss.config()["option"]) == repr(expected)  # of the types, too
        assert multiloss.get(**json.loads(json.dumps(loss.config()))) == loss
    for given, words in refused:
        with pytest.raises((TypeError, ValueError), match=words):
            option(option=given)


def test_what_cannot_be_resolved_is_read_by_the_default() -> None:
    run_as_module(FUTURE + NAMES + LOSS.format(annotation=": Nowhere | None", default="2"))
    assert option(option=2.5) == 2.5
    with pytest.raises(TypeError, match="option must be a number, got 'a'"):
        option(option="a")
    with pytest.raises(ValueError, match="option must be positive, got -1"):
        run_as_module(FUTURE + NAMES + LOSS.format(annotation=": Positive", default="-1.0").replace('"own"', '"other"'))
    assert "other" not in multiloss.list_losses()


CLOSURE = """
def make():
    Rate = Annotated[float, options.unit_interval]

    @multiloss.register("own")
    def own(xp, y_true, y_pred, *, option: Rate = 0.5, seen: Positive = 1.0):
        {body}
        return y_pred - y_true

make()
"""


@pytest.mark.parametrize(
    ("future", "body", "resolved"),
    [
        ("", "pass", True),
        (FUTURE, "pass", False),  # a name of `make` alone, which the function does not hold
        (FUTURE, "Rate", True),
        (FUTURE, "Rate, own", True),  # its own name is not assigned yet
    ],
)
def test_in_a_closure(future: str, body: str, resolved: bool) -> None:
    run_as_module(future + NAMES + CLOSURE.format(body=body))
    assert option(option=1) == 1.0
    with pytest.raises(TypeError, match="option must be a number, got 'a'"):
        option(option="a")
    with pytest.raises(ValueError, match="seen must be positive, got 0"):
        option(seen=0)
    if resolved:
        with pytest.raises(ValueError, match=r"option must be in \[0, 1\], got 2"):
            option(option=2)
    else:
        assert option(option=2) == 2.0


def test_annotations_of_a_decorated_function_are_read_in_its_own_module() -> None:
    traced = run_as_module(
        "import functools\ndef traced(f):\n    return functools.wraps(f)(lambda *a, **k: f(*a, **k))\n"
    )["traced"]
    names = run_as_module(
        FUTURE + NAMES + "def own(xp, y_true, y_pred, *, option: Positive = 1.0):\n    return y_pred - y_true\n"
    )
    multiloss.register("own")(traced(names["own"]))
    with pytest.raises(ValueError, match="option must be positive, got 0"):
        option(option=0)


@pytest.mark.parametrize("future", [FUTURE, ""], ids=["strings", "objects"])
def test_readers_that_are_handed_in_win(future: str) -> None:
    """The older form, of an option that has an annotation as well, and of a default that only this reader reads."""
    text = LOSS.replace("y_true: Unknown", "y_true").format(annotation=": Positive", default="-1.0")
    run_as_module(future + NAMES + text.replace('("own"', '("own", options={"option": options.real, "none": None}'))
    assert option() == -1.0
    assert option(option=-2) == -2.0


@pytest.mark.parametrize("future", [FUTURE, ""], ids=["strings", "objects"])
@pytest.mark.parametrize("place", ["{}", "def make():\n{}\n    return soft_abs\nsoft_abs = make()\n"])
def test_the_example_of_the_contract(future: str, place: str) -> None:
    text = '''
@multiloss.register("soft_abs")
def soft_abs(xp, y_true, y_pred, *, epsilon=1e-3):
    """Formula, shapes, units, source."""
    return xp.sqrt((y_pred - y_true) ** 2 + epsilon ** 2)
'''
    nested = text.replace("\n", "\n    ").rstrip() if "def" in place else text
    definition = run_as_module(future + "import multiloss\n" + place.format(nested))["soft_abs"]
    assert isinstance(definition, Definition)
    assert float(multiloss.get("soft_abs", backend="numpy", epsilon=4)([0.0], [3.0])) == 5.0
    assert multiloss.get("soft_abs").config()["epsilon"] == 1e-3
    with pytest.raises(TypeError, match="epsilon must be a number, got 'a'"):
        multiloss.get("soft_abs", epsilon="a")


def definitions() -> list[Definition]:
    for library in variants.LIBRARIES:
        importlib.import_module(f"multiloss.porting.{library}_variants")
    every = registry._definitions | registry.TABLES | variants.DEFINITIONS
    assert len(every) > 100
    return list(every.values())


def declared_options() -> Iterator[tuple[Callable[..., Any], str]]:
    for definition in definitions():
        yield from ((definition.value, name) for name in definition.options)
    yield from ((CenterOptions.__init__, name) for name in _READERS)
    yield from ((loss.Spec.__init__, name) for name in ("reduction", "validate"))
    yield from ((owners.Owner.__init__, name) for name in ("num_classes", "feature_dim", "bias", "seed"))


def test_the_librarys_own_options_have_annotations_that_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    every = list(declared_options())
    monkeypatch.setattr(options, "like", lambda default: "the type of its default")
    unread = [(where.__qualname__, name) for where, name in every if not callable(options.reader_of(where, name))]
    assert not unread


def test_the_librarys_own_defaults_are_read_as_they_stand() -> None:
    for definition in definitions():
        for name, default in definition.options.items():
            read = definition.readers[name](name, default)
            assert (read, type(read)) == (default, type(default)), (definition.name, name)


def test_an_annotation_says_what_an_option_means() -> None:
    def soft_abs(
        xp: Any, y_true: Any, y_pred: Any, *, epsilon: Annotated[Positive, "where 0 is rounded off."] = 1e-3, k: int = 1
    ) -> Any:
        """The absolute error.

        Args:
            y_true: targets.
            k: said here.

        Returns:
            One value per element.
        """
        return xp.sqrt((y_pred - y_true) ** 2 + epsilon**2)

    shown = Definition(soft_abs, kind="elementwise").doc
    assert "    k: said here.\n    epsilon: where 0 is rounded off.\n\nReturns:" in shown
    assert shown.count("k: ") == 1

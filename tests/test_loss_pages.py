"""The pages of the losses, as far as they are made of more than docstrings: the examples of the tabs, run; the types of
options; a sentence for each loss that says when to use it.
"""

import doctest
import os
import re
import sys
import tomllib
import warnings
from pathlib import Path

import pytest

from helpers.pages import ROOT
from multiloss.engine import registry
from multiloss.engine.definition import Definition

sys.path.append(str(ROOT / "docs" / "_ext"))

import docstrings
import examples

LOSSES = [*registry.TABLES.values(), *map(registry.find, sorted(registry.names()))]


def chosen() -> list[Definition]:
    """One loss for each way in which losses are called; `EVERY_EXAMPLE=1 pytest` takes all."""
    if os.environ.get("EVERY_EXAMPLE"):
        return LOSSES
    ways = {(one.kind, *examples.inputs(one), one.table is None, one.has_labels): one for one in LOSSES}
    return list(ways.values())


@pytest.mark.only("numpy", "torch")
@pytest.mark.parametrize("definition", LOSSES, ids=lambda one: one.name)
def test_example_of_a_tab(definition: Definition, backend: str) -> None:
    run(definition, backend)


@pytest.mark.only("tensorflow", "jax", "keras")  # they compile each loss first, which takes a second
@pytest.mark.parametrize("definition", chosen(), ids=lambda one: one.name)
def test_example_of_a_tab_that_compiles(definition: Definition, backend: str) -> None:
    run(definition, backend)


def run(definition: Definition, backend: str) -> None:
    code = examples.code(definition, backend) + "\n"
    test = doctest.DocTestParser().get_doctest(code, {"__name__": "__main__"}, definition.name, None, 0)
    report: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        failed = doctest.DocTestRunner(verbose=False).run(test, out=report.append).failed
    assert not failed, "".join(report)
    assert re.search(r"^-?\d+\.\d+$", code, re.MULTILINE), "a number is shown"
    assert not re.search(r"^(0\.0|nan|inf)$", code, re.MULTILINE), "and one that says something"


@pytest.mark.parametrize("definition", LOSSES, ids=lambda one: one.name)
def test_options_have_a_type_and_a_meaning(definition: Definition) -> None:
    for name, kind, default, meaning in docstrings.options_of(definition):
        assert kind and default and meaning, name
        assert kind != "any" or name in ("process_group", "axis_name"), name


def test_types_of_options_are_said_in_words() -> None:
    told = {name: kind for name, kind, *_ in docstrings.options_of(registry.find("poisson_nll"))}
    assert told == {"log_input": "`True` or `False`", "full": "`True` or `False`", "stirling": "`True` or `False`",
                    "epsilon": "number, 0 or above"}  # fmt: skip
    (power,) = docstrings.options_of(registry.find("tweedie"))
    assert power[1:3] == ("number, above 1 and below 2", "1.5")
    assert {row[0]: row[1] for row in docstrings.options_of(registry.find("triplet"))}["mining"] == (
        "`'hard'` or `'semihard'` or `'all'`"
    )


def test_sections_of_a_docstring() -> None:
    found = docstrings.sections(registry.find("triplet").doc)
    assert list(found) == ["About", "Args", "Returns", "Source", "Example"]
    assert docstrings.flat(found["Source"]).startswith(
        '`"hard"` and `"all"`: Hermans, Beyer & Leibe 2017 (eq. 5, batch'
    )
    assert list(docstrings.entries(found["Args"])) == ["labels", "features", "margin", "mining", "squared", "normalize"]


def test_each_loss_says_when_to_use_it() -> None:
    told = tomllib.loads((ROOT / "docs" / "use_when.toml").read_text(encoding="utf-8"))
    families: dict[str, set[str]] = {}
    for one in LOSSES:
        families.setdefault(one.family, set()).add(one.name)
    assert {family: {*group} for family, group in told.items()} == families
    for name, words in [(name, words) for group in told.values() for name, words in group.items()]:
        assert words[0].isupper() and words.endswith("."), name
        named = re.findall(r"`([a-z]+_[a-z_]+)`", words)
        known = {one.name for one in LOSSES} | {option for one in LOSSES for option in one.options}
        assert {*named} <= known | {"y_true", "y_pred", "l2_loss"}, name


def test_no_page_tells_what_only_its_authors_know() -> None:
    pages = [path for path in (ROOT / "docs").rglob("*.md") if path.parent.name not in ("_build", "rosetta")]
    texts = {path: path.read_text(encoding="utf-8") for path in pages} | {Path(one.name): one.doc for one in LOSSES}
    for path, text in texts.items():
        assert not re.search(r"Source: the notes|code of the notes|\bthis issue\b|\bthe issue\b", text), path
        assert "pip install multiloss" not in text and "pip install 'multiloss" not in text, path

"""The examples of the documentation, run: docstrings, the Python blocks of the pages, and the commands they show.

A page is read once for each backend under test, with a namespace of its own. What a block needs is read off it: the
frameworks that it imports or names as a backend. `<!-- needs jax -->` on the line before a block says it where the
block does not (`<!-- needs numpy -->`: once is enough), and `<!-- every block needs jax -->` says it for a whole page.
A block that needs nothing runs in every turn; those that need several frameworks run in a turn of their own, where all
are under test.

A block with `>>>` is a doctest, its output compared. Any other one has to run, and to print what a block in `output`
after it shows; with `<!-- within 0.02 -->` before that one, its numbers may differ by so much. A page in `docs/start`
saves the pictures that it shows.

A page that needs what only tox's environment `ecosystems` installs says so in a comment (see ECOSYSTEMS). It is skipped
elsewhere; with `--ecosystems` it is run, and a package that is missing there is an error.

A console block is a command with its output (`...` stands for anything), or without output a command that must parse,
as one in a bash block.
"""

import contextlib
import doctest
import importlib
import inspect
import io
import pkgutil
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import multiloss
from helpers import pages
from helpers.pages import NEEDS, ROOT, Block, blocks
from multiloss import cli
from multiloss.engine import registry
from multiloss.engine.definition import Definition

GENERATED = {"_build", "loss", "families", "rosetta"}
PAGES = [
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if not GENERATED & set(page.relative_to(ROOT).parts)),
    *ROOT.glob("README.md"),
]
ELSEWHERE = re.compile(r"^<!-- runs in the tox environment `ecosystems`: needs (.+) -->$", re.MULTILINE)
ECOSYSTEMS = {page: mark[1] for page in PAGES if (mark := ELSEWHERE.search(page.read_text(encoding="utf-8")))}
PAGES = [page for page in PAGES if page not in ECOSYSTEMS]
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def doctested(text: str, namespace: dict[str, Any], where: str, line: int = 0) -> None:
    test = doctest.DocTestParser().get_doctest(text, namespace, where, where, line)
    report: list[str] = []
    failed, _ = doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(test, out=report.append, clear_globs=False)
    namespace.update(test.globs)
    assert not failed, "".join(report)


def printed(shown: str, output: str, within: float) -> None:
    """The same text, with numbers that differ by no more than `within`."""
    if within:
        numbers = [[float(number) for number in NUMBER.findall(text)] for text in (shown, output)]
        assert numbers[0] == pytest.approx(numbers[1], abs=within), f"expected\n{output}\ngot\n{shown}"
        shown, output = (NUMBER.sub("0", text) for text in (shown, output))
    checker = doctest.OutputChecker()
    example = doctest.Example("", output)
    assert checker.check_output(output, shown, FLAGS), checker.output_difference(example, shown, FLAGS)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_registry: None) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)  # workers of pytest-xdist have it; output is cut to it
    monkeypatch.setenv("MPLBACKEND", "agg")
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def run(page: Path, chosen: Callable[[Block], bool]) -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    found = [block for block in blocks(page, "python") if chosen(block)]
    for block in found:
        if ">>>" in block.text:
            doctested(block.text, namespace, str(page), block.line)
            continue
        with contextlib.redirect_stdout(io.StringIO()) as shown:
            pages.run(block, page, namespace)
        if block.output is not None:
            printed(shown.getvalue(), block.output, block.within)
    if found and page.parent.name == "start":
        made = {picture.name for picture in Path.cwd().glob("*.png")}
        assert made == set(re.findall(r"\(\.\./pictures/(start-[\w-]+\.png)\)", page.read_text(encoding="utf-8")))


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT)).removeprefix("docs/")


@pytest.mark.graph
@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_page(page: Path, backend: str) -> None:
    run(page, lambda block: block.needs in ((), (backend,)))


ACROSS = [page for page in PAGES if any(len(block.needs) > 1 for block in blocks(page, "python"))]


@pytest.mark.cross
@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize("page", ACROSS, ids=name_of)
def test_page_across_frameworks(page: Path) -> None:
    run(page, lambda block: len(block.needs) != 1)


@pytest.mark.filterwarnings("default")  # these packages and their parts warn one another
@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize("page", ECOSYSTEMS, ids=name_of)
def test_page_of_an_ecosystem(page: Path, request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--ecosystems"):
        pytest.skip(f"needs {ECOSYSTEMS[page]}: runs in the tox environment `ecosystems`")
    run(page, lambda block: True)


def commands() -> list[Any]:
    found = []
    for page in PAGES:
        shown = [
            pair
            for block in blocks(page, "console")
            for pair in re.findall(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", block.text, re.MULTILINE)
        ]
        shown += [(line, "") for block in blocks(page, "bash") for line in block.text.splitlines()]
        for command, output in shown:
            if command.startswith("multiloss "):
                command = re.sub(r"\\\n\s*", "", command)
                found.append(pytest.param(command, output, id=f"{name_of(page)}: {command.partition(' #')[0].strip()}"))
    return found


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize(("command", "output"), commands())
def test_command(command: str, output: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(command, comments=True)[1:]
    if not output:
        cli._parser().parse_args(words)  # exits, and so fails, where the command is none
        return
    with contextlib.suppress(SystemExit):  # --help, and what argparse refuses
        cli.main(words)
    printed("".join(capsys.readouterr()), output, within=0)


def modules_with_examples(package: str) -> list[str]:
    root = importlib.import_module(package)
    names = [package, *(found.name for found in pkgutil.walk_packages(root.__path__, f"{package}."))]
    return [name for name in names if ">>>" in source(name)]


def source(module: str) -> str:
    spec = importlib.util.find_spec(module)
    return Path(spec.origin).read_text(encoding="utf-8") if spec is not None and spec.origin else ""


def docstrings_of(module: str) -> None:
    report: list[str] = []
    failures = 0
    for test in doctest.DocTestFinder().find(importlib.import_module(module), module):
        runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
        failures += runner.run(test, out=report.append).failed
    assert not failures, "".join(report)


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize(
    "module", [name for name in modules_with_examples("multiloss") if NEEDS.search(f"import {name}") is None]
)
def test_docstrings(module: str) -> None:
    docstrings_of(module)


def test_docstrings_of_the_backend(backend: str) -> None:
    for module in modules_with_examples(f"multiloss_{backend}"):
        docstrings_of(module)


LOSSES = [*map(registry.find, sorted(registry.names())), *registry.TABLES.values()]


@pytest.mark.parametrize("definition", LOSSES, ids=lambda one: one.name)
def test_docstring_of_a_loss(definition: Definition) -> None:
    # doctest finds functions and classes only; a definition is neither
    path = str(inspect.getsourcefile(definition.value))
    doctested(definition.doc, {}, path, definition.value.__code__.co_firstlineno)


@pytest.mark.parametrize("definition", LOSSES, ids=lambda one: one.name)
def test_what_a_docstring_tells(definition: Definition) -> None:
    doc = definition.doc
    for part in (".. math::", "Args:", "Returns:"):
        assert part in doc, f"{definition.name}: no {part!r} in the docstring"
    assert re.search(r"Source: |\(.*\d{4}", doc), f"{definition.name}: the docstring names no source"
    axis = ["axis"] if definition.kind in ("over_axis", "over_labels") and definition.table is None else []
    for option in (*axis, *definition.options):
        assert re.search(rf"^ +{option}: ", doc, re.MULTILINE), f"{definition.name}: option {option} is not explained"


def test_the_pages_have_every_loss() -> None:
    text = (ROOT / "docs" / "losses.md").read_text(encoding="utf-8")
    assert "<!-- table of losses -->" in text and "families/*" in text  # made from the definitions
    assert "<!-- center family -->" in (ROOT / "docs" / "center_practice.md").read_text(encoding="utf-8")
    assert "<!-- options of center loss -->" in (ROOT / "docs" / "center.md").read_text(encoding="utf-8")
    assert set(multiloss.list_losses()) == {one.name for one in LOSSES}


def test_losses_whose_gradient_takes_autograd_on_numpy_are_named() -> None:
    text = (ROOT / "docs" / "conventions.md").read_text()
    named = set(re.findall("`([a-z_]+)`", text.partition("'.[autograd]'`): all of")[2].partition(", and that of")[0]))
    losses = (registry.find(name) for name in multiloss.list_losses() if name not in registry.CENTER)
    assert named == {loss.name for loss in losses if loss.grad is None}

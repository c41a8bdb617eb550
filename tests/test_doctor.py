"""`multiloss doctor`, and the versions that it prints beside those that are installed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import multiloss
from multiloss.cli import doctor, main, tested

ROOT = Path(__file__).resolve().parent.parent
EVERY = (*tested.FRAMEWORKS, *tested.OTHERS)


def pinned(file: str) -> dict[str, str]:
    lines = (ROOT / "requirements" / file).read_text().splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.name)
def test_the_versions_are_those_of_the_tests(one: tested.Package) -> None:
    names = one.distributions or (one.name,)
    newest, oldest = pinned("constraints.txt"), pinned("oldest.txt")
    assert {newest[name] for name in names if name in newest} == {one.tested}
    assert {oldest[name] for name in names if name in oldest} <= {one.oldest}
    asked = re.findall(rf'"(?:{"|".join(names)})(?:\[.*?\])?>=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    least = min(asked, key=lambda version: [int(number) for number in version.split(".")])  # the demo asks for more
    assert one.oldest == least or one.oldest.startswith(f"{least}.")


def test_the_table_of_the_docs_is_this_one() -> None:
    assert tested.table() in (ROOT / "docs" / "versions.md").read_text()


def fake(**changed: Any) -> dict[str, Any]:
    usual = {"version": "2.13.0+cpu", "tested": "2.13.0", "oldest": "2.7.1", "extra": "torch", "devices": ["cpu"]}
    return {**usual, "notes": [], "broken": None, **changed}


def test_the_report(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    told = {"torch": fake(devices=["cpu", "H200", "H200"]), "jax": fake(version=None), "keras": fake(version="2.7.0")}
    told["numpy"], told["tensorflow"] = fake(version="3.0"), fake(broken="ImportError: libtensorflow.so")
    monkeypatch.setattr(doctor, "_framework", lambda one: told[one.name])
    assert main(["doctor"]) == 1
    text = capsys.readouterr().out
    lines = {line.split()[0]: line.split() for line in text.splitlines() if line}
    assert lines["torch"] == ["torch", "2.13.0+cpu", "2.13.0", "2.7.1", "cpu,", "2", "x", "H200"]
    assert lines["jax"] == ["jax", "-", "2.13.0", "2.7.1"] and "BROKEN" in lines["tensorflow"]
    for said in (
        "tensorflow is installed, but does not work: ImportError: libtensorflow.so",
        "keras 2.7.0 is older than 2.7.1", "numpy 3.0 is newer than 2.13.0", "jax is not installed",
    ):  # fmt: skip
        assert said in text
    assert max(map(len, text.splitlines()[1:])) <= 80 and multiloss.__version__ in text


def test_a_framework_that_is_asked(backend: str) -> None:
    """It is imported in a process of its own, and computes a loss."""
    one = next((one for one in tested.FRAMEWORKS if one.name == backend), None)
    if one is None:
        pytest.skip("a backend of another distribution")
    told = doctor._framework(one)
    assert told["broken"] is None and told["devices"] and told["version"].startswith(("0.", "2.", "3."))


@pytest.mark.only("numpy")
def test_a_broken_framework_breaks_nothing(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jax.py").write_text("raise ImportError('libcuda.so.1: cannot open shared object file')")
    (tmp_path / "torch.py").write_text("import os; os.kill(os.getpid(), 11)")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(
        doctor, "FRAMEWORKS", [one for one in tested.FRAMEWORKS if one.name in ("jax", "torch", "numpy")]
    )
    assert main(["doctor", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)["frameworks"]
    assert "libcuda.so.1" in told["jax"]["broken"] and "ended with status -11" in told["torch"]["broken"]
    assert told["numpy"]["broken"] is None

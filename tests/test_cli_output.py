"""How commands print: filters, widths, JSON, encodings, and what a shell completes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import multiloss
from multiloss import definitions
from multiloss.cli import arguments, main, output
from multiloss.engine import registry

LOSSES = multiloss.list_losses()


def printed(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    assert main(words) == status
    return capsys.readouterr().out


def names(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines() if line.startswith("  ") and line[2] != " "]


def test_without_arguments_it_helps(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys)
    assert text.startswith("usage: multiloss") and "doctor" in text


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--family", "triplet"], ["triplet"]),
        (["--task", "sequence"], ["linear_cross_entropy", "ctc"]),
        (["--task", "Distribution matching", "leibler"], ["generalized_kl_divergence", "kl_divergence"]),
        (["--task", "self"], ["info_nce", "ntxent", "barlow_twins", "vicreg", "cosine_distance", "cosine_similarity"]),
        (["--family", "regression", "outliers"], [*definitions.TROUBLES["outliers"]]),
        (["deng"], ["arcface"]),  # words of the documentation
    ],
)
def test_filters(words: list[str], found: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert sorted(names(printed(capsys, "list", *words))) == sorted(found)
    as_json = json.loads(printed(capsys, "list", *words, "--json"))
    assert sorted(one["name"] for one in as_json) == sorted(found)


def test_nothing_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "list", "hubre", status=1) == "no loss has 'hubre'; did you mean huber?\n"
    assert json.loads(printed(capsys, "list", "hubre", "--json", status=1)) == []
    text = printed(capsys, "list", "--family", "triplet", "--task", "sequence", status=1)
    assert text == "no loss has --family triplet and --task sequence\n"
    assert main(["list", "--task", "nonsense"]) == 2
    assert "none of this name; known are classification, " in capsys.readouterr().err


def test_a_narrow_terminal_has_summaries_under_names(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    text = printed(capsys, "list", "--family", "regression")
    assert "  mean_squared_error [mse]\n    Mean squared error.\n" in text and "…" not in text
    assert max(map(len, text.splitlines()[:-1])) <= 40


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_lines_fit_the_terminal(columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = printed(capsys, "list")
    assert names(text) == sorted(LOSSES, key=lambda name: (arguments_of(name), name))
    assert columns * 0.9 < max(map(len, text.splitlines())) <= columns and "…" in text
    assert "[mae]" in text and "[bce]" in text
    for name in ("huber", "center", "gaussian_nll"):
        before, _, code = printed(capsys, "show", name).partition("Example:")
        assert max(map(len, (before + code.rpartition("\n\n")[2]).splitlines())) <= columns


def arguments_of(name: str) -> str:
    return multiloss.catalogue.definition(name).family


@pytest.mark.parametrize("command", [["list"], ["show", "huber"], ["show", "center"], ["doctor", "--help"]])
def test_a_terminal_without_unicode(command: list[str]) -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "COLUMNS": "80", "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-m", "multiloss", *command], capture_output=True, env=environment)
    text = done.stdout.decode("ascii")
    assert done.returncode == 0 and not done.stderr and "?" not in text
    if command == ["list"]:
        assert "..." in text and max(map(len, text.splitlines())) <= 80
    if command == ["show", "huber"]:
        assert "1/2 e^2  if  e = |p - t| <= delta,  else  delta (e - 1/2 delta)" in text
        assert sum(line.count("'") + line.count("|") + line.count("_") for line in text.splitlines()[-10:]) > 40


def test_characters_in_ascii() -> None:
    assert "".join(map(output.ascii_of, "½·Müller ≤ π")) == "1/2*Muller <= pi"
    assert [output.ascii_of(chr(0x2800 + dots)) for dots in (0, 1, 2, 0x40, 0x41, 0x47)] == [
        " ",
        "'",
        "-",
        "_",
        ":",
        "|",
    ]
    signs = {sign for name in LOSSES for sign in shown(name) if ord(sign) > 127}
    assert signs and not {sign for sign in signs if "?" in output.ascii_of(sign)}


def shown(name: str) -> str:
    from multiloss.pictures.page import page

    return page(name)


def test_show_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(printed(capsys, "show", "focal_tversky", "--json"))
    assert told["tasks"] == ["segmentation"] and told["helps_with"] == ["imbalanced classes"]
    assert {one["name"]: one["default"] for one in told["options"]}["reduction"] == "mean"
    assert all(one["means"] for one in [*told["options"], *told["inputs"]]) and len(told["formulas"]) == 2
    center = json.loads(printed(capsys, "show", "center", "--json"))
    assert [one["name"] for one in center["inputs"]] == ["labels", "features"] and len(center["options"]) == 14
    assert all(len(one["means"]) > 20 for one in center["options"])
    for name in LOSSES:
        json.loads(printed(capsys, "show", name, "--json"), parse_constant=pytest.fail)


def test_numbers_that_json_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    output.say_json({"a": [float("nan"), float("-inf"), 1.5, (True, None)]})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {"a": ["nan", "-inf", 1.5, [True, None]]}


def test_show_from_python_is_the_page_of_the_command(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    page = printed(capsys, "show", "huber")
    multiloss.show("huber_loss")
    assert capsys.readouterr().out == page
    multiloss.show(multiloss.get("huber", backend="numpy", delta=3.0))
    assert capsys.readouterr().out == page
    with pytest.raises(ValueError, match="did you mean huber"):
        multiloss.show("hubber")


def test_compare_and_port_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(printed(capsys, "compare", "mse", "half_squared_error", "--json", status=1))
    assert told["same"] is False and "1/2" in told["causes"][0]
    assert told["a"]["value"] == pytest.approx(2 * told["b"]["value"])
    told = json.loads(printed(capsys, "port", "optax.l2_loss", "--to", "jax", "--json"))
    assert told["code"].startswith("multiloss.get('half_squared_error', backend='jax'")


def test_scan_says_a_note_once(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("from torch import nn\na = nn.CrossEntropyLoss()\nb = nn.CrossEntropyLoss()\n")
    files = [str(tmp_path / name) for name in ("a.py", "b.py")]
    uses = json.loads(printed(capsys, "scan", *files, "--json"))
    assert [(Path(one["file"]).name, one["line"]) for one in uses] == [
        ("a.py", 2),
        ("a.py", 3),
        ("b.py", 2),
        ("b.py", 3),
    ]
    notes = uses[0]["notes"]
    assert notes and all(one["notes"] == notes for one in uses)
    text = " ".join(printed(capsys, "scan", *files).split())
    assert [text.count(" ".join(note.split())) for note in notes] == [1] * len(notes)
    assert text.count("as above") == 3 and text.count("multiloss.get(") == 4


def test_scan_goes_on_after_a_file_that_it_cannot_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad, good = tmp_path / "bad.py", tmp_path / "good.py"
    bad.write_text("def (:")
    good.write_text("import optax\nx = optax.l2_loss(p, t)\n")
    assert main(["scan", str(bad), str(tmp_path), str(good)]) == 2
    out, err = capsys.readouterr()
    assert "good.py:2" in out and "optax.l2_loss" in out
    assert ["bad.py" in err, "is a folder" in err, len(err.splitlines())] == [True, True, 2]
    assert main(["scan", str(bad), str(good), "--json"]) == 2
    assert [one["line"] for one in json.loads(capsys.readouterr().out)] == [2]


def test_all_flags_of_several_are_taken(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "huber", "--backend", "nonsense", "--backend", "numpy", "--examples", "1"]) == 2
    assert "unknown backend 'nonsense'" in capsys.readouterr().err


def test_verify_says_what_it_checked(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(printed(capsys, "verify", "huber", "--backend", "numpy", "--examples", "2").split())
    assert "in 2 random examples" in text and "finite differences" in text and "nan or infinity" in text
    told = json.loads(printed(capsys, "verify", "huber", "--backend", "numpy", "--examples", "1", "--json"))
    assert told["results"] == [{"loss": "huber", "backend": "numpy", "passed": True, "reason": None}]
    assert len(told["properties"]) == 6 and told["examples"] == 1


def test_log_lines_do_not_tear_a_table(capfd: pytest.CaptureFixture[str]) -> None:
    """What C++ code writes to the error output: log lines go, the rest comes later."""
    with output.without_logs():
        os.write(2, b"I0000 00:00:1796002166.941151   21339 service.cc:153] XLA service initialized\n")
        os.write(2, b"a message\n")
        print("row", flush=True)
        assert capfd.readouterr() == ("row\n", "")
    assert capfd.readouterr().err == "a message\n"


def test_completion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "completions"

    def completed(line: str) -> list[str]:
        environment = os.environ | {
            "_ARGCOMPLETE": "1", "_ARGCOMPLETE_SHELL": "bash", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": line,
            "COMP_POINT": str(len(line)), "_ARGCOMPLETE_STDOUT_FILENAME": str(out),
        }  # fmt: skip
        subprocess.run([sys.executable, "-m", "multiloss"], env=environment, check=True)
        return [word.strip() for word in out.read_text().split("\n")]

    assert {"list", "show", "bench", "doctor"} <= {*completed("multiloss ")}
    assert completed("multiloss show hub") == ["huber", "huber_loss"]


def test_what_is_completed() -> None:
    assert arguments.losses("bc") == ["bce"] and "center" in arguments.losses()
    assert arguments.losses_with_options("huber:") == ["huber:delta="]
    assert arguments.losses_with_options("bce:from_logits=True,") == [
        f"bce:from_logits=True,{option}=" for option in registry.find("bce").options if option != "from_logits"
    ]
    assert arguments.losses_with_options("hubber:") == []
    assert arguments.tasks("metric") == ["metric-learning"] and arguments.families("reg") == ["regression"]
    assert arguments.backends("num") == ["numpy"] and arguments.sources("optax.l2") == ["optax.l2_loss"]

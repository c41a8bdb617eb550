"""`multiloss bench`. Nothing here looks at a time."""

import importlib
import itertools
import json
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import multiloss
from multiloss.bench import BACKENDS, pairs, timing
from multiloss.cli import main
from multiloss.engine import dispatch, registry


def test_contenders_take_turns_in_being_first() -> None:
    """Each comes behind each other one as often, and behind itself, uncounted, before it is timed."""
    called: list[str] = []
    calls = {name: lambda name=name: called.append(name) for name in "abc"}
    times = timing.interleaved(calls, lambda _: None, 1e-9, itertools.count(step=1.0).__next__)
    assert {name: len(samples) for name, samples in times.items()} == dict.fromkeys(calls, 9)
    assert "".join(called[-9 * 3 * 2 :: 2]) == "".join(called[-9 * 3 * 2 + 1 :: 2]) == "abcbcacab" * 3


FEW = {"ctc": (3, 12)}


@pytest.mark.only("torch", "jax", "tensorflow")
@pytest.mark.parametrize("key", pairs.ROWS)
def test_what_is_timed_beside_each_other_is_the_same(backend: str, key: str) -> None:
    """The framework's own loss has our value on these arrays, and so has Keras'."""
    framework = importlib.import_module(f"multiloss.bench.own_{backend}")
    row = pairs.ROWS[key]
    ours = multiloss.get(row.name, backend=backend, **row.options)
    arrays = [framework.array(x) for x in pairs.inputs(row, FEW.get(key, (6, 8)))]
    value = float(dispatch.to_host(ours(*arrays)))
    assert math.isfinite(value)
    found, own = pairs.own_loss(row, framework)
    wanted, *_ = row.others.get(framework.LIBRARY, ("ops",))
    absent = ("ops", "triplet_margin_loss")  # Optax has the latter from 0.2.5 on
    assert found == wanted or (found == "-" and wanted in absent)
    if own is not None:
        np.testing.assert_allclose(float(dispatch.to_host(own(*arrays))), value, rtol=2e-4, atol=2e-5)


@pytest.mark.only("keras")
@pytest.mark.parametrize("key", [key for key, row in pairs.ROWS.items() if "keras" in row.others])
def test_keras_beside_us_is_the_same(backend: str, key: str) -> None:
    row = pairs.ROWS[key]
    arrays = pairs.inputs(row, FEW.get(key, (6, 8)))
    theirs = pairs.keras_loss(row)
    assert theirs is not None
    ours = multiloss.get(row.name, backend=backend, **row.options)
    wanted = float(dispatch.to_host(theirs(*arrays)))
    np.testing.assert_allclose(float(dispatch.to_host(ours(*arrays))), wanted, rtol=2e-4, atol=2e-5)


def test_every_loss_without_a_state_can_be_timed() -> None:
    for name in multiloss.list_losses():
        if name in registry.CENTER:
            with pytest.raises(ValueError, match="holds centers"):
                pairs.row_of(name)
            continue
        key, row = pairs.row_of(name)
        loss = multiloss.get(row.name, backend="numpy", **row.options)
        assert math.isfinite(float(loss(*pairs.inputs(row, (4, 12) if name == "ctc" else (6, 8))))), key


def test_options_find_their_row() -> None:
    assert pairs.row_of("bce")[0] == "bce"
    assert pairs.row_of("binary_crossentropy", {"from_logits": True})[0] == "bce_logits"
    key, row = pairs.row_of("huber", {"delta": 2.0})
    assert key == "huber,delta=2.0" and row.options == {"delta": 2.0} and not row.others
    assert (
        pairs.row_of("cce", {"from_logits": True, "label_smoothing": 0.1})[1].inputs is pairs.ROWS["cce_logits"].inputs
    )


@pytest.mark.only("torch")
def test_the_command(backend: str, capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    pytest.importorskip("matplotlib", reason="it draws with matplotlib, of the extra demo, which is not installed")
    out = tmp_path / "speed.png"
    words = ["bench", "smooth_l1", "rmse", "--backend", "torch", "--size", "4x3", "--seconds", "1e-9", "--threads", "1"]
    assert main([*words, "--out", str(out), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["versions"]["torch"][0].startswith("torch ")
    library, plain = printed["results"]
    assert (library["loss"], library["size"], library["own_name"]) == ("smooth_l1", "4x3", "smooth_l1_loss")
    assert library["ratio"] > 0 and library["ours_least_us"] <= library["ours_us"]
    assert (plain["own_name"], plain["ratio"]) == ("ops", None) and plain["ratio_to_operations"] > 0
    assert out.read_bytes().startswith(b"\x89PNG")


def test_the_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    line = {"framework": "jax", "mode": "jit", "loss": "huber", "size": "4x3", "own_name": "huber_loss"}
    times = {"ours_us": 15.0, "own_us": 10.0, "keras_us": 20.0, "ratio": 1.5, "ratio_to_operations": None}
    plain = {
        "loss": "rmse",
        "own_name": "ops",
        "ours_us": 5.0,
        "own_us": 10.0,
        "ratio": None,
        "ratio_to_operations": 0.5,
    }
    told = [{"versions": ["jax 1", "keras 3"]}, line | times, {**line, "own_us": 10.0, **plain}]
    monkeypatch.setattr("multiloss.bench.results", lambda job: iter(told))
    monkeypatch.setattr("multiloss.list_backends", lambda: dict.fromkeys(BACKENDS, True))
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["bench", "huber", "rmse", "--backend", "jax", "--size", "4x3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "jax 1, keras 3: jit"
    assert lines[2].split() == ["huber", "4x3", "15.0", "10.0", "20.0", "!", "1.50", "huber_loss"]
    assert lines[3].split() == ["rmse", "4x3", "5.0", "10.0", "-", "(0.50)", "ops"]
    assert "0 of 1 ratios are within 1.2" in " ".join(lines) and max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["hubre"], "did you mean huber"),
        (["center"], "holds centers"),
        (["huber", "--out", "x.jpg"], ".png, .pdf, .svg"),
    ],
)
def test_mistakes(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *words]) == 2
    printed = capsys.readouterr()
    assert told in printed.err and len(printed.err.splitlines()) == 1 and not printed.out


def test_a_worker_that_fails_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program in place of Python: it says something, and fails."""
    monkeypatch.setattr("multiloss.list_backends", lambda: dict.fromkeys(BACKENDS, True))
    monkeypatch.setattr("multiloss.bench.sys", SimpleNamespace(executable="ls", path=[]))
    assert main(["bench", "huber", "--backend", "torch"]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("multiloss: error: bench on torch failed: ") and printed.err.count("\n") == 1

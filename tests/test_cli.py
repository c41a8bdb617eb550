"""The command line: what each command prints, writes and exits with."""

import os

import numpy as np
import pytest

import multiloss
from multiloss.cli import main
from multiloss.engine import registry
from multiloss.pictures import curves, page
from multiloss.pictures.formulas import formula_text

LOSSES = multiloss.list_losses()
STATEFUL = set(registry.CENTER.values())
DRAWN = [name for name in LOSSES if not curves.no_curve(curves.find(name))]
SIGNATURES = {"png": b"\x89PNG\r\n\x1a\n", "pdf": b"%PDF-", "svg": b"<?xml"}


def error_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(words) == 2
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("multiloss: error: ")
    return lines[0]


@pytest.mark.parametrize(
    "command", ["demo", "list", "show", "plot", "verify", "compare", "port", "scan", "bench", "doctor"]
)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert f"multiloss {command}" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["nonsense"], ["show"], ["plot", "huber"], ["verify", "--examples", "0"]])
def test_usage_errors(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    assert "multiloss" in capsys.readouterr().err


def test_list_has_every_loss_once_with_its_aliases(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.split()[0] for line in lines if line.startswith("  ")) == LOSSES
    for name in set(LOSSES) - STATEFUL:
        line = next(line for line in lines if line.split()[:1] == [name] and line.startswith("  "))
        assert all(alias in line for alias in registry.find(name).aliases)
    assert {"regression", "classification", "divergence", "center"} <= set(lines)


@pytest.mark.parametrize("name", LOSSES)
def test_show(name, capsys):
    assert main(["show", name]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"{name} (")
    assert ".. math::" not in shown
    formulas = shown.partition("Inputs:")[0]
    for option, default, means in page.options(curves.find(name)):
        assert means and f"    {option} = {default!r}" in shown
    assert "\\" not in formulas
    assert "{" not in formulas
    assert "reduction = 'mean'" in shown
    assert any("\u2801" <= sign <= "\u28ff" for sign in shown) == (name in DRAWN)


def test_show_takes_short_names_and_tells_options(capsys):
    assert main(["show", "huber_loss"]) == 0
    shown = capsys.readouterr().out
    assert "also called huber_loss" in shown
    assert "delta = 1.0" in shown
    assert main(["show", "center"]) == 0
    assert "alpha = 0.5" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("tex", "plain"),
    [
        (r"\tfrac12 \lVert x - c_y \rVert^2", "½ ‖ x - c_y ‖²"),
        (r"\sqrt{\tfrac{1}{n} \sum_i (p_i - t_i)^2}", "√(1/n Σ_i (p_i - t_i)²)"),
        (r"e \le \delta \text{ else } \delta (e - \tfrac12 \delta)", "e ≤ δ  else  δ (e - ½ δ)"),
        (r"c_j - \alpha \frac{\sum_{i: y_i = j} x_i}{1 + n_j}", "c_j - α (Σ_(i: y_i = j) x_i)/(1 + n_j)"),
        (r"x^{10}", "x^10"),
    ],
)
def test_formulas_as_text(tex, plain):
    assert formula_text(f"A loss.\n\n.. math:: {tex}\n\nMore.") == f"A loss.\n\n    {plain}\n\nMore."


@pytest.mark.parametrize("name", DRAWN)
def test_curves_and_their_slopes_belong_together(name):
    curve = curves.curve(name, points=4801)
    slope = np.diff(curve.value) / np.diff(curve.x)
    middle = (curve.slope[1:] + curve.slope[:-1]) / 2
    # the trapezoid rule, but beside a kink or a pole
    smooth = np.abs(np.diff(curve.slope)) < 0.02 * np.maximum(1, np.abs(middle))
    assert smooth.sum() > 0.9 * len(slope) or "cross" in name or name == "kl_divergence"
    assert smooth.sum() > 0.5 * len(slope)
    np.testing.assert_allclose(slope[smooth], middle[smooth], rtol=2e-3, atol=2e-3)


def test_options_change_the_curve():
    assert curves.curve("huber", {"delta": 2.0}).value[0] == pytest.approx(2 * (5 - 1))
    assert curves.curve("bce", {"from_logits": True}).axis_label == "logit of the true class"
    assert curves.curve("center").axis_label == "feature - its center"
    assert curves.curve("center", {"per_feature": True}).value[0] == pytest.approx(12.5)


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_plot_writes_one_whole_file(suffix, tmp_path, capsys):
    out = tmp_path / f"curves.{suffix}"
    names = ["log_cosh", "huber:delta=2", "bce:from_logits=True,label_smoothing=0.1", "kl", "mape", "rmsle", "center"]
    assert main(["plot", *names, "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert list(tmp_path.iterdir()) == [out]
    assert out.read_bytes().startswith(SIGNATURES[suffix])
    assert out.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError("disk full")])
def test_an_interrupted_plot_leaves_the_old_file(failure, tmp_path, capsys, monkeypatch):
    out = tmp_path / "curves.png"
    out.write_text("old")

    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(os, "replace", fail)
    assert main(["plot", "huber", "--out", str(out)]) == (130 if failure is KeyboardInterrupt else 2)
    assert out.read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["show", "hubber"], "did you mean huber"),
        (["show", "cross_entropy"], "sparse_categorical_crossentropy"),
        (["plot", "hubber", "--out", "x.png"], "did you mean huber"),
        (["plot", "huber:delt=2", "--out", "x.png"], "did you mean 'delta'"),
        (["plot", "huber:delta", "--out", "x.png"], "OPTION=VALUE"),
        (["plot", "huber:delta=-1", "--out", "x.png"], "delta"),
        (["plot", "center:alpha=1", "--out", "x.png"], "per_feature"),
        (["plot", "huber", "--out", "x.jpg"], ".png, .pdf, .svg"),
        (["plot", "huber", "--out", "no/such/folder/x.png"], "no folder"),
        (["verify", "hubber"], "did you mean huber"),
        (["verify", "huber", "--backend", "theano"], "theano"),
        (["verify", "center"], "state"),
        (["verify", "island"], "island loss holds centers"),
        (["list", "--family", "regresion"], "did you mean regression"),
        (["list", "--task", "detection"], "known are classification"),
    ],
)
def test_mistakes_are_told_in_one_line(words, told, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert told in error_of(capsys, *words)
    assert list(tmp_path.iterdir()) == []


def test_verify_takes_everything_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, str, int]] = []

    def check(name: str, *, backends: list[str], examples: int) -> None:
        seen.extend((name, backend, examples) for backend in backends)

    monkeypatch.setattr("multiloss.testing.check", check)
    assert main(["verify", "--examples", "7"]) == 0
    installed = [name for name, here in multiloss.list_backends().items() if here]
    assert set(seen) == {(n, b, 7) for n in LOSSES if n not in STATEFUL for b in installed}


@pytest.mark.usefixtures("own_registry")
def test_verify_fails_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    """What passes is in `test_verify.py`."""
    definition = multiloss.register("wrong")(lambda xp, y_true, y_pred: (y_pred - y_true) ** 2)
    definition.gradient(lambda xp, y_true, y_pred: y_pred - y_true)
    assert main(["verify", "huber", "wrong", "--backend", "numpy", "--examples", "3"]) == 1
    printed = capsys.readouterr().out
    assert "FAIL" in printed and "wrong on numpy: gradient on numpy" in printed
    assert printed.splitlines()[-1] == "1 passed, 1 failed"


def test_a_curve_without_the_autograd_package(monkeypatch: pytest.MonkeyPatch) -> None:
    with_it = curves.curve("gaussian_nll")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    without = curves.curve("gaussian_nll")
    np.testing.assert_allclose(without.slope, with_it.slope, atol=0.01)
    assert np.abs(without.slope).max() > 1

"""`multiloss.compare`: what it runs and what it reports, bad input, and the command."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import multiloss
from helpers.comparisons import PLAIN, WEIGHT, X, Y, first, mse
from multiloss.cli import main
from multiloss.comparing.report import Report, agree, difference

# What is reported.


def test_report() -> None:
    """The numbers of both sides, by name and as a table."""
    report = multiloss.compare(multiloss.get("mse"), mse, Y, X)
    assert report.same and report.generated is None and report.wrt == "y_pred"
    assert report.a.value == pytest.approx(np.mean((X - Y) ** 2), rel=1e-15)
    assert report.a.per_sample == pytest.approx(np.mean((X - Y) ** 2, axis=1), rel=1e-15)
    assert report.b.gradient == pytest.approx(2 * (X - Y) / X.size, rel=1e-7)
    assert report.a.gradient_by == "value_and_grad" and report.b.gradient_by == "central differences"
    assert report.a.dtype == report.b.dtype == "float64"
    assert report.a.reduction == "sum / 6, the mean over 6 values"
    assert report.b.reduction == "a mean (repeating the batch leaves it)"
    assert report.a.framework == f"multiloss {multiloss.__version__} on numpy {np.__version__}"
    shown = str(report)
    assert f"{np.mean((X - Y) ** 2):.9g}" in shown
    assert "the same (relative tolerance 1e-09)" in shown
    assert "likely cause" not in shown


def test_unreduced() -> None:
    """Another shape is a difference, and told after what else differs."""
    report = multiloss.compare(multiloss.get("mse"), multiloss.get("mse", reduction="none"), Y, X)
    assert report.causes == ("reduction: b gives values of shape (6,), a of shape (); the mean of b is a",)
    assert report.values is not None and report.values.absolute < 1e-15
    halved = multiloss.compare(multiloss.get("mse"), multiloss.get("half_squared_error", reduction="none"), Y, X)
    assert halved.causes[0].startswith("b = 0.5 a") and "reduction: b gives" in halved.causes[1]


def test_tolerance_and_seed() -> None:
    almost = functools.partial(lambda y, p, k: k * mse(y, p), k=1 + 1e-4)
    assert multiloss.compare(mse, almost, Y, X, rtol=1e-3).same
    assert not multiloss.compare(mse, almost, Y, X).same
    one, other = (multiloss.compare(mse, almost, seed=seed) for seed in (0, 1))
    assert one.generated == "real numbers and real numbers, seed 0"
    assert one.arrays["y_pred"].shape == (8, 5) and not np.array_equal(one.arrays["y_pred"], other.arrays["y_pred"])
    assert multiloss.compare(mse, mse, shape=(3, 2)).arrays["y_pred"].shape == (3, 2)


def test_generated_arrays_suit_both() -> None:
    """Of the domain of what is known; labels are encoded for the side that takes none."""
    report = multiloss.compare(multiloss.get("scce"), multiloss.get("cce"))
    assert report.same
    assert report.generated == "labels and probabilities, seed 0"
    assert any("one-hot" in note for note in report.b.notes)
    signs = multiloss.compare(multiloss.get("hinge"), mse)
    assert set(np.unique(signs.arrays["y_true"])) == {-1.0, 1.0}


def test_order() -> None:
    """What is not known is called (y_true, y_pred), what names its parameters otherwise as these say."""

    def swapped(inputs: Any, targets: Any) -> Any:
        return (inputs - 2 * targets).mean()

    def plain(y_true: Any, y_pred: Any) -> Any:
        return (y_pred - 2 * y_true).mean()

    assert multiloss.compare(swapped, plain, Y, X).same
    assert multiloss.compare(lambda p, y: plain(y, p), plain, Y, X, order_a="y_pred y_true").same
    assert not multiloss.compare(lambda p, y: plain(y, p), plain, Y, X).same
    report = multiloss.compare(plain, lambda p, y: plain(y, p), Y, X, order_b="y_pred, y_true")
    assert report.same and report.b.order == ("y_pred", "y_true")


def test_other_inputs() -> None:
    """Arrays by name, for a loss that is known and for a user's function."""

    def nll(y_true: Any, y_pred: Any, var: Any) -> Any:
        return (0.5 * (np.log(var) + (y_pred - y_true) ** 2 / var)).mean()

    inputs = {"y_true": Y[:, 0], "y_pred": X[:, 0], "var": np.exp(X[:, 1])}
    assert multiloss.compare(multiloss.get("gaussian_nll"), nll, inputs=inputs).same
    assert "0.5 log(2 pi)" in first(nll, multiloss.get("gaussian_nll", full=True), inputs=inputs)


def test_differences() -> None:
    found = difference([1.0, np.nan, np.inf], [1.0 + 2**-52, np.nan, np.inf], "float64")
    assert found.absolute == 2**-52 and found.ulp == 1
    assert difference(1.0, 1 + 2.0**-23, "float32").ulp == 1
    assert agree([1.0, np.nan], [1.0, np.nan], 1e-9)
    assert not agree([1.0, np.inf], [1.0, 2.0], 1e-9)


# Bad input.


def test_what_is_no_loss() -> None:
    loss = multiloss.get("mse")
    with pytest.raises(TypeError, match="a must be a callable or the written form of a loss, got int"):
        multiloss.compare(3, loss)
    with pytest.raises(TypeError, match="b must be a callable or the written form of a loss, got NoneType"):
        multiloss.compare(loss, None)
    with pytest.raises(TypeError, match="b is the class Report: give an object of it"):
        multiloss.compare(loss, Report)
    with pytest.raises(ValueError, match="did you mean torch.nn.MSELoss"):
        multiloss.compare(loss, "torch.nn.MSEloss()")
    with pytest.raises(TypeError, match="y_true and y_pred, or neither; y_pred is missing"):
        multiloss.compare(loss, loss, Y)
    with pytest.raises(TypeError, match="y_true must be an array of real numbers"):
        multiloss.compare(loss, loss, ["a"], [1.0])
    with pytest.raises(ValueError, match="inputs must hold two arrays or more, got y_true"):
        multiloss.compare(loss, loss, inputs={"y_true": Y})


@pytest.mark.parametrize(
    "options", [{"rtol": -1}, {"seed": -1}, {"seed": "a"}, {"shape": (0, 3)}, {"shape": (3,)}, {"shape": "x"}], ids=str
)
def test_options_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
        multiloss.compare(mse, mse, **options)


def test_few_samples_that_are_not_zero() -> None:
    """Any factor fits a single one; it is no cause if it does not fit others."""

    def hinge(power: float) -> Any:
        return lambda y, p: (np.maximum(0, 1 - y[:, 0] * p[:, 0]) ** power).mean()

    x = np.full((6, 4), 5.0)
    x[2] = 0.2
    report = multiloss.compare(hinge(1), hinge(3), np.ones((6, 4)), x)
    assert report.causes[0].startswith("no convention that is known")


def test_values_that_are_not_finite() -> None:
    """Alike on both sides is the same."""
    for value in (np.nan, np.inf):
        x = X.copy()
        x[1, 1] = value
        assert multiloss.compare(multiloss.get("mse"), mse, Y, x).same


def test_failures_are_reported() -> None:
    """Of one side, of both, of shapes that do not fit, of results that are no numbers."""
    report = multiloss.compare(lambda y, p: 1 / 0, mse, Y, X)
    assert report.a.error == "ZeroDivisionError: division by zero" and report.b.value is not None
    assert report.causes == ("a failed: ZeroDivisionError: division by zero",) and not report.same
    assert "failed" in str(report)
    both = multiloss.compare(multiloss.get("mse"), lambda y, p: p - y, Y[:3], X)
    assert [cause[:8] for cause in both.causes] == ["a failed", "b failed"]
    assert both.values is both.gradients is None
    none = multiloss.compare(mse, lambda y, p: None, Y, X)
    assert none.b.error is not None and "real numbers are wanted, got NoneType" in none.b.error
    assert "it takes (y_true, y_pred, var), and var is missing" in first(multiloss.get("gaussian_nll"), mse, Y, X)


@given(
    st.sampled_from(PLAIN),
    st.sampled_from(PLAIN),
    st.integers(0, 3),
    st.sampled_from([(1, 1), (2, 2), (3, 1), (4, 3), (2, 3, 2)]),
)
def test_any_two_are_told_apart(a: str, b: str, seed: int, shape: tuple[int, ...]) -> None:
    """No pair of losses, and no shape, breaks the diagnosis, and what differs has a cause."""
    report = multiloss.compare(multiloss.get(a), multiloss.get(b), seed=seed, shape=shape)
    assert report.same == (not report.causes)
    assert str(report)


# The command.


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["compare", *words])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "mse", "mean_squared_error(reduction='mean')")[0] == 0
    code, shown = run(capsys, "mse", "half_squared_error", "--seed", "3", "--shape", "4x3")
    assert code == 1
    assert "b = 0.5 a: one has the factor 1/2" in shown and "seed 3" in shown


def test_command_with_data(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "batch.npz"
    np.savez(file, y_true=Y, y_pred=X, sample_weight=WEIGHT)
    code, shown = run(capsys, "mse(reduction='weighted_mean')", "mse", "--data", str(file))
    assert code == 1 and "weighted mean: a divides" in shown
    np.savez(file, y_true=Y, predictions=X)
    code, shown = run(capsys, "mse", "mse", "--data", str(file))
    assert code == 2 and "holds 'predictions'" in shown and shown.count("\n") == 1
    np.savez(file, y_true=Y)
    assert "lacks 'y_pred'" in run(capsys, "mse", "mse", "--data", str(file))[1]
    assert run(capsys, "mse", "mse", "--data", str(tmp_path / "none.npz"))[0] == 2
    np.save(tmp_path / "one.npy", np.ones(3))
    (tmp_path / "text.npz").write_text("1, 2, 3")
    for name in ("one.npy", "text.npz"):
        code, shown = run(capsys, "mse", "mse", "--data", str(tmp_path / name))
        assert code == 2 and "is no npz file of plain arrays" in shown


@pytest.mark.parametrize(
    "words", [("mse", "msee"), ("torch.nn.MSELos()", "mse"), ("mse", "__import__('os')"), ("mse", "")]
)
def test_command_mistakes(capsys: pytest.CaptureFixture[str], words: tuple[str, str]) -> None:
    code, shown = run(capsys, *words)
    assert code == 2 and shown.startswith("multiloss: error: ") and shown.count("\n") == 1


@pytest.mark.parametrize("words", [("--shape", "8"), ("--shape", "0x3"), ("--seed", "-1"), ("--seed", "x")])
def test_command_usage(capsys: pytest.CaptureFixture[str], words: tuple[str, str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["compare", "mse", "mse", *words])
    assert stopped.value.code == 2


@pytest.mark.cross
def test_command_across_libraries(capsys: pytest.CaptureFixture[str]) -> None:
    code, shown = run(capsys, "optax.l2_loss", "torch.nn.MSELoss()")
    assert code == 1 and "b = 2 a: one has the factor 1/2" in shown
    assert run(capsys, "keras.losses.MeanSquaredError()", "torch.nn.MSELoss()")[0] == 0

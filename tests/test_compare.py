"""`multiloss.compare`: what it runs, what it reports, which causes it names. Those of users' pains are in
`test_compare_pains.py`."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import multiloss
from multiloss.cli import main
from multiloss.comparing import wrap
from multiloss.comparing.report import Report, agree, difference
from multiloss.engine import registry

RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 4))
P = np.exp(X) / np.exp(X).sum(axis=1, keepdims=True)
Q = np.exp(Y) / np.exp(Y).sum(axis=1, keepdims=True)
LABELS = np.array([0, 1, 2, 3, 1, 2])
WEIGHT = np.array([1.0, 2.0, 3.0, 1.0, 0.5, 1.0])
PLAIN = [
    name
    for name in multiloss.list_losses()
    if name not in set(registry.CENTER.values()) and registry.find(name).kind != "of_inputs"
]


def mse(y_true: Any, y_pred: Any) -> Any:
    return ((y_pred - y_true) ** 2).mean()


def first(a: Any, b: Any, *arrays: Any, **options: Any) -> str:
    """The first of the causes."""
    report = multiloss.compare(a, b, *arrays, **options)
    assert not report.same
    return report.causes[0]


# What is the same, and what a factor is.


@given(st.sampled_from(PLAIN), st.integers(0, 99), st.sampled_from(["mean", "sum", "batchmean", "none"]))
def test_a_loss_is_itself(name: str, seed: int, reduction: str) -> None:
    loss = multiloss.get(name, reduction=reduction)
    report = multiloss.compare(loss, multiloss.get(name, reduction=reduction), seed=seed)
    assert report.same, report
    assert report.causes == ()
    assert report.values is not None and report.values.absolute == report.values.ulp == 0


@given(st.sampled_from(PLAIN), st.integers(0, 99), st.floats(0.02, 50).filter(lambda k: abs(k - 1) > 0.01))
def test_a_factor_is_found(name: str, seed: int, factor: float) -> None:
    loss = multiloss.get(name)
    report = multiloss.compare(loss, lambda y_true, y_pred: factor * loss(y_true, y_pred), seed=seed)
    assume(report.a.value is not None and abs(report.a.value) > 1e-3)
    assert report.causes[0].startswith(f"b = {factor:.6g} a"), report
    assert len(report.causes) == 1


@given(st.sampled_from(PLAIN), st.integers(0, 99), st.sampled_from(["sum", "mean"]))
def test_a_sum_is_found(name: str, seed: int, reduction: str) -> None:
    other = {"sum": "mean", "mean": "sum"}[reduction]
    report = multiloss.compare(
        multiloss.get(name, reduction=reduction), multiloss.get(name, reduction=other), seed=seed
    )
    assume(report.a.value is not None and abs(report.a.value) > 1e-3)
    summed = "a" if reduction == "sum" else "b"
    assert f"{summed} sums over the batch" in report.causes[0], report
    assert len(report.causes) == 1


def test_other_inputs_are_the_same() -> None:
    for name in ("triplet_margin", "gaussian_nll", "cosine_embedding", "supervised_contrastive", "arcface"):
        report = multiloss.compare(multiloss.get(name), multiloss.get(name))
        assert report.same, report


# The causes that need no framework.


@pytest.mark.parametrize(
    ("a", "b", "cause"),
    [
        (mse, lambda y, p: 0.5 * mse(y, p), "b = 0.5 a: one has the factor 1/2"),
        (mse, lambda y, p: 100 * mse(y, p), "b = 100 a: one is in percent"),
        (mse, lambda y, p: np.log(2) * mse(y, p), "the base of the logarithm is 2"),
        (mse, lambda y, p: -mse(y, p), "b = -a: the sign"),
        (mse, lambda y, p: 1 - mse(y, p), "b = 1 - a: the sign"),
        (mse, lambda y, p: mse(y, p) + 0.5 * np.log(2 * np.pi), "b = a + 0.918939: the normalising constant 0.5 log"),
        (mse, lambda y, p: mse(y, p) - 0.3, "b = a - 0.3 on every sample: a constant offset"),
        (mse, lambda y, p: mse(y, p) ** 0.5, "b is the square root of a: root against squared"),
        (mse, lambda y, p: (((p - y) ** 2).mean(axis=1) ** 0.5).mean(), "b is the square root of a of each sample"),
        (mse, lambda y, p: ((p - y) ** 2).sum(), "b = N C a (N = 6, C = 4): b is the sum, a the mean"),
        (mse, lambda y, p: ((p - y) ** 2).sum() / 6, "b = C a (C = 4): a takes the mean over elements, b sums"),
        (mse, lambda y, p: ((p - y) ** 2).sum(axis=1).mean(), "b = C a (C = 4): a takes the mean over elements"),
        (mse, lambda y, p: np.abs(p - y).mean(), "squared against not squared: a grows with the square"),
        (lambda y, p: (p - 2 * y).mean(), lambda y, p: (y - 2 * p).mean(), "arguments swapped"),
        (mse, lambda y, p: mse(np.float32(y), np.float32(p)).astype(float), "precision only: b computes in float32"),
        (mse, lambda y, p: mse(np.float16(y), np.float16(p)).astype(float), "precision only: b computes in float16"),
        (mse, lambda y, p: np.sqrt(p).mean(), "nan in b only from sample"),
        (mse, lambda y, p: (np.abs(p - y) ** 2.5).mean() + p.max(), "no convention that is known explains it"),
    ],
)  # fmt: skip
def test_causes(a: Any, b: Any, cause: str) -> None:
    found = multiloss.compare(a, b, Y, X)
    assert cause in found.causes[0], found
    assert len(found.causes) == 1


def test_causes_of_probabilities() -> None:
    """Between losses of this library."""
    cce = functools.partial(multiloss.get, "categorical_crossentropy")
    assert "logits taken as probabilities: b takes probabilities" in first(cce(from_logits=True), cce(), Q, P)
    assert "renormalised: b divides" in first(cce(), cce(normalize=True), Q, RNG.uniform(0.5, 0.9, (6, 1)) * P)
    assert "does not depend on y_pred" in first(cce(), multiloss.get("kl_divergence"), Q, P)
    assert "label smoothing in b only (s = 0.1 " in first(cce(), cce(label_smoothing=0.1), np.eye(4)[LABELS], P)
    assert "the logarithm: b takes log(y_pred)" in first(multiloss.get("scce"), multiloss.get("nll"), LABELS, P)
    p = P.copy()
    p[1, 1] = 0.0
    report = multiloss.compare(cce(), lambda y, p: -(y * np.log(p)).sum(axis=1).mean(), Q, p)
    assert "differs only where y_pred is near 0: clipping" in report.causes[0]
    assert report.causes[1].startswith("inf in b only from sample 1, y_true[1] = [")


def test_weights() -> None:
    """Sample weights: divided by, or not, or not taken."""
    mean = multiloss.get("mse")
    found = first(multiloss.get("mse", reduction="weighted_mean"), mean, Y, X, sample_weight=WEIGHT)
    assert found == "weighted mean: a divides by the sum of the sample weights, b by the number of samples, N = 6"
    report = multiloss.compare(mean, mse, Y, X, sample_weight=WEIGHT)
    assert report.causes == ("b ignores the sample weights",)
    assert "takes no sample_weight, and was called without" in report.b.notes


def test_ignored_samples() -> None:
    """They count in one mean, and not in the other."""
    masked = multiloss.get("scce", from_logits=True, ignore_index=2)

    def counted(y_true: Any, y_pred: Any) -> Any:
        return multiloss.get("scce", from_logits=True, ignore_index=2, reduction="none")(y_true, y_pred).mean()

    assert "b counts ignored or masked samples" in first(masked, counted, LABELS, X)


def test_broadcasting() -> None:
    """(N,) against (N, 1): compared as N x N, refused, or aligned."""
    y, x = Y[:, 0], X[:, :1]
    report = multiloss.compare(mse, multiloss.get("mse"), y, x)
    assert "a compares every sample with every other, b refuses them" in report.causes[0]
    assert report.b.error is not None and "equal shapes" in report.b.error
    assert "b compares what belongs together" in first(mse, lambda t, p: mse(t.reshape(p.shape), p), y, x)


def test_few_samples() -> None:
    """One sample, one number, none."""
    assert first(mse, lambda y, p: 3 * mse(y, p), [[1.0, 2.0]], [[2.0, 5.0]]).startswith("b = 3 a")
    assert first(mse, lambda y, p: 3 * mse(y, p), 1.0, 2.5).startswith("b = 3 a")
    assert first(mse, multiloss.get("mse"), np.zeros((0, 3)), np.zeros((0, 3))) == (
        "an empty batch: a gives nan, b gives 0.0"
    )


def test_many_samples() -> None:
    """A large batch is as quick as a small one, and a rare difference in it is found."""
    x = RNG.uniform(0.1, 0.9, (5000, 3))
    y = (x > 0.5) * 1.0
    assert first(mse, lambda y, p: 0.5 * mse(y, p), y, x).startswith("b = 0.5 a")
    x[3000, 1] = 0.0
    y[3000, 1] = 1.0
    bce = multiloss.get("bce")
    found = first(bce, lambda t, p: bce(t, np.maximum(p, 1e-4)), y, x)
    assert "clipping" in found


@pytest.mark.cross
def test_gradient_of_many_samples() -> None:
    """A tie is found wherever it is."""
    import torch

    y, x = RNG.normal(size=(500, 1)), RNG.normal(size=(500, 1))
    x[400] = y[400]
    found = first(torch.nn.L1Loss(), lambda t, p: torch.where(p >= t, p - t, t - p).mean(), y, x)
    assert found == "gradient only: they differ where y_true equals y_pred, a tie: the subgradient there is another"


def test_equal_values_beside_which_they_differ() -> None:
    """Log-probabilities are logits that a softmax leaves."""
    found = first(multiloss.get("nll"), multiloss.get("scce", from_logits=True), LABELS, np.log(P))
    assert found.startswith("logits taken as log-probabilities: a takes log-probabilities")
    assert first(multiloss.get("nll"), multiloss.get("scce", from_logits=True)) == found


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


# Frameworks.


def test_no_framework_is_imported() -> None:
    code = (
        "import sys, multiloss\n"
        "multiloss.compare(multiloss.get('mse'), lambda y, p: ((p - y) ** 2).mean())\n"
        "print([m for m in ('torch', 'keras', 'tensorflow', 'jax', 'optax') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert done.stdout.strip() == "[]"


def test_written_forms_of_this_library() -> None:
    assert multiloss.compare("huber(delta=2.0)", "multiloss.get('huber', delta=2.0)").same
    assert multiloss.compare("mse", mse).same


def test_library_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the port of the loss runs, and the report says so."""
    monkeypatch.setattr(wrap.importlib.util, "find_spec", lambda name: None)
    report = multiloss.compare("optax.l2_loss", "half_squared_error(axis=(), reduction='none')")
    assert report.same
    assert report.a.loss == "optax.l2_loss"
    assert report.a.notes == ("optax is not installed: this is multiloss' port of it",)


@pytest.mark.cross
def test_every_framework_is_found() -> None:
    """By what the function names, by its arrays, by trying; and differentiated there."""
    import jax.numpy as jnp
    import keras
    import tensorflow as tf
    import torch

    def in_keras(y_true: Any, y_pred: Any) -> Any:
        return keras.ops.mean(keras.ops.square(y_pred - y_true))

    functions = {
        "torch": (lambda y, p: torch.nn.functional.mse_loss(p, y), "torch.autograd"),
        "jax": (lambda y, p: jnp.mean((p - y) ** 2), "jax.grad"),
        "tensorflow": (lambda y, p: tf.reduce_mean(tf.square(p - y)), "tf.GradientTape"),
        "numpy": (lambda y, p: np.asarray((np.asarray(p) - np.asarray(y)) ** 2).mean(), "central differences"),
        "keras": (in_keras, {"tensorflow": "tf.GradientTape", "torch": "torch.autograd", "jax": "jax.grad"}[
            keras.backend.backend()]),
    }  # fmt: skip
    for arrays in (
        (Y, X),
        (torch.tensor(Y), torch.tensor(X)),
        (jnp.asarray(Y), jnp.asarray(X)),
        (Y.tolist(), X.tolist()),
    ):
        for name, (function, how) in functions.items():
            report = multiloss.compare(multiloss.get("mse"), function, *arrays)
            assert report.same, report
            assert report.b.framework.startswith(name) and report.b.gradient_by == how
    assert multiloss.compare(mse, mse, torch.tensor(Y), torch.tensor(X)).a.framework.startswith("torch")


@pytest.mark.cross
def test_native_objects() -> None:
    """Modules, functions, partials and written forms of three libraries, each in its own order and reduction."""
    import keras
    import optax
    import torch

    ours = multiloss.get("mse")
    for item in (torch.nn.MSELoss(), torch.nn.functional.mse_loss, "torch.nn.MSELoss()", "nn.MSELoss(reduction='mean')",
                 keras.losses.MeanSquaredError(dtype="float64"), "keras.losses.MeanSquaredError()",
                 functools.partial(torch.nn.functional.mse_loss, reduction="mean")):  # fmt: skip
        report = multiloss.compare(ours, item, Y, X)
        assert report.same, report
        assert report.b.per_sample is not None
    for item in (optax.squared_error, keras.losses.mean_squared_error):
        report = multiloss.compare(ours, item, Y, X)
        assert len(report.causes) == 1 and report.causes[0].startswith("reduction: b gives values of shape")
    assert "torch's own" in multiloss.compare(ours, "torch.nn.MSELoss()", Y, X).b.notes
    assert multiloss.compare(torch.nn.MSELoss(), ours, Y, X).a.order == ("y_pred", "y_true")
    asymmetric = multiloss.compare(
        torch.nn.functional.binary_cross_entropy_with_logits, optax.sigmoid_binary_cross_entropy, (Y > 0) * 1.0, X
    )
    assert asymmetric.causes[0].startswith("reduction: b gives")


@pytest.mark.cross
def test_integer_targets_and_weights_of_a_dtype() -> None:
    """What a side does not take is given as it does, and noted."""
    import torch

    report = multiloss.compare(torch.nn.BCEWithLogitsLoss(), multiloss.get("bce", from_logits=True), (Y > 0) * 1, X)
    assert report.same, report
    theirs = torch.nn.CrossEntropyLoss(weight=torch.ones(4))
    weighted = multiloss.compare(theirs, multiloss.get("scce", from_logits=True), LABELS, X)
    assert weighted.same, weighted
    assert weighted.a.dtype == "float32" and "float32 arrays" in weighted.a.notes[-1]
    assert weighted.rtol == 1e-5


@pytest.mark.cross
def test_warnings_become_notes() -> None:
    import torch

    report = multiloss.compare(torch.nn.MSELoss(), multiloss.get("mse"), Y[:, 0], X[:, :1])
    assert any("target size" in note for note in report.a.notes)
    assert "broadcasting" in report.causes[0]


@pytest.mark.cross
def test_state_is_left_alone() -> None:
    center = multiloss.get("center", backend="torch", num_classes=3, feature_dim=4)
    with pytest.raises(TypeError, match="b is .*, which holds state that a comparison would move"):
        multiloss.compare(multiloss.get("mse"), center)


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

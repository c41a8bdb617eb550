"""`multiloss.compare` on losses of other frameworks, each run and differentiated by its own."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.comparisons import LABELS, X, Y, mse
from multiloss.comparing import wrap


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

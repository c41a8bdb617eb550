"""What the tests of users' porting pains share (`users.md`, section 2): `multiloss.compare` names each one's cause.

One test a pain, with its number, on the two sides that the issue is about. Each wants the right family of causes first
or second, and no family that has nothing to do with it.

Not here, as no convention of a loss is behind them:
23: Keras' `add_loss` was not seen on JAX, a bug.
24: an evaluation loop averaged over padded batches; what of it is a denominator is the pain of ignored samples, 26.
30: a crash on one device.

Of some the convention that the issue names is taken, and not all of it. 5 says only "the loss functions are different":
here a softmax once more. 6 is a sum of terms against their mean. 18 is the label offset; its other half is a kernel.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from multiloss.comparing import Report

FAMILIES = {
    "half": "factor 1/2",
    "percent": "percent",
    "elements": "mean over elements|over N x C",
    "batch": "over the batch",
    "swapped": "arguments swapped",
    "logits": "logits taken as",
    "log": "the logarithm: ",
    "clipping": "clipping or an eps",
    "epsilon": "epsilon is added",
    "smoothing": "label smoothing",
    "k-1": "K against K - 1",
    "weighted": "weighted mean",
    "class weights": "class weights: |class balance",
    "ignored": "ignored or masked",
    "axis": "class axis",
    "root": "root against",
    "squared": "squared against not",
    "whole": "whole batch as one",
    "broadcast": "broadcasting",
    "gradient": "gradient only",
    "precision": "precision only",
    "finite": "(nan|inf) in",
    "sign": "the sign|1 - s",
    "offset": "constant offset|normalising constant 0.5",
    "renormalised": "renormalised",
    "focal": "focal alpha",
    "huber": "smooth L1",
    "shape": "reduction: ",
    "labels": "label offset",
    "constant": "does not depend on y_pred",
    "factor": "constant factor|the factor is",
}
RNG = np.random.default_rng(7)
N, C = 6, 5
LOGITS = 2 * RNG.normal(size=(N, C))
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
TARGETS = np.exp(RNG.normal(size=(N, C)))
TARGETS /= TARGETS.sum(axis=1, keepdims=True)
LABELS = np.array([0, 1, 2, 3, 4, 1])
HOT = np.eye(C)[LABELS]
BINARY = (RNG.uniform(size=(N, C)) < 0.5).astype(float)
BINARY[0, :2] = 0.0, 1.0
X, Y = RNG.normal(size=(N, C)), RNG.normal(size=(N, C))


def families(report: Report) -> list[set[str]]:
    """The families that each cause belongs to."""
    return [{name for name, text in FAMILIES.items() if re.search(text, cause)} for cause in report.causes]


def named(report: Report, *wanted: str, beside: tuple[str, ...] = ()) -> None:
    """One of `wanted` is among the first two, and nothing else but what is `beside` it."""
    assert not report.same
    found = families(report)
    assert any(set(wanted) & names for names in found[:2]), str(report)
    assert set.union(*found) <= {*wanted, *beside}, str(report)


def keras_of(name: str, **options: Any) -> Any:
    import keras

    return getattr(keras.losses, name)(dtype="float64", **options)


def torch_of(name: str, **options: Any) -> Any:
    import torch

    return getattr(torch.nn, name)(**options)

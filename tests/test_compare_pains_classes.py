"""`multiloss.compare` names the causes of the pains with losses of classes (`helpers/pains.py`)."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.pains import (
    BINARY,
    HOT,
    LABELS,
    LOGITS,
    PROBABILITIES,
    RNG,
    TARGETS,
    C,
    N,
    families,
    keras_of,
    named,
    torch_of,
)

pytestmark = pytest.mark.cross


def test_1_bce_of_two_frameworks() -> None:
    """torch's call written in Keras' place: the arguments are the other way round."""
    import torch

    ours = multiloss.compare(
        lambda y_true, y_pred: torch.nn.functional.binary_cross_entropy(y_true, y_pred),  # as torch names them: wrong
        keras_of("BinaryCrossentropy"), RNG.uniform(0.1, 0.9, (N, C)), RNG.uniform(0.1, 0.9, (N, C)))  # fmt: skip
    named(ours, "swapped")


def test_2_bce_with_logits_translated() -> None:
    """BCEWithLogitsLoss became BinaryCrossentropy(), which takes probabilities."""
    report = multiloss.compare(torch_of("BCEWithLogitsLoss"), keras_of("BinaryCrossentropy"), BINARY, LOGITS)
    named(report, "logits")


def test_3_large_logits() -> None:
    """Cross-entropy of logits is 1000, of clipped probabilities 16.1."""
    logits = LOGITS.copy()
    logits[0] = [0, 1000, 0, 0, 0]

    def clipped(y_true: Any, y_pred: Any) -> Any:
        powers = np.exp(y_pred - y_pred.max(axis=1, keepdims=True))
        p = np.clip(powers / powers.sum(axis=1, keepdims=True), 1e-7, 1 - 1e-7)
        return -(y_true * np.log(p)).sum(axis=1).mean()

    report = multiloss.compare(torch_of("CrossEntropyLoss"), clipped, HOT, logits)
    named(report, "clipping")
    assert "b stops at -log(1e-07)" in report.causes[0]


@pytest.mark.parametrize("exact", [False, True])
def test_4_double_epsilon(exact: bool) -> None:
    """Clipped by epsilon, and epsilon added again."""

    def twice(y_true: Any, y_pred: Any) -> Any:
        p = np.clip(y_pred, 1e-7, 1 - 1e-7)
        return -(y_true * np.log(p + 1e-7) + (1 - y_true) * np.log(1 - p + 1e-7)).mean()

    p = RNG.uniform(0.05, 0.95, (N, C))
    if exact:
        p[0, 1], p[1, 2] = 0.0, 1.0
    named(multiloss.compare(keras_of("BinaryCrossentropy"), twice, BINARY, p), "clipping" if exact else "epsilon")


def test_5_softmax_twice() -> None:
    """A model that ends in a softmax, and a loss that applies one."""
    report = multiloss.compare(
        keras_of("SparseCategoricalCrossentropy"), torch_of("CrossEntropyLoss"), LABELS, PROBABILITIES
    )
    named(report, "logits")


def test_6_sum_against_mean() -> None:
    """The sum over all elements, where the other took the mean."""
    import torch

    def summed(inputs: Any, target: Any) -> Any:
        return torch.nn.functional.binary_cross_entropy_with_logits(inputs, target, reduction="sum")

    report = multiloss.compare(keras_of("BinaryCrossentropy", from_logits=True), summed, BINARY, LOGITS)
    named(report, "elements", "batch")
    assert "b = N C a" in report.causes[0]


@pytest.mark.parametrize("pain", [7, 8, 9, 10])
def test_7_to_10_kl(pain: int) -> None:
    """torch's mean over elements is the divergence / C; its input is log-probabilities."""
    import optax
    import torch

    kl = torch_of("KLDivLoss", reduction="mean")
    if pain == 7:
        report = multiloss.compare(keras_of("KLDivergence"), kl, TARGETS, PROBABILITIES)
        named(report, "log", "elements", beside=("batch",))
        assert families(report)[0] == {"log"} and "b = a / C" in report.causes[1]
    elif pain == 8:
        report = multiloss.compare(kl, torch_of("KLDivLoss", reduction="batchmean"), TARGETS, np.log(PROBABILITIES))
        named(report, "elements", beside=("batch",))
        assert "C = 5" in report.causes[0] and "batchmean" in report.causes[0]
    elif pain == 9:
        batchmean = functools.partial(torch.nn.functional.kl_div, reduction="batchmean")
        named(multiloss.compare(keras_of("KLDivergence"), batchmean, TARGETS, PROBABILITIES), "log")
    else:
        report = multiloss.compare(optax.kl_divergence, kl, TARGETS, np.log(PROBABILITIES))
        named(report, "elements", beside=("batch", "shape"))


def label_smoothed(s: float, of_others: bool) -> Any:
    """Smoothing over the others alone, s / (K - 1), as fairseq and icefall had it; or over all."""
    import torch

    def loss(inputs: Any, target: Any) -> Any:
        log_p = torch.log_softmax(inputs, dim=-1)
        hot = torch.nn.functional.one_hot(target, inputs.shape[-1])
        k = inputs.shape[-1]
        soft = (1 - s) * hot + (s / (k - 1) * (1 - hot) if of_others else s / k)
        return -(soft * log_p).sum(dim=-1).mean()

    return loss


def test_11_fairseq_smoothing() -> None:
    """fairseq's smoothing against Keras'."""
    import keras

    def theirs(y_true: Any, y_pred: Any) -> Any:
        hot = keras.ops.one_hot(y_true, C, dtype="float64")
        return keras_of("CategoricalCrossentropy", from_logits=True, label_smoothing=0.1)(hot, y_pred)

    report = multiloss.compare(theirs, label_smoothed(0.1, of_others=True), LABELS, LOGITS)
    named(report, "k-1", beside=("smoothing",))


def test_12_k_minus_1() -> None:
    """K against K - 1."""
    report = multiloss.compare(
        torch_of("CrossEntropyLoss", label_smoothing=0.1), label_smoothed(0.1, True), LABELS, LOGITS
    )
    named(report, "k-1", beside=("smoothing",))
    assert "s = 0.1 " in report.causes[0]


def test_13_half_of_the_smoothing() -> None:
    """Of two classes, torch's smoothing moves s / 2, and a hand-written one s."""
    labels, logits = LABELS % 2, LOGITS[:, :2]
    report = multiloss.compare(
        torch_of("CrossEntropyLoss", label_smoothing=0.2), label_smoothed(0.2, True), labels, logits
    )
    named(report, "k-1", beside=("smoothing",))
    two = multiloss.compare(
        keras_of("BinaryCrossentropy", from_logits=True, label_smoothing=0.2),
        torch_of("BCEWithLogitsLoss"),
        BINARY,
        LOGITS,
    )
    named(two, "smoothing")
    assert "a uses 0.1 for 0 and 0.9 for 1" in two.causes[0]


def test_15_weighted_mean() -> None:
    """torch divides by the sum of the class weights, Keras by the number of samples."""
    import keras
    import torch

    weights = np.array([1.0, 2.0, 0.5, 3.0, 1.5])
    theirs = torch_of("CrossEntropyLoss", weight=torch.tensor(weights))

    def ours(y_true: Any, y_pred: Any) -> Any:
        loss = keras_of("SparseCategoricalCrossentropy", from_logits=True)
        return loss(y_true, y_pred, sample_weight=keras.ops.take(keras.ops.convert_to_tensor(weights), y_true))

    named(multiloss.compare(theirs, ours, LABELS, LOGITS), "weighted")
    plain = multiloss.compare(torch_of("CrossEntropyLoss"), ours, LABELS, LOGITS)
    named(plain, "class weights")


def focal(positive: float, negative: float, gamma: float = 2.0) -> Any:
    """A focal loss with a weight for each class, by hand."""
    import torch

    def loss(inputs: Any, targets: Any) -> Any:
        p = torch.sigmoid(inputs)
        ce = torch.nn.functional.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
        p_t = p * targets + (1 - p) * (1 - targets)
        return ((positive * targets + negative * (1 - targets)) * (1 - p_t) ** gamma * ce).mean()

    return loss


def test_16_focal_of_two_libraries() -> None:
    """weights=[0.25, 0.75] of the classes 0 and 1 against alpha=0.25 of class 1."""
    named(multiloss.compare(focal(0.75, 0.25), focal(0.25, 0.75), BINARY, LOGITS), "focal")


def test_17_focal_alpha() -> None:
    """alpha on y = 1 only, on both, or ignored (Keras without apply_class_balancing)."""
    named(multiloss.compare(focal(0.25, 0.75), focal(1.0, 0.75), BINARY, LOGITS), "focal", beside=("class weights",))
    keras_focal = keras_of("BinaryFocalCrossentropy", from_logits=True, alpha=0.25)
    ignored = multiloss.compare(keras_focal, focal(0.25, 0.75), BINARY, LOGITS)
    named(ignored, "focal")
    assert "a ignores alpha" in ignored.causes[0]


def test_18_label_offset() -> None:
    """Class 0 is the background in one."""
    import torch

    def from_one(inputs: Any, target: Any) -> Any:
        hot = torch.nn.functional.one_hot(target, C + 1)[:, 1:].double()
        return torch.nn.functional.binary_cross_entropy_with_logits(inputs, hot)

    def from_zero(inputs: Any, target: Any) -> Any:
        hot = torch.nn.functional.one_hot(target, C).double()
        return torch.nn.functional.binary_cross_entropy_with_logits(inputs, hot)

    named(multiloss.compare(from_zero, from_one, LABELS % 4, LOGITS), "labels")


def test_19_dice_over_the_batch() -> None:
    """Keras' Dice is of the whole batch, the other of each sample."""

    def per_sample(inputs: Any, target: Any) -> Any:
        shared = (inputs * target).sum(dim=1)
        return (1 - 2 * shared / (inputs.sum(dim=1) + target.sum(dim=1) + 1e-7)).mean()

    p = RNG.uniform(0.1, 0.9, (N, C))
    report = multiloss.compare(keras_of("Dice"), per_sample, BINARY, p)
    named(report, "whole")
    assert "a takes the whole batch" in report.causes[0]


def test_20_class_axis() -> None:
    """NHWC against NCHW."""
    import torch

    logits = RNG.normal(size=(3, 4, 4, 4))
    labels = RNG.integers(0, 4, (3, 4, 4))
    cross_entropy = torch.nn.functional.cross_entropy
    named(
        multiloss.compare(cross_entropy, keras_of("SparseCategoricalCrossentropy", from_logits=True), labels, logits),
        "axis",
    )
    other = RNG.normal(size=(3, 4, 5, 6))  # where the shapes tell, torch fails
    labels = RNG.integers(0, 4, (3, 4, 5))
    failed = multiloss.compare(
        cross_entropy, keras_of("SparseCategoricalCrossentropy", from_logits=True), labels, other
    )
    assert families(failed)[0] == {"axis"}
    assert failed.a.error is not None and failed.causes[1].startswith("a failed")


def test_26_ignored() -> None:
    """Ignored samples in the denominator, or not."""
    import torch

    labels = LABELS.copy()
    labels[[1, 4]] = -100

    def divides_by_all(inputs: Any, target: Any) -> Any:
        return torch.nn.functional.cross_entropy(inputs, target, reduction="none").mean()

    report = multiloss.compare(torch.nn.CrossEntropyLoss(), divides_by_all, labels, LOGITS)
    named(report, "ignored")
    assert "b counts ignored" in report.causes[0]

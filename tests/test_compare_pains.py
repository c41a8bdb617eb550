"""`multiloss.compare` on the porting pains that users had (`users.md`, section 2): it names each one's cause.

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

import functools
import re
from typing import Any

import numpy as np
import pytest

import multiloss
from multiloss.comparing import Report

pytestmark = pytest.mark.cross

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


@pytest.mark.parametrize("delta", [2.0, 0.5, 3.0])
def test_14_huber_and_smooth_l1(delta: float) -> None:
    """Smooth L1 is Huber / delta."""
    report = multiloss.compare(keras_of("Huber", delta=delta), torch_of("SmoothL1Loss", beta=delta), Y, 4 * X)
    named(report, "huber")
    assert f"delta = {delta:g}" in report.causes[0] and "a is the Huber" in report.causes[0]


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


def test_21_ties() -> None:
    """The gradient of |x| at 0, and of a maximum at a tie."""
    import torch

    x = X.copy()
    x[0] = Y[0]
    report = multiloss.compare(torch.nn.L1Loss(), lambda y, p: torch.where(p >= y, p - y, y - p).mean(), Y, x)
    named(report, "gradient")
    assert "where y_true equals y_pred, a tie" in report.causes[0]
    clamped = multiloss.compare(
        lambda y, p: torch.clamp(p, min=0.0).mean(), lambda y, p: torch.maximum(p, torch.zeros_like(p)).mean(), Y,
        np.maximum(X, 0))  # fmt: skip
    named(clamped, "gradient")
    assert clamped.values is not None and clamped.values.absolute == 0


def test_22_gradient_only() -> None:
    """The same value, and a part that one holds constant, or nan where a root is 0."""
    import jax
    import jax.numpy as jnp
    import torch

    def constant(y_true: Any, y_pred: Any) -> Any:
        return (jax.lax.stop_gradient(y_pred - y_true) * (y_pred - y_true)).mean()

    report = multiloss.compare(torch.nn.MSELoss(), constant, Y, X)
    named(report, "gradient")
    assert "0.5 times" in report.causes[0]
    same = multiloss.compare(
        lambda y, p: torch.linalg.vector_norm(p - y, dim=1).mean(),
        lambda y, p: jnp.sqrt(((p - y) ** 2).sum(axis=1)).mean(),
        Y,
        np.concatenate([Y[:1], X[1:]]),
    )
    named(same, "gradient")
    assert "nan" in same.causes[0]


def test_25_triplet_squared() -> None:
    """The distance, or its square."""
    import torch

    def squared(anchor: Any, positive: Any, negative: Any) -> Any:
        return torch.relu(((anchor - positive) ** 2).sum(1) - ((anchor - negative) ** 2).sum(1) + 1).mean()

    inputs = {"anchor": X, "positive": Y, "negative": RNG.normal(size=(N, C))}
    report = multiloss.compare(multiloss.get("triplet_margin", backend="torch"), squared, inputs=inputs)
    named(report, "squared")
    assert "b grows with the square" in report.causes[0]


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


def test_27_mape() -> None:
    """Percent or a fraction; the epsilon of the denominator."""

    def fraction(inputs: Any, target: Any) -> Any:
        return ((inputs - target).abs() / target.abs().clamp(min=1.17e-6)).mean()

    named(multiloss.compare(keras_of("MeanAbsolutePercentageError"), fraction, Y, X), "percent")
    y = Y.copy()
    y[2, 3] = 0.0
    named(multiloss.compare(multiloss.get("mape", backend="torch", axis=()), lambda t, p: 100 * fraction(p, t), y, X),
          "clipping")  # fmt: skip


def test_28_cosine_sign() -> None:
    """Minus the cosine, the cosine, and 1 - it."""
    import optax
    import torch

    cosine = keras_of("CosineSimilarity")
    named(multiloss.compare(cosine, lambda y, p: torch.cosine_similarity(p, y, dim=-1).mean(), Y, X), "sign")

    def distance(y: Any, p: Any) -> Any:
        return optax.cosine_distance(p, y).mean()

    named(multiloss.compare(cosine, distance, Y, X), "sign")
    named(multiloss.compare(lambda y, p: optax.cosine_similarity(p, y).mean(), distance, Y, X), "sign")


def test_29_poisson() -> None:
    """torch takes the log-rate unless told, Keras the rate; `full` adds Stirling's terms; the epsilons differ."""
    counts = RNG.poisson(3.0, (N, C)).astype(float)
    rate = np.exp(0.3 * X)
    named(multiloss.compare(torch_of("PoissonNLLLoss"), keras_of("Poisson"), counts, rate), "log")
    full = multiloss.compare(torch_of("PoissonNLLLoss", full=True), torch_of("PoissonNLLLoss"), counts, X)
    named(full, "constant")
    named(multiloss.compare(torch_of("PoissonNLLLoss", log_input=False), keras_of("Poisson"), counts, rate), "epsilon")

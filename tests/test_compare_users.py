"""`multiloss.compare` on what users bring: objects of their own, arrays without numbers, empty batches."""

from typing import Any

import numpy as np
import pytest

import multiloss
from multiloss.engine import registry

PLAIN = [
    name
    for name in multiloss.list_losses()
    if name not in set(registry.CENTER.values()) and registry.find(name).kind != "of_inputs"
]
RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 4))


def mse(y_true: Any, y_pred: Any) -> Any:
    return ((y_pred - y_true) ** 2).mean()


@pytest.mark.graph
@pytest.mark.cross
def test_users_own_functions() -> None:
    """Of every framework, as functions, compiled ones and objects of classes that nobody else knows."""
    import jax
    import jax.numpy as jnp
    import keras
    import tensorflow as tf
    import torch

    class OfKeras(keras.losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return keras.ops.mean((y_true - y_pred) ** 2, axis=-1)

    class OfTorch(torch.nn.Module):
        reduction = "mean"

        def forward(self, y_pred: Any, target: Any) -> Any:
            return ((y_pred - target) ** 2).mean()

    for own in (
        lambda y, p: torch.mean((y - p) ** 2),
        lambda y, p: keras.ops.mean((y - p) ** 2),
        jax.jit(lambda y, p: jnp.mean((y - p) ** 2)),
        tf.function(lambda y, p: tf.reduce_mean((y - p) ** 2)),
        OfKeras(dtype="float64"),
        OfTorch(),
    ):
        assert multiloss.compare(own, mse, Y, X, rtol=1e-6).same, own


@pytest.mark.cross
def test_arrays_that_hold_no_numbers() -> None:
    """They are named."""
    import keras
    import torch

    for wrong in (torch.empty(6, 4, device="meta"), torch.eye(4).to_sparse(), keras.KerasTensor((6, 4)), X + 1j, "abc"):
        with pytest.raises(TypeError, match="y_pred must be an array of real numbers"):
            multiloss.compare(mse, "mae", Y, wrong)


@pytest.mark.cross
def test_empty_batches() -> None:
    """Of any two, whatever shape they give."""
    forms = ("torch.nn.MSELoss()", "keras.losses.MeanSquaredError()", "optax.l2_loss", "mse", "mse(reduction='none')")
    for a in forms:
        for b in forms:
            report = multiloss.compare(a, b, Y[:0], X[:0])
            assert report.same or "empty batch" in report.causes[0], str(report)


def test_an_empty_batch_is_shown() -> None:
    """Without a warning of NumPy, which has no mean of nothing."""
    shown = str(multiloss.compare("mse(reduction='none')", mse, Y[:0], X[:0], rtol=0.0))
    assert "an empty batch: a gives [], b gives" in shown


@pytest.mark.parametrize("name", PLAIN)
def test_gradients_by_differences(name: str) -> None:
    """Of a function on NumPy they are those of the closed form; also where one factor for all predictions changes
    nothing, as of a cosine."""
    loss = multiloss.get(name, reduction="sum")
    report = multiloss.compare(loss, lambda y_true, y_pred: loss(y_true, y_pred), shape=(2, 3), seed=2)
    assert report.same, report
    assert report.b.gradient_by == "central differences"
    np.testing.assert_allclose(report.b.gradient, report.a.gradient, rtol=1e-6, atol=1e-8)


def test_gradient_of_a_cosine() -> None:
    """That of 1 - t.p / (|t| |p|) by p, (t.p p / |p|^2 - t) / (|t| |p|)."""
    dot, t, p = (Y * X).sum(1), np.linalg.norm(Y, axis=1), np.linalg.norm(X, axis=1)
    report = multiloss.compare(lambda y, x: 1 - (y * x).sum(1) / t / np.linalg.norm(x, axis=1), "cosine_distance", Y, X)
    wanted = ((dot / p**2)[:, None] * X - Y) / (t * p)[:, None]
    assert report.a.gradient_by == "central differences"
    np.testing.assert_allclose(report.a.gradient, wanted, rtol=1e-7, atol=1e-10)


def test_label_smoothing_of_means_over_classes() -> None:
    """Of losses by hand that take the mean over all elements."""

    def mean(s: float) -> Any:
        return lambda t, z: -(((1 - s) * t + s / 4) * (z - np.log(np.exp(z).sum(-1, keepdims=True)))).mean()

    report = multiloss.compare(mean(0.0), mean(0.1), np.eye(4)[[0, 1, 2, 3, 1, 2]], X)
    assert report.causes == ("label smoothing in b only (s = 0.1 to K = 4 classes)",)


def test_label_smoothing_under_sample_weights() -> None:
    weight, labels = np.array([1.0, 2.0, 3.0, 1.0, 0.5, 1.0]), np.array([0, 1, 2, 3, 1, 2])
    bits = (Y > 0) * 1.0
    for a, b, y_true, cause in (
        (
            "scce(from_logits=True)",
            "scce(from_logits=True, label_smoothing=0.1)",
            labels,
            " in b only (s = 0.1 to K = 4",
        ),
        ("bce(from_logits=True, label_smoothing=0.2)", "bce(from_logits=True)", bits, ": a uses 0.1 for 0 and 0.9 for"),
    ):
        report = multiloss.compare(a, b, y_true, X, sample_weight=weight)
        assert report.causes[0].startswith(f"label smoothing{cause}"), str(report)


def test_refused_names() -> None:
    """A refused name is refused with its reason, and not called."""
    for form in (
        "keras.losses.deserialize(name={'class_name': 'Huber'})",
        "torch.nn.AdaptiveLogSoftmaxWithLoss(3, 4, [1])",
    ):
        with pytest.raises(ValueError, match="is not ported"):
            multiloss.compare(form, "mse", Y, X)


@pytest.mark.parametrize(
    ("a", "b", "claim"),
    [
        ("mean_absolute_error", "binary_crossentropy", "label smoothing"),
        ("charbonnier", "binary_crossentropy", "label smoothing"),
        ("cosine_distance", "soft_margin", "precision"),
        ("quantile", "mean_absolute_percentage_error", "class balance"),
    ],
)
def test_no_false_claims(a: str, b: str, claim: str) -> None:
    """Of two unrelated losses, what holds of one input alone is no cause."""
    for seed in range(12):
        report = multiloss.compare(a, b, seed=seed)
        assert not any(claim in cause for cause in report.causes), report.causes


@pytest.mark.cross
def test_ctc() -> None:
    """Each in the layout of its library: frames first in torch, paddings for lengths in Optax."""
    assert multiloss.compare("torch.nn.CTCLoss()", "ctc(normalize='length')").same
    assert multiloss.compare("F.ctc_loss(reduction='none')", "optax.ctc_loss").same
    report = multiloss.compare("torch.nn.CTCLoss()", "ctc()")
    assert report.causes[0] == (
        "a divides each value by the number of labels of its sample, label_lengths (torch's mean does)"
    )
    for other in ("optax.losses.ctc_loss", "torch.nn.CTCLoss(reduction='none')"):
        report = multiloss.compare(other, "keras.losses.CTC(reduction='none')")
        assert report.causes[0].startswith("precision only: b computes in float32")
    for blank in (1, 9):  # no label is the blank, of which there may be a class more
        torch_form = f"torch.nn.CTCLoss(blank={blank}, reduction='none')"
        report = multiloss.compare(torch_form, f"optax.ctc_loss(blank_id={blank})")
        assert report.same, str(report)
    report = multiloss.compare("keras.losses.CTC()", "multiloss.get('ctc')")
    assert report.causes[0].startswith("precision only: a computes in float32")


@pytest.mark.cross
@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ("torch.nn.CTCLoss(blank=0)", "torch.nn.CTCLoss(blank=2)", ["the blank is class 0 in a, class 2 in b"]),
        (
            "torch.nn.CTCLoss(blank=1)", "optax.ctc_loss()",
            ["the blank is class 1 in a, class 0 in b", "a divides each value by the number of labels", "reduction"],
        ),
        ("optax.ctc_loss(blank_id=3)", "keras.losses.CTC(reduction='none')", ["the blank is class 3 in a"]),
        ("keras.losses.CTC()", "torch.nn.CTCLoss()", ["b divides each value by the number of labels"]),
        ("ctc", "multiloss.get('ctc', backend='jax', blank=3)", ["the blank is class 0 in a, class 3 in b"]),
        (
            "multiloss.get('ctc', blank=1, normalize='length')", "multiloss.get('ctc', blank=2, reduction='sum')",
            ["the blank is class 1 in a, class 2 in b", "b = 2 a", "b = N a (N = 5): b sums over the batch"],
        ),
        (
            "torch.nn.CTCLoss()", "torch.nn.CTCLoss(reduction='sum')",
            ["a divides each value by the number of labels", "b sums over the batch, a takes the mean"],
        ),
    ],
)  # fmt: skip
def test_two_blanks(a: str, b: str, said: list[str]) -> None:
    """Which class the blank is of each side, and what differs besides."""
    causes = multiloss.compare(a, b).causes
    assert [cause.startswith(start) for cause, start in zip(causes, said, strict=True)] == [True] * len(said)


def test_targets_that_the_stricter_side_takes() -> None:
    """torch takes any target of a cosine embedding, this library those with a meaning."""
    assert multiloss.compare("torch.nn.CosineEmbeddingLoss()", "cosine_embedding").same


@pytest.mark.parametrize("a", ["hinge", "categorical_hinge"])
def test_one_number_is_no_evidence(a: str) -> None:
    """What is left after a change must hold of other predictions, too: softmax makes 1 of any single score."""
    other = "symmetric_mean_absolute_percentage_error"
    report = multiloss.compare(multiloss.get(a), multiloss.get(other, reduction="none"), seed=1, shape=(1, 1))
    assert report.causes[0].startswith("no convention that is known explains it"), str(report)


@pytest.mark.parametrize("name", ["info_nce", "multi_similarity"])
def test_sums_of_losses_of_batches(name: str) -> None:
    """A sample alone has no other to be compared with: the batch, repeated, tells that one side sums over it."""
    report = multiloss.compare(multiloss.get(name), multiloss.get(name, reduction="sum"))
    assert report.causes == ("b = N a (N = 8): b sums over the batch, a takes the mean over it",)


def test_a_class_that_counts_nothing() -> None:
    """Its factor is 0, and is told as those of the others."""
    labels = np.array([0, 1, 2, 3, 1, 2])
    scce = "sparse_categorical_crossentropy"
    options = {"from_logits": True, "reduction": "sum"}
    report = multiloss.compare(
        multiloss.get(scce, **options), multiloss.get(scce, ignore_index=2, **options), labels, X
    )
    assert report.causes[0] == "class weights: b / a depends on the class only (0: 1, 1: 1, 2: 0, 3: 1)"


def test_the_old_place_of_the_report() -> None:
    """`multiloss.porting.compare` still has the names that it had."""
    from multiloss import comparing
    from multiloss.porting import compare as old

    assert old.Report is comparing.Report and old.compare is multiloss.compare
    assert old.Outcome is comparing.Outcome and old.Difference is comparing.Difference


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_weights_of_another_number_of_classes(classes: int) -> None:
    """The generated samples have as many classes as there are weights."""
    weight = [1.0 + i for i in range(classes)]
    loss = "torch.nn.CrossEntropyLoss(reduction='sum')"
    report = multiloss.compare(f"torch.nn.CrossEntropyLoss({weight=}, reduction='sum')", loss)
    assert str(report).count("failed") == 0
    assert any(
        cause.startswith("class weights: b / a depends on the class only (0: 1, 1: 0.5") for cause in report.causes
    )

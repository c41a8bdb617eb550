"""The losses of `torch.nn` (2.13) of several classes as losses of this library. Classes are on axis 1."""

from __future__ import annotations

from typing import Any

from multiloss.engine.options import real, vector
from multiloss.porting.rows import RefusedError, Row, refuses
from multiloss.porting.torch_common import (
    ORDER,
    ROWS,
    of_classes,
    of_labels,
    of_mean,
    of_weights,
    read_reduction,
    source,
)


def _of_labels(loss: str, reduction: str, weight: Any, ignore_index: Any, *notes: str, **options: Any) -> Row:
    """A loss of labels on axis 1, whose mean is over the sum of class weights."""
    if weight is not None:
        options["class_weight"] = vector("weight", weight)
        reduction = "weighted_mean" if reduction == "mean" else reduction
    notes = (ORDER, *of_classes(), *of_labels(reduction, weight, ignore_index), *notes)
    return Row(loss, *notes, reduction=reduction, axis=1, ignore_index=ignore_index, **options)


@source("torch.nn.CrossEntropyLoss", "torch.nn.functional.cross_entropy", back={"weight": "class_weight"})
def cross_entropy(
    weight: Any = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    targets: str = "labels",
) -> Row:
    """Cross entropy of logits over axis 1; of labels the mean is over the sum of their weights, else over N."""
    reduction = read_reduction(reduction, size_average, reduce)
    if targets == "probabilities":
        return _of_probabilities(reduction, weight, ignore_index, label_smoothing)
    if weight is None or label_smoothing == 0:
        how = {"from_logits": True, "label_smoothing": label_smoothing}
        return _of_labels("sparse_categorical_crossentropy", reduction, weight, ignore_index, **how)
    notes = (
        ORDER,
        *of_classes(),
        *of_labels(reduction, weight, ignore_index),
        "each class's part of the smoothing has that class's weight, but the mean is over the labels' weights alone",
    )
    how = {"label_smoothing": label_smoothing, "ignore_index": ignore_index, "axis": 1}
    return Row("torch.cross_entropy", *notes, weight=vector("weight", weight), reduction=reduction, **how)


def _of_probabilities(reduction: str, weight: Any, ignore_index: int, label_smoothing: float) -> Row:
    if ignore_index >= 0:
        raise ValueError(f"ignore_index is for labels, not for probabilities, got {ignore_index}")
    notes = [ORDER, *of_classes(), *of_mean(reduction), "ignore_index does nothing to probabilities"]
    if weight is not None and reduction == "mean":
        notes.append("the mean is over the number of samples; of labels it is over the sum of their weights")
    notes.append("torch gives nan where a logit is -inf and its target 0: not reproduced, it counts 0")
    how: dict[str, Any] = {"label_smoothing": label_smoothing, "reduction": reduction, "axis": 1}
    if weight is None:
        return Row("categorical_crossentropy", *notes, from_logits=True, validate=False, **how)
    return Row("torch.cross_entropy_of_probabilities", *notes, weight=vector("weight", weight), **how)


@source("torch.nn.NLLLoss", "torch.nn.NLLLoss2d", "torch.nn.functional.nll_loss", back={"weight": "class_weight"})
def nll(
    weight: Any = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
) -> Row:
    """Minus the log-probability of each label, on axis 1; the mean is over the sum of the labels' weights."""
    notes = (
        "y_pred holds log-probabilities; torch takes any numbers, the first call here refuses those above 0",
        "a nan among the other classes, which torch passes over, shows in the value",
    )
    return _of_labels("nll", read_reduction(reduction, size_average, reduce), weight, ignore_index, *notes)


@source("torch.nn.functional.linear_cross_entropy", data="features weight y_true")
def linear_cross_entropy(
    linear_bias: Any = None,
    weight: Any = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
    *,
    targets: str = "labels",
) -> Row:
    """Cross entropy of the logits that a linear layer makes, W x + b."""
    if targets == "probabilities":
        raise RefusedError(
            "linear_cross_entropy of probabilities: apply the layer, and port cross_entropy, of targets='probabilities'"
        )
    if linear_bias is not None:
        raise RefusedError("linear_bias is data of each call: give it there, as bias")
    if options is not None:
        raise RefusedError("options say how torch divides the work, which changes no number: leave them out")
    reduction, ignored = read_reduction(reduction), -100 if ignore_index is None else ignore_index
    notes = (
        "torch takes (input, linear_weight, target, linear_bias=), this (y_true, features, weight, bias)",
        *of_labels(reduction, weight, ignored),
        "weight is (C, D): for more axes (K-dimensional loss) apply the layer, and port cross_entropy",
    )
    how = {"label_smoothing": label_smoothing, "ignore_index": ignored, "reduction": reduction}
    if weight is None:
        return Row("linear_cross_entropy", *notes, **how)
    return Row("torch.linear_cross_entropy", *notes, class_weight=vector("weight", weight), **how)


@source("torch.nn.MultiMarginLoss", "torch.nn.functional.multi_margin_loss", back={"weight": "class_weight"})
def multi_margin(
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Row:
    """Sum over the wrong classes of max(0, margin - z_y + z_j)^p, divided by the number of classes."""
    if p not in (1, 2):
        raise ValueError(f"p must be 1 or 2, got {p!r}")
    reduction = read_reduction(reduction, size_average, reduce)
    notes = [
        ORDER,
        *of_mean(reduction),
        "the sum over classes is divided by C; the multiclass hinges of Keras and Optax take the largest instead",
        "torch makes 0 of a nan among the scores: not reproduced, it is nan",
    ]
    if weight is not None:
        weight = vector("weight", weight)
        notes.append("the mean is over the number of samples, not over the sum of weights")
    how = {"power": int(p), "margin": real("margin", margin), "class_weight": weight}
    return Row("multi_margin", *notes, reduction=reduction, axis=-1, **how)


@source("torch.nn.MultiLabelMarginLoss", "torch.nn.functional.multilabel_margin_loss")
def multilabel_margin(size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> Row:
    """Sum over right classes j and wrong ones i of max(0, 1 - z_j + z_i), divided by the number of classes."""
    reduction = read_reduction(reduction, size_average, reduce)
    notes = (ORDER, *of_mean(reduction), "targets are class numbers, padded with -1, and not zeros and ones")
    return Row("multilabel_margin", *notes, reduction=reduction, axis=-1)


@source("torch.nn.MultiLabelSoftMarginLoss", "torch.nn.functional.multilabel_soft_margin_loss")
def multilabel_soft_margin(
    weight: Any = None, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Row:
    """Binary cross entropy of logits, averaged over the last axis: one value a sample."""
    reduction = read_reduction(reduction, size_average, reduce)
    notes = (ORDER, *of_mean(reduction), "'none' and 'sum' are of samples: the mean over classes is taken first")
    if weight is None:
        return Row("multilabel_soft_margin", *notes, reduction=reduction, axis=-1, validate=False)
    how = {"weight": vector("weight", weight), "reduction": reduction, "axis": -1}
    return Row("torch.binary_cross_entropy_with_logits", *notes, *of_weights(weight), **how)


refuses(
    ROWS,
    "torch.nn.AdaptiveLogSoftmaxWithLoss",
    "it owns the weights of a whole output layer; it is a layer, not a loss",
)
refuses(
    ROWS,
    "torch.nn.LinearCrossEntropyLoss",
    "it owns the weights of its linear layer; port torch.nn.functional.linear_cross_entropy, which takes them",
)

"""What the losses of `torch.nn` (2.13) are here.

torch averages over all elements, so axis=() where the loss is one of elements; classes are on axis 1.
"""

from __future__ import annotations

import math
from typing import Any

from multiloss.options import flag, non_negative, real, vector
from multiloss.porting.rows import RefusedError, Row, Rows, adder, refuses
from multiloss.porting.torch_notes import (
    DIGITS,
    ORDER,
    of_classes,
    of_elements,
    of_labels,
    of_mean,
    of_weights,
)
from multiloss.porting.torch_variants import weights

ROWS: Rows = {}
source = adder(ROWS, "y_pred y_true")

_NAMES = ("mean", "sum", "none")


def _reduction(reduction: Any, size_average: Any = None, reduce: Any = None, names: tuple[str, ...] = _NAMES) -> str:
    if size_average is not None or reduce is not None:  # what they meant before `reduction`
        size_average = True if size_average is None else size_average
        reduction = "none" if reduce is False else "mean" if size_average else "sum"
    if reduction == "elementwise_mean":  # its first name
        reduction = "mean"
    if reduction not in names:
        raise ValueError(f"reduction must be {', '.join(map(repr, names[:-1]))} or {names[-1]!r}, got {reduction!r}")
    return str(reduction)


def _elements(loss: str, reduction: str, *notes: str, **options: Any) -> Row:
    """A loss of single elements. torch checks no values, so neither is done here."""
    return Row(loss, ORDER, *of_elements(reduction), *notes, reduction=reduction, axis=(), **options)


def _no_data(name: str, weight: Any, mean: str) -> None:
    """A weight for each element is no option but data of the call."""
    if weight is not None:
        raise RefusedError(
            f"{name} is not ported with weight, which has the shape of the data: port it without, with reduction "
            f"'sum' or 'none', and give sample_weight to each call; its mean is reduction={mean!r} of multiloss.get"
        )


def _single(weight: Any) -> float | None:
    """The number that a weight of one element is, else None."""
    found = weights("weight", weight)
    while isinstance(found, tuple) and len(found) == 1:
        found = found[0]
    return None if found is None or isinstance(found, tuple) else float(found)


# Regression


@source("torch.nn.MSELoss")
def mean_squared_error(size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> Row:
    """Mean of squared errors over all elements."""
    return _elements("mean_squared_error", _reduction(reduction, size_average, reduce))


@source("torch.nn.functional.mse_loss")
def mse_loss(size_average: Any = None, reduce: Any = None, reduction: str = "mean", weight: Any = None) -> Row:
    """Mean of squared errors over all elements; with a weight for each, over the sum of weights."""
    _no_data("torch.nn.functional.mse_loss", weight, "weighted_mean")
    return mean_squared_error(size_average, reduce, reduction)


@source("torch.nn.L1Loss")
def mean_absolute_error(size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> Row:
    """Mean of absolute errors over all elements; the gradient of an error of 0 is 0."""
    return _elements("mean_absolute_error", _reduction(reduction, size_average, reduce))


@source("torch.nn.functional.l1_loss")
def l1_loss(size_average: Any = None, reduce: Any = None, reduction: str = "mean", weight: Any = None) -> Row:
    """Mean of absolute errors over all elements; with a weight for each, over the sum of weights."""
    _no_data("torch.nn.functional.l1_loss", weight, "weighted_mean")
    return mean_absolute_error(size_average, reduce, reduction)


@source("torch.nn.HuberLoss")
def huber(reduction: str = "mean", delta: float = 1.0) -> Row:
    """Half of squared errors up to delta, delta times the absolute error less delta / 2 beyond; mean over elements."""
    return _elements("huber", _reduction(reduction), delta=delta)


@source("torch.nn.functional.huber_loss")
def huber_loss(reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Row:
    """Half of squared errors up to delta, delta times the absolute error less delta / 2 beyond; mean over elements."""
    _no_data("torch.nn.functional.huber_loss", weight, "mean")
    return huber(reduction, delta)


@source("torch.nn.SmoothL1Loss", "torch.nn.functional.smooth_l1_loss")
def smooth_l1(size_average: Any = None, reduce: Any = None, reduction: str = "mean", beta: float = 1.0) -> Row:
    """Huber's loss with delta = beta, divided by beta; mean over all elements."""
    reduction = _reduction(reduction, size_average, reduce)
    notes = (
        () if beta == 1 else ("this is Huber's loss divided by beta, of which Keras and Optax have the undivided one",)
    )
    return _elements("smooth_l1", reduction, *notes, beta=beta)


@source("torch.nn.PoissonNLLLoss", "torch.nn.functional.poisson_nll_loss")
def poisson_nll(
    log_input: bool = True,
    full: bool = False,
    size_average: Any = None,
    eps: float = 1e-8,
    reduce: Any = None,
    reduction: str = "mean",
) -> Row:
    """exp(x) - t x of a logarithm x of the rate; of a rate p (log_input=False) p - t log(p + eps)."""
    log_input, full, eps = flag("log_input", log_input), flag("full", full), non_negative("eps", eps)
    of_rate = f"{eps:g} is added to the rate inside the logarithm; Keras adds 1e-7"
    notes = ["y_pred is the logarithm of the rate; in Keras it is the rate" if log_input else of_rate]
    if not log_input and eps == 0:
        notes.append("torch gives nan for a rate of 0 whose target is 0: not reproduced, it counts 0")
    if full:
        notes.append("log t! is Stirling's approximation above 1 and 0 up to there: 2! counts 0.652, not 0.693")
    how = {"log_input": log_input, "full": full, "stirling": full, "epsilon": eps, "validate": False}
    return _elements("poisson_nll", _reduction(reduction, size_average, reduce), *notes, **how)


@source("torch.nn.GaussianNLLLoss", "torch.nn.functional.gaussian_nll_loss", data="y_pred y_true var")
def gaussian_nll(full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> Row:
    """(log v + e^2 / v) / 2 of the variance v, eps at least; mean over all elements."""
    reduction = _reduction(reduction)
    notes = [
        "torch takes (input, target, var), this (y_true, y_pred, var)",
        *of_elements(reduction),
        "var is the variance, not its root or its logarithm",
        "var has the shape of y_pred; torch also takes one for a row, or one number",
        "below eps the gradient of var is that at eps, so that it can grow; Keras and Optax have no such loss",
        "a negative variance, which torch refuses, counts as eps",
    ]
    how = {"full": full, "epsilon": non_negative("eps", eps), "validate": False}
    return Row("gaussian_nll", *notes, reduction=reduction, **how)


# Probabilities


@source("torch.nn.KLDivLoss", "torch.nn.functional.kl_div")
def kl_divergence(
    size_average: Any = None, reduce: Any = None, reduction: str = "mean", log_target: bool = False
) -> Row:
    """t (log t - x) of log-probabilities x, element by element; "mean" is over all elements, not over samples."""
    log_target = flag("log_target", log_target)
    if reduction == "batchmean" and (size_average is not None or reduce is not None):
        raise ValueError("reduction='batchmean' does not go with size_average and reduce")
    reduction = _reduction(reduction, size_average, reduce, (*_NAMES[:-1], "batchmean", "none"))
    notes = ["y_pred holds log-probabilities: probabilities give a plausible, negative number"]
    if reduction == "mean":
        notes.append("the divergence itself, of samples over C classes, is C times as much: reduction='batchmean'")
    if log_target:
        notes.append("torch gives nan where a log-target is -inf: not reproduced, it counts 0")
    else:
        notes.append("torch gives nan where a target is 0 and y_pred -inf: not reproduced, it counts 0")
    how = {"log_input": True, "log_target": log_target, "epsilon": 0.0, "validate": False}
    return _elements("kl_divergence", reduction, *notes, **how)


@source("torch.nn.BCELoss", "torch.nn.functional.binary_cross_entropy")
def binary_cross_entropy(
    weight: Any = None, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Row:
    """Binary cross entropy of probabilities: each logarithm is -100 at least; mean over all elements."""
    notes = (
        "a logarithm is -100 at least, so a value is at most 100; Keras floors probabilities at 1e-7, which gives 16",
        "the gradient divides by p (1 - p), 1e-12 at least: 1e12 at most, where Keras has 0",
        *of_weights(weight),
    )
    return _elements("torch.binary_cross_entropy", _reduction(reduction, size_average, reduce), *notes, weight=weight)


@source("torch.nn.BCEWithLogitsLoss", "torch.nn.functional.binary_cross_entropy_with_logits")
def binary_cross_entropy_with_logits(
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Row:
    """Binary cross entropy of logits; pos_weight multiplies the term of the outcome 1 only; mean over all elements."""
    reduction = _reduction(reduction, size_average, reduce)
    notes = [*of_weights(weight), DIGITS]
    if pos_weight is not None:
        notes.insert(0, "pos_weight multiplies the term of the outcome 1 alone, and the mean is not divided by it")
    one = 1.0 if pos_weight is None else _single(pos_weight)
    if weight is None and one is not None and one >= 0:
        how = {"from_logits": True, "pos_weight": None if pos_weight is None else one}
        return _elements("binary_crossentropy", reduction, *notes, validate=False, **how)
    how = {"weight": weight, "pos_weight": pos_weight}
    return _elements("torch.binary_cross_entropy_with_logits", reduction, *notes, **how)


# Classes


def _of_labels(loss: str, reduction: str, weight: Any, ignore_index: Any, *notes: str, **options: Any) -> Row:
    """A loss of labels on axis 1, whose mean is over the sum of class weights."""
    if weight is not None:
        options["class_weight"] = vector("weight", weight)
        reduction = "weighted_mean" if reduction == "mean" else reduction
    notes = (ORDER, *of_classes(), *of_labels(reduction, weight, ignore_index), *notes)
    return Row(loss, *notes, reduction=reduction, axis=1, ignore_index=ignore_index, **options)


@source("torch.nn.CrossEntropyLoss", "torch.nn.functional.cross_entropy")
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
    reduction = _reduction(reduction, size_average, reduce)
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


@source("torch.nn.NLLLoss", "torch.nn.NLLLoss2d", "torch.nn.functional.nll_loss")
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
    return _of_labels("nll", _reduction(reduction, size_average, reduce), weight, ignore_index, *notes)


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
        raise RefusedError("linear_cross_entropy of probabilities: apply the layer, and port cross_entropy")
    if linear_bias is not None:
        raise RefusedError("linear_bias is data of each call: give it there, as bias")
    if options is not None:
        raise RefusedError("options say how torch divides the work, which changes no number: leave them out")
    reduction, ignored = _reduction(reduction), -100 if ignore_index is None else ignore_index
    notes = (
        "torch takes (input, linear_weight, target, linear_bias=), this (y_true, features, weight, bias)",
        *of_labels(reduction, weight, ignored),
        "weight is (C, D): for more axes (K-dimensional loss) apply the layer, and port cross_entropy",
    )
    how = {"label_smoothing": label_smoothing, "ignore_index": ignored, "reduction": reduction}
    if weight is None:
        return Row("linear_cross_entropy", *notes, **how)
    return Row("torch.linear_cross_entropy", *notes, class_weight=vector("weight", weight), **how)


@source("torch.nn.MultiMarginLoss", "torch.nn.functional.multi_margin_loss")
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
    reduction = _reduction(reduction, size_average, reduce)
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
    reduction = _reduction(reduction, size_average, reduce)
    notes = (ORDER, *of_mean(reduction), "targets are class numbers, padded with -1, and not zeros and ones")
    return Row("multilabel_margin", *notes, reduction=reduction, axis=-1)


@source("torch.nn.MultiLabelSoftMarginLoss", "torch.nn.functional.multilabel_soft_margin_loss")
def multilabel_soft_margin(
    weight: Any = None, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Row:
    """Binary cross entropy of logits, averaged over the last axis: one value a sample."""
    reduction = _reduction(reduction, size_average, reduce)
    notes = (ORDER, *of_mean(reduction), "'none' and 'sum' are of samples: the mean over classes is taken first")
    if weight is None:
        return Row("multilabel_soft_margin", *notes, reduction=reduction, axis=-1, validate=False)
    how = {"weight": vector("weight", weight), "reduction": reduction, "axis": -1}
    return Row("torch.binary_cross_entropy_with_logits", *notes, *of_weights(weight), **how)


# Margins


@source("torch.nn.SoftMarginLoss", "torch.nn.functional.soft_margin_loss")
def soft_margin(size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> Row:
    """log(1 + exp(-t z)), targets t of -1 and 1; mean over all elements."""
    notes = (
        "targets are -1 and 1: a target of 0 counts log 2, and its gradient is 0",
        "torch overflows where -t z is above 88 (float32) or 709 (float64), to inf with a nan gradient: not reproduced",
        DIGITS,
    )
    return _elements("soft_margin", _reduction(reduction, size_average, reduce), *notes, validate=False)


@source("torch.nn.HingeEmbeddingLoss", "torch.nn.functional.hinge_embedding_loss")
def hinge_embedding(margin: float = 1.0, size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> Row:
    """The distance itself where t = 1, max(0, margin - d) where t = -1; mean over all elements."""
    notes = (
        "y_pred is a distance; this is not the hinge loss of Keras and Optax",
        "targets are -1 and 1: any other counts as both at once",
        "at the margin the gradient is not 0, as that of multiloss's own is",
    )
    return _elements("torch.hinge_embedding_loss", _reduction(reduction, size_average, reduce), *notes, margin=margin)


@source("torch.nn.MarginRankingLoss", "torch.nn.functional.margin_ranking_loss", data="x1 x2 y_true")
def margin_ranking(margin: float = 0.0, size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> Row:
    """max(0, -t (x1 - x2) + margin), targets t of -1 and 1."""
    reduction = _reduction(reduction, size_average, reduce)
    notes = (
        "torch takes (input1, input2, target), this (y_true, x1, x2)",
        *of_elements(reduction),
        "targets are -1 and 1: one of 0 counts the margin, and its gradient is 0",
        "at the kink (equal scores with a margin of 0) the gradient is not 0, as that of multiloss's own is",
    )
    return Row("torch.margin_ranking_loss", *notes, margin=margin, reduction=reduction)


@source("torch.nn.CosineEmbeddingLoss", "torch.nn.functional.cosine_embedding_loss", data="x1 x2 y_true")
def cosine_embedding(margin: float = 0.0, size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> Row:
    """1 - cos where t = 1, max(0, cos - margin) where t = -1; 1e-12 is added to each squared length."""
    reduction = _reduction(reduction, size_average, reduce)
    notes = (
        "torch takes (input1, input2, target), this (y_true, x1, x2)",
        *of_mean(reduction),
        "1e-12 is added to each squared length: vectors shorter than 1e-4 count as less alike than they are",
        "targets are -1 and 1: any other counts 0",
        "the squares of vectors beyond 1e19 (float32) or 1e154 (float64) overflow, as in torch",
    )
    return Row("torch.cosine_embedding_loss", *notes, margin=margin, reduction=reduction)


def _triplet(margin: Any, power: Any, eps: Any, swap: Any, reduction: str) -> Row:
    if real("margin", margin) <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if power in (math.inf, -math.inf) or real("p", power) < 1:
        raise RefusedError(f"p={power} is not ported: it must be a finite number, 1 or above")
    notes = (
        *of_mean(reduction),
        "eps is added to each difference, with its sign; Optax adds it under the root",
        "distances are not squared",
    )
    how = {"margin": margin, "power": power, "epsilon": real("eps", eps), "swap": flag("swap", swap)}
    return Row("torch.triplet_margin_loss", *notes, reduction=reduction, **how)


_TRIPLET = "anchor positive negative"


@source("torch.nn.TripletMarginLoss", "torch.nn.functional.triplet_margin_loss", data=_TRIPLET)
def triplet_margin(
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Row:
    """max(0, d(a, p) - d(a, n) + margin), the norm of the difference with eps added to each entry."""
    return _triplet(margin, p, eps, swap, _reduction(reduction, size_average, reduce))


@source("torch.nn.TripletMarginWithDistanceLoss", "torch.nn.functional.triplet_margin_with_distance_loss",
        data=_TRIPLET)  # fmt: skip
def triplet_margin_with_distance(
    distance_function: Any = None, margin: float = 1.0, swap: bool = False, reduction: str = "mean"
) -> Row:
    """The triplet margin loss of any distance; of none given, the Euclidean norm with eps 1e-6."""
    power, eps = 2.0, 1e-6
    kind = f"{type(distance_function).__module__}.{type(distance_function).__qualname__}"
    if kind == "torch.nn.modules.distance.PairwiseDistance" and not distance_function.keepdim:
        power, eps = float(distance_function.norm), distance_function.eps  # what the module makes of None
    elif distance_function is not None:
        raise RefusedError("a distance_function may compute anything: it is ported only where there is none")
    return _triplet(margin, power, eps, swap, _reduction(reduction))


# Sequences


@source("torch.nn.CTCLoss", "torch.nn.functional.ctc_loss", data="y_pred y_true input_lengths label_lengths")
def ctc(blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> Row:
    """Connectionist temporal classification of log-probabilities (T, N, C); the mean is of values per label."""
    reduction, zero_infinity = _reduction(reduction), flag("zero_infinity", zero_infinity)
    notes = [
        "torch takes (y_pred, y_true, input_lengths, label_lengths): this has each pair the other way round",
        "y_pred is (N, T, C), in torch (T, N, C)",
        "y_pred may hold logits, which are normalised; of logits torch gives another, often negative number",
        "labels are (N, S), padded at the end: torch's form of one row for all samples is to be padded first",
    ]
    if reduction == "mean":
        notes.append("each value is divided by its number of labels (1 at least) before the mean over samples")
    if not zero_infinity:
        notes.append("the gradient of a sample without any alignment is nan in torch: not reproduced, it is 0")
    how = {"blank": blank, "zero_infinity": zero_infinity, "reduction": reduction}
    return Row("ctc", *notes, normalize="length" if reduction == "mean" else None, **how)


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

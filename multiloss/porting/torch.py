"""The losses of `torch.nn` (2.13) as losses of this library.

torch averages over all elements, so losses of elements get axis=(). Losses of classes are in `torch_classes.py`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from multiloss.engine.options import flag, non_negative, real
from multiloss.porting import torch_classes, torch_common
from multiloss.porting.rows import RefusedError, Row
from multiloss.porting.torch_common import (
    DIGITS,
    REDUCTIONS,
    elements,
    of_elements,
    of_mean,
    of_weights,
    read_reduction,
    source,
)
from multiloss.porting.torch_variants import weights

__all__ = ["ROWS", "torch_classes"]

ROWS = torch_common.ROWS


def _no_data(name: str, weight: Any, loss: str, mean: str) -> None:
    """Refuse a weight for each element, which is data of a call and no option. `loss`, reduced to this mean, divides as
    torch does."""
    if weight is not None:
        raise RefusedError(
            f"{name} is not ported with weight, which has the shape of the data: port it without, with reduction "
            f"'sum' or 'none', and give sample_weight to each call; its mean is that of multiloss.get({loss!r}, "
            f"axis=(), reduction={mean!r}), with its options, and the sample_weight"
        )


def _single(name: str, weight: Any) -> float | None:
    """The number, if a weight has just one element; else None."""
    found = weights(name, weight)
    while isinstance(found, tuple) and len(found) == 1:
        found = found[0]
    return None if found is None or isinstance(found, tuple) else float(found)


# Regression


@source("torch.nn.MSELoss")
def mean_squared_error(size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> Row:
    """Mean of squared errors over all elements."""
    return elements("mean_squared_error", read_reduction(reduction, size_average, reduce))


@source("torch.nn.functional.mse_loss")
def mse_loss(size_average: Any = None, reduce: Any = None, reduction: str = "mean", weight: Any = None) -> Row:
    """Mean of squared errors over all elements; with a weight for each, over the sum of weights."""
    _no_data("torch.nn.functional.mse_loss", weight, "mean_squared_error", "weighted_mean")
    return mean_squared_error(size_average, reduce, reduction)


@source("torch.nn.L1Loss")
def mean_absolute_error(size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> Row:
    """Mean of absolute errors over all elements; the gradient of an error of 0 is 0."""
    return elements("mean_absolute_error", read_reduction(reduction, size_average, reduce))


@source("torch.nn.functional.l1_loss")
def l1_loss(size_average: Any = None, reduce: Any = None, reduction: str = "mean", weight: Any = None) -> Row:
    """Mean of absolute errors over all elements; with a weight for each, over the sum of weights."""
    _no_data("torch.nn.functional.l1_loss", weight, "mean_absolute_error", "weighted_mean")
    return mean_absolute_error(size_average, reduce, reduction)


@source("torch.nn.HuberLoss")
def huber(reduction: str = "mean", delta: float = 1.0) -> Row:
    """Half of squared errors up to delta, delta times the absolute error less delta / 2 beyond; mean over elements."""
    return elements("huber", read_reduction(reduction), delta=delta)


@source("torch.nn.functional.huber_loss")
def huber_loss(reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Row:
    """Half of squared errors up to delta, delta times the absolute error less delta / 2 beyond; mean over elements."""
    _no_data("torch.nn.functional.huber_loss", weight, "huber", "mean")
    return huber(reduction, delta)


@source("torch.nn.SmoothL1Loss", "torch.nn.functional.smooth_l1_loss")
def smooth_l1(size_average: Any = None, reduce: Any = None, reduction: str = "mean", beta: float = 1.0) -> Row:
    """Huber's loss with delta = beta, divided by beta; mean over all elements."""
    reduction = read_reduction(reduction, size_average, reduce)
    notes = (
        () if beta == 1 else ("this is Huber's loss divided by beta, of which Keras and Optax have the undivided one",)
    )
    return elements("smooth_l1", reduction, *notes, beta=beta)


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
    return elements("poisson_nll", read_reduction(reduction, size_average, reduce), *notes, **how)


@source("torch.nn.GaussianNLLLoss", "torch.nn.functional.gaussian_nll_loss", data="y_pred y_true var")
def gaussian_nll(full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> Row:
    """(log v + e^2 / v) / 2 of the variance v, eps at least; mean over all elements."""
    reduction = read_reduction(reduction)
    notes = [
        "torch takes (input, target, var), this (y_true, y_pred, var)",
        *of_elements(reduction),
        "var is the variance, not its root or its logarithm",
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
    reduction = read_reduction(reduction, size_average, reduce, (*REDUCTIONS[:-1], "batchmean", "none"))
    notes = ["y_pred holds log-probabilities: probabilities give a plausible, negative number"]
    if reduction == "mean":
        notes.append("the divergence itself, of samples over C classes, is C times as much: reduction='batchmean'")
    if log_target:
        notes.append("torch gives nan where a log-target is -inf: not reproduced, it counts 0")
    else:
        notes.append("torch gives nan where a target is 0 and y_pred -inf: not reproduced, it counts 0")
    how = {"log_input": True, "log_target": log_target, "epsilon": 0.0, "validate": False}
    return elements("kl_divergence", reduction, *notes, **how)


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
    return elements(
        "torch.binary_cross_entropy", read_reduction(reduction, size_average, reduce), *notes, weight=weight
    )


@source("torch.nn.BCEWithLogitsLoss", "torch.nn.functional.binary_cross_entropy_with_logits")
def binary_cross_entropy_with_logits(
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Row:
    """Binary cross entropy of logits; pos_weight multiplies the term of the outcome 1 only; mean over all elements."""
    reduction = read_reduction(reduction, size_average, reduce)
    notes = [*of_weights(weight), DIGITS]
    if pos_weight is not None:
        notes.insert(0, "pos_weight multiplies the term of the outcome 1 alone, and the mean is not divided by it")
    each = weights("pos_weight", pos_weight) if (one := _single("pos_weight", pos_weight)) is None else one
    if weight is None and (each is None or (np.ndim(each) <= 1 and np.min(each) >= 0)):
        how = {"from_logits": True, "pos_weight": each}
        return elements("binary_crossentropy", reduction, *notes, validate=False, **how)
    how = {"weight": weight, "pos_weight": pos_weight}
    return elements("torch.binary_cross_entropy_with_logits", reduction, *notes, **how)


# Margins


@source("torch.nn.SoftMarginLoss", "torch.nn.functional.soft_margin_loss")
def soft_margin(size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> Row:
    """log(1 + exp(-t z)), targets t of -1 and 1; mean over all elements."""
    notes = (
        "targets are -1 and 1: a target of 0 counts log 2, and its gradient is 0",
        "torch overflows where -t z is above 88 (float32) or 709 (float64), to inf with a nan gradient: not reproduced",
        DIGITS,
    )
    return elements("soft_margin", read_reduction(reduction, size_average, reduce), *notes, validate=False)


@source("torch.nn.HingeEmbeddingLoss", "torch.nn.functional.hinge_embedding_loss")
def hinge_embedding(margin: float = 1.0, size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> Row:
    """The distance itself where t = 1, max(0, margin - d) where t = -1; mean over all elements."""
    notes = (
        "y_pred is a distance; this is not the hinge loss of Keras and Optax",
        "targets are -1 and 1: any other counts as both at once",
        "at the margin the gradient is not 0, as that of multiloss's own is",
    )
    return elements(
        "torch.hinge_embedding_loss", read_reduction(reduction, size_average, reduce), *notes, margin=margin
    )


@source("torch.nn.MarginRankingLoss", "torch.nn.functional.margin_ranking_loss", data="x1 x2 y_true")
def margin_ranking(margin: float = 0.0, size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> Row:
    """max(0, -t (x1 - x2) + margin), targets t of -1 and 1."""
    reduction = read_reduction(reduction, size_average, reduce)
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
    reduction = read_reduction(reduction, size_average, reduce)
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
    return _triplet(margin, p, eps, swap, read_reduction(reduction, size_average, reduce))


@source("torch.nn.TripletMarginWithDistanceLoss", "torch.nn.functional.triplet_margin_with_distance_loss",
        data=_TRIPLET)  # fmt: skip
def triplet_margin_with_distance(
    distance_function: Any = None, margin: float = 1.0, swap: bool = False, reduction: str = "mean"
) -> Row:
    """The triplet margin loss of any distance; of none given, the Euclidean norm with eps 1e-6."""
    power, eps = 2.0, 1e-6
    kind = f"{type(distance_function).__module__}.{type(distance_function).__qualname__}"
    if kind == "torch.nn.modules.distance.PairwiseDistance" and not distance_function.keepdim:
        power, eps = float(distance_function.norm), distance_function.eps  # which the module makes of None
    elif distance_function is not None:
        raise RefusedError("a distance_function may compute anything: it is ported only where there is none")
    return _triplet(margin, power, eps, swap, read_reduction(reduction))


# Sequences


@source("torch.nn.CTCLoss", "torch.nn.functional.ctc_loss", data="y_pred y_true input_lengths label_lengths")
def ctc(blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> Row:
    """Connectionist temporal classification of log-probabilities (T, N, C); the mean is of values per label."""
    reduction, zero_infinity = read_reduction(reduction), flag("zero_infinity", zero_infinity)
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

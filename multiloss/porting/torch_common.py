"""Shared by the tables for torch: reductions, and sentences of notes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multiloss.porting.rows import Row, Rows, adder

ROWS: Rows = {}


def _reduction_back(options: Mapping[str, Any]) -> Any:
    """torch calls the mean over the sum of class weights "mean", too."""
    return "mean" if options["reduction"] == "weighted_mean" else options["reduction"]


source = adder(ROWS, "y_pred y_true", shared={"reduction": _reduction_back, "eps": "epsilon", "p": "power"})

REDUCTIONS = ("mean", "sum", "none")

ORDER = "torch takes (input, target), this (y_true, y_pred)"
DIGITS = "torch loses the digits of confident, right answers (loss and gradient become 0): not reproduced"


def of_mean(reduction: str) -> tuple[str, ...]:
    """Note on any mean."""
    return ("torch gives nan for an empty batch: not reproduced, it is 0",) if "mean" in reduction else ()


def of_elements(reduction: str) -> tuple[str, ...]:
    """Notes on losses of single elements."""
    shapes = "(N,) against (N, 1) is refused; torch makes N x N of it, or refuses it too"
    over = ("the mean is over all elements, not over samples",) if reduction == "mean" else ()
    return (*over, shapes, *of_mean(reduction))


def of_classes() -> tuple[str, ...]:
    """Note on losses with an axis of classes."""
    return ("classes are on axis 1, in Keras and Optax on the last; a single sample is (1, C), not (C,)",)


def of_labels(reduction: str, weight: Any, ignore_index: int) -> tuple[str, ...]:
    """Notes on losses of labels."""
    notes = [f"the label {ignore_index} is left out, of the mean too"]
    if weight is not None and "mean" in reduction:
        notes.append("the mean is over the sum of the labels' weights, not over samples")
    if "mean" in reduction:
        notes.append(
            "torch gives nan where nothing is left (no sample, all ignored, no weight above 0): not reproduced"
        )
    notes.append("nan logits of a sample left out make torch's gradient there nan: not reproduced, it is 0")
    return tuple(notes)


def of_weights(weight: Any) -> tuple[str, ...]:
    """Note on weights that multiply elements."""
    if weight is None:
        return ()
    return ("weight is broadcast from the last axis, and the mean is over the number of elements, not its sum",)


def read_reduction(
    reduction: Any, size_average: Any = None, reduce: Any = None, names: tuple[str, ...] = REDUCTIONS
) -> str:
    """The reduction, by its name or by the two older flags, which win."""
    if size_average is not None or reduce is not None:
        size_average = True if size_average is None else size_average
        reduction = "none" if reduce is False else "mean" if size_average else "sum"
    if reduction == "elementwise_mean":  # the old name of "mean"
        reduction = "mean"
    if reduction not in names:
        raise ValueError(f"reduction must be {', '.join(map(repr, names[:-1]))} or {names[-1]!r}, got {reduction!r}")
    return str(reduction)


def elements(loss: str, reduction: str, *notes: str, **options: Any) -> Row:
    """A loss of single elements. torch checks no values, so neither is done here."""
    return Row(loss, ORDER, *of_elements(reduction), *notes, reduction=reduction, axis=(), **options)

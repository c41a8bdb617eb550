"""Shared by the tables for Keras: reductions, dtypes, and sentences of notes."""

from __future__ import annotations

from typing import Any

from multiloss.engine.options import KERAS_WEIGHTED
from multiloss.porting.rows import Row, Rows, adder

DEFAULT = "sum_over_batch_size"
_REDUCTIONS = {
    "sum_over_batch_size": "mean",
    "auto": "mean",  # in Keras 2, where it was the default
    "mean": "mean",
    "mean_with_sample_weight": KERAS_WEIGHTED,
    "sum": "sum",
    "none": "none",
    None: "none",
}
_DTYPES = {
    "own": (),  # that of a function's arrays
    "float64": (),
    None: ("a Keras class casts its arrays to floatx first, float32 unless changed; here float64 stays float64",),
}

_SHAPES = (
    "Keras aligns (N,) with (N, 1), and broadcasts other shapes (its functions hinge, kl_divergence and poisson those, "
    "too, to N x N); here unequal shapes are refused, and the keras backend alone aligns (N,) with (N, 1)"
)
_NOTHING = "an empty batch gives an array of shape (0,) in Keras; here 0"
_WEIGHTED = (
    "the sum is divided by that of the weights as they come: one weight for several values counts once in it, where "
    "weighted_mean counts it for each; weights of fewer axes than the values belong to the first axes here, to the "
    "last ones in Keras"
)
_BACK = {"none": None, "sum": "sum"} | dict.fromkeys(("weighted_mean", KERAS_WEIGHTED), "mean_with_sample_weight")
"""Keras' names of reductions, by ours; Keras' default stands for any other."""

ROWS: Rows = {}
source = adder(
    ROWS,
    "y_true y_pred",
    of_functions={"reduction": "none", "name": None, "dtype": "own"},
    shared={"reduction": lambda options: _BACK.get(options["reduction"], DEFAULT)},
)
INTEGERS = "labels are integers here; Keras cuts 1.9 to 1"


def _reduction(reduction: Any) -> str:
    if not isinstance(reduction, str | None) or reduction not in _REDUCTIONS:
        raise ValueError(f"reduction must be one of {', '.join(map(repr, _REDUCTIONS))}, got {reduction!r}")
    return _REDUCTIONS[reduction]


def row(loss: str, reduction: Any, dtype: Any, *notes: str, **options: Any) -> Row:
    """A row of `loss`, with the notes that all of them have."""
    if not isinstance(dtype, str | None):
        raise TypeError(f"dtype must be the name of one, got {dtype!r}")
    other = (f"dtype {dtype} says what Keras computes in; here it is float32 at least, and that of the arrays",)
    reduced = _reduction(reduction)
    shared = (_SHAPES,) if reduced == "none" else (_SHAPES, _NOTHING)
    if reduced == KERAS_WEIGHTED:
        shared = (*shared, _WEIGHTED)
    return Row(loss, *notes, *_DTYPES.get(dtype, other), *shared, reduction=reduced, **options)

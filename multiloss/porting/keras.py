"""What the losses of `keras.losses` (3.15) are here: classes reduce, functions give one value per sample.

Where Keras' backends disagree, TensorFlow's is meant.
"""

from __future__ import annotations

from typing import Any

from multiloss.porting.rows import Row, Rows, adder

ROWS: Rows = {}
source = adder(ROWS, "y_true y_pred", of_functions={"reduction": "none", "name": None, "dtype": None})

_REDUCTIONS = {
    "sum_over_batch_size": "mean",
    "mean": "mean",
    "mean_with_sample_weight": "weighted_mean",
    "sum": "sum",
    "none": "none",
    None: "none",
}
_DEFAULT = "sum_over_batch_size"


def _reduction(reduction: Any) -> str:
    if reduction not in _REDUCTIONS:
        raise ValueError(f"reduction must be one of {', '.join(map(repr, _REDUCTIONS))}, got {reduction!r}")
    return _REDUCTIONS[reduction]


@source("keras.losses.MeanSquaredError", "keras.losses.mean_squared_error")
def mean_squared_error(reduction: Any = _DEFAULT, name: Any = None, dtype: Any = None) -> Row:
    """Mean of squared errors over the last axis, then over samples."""
    return Row("mean_squared_error", reduction=_reduction(reduction))

"""What the losses of `torch.nn` (2.13) are here.

torch averages over all elements, so axis=() where the loss is one of elements; classes are on axis 1.
"""

from __future__ import annotations

from typing import Any

from multiloss.porting.rows import Row, Rows, adder, refuses

ROWS: Rows = {}
source = adder(ROWS, "y_pred y_true")


def _reduction(reduction: Any, size_average: Any = None, reduce: Any = None) -> str:
    if size_average is not None or reduce is not None:  # what they meant before `reduction`
        size_average = True if size_average is None else size_average
        reduction = "none" if reduce is False else "mean" if size_average else "sum"
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
    return str(reduction)


@source("torch.nn.MSELoss", "torch.nn.functional.mse_loss")
def mean_squared_error(size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> Row:
    """Mean of squared errors over all elements."""
    return Row("mean_squared_error", reduction=_reduction(reduction, size_average, reduce), axis=())


refuses(
    ROWS,
    "torch.nn.AdaptiveLogSoftmaxWithLoss",
    "it owns the weights of a whole output layer; it is a layer, not a loss",
)

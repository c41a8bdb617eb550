"""What the losses of `optax.losses` (0.2.8) are here. They are functions and reduce nothing unless said."""

from __future__ import annotations

from multiloss.porting.rows import Row, Rows, adder

ROWS: Rows = {}
source = adder(ROWS, "y_pred y_true")


@source("optax.losses.l2_loss")
def half_squared_error() -> Row:
    """Half of each squared error."""
    return Row(
        "half_squared_error",
        "has the factor 1/2, which mean squared errors elsewhere do not have",
        axis=(),
        reduction="none",
    )

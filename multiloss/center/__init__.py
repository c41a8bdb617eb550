"""Losses with a state: a table of centers that moves while training.

`step` holds the options and the pure step, `objects` what the objects of all backends share, `state` the table as data:
first values and files. What a loss says of its table stands below, with its definition (`multiloss.engine.table`).
"""

from multiloss.center.step import (
    CenterOptions,
    make,
    native_arrays,
    one_row,
    read_options,
    step,
    words,
)
from multiloss.engine.dispatch import to_host

__all__ = [
    "CenterOptions",
    "make",
    "native_arrays",
    "one_row",
    "read_options",
    "step",
    "to_host",
    "words",
]

"""Losses with a state: a table of centers that moves while training.

`options` says what may be chosen, `step` is the pure step, `objects` what the objects of all backends share, `centers`
how they hold their table, `inputs` checks a call, `state` has the first values and `files` the files. What a loss says
of its table stands with its definition (`multiloss.engine.table`).
"""

from multiloss.center.options import CenterOptions, all_names, explained, make, read_options, words
from multiloss.center.step import native_arrays, one_row, step
from multiloss.engine.dispatch import to_host

__all__ = [
    "CenterOptions",
    "all_names",
    "explained",
    "make",
    "native_arrays",
    "one_row",
    "read_options",
    "step",
    "to_host",
    "words",
]

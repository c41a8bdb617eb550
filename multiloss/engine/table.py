"""What a loss that holds a table of centers says of it: what its value needs, how the table starts and how it moves.

`center` and the adapters ask the definition (`Definition.table`), and know no such loss by its name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

Array = Any
Options = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Rule:
    """What is computed: the value's scale, and what the sum of differences in a center's step is divided by.

    .. math:: c_j \\leftarrow c_j - \\alpha\\, g\\, \\frac{\\sum_{i: y_i = j} (c_j - x_i)}{d}

    with d = 1 + n_j (`by_class`), the batch size B (`by_batch`), both or neither.
    """

    factor: float = 1.0
    """What multiplies half the squared distance."""
    step_factor: float = 1.0
    """g."""
    by_class: bool = True
    by_batch: bool = False
    source: str = "Wen et al. 2016, Eq. 4"

    def effective_alpha(self, alpha: float, n: float, batch: float) -> float:
        """The alpha of Eq. 4 that makes the same step for a class with n of the batch's samples."""
        return alpha * self.step_factor * (1.0 if self.by_class else 1.0 + n) / (batch if self.by_batch else 1.0)


@dataclasses.dataclass(frozen=True)
class Compared:
    """What features are held against where the rows of their classes are not enough."""

    rows: Array
    """The centers of the samples' classes, (..., D)."""
    labels: Array
    """The classes, (...)."""
    centers: Array
    """All centers, (C, D)."""
    keep: Array
    """Which samples count, (...)."""


@dataclasses.dataclass(frozen=True)
class Table:
    """The table of a loss, (num_classes, feature_dim), as the step of center loss takes it."""

    compares: bool = False
    """Whether the value takes all centers (`Compared`), and not the row of each sample's class alone."""
    of_batch: bool = False
    """Whether samples of one batch are compared with each other, so that features are (N, D)."""
    one_row: bool = False
    """Whether one row stands for all classes: labels are not used, and there is no class to add."""
    sharded: bool = False
    """Whether the rows may be split over processes."""
    presets: Mapping[str | None, tuple[Rule, Options]] = dataclasses.field(default_factory=lambda: {None: (Rule(), {})})
    """name -> what is computed, and the options' defaults that differ."""
    measure: Callable[[Any, Array], Array] = lambda xp, features: features
    """`(xp, features) -> what the rows are moved towards`."""
    first: Callable[[Options], Any] | None = None
    """`own options -> the first table`, whose nan the first batch replaces by its mean; None: by `centers_init`."""
    moves_all: Callable[[Options], bool] = lambda own: False
    """Whether a step may move every class, also those that the batch lacks: `Definition.own_step` adds its part."""
    step_in_words: str = "Eq. 4 of center loss"
    """What `describe()` says of the step where not all classes move."""

"""What the definition of a loss says of its table of centers (`Definition.table`): what the value needs of it, how it
starts and how it moves. `center` and the adapters know no such loss by its name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

Array = Any
Options = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Rule:
    """The scale of the value, and what the sum of differences in the step of a center is divided by.

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
        """The alpha of Eq. 4 that makes the same step for a class with n samples in the batch."""
        return alpha * self.step_factor * (1.0 if self.by_class else 1.0 + n) / (batch if self.by_batch else 1.0)


@dataclasses.dataclass(frozen=True)
class Compared:
    """What features are compared with where the rows of their classes are not enough."""

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
    """The table of a loss, (num_classes, feature_dim)."""

    compares: bool = False
    """Whether the value takes all centers (`Compared`), and not only the row of each sample's class."""
    of_batch: bool = False
    """Whether samples of one batch are compared with each other, so that features are (N, D)."""
    one_row: bool = False
    """Whether all classes share one row: labels are not used, and no class can be added."""
    sharded: bool = False
    """Whether the rows may be split over processes."""
    presets: Mapping[str | None, tuple[Rule, Options]] = dataclasses.field(default_factory=lambda: {None: (Rule(), {})})
    """name -> the rule, and the defaults of options that differ."""
    measure: Callable[[Any, Array], Array] = lambda xp, features: features
    """`(xp, features) -> what the rows are moved towards`."""
    first: Callable[[Options], Any] | None = None
    """`own options -> the first table`, where the first batch replaces nan by its mean; None: `centers_init` says
    it."""
    moves_all: Callable[[Options], bool] = lambda own: False
    """Whether a step may move classes that the batch lacks, too, by what `Definition.own_step` adds."""
    step_in_words: str = "Eq. 4 of center loss"
    """What `describe()` says of the step where not all classes move."""

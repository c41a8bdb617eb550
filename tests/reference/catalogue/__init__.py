"""The catalogue's reference: each loss's value by its textbook formula, in loops over numbers of 50 digits.

A module a family; each fills `ENTRIES`. Nothing here imports `multiloss`. A formula says the value only: its
derivatives are central differences of it.

* `element(t, p, **options)` takes two numbers and gives one: elementwise losses, averaged over the last axis.
* `row(t, p, **options)` takes the vectors of one sample (an integer t is its label) and gives its value.
* `batch(*inputs, **options)` takes the whole inputs as nested lists, and gives a nested list of values, or a pair of
  such lists: what each adds to the sum, and how many it counts for in a mean.
"""

from . import (  # noqa: F401
    classification,
    contrastive,
    divergence,
    embedding,
    likelihood,
    margin,
    margin_softmax,
    pairwise,
    proxy,
    ranking,
    redundancy,
    regression,
    relative,
    segmentation,
    sequence,
    similarity,
    triplet,
    uncertainty,
)
from .entry import ENTRIES, Entry, add

__all__ = ["ENTRIES", "Entry", "add", "segmentation"]

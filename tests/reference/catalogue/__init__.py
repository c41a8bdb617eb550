"""The catalogue's reference: each loss's value by its textbook formula, in loops over numbers of 50 digits.

A module a family; each fills `ENTRIES`, and is found by being here. None imports `multiloss`. A formula says
the value only: its derivatives are central differences of it, which with 50 digits and a step of 1e-15 are right to 30.

* `element(t, p, **options)` takes two numbers and gives one: elementwise losses, averaged over the last axis.
* `row(t, p, **options)` takes the vectors of one sample (an integer t is its label) and gives its value.
* `batch(*inputs, **options)` takes the whole inputs as nested lists, and gives a nested list of values, or a pair of
  such lists: what each adds to the sum, and how many it counts for in a mean.
"""

import importlib
import pkgutil

from .entry import ENTRIES, Entry, add

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["ENTRIES", "Entry", "add"]

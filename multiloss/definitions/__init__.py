"""Every loss, once. A file a family; a loss a page: formula, shapes, value, gradient, source."""

from multiloss import registry
from multiloss.definition import Definition
from multiloss.definitions import (
    classification,
    divergence,
    focal,
    margin,
    multiclass_margin,
    multilabel,
    regression,
    robust,
    sparsemax,
)

_FAMILIES = (
    regression, divergence, classification, focal, robust, margin, multiclass_margin, multilabel, sparsemax,
)  # fmt: skip
for _module in _FAMILIES:
    for _item in list(vars(_module).values()):
        if isinstance(_item, Definition):
            registry.add(_item)

"""Every loss, once. A file a family; a loss a page: formula, shapes, value, gradient, source."""

import importlib

from multiloss.engine import registry
from multiloss.engine.definition import Definition

FAMILIES = (
    "center",
    "center_family",
    "regression",
    "relative",
    "likelihood",
    "similarity",
    "uncertainty",
    "divergence",
    "classification",
    "focal",
    "robust",
    "margin",
    "multiclass_margin",
    "multilabel",
    "sparsemax",
    "segmentation",
    "lovasz",
    "ranking",
    "pairwise",
    "sequence",
    "embedding",
    "contrastive",
    "triplet",
    "margin_softmax",
    "proxy",
    "redundancy",
)
"""The files of this folder that define losses, in the order in which the documentation has them."""

for _family in FAMILIES:
    for _item in vars(importlib.import_module(f"{__name__}.{_family}")).values():
        if isinstance(_item, Definition) and _item.value.__module__ == f"{__name__}.{_family}":
            (registry.add_table if _item.table else registry.add)(_item)

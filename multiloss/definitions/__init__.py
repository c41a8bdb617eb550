"""Every loss, once. A file a family; a loss a page: formula, shapes, value, gradient, source."""

import importlib

from multiloss.engine import registry
from multiloss.engine.definition import Definition

TASKS = {
    "regression": "predict numbers: amounts, counts, times, forecasts with their uncertainty",
    "classification": "predict one class of several",
    "multi-label": "predict several classes of one sample, or none",
    "segmentation": "predict the class of each pixel; what counts is the overlap of regions",
    "metric learning": "learn features whose distances say what belongs together: faces, speakers, retrieval",
    "self-supervised": "learn features without labels, from two views of each sample",
    "ranking": "put the items of a list, or of a pair, in order",
    "sequence": "predict a sequence whose alignment with the input is unknown: speech, handwriting",
    "distribution matching": "bring one distribution close to another: distillation, generative models",
}
"""What users do with losses, and what that means."""

FAMILIES = {
    "center": ("metric learning", "classification"),
    "center_family": ("metric learning", "classification"),
    "regression": ("regression",),
    "relative": ("regression",),
    "likelihood": ("regression",),
    "similarity": ("metric learning",),
    "uncertainty": ("regression",),
    "divergence": ("distribution matching",),
    "classification": ("classification", "segmentation"),
    "focal": ("classification", "segmentation"),
    "robust": ("classification",),
    "margin": ("classification",),
    "multiclass_margin": ("classification",),
    "multilabel": ("multi-label",),
    "sparsemax": ("classification",),
    "segmentation": ("segmentation",),
    "lovasz": ("segmentation",),
    "ranking": ("ranking",),
    "pairwise": ("ranking",),
    "sequence": ("sequence",),
    "embedding": ("metric learning",),
    "contrastive": ("metric learning",),
    "triplet": ("metric learning",),
    "margin_softmax": ("metric learning", "classification"),
    "proxy": ("metric learning",),
    "redundancy": ("self-supervised",),
}
"""The files of this folder that define losses, in the order in which the documentation has them; and the tasks that
their losses are for (`TASKS`)."""

OF_A_LOSS = {
    "binary_crossentropy": ("classification", "multi-label", "segmentation"),
    "binary_focal_crossentropy": ("classification", "multi-label", "segmentation"),
    "kl_divergence": ("distribution matching", "classification"),
    "generalized_kl_divergence": ("distribution matching", "regression"),
    "hinge_embedding": ("metric learning",),
    "linear_cross_entropy": ("classification", "sequence"),
    "ntxent": ("metric learning", "self-supervised"),
    "info_nce": ("metric learning", "self-supervised"),
    "cosine_similarity": ("metric learning", "self-supervised"),
    "cosine_distance": ("metric learning", "self-supervised"),
}
"""The tasks of a loss that are not those of its family."""

for _family in FAMILIES:
    for _item in vars(importlib.import_module(f"{__name__}.{_family}")).values():
        if isinstance(_item, Definition) and _item.value.__module__ == f"{__name__}.{_family}":
            (registry.add_table if _item.table else registry.add)(_item)

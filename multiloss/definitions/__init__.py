"""Every loss, once. A file a family; a loss a page: formula, shapes, value, gradient, source."""

from multiloss import registry
from multiloss.definition import Definition
from multiloss.definitions import (
    classification,
    contrastive,
    divergence,
    embedding,
    focal,
    likelihood,
    lovasz,
    margin,
    margin_softmax,
    multiclass_margin,
    multilabel,
    pairwise,
    proxy,
    ranking,
    redundancy,
    regression,
    relative,
    robust,
    segmentation,
    sequence,
    similarity,
    sparsemax,
    triplet,
    uncertainty,
)

for _module in (
    regression,
    relative,
    likelihood,
    similarity,
    uncertainty,
    divergence,
    classification,
    focal,
    robust,
    margin,
    multiclass_margin,
    multilabel,
    sparsemax,
    segmentation,
    lovasz,
    ranking,
    pairwise,
    sequence,
    embedding,
    contrastive,
    triplet,
    margin_softmax,
    proxy,
    redundancy,
):
    for _item in list(vars(_module).values()):
        if isinstance(_item, Definition) and _item.value.__module__ == _module.__name__:
            registry.add(_item)

"""Every loss, once. A file a family; a loss a page: formula, shapes, value, gradient, source."""

from types import ModuleType

from multiloss.definitions import (
    center,
    center_family,
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
from multiloss.engine import registry
from multiloss.engine.definition import Definition


def _of(module: ModuleType) -> list[Definition]:
    """The losses that a page defines."""
    return [x for x in vars(module).values() if isinstance(x, Definition) and x.value.__module__ == module.__name__]


for _module in (center, center_family):
    for _item in _of(_module):
        registry.add_table(_item)

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
    for _item in _of(_module):
        registry.add(_item)

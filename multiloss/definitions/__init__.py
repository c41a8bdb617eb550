"""Every loss, once. A file a family; a loss a page: formula, shapes, value, gradient, source."""

from multiloss import registry
from multiloss.definition import Definition
from multiloss.definitions import classification, divergence, embedding, pairwise, regression, sequence, uncertainty

for _module in (regression, divergence, classification, embedding, uncertainty, pairwise, sequence):
    for _item in list(vars(_module).values()):
        if isinstance(_item, Definition):
            registry.add(_item)

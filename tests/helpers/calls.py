"""Calls of every loss of the catalogue: names, options and inputs."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import multiloss
from multiloss.engine import registry
from multiloss.engine.loss import make_spec
from multiloss.testing.strategies import domain_of, draw_inputs
from reference.catalogue import ENTRIES

NAMES = [name for name in multiloss.list_losses() if name not in registry.CENTER]
"""Every loss without a state."""
Inputs = dict[str, np.ndarray]


def good(name: str) -> Inputs:
    """Inputs that the loss takes."""
    leading = (4,) if registry.find(name).kind == "of_inputs" else (4, 3)
    return draw_inputs(make_spec(name, {}), np.random.default_rng(0), leading)


def drawn(name: str, rng: np.random.Generator) -> Inputs:
    """Inputs of a loss of (y_true, y_pred): two samples of three."""
    spec = make_spec(name, {})
    found = {}
    for one in ("y_true", "y_pred"):
        domain = domain_of(spec, one)
        found[one] = rng.uniform(0.1, 0.9, (2, 3)) if domain else rng.normal(size=(2, 3))
    return found | ({"y_true": np.array([0, 2])} if spec.definition.has_labels else {})


def calls(first: bool) -> Iterator[Any]:
    """(name, options, inputs) of each loss: the first options of each set of inputs, or the others."""
    for name in NAMES:
        rng, definition = np.random.default_rng(0), registry.find(name)
        for i, entry in enumerate(ENTRIES[name]):
            given = (None if x is None else np.asarray(x) for x in entry.inputs(rng))
            inputs = {one: x for one, x in zip(definition.inputs, given, strict=False) if x is not None}
            shared = [one for one in inputs if not definition.shapes[one].samples]
            for options in entry.options[:1] if first else entry.options[1:]:
                yield pytest.param(name, options, inputs, id=f"{name}-{i}-{options}")
                if shared:  # what all samples share spoils them all, and only one of them may be finite
                    alone = {one: x if one in shared else x[:1] for one, x in inputs.items()}
                    yield pytest.param(name, options, alone, id=f"{name}-{i}-{options}-alone")

"""Formulas of other libraries that are no loss here, as definitions: `multiloss.get("keras.kl_divergence")`.

They run through the same pipeline on every backend. Their names have the library before the dot, and
`multiloss.list_losses()` leaves them out: they are here so that ported numbers stay what they were.
"""

from __future__ import annotations

import importlib

from multiloss.definition import Definition

DEFINITIONS: dict[str, Definition] = {}
MODULES = ("keras_variants", "optax_variants")
"""Where they are: imported at the first look-up."""


def add(definition: Definition) -> Definition:
    """Decorates a variant."""
    DEFINITIONS[definition.name] = definition
    return definition


def find(name: str) -> Definition | None:
    """The variant of this name, or None."""
    for module in MODULES:
        importlib.import_module(f"multiloss.porting.{module}")
    return DEFINITIONS.get(name)

"""Definitions of formulas that only other libraries have: `multiloss.get("keras.kl_divergence")`.

They run through the same pipeline on every backend. Their names have the library before the dot, and
`multiloss.list_losses()` leaves them out: they are here so that ported numbers stay what they were.
"""

from __future__ import annotations

import importlib

from multiloss.engine import registry
from multiloss.engine.definition import Definition

DEFINITIONS: dict[str, Definition] = {}
LIBRARIES = ("torch", "keras", "optax")


def add(definition: Definition) -> Definition:
    """Decorator, above that of the kind, that registers a variant."""
    DEFINITIONS[definition.name] = definition
    return definition


def find(name: str) -> Definition | None:
    """The variant of this name, or None."""
    library, dot, _ = name.partition(".")
    if dot and library in LIBRARIES:
        importlib.import_module(f"multiloss.porting.{library}_variants")
    return DEFINITIONS.get(name)


registry.look_in(find)

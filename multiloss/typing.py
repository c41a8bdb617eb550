"""Types for annotations: the names of losses and backends, and the classes of losses.

    def train(model: torch.nn.Module, loss: multiloss.typing.TorchLoss) -> None: ...

`LossName` is a `Literal` of all names that `multiloss.get` takes, so that libraries which read annotations when a
program runs, such as pydantic, can check a name, too. A type checker reads `typing.pyi` in place of this file.
Importing this module imports no framework; naming the class of a backend's loss imports that backend.
"""

from __future__ import annotations

import importlib
from typing import Any, Literal, Protocol

from multiloss.boosting import objective
from multiloss.catalogue import from_config, get, get_by_name
from multiloss.engine import registry
from multiloss.engine.definition import Definition
from multiloss.engine.loss import Loss
from multiloss.porting import port

__all__ = [
    "Alias",
    "AnyLoss",
    "BackendName",
    "CenterName",
    "Definition",
    "JaxCenter",
    "JaxLoss",
    "KerasCenter",
    "KerasLoss",
    "Loss",
    "LossName",
    "NumpyCenter",
    "NumpyLoss",
    "TensorflowCenter",
    "TensorflowLoss",
    "TorchCenter",
    "TorchLoss",
    "from_config",
    "get",
    "get_by_name",
    "objective",
    "port",
]

_BACKENDS = ("numpy", "torch", "tensorflow", "jax", "keras")
_NAMES = registry.all_names()
BackendName = Literal["numpy", "torch", "tensorflow", "jax", "keras"]
CenterName = Literal[*registry.CENTER]
"""Losses that hold a table of centers."""
Alias = Literal[*(name for name, loss in _NAMES.items() if name != loss)]
LossName = Literal[*_NAMES]
"""All names of losses, canonical ones and aliases."""


class AnyLoss(Protocol):
    """What all losses have, on every backend."""

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """The loss of its inputs."""

    def value_and_grad(self, *inputs: Any, **named: Any) -> Any:
        """The loss, and its gradient with respect to the second input (or what `wrt` names)."""

    def config(self) -> dict[str, Any]:
        """The loss as plain JSON data; `multiloss.from_config` makes an equal one of it."""


def __getattr__(name: str) -> Any:
    """The classes of a backend's losses, which import its framework."""
    for backend in _BACKENDS:
        if name in (f"{backend.title()}Loss", f"{backend.title()}Center"):
            objects = importlib.import_module(f"multiloss_{backend}.objects")
            return objects.CenterLoss if name == "KerasCenter" else getattr(objects, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

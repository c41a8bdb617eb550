"""Which attributes of a model with center loss can be assigned."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from multiloss.engine.loss import FixedOptions


class FixedModel(FixedOptions):
    """A model that holds its center loss as `center`: the centers can be assigned, the options of the loss cannot."""

    center: Any

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "centers":
            self.center.centers = value
        else:
            super().__setattr__(name, value)

    def _fixed(self) -> Collection[str]:
        center = getattr(self, "center", None)
        # `weight` is the model's own, and `loss` what it is compiled with.
        return () if center is None else {*center._fixed(), "features"} - {"weight", "loss"}

    def _instead(self, name: str, value: str) -> str:
        if name in ("num_classes", "centers_init"):
            return f"model.{self.center._instead(name, value)}"
        return f"make a new one: multiloss.keras.WithCenterLoss(model.model, ..., {name}={value})"

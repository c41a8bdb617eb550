"""Center loss as a Flax NNX module: the centers are an `nnx.Variable`, so optimizers of `nnx.Param` do not see them."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from multiloss.center import all_names, read_options
from multiloss.center.state import check_table, real_table
from multiloss.engine.definition import Definition
from multiloss.engine.objects import FixedOptions, with_options
from multiloss_jax import arrays as be
from multiloss_jax import compat
from multiloss_jax.center import JaxCenter


class Centers(nnx.Variable):
    """The variable type of the centers."""


@with_options(all_names())
class CenterLoss(FixedOptions, nnx.Module):
    """`center(labels, features)` under `nnx.jit` and `nnx.value_and_grad`; the centers move while training.

    Args:
        options: as of `multiloss.get("center", ...)`; `num_classes` and `feature_dim` are needed; `loss="island"`
            and the like make it another loss of the family.

    `center.centers = array` sets them, after the checks that every backend makes; `center.centers[...]` reads them.
    `center.eval()` and `center.train()` set the mode, as of every NNX module; `training=` of a call overrides it.
    """

    _help_name = "center"
    _help_methods = (
        "update", "describe", "resize", "select", "write_centers", "save_centers", "load_centers", "train", "eval",
    )  # fmt: skip

    def __init__(self, **options: Any) -> None:
        self._pure = compat.hidden_from_nnx(JaxCenter(read_options(options)))
        self.deterministic = False
        self.centers = Centers(self._pure.init_state()["centers"])

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "centers" and not isinstance(value, nnx.Variable):
            table, values = self.centers[...], real_table(value)
            check_table("the array", values, table.shape, table.dtype, len(values) != len(table))
            self.centers[...] = jnp.asarray(values, table.dtype)
        else:
            super().__setattr__(name, value)

    def _options(self) -> Mapping[str, Any]:
        pure = self.__dict__.get("_pure")
        return {} if pure is None else pure._options()

    def _definition(self) -> Definition | None:
        pure = self.__dict__.get("_pure")
        return None if pure is None else pure._definition()

    def _means(self) -> Mapping[str, str]:
        return self._pure._means()

    def _another(self) -> str:
        return "multiloss.flax.CenterLoss(...) makes another one, without these centers"

    def _fixed(self) -> Collection[str]:
        pure = self.__dict__.get("_pure")
        return () if pure is None else pure._fixed()

    def _instead(self, name: str, value: str) -> str:
        if name == "centers_init":
            return "center.centers = array sets the centers"
        return f"make a new one, multiloss.flax.CenterLoss(..., {name}={value}); new.centers = center.centers[...]"

    def __call__(
        self, labels: Any, features: Any, sample_weight: Any = None, mask: Any = None, *, training: bool | None = None
    ) -> Any:
        """The value with the centers from before; while training they move once by Eq. 4."""
        updates = (not self.deterministic) if training is None else training
        updates = updates and self._pure.options.update == "auto"
        return self._run(labels, features, sample_weight, mask, updates)

    def update(self, labels: Any, features: Any, mask: Any = None) -> None:
        """Move the centers once by Eq. 4, whatever `update` says."""
        self._run(labels, features, None, mask, True)

    def describe(self) -> str:
        """What is computed, in words: scale of the value, step of the centers, dtype, synchronisation."""
        return str(self._plain().describe())

    def save_centers(self, path: str | os.PathLike[str]) -> None:
        """Write the centers as one safetensors file, which every backend reads."""
        self._plain().save_centers(path)

    def load_centers(
        self, path: str | os.PathLike[str], *, resize: bool = False, classes: Sequence[int] | None = None
    ) -> None:
        """Take the centers of a file, as the centers of every backend do."""
        self._change("load_centers", path, resize=resize, classes=classes)

    def write_centers(self, centers: Any, classes: Sequence[int] | None = None) -> None:
        """Put these centers in the place of all others, or of those of `classes`."""
        self._change("write_centers", centers, classes)

    def resize(self, num_classes: int) -> None:
        """Keep the first `num_classes` classes; new ones get first values. The variable is a new one then."""
        self._change("resize", num_classes)

    def select(self, classes: Sequence[int]) -> None:
        """Keep these classes only, in this order. The variable is a new one then."""
        self._change("select", classes)

    def _plain(self) -> JaxCenter:
        """The same center loss, with the same centers, outside of NNX."""
        plain = JaxCenter(self._pure.options)
        plain._set(np.array(self.centers[...]), None)
        return plain

    def _change(self, what: str, *given: Any, **options: Any) -> None:
        plain = self._plain()
        getattr(plain, what)(*given, **options)
        if plain.options != self._pure.options:
            self._pure = compat.hidden_from_nnx(JaxCenter(plain.options))
        if plain.centers.shape == self.centers[...].shape:
            self.centers[...] = plain.centers
        else:
            self.centers = Centers(plain.centers)

    def _run(self, labels: Any, features: Any, sample_weight: Any, mask: Any, updates: bool) -> Any:
        table = jnp.asarray(self.centers[...])
        wanted = self._pure.options.num_classes, self._pure.options.feature_dim
        if table.shape != wanted:  # the variable was replaced
            raise ValueError(f"the variable holds centers of shape {table.shape}, but these are of shape {wanted}")
        labels = be.asarray(labels, None, "labels")
        value, state = self._pure.step(
            {"centers": table}, labels, features, updates, sample_weight=sample_weight, mask=mask
        )
        if updates:
            self.centers[...] = state["centers"]
        return value

"""What the center objects of all backends share: a call, config, the pure `init_state`/`step`, growth, files.

A call gathers the rows of the batch, computes the value and the moved rows, and commits those (`_run`). The native
classes hold, read and write the table.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from multiloss.center import inputs, state
from multiloss.center.centers import HeldCenters, Lock
from multiloss.center.options import CenterOptions, words
from multiloss.center.step import native_arrays, step
from multiloss.engine import dispatch

Array = Any


class CenterMethods(HeldCenters):
    """What the center objects of all backends share. The native classes hold the table."""

    def init_state(self) -> dict[str, Array]:
        """The first state, {"centers": (num_classes, feature_dim)}, for the pure `step`."""
        chosen = self.options
        if chosen.num_classes is None or chosen.feature_dim is None:
            missing = "num_classes" if chosen.num_classes is None else "feature_dim"
            raise ValueError(f"init_state needs {missing}: multiloss.get({chosen.loss!r}, {missing}=...)")
        return {"centers": self._be().centers_array(self._first(chosen.num_classes, chosen.feature_dim))}

    def step(
        self,
        state: dict[str, Array],
        labels: Array,
        features: Array,
        training: bool = True,
        *,
        sample_weight: Array | None = None,
        mask: Array | None = None,
    ) -> tuple[Array, dict[str, Array]]:
        """The pure core: the value with the centers of `state`, and the state after Eq. 4. Traceable.

        Args:
            state: {"centers": (C, D)}, from `init_state`.
            labels: integer classes (N,).
            features: (N, D).
            training: False leaves the state as it is.

        Returns:
            The loss, and the new state (the one given is not changed).
        """
        be, centers = self._be(), state["centers"]
        classes, dim = be.shape(centers)
        arrays = native_arrays(be, labels, features, sample_weight, mask)
        inputs.check(be, self.options, dim, *arrays)
        labels_checked = inputs.labels_known(be, self.options, classes, arrays[0], arrays[3])
        value, moving, rows = step(
            be, self.options, centers, *arrays, training=training, labels_checked=labels_checked, group=self._group()
        )
        if rows is None:
            return value, state
        return value, {**state, "centers": be.xp.put_rows(centers, moving, rows)}

    def _group(self) -> Any:
        """The processes whose batches together move the centers of `step` (`protocol.Group`); None: this one."""
        return None

    def update(self, labels: Any, features: Any, mask: Any = None) -> None:
        """Move the centers once by Eq. 4, whatever `update` says."""
        self._run((labels, features, None, mask), True)

    def value_and_grad(
        self, labels: Any, features: Any, sample_weight: Any = None, mask: Any = None, *, training: bool = True,
        wrt: Any = "features",
    ) -> tuple[Any, Any]:  # fmt: skip
        """The value, and its gradient with respect to the features; when training, the centers move as in a call."""
        if wrt not in ("features", ("features",), ["features"]):
            raise ValueError(f"wrt must be 'features' (centers get no gradient), got {wrt!r}")
        value, gradient = self._run(
            (labels, features, sample_weight, mask), training and self.options.update == "auto", True
        )
        return value, gradient if isinstance(wrt, str) else (gradient,)

    def _run(self, given: tuple[Any, ...], updates: bool, differentiate: bool = False) -> Any:
        """The value of a call, or the pair of it and its gradient; the centers move or stay."""
        with self._alone():
            group = self._together() if updates else None
            arrays, labels_checked = self._ready(given, group)
            value, labels, rows = self._compute(arrays, updates, labels_checked, group, differentiate)
            if rows is not None:
                self._commit(labels, rows)
        return value

    def _together(self) -> Any:
        """The processes whose batches together move the centers of a call (`protocol.Group`); None: this one."""
        return None

    def _ready(self, given: tuple[Any, ...], group: Any = None) -> tuple[list[Any], bool]:
        """Checked native arrays, and whether the labels are known to be in range. The table is made or grown to fit."""
        arrays = labels, features, _, mask = self._native(*given)
        inputs.check(self._be(), self.options, self._shape()[1], *arrays)
        self._fit(labels, features, mask)
        return arrays, inputs.labels_known(self._be(), self.options, self._shape()[0], labels, mask)

    def _native(self, labels: Any, features: Any, sample_weight: Any, mask: Any) -> list[Any]:
        """The arguments as native arrays."""
        return native_arrays(self._be(), labels, features, sample_weight, mask)

    def _compute(
        self, arrays: list[Any], updates: bool, labels_checked: bool, group: Any, differentiate: bool
    ) -> tuple[Any, Any, Any]:
        be, more = self._be(), {"labels_checked": labels_checked, "group": group, "differentiate": differentiate}
        with dispatch.quiet(be):
            return step(be, self.options, self._held(), *arrays, training=updates, **more)

    def _held(self) -> Any:
        """The centers, as `step` reads them."""
        return self._table

    def _fit(self, labels: Array, features: Array, mask: Any) -> None:
        """Make or grow the table: the feature dimension is that of the first batch, classes come with the labels."""
        chosen, have, be = self.options, self._shape(), self._be()
        if have[0] and chosen.num_classes is not None:
            return
        rows = chosen.num_classes or inputs.grown(be, chosen, have[0], labels, mask)
        if rows > have[0]:
            dim = have[1] or chosen.feature_dim or be.shape(features)[-1]
            if dim is None:
                raise ValueError("features must have a known last dimension; pass feature_dim")
            first = self._first(rows, dim)
            self._set(state.extended(self._host_centers(), first) if have[0] else first, features)

    def _commit(self, labels: Array, rows: Array) -> None:
        """Write moved rows into the table."""
        self._table = self._be().xp.put_rows(self._table, labels, rows)

    def describe(self) -> str:
        """What is computed, in words: scale of the value, step of the centers, dtype, synchronisation."""
        classes, dim = self._shape()
        table = f"({classes}, {dim}), {self._dtype()}" if classes else "not known before the first batch"
        said = [*words(self.options, dim or self.options.feature_dim), f"centers: {table}, no gradient"]
        return "\n".join([*said, f"synchronisation: {self._synchronisation()}"])

    def _synchronisation(self) -> str:
        return "none, one process"


class HostCenter(CenterMethods):
    """A center loss that holds its table itself, for backends without a module system: NumPy, JAX, TensorFlow."""

    def __init__(self, chosen: CenterOptions) -> None:
        self.options = chosen
        self._turn = Lock()
        self._table = None
        self._begin()

    @property
    def centers(self) -> Array:
        """The centers, (num_classes, feature_dim), as a native array; (0, 0) until known."""
        return self._be().centers_array(np.zeros((0, 0))) if self._table is None else self._table

    def __call__(
        self, labels: Any, features: Any, sample_weight: Any = None, mask: Any = None, *, training: bool = True
    ) -> Any:
        """The value with the centers from before; then, when training, they move once by Eq. 4."""
        return self._run((labels, features, sample_weight, mask), training and self.options.update == "auto")

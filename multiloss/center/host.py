"""The center loss of backends without a module system of their own: NumPy, JAX and TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np

from multiloss.center.objects import CenterMethods, Lock
from multiloss.center.step import CenterOptions, native_arrays, step, to_host

Array = Any


class HostCenter(CenterMethods):
    """A center loss that holds its table itself, for backends without a module system: NumPy, JAX, TensorFlow.

    `training=True` moves the centers, once a call.
    """

    def __init__(self, chosen: CenterOptions) -> None:
        self.options = chosen
        self._turn = Lock()
        self._table: Any = None
        self._begin()

    def _begin(self) -> None:
        """Make the table, where its shape is known."""
        chosen = self.options
        if chosen.num_classes is not None and chosen.feature_dim is not None:
            self._set(self._first(chosen.num_classes, chosen.feature_dim), None)

    @property
    def centers(self) -> Array:
        """The centers, (num_classes, feature_dim), as a native array; (0, 0) until known."""
        return self._be().centers_array(np.zeros((0, 0))) if self._table is None else self._table

    def _shape(self) -> tuple[int, int]:
        return (0, 0) if self._table is None else tuple(self._be().shape(self._table))

    def _set(self, centers: np.ndarray, like: Array | None) -> None:
        self._table = self._be().centers_array(centers, self._table if like is None else like)

    def _host_centers(self) -> np.ndarray:
        return np.zeros((0, 0)) if self._table is None else np.array(to_host(self._table))

    def _dtype(self) -> str:
        return np.dtype(getattr(self._table.dtype, "as_numpy_dtype", self._table.dtype)).name

    def _commit(self, labels: Array, rows: Array) -> None:
        self._table = self._be().xp.put_rows(self._table, labels, rows)

    def _ready(self, labels: Any, features: Any, sample_weight: Any, mask: Any) -> tuple[Any, ...]:
        be = self._be()
        labels, features, sample_weight, mask = native_arrays(be, labels, features, sample_weight, mask)
        self._check(labels, features, sample_weight, mask, self._shape()[1])
        self._fit(labels, features, mask, True)
        trusted = self._labels_known(labels, mask, self._shape()[0])
        return labels, features, sample_weight, mask, trusted

    def __call__(
        self, labels: Any, features: Any, sample_weight: Any = None, mask: Any = None, *, training: bool = True
    ) -> Any:
        """The value with the centers from before; then, when training, they move once by Eq. 4."""
        with self._alone():
            *arrays, trusted = self._ready(labels, features, sample_weight, mask)
            moves = training and self.options.update == "auto"
            value, where_to, rows = self._step(arrays, moves, trusted)
            if where_to is not None:
                self._commit(where_to, rows)
        return value

    def _step(self, arrays: list[Any], moves: bool, trusted: bool) -> tuple[Any, Any, Any]:
        return step(self._be(), self.options, self._table, *arrays, training=moves, trusted=trusted)

    def update(self, labels: Any, features: Any, mask: Any = None) -> None:
        """Move the centers once by Eq. 4, whatever `update` says."""
        with self._alone():
            *arrays, trusted = self._ready(labels, features, None, mask)
            _, where_to, rows = self._step(arrays, True, trusted)
            if where_to is not None:
                self._commit(where_to, rows)

    def value_and_grad(
        self,
        labels: Any,
        features: Any,
        sample_weight: Any = None,
        mask: Any = None,
        *,
        training: bool = True,
        wrt: Any = "features",
    ) -> tuple[Any, Any]:
        """The value, and its gradient with respect to the features; the centers move once, as in a call."""
        if wrt not in ("features", ("features",), ["features"]):
            raise ValueError(f"wrt must be 'features' (centers get no gradient), got {wrt!r}")
        with self._alone():
            *arrays, trusted = self._ready(labels, features, sample_weight, mask)
            moves = training and self.options.update == "auto"
            value, gradient, where_to, rows = self._step_with_gradient(arrays, moves, trusted)
            if where_to is not None:
                self._commit(where_to, rows)
        return value, gradient if isinstance(wrt, str) else (gradient,)

    def _step_with_gradient(self, arrays: list[Any], moves: bool, trusted: bool) -> tuple[Any, Any, Any, Any]:
        raise NotImplementedError

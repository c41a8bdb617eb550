"""What NumPy users hold: a callable with the closed-form gradient."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

import multiloss_numpy as be
from multiloss import general, pipeline
from multiloss.center import value_and_gradient
from multiloss.general import General, GeneralInputs
from multiloss.host_center import HostCenter
from multiloss.inputs import Inputs
from multiloss.loss import Named, Spec, wanted

Array = Any


class NumpyLoss(Named):
    """A loss on NumPy arrays; `value_and_grad` gives the closed-form gradient."""

    backend = "numpy"

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._inputs = Inputs(spec)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None, mask: Any = None) -> Any:
        """The loss of arrays, lists or numbers."""
        *arrays, trusted = self._inputs(be, y_true, y_pred, sample_weight, mask)
        with np.errstate(all="ignore"):  # inf and nan show in the value, as in every backend
            return pipeline.evaluate(be, self.spec, *arrays, trusted=trusted)

    def value_and_grad(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, mask: Any = None, *, wrt: Any = "y_pred"
    ) -> tuple[Any, Any]:
        """The loss, and its gradient with respect to `y_pred` (or what `wrt` names), of the dtype of `y_pred`."""
        *arrays, trusted = self._inputs(be, y_true, y_pred, sample_weight, mask)
        positions = wanted(wrt, self.spec.definition)
        with np.errstate(all="ignore"):
            closed = 1 in positions and self.spec.definition.grad is not None
            others = tuple(i for i in positions if not (closed and i == 1))
            found: dict[int, Any] = {}
            if others:
                value, gradients = _by_autograd(self.spec, arrays, trusted, others)
                found = dict(zip(others, gradients, strict=True))
            if closed:
                value, gradient = pipeline.value_and_gradient(be, self.spec, *arrays, trusted=trusted)
                found[1] = _cast(gradient, arrays[1])
        return value, found[positions[0]] if isinstance(wrt, str) else tuple(found[i] for i in positions)

    def grad_and_hess(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """First and second derivative of each value with respect to each element, unreduced."""
        arrays = self._inputs(be, y_true, y_pred, None, None)
        pipeline.require_derivatives(self.spec)
        with np.errstate(all="ignore"):
            first, second = pipeline.grad_and_hess(be, self.spec, arrays[0], arrays[1], arrays[4])
        return _cast(first, arrays[1]), _cast(second, arrays[1])


class NumpyGeneral(General):
    """A loss of other inputs on NumPy arrays; gradients by the `autograd` package."""

    backend = "numpy"
    be = be

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._inputs = GeneralInputs(spec)

    def _value(self, arrays: list[Any], trusted: bool) -> Any:
        with np.errstate(all="ignore"):
            return general.evaluate(be, self.spec, *arrays, trusted=trusted)

    def _value_and_gradients(self, arrays: list[Any], trusted: bool, positions: tuple[int, ...]) -> tuple[Any, Any]:
        with np.errstate(all="ignore"):
            return _by_autograd(self.spec, arrays, trusted, positions)


def _cast(gradient: Any, like: Any) -> Any:
    return np.asarray(gradient, like.dtype if be.kind(like) == "f" else None)


def _by_autograd(
    spec: Spec, arrays: list[Any], trusted: bool, positions: tuple[int, ...]
) -> tuple[Any, tuple[Any, ...]]:
    """For a definition without a closed form (a user's own): the `autograd` package."""
    if importlib.util.find_spec("autograd") is None:
        raise NotImplementedError(
            f"{spec.name} has no closed-form gradient with respect to what was asked; on NumPy it needs the autograd "
            f"package: pip install autograd, or give the definition a @gradient"
        )
    from multiloss_numpy import tracing

    return tracing.value_and_gradients(spec, arrays, trusted, positions)


class NumpyCenter(HostCenter):
    """Center loss on NumPy arrays: `value, gradient = center.value_and_grad(labels, features)` in a training loop."""

    backend = "numpy"

    @property
    def centers(self) -> Any:
        """A copy of the centers, (num_classes, feature_dim); (0, 0) until known. Not to be written to, since that would
        change nothing; `center.centers = array` sets them."""
        with self._alone():
            centers = self._host_centers()
        centers.flags.writeable = False
        return centers

    def _commit(self, labels: Any, rows: Any) -> None:
        self._table[labels] = rows

    def _step(self, arrays: list[Any], moves: bool, trusted: bool) -> tuple[Any, Any, Any]:
        with np.errstate(all="ignore"):
            return super()._step(arrays, moves, trusted)

    def _step_with_gradient(self, arrays: list[Any], moves: bool, trusted: bool) -> tuple[Any, Any, Any, Any]:
        _, where_to, rows = self._step(arrays, moves, trusted)
        with np.errstate(all="ignore"):
            value, gradient = value_and_gradient(be, self.options, self._table, *arrays, trusted=trusted)
        return value, gradient, where_to, rows

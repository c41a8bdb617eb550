"""What NumPy users hold: callables, for losses and for center loss."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np

from multiloss.center import all_names
from multiloss.center.objects import HostCenter
from multiloss.engine import pipeline
from multiloss.engine.loss import LossBase, Spec
from multiloss.engine.objects import with_options
from multiloss_numpy import arrays as be

Array = Any


class NumpyLoss(LossBase):
    """A loss on NumPy arrays; `value_and_grad` gives the closed-form gradient."""

    backend: str | None = "numpy"
    be = be

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """The loss of its inputs, by place or by name: arrays, lists or numbers."""
        return self._call(inputs, named)

    def _value(self, arrays: list[Any], labels_checked: bool) -> Any:
        with np.errstate(all="ignore"):  # inf and nan show in the value
            return pipeline.evaluate(be, self.spec, *arrays, labels_checked=labels_checked)

    def _value_and_gradients(
        self, arrays: list[Any], labels_checked: bool, positions: tuple[int, ...]
    ) -> tuple[Any, Sequence[Any]]:
        spec, names = self.spec, self.spec.definition.inputs
        closed = tuple(names[i] for i in positions if names[i] in spec.definition.gradients)
        others = tuple(i for i in positions if names[i] not in closed)
        found: dict[str, Any] = {}
        with np.errstate(all="ignore"):
            if others:
                value, gradients = _by_autograd(spec, arrays, labels_checked, others)
                found = dict(zip((names[i] for i in others), gradients, strict=True))
            if closed:
                value, by_name = pipeline.value_and_gradients(
                    be, spec, *arrays, wrt=closed, labels_checked=labels_checked
                )
                found |= by_name
            return value, [_cast(found[names[i]], arrays[i]) for i in positions]

    def _derivatives(self, y_true: Any, y_pred: Any, labels_checked: bool) -> tuple[Any, Any]:
        with np.errstate(all="ignore"):
            first, second = pipeline.grad_and_hess(be, self.spec, y_true, y_pred, labels_checked)
            return _cast(first, y_pred), _cast(second, y_pred)


def _cast(gradient: Any, like: Any) -> Any:
    return np.asarray(gradient, like.dtype if be.dtype_kind(like) == "f" else None)


def _by_autograd(
    spec: Spec, arrays: list[Any], labels_checked: bool, positions: tuple[int, ...]
) -> tuple[Any, tuple[Any, ...]]:
    """Value and gradients of a definition without closed forms, such as a user's, by the `autograd` package."""
    if importlib.util.find_spec("autograd") is None:
        raise NotImplementedError(
            f"{spec.name} has no closed-form gradient with respect to what was asked; on NumPy it needs the autograd "
            f"package: pip install autograd, or give the definition a @gradient"
        )
    from multiloss_numpy import tracing

    return tracing.value_and_gradients(spec, arrays, labels_checked, positions)


@with_options(all_names())
class NumpyCenter(HostCenter):
    """Center loss on NumPy arrays: `value, gradient = center.value_and_grad(labels, features)` in a training loop."""

    backend = "numpy"

    @property
    def centers(self) -> np.ndarray:
        """A read-only copy of the centers, (num_classes, feature_dim); (0, 0) until known. `center.centers = array`
        sets them."""
        with self._alone():
            centers = self._host_centers()
        centers.flags.writeable = False
        return centers

    def _commit(self, labels: Any, rows: Any) -> None:
        self._table[labels] = rows

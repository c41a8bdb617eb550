"""What the tests of the catalogue know of a loss, and its values and derivatives with 50 digits."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.information import CONTEXT as mp

Array = NDArray[Any]
STEP = mp.mpf(10) ** -20
"""Of central differences, which with 50 digits are right to some 25."""


@dataclass
class Edge:
    """One worked call: inputs, options, and what comes out (with reduction "none"), from `source`."""

    inputs: tuple[Any, ...]
    value: Any
    source: str
    options: dict[str, Any] = field(default_factory=dict)
    gradient: Any = None
    """By the second input (or `wrt`), of the sum; None: only that it is finite."""


@dataclass
class Entry:
    """A loss: its formula, generic inputs (no kink or floor within reach), option sets, and worked edges."""

    name: str
    formula: Callable[..., Any]
    kind: str
    """"element", "row" or "batch": what the formula takes. It gives values, or (values, counts in the mean)."""
    inputs: Callable[[np.random.Generator], tuple[Array, ...]]
    options: tuple[dict[str, Any], ...] = ({},)
    wrt: tuple[str, ...] = ("y_pred",)
    """Names of the inputs to differentiate by."""
    positions: tuple[int, ...] = (1,)
    edges: tuple[Edge, ...] = ()

    def values(self, inputs: tuple[Any, ...], options: dict[str, Any]) -> tuple[list[Any], list[Any], tuple[int, ...]]:
        """Values and counts, flat, and their shape."""
        if self.kind == "batch":
            found = self.formula(*inputs, **options)
            values, counts = found if isinstance(found, tuple) else (found, None)
            flat, shape = _flat(values), _shape(values)
            return flat, [mp.mpf(1)] * len(flat) if counts is None else _flat(counts), shape
        t, p = inputs
        shape = _shape(p)[:-1]
        samples = list(zip(_rows(t, len(shape)), _rows(p, len(shape)), strict=True))
        if self.kind == "row":
            values = [self.formula(a, b, **options) for a, b in samples]
            if isinstance(values[0], tuple):
                return [value for value, _ in values], [count for _, count in values], shape
        else:
            values = [
                mp.fsum(self.formula(x, y, **options) for x, y in zip(a, b, strict=True)) / len(b) for a, b in samples
            ]
        return values, [mp.mpf(1)] * len(values), shape

    def reduced(self, inputs: tuple[Any, ...], options: dict[str, Any], weights: Any = None, mean: bool = True) -> Any:
        """The mean of the values (or their sum), each times the weight of its sample."""
        values, counts, _ = self.values(inputs, options)
        if weights is not None:
            inner = len(values) // len(weights)
            values = [v * mp.mpf(float(weights[i // inner])) for i, v in enumerate(values)]
        total = mp.fsum(values)
        return total / mp.fsum(counts) if mean else total

    def gradient(
        self, inputs: tuple[Any, ...], position: int, options: dict[str, Any], weights: Any = None, mean: bool = True
    ) -> Array:
        """Of `reduced`, by every element of one input."""
        out = np.zeros(np.shape(inputs[position]))
        for index in np.ndindex(out.shape):
            ends = []
            for side in (1, -1):
                moved = list(exact(inputs))
                moved[position] = _moved(moved[position], index, side * STEP)
                ends.append(self.reduced(tuple(moved), options, weights, mean))
            out[index] = float((ends[0] - ends[1]) / (2 * STEP))
        return out


BY_BOTH: dict[str, Any] = {"wrt": ("y_pred", "y_true"), "positions": (1, 0)}
ENTRIES: dict[str, list[Entry]] = {}
"""name -> its entries; a loss may have several, with other inputs."""


def add(name: str, formula: Callable[..., Any], kind: str, inputs: Any, **more: Any) -> None:
    ENTRIES.setdefault(name, []).append(Entry(name, formula, kind, inputs, **more))


def exact(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Arrays as nested lists of 50-digit numbers; integers stay integers, None stays None."""
    return tuple(None if x is None else _exact(np.asarray(x)) for x in inputs)


def _exact(x: Array) -> Any:
    if x.ndim == 0:
        return int(x) if x.dtype.kind in "iub" else mp.mpf(float(x))
    return [_exact(item) for item in x]


def _moved(x: Any, index: tuple[int, ...], step: Any) -> Any:
    if not index:
        return x + step
    return [_moved(item, index[1:], step) if i == index[0] else item for i, item in enumerate(x)]


def _shape(x: Any) -> tuple[int, ...]:
    return (len(x), *_shape(x[0])) if isinstance(x, list) and x else (0,) if isinstance(x, list) else ()


def _flat(x: Any) -> list[Any]:
    return [leaf for item in x for leaf in _flat(item)] if isinstance(x, list) else [x]


def _rows(x: Any, depth: int) -> list[Any]:
    return [x] if depth == 0 else [row for item in x for row in _rows(item, depth - 1)]

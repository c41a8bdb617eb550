"""Hypothesis strategies for one call of a loss: arrays, axis, options, weights and mask, all as plain NumPy.

Shapes come from a short list, so that frameworks that compile for each shape compile little. Values are such that
float16 or bfloat16 hold them exactly where that dtype is asked for: the reference then sees what the library sees.
"""

from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from .losses import CLASS_LOSSES, SPARSE, Axis, outer_shape
from .reductions import REDUCTIONS

Array = NDArray[Any]

#: the axes tried for each shape; class losses take the single ones
AXES: dict[tuple[int, ...], tuple[Axis, ...]] = {
    (5,): (-1, None, ()),
    (4, 3): (-1, 0, (), None),
    (2, 3, 4): (-1, 1, (1, 2)),
}
FROM_LOGITS = ({"from_logits": True}, {"from_logits": True, "label_smoothing": 0.25})
OPTIONS: dict[str, tuple[dict[str, Any], ...]] = {
    "mean_absolute_percentage_error": ({}, {"epsilon": 0.5}),
    "huber": ({}, {"delta": 2.5}),
    "kl_divergence": ({}, {"epsilon": 0.125}, {"normalize": True}),
    "categorical_crossentropy": ({}, {"label_smoothing": 0.25}, {"normalize": True}, *FROM_LOGITS),
    "sparse_categorical_crossentropy": ({}, {"label_smoothing": 0.25}, {"normalize": True}, *FROM_LOGITS),
    "binary_crossentropy": ({}, {"label_smoothing": 0.25}, {"epsilon": 0.125}, *FROM_LOGITS),
}
LOG_ERRORS = ("mean_squared_logarithmic_error", "root_mean_squared_logarithmic_error")


@dataclass
class Case:
    """One call: `options` make the loss, `arguments` are its weight and mask."""

    y_true: Array
    y_pred: Array
    options: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Array] = field(default_factory=dict)

    @property
    def everything(self) -> dict[str, Any]:
        return {**self.options, **self.arguments}


def representable(array: Array, dtype: str) -> Array:
    target = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    return array.astype(target).astype(np.float64)


def interval(name: str, options: dict[str, Any]) -> tuple[float, float]:
    if options.get("from_logits"):
        return -30.0, 30.0
    if name in CLASS_LOSSES or name == "binary_crossentropy":
        return 0.0, 1.0
    return (-0.5, 100.0) if name in LOG_ERRORS else (-50.0, 50.0)


@st.composite
def floats(draw: st.DrawFn, shape: tuple[int, ...], low: float, high: float, dtype: str) -> Array:
    """An array of values in [low, high]: 0 or at least 2^-13 in size, so that no square underflows in float16."""
    finite = st.floats(low, high, width=16 if dtype in ("float16", "bfloat16") else 32, allow_subnormal=False)
    elements = finite.map(lambda v: v if abs(v) >= 2.0**-13 else 0.0)
    return representable(draw(hnp.arrays(np.float64, shape, elements=elements)), dtype)


@st.composite
def inputs(draw: st.DrawFn, name: str, shape: tuple[int, ...], axis: Any, dtype: str, options: dict[str, Any]) -> Any:
    """y_true and y_pred. `normalize` gets predictions whose sums are not 0."""
    low, high = interval(name, options)
    y_pred = draw(floats(shape, low, high, dtype))
    if options.get("normalize"):
        y_pred = representable(0.25 + y_pred / 2, dtype)
    if name == SPARSE:
        size = shape[axis]
        kind = draw(st.sampled_from(["int32", "int64", "uint8"]))
        return draw(hnp.arrays(kind, outer_shape(shape, axis), elements=st.integers(0, size - 1))), y_pred
    if name in CLASS_LOSSES or name == "binary_crossentropy":
        low, high = 0.0, 1.0
        if draw(st.booleans()):  # hard targets
            y_true = draw(hnp.arrays(np.float64, shape, elements=st.sampled_from([0.0, 1.0])))
        else:
            y_true = draw(floats(shape, low, high, dtype))
        if options.get("normalize"):
            y_true = representable(0.25 + y_true / 2, dtype)
        return y_true, y_pred
    return draw(floats(shape, low, high, dtype)), y_pred


@st.composite
def cases(draw: st.DrawFn, name: str, dtype: str) -> Case:
    shape = draw(st.sampled_from(sorted(AXES)))
    singles = [a for a in AXES[shape] if isinstance(a, int)]
    axis = draw(st.sampled_from(singles if name in CLASS_LOSSES else list(AXES[shape])))
    own = draw(st.sampled_from(OPTIONS.get(name, ({},))))
    options: dict[str, Any] = {"axis": axis, "reduction": draw(st.sampled_from(REDUCTIONS)), **own}
    y_true, y_pred = draw(inputs(name, shape, axis, dtype, options))
    outer = outer_shape(shape, axis)
    arguments: dict[str, Array] = {}
    quarters = st.integers(0, 12).map(lambda n: n / 4)
    for argument, kind, elements in (("sample_weight", np.float64, quarters), ("mask", np.bool_, st.booleans())):
        if draw(st.booleans()) and outer:
            some = outer[: draw(st.integers(1, len(outer)))]
            arguments[argument] = draw(hnp.arrays(kind, some, elements=elements))
    if name in CLASS_LOSSES and name != "kl_divergence" and draw(st.booleans()):
        options["class_weight"] = tuple(draw(st.lists(quarters, min_size=shape[axis], max_size=shape[axis])))
    if name == SPARSE and draw(st.booleans()):
        options["ignore_index"] = 1
    return Case(y_true, y_pred, options, arguments)


def fixed(name: str, dtype: str = "float64", seed: int = 0, **options: Any) -> Case:
    """A call at a generic point, no kink and no floor within reach: what second derivatives are tested on."""
    rng = np.random.default_rng(seed)
    low, high = interval(name, options)
    low, high = (low / 10, high / 10) if high > 1.0 else (0.125, 0.875)
    shape = (4, 3)
    y_pred = representable(rng.uniform(low, high, shape), dtype)
    if name == SPARSE:
        return Case(rng.integers(0, 3, 4), y_pred, options)
    unit = name in CLASS_LOSSES or name == "binary_crossentropy"
    y_true = rng.uniform(0.125, 0.875, shape) if unit else rng.uniform(low, high, shape)
    return Case(representable(y_true, dtype), y_pred, options)

"""Hypothesis strategies for the inputs of losses: NumPy arrays, which every backend takes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from multiloss import checks
from multiloss.layout import sample_shape
from multiloss.loss import Spec
from multiloss.options import REDUCTIONS, single_axis

# Few shapes: JAX and TensorFlow compile a program for each.
SHAPES = ((4,), (4, 3), (2, 3, 4))


@dataclasses.dataclass
class Case:
    """One call of a loss: arrays, weights and mask (or None), and what every loss takes besides its own options."""

    y_true: np.ndarray
    y_pred: np.ndarray
    sample_weight: np.ndarray | None
    mask: np.ndarray | None
    axis: Any
    reduction: str


def floats(shape: tuple[int, ...], low: float, high: float, dtype: str = "float64") -> st.SearchStrategy[np.ndarray]:
    """Real numbers in [low, high], exact in float32, without subnormal ones."""
    width = 32
    numbers = st.floats(
        float(np.float32(low)), float(np.float32(high)), width=width, allow_nan=False, allow_subnormal=False
    )
    return arrays(np.float32, shape, elements=numbers).map(lambda x: x.astype(dtype))


def probabilities(shape: tuple[int, ...], axis: Any = -1, dtype: str = "float64") -> st.SearchStrategy[np.ndarray]:
    """Distributions over `axis`, none of them nearer to 0 than 0.1 %; for `axis=()` single probabilities."""

    def normalised(x: np.ndarray) -> np.ndarray:
        x = x + 0.01
        return (x / (1.02 if axis == () else x.sum(axis=axis, keepdims=True))).astype(dtype)

    return floats(shape, 0.0, 1.0).map(normalised)


def labels(shape: tuple[int, ...], classes: int, dtype: str = "int64") -> st.SearchStrategy[np.ndarray]:
    """Integer labels in [0, classes)."""
    return arrays(dtype, shape, elements=st.integers(0, classes - 1))


def domain_of(spec: Spec, name: str) -> checks.Domain | None:
    """The domain that the loss declares for an input; None where any real number is one."""
    return spec.definition.domain(spec.kwargs).get(name)


def _inputs(spec: Spec, name: str, shape: tuple[int, ...], axis: Any) -> st.SearchStrategy[np.ndarray]:
    domain = domain_of(spec, name)
    if domain is checks.PROBABILITY:
        return probabilities(shape, () if spec.definition.kind == "elementwise" else axis)
    if domain is checks.LABEL_SETS:
        return arrays(np.int64, shape, elements=st.integers(-1, shape[axis] - 1))
    if domain is not None and domain.values:
        return arrays(np.float64, shape, elements=st.sampled_from(domain.values))
    if domain is None:
        # What is divided by its sum must have one, and logarithms.
        return floats(shape, 0.05 if spec.kwargs.get("normalize") else -20.0, 20.0)
    return floats(shape, max(domain.low, -20.0) + 0.05, min(domain.high, 20.0))


@st.composite
def cases(draw: st.DrawFn, spec: Spec) -> Case:
    """Calls that the loss accepts: several shapes, axes and reductions, with and without weights and mask."""
    sparse = spec.definition.kind == "over_labels"
    shape = draw(st.sampled_from(SHAPES))
    choices = [-1, 0] if sparse or spec.definition.axis is single_axis else [-1, 0, None, ()]
    if spec.definition.kind == "over_axis":
        choices = [axis for axis in choices if axis != ()]
    axis = draw(st.sampled_from(choices))
    samples = sample_shape(shape, axis)
    y_true = draw(labels(samples, shape[axis])) if sparse else draw(_inputs(spec, "y_true", shape, axis))
    y_pred = draw(_inputs(spec, "y_pred", shape, axis))
    reduction = draw(st.sampled_from(REDUCTIONS))
    # Weights and masks of the leading axes too: they are broadcast from the left.
    leading = samples[: draw(st.integers(0, len(samples)))]
    weight = draw(st.none() | floats(leading, 0.0, 4.0))
    mask = draw(st.none() | arrays(bool, leading))
    return Case(y_true, y_pred, weight, mask, axis, reduction)

"""Hypothesis strategies for the inputs of losses: NumPy arrays, which every backend takes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from multiloss.engine import checks, dispatch
from multiloss.engine.layout import Layout, layout, sample_shape
from multiloss.engine.loss import Spec
from multiloss.engine.options import REDUCTIONS, single_axis

# Few shapes and lengths: JAX and TensorFlow compile a program for each.
SHAPES = ((4,), (4, 3), (2, 3, 4))
LEADING = ((4,), (2, 3))
LENGTHS = {"N": 5, "L": 2, "T": 6, "C": 4, "D": 3, "M": 3}


@dataclasses.dataclass
class Case:
    """One call of a loss of (y_true, y_pred): arrays, weights and mask (or None), and the options of every loss."""

    y_true: np.ndarray
    y_pred: np.ndarray
    sample_weight: np.ndarray | None
    mask: np.ndarray | None
    axis: Any
    reduction: str

    @property
    def inputs(self) -> dict[str, np.ndarray]:
        """The arrays by name."""
        return {"y_true": self.y_true, "y_pred": self.y_pred}


@dataclasses.dataclass
class CaseOfInputs:
    """The same of a loss of other inputs, which has no option `axis`."""

    inputs: dict[str, np.ndarray]
    sample_weight: np.ndarray | None
    mask: np.ndarray | None
    reduction: str
    axis: Any = -1


def floats(shape: tuple[int, ...], low: float, high: float, dtype: str = "float64") -> st.SearchStrategy[np.ndarray]:
    """Real numbers in [low, high], exact in float32, without subnormal ones."""
    ends = float(np.float32(low)), float(np.float32(high))
    numbers = st.floats(*ends, width=32, allow_nan=False, allow_subnormal=False)
    return arrays(np.float32, shape, elements=numbers).map(lambda x: x.astype(dtype))


def probabilities(shape: tuple[int, ...], axis: Any = -1, dtype: str = "float64") -> st.SearchStrategy[np.ndarray]:
    """Distributions over `axis`, none of them nearer to 0 than 0.1 %; for `axis=()` single probabilities."""
    above = floats(shape, 0.0, 1.0).map(lambda x: x + 0.01)
    return above.map(lambda x: (x / (1.02 if axis == () else x.sum(axis=axis, keepdims=True))).astype(dtype))


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
        # `normalize` divides by the sum and takes logarithms.
        wide = floats(shape, 0.05 if spec.kwargs.get("normalize") else -20.0, 20.0)
        # Differences cannot resolve a slope of 1 / y_true at a target of 1e-20.
        return wide if name == "y_pred" else wide.map(lambda x: np.where(np.abs(x) < 1e-6, 0.0, x))
    return floats(shape, max(domain.low, -20.0) + 0.05, min(domain.high, 20.0))


def draw_inputs(
    spec: Spec, rng: np.random.Generator, leading: tuple[int, ...] = LEADING[1], samples: int = LENGTHS["N"]
) -> dict[str, np.ndarray]:
    """Inputs of the shapes and domains that the definition declares, no two numbers equal; optional ones left out. The
    class axis of a loss of (y_true, y_pred) is the last."""
    definition, pair = spec.definition, spec.definition.kind != "of_inputs"
    if definition.example is not None:
        return dict(definition.example(rng))
    lengths: dict[str, int] = LENGTHS | {"N": samples}
    found: dict[str, np.ndarray] = {}
    for name, wanted in definition.shapes.items():
        if name in definition.optional:
            continue
        shape = (leading if wanted.leading else ()) + tuple(lengths[letter] for letter in wanted.letters)
        domain = domain_of(spec, name)
        if not definition.is_integer(name):
            found[name] = _real(rng, shape, domain)
            if pair and definition.kind != "elementwise" and domain is checks.PROBABILITY:
                found[name] /= found[name].sum(-1, keepdims=True)
        elif pair:
            sets = domain is checks.LABEL_SETS
            found[name] = rng.integers(-1 if sets else 0, shape[-1], shape if sets else shape[:-1])
        else:
            most = 3 if wanted.below is None else lengths[wanted.below] + int(wanted.inclusive)
            found[name] = rng.integers(0, most, shape)
    return found


def _real(rng: np.random.Generator, shape: tuple[int, ...], domain: checks.Domain | None) -> np.ndarray:
    if domain is None:
        return rng.normal(size=shape)
    if domain.values:
        return rng.choice(np.array(domain.values, float), shape)
    return rng.uniform(max(domain.low, -3.0) + 0.05, min(domain.high, 3.0) - 0.05, shape)


def layout_of(spec: Spec, inputs: dict[str, np.ndarray]) -> Layout:
    """How the samples lie in these inputs."""
    be, definition = dispatch.backend("numpy"), spec.definition
    arranged = definition.arrange(be.xp, [inputs.get(name) for name in definition.inputs], spec.kwargs)
    return layout(be, spec, {n: x for n, x in zip(definition.inputs, arranged, strict=True) if x is not None})


@st.composite
def cases(draw: st.DrawFn, spec: Spec) -> Any:
    """Calls that the loss accepts: several shapes, axes and reductions, with and without weights and mask."""
    definition, reduction = spec.definition, draw(st.sampled_from(REDUCTIONS))
    if definition.kind == "of_inputs":
        # Numbers from a seed are never equal; equal rows would be a kink where rows are compared.
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        inputs = draw_inputs(spec, rng, draw(st.sampled_from(LEADING)))
        samples = layout_of(spec, inputs).samples
        weighted = not definition.whole_batch and draw(st.booleans())
        weight = rng.uniform(0.5, 2.0, samples[:1]) if weighted else None
        mask = rng.uniform(size=samples) < 0.7 if draw(st.booleans()) else None
        return CaseOfInputs(inputs, weight, mask, reduction)
    shape = draw(st.sampled_from(SHAPES))
    choices = [-1, 0, None, ()] if definition.kind == "elementwise" else [-1, 0, None]
    axis = draw(st.sampled_from([-1, 0] if definition.axis is single_axis else choices))
    samples = sample_shape(shape, axis)
    y_true = draw(labels(samples, shape[axis]) if definition.has_labels else _inputs(spec, "y_true", shape, axis))
    y_pred = draw(_inputs(spec, "y_pred", shape, axis))
    # Weights and masks may have the leading axes only: they are broadcast from the left.
    leading = samples[: draw(st.integers(0, len(samples)))]
    weight = draw(st.none() | floats(leading, 0.0, 4.0))
    mask = draw(st.none() | arrays(bool, leading))
    return Case(y_true, y_pred, weight, mask, axis, reduction)

"""The property tests of losses "of inputs": values and gradients against NumPy in float64, masks, weights, dtypes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from multiloss import checks
from multiloss.loss import Spec, get
from multiloss.options import REDUCTIONS
from multiloss.testing.tools import TOLERANCE, close, host, quiet

# Few lengths: JAX and TensorFlow compile a program for each.
LENGTHS = {"N": 5, "L": 2, "T": 6, "C": 4, "D": 3, "M": 3}
LEADING = ((4,), (2, 3))


@dataclasses.dataclass
class Case:
    """One call: inputs by name, weights and mask (or None), the reduction."""

    inputs: dict[str, np.ndarray]
    sample_weight: np.ndarray | None
    mask: np.ndarray | None
    reduction: str

    @property
    def more(self) -> dict[str, Any]:
        """The keyword arguments beside the inputs."""
        return {"sample_weight": self.sample_weight, "mask": self.mask}


def draw_inputs(spec: Spec, rng: np.random.Generator, leading: tuple[int, ...], samples: int) -> dict[str, np.ndarray]:
    """Generic inputs of the shapes and domains that the definition declares; optional ones left out."""
    definition = spec.definition
    if definition.example is not None:
        return dict(definition.example(rng))
    lengths: dict[str, int] = LENGTHS | {"N": samples}
    found: dict[str, np.ndarray] = {}
    for name, wanted in definition.shapes.items():
        if name in definition.optional:
            continue
        shape = (leading if wanted.leading else ()) + tuple(lengths[letter] for letter in wanted.letters)
        if wanted.integer:
            most = 3 if wanted.below is None else lengths[wanted.below] + int(wanted.inclusive)
            found[name] = rng.integers(0, most, shape)
        else:
            found[name] = _real(rng, shape, definition.domain(spec.kwargs).get(name))
    return found


def _real(rng: np.random.Generator, shape: tuple[int, ...], domain: checks.Domain | None) -> np.ndarray:
    if domain is None:
        return rng.normal(size=shape)
    if domain.values:
        return rng.choice(np.array(domain.values, float), shape)
    return rng.uniform(max(domain.low, -3.0) + 0.05, min(domain.high, 3.0) - 0.05, shape)


@st.composite
def cases(draw: st.DrawFn, spec: Spec) -> Case:
    """Calls that the loss accepts: values from a seed, so that no two of them are equal."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    leading = draw(st.sampled_from(LEADING))
    inputs = draw_inputs(spec, rng, leading, LENGTHS["N"])
    samples = sample_shape(spec, inputs)
    weight = mask = None
    if not spec.definition.whole_batch and draw(st.booleans()):
        weight = rng.uniform(0.5, 2.0, samples[:1])
    if draw(st.booleans()):
        mask = rng.uniform(size=samples) < 0.7
    return Case(inputs, weight, mask, draw(st.sampled_from(REDUCTIONS)))


def sample_shape(spec: Spec, inputs: dict[str, np.ndarray]) -> tuple[int, ...]:
    """The shape of weights and masks."""
    name = next(name for name, wanted in spec.definition.shapes.items() if wanted.samples and name in inputs)
    wanted = spec.definition.shapes[name]
    shape = inputs[name].shape
    return shape[: len(shape) - len(wanted.letters)] if wanted.leading else shape[:1]


def run(backend: str, spec: Spec, examples: int) -> None:
    """All of them, on one backend."""

    @quiet(examples)
    @given(cases(spec))
    def agree(case: Case) -> None:
        _agrees(backend, spec, case)

    agree()
    _half_precision(backend, spec)
    _nothing_left(backend, spec)


def _truth(spec: Spec, case: Case, inputs: dict[str, np.ndarray]) -> np.ndarray:
    loss = get(spec.name, "numpy", reduction=case.reduction, validate=False, **spec.kwargs)
    return np.asarray(loss(**inputs, **case.more), np.float64)


def _narrow(inputs: dict[str, np.ndarray], dtype: Any = np.float32) -> dict[str, np.ndarray]:
    return {name: x.astype(dtype) if x.dtype.kind == "f" else x for name, x in inputs.items()}


def _agrees(backend: str, spec: Spec, case: Case) -> None:
    loss = get(spec.name, backend, reduction=case.reduction, **spec.kwargs)
    exact = {name: x.astype(np.float64) if x.dtype.kind == "f" else x for name, x in _narrow(case.inputs).items()}
    wanted = _truth(spec, case, exact)
    scale = float(np.abs(_truth(spec, dataclasses.replace(case, reduction="sum"), exact)).sum())
    real = tuple(name for name, x in case.inputs.items() if x.dtype.kind == "f")
    value, gradients = loss.value_and_grad(**_narrow(case.inputs), **case.more, wrt=real)
    close("value", backend, host(value), wanted, scale, case)
    close("value of the call", backend, host(loss(**_narrow(case.inputs), **case.more)), wanted, scale, case)
    for name, gradient in zip(real, gradients, strict=True):
        smooth = (_gradient if spec.definition.holds_constant else _differences)(spec, case, exact, name)
        coarse = np.maximum(np.abs(smooth) * 50 + scale, 1.0)
        off = np.abs(host(gradient) - smooth)
        assert np.all(off <= TOLERANCE * coarse), (
            f"gradient by {name} on {backend}: {gradient}, differences {smooth}, for {case}"
        )
    if case.mask is not None and not case.mask.all():
        _masked_is_gone(backend, spec, loss, case, host(value), [host(g) for g in gradients], real)


def _gradient(spec: Spec, case: Case, inputs: dict[str, np.ndarray], name: str) -> np.ndarray:
    """NumPy's own, where differences of values are not what is meant."""
    loss = get(spec.name, "numpy", reduction=case.reduction, validate=False, **spec.kwargs)
    return np.asarray(loss.value_and_grad(**inputs, **case.more, wrt=name)[1])


def _differences(spec: Spec, case: Case, inputs: dict[str, np.ndarray], name: str) -> np.ndarray:
    gradient = np.zeros(inputs[name].shape)
    for index in np.ndindex(gradient.shape):
        ends = []
        for step in (1e-6, -1e-6):
            moved = inputs[name].copy()
            moved[index] += step
            ends.append(_truth(spec, case, {**inputs, name: moved}).sum())
        gradient[index] = (ends[0] - ends[1]) / 2e-6
    return gradient


def _masked_is_gone(
    backend: str, spec: Spec, loss: Any, case: Case, value: np.ndarray, gradients: list[np.ndarray], real: Any
) -> None:
    assert case.mask is not None
    dirty = _narrow(case.inputs)
    for name in real:
        if spec.definition.shapes[name].samples:
            dirty[name] = np.where(_spread(case.mask, dirty[name].ndim), dirty[name], np.float32("nan"))
    again, slopes = loss.value_and_grad(**dirty, **case.more, wrt=real)
    assert np.array_equal(host(again), value), f"a masked nan reaches the value on {backend}: {again}, for {case}"
    for name, slope, before in zip(real, slopes, gradients, strict=True):
        assert np.array_equal(host(slope), before), f"a masked nan reaches the gradient by {name} on {backend}: {slope}"
        if spec.definition.shapes[name].samples:
            masked = np.broadcast_to(~_spread(case.mask, slope.ndim), slope.shape)
            assert not host(slope)[masked].any(), f"gradient by {name} of a masked sample on {backend}: {slope}"


def _spread(mask: np.ndarray, rank: int) -> np.ndarray:
    return mask.reshape(mask.shape + (1,) * (rank - mask.ndim))


def _half_precision(backend: str, spec: Spec) -> None:
    inputs = _narrow(draw_inputs(spec, np.random.default_rng(0), LEADING[0], LENGTHS["N"]), np.float16)
    value, gradient = get(spec.name, backend, **spec.kwargs).value_and_grad(**inputs)
    assert "float32" in str(value.dtype), f"float16 gives {value.dtype} on {backend}; losses are computed in float32"
    if backend != "keras":  # whose losses cast to Keras' dtype
        assert "float16" in str(gradient.dtype), f"the gradient of float16 is {gradient.dtype} on {backend}"


def _nothing_left(backend: str, spec: Spec) -> None:
    loss = get(spec.name, backend, **spec.kwargs)
    inputs = _narrow(draw_inputs(spec, np.random.default_rng(0), LEADING[0], LENGTHS["N"]))
    value, gradient = loss.value_and_grad(**inputs, mask=np.zeros(sample_shape(spec, inputs), bool))
    assert host(value) == 0 and not host(gradient).any(), f"all masked on {backend} gives {value}, {gradient}"
    nothing = {name: x[:0] if spec.definition.shapes[name].samples else x for name, x in inputs.items()}
    value, gradient = loss.value_and_grad(**nothing)
    assert host(value) == 0 and not host(gradient).any(), f"an empty batch on {backend} gives {value}, {gradient}"

"""`check`: whether a loss has the properties that every loss here has, on each backend that is asked for.

The properties are the same for every kind of loss. `engine.layout` says how the samples lie in the inputs.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings

from multiloss.engine import dispatch, registry
from multiloss.engine.call import spread_host
from multiloss.engine.loss import Spec, make, make_spec
from multiloss.testing.strategies import Case, CaseOfInputs, cases, draw_inputs, layout_of

Reference = Callable[..., Any]
Inputs = dict[str, np.ndarray]

# Single precision rounds at 6e-8. A formula of some twenty operations, summed over the two dozen elements of the
# largest case, is right to 2e-5 of the sum of its terms; one with a wrong factor or sign is not.
TOLERANCE = 2e-5


def check(
    name: str,
    *,
    backends: Sequence[str] | None = None,
    reference: Reference | None = None,
    examples: int = 25,
    **options: Any,
) -> None:
    """Run the library's property tests on a loss.

    * values agree with the reference in float64, for all shapes, axes, reductions, weights and masks;
    * the gradient agrees with finite differences of the reference, also the compiled one;
    * a masked sample adds nothing to the value and exactly 0 to the gradient, even where it holds nan or infinity;
    * where no sample is left, value and gradient are 0; half precision is computed in float32;
    * a loss that is declared symmetric is; values and gradients are arrays of the backend.

    Args:
        name: of a loss known to `multiloss.get`.
        backends: names; default: all that are installed. A missing one is an error.
        reference: `reference(y_true, y_pred, axis=axis, **options)`, which gives float64 values per sample and does not
            use the definition; default: the definition itself on NumPy in float64. For a loss of other inputs it takes
            these and no axis; for a definition with a parameter `keep` it also takes `keep=mask`.
        examples: how many cases Hypothesis draws for each backend.
        options: of the loss.

    Raises:
        AssertionError: which property fails, on which backend, for which case.

    Example:
        >>> import multiloss.testing
        >>> multiloss.testing.check("mean_squared_error", backends=["numpy"], examples=5)
    """
    if name in registry.CENTER:
        raise ValueError(f"{name} loss holds centers, and check takes losses without a state only")
    spec = make_spec(name, options)
    if backends is None:
        backends = [backend for backend, installed in dispatch.list_backends().items() if installed]
    for backend in backends:
        dispatch.backend(backend)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*absolute value.*")
            _check_cases(backend, spec, reference, examples)
            for holds in OF_A_LOSS:
                holds(backend, spec)


def _check_cases(backend: str, spec: Spec, reference: Reference | None, examples: int) -> None:
    # The same examples every time, and no database.
    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow], phases=[Phase.generate, Phase.shrink],
    )  # fmt: skip
    @given(cases(spec))
    def hold(case: Case | CaseOfInputs) -> None:
        trial = _Trial(backend, dataclasses.replace(spec, axis=case.axis, reduction=case.reduction), case, reference)
        for holds in OF_A_CASE:
            holds(trial)

    hold()


class _Trial:
    """One case of a loss on one backend: what it gives there, and what it must give. The latter follows in float64
    from the reference (or the definition on NumPy) and the rules of weights, masks and reductions, written out."""

    def __init__(self, backend: str, spec: Spec, case: Case | CaseOfInputs, reference: Reference | None) -> None:
        self.spec, self.case, self.reference = spec, case, reference
        self.backend, self.of = backend, (f"on {backend}", f"for {case}")
        self.loss = make(spec, backend)
        self.more = {"sample_weight": case.sample_weight, "mask": case.mask}
        self.inputs = _given(spec, case.inputs)
        self.how = layout_of(spec, self.inputs)
        self.keep = None if case.mask is None else spread_host(case.mask, self.how.samples)
        self.called = self.own(self.loss(*self.inputs.values(), **self.more))
        self.value, self.gradients = self.differentiated(self.inputs)
        self.exact = {name: x.astype(case.inputs[name].dtype) for name, x in self.inputs.items()}
        self.wanted = self.reduced(self.exact)
        self.scale = float(np.abs(self.weighted(self.exact)[0]).sum())
        """The sum of the terms' absolute values."""

    def own(self, x: Any) -> np.ndarray:
        """The values of an array that must be the backend's own."""
        native = dispatch.backend(self.backend).is_native(x)
        assert native, f"value or gradient {self.of[0]} is {type(x).__qualname__}, which is none of its arrays"
        return _host(x)

    def differentiated(self, inputs: Inputs) -> tuple[np.ndarray, Inputs]:
        """The value, and the gradients by name."""
        by = _has_gradients(self.spec, self.backend)
        if not by:
            return self.own(self.loss(**inputs, **self.more)), {}
        value, gradients = self.loss.value_and_grad(**inputs, **self.more, wrt=by)
        return self.own(value), dict(zip(by, map(self.own, gradients), strict=True))

    def gradient_by(self, name: str) -> str:
        """How messages call it."""
        return f"gradient by {name}" if len(self.gradients) > 1 else "gradient"

    def values(self, inputs: Inputs, keep: np.ndarray | None) -> tuple[np.ndarray, Any]:
        """The right value of each sample, and how many it counts for in a mean."""
        definition, xp = self.spec.definition, dispatch.backend("numpy").xp
        options = self.spec.kwargs | ({"keep": keep} if definition.takes_keep else {})
        axis = {"axis": self.spec.axis}
        cast = {name: x if self.how.is_label(name) else x.astype(np.float64) for name, x in inputs.items()}
        arrays = definition.arrange(xp, [cast.get(name) for name in definition.inputs], self.spec.kwargs)
        with np.errstate(all="ignore"):
            values = definition.value(xp, *arrays, **options, **(axis if definition.takes_axis else {}))
            values, counts = values if isinstance(values, tuple) else (values, 1.0)
            if definition.counts is not None:
                counts = definition.counts(xp, *arrays, **options, **axis)
        if self.reference is not None:
            values = self.reference(*inputs.values(), **options, **(axis if definition.axis is not None else {}))
        elif definition.kind == "elementwise":
            values = np.mean(values, axis=self.spec.axis)
        return np.asarray(values, np.float64), counts

    def weighted(self, inputs: Inputs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The truth of each sample times its weight; the weight; how many it counts for."""
        keep, ignored = self.keep, self.spec.kwargs.get("ignore_index")
        if ignored is not None:
            counted = next(x for name, x in inputs.items() if self.how.has_range(name)) != ignored
            keep = counted if keep is None else keep & counted
        values, counts = self.values(inputs, keep)
        if keep is None or self.spec.definition.whole_batch:  # which leaves out itself what is masked
            keep = np.ones(values.shape, bool)
        weight = np.ones(()) if self.case.sample_weight is None else self.case.sample_weight
        weight = spread_host(weight, values.shape)
        return np.where(keep, weight * values, 0.0), weight, keep * counts

    def reduced(self, inputs: Inputs) -> np.ndarray:
        """The value that the loss must give."""
        weighted, weight, counts = self.weighted(inputs)
        if self.spec.reduction == "none":
            return weighted
        by = {
            "sum": 1,
            "mean": counts.sum(),
            "weighted_mean": (weight * counts).sum(),
            "batchmean": weighted.shape[0] if weighted.ndim else 1,
        }[self.spec.reduction]
        return weighted.sum() / by if by else np.zeros(())

    def differences(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Central differences of the sum of `reduced`, extrapolated once; and where the formula has a kink."""
        x, here = self.exact[name], self.wanted.sum()
        gradient, kinks = np.zeros(x.shape), np.zeros(x.shape, bool)
        if self.spec.definition.holds_constant:  # NumPy's own, where differences of values are not what is meant
            loss = make(dataclasses.replace(self.spec, validate=False), "numpy")
            return np.asarray(loss.value_and_grad(**self.exact, **self.more, wrt=name)[1]), kinks
        for index in np.ndindex(x.shape):
            ends = []
            for step in (1e-4, -1e-4, 5e-5, -5e-5):
                moved = x.copy()
                moved[index] += step
                ends.append(self.reduced(self.exact | {name: moved}).sum() - here)
            gradient[index] = (4 * (ends[2] - ends[3]) - (ends[0] - ends[1]) / 2) / 3e-4
            kinks[index] = _is_kink(ends, 1e-9 * abs(here))
        return gradient, kinks

    def assert_close(self, what: str, got: Any) -> None:
        """AssertionError where it is another shape than wanted, or further from it than rounding."""
        got, (on, case) = _host(got), self.of
        assert got.shape == self.wanted.shape, f"{what} {on}: shape {got.shape}, wanted {self.wanted.shape}, {case}"
        near = np.abs(got - self.wanted) <= TOLERANCE * max(self.scale, 1.0)
        assert np.all(near), f"{what} {on}: {got}, wanted {self.wanted}, {case}"


def _is_kink(ends: Sequence[float], noise: float) -> bool:
    """Whether differences cannot tell the derivative here. Either one-sided differences disagree, and not by a
    curvature: then any number between them is a subgradient. Or they disagree with those over half the step: then the
    formula bends or jumps within a step, as a direction does beside the zero vector."""
    up, down, near_up, near_down = ends
    size, curvature = abs(up) + abs(down), abs(up + down)
    bend = abs(up - down - 2 * (near_up - near_down))
    parabola = abs(up + down - 4 * (near_up + near_down)) <= 2e-3 * curvature + noise
    return (curvature > 0.05 * size + noise and not parabola) or bend > 0.02 * size + noise


def _differentiated(spec: Spec) -> tuple[str, ...]:
    """The inputs whose gradients are compared with differences: all real ones, except targets of (y_true, y_pred)."""
    definition = spec.definition
    drawn = (name for name in definition.inputs if name not in definition.optional)
    return tuple(x for x in drawn if not definition.is_integer(x)) if definition.kind == "of_inputs" else ("y_pred",)


def _has_gradients(spec: Spec, backend: str) -> tuple[str, ...]:
    """Those of them whose gradients the backend has: only closed forms, if its framework does not differentiate."""
    closed_only = not getattr(dispatch.backend(backend), "differentiates", True)
    return tuple(x for x in _differentiated(spec) if not closed_only or x in spec.definition.gradients)


def _given(spec: Spec, inputs: Inputs, dtype: Any = np.float32) -> Inputs:
    """The inputs of a call: in that dtype where gradients are compared, the others as they were drawn."""
    return {name: x.astype(dtype) if name in _differentiated(spec) else x for name, x in inputs.items()}


def _values(trial: _Trial) -> None:
    """Values agree with the formula in float64, for all shapes, axes, reductions, weights and masks."""
    trial.assert_close("value", trial.value)
    trial.assert_close("value of the call", trial.called)


def _gradients(trial: _Trial) -> None:
    """Gradients agree with finite differences of the formula; compiled ones, too."""
    on, case = trial.of
    for name, gradient in trial.gradients.items():
        smooth, kinks = trial.differences(name)
        coarse = np.abs(smooth) * 50 + trial.scale  # differences of differences: they round at 1e-10 of the values
        ok = np.abs(gradient - smooth) <= TOLERANCE * np.maximum(coarse, 1.0)
        # At a kink any finite number will do.
        assert np.all(ok | (kinks & np.isfinite(gradient))), (
            f"{trial.gradient_by(name)} {on}: {gradient}, differences {smooth}, {case}"
        )


def _masked_is_gone(trial: _Trial) -> None:
    """A masked sample adds nothing to value and gradient, even where it holds nan or infinity."""
    if trial.keep is None or trial.keep.all():
        return
    dirty, gone = dict(trial.inputs), {name: np.zeros(x.shape, bool) for name, x in trial.inputs.items()}
    for name, x in trial.inputs.items():
        if trial.how.has_samples(name) and x.dtype.kind == "f":
            gone[name] = ~np.broadcast_to(trial.how.over(trial.keep, name, x.ndim), x.shape)
            dirty[name] = np.where(gone[name], np.resize([np.nan, np.inf, -np.inf], x.shape), x).astype(x.dtype)
    called = _host(trial.loss(*dirty.values(), **trial.more))
    (value, gradients), (on, case) = trial.differentiated(dirty), trial.of
    same = np.array_equal(value, trial.value) and np.array_equal(called, trial.called)
    assert same, f"a masked nan reaches the value {on}: {value}, of the call {called}, {case}"
    for name, gradient in gradients.items():
        assert np.array_equal(gradient, trial.gradients[name]) and not gradient[gone[name]].any(), (
            f"a masked nan reaches the {trial.gradient_by(name)} {on}: {gradient}, {case}"
        )


def _symmetric(trial: _Trial) -> None:
    """Of a loss that is declared symmetric: swapped arguments give the same value."""
    if trial.spec.definition.symmetric:
        swapped = dict(zip(trial.inputs, reversed(trial.inputs.values()), strict=True))
        trial.assert_close("symmetry", trial.loss(**swapped, **trial.more))


def _half_precision(backend: str, spec: Spec) -> None:
    """Half precision is computed in float32 (one example)."""
    if not getattr(dispatch.backend(backend), "has_half", True):
        return
    inputs = _given(spec, draw_inputs(spec, np.random.default_rng(0)), np.float16)
    value, gradient = make(spec, backend).value_and_grad(**inputs)
    assert "float32" in str(value.dtype), f"float16 gives {value.dtype} on {backend}; losses are computed in float32"
    assert "float16" in str(gradient.dtype), f"the gradient of float16 is {gradient.dtype} on {backend}"


def _nothing_left(backend: str, spec: Spec) -> None:
    """Where no sample is left, value and gradient are 0 (one example)."""
    loss, inputs = make(spec, backend), _given(spec, draw_inputs(spec, np.random.default_rng(0)))
    how = layout_of(spec, inputs)
    nothing = {name: x[:0] if how.has_samples(name) else x for name, x in inputs.items()}
    for what, call in (("all masked", inputs | {"mask": np.zeros(how.samples, bool)}), ("an empty batch", nothing)):
        by = _has_gradients(spec, backend)
        found = [_host(loss(**call)), *map(_host, loss.value_and_grad(**call, wrt=by)[1] if by else ())]
        assert not any(x.any() for x in found), f"{what} on {backend}: value and gradients are {found}"


OF_A_CASE = (_values, _gradients, _masked_is_gone, _symmetric)
"""Properties of every call that is drawn; below, of a loss."""
OF_A_LOSS = (_half_precision, _nothing_left)


def checked() -> list[str]:
    """What `check` checks, in sentences."""
    return [" ".join((holds.__doc__ or "").split()) for holds in (*OF_A_CASE, *OF_A_LOSS)]


def _host(x: Any) -> np.ndarray:
    """The values of any framework's array, in float64."""
    return np.asarray(dispatch.to_host(x)).astype(np.float64)

"""`check`: one loss held to the properties that every loss here has, on every backend asked for."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import given

from multiloss import checks, dispatch, registry
from multiloss.call import spread_host
from multiloss.layout import sample_shape
from multiloss.loss import Spec, get, make_spec
from multiloss.testing import general
from multiloss.testing.strategies import Case, cases, domain_of
from multiloss.testing.tools import TOLERANCE, close, host, quiet

Reference = Callable[..., Any]


def check(
    name: str,
    *,
    backends: Sequence[str] | None = None,
    reference: Reference | None = None,
    examples: int = 25,
    **options: Any,
) -> None:
    """Hold a loss to the library's property tests.

    * values, for all shapes, axes, reductions, weights and masks, agree with the reference in float64;
    * the gradient is the finite difference of the reference, also the compiled one;
    * a masked sample adds nothing to the value and exactly 0 to the gradient, even where it holds nan;
    * nothing left gives 0; half precision is computed in float32; a loss declared symmetric is.

    Args:
        name: of a loss known to `multiloss.get`.
        backends: names; default: all that are installed. One that is not is an error.
        reference: `reference(y_true, y_pred, axis=axis, **options)`, float64 values per sample, written without the
            definition; default: the definition itself on NumPy in float64.
        examples: how many cases Hypothesis draws for each backend.
        options: of the loss.

    Raises:
        AssertionError: which property fails, on which backend, for which case.

    Example:
        >>> import multiloss.testing
        >>> multiloss.testing.check("mean_squared_error", backends=["numpy"], examples=5)
    """
    if name in registry.CENTER:
        raise ValueError(f"{name} loss holds state and is no loss of predictions; its tests are the library's own")
    definition = registry.find(name)
    spec = make_spec(name, options)
    if backends is None:
        backends = [backend for backend, installed in dispatch.list_backends().items() if installed]
    truth = _Truth(spec, reference)
    for backend in backends:
        dispatch.backend(backend)
        if definition.kind == "of_inputs":
            general.run(backend, spec, examples)
            continue
        _run(backend, definition.name, spec, truth, examples)


@dataclasses.dataclass(frozen=True)
class _Truth:
    """Float64 values per sample: the reference given, or the definition on NumPy."""

    spec: Spec
    reference: Reference | None

    def values(self, case: Case, y_pred: np.ndarray) -> np.ndarray:
        if self.reference is not None:
            return np.asarray(self.reference(case.y_true, y_pred, axis=case.axis, **self.spec.kwargs), np.float64)
        loss = get(self.spec.name, "numpy", axis=case.axis, reduction="none", validate=False, **self.spec.kwargs)
        return np.asarray(loss(case.y_true, y_pred))

    def counts(self, case: Case, y_pred: np.ndarray) -> Any:
        """How many each value counts for in a mean."""
        counts = self.spec.definition.counts
        if counts is None:
            return 1.0
        return counts(dispatch.backend("numpy").xp, case.y_true, y_pred, **self.spec.kwargs, axis=case.axis)

    def reduced(self, case: Case, y_pred: np.ndarray) -> np.ndarray:
        """The rules of weights, masks and reductions, written out."""
        values = self.values(case, y_pred)
        weight, keep = (
            spread_host(x, values.shape)
            for x in (
                np.ones(()) if case.sample_weight is None else case.sample_weight,
                np.ones((), bool) if case.mask is None else case.mask,
            )
        )
        weighted = np.where(keep, weight * values, 0.0)
        if case.reduction == "none":
            return weighted
        counts = keep * self.counts(case, y_pred)
        by = {
            "sum": 1,
            "mean": counts.sum(),
            "weighted_mean": (weight * counts).sum(),
            "batchmean": values.shape[0] if values.ndim else 1,
        }[case.reduction]
        return weighted.sum() / by if by else np.zeros(())

    def gradient(self, case: Case) -> np.ndarray:
        """Central differences of the sum of what `reduced` gives, extrapolated once."""
        flat = case.y_pred.astype(np.float64)
        gradient = np.zeros(flat.shape)
        for index in np.ndindex(flat.shape):
            slopes = []
            for step in (1e-4, 5e-5):
                up, down = flat.copy(), flat.copy()
                up[index] += step
                down[index] -= step
                slopes.append((self.reduced(case, up).sum() - self.reduced(case, down).sum()) / (2 * step))
            gradient[index] = (4 * slopes[1] - slopes[0]) / 3
        return gradient


def _run(backend: str, name: str, spec: Spec, truth: _Truth, examples: int) -> None:

    @quiet(examples)
    @given(cases(spec))
    def agree(case: Case) -> None:
        _agrees(backend, spec, truth, case)

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*absolute value.*")
        agree()
        _half_precision(backend, spec)
        _nothing_left(backend, spec)


def _make(backend: str, spec: Spec, case: Case) -> Any:
    return get(spec.name, backend, axis=case.axis, reduction=case.reduction, **spec.kwargs)


def _agrees(backend: str, spec: Spec, truth: _Truth, case: Case) -> None:
    loss = _make(backend, spec, case)
    pred = case.y_pred.astype(np.float32)
    arguments = {"sample_weight": case.sample_weight, "mask": case.mask}
    wanted = truth.reduced(case, case.y_pred)
    scale = float(np.abs(truth.values(case, case.y_pred)).sum()) * (
        1.0 if case.sample_weight is None else max(float(case.sample_weight.max(initial=0)), 1.0)
    )
    value, gradient = loss.value_and_grad(case.y_true, pred, **arguments)
    close("value", backend, host(value), wanted, scale, case)
    close("value of the call", backend, host(loss(case.y_true, pred, **arguments)), wanted, scale, case)
    smooth = truth.gradient(case)
    coarse = np.abs(smooth) * 50 + scale  # differences of differences: their own rounding is 1e-10 of the values
    ok = np.abs(host(gradient) - smooth) <= TOLERANCE * np.maximum(coarse, 1.0)
    # Any number will do at a kink, but a number.
    kinks = _kink(truth, case) & np.isfinite(host(gradient))
    assert np.all(ok | kinks), f"gradient on {backend}: {gradient}, differences {smooth}, for {case}"
    if case.mask is not None and case.mask.size and not case.mask.all():
        _masked_is_gone(backend, loss, case, pred, host(value), host(gradient))
    if spec.definition.symmetric:
        swapped = loss(pred, case.y_true, **arguments)
        close("symmetry", backend, host(swapped), wanted, scale, case)


def _kink(truth: _Truth, case: Case) -> np.ndarray:
    """Where one-sided differences disagree the formula has no derivative, and any number between them is one; where
    those of half the step do, it bends or jumps within a step, as a direction beside the zero vector does."""
    here = truth.reduced(case, case.y_pred).sum()
    kinks = np.zeros(case.y_pred.shape, bool)
    for index in np.ndindex(case.y_pred.shape):
        sides = []
        for step in (1e-4, 5e-5):
            up, down = case.y_pred.astype(np.float64), case.y_pred.astype(np.float64)
            up[index] += step
            down[index] -= step
            sides.append((truth.reduced(case, up).sum() - here, here - truth.reduced(case, down).sum()))
        (right, left), (near_right, near_left) = sides
        size, noise = abs(right) + abs(left), 1e-9 * abs(here)
        bend = abs(right + left - 2 * (near_right + near_left))
        kinks[index] = abs(right - left) > 0.05 * size + noise or bend > 0.02 * size + noise
    return kinks


def _masked_is_gone(
    backend: str, loss: Any, case: Case, pred: np.ndarray, value: np.ndarray, gradient: np.ndarray
) -> None:
    assert case.mask is not None
    keep = spread_host(case.mask, sample_shape(pred.shape, case.axis))
    axes = tuple(range(pred.ndim)) if case.axis is None else case.axis
    spread = np.broadcast_to(keep if axes == () else np.expand_dims(keep, axes), pred.shape)
    dirty = np.where(spread, pred, np.float32("nan"))
    again, slope = loss.value_and_grad(case.y_true, dirty, sample_weight=case.sample_weight, mask=case.mask)
    assert np.array_equal(host(again), value), f"a masked nan reaches the value on {backend}: {again}, for {case}"
    assert np.array_equal(host(slope), gradient) and not host(slope)[~spread].any(), (
        f"a masked nan reaches the gradient on {backend}: {slope}, for {case}"
    )


def _plain(spec: Spec, samples: int) -> tuple[np.ndarray, np.ndarray]:
    true, pred = (np.full((samples, 2), _some(domain_of(spec, name)), np.float32) for name in ("y_true", "y_pred"))
    if spec.definition.integer_targets:
        true = np.zeros(samples if spec.definition.has_labels else true.shape, np.int64)
    return true, pred


def _some(domain: checks.Domain | None) -> float:
    """A number that the domain has."""
    if domain is None:
        return 0.5
    return domain.values[-1] if domain.values else min(0.5, domain.high)


def _half_precision(backend: str, spec: Spec) -> None:
    y_true, y_pred = _plain(spec, 3)
    value, gradient = get(spec.name, backend, **spec.kwargs).value_and_grad(y_true, y_pred.astype(np.float16))
    assert "float32" in str(value.dtype), f"float16 gives {value.dtype} on {backend}; losses are computed in float32"
    assert "float16" in str(gradient.dtype), f"the gradient of float16 is {gradient.dtype} on {backend}"


def _nothing_left(backend: str, spec: Spec) -> None:
    loss = get(spec.name, backend, **spec.kwargs)
    y_true, y_pred = _plain(spec, 3)
    value, gradient = loss.value_and_grad(y_true, y_pred, mask=np.zeros(3, bool))
    assert host(value) == 0 and not host(gradient).any(), f"all masked on {backend} gives {value}, {gradient}"
    value = loss(*_plain(spec, 0))
    assert host(value) == 0, f"an empty batch on {backend} gives {value}"

"""Everything around a definition, once: dtypes, values, weights and mask, reduction; the same for the gradient.

All of it is pure and can be traced; what came was converted and checked before (`inputs`). `be` is an adapter, `xp` its
namespace.
"""

from __future__ import annotations

import dataclasses
from typing import Any

Array = Any


@dataclasses.dataclass(frozen=True)
class Samples:
    """The inputs as the definition takes them, and one pair (weight, keep) per sample; None: all 1, all True."""

    y_true: Array
    y_pred: Array
    weight: Array | None
    keep: Array | None
    invalid: Array | None
    """Where a label that could not be read on the host is out of range: the sample's value becomes nan."""


def sample_shape(shape: Any, axis: Any) -> tuple[Any, ...]:
    """The shape of the per-sample values: `shape` without `axis`."""
    if axis is None:
        return ()
    gone = {item % len(shape) for item in (axis if isinstance(axis, tuple) else (axis,))}
    return tuple(n for i, n in enumerate(shape) if i not in gone)


def _axes(axis: Any, rank: int) -> list[int]:
    return sorted(item % rank for item in (axis if isinstance(axis, tuple) else (axis,))) if axis is not None else []


def expand(x: Array, axis: Any, rank: int) -> Array:
    """A per-sample array with the consumed axes back, of length 1."""
    if axis is None:
        return x[(None,) * rank] if rank else x
    index: list[Any] = [slice(None)] * (rank - len(_axes(axis, rank)))
    for item in _axes(axis, rank):
        index.insert(item, None)
    return x[tuple(index)] if index else x


def trailing(x: Array, have: int, want: int) -> Array:
    """Axes of length 1 added at the end: weights are broadcast from the left, batch first."""
    return x[(...,) + (None,) * (want - have)] if want > have else x


def _by_sample(be: Any, x: Array, y_pred: Array, axis: Any) -> Array:
    """Weights or a mask, with as many axes as there are per-sample values."""
    return trailing(x, len(be.shape(x)), len(sample_shape(be.shape(y_pred), axis)))


def prepare(be: Any, spec: Any, y_true: Array, y_pred: Array, sample_weight: Any, mask: Any, trusted: bool) -> Samples:
    """Compute dtypes, and `mask`, `ignore_index`, `sample_weight`, `class_weight` as one pair (weight, keep)."""
    xp, options, axis = be.xp, spec.kwargs, spec.axis
    y_pred = be.compute(y_pred)
    rank = len(be.shape(y_pred))
    keep = weight = invalid = None
    if mask is not None:
        keep = _by_sample(be, mask, y_pred, axis)
    if sample_weight is not None:
        weight = _by_sample(be, be.cast_like(sample_weight, y_pred), y_pred, axis)
    if spec.definition.has_labels:
        y_true = be.labels(y_true)
        if options.get("ignore_index") is not None:
            counted = y_true != options["ignore_index"]
            keep = counted if keep is None else counted & keep
        if not trusted:
            invalid = (y_true < 0) | (y_true >= xp.class_count(y_pred, axis))
            invalid = invalid if keep is None else invalid & keep
            y_true = xp.where(invalid, xp.zeros_like(y_true), y_true)
        if keep is not None:
            y_true = xp.where(keep, y_true, xp.zeros_like(y_true))
    else:
        y_true = be.cast_like(y_true, y_pred)
    if options.get("class_weight") is not None:
        by_class = be.cast_like(be.asarray(options["class_weight"], y_pred, "class_weight"), y_pred)
        if spec.definition.has_labels:
            of_class = xp.gather(by_class, y_true)
        else:
            table = by_class[tuple(slice(None) if i == axis % rank else None for i in range(rank))]
            of_class = xp.sum(y_true * table, axis=axis)
        weight = of_class if weight is None else weight * of_class
    if keep is not None:
        # What is masked is replaced before any formula sees it: nan there reaches neither value nor gradient.
        spread = expand(keep, axis, rank)
        y_pred = xp.where(spread, y_pred, xp.full_like(y_pred, 0.5))
        if not spec.definition.has_labels:
            y_true = xp.where(spread, y_true, xp.full_like(y_true, 0.5))
        weight = None if weight is None else xp.where(keep, weight, xp.zeros_like(weight))
    return Samples(y_true, y_pred, weight, keep, invalid)


def per_sample(be: Any, spec: Any, s: Samples, xp: Any) -> Array:
    """One value per sample, unweighted."""
    definition, axis, options = spec.definition, spec.axis, spec.kwargs
    own = getattr(be, "own_values", None)
    values = None if own is None else own(spec, s.y_true, s.y_pred)
    if values is not None:
        pass
    elif definition.kind == "elementwise":
        options = {**options, "axis": axis} if definition.takes_axis else options
        values = _differentiable(be, xp, definition, options, s.y_true, s.y_pred, ())
        values = values if axis == () else xp.sum(values, axis=axis) / xp.length(values, axis)
    else:
        # What reads the whole batch (`keras.hinge`) leaves out itself what is masked, and has no closed form.
        more = {"axis": axis, **({"keep": s.keep} if definition.takes_keep else {})}
        values = _differentiable(be, xp, definition, {**options, **more}, s.y_true, s.y_pred, axis)
    # `where` against a constant, not a product with nan, which would make every gradient nan.
    return values if s.invalid is None else xp.where(s.invalid, xp.full_like(values, float("nan")), values)


def _differentiable(be: Any, xp: Any, definition: Any, options: Any, y_true: Array, y_pred: Array, axis: Any) -> Array:
    def value(t: Array, p: Array) -> Array:
        return definition.value(xp, t, p, **options)

    if definition.grad is None or not be.is_native(y_true):  # compared with a whole table: by autodiff
        return value(y_true, y_pred)

    def gradient(t: Array, p: Array) -> Array:
        return definition.grad(xp, t, p, **options)

    return be.closed_form(value, gradient, y_true, y_pred, axis)


def _weighted(xp: Any, s: Samples, values: Array) -> Array:
    weighted = values if s.weight is None else values * s.weight
    return weighted if s.keep is None else xp.where(s.keep, weighted, xp.zeros_like(weighted))


def _denominator(be: Any, spec: Any, s: Samples, values: Array) -> Any:
    """What the sum of weighted values is divided by; 1 where nothing is left, so that the result is 0."""
    xp, reduction = be.xp, spec.reduction
    if reduction in ("sum", "none"):
        return None
    if reduction == "batchmean":
        return xp.length(values, 0) if len(be.shape(values)) else None
    counts = spec.definition.counts
    if counts is not None:
        counts = counts(xp, s.y_true, s.y_pred, **spec.kwargs, axis=spec.axis)
    if reduction == "weighted_mean" and s.weight is not None:
        amounts = s.weight + xp.zeros_like(values)
        amounts = amounts if counts is None else amounts * counts
    elif s.keep is None and counts is None:
        return xp.length(values, None)
    else:
        amounts = xp.ones_like(values) if counts is None else counts
    amounts = amounts if s.keep is None else xp.where(s.keep, amounts, xp.zeros_like(amounts))
    total = xp.sum(amounts)
    return xp.where(xp.any(amounts != 0), total, xp.ones_like(total))


def reduce(be: Any, spec: Any, s: Samples, values: Array) -> Array:
    """The weighted values, reduced."""
    xp = be.xp
    weighted = _weighted(xp, s, values)
    if spec.reduction == "none":
        return weighted
    total = xp.sum(weighted)
    by = _denominator(be, spec, s, values)
    return total if by is None else total / by


def evaluate(
    be: Any,
    spec: Any,
    y_true: Array,
    y_pred: Array,
    sample_weight: Any = None,
    mask: Any = None,
    *,
    trusted: bool = False,
) -> Array:
    """The loss of (y_true, y_pred). Pure, traceable."""
    return value_of(be, spec, prepare(be, spec, y_true, y_pred, sample_weight, mask, trusted))


def of_rows(
    be: Any, spec: Any, rows: Array, features: Array, sample_weight: Any, mask: Any, invalid: Array | None
) -> Samples:
    """Features against gathered centers; the value is nan where the label of a row is `invalid`."""
    samples = prepare(be, spec, rows, features, sample_weight, mask, True)
    return samples if invalid is None else dataclasses.replace(samples, invalid=invalid)


def value_of(be: Any, spec: Any, s: Samples) -> Array:
    """The loss of what `prepare` or `of_rows` made."""
    own = getattr(be, "own_value", None)
    if own is not None and s.weight is None and s.keep is None and s.invalid is None:
        value = own(spec, s.y_true, s.y_pred)
        if value is not None:
            return value
    return reduce(be, spec, s, per_sample(be, spec, s, be.xp))


def value_and_gradient(
    be: Any,
    spec: Any,
    y_true: Array,
    y_pred: Array,
    sample_weight: Any = None,
    mask: Any = None,
    *,
    trusted: bool = False,
) -> tuple[Array, Array]:
    """The loss and its gradient by the closed form (of the sum for `reduction="none"`)."""
    return value_and_gradient_of(be, spec, prepare(be, spec, y_true, y_pred, sample_weight, mask, trusted))


def value_and_gradient_of(be: Any, spec: Any, s: Samples) -> tuple[Array, Array]:
    """The same of what `prepare` or `of_rows` made."""
    xp, axis = be.xp, spec.axis
    values, gradient = values_and_derivative(be, spec, s)
    rank = len(be.shape(s.y_pred))
    # What multiplies each sample's value in the reduction multiplies its gradient.
    if s.weight is not None or s.keep is not None:
        gradient = gradient * expand(_weighted(xp, s, xp.ones_like(values)), axis, rank)
    # What divides is one factor, rounded as automatic differentiation rounds it.
    by = _denominator(be, spec, s, values)
    scale = None if by is None else 1 / by
    if spec.definition.kind == "elementwise" and axis != ():
        scale = (1 if scale is None else scale) / xp.length(s.y_pred, axis)
    gradient = gradient if scale is None else gradient * scale
    return reduce(be, spec, s, values), _counted(be, spec, s, gradient)


def values_and_derivative(be: Any, spec: Any, s: Samples) -> tuple[Array, Array]:
    """One value per sample, and its derivative by each element; what both need is computed once."""
    xp = be.xp.sharing()
    # The derivative first: what both share is then recorded where a second derivative is asked for; in `closed_form`,
    # under `per_sample`, it might not be.
    gradient = derivative(spec, s, xp)
    return per_sample(be, spec, s, xp), gradient


def _counted(be: Any, spec: Any, s: Samples, gradient: Array) -> Array:
    """Exactly 0 where the sample is masked, or its value the constant nan."""
    xp, rank = be.xp, len(be.shape(s.y_pred))
    for counts in (s.keep, None if s.invalid is None else ~s.invalid):
        if counts is not None:
            gradient = xp.where(expand(counts, spec.axis, rank), gradient, xp.zeros_like(gradient))
    return gradient


def derivative(spec: Any, s: Samples, xp: Any, second: bool = False) -> Array:
    """The closed-form derivative of each value with respect to each element, unreduced."""
    definition = spec.definition
    function = definition.hess if second else definition.grad
    options = {**spec.kwargs, "axis": spec.axis} if definition.takes_axis else spec.kwargs
    return function(xp, s.y_true, s.y_pred, **options)


def grad_and_hess(be: Any, spec: Any, y_true: Array, y_pred: Array, trusted: bool = False) -> tuple[Array, Array]:
    """First and second derivative per element, unreduced; where a label is ignored, 0."""
    s = prepare(be, spec, y_true, y_pred, None, None, trusted)
    xp = be.xp.sharing()
    pair = tuple(_counted(be, spec, s, derivative(spec, s, xp, second)) for second in (False, True))
    if s.weight is not None:
        pair = tuple(x * expand(s.weight, spec.axis, len(be.shape(y_pred))) for x in pair)
    return pair[0], pair[1]


def require_derivatives(spec: Any) -> None:
    """Refuse `grad_and_hess` of a loss that has no closed forms."""
    if spec.definition.grad is None or spec.definition.hess is None:
        raise NotImplementedError(f"{spec.name} has no closed-form first and second derivative per element")

"""Everything around a definition, once: dtypes, values, weights and mask, reduction; the same for the gradient.

All of it is pure and can be traced; what came was converted and checked before (`inputs`). `be` is an adapter, `xp` its
namespace.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from multiloss import checks
from multiloss.options import KERAS_WEIGHTED

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
    lowest: float | None = None
    """A value below it is that of no probability, and becomes nan with its gradient; None: any value may be."""
    one_for_all: bool = False
    """Whether `sample_weight` came without axes."""


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


def lowest(spec: Any, dtype: Any) -> float | None:
    """The lowest value that the loss has for probabilities of that dtype, off by rounding; None: any may be."""
    undershoot = spec.definition.undershoot
    most = None if undershoot is None or spec.validate is False else undershoot(spec.kwargs)
    return None if most is None else -most * checks.rounding(dtype)


def prepare(be: Any, spec: Any, y_true: Array, y_pred: Array, sample_weight: Any, mask: Any, trusted: bool) -> Samples:
    """Compute dtypes, and `mask`, `ignore_index`, `sample_weight`, `class_weight` as one pair (weight, keep)."""
    xp, options, axis = be.xp, spec.kwargs, spec.axis
    low = lowest(spec, y_pred.dtype)
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
    one_for_all = sample_weight is not None and not len(be.shape(sample_weight))
    return Samples(y_true, y_pred, weight, keep, invalid, low, one_for_all)


def per_sample(be: Any, spec: Any, s: Samples, xp: Any) -> Array:
    """One value per sample, unweighted."""
    values = _values(be, spec, s, xp)
    factor = _range_factor(spec, s, xp, values)
    return _of_samples(spec, s, xp, values if factor is None else values * factor)


def _values(be: Any, spec: Any, s: Samples, xp: Any) -> Array:
    """What the definition gives: one value per element of an elementwise loss, else per sample."""
    definition, axis, options = spec.definition, spec.axis, spec.kwargs
    own = getattr(be, "own_values", None)
    values = None if own is None else own(spec, s.y_true, s.y_pred)
    if values is not None:
        return values
    if definition.kind == "elementwise":
        options = {**options, "axis": axis} if definition.takes_axis else options
        return _differentiable(be, spec, xp, s, options, ())
    # What reads the whole batch (`keras.hinge`) leaves out itself what is masked, and has no closed form.
    more = {"axis": axis, **({"keep": s.keep} if definition.takes_keep else {})}
    return _differentiable(be, spec, xp, s, {**options, **more}, axis)


def _range_factor(spec: Any, s: Samples, xp: Any, values: Array) -> Array | None:
    """What multiplies each value, and each of its derivatives: 1, and nan in samples that have a value below the loss's
    range; None: all are 1."""
    factor = None if s.lowest is None else xp.nan_below(values, s.lowest)
    if factor is None or spec.definition.kind != "elementwise" or spec.axis == ():
        return factor
    return expand(1 + xp.sum(factor - 1, axis=spec.axis), spec.axis, len(factor.shape))


def _of_samples(spec: Any, s: Samples, xp: Any, values: Array) -> Array:
    """One value per sample, of what the definition gave."""
    if spec.definition.kind == "elementwise" and spec.axis != ():
        values = xp.sum(values, axis=spec.axis) / xp.length(values, spec.axis)
    # `where` against a constant, not a product with nan, which would make every gradient nan.
    return values if s.invalid is None else xp.where(s.invalid, xp.full_like(values, float("nan")), values)


def _differentiable(be: Any, spec: Any, xp: Any, s: Samples, options: Any, axis: Any) -> Array:
    definition = spec.definition

    def value(t: Array, p: Array) -> Array:
        return definition.value(xp, t, p, **options)

    if definition.grad is None or not be.is_native(s.y_true):  # compared with a whole table: by autodiff
        return value(s.y_true, s.y_pred)

    def gradient(t: Array, p: Array, *weights: Array) -> Array:
        found = definition.grad(xp, t, p, **options)
        for weight in weights:  # a derivative that left the range, times a weight of 0, would be nan
            nothing = expand(weight == 0, spec.axis, len(be.shape(p)))
            found = xp.where(nothing & xp.isinf(found), xp.zeros_like(found), found)
        return found

    weights = () if s.weight is None else (s.weight,)
    return be.closed_form(value, gradient, s.y_true, s.y_pred, axis, *weights)


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
    if reduction == KERAS_WEIGHTED and not (s.weight is None and s.keep is None):
        amounts = be.cast_like(s.keep, values) if s.weight is None else s.weight
        return as_keras_divides(be, values, amounts if counts is None else amounts * counts, s.one_for_all)
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


def as_keras_divides(be: Any, values: Array, amounts: Array, one_for_all: bool) -> Any:
    """What `mean_with_sample_weight` divides by: the sum of the weights as they came, not one for each value.

    A single value is not divided, and neither is that of a batch of one under a weight without axes, which Keras takes
    for the same. A sum of 0 gives 0.
    """
    xp, rank = be.xp, len(be.shape(values))
    if not rank:
        return None
    total = xp.sum(amounts)
    total = xp.where(total == 0, xp.full_like(total, float("inf")), total)
    if one_for_all and rank == 1:
        length = xp.length(values, 0)
        if be.is_native(length):
            return xp.where(length == 1, xp.ones_like(total), total)
        return None if length == 1 else total
    return total


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
        # By `times`: a derivative that left the range, times a weight of 0, would be nan where the value is 0.
        gradient = xp.times(expand(_weighted(xp, s, xp.ones_like(values)), axis, rank), gradient)
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
    values = _values(be, spec, s, xp)
    factor = _range_factor(spec, s, xp, values)
    if factor is not None:
        values, gradient = values * factor, gradient * _by_element(spec, factor, len(be.shape(s.y_pred)))
    return _of_samples(spec, s, xp, values), gradient


def _by_element(spec: Any, x: Array, rank: int) -> Array:
    """What there is one of for each value, as a factor for each element."""
    return x if spec.definition.kind == "elementwise" else expand(x, spec.axis, rank)


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
    found = [derivative(spec, s, xp, second) for second in (False, True)]
    if s.lowest is not None:
        factor = _range_factor(spec, s, xp, _values(be, spec, s, xp))
        found = found if factor is None else [x * _by_element(spec, factor, len(be.shape(s.y_pred))) for x in found]
    pair = tuple(_counted(be, spec, s, x) for x in found)
    if s.weight is not None:
        pair = tuple(x * expand(s.weight, spec.axis, len(be.shape(y_pred))) for x in pair)
    return pair[0], pair[1]


def require_derivatives(spec: Any) -> None:
    """Refuse `grad_and_hess` of a loss that has no closed forms."""
    if spec.definition.grad is None or spec.definition.hess is None:
        raise NotImplementedError(f"{spec.name} has no closed-form first and second derivative per element")

"""Everything around a definition, once: checks, dtypes, values, weights and mask, reduction; the same for the gradient.

`check` looks at what came (and reads values, where they can be read); `evaluate` and `value_and_gradient` are pure and
can be traced. `be` is an adapter, `xp` its namespace.
"""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import numpy as np

from multiloss import checks

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


def convert(be: Any, y_true: Any, y_pred: Any, sample_weight: Any, mask: Any) -> tuple[Array, ...]:
    """All arguments as native arrays, on the device of `y_pred`."""
    like = y_pred if be.is_native(y_pred) else y_true if be.is_native(y_true) else None
    y_pred = be.asarray(y_pred, like, "y_pred")
    return (
        be.asarray(y_true, y_pred, "y_true"),
        y_pred,
        None if sample_weight is None else be.asarray(sample_weight, y_pred, "sample_weight"),
        None if mask is None else be.asarray(mask, y_pred, "mask"),
    )


def check(
    be: Any, spec: Any, y_true: Array, y_pred: Array, sample_weight: Array | None, mask: Array | None, *, first: bool
) -> bool:
    """Refuse what cannot be computed. Whether the labels are known to be in range comes back (True: trusted)."""
    definition, axis = spec.definition, spec.axis
    true_shape, pred_shape = be.shape(y_true), be.shape(y_pred)
    checks.axis_fits(axis, pred_shape)
    if be.kind(y_pred) not in "fiu":
        raise checks.real_dtype("y_pred", y_pred.dtype)
    if definition.has_labels:
        if be.kind(y_true) not in "iu":
            raise checks.label_dtype(y_true.dtype)
        checks.label_shape(true_shape, pred_shape, axis)
    else:
        if be.kind(y_true) not in "fiub":
            raise checks.real_dtype("y_true", y_true.dtype)
        checks.equal_shapes(true_shape, pred_shape)
    class_weight = spec.kwargs.get("class_weight")
    if class_weight is not None:
        checks.class_weights(class_weight, pred_shape[axis])
    samples = sample_shape(pred_shape, axis)
    check_weights(be, sample_weight, mask, samples, pred_shape)
    if first and definition.name.startswith("root_") and _spans_one(pred_shape, axis):
        warnings.warn(
            f"{definition.name} over an axis of length 1 is the absolute value of each element; "
            f"pass axis=None for the root of the mean over all",
            UserWarning,
            stacklevel=4,
        )
    if spec.validate is False:
        return not definition.has_labels
    trusted = _check_labels(be, spec, y_true, pred_shape, mask, samples) if definition.has_labels else True
    if first or spec.validate:
        _check_domain(be, spec, y_true, y_pred, mask, samples)
    return trusted


def check_weights(be: Any, sample_weight: Array | None, mask: Array | None, samples: Any, shape: Any) -> None:
    """Refuse weights and masks that do not belong to per-sample values of shape `samples`."""
    if sample_weight is not None:
        if be.kind(sample_weight) not in "fiub":
            raise checks.real_dtype("sample_weight", sample_weight.dtype)
        checks.weight_shape("sample_weight", be.shape(sample_weight), samples, shape)
    if mask is not None:
        if be.kind(mask) != "b":
            raise checks.mask_dtype(mask.dtype)
        checks.weight_shape("mask", be.shape(mask), samples, shape)


def _check_labels(be: Any, spec: Any, y_true: Array, pred_shape: Any, mask: Any, samples: Any) -> bool:
    labels, classes = be.host(y_true), pred_shape[spec.axis]
    kept = None if mask is None else be.host(mask)
    if labels is None or classes is None or (mask is not None and kept is None):
        return False
    keep = None if kept is None else spread_host(kept, samples)
    checks.labels_in_range(labels, classes, spec.kwargs.get("ignore_index"), keep)
    return True


def _check_domain(be: Any, spec: Any, y_true: Array, y_pred: Array, mask: Any, samples: Any) -> None:
    domains = spec.definition.domain(spec.kwargs)
    if not domains:
        return
    arrays = {"y_true": be.host(y_true), "y_pred": be.host(y_pred)}
    kept = None if mask is None else be.host(mask)
    if mask is not None and kept is None:
        return
    for name, domain in domains.items():
        values = arrays[name]
        if values is None:
            continue
        if kept is not None:
            keep = _expand(spread_host(kept, samples), spec.axis, values.ndim)
            values = values[np.broadcast_to(keep, values.shape)]
        checks.in_domain(name, values, domain, "from_logits" in spec.kwargs)
        if spec.validate and domain is checks.PROBABILITY and spec.definition.kind != "elementwise" and kept is None:
            checks.sums_to_one(name, values, spec.axis)


def sample_shape(shape: Any, axis: Any) -> tuple[Any, ...]:
    """The shape of the per-sample values: `shape` without `axis`."""
    if axis is None:
        return ()
    gone = {item % len(shape) for item in (axis if isinstance(axis, tuple) else (axis,))}
    return tuple(n for i, n in enumerate(shape) if i not in gone)


def _spans_one(shape: Any, axis: Any) -> bool:
    axes = range(len(shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return all(shape[item] == 1 for item in axes)


def _axes(axis: Any, rank: int) -> list[int]:
    return sorted(item % rank for item in (axis if isinstance(axis, tuple) else (axis,))) if axis is not None else []


def spread_host(keep: Any, samples: Any) -> Any:
    """A mask on the host, broadcast from the left to the shape of the per-sample values."""
    return np.broadcast_to(keep.reshape(keep.shape + (1,) * (len(samples) - keep.ndim)), samples)


def _expand(x: Array, axis: Any, rank: int) -> Array:
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


def prepare(be: Any, spec: Any, y_true: Array, y_pred: Array, sample_weight: Any, mask: Any, trusted: bool) -> Samples:
    """Compute dtypes, and `mask`, `ignore_index`, `sample_weight`, `class_weight` as one pair (weight, keep)."""
    xp, options, axis = be.xp, spec.kwargs, spec.axis
    y_pred = be.compute(y_pred)
    rank = len(be.shape(y_pred))
    samples = len(sample_shape(be.shape(y_pred), axis))
    keep = weight = invalid = None
    if mask is not None:
        keep = trailing(mask, len(be.shape(mask)), samples)
    if sample_weight is not None:
        weight = trailing(be.cast_like(sample_weight, y_pred), len(be.shape(sample_weight)), samples)
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
        spread = _expand(keep, axis, rank)
        y_pred = xp.where(spread, y_pred, xp.full_like(y_pred, 0.5))
        if not spec.definition.has_labels:
            y_true = xp.where(spread, y_true, xp.full_like(y_true, 0.5))
        weight = None if weight is None else xp.where(keep, weight, xp.zeros_like(weight))
    return Samples(y_true, y_pred, weight, keep, invalid)


def per_sample(be: Any, spec: Any, s: Samples) -> Array:
    """One value per sample, unweighted."""
    definition, xp, axis, options = spec.definition, be.xp, spec.axis, spec.kwargs
    if definition.kind == "elementwise":
        values = _differentiable(be, definition, options, s.y_true, s.y_pred, ())
        values = values if axis == () else xp.sum(values, axis=axis) / xp.length(values, axis)
    else:
        values = _differentiable(be, definition, {**options, "axis": axis}, s.y_true, s.y_pred, axis)
    # `where` against a constant, not a product with nan, which would make every gradient nan.
    return values if s.invalid is None else xp.where(s.invalid, xp.full_like(values, float("nan")), values)


def _differentiable(be: Any, definition: Any, options: Any, y_true: Array, y_pred: Array, axis: Any) -> Array:
    xp = be.xp

    def value(t: Array, p: Array) -> Array:
        return definition.value(xp, t, p, **options)

    if definition.grad is None:
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
    if reduction == "weighted_mean" and s.weight is not None:
        weights = s.weight + xp.zeros_like(values)
        weights = weights if s.keep is None else xp.where(s.keep, weights, xp.zeros_like(weights))
        total = xp.sum(weights)
        return xp.where(xp.any(weights != 0), total, xp.ones_like(total))
    if s.keep is None:
        return xp.length(values, None)
    kept = xp.sum(xp.where(s.keep, xp.ones_like(values), xp.zeros_like(values)))
    return xp.where(kept == 0, xp.ones_like(kept), kept)


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
    """The loss. Pure, traceable."""
    return value_of(be, spec, prepare(be, spec, y_true, y_pred, sample_weight, mask, trusted))


def of_rows(
    be: Any, spec: Any, rows: Array, features: Array, sample_weight: Any, mask: Any, invalid: Array | None
) -> Samples:
    """Features against gathered centers; the value is nan where the label of a row is `invalid`."""
    return dataclasses.replace(prepare(be, spec, rows, features, sample_weight, mask, True), invalid=invalid)


def value_of(be: Any, spec: Any, s: Samples) -> Array:
    """The loss of what `prepare` or `of_rows` made."""
    return reduce(be, spec, s, per_sample(be, spec, s))


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
    values = per_sample(be, spec, s)
    rank = len(be.shape(s.y_pred))
    gradient = derivative(be, spec, s)
    # What multiplies each sample's value in the reduction multiplies its gradient.
    factor = _weighted(xp, s, xp.ones_like(values))
    by = _denominator(be, spec, s, values)
    factor = factor if by is None else factor / by
    if spec.definition.kind == "elementwise" and axis != ():
        factor = factor / xp.length(s.y_pred, axis)
    gradient = _counted(be, spec, s, gradient * _expand(factor, axis, rank))
    return reduce(be, spec, s, values), gradient


def _counted(be: Any, spec: Any, s: Samples, gradient: Array) -> Array:
    """Exactly 0 where the sample is masked, or its value the constant nan."""
    xp, rank = be.xp, len(be.shape(s.y_pred))
    for counts in (s.keep, None if s.invalid is None else ~s.invalid):
        if counts is not None:
            gradient = xp.where(_expand(counts, spec.axis, rank), gradient, xp.zeros_like(gradient))
    return gradient


def derivative(be: Any, spec: Any, s: Samples, second: bool = False) -> Array:
    """The closed-form derivative of each value with respect to each element, unreduced."""
    definition = spec.definition
    function = definition.hess if second else definition.grad
    options = spec.kwargs if definition.kind == "elementwise" else {**spec.kwargs, "axis": spec.axis}
    return function(be.xp, s.y_true, s.y_pred, **options)


def grad_and_hess(be: Any, spec: Any, y_true: Array, y_pred: Array, trusted: bool = False) -> tuple[Array, Array]:
    """First and second derivative per element, unreduced; where a label is ignored, 0."""
    s = prepare(be, spec, y_true, y_pred, None, None, trusted)
    pair = tuple(_counted(be, spec, s, derivative(be, spec, s, second)) for second in (False, True))
    if s.weight is not None:
        pair = tuple(x * _expand(s.weight, spec.axis, len(be.shape(y_pred))) for x in pair)
    return pair[0], pair[1]


def require_derivatives(spec: Any) -> None:
    """Refuse `grad_and_hess` of a loss that has no closed forms."""
    if spec.definition.grad is None or spec.definition.hess is None:
        raise NotImplementedError(f"{spec.name} has no closed-form first and second derivative per element")

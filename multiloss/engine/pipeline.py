"""Everything around a definition, for every kind of loss: dtypes, masks, values, weights, reduction; and the same for
the derivatives.

All functions are pure and can be traced; the arguments were converted and checked before (`call`). `be` is an adapter,
`xp` its namespace. `options` are those of the call: values and derivatives get them as arguments, so one may be an
array.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from multiloss.engine import checks
from multiloss.engine.options import KERAS_WEIGHTED
from multiloss.engine.samples import Samples, one_each, prepare, to_rank

Array = Any


def _call(spec: Any, s: Samples) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of the definition: all inputs in order, and the options of this call."""
    definition = spec.definition
    options = dict(s.options)
    if definition.takes_axis:
        options["axis"] = spec.axis_in(len(s.inputs[definition.inputs[1]].shape))
    if definition.takes_keep:
        options["keep"] = s.keep
    return [s.inputs.get(name) for name in definition.inputs], options


def _values(be: Any, spec: Any, s: Samples, xp: Any) -> tuple[Array, Array | None]:
    """The values of the definition, one per element of an elementwise loss, else per sample; and how many each counts
    for in a mean (None: each for one)."""
    inputs, options = _call(spec, s)
    own = getattr(be, "own_values", None)
    found = None if own is None else own(spec, *inputs)
    if found is None:
        found = _differentiable(be, spec, s, xp, inputs, options)
        if spec.definition.family == "registered":
            checks.returned(spec.definition, found, s.inputs[spec.definition.inputs[1]].shape, s.how.samples)
    if spec.definition.counts is not None:
        return found, spec.definition.counts(xp, *inputs, **options)
    return found if isinstance(found, tuple) else (found, None)


def _differentiable(be: Any, spec: Any, s: Samples, xp: Any, inputs: list[Any], options: dict[str, Any]) -> Any:
    """The value, with the closed-form derivatives of the definition as those of the framework."""
    definition, names = spec.definition, tuple(s.inputs)
    closed = [name for name in definition.gradients if name in names]
    # An input that holds a whole table (`Compared`) is no array; the framework then differentiates the expression.
    if not closed or not all(be.is_native(x) for x in s.inputs.values()):
        return definition.value(xp, *inputs, **options)
    arrays = {name: x for name, x in options.items() if name != "keep" and be.is_native(x)}
    weights = () if s.weight is None else (s.weight,)
    first = len(names) + len(weights)

    def call(given: tuple[Array, ...]) -> tuple[list[Any], dict[str, Any]]:
        now = dict(zip(names, given[: len(names)], strict=True))
        varied = dict(zip(arrays, given[first:], strict=True))
        return [now.get(name) for name in definition.inputs], {**options, **varied}

    def value(*given: Array) -> Array:
        inputs, options = call(given)
        return definition.value(xp, *inputs, **options)

    def gradient(name: str) -> Any:
        def by_it(*given: Array) -> Array:
            inputs, options = call(given)
            found = definition.gradients[name](xp, *inputs, **options)
            for weight in given[len(names) : first]:  # an infinite derivative times a weight of 0 would be nan
                nothing = s.how.over(to_rank(weight, len(s.how.samples)) == 0, name, len(found.shape))
                found = xp.where(nothing & xp.isinf(found), 0, found)
            return found

        return by_it

    each = definition.kind == "elementwise"
    gradients: dict[int, Any] = dict.fromkeys(range(len(names), first))  # the value does not depend on weights
    for name in closed:
        axes = () if each else s.how.inner(name, len(s.inputs[name].shape))
        gradients[names.index(name)] = gradient(name), axes
    return be.closed_form(value, gradients, *s.inputs.values(), *weights, *arrays.values())


def _range_factor(spec: Any, s: Samples, xp: Any, values: Array) -> Array | None:
    """A factor of each value and of its derivatives: nan in samples with a value below `lowest`, else 1; None: all
    1."""
    factor = None if s.lowest is None else xp.nan_below(values, s.lowest)
    if factor is None or spec.definition.kind != "elementwise" or spec.axis == ():
        return factor
    return s.over(xp.prod(factor, axis=spec.axis), "y_pred")


def _of_samples(spec: Any, s: Samples, xp: Any, values: Array) -> Array:
    """One value per sample, from the values of the definition."""
    if spec.definition.kind == "elementwise" and spec.axis != ():
        values = xp.sum(values, axis=spec.axis) / xp.length(values, spec.axis)
    if s.invalid is None:
        return values
    wrong = xp.any(s.invalid) if spec.definition.whole_batch else _spread(s.invalid, values)
    # `where` against a constant, since a product with nan would make every gradient nan.
    return xp.where(wrong, math.nan, values)


def _spread(x: Array, values: Array) -> Array:
    return to_rank(x, len(values.shape))


def _weighted(xp: Any, spec: Any, s: Samples, values: Array) -> Array:
    weighted = values if s.weight is None else values * _spread(s.weight, values)
    if s.keep is None or spec.definition.whole_batch:
        return weighted
    return xp.where(_spread(s.keep, values), weighted, xp.zeros_like(weighted))


def _denominator(be: Any, spec: Any, s: Samples, values: Array, counts: Array | None) -> Any:
    """The divisor of the sum of weighted values, or None; 1 where nothing is left, so that the result is 0."""
    xp, reduction = be.xp, spec.reduction
    keep = None if spec.definition.whole_batch else s.keep
    if reduction in ("sum", "none"):
        return None
    if reduction == "batchmean":
        return xp.length(values, 0) if len(values.shape) else None
    if reduction == KERAS_WEIGHTED and not (s.weight is None and keep is None):
        amounts = be.cast_like(keep, values) if s.weight is None else _spread(s.weight, values)
        return _as_keras_divides(be, values, amounts if counts is None else amounts * counts, s.one_for_all)
    if reduction == "weighted_mean" and s.weight is not None:
        amounts = _spread(s.weight, values) + xp.zeros_like(values)
        amounts = amounts if counts is None else amounts * counts
    elif keep is None and counts is None:
        return xp.length(values, None)
    else:
        amounts = xp.ones_like(values) if counts is None else counts
    amounts = amounts if keep is None else xp.where(_spread(keep, values), amounts, 0)
    return xp.where(xp.any(amounts != 0), xp.sum(amounts), 1)


def _as_keras_divides(be: Any, values: Array, amounts: Array, one_for_all: bool) -> Any:
    """The divisor of `mean_with_sample_weight`: the sum of the weights in the shape in which they came.

    A single value is not divided, nor is the value of a batch of one whose weight has no axes: to Keras both are the
    same. A sum of 0 gives 0.
    """
    xp, rank = be.xp, len(values.shape)
    if not rank:
        return None
    total = xp.sum(amounts)
    total = xp.where(total == 0, math.inf, total)
    if one_for_all and rank == 1:
        length = xp.length(values, 0)
        if be.is_native(length):
            return xp.where(length == 1, 1, total)
        return None if length == 1 else total
    return total


def _reduce(be: Any, spec: Any, s: Samples, values: Array, counts: Array | None) -> Array:
    """The weighted values, reduced."""
    weighted = _weighted(be.xp, spec, s, values)
    if spec.reduction == "none":
        return weighted
    total = be.xp.sum(weighted)
    by = _denominator(be, spec, s, values, counts)
    return total if by is None else total / by


def _of_nothing(be: Any, spec: Any, s: Samples) -> Array:
    """The value of an empty batch: 0, or an empty array without reduction. Its gradient by every input is zeros."""
    main, rank = s.inputs[spec.definition.inputs[1]], len(s.how.samples)
    inner = be.shape(main)[rank:]
    nothing = main[(..., *([0] * len(inner)))] if math.prod(inner) else main
    if spec.reduction != "none" or spec.definition.whole_batch:
        nothing = be.xp.sum(main)
    for x in (*s.inputs.values(), s.weight):
        if x is not None and x is not main and be.dtype_kind(x) == "f":  # no entry of it, which might be nan
            nothing = nothing + be.xp.sum(be.xp.reshape(x, (-1,))[:0])
    return nothing


def evaluate(
    be: Any, spec: Any, *arrays: Any, labels_checked: bool = False, options: Mapping[str, Any] | None = None
) -> Array:
    """The loss of its inputs, `sample_weight` and `mask`."""
    return value_of(be, spec, prepare(be, spec, *arrays, labels_checked=labels_checked, options=options))


def value_of(be: Any, spec: Any, s: Samples) -> Array:
    """The loss of prepared samples."""
    xp, definition = be.xp, spec.definition
    if definition.kind == "of_inputs" and 0 in s.how.samples:
        return _of_nothing(be, spec, s)
    own = getattr(be, "own_value", None)
    if own is not None and s.weight is None and s.keep is None and s.invalid is None:
        value = own(spec, *(s.inputs.get(name) for name in definition.inputs))
        if value is not None:
            return value
    values, counts = _values(be, spec, s, xp)
    factor = _range_factor(spec, s, xp, values)
    values = _of_samples(spec, s, xp, values if factor is None else values * factor)
    if definition.whole_batch and None in s.how.samples:  # the batch may be empty at run time
        length = xp.class_count(one_each(s.how, s.inputs), 0)
        values = xp.where(length == 0, xp.zeros_like(values), values)
    return _reduce(be, spec, s, values, counts)


def value_and_gradients(
    be: Any,
    spec: Any,
    *arrays: Any,
    wrt: tuple[str, ...],
    labels_checked: bool = False,
    options: Mapping[str, Any] | None = None,
) -> tuple[Array, dict[str, Array]]:
    """The loss and its gradients (of the sum for `reduction="none"`) by the closed forms of the definition, which all
    inputs of `wrt` must have."""
    samples = prepare(be, spec, *arrays, labels_checked=labels_checked, options=options)
    return value_and_gradients_of(be, spec, samples, wrt)


def value_and_gradients_of(be: Any, spec: Any, s: Samples, wrt: tuple[str, ...]) -> tuple[Array, dict[str, Array]]:
    """The same for prepared samples."""
    # What value and derivatives share is computed once. The derivatives come first: shared parts are then recorded for
    # second derivatives, as they might not be inside of `closed_form`, which `_values` calls.
    xp = be.xp.sharing()
    inputs, options = _call(spec, s)
    found = {name: spec.definition.gradients[name](xp, *inputs, **options) for name in wrt}
    values, counts = _values(be, spec, s, xp)
    factor = _range_factor(spec, s, xp, values)
    if factor is not None:
        found = {name: x * _by_element(spec, s, factor, name) for name, x in found.items()}
        values = values * factor
    values = _of_samples(spec, s, xp, values)
    # One factor for both divisions, rounded as automatic differentiation rounds it.
    by = _denominator(be, spec, s, values, counts)
    scale = None if by is None else 1 / by
    if spec.definition.kind == "elementwise" and spec.axis != ():
        scale = (1 if scale is None else scale) / xp.length(s.inputs["y_pred"], spec.axis)
    gradients = {}
    for name, gradient in found.items():
        if s.weight is not None or s.keep is not None:
            # By `zero_times`, since an infinite derivative times a weight of 0 would be nan.
            gradient = xp.zero_times(s.over(_weighted(xp, spec, s, xp.ones_like(values)), name), gradient)
        gradients[name] = _counted(xp, s, name, gradient if scale is None else gradient * scale)
    return _reduce(be, spec, s, values, counts), gradients


def _by_element(spec: Any, s: Samples, x: Array, name: str) -> Array:
    """A factor of each value, for each element of an input."""
    return x if spec.definition.kind == "elementwise" else s.over(x, name)


def _counted(xp: Any, s: Samples, name: str, gradient: Array) -> Array:
    """The gradient, exactly 0 where the sample is masked, or its value the constant nan."""
    for counts in (s.keep, None if s.invalid is None else ~s.invalid):
        if counts is not None:
            gradient = xp.where(s.over(counts, name), gradient, 0)
    return gradient


def grad_and_hess(
    be: Any, spec: Any, y_true: Array, y_pred: Array, labels_checked: bool = False
) -> tuple[Array, Array]:
    """First and second derivative per element, unreduced; 0 where a label is ignored."""
    s = prepare(be, spec, y_true, y_pred, None, None, labels_checked=labels_checked)
    xp, definition = be.xp.sharing(), spec.definition
    inputs, options = _call(spec, s)
    pair = [function(xp, *inputs, **options) for function in (definition.grad, definition.hess)]
    if s.lowest is not None:
        factor = _range_factor(spec, s, xp, _values(be, spec, s, xp)[0])
        pair = pair if factor is None else [x * _by_element(spec, s, factor, "y_pred") for x in pair]
    pair = [_counted(xp, s, "y_pred", x) for x in pair]
    if s.weight is not None:  # that of the classes
        pair = [x * s.over(s.weight, "y_pred") for x in pair]
    return pair[0], pair[1]


def require_derivatives(spec: Any) -> None:
    """Refuse `grad_and_hess` of a loss without closed forms."""
    if spec.definition.grad is None or spec.definition.hess is None:
        raise NotImplementedError(f"{spec.name} has no closed-form first and second derivative per element")

"""Everything around a definition, once, for every kind of loss: dtypes, masks, values, weights, reduction; the same for
the derivatives.

All of it is pure and can be traced; what came was converted and checked before (`call`). `be` is an adapter, `xp` its
namespace. `options` are those of the call: a value and a derivative get them as arguments, so that one may be an array.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from multiloss.engine import checks
from multiloss.engine.layout import ByAxis, Layout, layout, trailing
from multiloss.engine.options import KERAS_WEIGHTED

Array = Any


@dataclasses.dataclass(frozen=True)
class Samples:
    """The inputs as the definition takes them, and one pair (weight, keep) per sample; None: all 1, all True."""

    how: Layout
    options: Mapping[str, Any]
    inputs: dict[str, Array]
    """Those that are there, by name."""
    weight: Array | None
    keep: Array | None
    invalid: Array | None
    """Where a label that could not be read on the host is out of range: the sample's value becomes nan."""
    lowest: float | None = None
    """A value below it is that of no probability, and becomes nan with its gradient; None: any value may be."""
    one_for_all: bool = False
    """Whether `sample_weight` came without axes."""


def prepare(
    be: Any, spec: Any, *arrays: Any, labels_checked: bool, options: Mapping[str, Any] | None = None
) -> Samples:
    """Compute dtypes, and `mask`, `ignore_index`, `sample_weight`, `class_weight` as one pair (weight, keep).

    Args:
        be: the adapter.
        spec: the loss.
        arrays: its inputs in order (None: left out), `sample_weight` and `mask`.
        labels_checked: whether all labels are known to be in range.
        options: those of this call; None: those of the loss.
    """
    xp, definition = be.xp, spec.definition
    options = spec.kwargs if options is None else options
    *given, weight, mask = arrays
    given = definition.arrange(xp, given, options)
    inputs = {name: x for name, x in zip(definition.inputs, given, strict=True) if x is not None}
    how = layout(be, spec, inputs)
    rank, one_for_all = len(how.samples), weight is not None and not len(be.shape(weight))
    if hasattr(be, "fitted"):
        inputs, weight, mask = be.fitted(spec, how, inputs, weight, mask)
    low = lowest(spec, inputs[definition.inputs[1]].dtype)
    main = be.compute(inputs[definition.inputs[1]])
    keep = None if mask is None else trailing(mask, len(be.shape(mask)), rank)
    weight = None if weight is None else be.cast_like(weight, main)
    invalid = None
    ignored = options.get("ignore_index")
    for name in [one for one in inputs if how.is_label(one)]:
        x = inputs[name] = be.labels(inputs[name])
        most = how.most(be, name, inputs)
        if most is None:
            continue
        if ignored is not None:
            counted = x != ignored
            keep = counted if keep is None else counted & keep
            ignored = None  # it is about the first input of classes
        if not labels_checked:
            inputs[name] = xp.clip(x, 0, most - 1)
            wrong = x != inputs[name]
            inner = how.inner(name, len(be.shape(x)))
            wrong = xp.any(wrong, axis=inner) if inner else wrong
            invalid = wrong if invalid is None else invalid | wrong
    if keep is not None and definition.takes_keep:
        keep = xp.logical_and(keep, xp.ones_like(_one_each(be, how, inputs), dtype=xp.bool))
    invalid = invalid if invalid is None or keep is None else invalid & keep
    for name, x in inputs.items():
        label = how.is_label(name)
        x = x if label else main if name == definition.inputs[1] else be.cast_like(x, main)
        if keep is not None and how.has_samples(name):
            # What is masked is replaced before any formula sees it: nan there reaches neither value nor gradient.
            harmless = xp.zeros_like(x) if label else xp.full_like(x, 0.5)
            x = xp.where(how.over(keep, name, len(be.shape(x))), x, harmless)
        inputs[name] = x
    if options.get("class_weight") is not None and isinstance(how, ByAxis):
        of_class = _class_weight(be, how, options["class_weight"], **inputs)
        weight = of_class if weight is None else trailing(weight, len(be.shape(weight)), rank) * of_class
    if weight is not None and keep is not None and not definition.whole_batch:
        weight = trailing(weight, len(be.shape(weight)), rank)
        weight = xp.where(keep, weight, 0)
    return Samples(how, options, inputs, weight, keep, invalid, low, one_for_all)


def lowest(spec: Any, dtype: Any) -> float | None:
    """The lowest value that the loss has for probabilities of that dtype, off by rounding; None: any may be."""
    undershoot = spec.definition.undershoot
    most = None if undershoot is None or spec.validate is False else undershoot(spec.kwargs)
    return None if most is None else -most * checks.rounding(dtype)


def _class_weight(be: Any, how: ByAxis, weights: Any, y_true: Array, y_pred: Array) -> Array:
    """The weight of each sample's class, or of its classes in the shares of its target."""
    by_class = be.xp.constant(weights, y_pred)
    if how.is_label("y_true"):
        return be.xp.gather(by_class, y_true)
    (axis,) = how.axes
    table = by_class[tuple(slice(None) if i == axis else None for i in range(len(how.shape)))]
    return be.xp.sum(y_true * table, axis=axis)


def _one_each(be: Any, how: Layout, inputs: Mapping[str, Array]) -> Array:
    """An array of the samples' shape."""
    name, x = next(item for item in inputs.items() if how.has_samples(item[0]))
    rank = len(be.shape(x))
    inner = how.inner(name, rank)
    return x[tuple(0 if i in inner else slice(None) for i in range(rank))] if inner else x


def _call(spec: Any, s: Samples) -> tuple[list[Any], dict[str, Any]]:
    """What the definition takes: all inputs in order, and the options of this call."""
    definition = spec.definition
    options = dict(s.options)
    if definition.takes_axis:
        options["axis"] = spec.axis
    if definition.takes_keep:  # what reads the whole batch leaves out itself what is masked
        options["keep"] = s.keep
    return [s.inputs.get(name) for name in definition.inputs], options


def _values(be: Any, spec: Any, s: Samples, xp: Any) -> tuple[Array, Array | None]:
    """What the definition gives, one value per element of an elementwise loss, else per sample; and how many each value
    counts for in a mean (None: each for one)."""
    inputs, options = _call(spec, s)
    own = getattr(be, "own_values", None)
    found = None if own is None else own(spec, *inputs)
    if found is None:
        found = _differentiable(be, spec, s, xp, inputs, options)
    if spec.definition.counts is not None:
        return found, spec.definition.counts(xp, *inputs, **options)
    return found if isinstance(found, tuple) else (found, None)


def _differentiable(be: Any, spec: Any, s: Samples, xp: Any, inputs: list[Any], options: dict[str, Any]) -> Any:
    """The value, with the derivatives that the definition gives as the framework's."""
    definition, names = spec.definition, tuple(s.inputs)
    # Of what compares with a whole table (`Compared`) the derivative is the framework's.
    closed = [name for name in definition.gradients if name in names]
    if not closed or not all(be.is_native(x) for x in s.inputs.values()):
        return definition.value(xp, *inputs, **options)
    arrays = {name: x for name, x in options.items() if name != "keep" and be.is_native(x)}
    weights = () if s.weight is None else (s.weight,)
    first = len(names) + len(weights)

    def call(given: tuple[Array, ...]) -> tuple[list[Any], dict[str, Any]]:
        now = dict(zip(names, given, strict=False))
        return [now.get(name) for name in definition.inputs], options | dict(zip(arrays, given[first:], strict=True))

    def value(*given: Array) -> Array:
        inputs, options = call(given)
        return definition.value(xp, *inputs, **options)

    def gradient(name: str) -> Any:
        def by_it(*given: Array) -> Array:
            inputs, options = call(given)
            found = definition.gradients[name](xp, *inputs, **options)
            for weight in given[len(names) : first]:  # a derivative that left the range, times a weight of 0, is nan
                weight = trailing(weight, len(be.shape(weight)), len(s.how.samples))
                nothing = s.how.over(weight == 0, name, len(found.shape))
                found = xp.where(nothing & xp.isinf(found), 0, found)
            return found

        return by_it

    each = definition.kind == "elementwise"
    gradients: dict[int, Any] = dict.fromkeys(range(len(names), first))  # by weights the value has no derivative
    for name in closed:
        axes = () if each else s.how.inner(name, len(be.shape(s.inputs[name])))
        gradients[names.index(name)] = gradient(name), axes
    return be.closed_form(value, gradients, *s.inputs.values(), *weights, *arrays.values())


def _range_factor(spec: Any, s: Samples, xp: Any, values: Array) -> Array | None:
    """What multiplies each value, and each of its derivatives: 1, and nan in samples that have a value below the loss's
    range; None: all are 1."""
    factor = None if s.lowest is None else xp.nan_below(values, s.lowest)
    if factor is None or spec.definition.kind != "elementwise" or spec.axis == ():
        return factor
    return s.how.over(xp.prod(factor, axis=spec.axis), "y_pred", len(factor.shape))


def _of_samples(be: Any, spec: Any, s: Samples, xp: Any, values: Array) -> Array:
    """One value per sample, of what the definition gave."""
    if spec.definition.kind == "elementwise" and spec.axis != ():
        values = xp.sum(values, axis=spec.axis) / xp.length(values, spec.axis)
    if s.invalid is None:
        return values
    wrong = xp.any(s.invalid) if spec.definition.whole_batch else _spread(be, s.invalid, values)
    # `where` against a constant, not a product with nan, which would make every gradient nan.
    return xp.where(wrong, math.nan, values)


def _spread(be: Any, x: Array, values: Array) -> Array:
    return trailing(x, len(be.shape(x)), len(be.shape(values)))


def _weighted(be: Any, spec: Any, s: Samples, values: Array) -> Array:
    weighted = values if s.weight is None else values * _spread(be, s.weight, values)
    if s.keep is None or spec.definition.whole_batch:
        return weighted
    return be.xp.where(_spread(be, s.keep, values), weighted, be.xp.zeros_like(weighted))


def _denominator(be: Any, spec: Any, s: Samples, values: Array, counts: Array | None) -> Any:
    """What the sum of weighted values is divided by; 1 where nothing is left, so that the result is 0."""
    xp, reduction = be.xp, spec.reduction
    keep = None if spec.definition.whole_batch else s.keep
    if reduction in ("sum", "none"):
        return None
    if reduction == "batchmean":
        return xp.length(values, 0) if len(be.shape(values)) else None
    if reduction == KERAS_WEIGHTED and not (s.weight is None and keep is None):
        amounts = be.cast_like(keep, values) if s.weight is None else _spread(be, s.weight, values)
        return _as_keras_divides(be, values, amounts if counts is None else amounts * counts, s.one_for_all)
    if reduction == "weighted_mean" and s.weight is not None:
        amounts = _spread(be, s.weight, values) + xp.zeros_like(values)
        amounts = amounts if counts is None else amounts * counts
    elif keep is None and counts is None:
        return xp.length(values, None)
    else:
        amounts = xp.ones_like(values) if counts is None else counts
    amounts = amounts if keep is None else xp.where(_spread(be, keep, values), amounts, 0)
    total = xp.sum(amounts)
    return xp.where(xp.any(amounts != 0), total, 1)


def _as_keras_divides(be: Any, values: Array, amounts: Array, one_for_all: bool) -> Any:
    """What `mean_with_sample_weight` divides by: the sum of the weights as they came, not one for each value.

    A single value is not divided, and neither is that of a batch of one under a weight without axes, which Keras takes
    for the same. A sum of 0 gives 0.
    """
    xp, rank = be.xp, len(be.shape(values))
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
    weighted = _weighted(be, spec, s, values)
    if spec.reduction == "none":
        return weighted
    total = be.xp.sum(weighted)
    by = _denominator(be, spec, s, values, counts)
    return total if by is None else total / by


def _of_nothing(be: Any, spec: Any, s: Samples) -> Array:
    """0, of an empty batch; for no reduction an empty array. Its derivative by everything that was given is zeros."""
    main, rank = s.inputs[spec.definition.inputs[1]], len(s.how.samples)
    inner = be.shape(main)[rank:]
    nothing = main[(..., *([0] * len(inner)))] if math.prod(inner) else main
    if spec.reduction != "none" or spec.definition.whole_batch:
        nothing = be.xp.sum(main)
    for x in (*s.inputs.values(), s.weight):
        if x is not None and x is not main and be.dtype_kind(x) == "f":  # no entry of it, so that no nan comes in
            nothing = nothing + be.xp.sum(be.xp.reshape(x, (-1,))[:0])
    return nothing


def evaluate(
    be: Any, spec: Any, *arrays: Any, labels_checked: bool = False, options: Mapping[str, Any] | None = None
) -> Array:
    """The loss of its inputs, `sample_weight` and `mask`. Pure, traceable."""
    return value_of(be, spec, prepare(be, spec, *arrays, labels_checked=labels_checked, options=options))


def value_of(be: Any, spec: Any, s: Samples) -> Array:
    """The loss of what `prepare` made."""
    definition = spec.definition
    if definition.kind == "of_inputs" and 0 in s.how.samples:
        return _of_nothing(be, spec, s)
    own = getattr(be, "own_value", None)
    if own is not None and s.weight is None and s.keep is None and s.invalid is None:
        value = own(spec, *(s.inputs.get(name) for name in definition.inputs))
        if value is not None:
            return value
    values, counts = _values(be, spec, s, be.xp)
    factor = _range_factor(spec, s, be.xp, values)
    values = _of_samples(be, spec, s, be.xp, values if factor is None else values * factor)
    if definition.whole_batch and None in s.how.samples:  # an empty batch whose length shows at run time only
        length = be.xp.class_count(_one_each(be, s.how, s.inputs), 0)
        values = be.xp.where(length == 0, be.xp.zeros_like(values), values)
    return _reduce(be, spec, s, values, counts)


def value_and_gradients(
    be: Any,
    spec: Any,
    *arrays: Any,
    wrt: tuple[str, ...],
    labels_checked: bool = False,
    options: Mapping[str, Any] | None = None,
) -> tuple[Array, dict[str, Array]]:
    """The loss and its gradients (of the sum for `reduction="none"`) by the closed forms of the definition."""
    return value_and_gradients_of(
        be, spec, prepare(be, spec, *arrays, labels_checked=labels_checked, options=options), wrt
    )


def value_and_gradients_of(be: Any, spec: Any, s: Samples, wrt: tuple[str, ...]) -> tuple[Array, dict[str, Array]]:
    """The same of what `prepare` made; each name of `wrt` has a closed form."""
    xp = be.xp
    values, counts, found = _values_and_derivatives(be, spec, s, wrt)
    # What divides is one factor, rounded as automatic differentiation rounds it.
    by = _denominator(be, spec, s, values, counts)
    scale = None if by is None else 1 / by
    if spec.definition.kind == "elementwise" and spec.axis != ():
        scale = (1 if scale is None else scale) / xp.length(s.inputs["y_pred"], spec.axis)
    gradients = {}
    for name, gradient in found.items():
        # What multiplies each sample's value in the reduction multiplies its gradient.
        if s.weight is not None or s.keep is not None:
            factor = s.how.over(_weighted(be, spec, s, xp.ones_like(values)), name, len(be.shape(s.inputs[name])))
            # By `zero_times`: a derivative that left the range, times a weight of 0, would be nan where the value is 0.
            gradient = xp.zero_times(factor, gradient)
        gradients[name] = _counted(be, s, name, gradient if scale is None else gradient * scale)
    return _reduce(be, spec, s, values, counts), gradients


def _values_and_derivatives(
    be: Any, spec: Any, s: Samples, wrt: tuple[str, ...]
) -> tuple[Array, Array | None, dict[str, Array]]:
    """One value per sample, how many it counts for, and its derivative by each element; what these share is computed
    once."""
    xp = be.xp.sharing()
    # The derivatives first: what is shared is then recorded where a second derivative is asked for; in `closed_form`,
    # under `_values`, it might not be.
    found = {name: derivative(spec, s, xp, name) for name in wrt}
    values, counts = _values(be, spec, s, xp)
    factor = _range_factor(spec, s, xp, values)
    if factor is not None:
        values, found = values * factor, {name: x * _by_element(be, spec, s, factor, name) for name, x in found.items()}
    return _of_samples(be, spec, s, xp, values), counts, found


def _by_element(be: Any, spec: Any, s: Samples, x: Array, name: str) -> Array:
    """What there is one of for each value, as a factor for each element."""
    return x if spec.definition.kind == "elementwise" else s.how.over(x, name, len(be.shape(s.inputs[name])))


def _counted(be: Any, s: Samples, name: str, gradient: Array) -> Array:
    """Exactly 0 where the sample is masked, or its value the constant nan."""
    xp = be.xp
    for counts in (s.keep, None if s.invalid is None else ~s.invalid):
        if counts is not None:
            spread = s.how.over(counts, name, len(be.shape(s.inputs[name])))
            gradient = xp.where(spread, gradient, 0)
    return gradient


def derivative(spec: Any, s: Samples, xp: Any, name: str, second: bool = False) -> Array:
    """The closed-form derivative of each value with respect to each element of an input, unreduced."""
    inputs, options = _call(spec, s)
    function = spec.definition.hess if second else spec.definition.gradients[name]
    return function(xp, *inputs, **options)


def grad_and_hess(
    be: Any, spec: Any, y_true: Array, y_pred: Array, labels_checked: bool = False
) -> tuple[Array, Array]:
    """First and second derivative per element, unreduced; where a label is ignored, 0."""
    s = prepare(be, spec, y_true, y_pred, None, None, labels_checked=labels_checked)
    xp = be.xp.sharing()
    found = [derivative(spec, s, xp, "y_pred", second) for second in (False, True)]
    if s.lowest is not None:
        factor = _range_factor(spec, s, xp, _values(be, spec, s, xp)[0])
        found = found if factor is None else [x * _by_element(be, spec, s, factor, "y_pred") for x in found]
    pair = tuple(_counted(be, s, "y_pred", x) for x in found)
    if s.weight is not None:
        weight = s.how.over(s.weight, "y_pred", len(be.shape(y_pred)))  # that of the classes
        pair = tuple(x * weight for x in pair)
    return pair[0], pair[1]


def require_derivatives(spec: Any) -> None:
    """Refuse `grad_and_hess` of a loss that has no closed forms."""
    if spec.definition.grad is None or spec.definition.hess is None:
        raise NotImplementedError(f"{spec.name} has no closed-form first and second derivative per element")

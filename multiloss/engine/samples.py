"""The samples of a call as a definition takes them: dtypes, masks and weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from multiloss.engine import checks
from multiloss.engine.layout import ByAxis, Layout, layout, trailing

Array = Any


@dataclasses.dataclass(frozen=True)
class Samples:
    """The inputs as the definition takes them, and one pair (weight, keep) per sample; None: all 1, all True."""

    how: Layout
    options: Mapping[str, Any]
    inputs: dict[str, Array]
    """The given ones, by name."""
    weight: Array | None
    keep: Array | None
    invalid: Array | None
    """Where a label that could not be read on the host is out of range: the value of the sample becomes nan."""
    lowest: float | None = None
    """A lower value cannot come from probabilities, and becomes nan with its gradient; None: there is no such bound."""
    one_for_all: bool = False
    """Whether `sample_weight` came without axes."""

    def over(self, x: Array, name: str) -> Array:
        """An array per sample, to be broadcast over an input."""
        return self.how.over(x, name, len(self.inputs[name].shape))


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
    rank, one_for_all = len(how.samples), weight is not None and not len(weight.shape)
    if hasattr(be, "fitted"):
        inputs, weight, mask = be.fitted(spec, how, inputs, weight, mask)
    low = lowest(spec, inputs[definition.inputs[1]].dtype)
    main = be.compute(inputs[definition.inputs[1]])
    keep = None if mask is None else to_rank(mask, rank)
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
            inner = how.inner(name, len(x.shape))
            wrong = xp.any(wrong, axis=inner) if inner else wrong
            invalid = wrong if invalid is None else invalid | wrong
    if keep is not None and definition.takes_keep:
        keep = xp.logical_and(keep, xp.ones_like(one_each(how, inputs), dtype=xp.bool))
    invalid = invalid if invalid is None or keep is None else invalid & keep
    for name, x in inputs.items():
        label = how.is_label(name)
        x = x if label else main if name == definition.inputs[1] else be.cast_like(x, main)
        if keep is not None and how.has_samples(name):
            # Masked entries are replaced before any formula sees them, so nan there reaches neither value nor gradient.
            harmless = xp.zeros_like(x) if label else xp.full_like(x, 0.5)
            x = xp.where(how.over(keep, name, len(x.shape)), x, harmless)
        inputs[name] = x
    if options.get("class_weight") is not None and isinstance(how, ByAxis):
        of_class = _class_weight(be, how, options["class_weight"], **inputs)
        weight = of_class if weight is None else to_rank(weight, rank) * of_class
    if weight is not None and keep is not None and not definition.whole_batch:
        weight = xp.where(keep, to_rank(weight, rank), 0)
    return Samples(how, options, inputs, weight, keep, invalid, low, one_for_all)


def lowest(spec: Any, dtype: Any) -> float | None:
    """The lowest value of the loss for probabilities of that dtype, with their rounding; None: there is no bound."""
    undershoot = spec.definition.undershoot
    most = None if undershoot is None or spec.validate is False else undershoot(spec.kwargs)
    return None if most is None else -most * checks.rounding(dtype)


def to_rank(x: Array, rank: int) -> Array:
    """x with axes of length 1 added at the end."""
    return trailing(x, len(x.shape), rank)


def _class_weight(be: Any, how: ByAxis, weights: Any, y_true: Array, y_pred: Array) -> Array:
    """The weight of each sample's class, or of its classes in the shares of its target."""
    by_class = be.xp.constant(weights, y_pred)
    if how.is_label("y_true"):
        return be.xp.gather(by_class, y_true)
    (axis,) = how.axes
    table = by_class[tuple(slice(None) if i == axis else None for i in range(len(how.shape)))]
    return be.xp.sum(y_true * table, axis=axis)


def one_each(how: Layout, inputs: Mapping[str, Array]) -> Array:
    """An array of the samples' shape."""
    name, x = next(item for item in inputs.items() if how.has_samples(item[0]))
    rank = len(x.shape)
    inner = how.inner(name, rank)
    return x[tuple(0 if i in inner else slice(None) for i in range(rank))] if inner else x

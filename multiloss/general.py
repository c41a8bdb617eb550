"""Losses "of inputs": any number of them, of the shapes that their definition names. What `inputs`, `pipeline` and
`loss` are to losses of (y_true, y_pred): a call's arguments, checked; the loss of them, pure; and what objects share.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from multiloss import checks, dispatch, shapes
from multiloss.definition import Definition
from multiloss.inputs import check_weights, have_values, spread_host
from multiloss.loss import Named, Spec, make
from multiloss.options import KERAS_WEIGHTED
from multiloss.pipeline import as_keras_divides, trailing

Array = Any


def bound(definition: Definition, given: tuple[Any, ...], named: dict[str, Any]) -> list[Any]:
    """The inputs in their order, from arguments by place and by name; None for those that may be left out."""
    names = definition.inputs
    if len(given) > len(names):
        raise checks.surplus_input(definition.name, f"got {len(given)} inputs; name sample_weight and mask", names)
    found = dict(zip(names[: len(given)], given, strict=True))
    for name, x in named.items():
        if name not in names:
            raise checks.surplus_input(definition.name, f"there is no {name!r}", names)
        if name in found:
            raise checks.surplus_input(definition.name, f"{name!r} is given twice", names)
        found[name] = x
    for name in names:
        if found.get(name) is None and name not in definition.optional:
            raise checks.missing_input(definition.name, name, names)
    return [found.get(name) for name in names]


def wanted(wrt: Any, definition: Definition) -> tuple[int, ...]:
    """The positions that `wrt` asks gradients for; None is the second input."""
    names = [name for name in definition.inputs if not definition.shapes[name].integer]
    wrt = default_wrt(definition) if wrt is None else wrt
    asked = (wrt,) if isinstance(wrt, str) else tuple(wrt) if isinstance(wrt, tuple | list) else ()
    if not asked or any(name not in names for name in asked):
        raise ValueError(f"wrt must be one of {', '.join(map(repr, names))}, or several of them, got {wrt!r}")
    return tuple(definition.inputs.index(name) for name in asked)


def default_wrt(definition: Definition) -> str:
    """The second input."""
    return definition.inputs[1]


class GeneralInputs:
    """Converts and checks what each call of one loss gets."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._first = True

    def __call__(
        self,
        be: Any,
        given: tuple[Any, ...],
        named: dict[str, Any],
        sample_weight: Any,
        mask: Any,
        *,
        first: bool | None = None,
    ) -> tuple[list[Any], bool]:
        """Native arrays: the inputs, sample_weight and mask; and whether all labels are known to be in range. `first`
        as for `Inputs`."""
        definition, spec = self.spec.definition, self.spec
        arrays = dict(zip(definition.inputs, bound(definition, given, named), strict=True))
        arrays = {**arrays, "sample_weight": sample_weight, "mask": mask}
        natives = [x for x in list(arrays.values())[:-2] if x is not None and be.is_native(x)]
        like = natives[-1] if natives else None
        arrays = {name: None if x is None else be.asarray(x, like, name) for name, x in arrays.items()}
        inputs = {name: arrays[name] for name in definition.inputs if arrays[name] is not None}
        for name, x in inputs.items():
            integer = definition.shapes[name].integer
            if be.kind(x) not in ("iu" if integer else "fiu"):
                raise checks.label_dtype(x.dtype, name) if integer else checks.real_dtype(name, x.dtype)
        arranged = definition.arrange(be.xp, [arrays[name] for name in definition.inputs], spec.kwargs)
        inputs = {name: x for name, x in zip(definition.inputs, arranged, strict=True) if x is not None}
        came = {name: be.shape(x) for name, x in inputs.items()}
        known = shapes.lengths(definition.shapes, came)
        shapes.not_empty(definition.shapes, came, definition.may_be_empty)
        samples = _sample_shape(known)
        if definition.whole_batch and arrays["sample_weight"] is not None and be.shape(arrays["sample_weight"]):
            raise checks.whole_batch(definition.name, be.shape(arrays["sample_weight"]))
        main = be.shape(inputs[default_wrt(definition)])
        check_weights(be, arrays["sample_weight"], arrays["mask"], samples, main)
        trusted = self._check_labels(be, inputs, known, samples, arrays["mask"])
        if spec.validate or (spec.validate is None and (self._first if first is None else first)):
            self._check_domain(be, inputs, samples, arrays["mask"])
        # While compiling `first` is given: torch.compile would compile anew once what it looked at here has changed.
        if first is None and self._first and have_values(be, arrays.values()):
            self._first = False
        return list(arrays.values()), trusted

    def _check_labels(self, be: Any, inputs: dict[str, Any], known: Any, samples: Any, mask: Any) -> bool:
        """Whether all labels with a range are known to be in it."""
        trusted = True
        for name, x in inputs.items():
            shape = self.spec.definition.shapes[name]
            if shape.below is None:
                continue
            most = known[shape.below]
            ignored = self.spec.kwargs.get("ignore_index")
            labels = None if self.spec.validate is False or most is None else be.host(x)
            kept = None if mask is None else be.host(mask)
            if labels is None or (mask is not None and kept is None):
                trusted = False
                continue
            keep = None
            if kept is not None and shape.samples:
                keep = np.broadcast_to(trailing(spread_host(kept, samples), len(samples), labels.ndim), labels.shape)
            if shape.inclusive:
                owner = next(one for one in inputs if shape.below in self.spec.definition.shapes[one].letters)
                checks.lengths_in_range(name, labels, most, f"{shape.below} of {owner}", keep)
            else:
                way_out = None if "ignore_index" in self.spec.kwargs else "to leave such samples out pass a mask"
                if len(shape.letters) > 1:  # sequences of labels
                    way_out = "pad with 0, which is no label here"
                    if "label_lengths" in self.spec.definition.inputs:
                        way_out = "pad with a class, such as 0, and pass label_lengths: the padding is not read then"
                checks.labels_in_range(labels, most, ignored, keep, name, way_out)
        return trusted

    def _check_domain(self, be: Any, inputs: dict[str, Any], samples: Any, mask: Any) -> None:
        kept = None if mask is None else be.host(mask)
        if mask is not None and kept is None:
            return
        for name, domain in self.spec.definition.domain(self.spec.kwargs).items():
            values = be.host(inputs[name])
            if values is None:
                continue
            if kept is not None and self.spec.definition.shapes[name].samples:
                values = values[spread_host(kept, samples)]
            checks.in_domain(name, values, domain, "from_logits" in self.spec.kwargs, inputs[name].dtype)


def _sample_shape(known: dict[str, Any]) -> tuple[Any, ...]:
    return known["..."] if "..." in known else (known[next(iter(known))],)


def evaluate(be: Any, spec: Spec, *arrays: Any, trusted: bool) -> Array:
    """The loss of (*inputs, sample_weight, mask). Pure, traceable."""
    xp, definition = be.xp, spec.definition
    *inputs, weight, mask = arrays
    inputs = definition.arrange(xp, inputs, spec.kwargs)
    wanted_shapes = [definition.shapes[name] for name in definition.inputs]
    known = shapes.lengths(
        definition.shapes,
        {name: be.shape(x) for name, x in zip(definition.inputs, inputs, strict=True) if x is not None},
    )
    samples = _sample_shape(known)
    if hasattr(be, "fitted_inputs"):
        weighs = weight is not None and not definition.whole_batch and spec.reduction != KERAS_WEIGHTED
        inputs, mask, spread = be.fitted_inputs(wanted_shapes, inputs, mask, weight if weighs else None, len(samples))
        weight = spread if weighs else weight
    main = be.compute(inputs[1])
    keep = None if mask is None else trailing(mask, len(be.shape(mask)), len(samples))
    if keep is not None:
        keep = xp.logical_and(keep, xp.ones_like(_first_of(be, inputs, wanted_shapes, len(samples)), dtype=xp.bool))
    ignored, labels = spec.kwargs.get("ignore_index"), _labels_of(inputs, wanted_shapes)
    if ignored is not None and labels is not None:
        counted = be.labels(labels) != ignored
        keep = counted if keep is None else keep & counted
    invalid: Any = None
    ready: list[Any] = []
    for x, shape in zip(inputs, wanted_shapes, strict=True):
        if x is None:
            ready.append(None)
            continue
        x = be.labels(x) if shape.integer else be.cast_like(be.compute(x), main)
        if shape.below is not None and not trusted:
            wrong = (x < 0) | (x >= _length(be, inputs, wanted_shapes, shape.below) + int(shape.inclusive))
            x = xp.where(wrong, xp.zeros_like(x), x)
            inner = tuple(range(len(samples), len(be.shape(x))))
            wrong = xp.any(wrong, axis=inner) if inner else wrong
            invalid = wrong if invalid is None else invalid | wrong
        if keep is not None and shape.samples:
            # What is masked is replaced before any formula sees it: nan there reaches neither value nor gradient.
            spread = trailing(keep, len(samples), len(be.shape(x)))
            x = xp.where(spread, x, xp.zeros_like(x) if shape.integer else xp.full_like(x, 0.5))
        ready.append(x)
    if 0 in samples:
        return _of_nothing(be, spec, ready[1], len(samples), [*ready, weight])
    found = definition.value(xp, *ready, **({"keep": keep} if definition.takes_keep else {}), **spec.kwargs)
    values, counts = found if isinstance(found, tuple) else (found, None)
    if definition.whole_batch and None in samples:  # an empty batch whose length shows at run time only
        length = xp.class_count(_first_of(be, inputs, wanted_shapes, len(samples)), 0)
        values = xp.where(length == 0, xp.zeros_like(values), values)
    if weight is not None:
        weight = be.cast_like(weight, main)
    return _reduce(be, spec, values, counts, weight, keep, invalid)


def _first_of(be: Any, inputs: list[Any], wanted_shapes: list[Any], rank: int) -> Array:
    """An array of the samples' shape."""
    x = next(x for x, shape in zip(inputs, wanted_shapes, strict=True) if x is not None and shape.samples)
    return x[(..., *([0] * (len(be.shape(x)) - rank)))] if len(be.shape(x)) > rank else x


def _labels_of(inputs: list[Any], wanted_shapes: list[Any]) -> Array:
    """The labels that `ignore_index` is about: the first input of classes, or None."""
    of_classes = [x for x, shape in zip(inputs, wanted_shapes, strict=True) if shape.below is not None]
    return of_classes[0] if of_classes else None


def _length(be: Any, inputs: list[Any], wanted_shapes: list[Any], letter: str) -> Any:
    """The length that a letter stands for."""
    for x, shape in zip(inputs, wanted_shapes, strict=True):
        if x is not None and letter in shape.letters:
            return be.xp.class_count(x, shape.letters.index(letter) - len(shape.letters))
    raise AssertionError(letter)


def _of_nothing(be: Any, spec: Spec, main: Array, rank: int, given: list[Any]) -> Array:
    """0, of an empty batch; for no reduction an empty array. Its derivative by everything that was given is zeros."""
    nothing = main[(..., *([0] * (len(be.shape(main)) - rank)))] if math.prod(be.shape(main)[rank:]) else main
    if spec.reduction != "none" or spec.definition.whole_batch:
        nothing = be.xp.sum(main)
    for x in given:
        if x is not None and x is not main and be.kind(x) == "f":  # no entry of it, so that no nan comes in
            nothing = nothing + be.xp.sum(be.cast_like(be.xp.reshape(x, (-1,))[:0], main))
    return nothing


def _reduce(be: Any, spec: Spec, values: Array, counts: Any, weight: Any, keep: Any, invalid: Any) -> Array:
    xp, rank, reduction = be.xp, len(be.shape(values)), spec.reduction
    one_for_all = spec.definition.whole_batch

    def spread(x: Array) -> Array:
        return trailing(x, len(be.shape(x)), rank)

    amounts = xp.ones_like(values) if counts is None else counts
    if keep is not None and not one_for_all:
        values = xp.where(spread(keep), values, xp.zeros_like(values))
        amounts = xp.where(spread(keep), amounts, xp.zeros_like(amounts))
    if invalid is not None:
        wrong = invalid if keep is None else invalid & keep
        wrong = xp.any(wrong) if one_for_all else spread(wrong)
        values = xp.where(wrong, xp.full_like(values, math.nan), values)
    weighted = values
    if weight is not None:
        factor = spread(weight)
        weighted = values * factor
        if keep is not None and not one_for_all:  # a weight of nan does not come in by a masked sample
            weighted = xp.where(spread(keep), weighted, xp.zeros_like(weighted))
            factor = xp.where(spread(keep), factor + xp.zeros_like(values), xp.zeros_like(values))
        if reduction == "weighted_mean":
            amounts = amounts * factor
    if reduction == KERAS_WEIGHTED and weight is not None:
        given = weight if counts is None else weight * counts
        given = given if keep is None else xp.where(keep, given, xp.zeros_like(given))
        by = as_keras_divides(be, values, given, not len(be.shape(weight)))
        return xp.sum(weighted) if by is None else xp.sum(weighted) / by
    if reduction == "none":
        return weighted
    total = xp.sum(weighted)
    if reduction == "sum":
        return total
    if reduction == "batchmean":
        return total / xp.length(values, 0) if rank else total
    by = xp.sum(amounts)
    nothing = xp.all(amounts == 0)
    return total / xp.where(nothing, xp.ones_like(by), by)


class General(Named):
    """What the objects of these losses share. An adapter's class adds `_value` and `_value_and_gradients`."""

    be: Any
    _inputs: GeneralInputs

    def __call__(self, *inputs: Any, sample_weight: Any = None, mask: Any = None, **named: Any) -> Any:
        """The loss of its inputs, by place or by name."""
        return self._value(*self._inputs(self.be, inputs, named, sample_weight, mask))

    def value_and_grad(
        self, *inputs: Any, sample_weight: Any = None, mask: Any = None, wrt: Any = None, **named: Any
    ) -> tuple[Any, Any]:
        """The loss, and its gradient with respect to the second input (or what `wrt` names)."""
        positions = wanted(wrt, self.spec.definition)
        arrays, trusted = self._inputs(self.be, inputs, named, sample_weight, mask)
        for i in positions:
            if arrays[i] is None:
                raise checks.missing_input(self.spec.name, self.spec.definition.inputs[i], self.spec.definition.inputs)
            arrays[i] = arrays[i] if self.be.kind(arrays[i]) == "f" else self.be.compute(arrays[i])
        value, gradients = self._value_and_gradients(arrays, trusted, positions)
        return value, gradients[0] if wrt is None or isinstance(wrt, str) else tuple(gradients)

    def grad_and_hess(self, *inputs: Any, **named: Any) -> Any:
        """Not of these losses: their values are not of single elements."""
        raise NotImplementedError(f"{self.spec.name} has no closed-form first and second derivative per element")

    def _value(self, arrays: list[Any], trusted: bool) -> Any:
        raise NotImplementedError

    def _value_and_gradients(self, arrays: list[Any], trusted: bool, positions: tuple[int, ...]) -> tuple[Any, Any]:
        raise NotImplementedError


class FreeGeneral(Named):
    """Such a loss without a backend: each call takes the backend of its arrays."""

    backend = None

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    def _of(
        self, inputs: tuple[Any, ...], named: dict[str, Any], more: dict[str, Any]
    ) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        """The loss in the framework of the arrays, and its inputs by place and by name."""
        found = bound(self.spec.definition, inputs, named)
        arrays = dict(zip(self.spec.definition.inputs, found, strict=True))
        native = make(self.spec, dispatch.backend_of(arrays | more))
        # On Keras the third by place may be weights.
        return (native, (), arrays) if self.spec.definition.optional else (native, inputs, named)

    def __call__(self, *inputs: Any, sample_weight: Any = None, mask: Any = None, **named: Any) -> Any:
        """The loss, in the framework of the arrays."""
        native, inputs, named = self._of(inputs, named, {"sample_weight": sample_weight, "mask": mask})
        return native(*inputs, sample_weight=sample_weight, mask=mask, **named)

    def value_and_grad(
        self, *inputs: Any, sample_weight: Any = None, mask: Any = None, wrt: Any = None, **named: Any
    ) -> Any:
        """The loss and its gradients, in the framework of the arrays."""
        native, inputs, named = self._of(inputs, named, {"sample_weight": sample_weight, "mask": mask})
        return native.value_and_grad(*inputs, sample_weight=sample_weight, mask=mask, wrt=wrt, **named)

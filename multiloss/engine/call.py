"""The arguments of a call, for every kind of loss: bound to the inputs, made native arrays, checked. Labels and domains
are checked where values can be read."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from multiloss.engine import checks, registry, shapes
from multiloss.engine.definition import Definition
from multiloss.engine.layout import ByAxis, Layout, axes_of, layout, sample_shape, trailing

Array = Any

_MOST_SIGNATURES = 64
_EVERY_CALL = ("sample_weight", "mask")
_MEANT = {
    "where": "mask",
    "weight": "sample_weight",
    "weights": "sample_weight",
    "target": "y_true",
    "targets": "y_true",
    "labels": "y_true",
    "input": "y_pred",
    "logits": "y_pred",
    "predictions": "y_pred",
    "log_predictions": "y_pred",
}
"""What other libraries call the arguments of a call."""


def bound(definition: Definition, given: tuple[Any, ...], named: Mapping[str, Any]) -> list[Any]:
    """The inputs in their order, then `sample_weight` and `mask`; None for those that are left out. Behind
    (y_true, y_pred) these two may come by place, as in Keras."""
    inputs = definition.inputs
    places = inputs if definition.kind == "of_inputs" else inputs + _EVERY_CALL
    if len(given) > len(places):
        raise checks.surplus_input(definition.name, f"got {len(given)} inputs; name sample_weight and mask", inputs)
    # torch 2.7 compiles no zip of unequal lengths, no default of `next` and no `|` of dictionaries.
    found = {places[i]: x for i, x in enumerate(given)}
    for name, x in named.items():
        if name not in inputs and name not in _EVERY_CALL:
            meant = _MEANT.get(name)
            hint = f"; what you mean is called {meant} here" if meant in inputs + _EVERY_CALL else ""
            if name in definition.readers or name in ("reduction", "validate") or (name == "axis" and definition.axis):
                hint = f"; it is an option, given to multiloss.get({definition.name!r}, {name}=...)"
            raise checks.surplus_input(definition.name, f"there is no {name!r}{hint}", inputs)
        if name in found:
            raise checks.surplus_input(definition.name, f"{name!r} is given twice", inputs)
        found[name] = x
    for name in inputs:
        if found.get(name) is None and name not in definition.optional:
            raise checks.missing_input(definition.name, name, inputs)
    return [found.get(name) for name in inputs + _EVERY_CALL]


def argnums(wrt: Any, definition: Definition) -> tuple[int, ...]:
    """The positions of the inputs that `wrt` (a name or several) asks gradients for; None is the second input."""
    real = [name for name in definition.inputs if not definition.is_integer(name)]
    must_be = f"wrt must be {real[0]!r}" if len(real) == 1 else f"wrt must be among {', '.join(map(repr, real))}"
    asked = definition.inputs[1:2] if wrt is None else (wrt,) if isinstance(wrt, str) else wrt
    if not isinstance(asked, (tuple, list)) or not asked:
        raise ValueError(f"{must_be}, got {wrt!r}")
    for name in asked:
        if name in definition.inputs and name not in real:
            what = "lengths" if name.endswith("_lengths") else "labels"
            raise ValueError(f"{definition.name} has integer {what}, which have no gradient: {must_be}")
        if name not in real:
            raise ValueError(f"{must_be}, got {wrt!r}")
    return tuple(definition.inputs.index(name) for name in asked)


class Call:
    """Converts and checks the arguments of each call of one loss, and remembers the kinds of arrays that passed.

    In a training loop shapes and dtypes repeat. Of arrays that are like earlier ones only the labels are checked.
    """

    def __init__(self, spec: Any) -> None:
        self.spec = spec
        self._first = True
        self.passed: set[Any] = set()
        """Signatures of inputs of which only labels still need a check."""

    def signature(self, be: Any, arrays: list[Any]) -> Any:
        """The signatures of inputs that are plain native arrays, without weights and mask; None for other calls."""
        if arrays[-1] is not None or arrays[-2] is not None:
            return None
        found = []
        for x in arrays[:-2]:
            if x is not None and not be.is_native(x):
                return None
            one = () if x is None else be.signature(x)
            if one is None:
                return None
            found.append(one)
        return tuple(found)

    def __call__(self, be: Any, arrays: list[Any], *, first: bool | None = None) -> tuple[list[Any], bool]:
        """Native arrays (the inputs, sample_weight, mask), and whether all labels were seen to be in range. `first`:
        whether to check as at the first call; None: if this is the first one."""
        spec = self.spec
        like_before = self.signature(be, arrays)
        if like_before is not None and like_before in self.passed:
            return arrays, not spec.definition.has_classes or self._trusted(be, arrays)
        arrays = convert(be, spec.definition.inputs, arrays)
        if spec.definition.spread:
            full = [
                spread(be, x, arrays[1], name, spec.definition.inputs[1]) if name in spec.definition.spread else x
                for name, x in zip((*spec.definition.inputs, *_EVERY_CALL), arrays, strict=True)
            ]
            like_before = like_before if all(x is y for x, y in zip(full, arrays, strict=True)) else None
            arrays = full
        labels_checked = check(be, spec, arrays, first=self._first if first is None else first)
        # While compiling `first` is given, so that torch.compile does not depend on `_first`, which changes.
        if like_before is not None or (first is None and self._first and have_values(be, arrays)):
            self._first = False
        if like_before is not None and not spec.validate:
            if len(self.passed) >= _MOST_SIGNATURES:
                self.passed.clear()
            self.passed.add(like_before)
        return arrays, labels_checked

    def _trusted(self, be: Any, arrays: list[Any]) -> bool:
        inputs = arranged(be, self.spec, arrays)
        return _check_labels(be, self.spec, layout(be, self.spec, inputs), inputs, None)


def have_values(be: Any, arrays: Iterable[Any]) -> bool:
    """Whether none of these is a meta, fake, symbolic or traced array. A call with such an array does not count as the
    first one, which checks values."""
    return all(x is None or be.signature(x) is not None for x in arrays)


def convert(be: Any, inputs: tuple[str, ...], arrays: list[Any]) -> list[Any]:
    """The inputs, sample_weight and mask as native arrays, on the device of the second input."""
    names = (*inputs, *_EVERY_CALL)
    main = arrays[1]
    native = [x for x in (main, *arrays[:-2]) if x is not None and be.is_native(x)]
    main = be.asarray(main, native[0] if native else None, names[1])
    return [
        x if x is None else main if i == 1 else be.asarray(x, main, name)
        for i, (name, x) in enumerate(zip(names, arrays, strict=True))
    ]


def spread(be: Any, x: Array, main: Array, name: str, other: str) -> Array:
    """An input that may be given as one number, as one for each row of `main`, or with length 1 on some axes, in the
    shape of `main`."""
    shape, whole = be.shape(x), be.shape(main)
    if shape == whole and None not in shape:
        return x
    by_row = len(shape) == len(whole) - 1 and checks.same(shape, whole[:-1])
    along = len(shape) == len(whole) and all(a in (b, 1, None) or b is None for a, b in zip(shape, whole, strict=True))
    if shape and not by_row and not along:
        raise checks.shape_of_spread(name, shape, other, whole)
    if shape and by_row:
        x = be.rows_like(x, main) if None in (*shape, *whole) else x[..., None]
    # What lengths that are not known turn out to be is compared by the adapter (`fitted`), for the product as well.
    return x * be.cast_like(be.xp.ones_like(main), x)


def gathered(be: Any, gradient: Array, given: Array) -> Array:
    """The gradient by what `spread` got, in the shape of that."""
    shape, whole = tuple(np.shape(given)), be.shape(gradient)
    if None in (*shape, *whole):
        return be.summed_to(gradient, given)
    if len(shape) < len(whole):
        return be.xp.sum(gradient, axis=-1 if shape else None)
    axes = tuple(i for i, (a, b) in enumerate(zip(shape, whole, strict=True)) if a != b)
    return be.xp.sum(gradient, axis=axes, keepdims=True) if axes else gradient


def arranged(be: Any, spec: Any, arrays: list[Any]) -> dict[str, Array]:
    """The given inputs by name, with their axes in the order of the definition's shapes."""
    definition = spec.definition
    found = definition.arrange(be.xp, arrays[:-2], spec.kwargs)
    return {name: x for name, x in zip(definition.inputs, found, strict=True) if x is not None}


def check(be: Any, spec: Any, arrays: list[Any], *, first: bool) -> bool:
    """Refuse arguments that the loss is not defined for. Returns whether all labels were seen to be in range."""
    definition = spec.definition
    given = dict(zip(definition.inputs, arrays[: len(definition.inputs)], strict=True))
    if definition.kind == "of_inputs":
        for name, x in given.items():
            integer = definition.is_integer(name)
            kinds = "iu" if integer else "fiub" if name == "y_true" else "fiu"
            if x is not None and be.dtype_kind(x) not in kinds:
                hint = _other_targets(be, spec, given) if integer else ""
                raise checks.label_dtype(x.dtype, name, hint) if integer else checks.real_dtype(name, x.dtype)
        inputs = arranged(be, spec, arrays)
        try:
            how = layout(be, spec, inputs)
        except ValueError as error:
            raise ValueError(f"{error}{_other_targets(be, spec, given)}") from None
        shapes.not_empty(definition.shapes, {n: be.shape(x) for n, x in inputs.items()}, definition.may_be_empty)
    else:
        inputs = given
        shape = be.shape(given["y_pred"])
        how = ByAxis(definition, spec.axis_in(len(shape)), shape)
        _check_pair(be, spec, **given, first=first)
    *_, weight, mask = arrays
    if definition.whole_batch and weight is not None and be.shape(weight):
        raise checks.whole_batch(definition.name, be.shape(weight))
    check_weights(be, weight, mask, how.samples, be.shape(inputs[definition.inputs[1]]))
    labels_checked = _check_labels(be, spec, how, inputs, mask)
    if spec.validate or (first and spec.validate is None):
        _check_domain(be, spec, how, inputs, mask)
    return labels_checked


def _other_targets(be: Any, spec: Any, given: Mapping[str, Array]) -> str:
    """What to do with targets that have the shape of the scores, or of these with the classes on another axis."""
    axis = spec.kwargs.get("class_axis")
    if axis is None or given.keys() != {"y_true", "y_pred"}:
        return ""
    true, pred = be.shape(given["y_true"]), be.shape(given["y_pred"])
    if checks.same(true, pred):
        return checks.of_soft_targets(spec.name, axis)
    places = [i for i in range(len(pred)) if checks.same(true, pred[:i] + pred[i + 1 :])]
    return f"; class_axis={places[0]} has the classes there" if places else ""


def _check_pair(be: Any, spec: Any, y_true: Array, y_pred: Array, *, first: bool) -> None:
    """Refuse targets and predictions that do not go together."""
    definition, true_shape, pred_shape = spec.definition, be.shape(y_true), be.shape(y_pred)
    axis = spec.axis_in(len(pred_shape))
    checks.axis_fits(axis, pred_shape, "y_pred")
    if definition.classes and pred_shape[axis] == 0:
        raise checks.no_classes(axis, pred_shape)
    if be.dtype_kind(y_pred) not in "fiu":
        raise checks.real_dtype("y_pred", y_pred.dtype)
    if definition.integer_targets and be.dtype_kind(y_true) not in "iu":
        soft = definition.has_labels and checks.same(true_shape, pred_shape)
        hint = checks.swapped("y_true", "y_pred", (be.dtype_kind(y_true), be.dtype_kind(y_pred)))
        raise checks.label_dtype(
            y_true.dtype, hint=checks.of_soft_targets(definition.name, axis) if soft and not hint else hint
        )
    if definition.has_labels:
        checks.label_shape(true_shape, pred_shape, axis, definition.name)
    else:
        if be.dtype_kind(y_true) not in "fiub":
            raise checks.real_dtype("y_true", y_true.dtype)
        labels = be.dtype_kind(y_true) in "iu" and true_shape == sample_shape(pred_shape, axis)
        checks.equal_shapes(true_shape, pred_shape, registry.of_labels(definition), labels=labels)
    class_weight = spec.kwargs.get("class_weight")
    if class_weight is not None:
        checks.class_weights(class_weight, pred_shape[axis])
    if first and definition.is_root and all(pred_shape[item] == 1 for item in axes_of(axis, len(pred_shape))):
        warnings.warn(
            f"{definition.name} over an axis of length 1 is the absolute value of each element; "
            f"pass axis=None for the root of the mean over all",
            UserWarning,
            stacklevel=6,
        )


def check_weights(be: Any, sample_weight: Array | None, mask: Array | None, samples: Any, shape: Any) -> None:
    """Refuse weights and masks that do not belong to per-sample values of shape `samples`."""
    if sample_weight is not None:
        if be.dtype_kind(sample_weight) not in "fiub":
            raise checks.real_dtype("sample_weight", sample_weight.dtype)
        checks.weight_shape("sample_weight", be.shape(sample_weight), samples, shape)
    if mask is not None:
        if be.dtype_kind(mask) != "b":
            raise checks.mask_dtype(mask.dtype)
        checks.weight_shape("mask", be.shape(mask), samples, shape)


def _check_labels(be: Any, spec: Any, how: Layout, inputs: Mapping[str, Array], mask: Array | None) -> bool:
    """Whether all labels (and lengths) are known to be in their range; known ones out of range are refused."""
    labels_checked, quick = True, getattr(be, "labels_fit", None)
    for name, x in inputs.items():
        if not how.has_range(name):
            continue
        most, of = how.known_most(name)
        if spec.validate is False or most is None:
            labels_checked = False
            continue
        if quick is not None and quick(x, most):
            continue
        labels, kept = be.host(x), None if mask is None else be.host(mask)
        if labels is None or (mask is not None and kept is None):
            labels_checked = False
            continue
        keep = None
        if kept is not None and how.has_samples(name):
            keep = _over(how, spread_host(kept, how.samples), name, labels)
        if of:
            checks.lengths_in_range(name, labels, most - 1, of, keep)
        elif not checks.labels_fit(labels, most):
            checks.labels_in_range(labels, most, spec.kwargs.get("ignore_index"), keep, name, _way_out(spec, how, name))
    return labels_checked


def _way_out(spec: Any, how: Layout, name: str) -> str | None:
    """The advice for a label such as -1 to a loss without `ignore_index`."""
    if isinstance(how, ByAxis) or "ignore_index" in spec.kwargs:
        return None
    if len(how.definition.shapes[name].letters) == 1:
        return "to leave such samples out pass a mask"
    if "label_lengths" in how.definition.inputs:  # sequences of labels
        return "pad with a class, such as 0, and pass label_lengths: the padding is not read then"
    return "pad with 0, which is no label here"


def _check_domain(be: Any, spec: Any, how: Layout, inputs: Mapping[str, Array], mask: Array | None) -> None:
    domains = spec.definition.domain(spec.kwargs)
    if not domains:
        return
    ignored = spec.kwargs.get("ignore_index")
    keep = None if mask is None else be.host(mask)
    labels = None if ignored is None else be.host(next(x for name, x in inputs.items() if how.has_range(name)))
    if (mask is not None and keep is None) or (ignored is not None and labels is None):
        return  # it cannot be read which samples count
    keep = None if keep is None else spread_host(keep, how.samples)
    if labels is not None:
        counted = labels != ignored
        keep = counted if keep is None else counted & keep
    axis = spec.axis_in(len(be.shape(inputs[spec.definition.inputs[1]])))
    for name, domain in domains.items():
        values = be.host(inputs[name]) if name in inputs else None
        if values is None:
            continue
        kept = values
        if keep is not None and how.has_samples(name):
            kept = values[_over(how, keep, name, values)]
        if domain is checks.LABEL_SETS:
            checks.label_sets(name, kept, be.shape(inputs["y_pred"])[axis])
            continue
        dtype = inputs[name].dtype
        checks.in_domain(name, kept, domain, spec.kwargs, dtype)
        if spec.validate and spec.definition.takes_axis and spec.definition.kind != "elementwise":
            normalizes = "normalize" in spec.kwargs and name == "y_pred"
            if domain is checks.PROBABILITY:
                way_out = "normalize=True divides by it" if normalizes else "divide by it"
                checks.sums_to_one(name, values, axis, keep, dtype, way_out)
            elif domain is checks.LOG_PROBABILITY:
                way_out = "normalize=True divides by it" if normalizes else "log_softmax makes it 1"
                checks.sums_to_one(f"exp({name})", np.exp(values), axis, keep, dtype, way_out)


def spread_host(keep: Any, samples: Any) -> Any:
    """A mask on the host, broadcast from the left to the shape of the per-sample values."""
    return np.broadcast_to(trailing(keep, keep.ndim, len(samples)), samples)


def _over(how: Layout, keep: Any, name: str, values: Any) -> Any:
    """A mask of the samples on the host, spread over the entries of an input."""
    return np.broadcast_to(how.over(keep, name, values.ndim), values.shape)

"""What comes into a call, once: native arrays, checked; labels and domains are read where they can be read."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from multiloss import checks
from multiloss.pipeline import expand, sample_shape

Array = Any

_MOST_SIGNATURES = 64


class Inputs:
    """Converts and checks what each call of one loss gets, and remembers what passed.

    In a training loop shapes and dtypes repeat: of arrays like ones that passed before, only labels are looked at.
    """

    def __init__(self, spec: Any) -> None:
        self.spec = spec
        self._first = True
        self.passed: set[Any] = set()
        """Pairs of signatures that need no checks any more, but of labels."""

    def knows(self, be: Any, y_true: Any, y_pred: Any) -> bool:
        """Whether arrays like these passed before."""
        return _both(be.signature(y_true), be.signature(y_pred)) in self.passed

    def __call__(
        self, be: Any, y_true: Any, y_pred: Any, sample_weight: Any, mask: Any, *, first: bool | None = None
    ) -> tuple[Array, Array, Array | None, Array | None, bool]:
        """Native arrays, and whether labels are known to be in range (`trusted`). Whether this is the `first` call it
        knows itself, where it may look."""
        spec, like_before = self.spec, None
        if sample_weight is None and mask is None and be.is_native(y_true) and be.is_native(y_pred):
            like_before = _both(be.signature(y_true), be.signature(y_pred))
            if like_before is not None and like_before in self.passed:
                return y_true, y_pred, None, None, _check_labels(be, spec, y_true, be.shape(y_pred), None, ())
        arrays = convert(be, y_true, y_pred, sample_weight, mask, "y_true", "y_pred")
        trusted = check(be, spec, *arrays, first=self._first if first is None else first)
        if hasattr(be, "fitted"):
            arrays = be.fitted(spec, *arrays)
        # While compiling `first` is given: torch.compile would compile anew once what it looked at here has changed.
        if like_before is not None or (first is None and self._first and have_values(be, arrays)):
            self._first = False
        if like_before is not None and not spec.validate:
            if len(self.passed) >= _MOST_SIGNATURES:
                self.passed.clear()
            self.passed.add(like_before)
        return (*arrays, trusted)


def have_values(be: Any, arrays: Iterable[Any]) -> bool:
    """Whether none of these is a meta, fake, symbolic or traced array. A call with such a one is not the first call,
    which checks what can only be read of values."""
    return all(x is None or be.signature(x) is not None for x in arrays)


def _both(first: Any, second: Any) -> Any:
    return None if first is None or second is None else (first, second)


def convert(
    be: Any, y_true: Any, y_pred: Any, sample_weight: Any, mask: Any, true_name: str, pred_name: str
) -> tuple[Array, ...]:
    """All arguments as native arrays, on the device of `y_pred`; the first two have these names in errors."""
    like = y_pred if be.is_native(y_pred) else y_true if be.is_native(y_true) else None
    y_pred = be.asarray(y_pred, like, pred_name)
    return (
        be.asarray(y_true, y_pred, true_name),
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
    checks.axis_fits(axis, pred_shape, "y_pred")
    if definition.classes and pred_shape[axis] == 0:
        raise checks.no_classes(axis, pred_shape)
    if be.kind(y_pred) not in "fiu":
        raise checks.real_dtype("y_pred", y_pred.dtype)
    if definition.integer_targets and be.kind(y_true) not in "iu":
        raise checks.label_dtype(y_true.dtype)
    if definition.has_labels:
        checks.label_shape(true_shape, pred_shape, axis, definition.name)
    else:
        if be.kind(y_true) not in "fiub":
            raise checks.real_dtype("y_true", y_true.dtype)
        checks.equal_shapes(true_shape, pred_shape)
    class_weight = spec.kwargs.get("class_weight")
    if class_weight is not None:
        checks.class_weights(class_weight, pred_shape[axis])
    samples = sample_shape(pred_shape, axis)
    check_weights(be, sample_weight, mask, samples, pred_shape)
    if first and (definition.kernel or "").startswith("root_") and _spans_one(pred_shape, axis):
        warnings.warn(
            f"{definition.name} over an axis of length 1 is the absolute value of each element; "
            f"pass axis=None for the root of the mean over all",
            UserWarning,
            stacklevel=4,
        )
    trusted = _check_labels(be, spec, y_true, pred_shape, mask, samples)
    if spec.validate or (first and spec.validate is None):
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
    """Whether all labels are known to be in range."""
    if not spec.definition.has_labels:
        return True
    if spec.validate is False:
        return False
    classes = pred_shape[spec.axis]
    quick = getattr(be, "labels_fit", None)
    if quick is not None and classes is not None and quick(y_true, classes):
        return True
    labels = be.host(y_true)
    kept = None if mask is None else be.host(mask)
    if labels is None or classes is None or (mask is not None and kept is None):
        return False
    if not checks.labels_fit(labels, classes):
        keep = None if kept is None else spread_host(kept, samples)
        checks.labels_in_range(labels, classes, spec.kwargs.get("ignore_index"), keep)
    return True


def _check_domain(be: Any, spec: Any, y_true: Array, y_pred: Array, mask: Any, samples: Any) -> None:
    domains = spec.definition.domain(spec.kwargs)
    if not domains:
        return
    arrays = {"y_true": y_true, "y_pred": y_pred}
    host = {name: be.host(x) for name, x in arrays.items()}
    ignored = spec.kwargs.get("ignore_index")
    keep = None if mask is None else be.host(mask)
    if (mask is not None and keep is None) or (ignored is not None and host["y_true"] is None):
        return  # which samples count cannot be read
    keep = None if keep is None else spread_host(keep, samples)
    if ignored is not None:
        counted = host["y_true"] != ignored
        keep = counted if keep is None else counted & keep
    for name, domain in domains.items():
        values = host[name]
        if values is None:
            continue
        kept = values
        if keep is not None:
            kept = values[np.broadcast_to(expand(keep, spec.axis, values.ndim), values.shape)]
        if domain is checks.LABEL_SETS:
            checks.label_sets(name, kept, be.shape(y_pred)[spec.axis])
            continue
        checks.in_domain(name, kept, domain, "from_logits" in spec.kwargs, arrays[name].dtype)
        if spec.validate and spec.definition.kind != "elementwise":
            dtype, normalizes = arrays[name].dtype, "normalize" in spec.kwargs and name == "y_pred"
            if domain is checks.PROBABILITY:
                way_out = "normalize=True divides by it" if normalizes else "divide by it"
                checks.sums_to_one(name, values, spec.axis, keep, dtype, way_out)
            elif domain is checks.LOG_PROBABILITY:
                way_out = "normalize=True divides by it" if normalizes else "log_softmax makes it 1"
                checks.sums_to_one(f"exp({name})", np.exp(values), spec.axis, keep, dtype, way_out)


def _spans_one(shape: Any, axis: Any) -> bool:
    axes = range(len(shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return all(shape[item] == 1 for item in axes)


def spread_host(keep: Any, samples: Any) -> Any:
    """A mask on the host, broadcast from the left to the shape of the per-sample values."""
    return np.broadcast_to(keep.reshape(keep.shape + (1,) * (len(samples) - keep.ndim)), samples)

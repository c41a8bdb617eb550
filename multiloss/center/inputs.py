"""Checks of the arrays of a call of a center loss, and the labels that it needs to know."""

from __future__ import annotations

from typing import Any

from multiloss.center.options import CenterOptions
from multiloss.engine import call, checks

Array = Any

_HINT = "to leave such samples out pass a mask"


def check(
    be: Any, chosen: CenterOptions, dim: int | None, labels: Array, features: Array, sample_weight: Any, mask: Any
) -> None:
    """Refuse arrays that do not go with centers of `dim` features (None or 0: not known yet)."""
    if be.dtype_kind(labels) not in "iu":
        hint = checks.swapped("labels", "features", (be.dtype_kind(labels), be.dtype_kind(features)))
        raise checks.label_dtype(labels.dtype, "labels", hint)
    if be.dtype_kind(features) not in "fiu":
        raise checks.real_dtype("features", features.dtype)
    label_shape, shape = be.shape(labels), be.shape(features)
    if len(shape) != len(label_shape) + 1 or not checks.same(label_shape, shape[:-1]):
        raise ValueError(
            f"labels must hold one class per feature vector, of shape {shape[:-1]} for features of shape {shape}, "
            f"got shape {label_shape}"
        )
    if shape[-1] == 0:
        raise ValueError(f"features must have at least one feature, got shape {shape}")
    if not chosen.table.one_row and dim not in (None, 0) and shape[-1] not in (None, dim):
        raise ValueError(f"features must have {dim} features, as the centers have, got shape {shape}")
    if chosen.table.of_batch and len(label_shape) != 1:
        raise ValueError(f"{chosen.loss} compares the samples of one batch: features must be (N, D), got shape {shape}")
    call.check_weights(be, sample_weight, mask, label_shape, shape)


def read(be: Any, labels: Array, mask: Any) -> Any:
    """The labels that the mask keeps, in NumPy; None where they cannot be read."""
    values, kept = (None if x is None else be.host(x) for x in (labels, mask))
    if values is None or mask is None:
        return values
    return None if kept is None else values[call.spread_host(kept, values.shape)]


def labels_known(be: Any, chosen: CenterOptions, classes: int, labels: Array, mask: Any) -> bool:
    """Whether all labels that the mask keeps are known to be in [0, classes); one known to be outside is refused."""
    if chosen.validate is False or chosen.table.one_row:  # one row for all uses no labels
        return False
    fit = getattr(be, "labels_fit", None)
    if fit is not None and mask is None and fit(labels, classes):
        return True
    values = read(be, labels, mask)
    if values is not None:
        checks.labels_in_range(values, classes, None, None, "labels", _HINT)
    return values is not None


def grown(be: Any, chosen: CenterOptions, classes: int, labels: Array, mask: Any) -> int:
    """How many classes a table that has `classes` needs for these labels; 1 at least, so that there is a table."""
    values = read(be, labels, mask)
    if values is None:
        raise ValueError(
            "the number of classes cannot be read from the labels here (traced, compiled or on an accelerator); "
            f"pass num_classes to multiloss.get({chosen.loss!r}, ...)"
        )
    top = int(values.max()) + 1 if values.size else 0
    if top > chosen.max_classes:
        raise ValueError(
            f"labels hold the class {top - 1}, and the centers grow by themselves up to max_classes="
            f"{chosen.max_classes} only; pass num_classes to multiloss.get({chosen.loss!r}, ...)"
        )
    rows = max(top, classes, 1)
    checks.labels_in_range(values, rows, None, None, "labels", _HINT)
    return rows

"""The pure step of a center loss: gather the rows of the batch, compute the value, and the rows to commit."""

from __future__ import annotations

import dataclasses
from typing import Any

from multiloss.center.options import CenterOptions
from multiloss.definitions import center as formula
from multiloss.engine import call, pipeline
from multiloss.engine.layout import trailing
from multiloss.engine.samples import prepare
from multiloss.engine.table import Compared, Table

Array = Any


def native_arrays(be: Any, labels: Any, features: Any, sample_weight: Any, mask: Any) -> list[Array]:
    """All arguments as native arrays, on the device of the features."""
    return call.convert(be, ("labels", "features"), [labels, features, sample_weight, mask])


def _kept(be: Any, labels: Array, mask: Array | None) -> Array:
    """Which samples count, of the shape of the labels."""
    all_true = labels == labels
    return all_true if mask is None else all_true & trailing(mask, len(be.shape(mask)), len(be.shape(labels)))


def step(
    be: Any,
    chosen: CenterOptions,
    centers: Array,
    labels: Array,
    features: Array,
    sample_weight: Array | None,
    mask: Array | None,
    *,
    training: bool,
    labels_checked: bool,
    group: Any = None,
    differentiate: bool = False,
) -> tuple[Any, Array | None, Array | None]:
    """The value, the classes that move and their new rows; None for both unless `training`. Pure, traceable.

    Args:
        be: the adapter.
        chosen: the options.
        centers: the table, (C, D).
        labels: the classes, (...). features: (..., D). sample_weight, mask: as of every loss. All are native arrays.
        training: whether centers move.
        labels_checked: whether all labels are known to be in range.
        group: the processes (`protocol.Group`) whose batches together move the centers.
        differentiate: the value is a pair with its gradient by the features, in their dtype if that is real.
    """
    xp, table = be.xp, chosen.table
    if table.one_row:
        labels, centers, labels_checked = *one_row(be, table, centers, labels, features, mask, group), True
    labels = be.labels(labels)
    keep, invalid = None if mask is None else _kept(be, labels, mask), None
    if not labels_checked:
        invalid = (labels < 0) | (labels >= xp.class_count(centers, 0))
        invalid = invalid if keep is None else invalid & keep
        labels = xp.where(invalid, 0, labels)
    if keep is not None:
        labels = xp.where(keep, labels, 0)
    rows = xp.snapshot(xp.gather(centers, labels))

    samples = prepare(be, chosen.spec, rows, features, sample_weight, mask, labels_checked=True)
    if table.compares:
        inputs, counted = samples.inputs, _kept(be, labels, None) if keep is None else keep
        every_center = be.cast_like(xp.snapshot(centers), inputs["y_pred"])
        compared = Compared(inputs["y_true"], labels, every_center, counted)
        samples = dataclasses.replace(samples, inputs={**inputs, "y_true": compared})
    samples = samples if invalid is None else dataclasses.replace(samples, invalid=invalid)
    if differentiate:
        value, gradients = pipeline.value_and_gradients_of(be, chosen.spec, samples, ("y_pred",))
        gradient = gradients["y_pred"]
        value = value, be.cast_like(gradient, features) if be.dtype_kind(features) == "f" else gradient
    else:
        value = pipeline.value_of(be, chosen.spec, samples)
    if not training:
        return value, None, None
    x = table.measure(xp, be.cast_like(xp.stop_gradient(features), rows))
    return value, *_moved(be, chosen, centers, labels, rows, x, keep, invalid, group)


def _moved(
    be: Any,
    chosen: CenterOptions,
    centers: Array,
    labels: Array,
    rows: Array,
    x: Array,
    keep: Array | None,
    invalid: Array | None,
    group: Any,
) -> tuple[Array, Array]:
    """The classes that a batch moves, and their rows after the step."""
    xp, (classes, dim) = be.xp, be.shape(centers)
    if len(be.shape(labels)) != 1:
        labels, keep = (None if one is None else xp.reshape(one, (-1,)) for one in (labels, keep))
        rows, x = (xp.reshape(one, (-1, dim)) for one in (rows, x))
    if keep is None and (group is not None or chosen.moves_all):
        keep = _kept(be, labels, None)
    unless = None
    if invalid is not None:  # one label out of range, and no center moves
        unless = xp.any(invalid)
        if group is not None:
            unless = group.sum(xp.astype(unless, rows.dtype)) > 0
        if keep is not None:
            keep, unless = keep & ~unless, None
    if chosen.moves_all or (group is not None and not group.gathers(classes, dim, be.shape(x)[0])):
        return _of_all_classes(be, chosen, centers, labels, rows, x, keep, group)
    if group is not None:
        labels, x, keep = (group.gather(one) for one in (labels, x, keep))
        rows = xp.gather(centers, labels)
    moving, total, n = formula.class_sums(xp, rows, labels, x, keep)
    before = rows if moving is labels else xp.gather(centers, moving)
    count = None
    if chosen.rule.by_batch:
        count = xp.sum(xp.astype(_kept(be, labels, None) if keep is None else keep, rows.dtype))
    return moving, formula.moved(xp, before, total, n, count, chosen.alpha, chosen.rule, unless=unless)


def one_row(
    be: Any, table: Table, centers: Array, labels: Array, features: Array, mask: Array | None, group: Any
) -> tuple[Array, Array]:
    """Labels of 0 for all samples, and the table; a row that is nan, not known yet, becomes the mean of the batch."""
    xp = be.xp
    labels = xp.zeros_like(be.labels(labels))
    x = table.measure(xp, be.cast_like(xp.stop_gradient(features), centers))[..., 0]
    keep = _kept(be, labels, mask)
    total, n = (xp.reshape(xp.sum(xp.where(keep, one, 0)), (1, 1)) for one in (x, xp.ones_like(x)))
    if group is not None:
        total, n = group.sum(total), group.sum(n)
    first = total / xp.where(n == 0, 1, n)
    usable = (n > 0) & xp.isfinite(first)
    return labels, xp.where(xp.isnan(centers) & usable, first, centers)


def _of_all_classes(
    be: Any, chosen: CenterOptions, centers: Array, labels: Array, rows: Array, x: Array, keep: Array, group: Any
) -> tuple[Array, Array]:
    """Every class and its new row; between processes travel one sum and one count a class."""
    xp, extra = be.xp, None

    def sums(labels: Array, rows: Array, keep: Array) -> tuple[Array, Array]:
        moving, total, n = formula.class_sums(xp, rows, labels, x, keep)
        zeros = xp.concat([xp.zeros_like(centers), xp.zeros_like(centers[:, :1])], axis=1)
        both = xp.put_rows(zeros, moving, xp.concat([total, n[:, None]], axis=1))
        both = both if group is None else group.sum(both)
        return both[:, :-1], both[:, -1]

    own_step = chosen.definition.own_step
    if chosen.moves_all and own_step is not None:
        keep, extra = own_step(xp, Compared(rows, labels, centers, keep), x, sums, **dict(chosen.own))
    total, n = sums(labels, rows, keep)
    every_class = xp.reshape(xp.class_range(centers, 0), (-1,))
    return every_class, formula.moved(xp, centers, total, n, xp.sum(n), chosen.alpha, chosen.rule, extra)

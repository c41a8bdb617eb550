"""Center loss: its options, and the pure step: gather the rows of the batch, the value, the rows to commit."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

from multiloss.center.state import real_table
from multiloss.definitions import center as formula
from multiloss.engine import call, dispatch, options, pipeline, registry
from multiloss.engine.definition import Definition
from multiloss.engine.layout import trailing
from multiloss.engine.loss import Spec
from multiloss.engine.options import Count, UnitInterval
from multiloss.engine.table import Compared, Rule, Table

Array = Any

_OF_CLASSES = ("num_classes", "feature_dim", "centers_init", "seed", "max_classes")
"""The options that a loss has not whose one row stands for all classes."""


def _absent(table: Table) -> set[str]:
    """The options of the others that a loss has not."""
    has = {"preset": len(table.presets) > 1, "sharded": table.sharded, **dict.fromkeys(_OF_CLASSES, not table.one_row)}
    return {name for name, there in has.items() if not there}


@dataclasses.dataclass(frozen=True)
class CenterOptions:
    """The options of a center loss, normalised. An array given as `centers_init` is run-time data, no option."""

    loss: Annotated[str, options.one_of(*registry.TABLES)] = "center"
    own: tuple[tuple[str, Any], ...] = ()
    alpha: UnitInterval = 0.5
    num_classes: Count | None = None
    feature_dim: Count | None = None
    centers_init: Literal["zeros", "normal"] = "zeros"
    seed: int = 0
    reduction: Annotated[str, options.reduction] = "mean"
    update: Literal["auto", "manual"] = "auto"
    max_classes: Count = 65536
    validate: bool | None = None
    preset: str | None = None
    axis_name: Annotated[Any, options.names] | None = None
    sharded: bool = False
    initial: Any = dataclasses.field(default=None, compare=False, repr=False)
    process_group: Any = dataclasses.field(default=None, compare=False, repr=False)

    spec: Spec = dataclasses.field(init=False, compare=False, repr=False)
    """The value as a loss of the pipeline: targets are the gathered rows, predictions the features."""

    def __post_init__(self) -> None:
        own = self.own
        if "factor" in self.definition.options:  # which is the preset's
            own = (*own, ("factor", self.rule.factor))
        object.__setattr__(self, "spec", Spec(self.definition, own, reduction=self.reduction, validate=False))

    def __reduce__(self) -> tuple[Any, ...]:
        # Made anew, by what it was made of: a pickle holds no code.
        return CenterOptions, tuple(getattr(self, f.name) for f in dataclasses.fields(self) if f.init)

    @property
    def definition(self) -> Definition:
        """The loss."""
        return registry.TABLES[self.loss]

    @property
    def table(self) -> Table:
        """What it says of its table."""
        table: Any = self.definition.table
        return table

    @property
    def moves_all(self) -> bool:
        """Whether a step may move every class, as that of some of the family does."""
        return self.table.moves_all(dict(self.own))

    @property
    def rule(self) -> Rule:
        """The scale of the value and the step of the centers."""
        return self.table.presets[self.preset][0]

    def given(self) -> dict[str, Any]:
        """The options as `read_options` takes them, in plain JSON data; the centers are not in it."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.compare}
        own = dict(plain.pop("own"))
        left_out = {*_absent(self.table), *(name for name in ("axis_name", "sharded") if not plain[name])}
        return {"loss": plain.pop("loss")} | own | {key: value for key, value in plain.items() if key not in left_out}

    def config(self) -> dict[str, Any]:
        """Plain JSON data from which `multiloss.get(**config)` makes an equal center loss (without its centers)."""
        given = self.given()
        return {"name": given.pop("loss")} | given


_READERS = {
    f.name: options.reader_of(CenterOptions.__init__, f.name)
    for f in dataclasses.fields(CenterOptions)
    if f.compare and f.name not in ("own", "preset")  # which depend on the loss
}
_ORDER = ("preset", *(name for name in _READERS if name != "loss"))


def read_options(given: dict[str, Any]) -> CenterOptions:
    """Normalise the options of `multiloss.get("center", ...)`."""
    given = dict(given)
    process_group = given.pop("process_group", None)
    loss = _READERS["loss"]("loss", given.pop("loss", "center"))
    definition = registry.TABLES[loss]
    table: Any = definition.table
    defaults = {name: default for name, default in definition.options.items() if name != "factor"}
    known = [*defaults, *(name for name in _ORDER if name not in _absent(table))]
    for name in given:
        if name not in known:
            raise registry.unknown_option(loss, name, known)
    names = [name for name in table.presets if name]
    preset = options.optional(options.one_of(*names))("preset", given.get("preset"))
    given = {**table.presets[preset][1], **given}
    chosen = {name: definition.readers[name](name, given.pop(name, default)) for name, default in defaults.items()}
    if table.first is not None:
        given["centers_init"] = table.first(chosen)
    array, initial = None, given.get("centers_init")
    if initial is not None and not isinstance(initial, str):
        array = real_table(given.pop("centers_init"), "centers_init must be 'zeros', 'normal' or")
        for name, size in zip(("num_classes", "feature_dim"), array.shape, strict=True):
            if given.get(name) not in (None, size):
                raise ValueError(f"centers_init has shape {array.shape}, which contradicts {name}={given[name]}")
            given[name] = size
    read = {name: _READERS[name](name, value) for name, value in given.items() if name != "preset"}
    if read.get("num_classes") and "max_classes" not in read:
        read["max_classes"] = max(65536, read["num_classes"])
    return CenterOptions(
        loss=loss, own=tuple(chosen.items()), preset=preset, **read, initial=array, process_group=process_group
    )


def make(backend: str | None, given: dict[str, Any]) -> Any:
    """The center loss of a backend. Center loss holds state, so the backend must be named."""
    if backend is None:
        name = given.get("loss", "center")
        raise ValueError(f"{name} loss holds centers, so it needs a backend: multiloss.get({name!r}, backend='torch')")
    read = read_options(given)
    for name, owner in (("process_group", "torch"), ("sharded", "torch"), ("axis_name", "jax")):
        by_keras = name == "process_group" and backend == "keras"  # which knows what it runs on
        if name in given and given[name] is not None and backend != owner and not by_keras:
            raise ValueError(f"{name} is an option of the {owner} backend's center loss, got backend={backend!r}")
    be = dispatch.backend(backend)
    if not hasattr(be, "center"):
        raise ValueError(f"the backend {backend!r} has no losses that hold centers: its adapter defines no `center`")
    return be.center(read)


def native_arrays(be: Any, labels: Any, features: Any, sample_weight: Any, mask: Any) -> list[Array]:
    """All arguments as native arrays, on the device of the features."""
    return call.convert(be, ("labels", "features"), [labels, features, sample_weight, mask])


def _kept(be: Any, labels: Array, mask: Array | None) -> Array:
    """Which samples count, of the shape of the labels."""
    every = labels == labels
    return every if mask is None else every & trailing(mask, len(be.shape(mask)), len(be.shape(labels)))


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
    """The value, and the rows to commit: (value, labels, rows); no rows where nothing is to move. Pure, traceable.

    Args:
        be: the adapter.
        chosen: the options.
        centers: the table, (C, D).
        labels: the classes, (...). features: (..., D). sample_weight, mask: as of every loss. All are native arrays.
        training: whether centers move.
        labels_checked: whether all labels are known to be in range.
        group: the processes (see `protocol.Group`) of whose batches together the rows are.
        differentiate: the value then comes as a pair with its gradient by the features, in their dtype if that is real.
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

    samples = pipeline.prepare(be, chosen.spec, rows, features, sample_weight, mask, labels_checked=True)
    if table.compares:
        inputs, counted = samples.inputs, _kept(be, labels, None) if keep is None else keep
        every_center = be.cast_like(xp.snapshot(centers), inputs["y_pred"])
        compared = Compared(inputs["y_true"], labels, every_center, counted)
        samples = dataclasses.replace(samples, inputs=inputs | {"y_true": compared})
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
    if invalid is not None:  # Bad input changes nothing: one label out of range, and no center moves.
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
    """All samples as class 0, and the row: the mean of what the batch's features measure where it is not known yet."""
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
    """The whole table as rows to commit: what travels is one sum and one count a class."""
    xp, extra = be.xp, None

    def sums(labels: Array, rows: Array, keep: Array) -> tuple[Array, Array]:
        moving, total, n = formula.class_sums(xp, rows, labels, x, keep)
        none = xp.concat([xp.zeros_like(centers), xp.zeros_like(centers[:, :1])], axis=1)
        table = xp.put_rows(none, moving, xp.concat([total, n[:, None]], axis=1))
        table = table if group is None else group.sum(table)
        return table[:, :-1], table[:, -1]

    own_step = chosen.definition.own_step
    if chosen.moves_all and own_step is not None:
        keep, extra = own_step(xp, Compared(rows, labels, centers, keep), x, sums, **dict(chosen.own))
    total, n = sums(labels, rows, keep)
    every_class = xp.reshape(xp.class_range(centers, 0), (-1,))
    return every_class, formula.moved(xp, centers, total, n, xp.sum(n), chosen.alpha, chosen.rule, extra)


def words(chosen: CenterOptions, dim: int | None) -> list[str]:
    """The value, the step and the effective alpha, a line each."""
    if len(chosen.table.presets) == 1:  # the words of the others are of what a preset changes
        about = chosen.definition.doc.partition("\n\n")[0]
        own = ", ".join(f"{name} = {value}" if value is None else f"{name} = {value:g}" for name, value in chosen.own)
        step = chosen.table.step_in_words if chosen.moves_all or chosen.table.one_row else "Eq. 4 of center loss"
        return [about, f"value: {_REDUCTIONS[chosen.reduction]} it, {own}", f"step: {step}, alpha = {chosen.alpha:g}"]
    rule = chosen.rule
    over_d = f" / {dim or 'D'}" if dict(chosen.own)["per_feature"] else ""
    divisor = " / " + " / ".join([*["(1 + n_j)"] * rule.by_class, *["B"] * rule.by_batch])
    n, batch = 13, 128
    alpha = f"{rule.effective_alpha(chosen.alpha, n, batch):.4g}"
    same = " and for any other" if rule.by_class and not rule.by_batch else ""
    return [
        f"center loss{f', preset {chosen.preset!r}' if chosen.preset else ''}: {rule.source}",
        f"value: {_REDUCTIONS[chosen.reduction]} {rule.factor / 2:g} |x - c_y|^2{over_d}",
        f"step: c_j -= {chosen.alpha * rule.step_factor:g} sum(c_j - x_i){divisor if divisor != ' / ' else ''}",
        f"effective alpha: {alpha}, of Eq. 4, for a class with {n} of {batch} samples{same}",
    ]


_REDUCTIONS = {
    "mean": "mean over the samples of",
    "weighted_mean": "weighted mean over the samples of",
    "sum": "sum over the samples of",
    "batchmean": "sum over the samples, divided by the batch size, of",
    "none": "per sample",
}

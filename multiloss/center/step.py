"""Center loss: its options, and the pure step: gather the rows of the batch, the value, the rows to commit."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

import numpy as np

from multiloss import call, dispatch, options, pipeline, registry
from multiloss.definition import Definition
from multiloss.definitions import center as formula
from multiloss.layout import trailing
from multiloss.loss import Spec
from multiloss.options import Count, UnitInterval
from multiloss.table import Compared, Rule, Table

Array = Any

_OF_CLASSES = ("num_classes", "feature_dim", "centers_init", "seed", "max_classes")
"""The options that a loss has not whose one row stands for all classes."""


def _absent(table: Table) -> tuple[str, ...]:
    """The options of the others that a loss has not."""
    names: tuple[str, ...] = () if len(table.presets) > 1 else ("preset",)
    names += () if table.sharded else ("sharded",)
    return names + _OF_CLASSES if table.one_row else names


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

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "spec"}  # no code in a pickle

    def __setstate__(self, given: dict[str, Any]) -> None:
        own = dict(given["own"])
        if "per_feature" in given:  # once a field of its own
            own.setdefault("per_feature", given.pop("per_feature"))
        self.__dict__.update(given, own=tuple(own.items()))
        self.__post_init__()

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

    def config(self) -> dict[str, Any]:
        """Plain JSON data from which `multiloss.get(**config)` makes an equal center loss (without its centers)."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.compare}
        for name in ("axis_name", "sharded"):  # of one backend each
            if not plain[name]:
                del plain[name]
        name, own = plain.pop("loss"), dict(plain.pop("own"))
        return {"name": name} | own | {key: value for key, value in plain.items() if key not in _absent(self.table)}


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
    initial = given.get("centers_init")
    if initial is not None and not isinstance(initial, str):
        del given["centers_init"]
        array = np.array(to_host(initial), order="C")  # ours: what the caller's becomes later changes nothing
        if array.ndim != 2 or array.dtype.kind not in "fiu":
            raise ValueError(
                f"centers_init must be 'zeros', 'normal' or a real (classes, features) array, got shape {array.shape}"
            )
        for name, size in zip(("num_classes", "feature_dim"), array.shape, strict=True):
            if given.get(name) not in (None, size):
                raise ValueError(f"centers_init has shape {array.shape}, which contradicts {name}={given[name]}")
            given[name] = size
    else:
        array = None
    read = {name: _READERS[name](name, value) for name, value in given.items() if name != "preset"}
    if read.get("num_classes") and "max_classes" not in read:
        read["max_classes"] = max(65536, read["num_classes"])
    return CenterOptions(
        loss=loss, own=tuple(chosen.items()), preset=preset, **read, initial=array, process_group=process_group
    )


def to_host(x: Any) -> Any:
    """The values of any framework's tensor in NumPy, wherever they are; other things as they are."""
    framework = dispatch.framework_of(x)
    if framework in (None, "numpy"):
        return x
    be = dispatch.backend(str(framework))
    values = be.host(x)
    return (
        x.detach().cpu().numpy()
        if values is None and hasattr(x, "cpu")
        else np.asarray(x)
        if values is None
        else values
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
    return dispatch.backend(backend).center(read)


def native_arrays(be: Any, labels: Any, features: Any, sample_weight: Any, mask: Any) -> list[Array]:
    """All arguments as native arrays, on the device of the features."""
    return call.convert(be, ("labels", "features"), [labels, features, sample_weight, mask])


def _gather(
    be: Any, centers: Array, labels: Array, mask: Array | None, trusted: bool
) -> tuple[Array, Array | None, Array | None, Array]:
    """Labels that exist, which samples count and which labels do not exist (None: all, none), each sample's row."""
    xp = be.xp
    labels = be.labels(labels)
    keep = invalid = None
    if mask is not None:
        keep = _every(labels) & trailing(mask, len(be.shape(mask)), len(be.shape(labels)))
    if not trusted:
        invalid = (labels < 0) | (labels >= xp.class_count(centers, 0))
        invalid = invalid if keep is None else invalid & keep
        labels = xp.where(invalid, xp.zeros_like(labels), labels)
    if keep is not None:
        labels = xp.where(keep, labels, xp.zeros_like(labels))
    return labels, keep, invalid, xp.held(xp.gather(centers, labels))


def _every(labels: Array) -> Array:
    return labels == labels  # all True, of the shape of the labels


def _samples(
    be: Any, chosen: CenterOptions, centers: Array, gathered: Any, features: Array, sample_weight: Any, mask: Any
) -> pipeline.Samples:
    """What the value takes: the rows of the samples, or for the family (`Compared`) the whole table, too."""
    safe, keep, invalid, rows = gathered
    samples = pipeline.prepare(be, chosen.spec, rows, features, sample_weight, mask, trusted=True)
    samples = samples if invalid is None else dataclasses.replace(samples, invalid=invalid)
    if not chosen.table.compares:
        return samples
    table = be.cast_like(be.xp.held(centers), samples.inputs["y_pred"])
    keep = _every(safe) if keep is None else keep
    compared = Compared(samples.inputs["y_true"], safe, table, keep)
    return dataclasses.replace(samples, inputs=samples.inputs | {"y_true": compared})


def value_and_gradient(
    be: Any,
    chosen: CenterOptions,
    centers: Array,
    labels: Array,
    features: Array,
    sample_weight: Array | None,
    mask: Array | None,
    *,
    trusted: bool,
    group: Any = None,
) -> tuple[Array, Array]:
    """The value and its gradient by the closed form, in the dtype of the features where they are real."""
    if chosen.table.one_row:
        labels, centers, trusted = *one_row(be, chosen.table, centers, labels, features, mask, group), True
    gathered = _gather(be, centers, labels, mask, trusted)
    samples = _samples(be, chosen, centers, gathered, features, sample_weight, mask)
    value, gradients = pipeline.value_and_gradients_of(be, chosen.spec, samples, ("y_pred",))
    gradient = gradients["y_pred"]
    return value, be.cast_like(gradient, features) if be.kind(features) == "f" else gradient


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
    trusted: bool,
    group: Any = None,
) -> tuple[Array, Array | None, Array | None]:
    """The value, and the rows to commit: (value, labels, rows); no rows where nothing is to move. Pure, traceable.

    With a `group` (see `protocol.Group`) the rows are those of the batches of all processes together.
    """
    xp = be.xp
    if chosen.table.one_row:
        labels, centers, trusted = *one_row(be, chosen.table, centers, labels, features, mask, group), True
    gathered = _gather(be, centers, labels, mask, trusted)
    safe, keep, invalid, rows = gathered
    value = pipeline.value_of(be, chosen.spec, _samples(be, chosen, centers, gathered, features, sample_weight, mask))
    if not training:
        return value, None, None
    dim = be.shape(centers)[-1]
    x = be.cast_like(xp.stop_gradient(features), rows)
    x = x if chosen.table.measure is None else chosen.table.measure(xp, x)
    flat_rows, flat_x, flat_labels = rows, x, safe
    if len(be.shape(safe)) != 1:
        flat_rows, flat_x = xp.reshape(rows, (-1, dim)), xp.reshape(x, (-1, dim))
        flat_labels = xp.reshape(safe, (-1,))
    alike = keep is None and group is None and not chosen.moves_all
    flat_keep = None if alike else xp.reshape(_every(safe) if keep is None else keep, (-1,))
    # Bad input changes nothing: one label out of range, and no center moves.
    bad = None if invalid is None else xp.any(invalid)
    if bad is not None and group is not None:
        bad = group.sum(xp.astype(bad, rows.dtype)) > 0
    if bad is not None and flat_keep is not None:
        flat_keep = flat_keep & ~bad
    classes = be.shape(centers)[0]
    if chosen.moves_all or (group is not None and not group.gathers(classes, dim, be.shape(flat_x)[0])):
        return value, *_of_all_classes(be, chosen, centers, flat_labels, flat_rows, flat_x, flat_keep, group)
    if group is not None:
        flat_labels, flat_x, flat_keep = (group.gather(x) for x in (flat_labels, flat_x, flat_keep))
        flat_rows = xp.gather(centers, flat_labels)
    moving, total, n = formula.class_sums(xp, flat_rows, flat_labels, flat_x, flat_keep)
    before = flat_rows if moving is flat_labels else xp.gather(centers, moving)
    count = xp.sum(xp.astype(_every(flat_labels) if alike else flat_keep, rows.dtype)) if chosen.rule.by_batch else None
    unless = bad if flat_keep is None else None
    return value, moving, formula.moved(xp, before, total, n, count, chosen.alpha, chosen.rule, unless=unless)


def one_row(
    be: Any, table: Table, centers: Array, labels: Array, features: Array, mask: Array | None, group: Any
) -> tuple[Array, Array]:
    """All samples as class 0, and the row: the mean of what the batch's features measure where it is not known yet."""
    xp = be.xp
    labels = xp.zeros_like(be.labels(labels))
    x = be.cast_like(xp.stop_gradient(features), centers)
    x = (x if table.measure is None else table.measure(xp, x))[..., 0]
    counts = xp.ones_like(x)
    if mask is not None:
        keep = _every(labels) & trailing(mask, len(be.shape(mask)), len(be.shape(labels)))
        x, counts = (xp.where(keep, one, xp.zeros_like(one)) for one in (x, counts))
    total, n = (xp.reshape(xp.sum(one), (1, 1)) for one in (x, counts))
    if group is not None:
        total, n = group.sum(total), group.sum(n)
    first = total / xp.where(n == 0, xp.ones_like(n), n)
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

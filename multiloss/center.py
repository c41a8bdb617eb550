"""Center loss: its options, and the pure step: gather the rows of the batch, the value, the rows to commit."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from multiloss import call, dispatch, options, pipeline, registry
from multiloss.definitions import center as formula
from multiloss.definitions import center_family as family
from multiloss.loss import Spec

Array = Any

_READERS: dict[str, options.Reader] = {
    "loss": options.one_of("center", *family.FAMILY),
    "preset": options.optional(options.one_of(*(name for name in formula.PRESETS if name))),
    "alpha": options.unit_interval,
    "num_classes": options.optional(options.count),
    "feature_dim": options.optional(options.count),
    "centers_init": options.one_of("zeros", "normal"),
    "seed": options.integer,
    "per_feature": options.flag,
    "reduction": options.reduction,
    "update": options.one_of("auto", "manual"),
    "max_classes": options.count,
    "validate": options.optional(options.flag),
    "axis_name": options.optional(options.names),
    "sharded": options.flag,
}


_OF_CENTER = ("preset", "per_feature", "sharded")
"""The options that the rest of the family has not."""
_OF_CLASSES = ("num_classes", "feature_dim", "centers_init", "seed", "max_classes")
"""Those that ring loss, of one radius for all classes, has not either."""
_RING = formula.Rule(by_class=False, by_batch=True)


def _absent(loss: str) -> tuple[str, ...]:
    return () if loss == "center" else _OF_CENTER + _OF_CLASSES if loss == "ring" else _OF_CENTER


@dataclasses.dataclass(frozen=True)
class CenterOptions:
    """The options of a center loss, normalised. An array given as `centers_init` is run-time data, no option."""

    loss: str = "center"
    own: tuple[tuple[str, Any], ...] = ()
    alpha: float = 0.5
    num_classes: int | None = None
    feature_dim: int | None = None
    centers_init: str = "zeros"
    seed: int = 0
    per_feature: bool = False
    reduction: str = "mean"
    update: str = "auto"
    max_classes: int = 65536
    validate: bool | None = None
    preset: str | None = None
    axis_name: Any = None
    sharded: bool = False
    initial: Any = dataclasses.field(default=None, compare=False, repr=False)
    process_group: Any = dataclasses.field(default=None, compare=False, repr=False)

    spec: Spec = dataclasses.field(init=False, compare=False, repr=False)
    """The value as a loss of the pipeline: targets are the gathered rows, predictions the features."""

    def __post_init__(self) -> None:
        own, definition = self.own, family.FAMILY.get(self.loss, formula.distance)
        if self.loss == "center":
            own = (("per_feature", self.per_feature), ("factor", self.rule.factor))
        object.__setattr__(self, "spec", Spec(definition, own, reduction=self.reduction, validate=False))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "spec"}  # no code in a pickle

    def __setstate__(self, given: dict[str, Any]) -> None:
        self.__dict__.update(given)
        self.__post_init__()

    @property
    def moves_all(self) -> bool:
        """Whether a step may move every class, as that of some of the family does."""
        return family.moves_all(self.loss, dict(self.own))

    @property
    def rule(self) -> formula.Rule:
        """The scale of the value and the step of the centers."""
        return _RING if self.loss == "ring" else formula.PRESETS[self.preset][0]

    def config(self) -> dict[str, Any]:
        """Plain JSON data from which `multiloss.get(**config)` makes an equal center loss (without its centers)."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.compare}
        for name in ("axis_name", "sharded"):  # of one backend each
            if not plain[name]:
                del plain[name]
        name, own = plain.pop("loss"), dict(plain.pop("own"))
        return {"name": name} | own | {key: value for key, value in plain.items() if key not in _absent(name)}


def read_options(given: dict[str, Any]) -> CenterOptions:
    """Normalise the options of `multiloss.get("center", ...)`."""
    given = dict(given)
    process_group = given.pop("process_group", None)
    loss = _READERS["loss"]("loss", given.pop("loss", "center"))
    own = family.FAMILY[loss].options if loss != "center" else {}
    known = [*own, *(name for name in _READERS if name != "loss" and name not in _absent(loss))]
    for name in given:
        if name not in known:
            raise registry.unknown_option(loss, name, known)
    chosen = {name: given.pop(name, default) for name, default in own.items()}
    chosen = {name: family.FAMILY[loss].readers[name](name, value) for name, value in chosen.items()}
    preset = _READERS["preset"]("preset", given.get("preset"))
    given = {**formula.PRESETS[preset][1], **given}
    if loss == "ring":
        first = np.array([[np.nan if chosen["radius"] is None else chosen["radius"]]])
        given = {"alpha": 0.001, **given, "centers_init": first}
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
    read = {name: _READERS[name](name, value) for name, value in given.items()}
    if read.get("num_classes") and "max_classes" not in read:
        read["max_classes"] = max(65536, read["num_classes"])
    return CenterOptions(loss=loss, own=tuple(chosen.items()), **read, initial=array, process_group=process_group)


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
        keep = _every(labels) & pipeline.trailing(mask, len(be.shape(mask)), len(be.shape(labels)))
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
    if chosen.loss in ("center", "ring"):
        return samples
    table = be.cast_like(be.xp.held(centers), samples.inputs["y_pred"])
    keep = _every(safe) if keep is None else keep
    compared = family.Compared(samples.inputs["y_true"], safe, table, keep)
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
    if chosen.loss == "ring":
        labels, centers, trusted = *one_radius(be, centers, labels, features, mask, group), True
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
    if chosen.loss == "ring":
        labels, centers, trusted = *one_radius(be, centers, labels, features, mask, group), True
    gathered = _gather(be, centers, labels, mask, trusted)
    safe, keep, invalid, rows = gathered
    value = pipeline.value_of(be, chosen.spec, _samples(be, chosen, centers, gathered, features, sample_weight, mask))
    if not training:
        return value, None, None
    dim = be.shape(centers)[-1]
    x = be.cast_like(xp.stop_gradient(features), rows)
    x = family.directions(xp, x)[1] if chosen.loss == "ring" else x
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


def one_radius(
    be: Any, centers: Array, labels: Array, features: Array, mask: Array | None, group: Any
) -> tuple[Array, Array]:
    """All samples as class 0, and the radius: the mean length of the batch's features where it is not known yet."""
    xp = be.xp
    labels = xp.zeros_like(be.labels(labels))
    length = family.directions(xp, be.cast_like(xp.stop_gradient(features), centers))[1][..., 0]
    counts = xp.ones_like(length)
    if mask is not None:
        keep = _every(labels) & pipeline.trailing(mask, len(be.shape(mask)), len(be.shape(labels)))
        length, counts = (xp.where(keep, x, xp.zeros_like(x)) for x in (length, counts))
    total, n = (xp.reshape(xp.sum(x), (1, 1)) for x in (length, counts))
    if group is not None:
        total, n = group.sum(total), group.sum(n)
    first = total / xp.where(n == 0, xp.ones_like(n), n)
    usable = (n > 0) & xp.isfinite(first)
    return labels, xp.where(xp.isnan(centers) & usable, first, centers)


def _of_all_classes(
    be: Any, chosen: CenterOptions, centers: Array, labels: Array, rows: Array, x: Array, keep: Array, group: Any
) -> tuple[Array, Array]:
    """The whole table as rows to commit: what travels is one sum and one count a class."""
    xp, own, extra = be.xp, dict(chosen.own), None

    def sums(labels: Array, rows: Array, keep: Array) -> tuple[Array, Array]:
        moving, total, n = formula.class_sums(xp, rows, labels, x, keep)
        none = xp.concat([xp.zeros_like(centers), xp.zeros_like(centers[:, :1])], axis=1)
        table = xp.put_rows(none, moving, xp.concat([total, n[:, None]], axis=1))
        table = table if group is None else group.sum(table)
        return table[:, :-1], table[:, -1]

    if chosen.loss == "triplet_center":
        compared = family.Compared(rows, labels, centers, keep)
        gap, other, q = family.triplet_gap(xp, compared, x, own["margin"])
        keep = keep & family.active(xp, gap)
        # What is not finite is near to nothing, and touches its own class only.
        away, n = sums(xp.where(xp.isnan(gap), labels, be.labels(q)), other, keep)
        extra = -away / (1 + n)[:, None]
    elif chosen.loss == "island":
        extra = family.island_push(xp, centers, own["weight"])
    total, n = sums(labels, rows, keep)
    every_class = xp.reshape(xp.class_range(centers, 0), (-1,))
    return every_class, formula.moved(xp, centers, total, n, xp.sum(n), chosen.alpha, chosen.rule, extra)


def words(chosen: CenterOptions, dim: int | None) -> list[str]:
    """The value, the step and the effective alpha, a line each."""
    if chosen.loss != "center":
        about = family.FAMILY[chosen.loss].doc.partition("\n\n")[0]
        own = ", ".join(f"{name} = {value}" if value is None else f"{name} = {value:g}" for name, value in chosen.own)
        step = "a step of its own, of all classes" if chosen.moves_all else "Eq. 4 of center loss"
        step = "the radius by its gradient" if chosen.loss == "ring" else step
        return [about, f"value: {_REDUCTIONS[chosen.reduction]} it, {own}", f"step: {step}, alpha = {chosen.alpha:g}"]
    rule = chosen.rule
    over_d = f" / {dim or 'D'}" if chosen.per_feature else ""
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

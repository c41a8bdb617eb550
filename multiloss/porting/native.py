"""The way back: the object of another library that gives the numbers of a loss of this library.

The tables declare which argument of a source is which option here (`Source.back`). The source with these arguments is
ported again, and offered only if that gives the loss it was asked for.
"""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

from multiloss.engine.loss import Spec, make_spec
from multiloss.engine.options import KERAS_WEIGHTED
from multiloss.porting import objects, parse
from multiloss.porting.rows import RefusedError, Source

LIBRARIES = {"torch.nn": "torch", "keras.losses": "keras", "optax": "jax", "optax.losses": "jax"}
"""Names of libraries for `multiloss.port(..., to=...)`, and the backend whose arrays they take."""

_BUT_FOR_TIES = {
    "hinge_embedding": "torch.hinge_embedding_loss",
    "margin_ranking": "torch.margin_ranking_loss",
    "cosine_embedding": "torch.cosine_embedding_loss",
    "triplet_margin": "torch.triplet_margin_loss",
}
"""Losses with torch's values, but not its gradient at a kink, or without the 1e-12 that it adds to a squared length."""
_SUMS = ("kl_divergence", "generalized_kl_divergence")
"""Sums over an axis of terms of single elements: a sum over the batch is then the same for every axis."""
_WEIGHTS = ("weight", "pos_weight", "class_weights")
"""Arguments that torch and Optax take as arrays only, not as lists."""
_ARRAYS_OF = {"optax.losses.ctc_loss": ("y_pred", "logit_paddings", "y_true", "label_paddings")}
"""Names of arrays, of sources that take others than the loss here does."""


@dataclasses.dataclass(frozen=True)
class Native:
    """A loss of another library, with its arguments."""

    source: Source
    arguments: dict[str, Any]
    mean: str | None
    """How its values are reduced afterwards: "mean", "sum" or not at all."""
    notes: tuple[str, ...]

    @property
    def code(self) -> str:
        """Code to paste; it takes its arrays in its own order."""
        name = self.source.name
        listed = "".join(f", {key}={_written(self.source, key, value)}" for key, value in self.arguments.items())
        if self.source.is_class:
            return f"{name}({listed[2:]})"
        data = ", ".join(_ARRAYS_OF.get(name, self.source.data))
        return f"lambda {data}: {name}({data}{listed}){f'.{self.mean}()' if self.mean else ''}"

    def build(self) -> Any:
        """The object itself, or a function of its arrays in its own order."""
        theirs = _imported(self.source.name)
        given = {key: _made(self.source, key, value) for key, value in self.arguments.items()}
        given = objects.exchanged(self.source.name, given)
        if self.source.is_class:
            return theirs(**given)

        def loss(*arrays: Any) -> Any:
            values = theirs(*arrays, **given)
            return getattr(values, self.mean)() if self.mean else values

        return loss


def _maker(source: Source, name: str, value: Any) -> str | None:
    """The function that makes an array of an argument, if it must be an array there."""
    if name not in _WEIGHTS or not isinstance(value, int | float | tuple | list):
        return None
    return {"torch": "torch.tensor", "optax": "jax.numpy.asarray"}.get(source.name.partition(".")[0])


def _written(source: Source, name: str, value: Any) -> str:
    if name == "reduce_fn" and value is not None:
        return f"jax.numpy.{value}"
    maker = _maker(source, name, value)
    return repr(value) if maker is None else f"{maker}({_floats(value)!r})"


def _made(source: Source, name: str, value: Any) -> Any:
    if name == "reduce_fn" and value is not None:
        return _imported(f"jax.numpy.{value}")
    maker = _maker(source, name, value)
    return value if maker is None else _imported(maker)(_floats(value))


def _floats(value: Any) -> Any:
    """Floats, as torch takes no integers for weights."""
    return [_floats(item) for item in value] if isinstance(value, tuple | list) else float(value)


def _imported(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def find(spec: Spec, library: str, known: dict[str, Source]) -> Native | None:
    """The library's own loss that gives the numbers of `spec`, or None."""
    prefix = "optax.losses" if library == "optax" else library
    options = {**spec.kwargs, "reduction": spec.reduction}
    means_alike = spec.definition.kind == "elementwise" and spec.reduction == "mean"  # whatever the axis is
    if spec.definition.axis is not None and not means_alike:
        options["axis"] = spec.axis
    targets = "labels" if spec.definition.has_labels else "probabilities"
    for source in known.values():
        offered = source.name.startswith(prefix + ".") and source.refusal is None and _is_offered(source)
        if offered and (found := _matches(source, source.way_back(options), targets, spec)) is not None:
            return found
    return None


def from_source(text: str, library: str, known: dict[str, Source]) -> Native | None:
    """The loss that a written form stands for, if it is of that library."""
    try:
        name, args, kwargs = parse.parse(text)
    except ValueError:  # an argument is no literal, such as a distance function
        return None
    source = known[name]
    if not name.startswith(("optax.losses" if library == "optax" else library) + "."):
        return None
    arguments = source.arguments(args, kwargs)
    return Native(source, arguments, None, source.to_row(arguments).notes)


def _is_offered(source: Source) -> bool:
    """Only classes are offered of libraries that have classes; Keras' functions give other shapes."""
    return source.is_class or source.name.startswith("optax.")


def _matches(source: Source, arguments: dict[str, Any], targets: str, spec: Spec) -> Native | None:
    try:
        row = source.to_row(arguments, targets)
        near = _BUT_FOR_TIES.get(spec.name) == row.loss
        if row.loss != spec.name and not near:
            return None
        theirs = make_spec(spec.name, row.options)
    except (RefusedError, TypeError, ValueError):
        return None
    notes = [*row.notes, *(["its gradient differs at a kink or of a zero vector, where there is none"] if near else [])]
    ours, mean = spec, None
    if theirs.reduction == "none" and spec.reduction in ("mean", "sum") and not source.is_class:
        mean = spec.reduction
        theirs = dataclasses.replace(theirs, reduction=mean)
    for spec_of in (_plain, _two_axes, _no_ignored, _weights_as_they_come):
        ours, theirs, note = spec_of(ours, theirs)
        if note:
            notes.append(note)
    return Native(source, arguments, mean, tuple(notes)) if ours == theirs else None


def _plain(ours: Spec, theirs: Spec) -> tuple[Spec, Spec, str | None]:
    """Both without what changes no number: the axis of a mean of means, and epsilon if no logarithm is taken."""

    def plain(spec: Spec) -> Spec:
        own = dict(spec.own)
        if own.get("from_logits"):
            own |= {name: None for name in ("epsilon", "normalize") if name in own}
        if own.get("epsilon") == 0 and "epsilon_in" in own:
            own["epsilon_in"] = None
        elementwise = spec.definition.kind == "elementwise" and spec.reduction == "mean"
        summed = spec.name in _SUMS and not own.get("normalize") and spec.reduction in ("sum", "batchmean")
        axis = () if elementwise or summed else spec.axis
        return dataclasses.replace(spec, own=tuple(own.items()), axis=axis, validate=None)

    note = None
    if ours.definition.kind == "elementwise" and ours.reduction == "mean" and ours.axis != theirs.axis:
        note = "the same mean as long as no sample weights are given"
    return plain(ours), plain(theirs), note


def _weights_as_they_come(ours: Spec, theirs: Spec) -> tuple[Spec, Spec, str | None]:
    """Keras divides by the sum of the given weights, `weighted_mean` by a sum of one weight for each value."""
    if (ours.reduction, theirs.reduction) == ("weighted_mean", KERAS_WEIGHTED):
        note = "the same mean as long as each value has a weight of its own"
        return dataclasses.replace(ours, reduction=KERAS_WEIGHTED), theirs, note
    return ours, theirs, None


def _two_axes(ours: Spec, theirs: Spec) -> tuple[Spec, Spec, str | None]:
    """torch has the classes on axis 1, which is the last axis of (N, C)."""
    if ours.axis == -1 and theirs.axis == 1:
        return dataclasses.replace(ours, axis=1), theirs, "for (N, C): torch has the classes on axis 1"
    return ours, theirs, None


def _no_ignored(ours: Spec, theirs: Spec) -> tuple[Spec, Spec, str | None]:
    """A label that this library refuses may be ignored by the other."""
    own = dict(ours.own)
    if own.get("ignore_index", 0) is None and dict(theirs.own)["ignore_index"] is not None:
        ignored = dict(theirs.own)["ignore_index"]
        own["ignore_index"] = ignored
        return dataclasses.replace(ours, own=tuple(own.items())), theirs, f"the label {ignored} is ignored there"
    return ours, theirs, None

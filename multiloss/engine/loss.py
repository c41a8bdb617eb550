"""What all loss objects share: the spec (definition and options), config, equality, the way to another backend; and the
loss without a backend, which takes that of the arrays at each call."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any

from multiloss.engine import checks, dispatch, options, pipeline, registry
from multiloss.engine.call import Call, argnums, bound, gathered
from multiloss.engine.definition import Definition
from multiloss.engine.objects import FixedOptions
from multiloss.engine.page import EVERY_CALL, shown


@dataclasses.dataclass(frozen=True)
class Spec:
    """A definition and its normalised options, without a backend. Hashable, compared by value."""

    definition: Definition
    own: tuple[tuple[str, Any], ...]
    reduction: Annotated[str, options.reduction_of_port] = "mean"
    axis: int | tuple[int, ...] | None = -1
    validate: bool | None = None
    kwargs: dict[str, Any] = dataclasses.field(init=False, repr=False, compare=False)
    _hash: int = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kwargs", dict(self.own))
        object.__setattr__(self, "_hash", hash((self.definition.name, self.own, self.reduction, self.axis)))

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        # Made anew, since strings have other hashes in another process.
        return Spec, (self.definition, self.own, self.reduction, self.axis, self.validate)

    @property
    def name(self) -> str:
        """The canonical name of the loss."""
        return self.definition.name

    def axis_in(self, rank: int) -> Any:
        """`axis` in predictions of that rank. Axis 1 is axis 0 of one sample of scores, (C,), as torch takes it."""
        return 0 if self.axis == rank == 1 and self.definition.kind in ("over_axis", "over_labels") else self.axis

    def every_option(self) -> dict[str, Any]:
        """All options of this loss, its own ones first."""
        common = {"reduction": self.reduction, "axis": self.axis, "validate": self.validate}
        if self.definition.axis is None:
            del common["axis"]
        return dict(self.own) | common

    def config(self) -> dict[str, Any]:
        """Plain JSON data from which `multiloss.get(**config)` makes an equal loss."""
        return {"name": self.name} | {key: _json(value) for key, value in self.every_option().items()}


_REDUCTION, _VALIDATE = (options.reader_of(Spec.__init__, name) for name in ("reduction", "validate"))


def _json(value: Any) -> Any:
    return [_json(item) for item in value] if isinstance(value, tuple) else value


def make_spec(name: str | Definition, given: dict[str, Any]) -> Spec:
    """Read the options of a loss; unknown or impossible ones are refused by name."""
    definition = registry.find(name)
    readers = {
        **definition.readers,
        "reduction": _REDUCTION,
        **({} if definition.axis is None else {"axis": definition.axis}),
        "validate": _VALIDATE,
    }
    for option in given:
        if option not in readers:
            raise registry.unknown_option(definition.name, option, list(readers))
    values = {option: readers[option](option, value) for option, value in (definition.options | given).items()}
    common = {key: values.pop(key) for key in ("reduction", "axis", "validate") if key in values}
    return Spec(definition, tuple((option, values[option]) for option in definition.options), **common)


COMMON = ("reduction", "axis", "validate")
"""The options of every loss."""
MEANS = {
    "reduction": 'what the values of the samples become: "mean"; "weighted_mean", divided by the sum of the weights; '
    '"sum"; "batchmean", the sum divided by the length of the first axis; or "none", which leaves them',
    "axis": "the axes that hold the elements of one sample: one, several, None for all, () for none",
    "validate": "which calls check the values of their inputs (probabilities in [0, 1], say): None, the first one; "
    "True, each; False, none, and labels are not checked either",
}
"""What they mean, where the docstring of a loss does not say it."""


_TEXTS: dict[Any, str | None] = {}
"""The pages of losses, by all that they depend on."""
_MOST_TEXTS = 256


@functools.lru_cache(maxsize=_MOST_TEXTS)
def _signature_of(kind: Any, spec: Spec) -> inspect.Signature:
    found: inspect.Signature = kind._call_of(spec)
    return found


class LossObject(FixedOptions):
    """The methods that every native loss has besides its call. They need `spec` and `backend`."""

    spec: Spec
    backend: str | None
    source: str | None = None
    """The written form that it was ported from (`multiloss.port`)."""
    notes: tuple[str, ...] = ()
    """The conventions in which that source differs."""

    _help_methods = ("value_and_grad", "grad_and_hess", "config", "to_backend")

    def _take(self, spec: Spec) -> None:
        """Become the loss of that spec."""
        self.spec = spec
        self._hold_options()

    def _options(self) -> Mapping[str, Any]:
        spec = self.__dict__.get("spec")
        return {} if spec is None else spec.every_option()

    def _fixed(self) -> Collection[str]:
        spec = self.__dict__.get("spec")
        if spec is None:
            return ()
        # Not what the framework has of that name, as `training` of torch.
        return (*(name for name, x in spec.kwargs.items() if name not in self.__dict__ or self._has(name, x)), *COMMON)

    def _instead(self, name: str, value: str) -> str:
        return f"multiloss.get(**loss.config() | {{{name!r}: {value}}}) makes another loss"

    def _another(self) -> str:
        return "multiloss.get(**loss.config() | {...}) makes another loss"

    def _definition(self) -> Definition | None:
        spec = self.__dict__.get("spec")
        return None if spec is None else spec.definition

    def _means(self) -> Mapping[str, str]:
        return EVERY_CALL | MEANS

    def _text(self) -> str | None:
        # Kept, since `jax.grad(loss)` and the like read it five times each.
        key = type(self), self.__dict__.get("spec"), self.source, tuple(self.notes)
        text = _TEXTS.get(key)
        if text is None:
            if len(_TEXTS) >= _MOST_TEXTS:
                _TEXTS.clear()
            text = _TEXTS[key] = super()._text()
        return text

    def _signature(self) -> inspect.Signature | None:
        kind: Any = type(self)
        spec = self.__dict__.get("spec")
        return None if spec is None else _signature_of(kind, spec)

    @classmethod
    def _call_of(cls, spec: Spec) -> inspect.Signature:
        """How a loss of that spec is called."""
        definition = spec.definition
        kind: Any = inspect.Parameter.POSITIONAL_OR_KEYWORD
        given = [
            inspect.Parameter(name, kind, default=None if name in definition.optional else inspect.Parameter.empty)
            for name in definition.inputs
        ]
        kind = inspect.Parameter.KEYWORD_ONLY if definition.kind == "of_inputs" else kind
        return inspect.Signature([*given, *(inspect.Parameter(name, kind, default=None) for name in EVERY_CALL)])

    @property
    def __name__(self) -> str:
        """The name of the loss, for what takes functions, as `sklearn.metrics.make_scorer`."""
        return self.spec.name

    def config(self) -> dict[str, Any]:
        """The loss as plain JSON data: name, backend, options. `multiloss.get(**config)` is an equal loss."""
        return self.spec.config() | ({} if self.backend is None else {"backend": self.backend})

    def get_config(self) -> dict[str, Any]:
        """`config()` for Keras, which saves it with a model that was compiled with this loss."""
        dispatch.backend("keras")  # registers the class, so that the saved model can be loaded
        return self.config()

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The loss that `get_config` described."""
        options = {option: value for option, value in config.items() if option not in ("name", "backend")}
        return cls(make_spec(config["name"], options))  # type: ignore[call-arg]  # every class of losses takes a spec

    def to_backend(self, backend: str | None) -> Any:
        """The same loss, with the same options, in another framework."""
        other = make(self.spec, backend)
        other.source, other.notes = self.source, self.notes
        return other

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LossObject) and type(self) is type(other) and self.spec == other.spec

    def __hash__(self) -> int:
        return hash(self.spec)

    def __repr__(self) -> str:
        options = "".join(f", {key}={shown(value)}" for key, value in self.config().items() if key != "name")
        return f"multiloss.get({self.spec.name!r}{options})"


class LossBase(LossObject):
    """The base of the loss objects of adapters: a call is bound, converted and checked, then evaluated.

    A subclass has `backend` and `be` (the adapter), and may have a faster way than the pipeline from checked arrays to
    a value and gradients.
    """

    be: Any

    def __init__(self, spec: Spec) -> None:
        self._take(spec)
        self._checked = Call(spec)

    def _call(self, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """The loss of its inputs, by place or by name: `__call__`, where the framework has none of its own."""
        return self._value(*self._checked(self.be, bound(self.spec.definition, inputs, named)))

    def value_and_grad(self, *inputs: Any, wrt: Any = None, **named: Any) -> tuple[Any, Any]:
        """The loss, and its gradient with respect to the second input (or what `wrt` names; of several a tuple)."""
        positions = argnums(wrt, self.spec.definition)
        given = bound(self.spec.definition, inputs, named)
        arrays, labels_checked = self._checked(self.be, given)
        for i in positions:
            if arrays[i] is None:
                raise checks.missing_input(self.spec.name, self.spec.definition.inputs[i], self.spec.definition.inputs)
            arrays[i] = arrays[i] if self.be.dtype_kind(arrays[i]) == "f" else self.be.compute(arrays[i])
        value, gradients = self._value_and_gradients(arrays, labels_checked, positions)
        if self.spec.definition.spread:
            gradients = [gathered(self.be, x, given[i]) for i, x in zip(positions, gradients, strict=True)]
        return value, gradients[0] if wrt is None or isinstance(wrt, str) else tuple(gradients)

    def grad_and_hess(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """First and second derivative of each value with respect to each element, unreduced."""
        pipeline.require_derivatives(self.spec)
        (y_true, y_pred, *_), labels_checked = self._checked(self.be, [y_true, y_pred, None, None])
        return self._derivatives(y_true, y_pred, labels_checked)

    def _value(self, arrays: list[Any], labels_checked: bool) -> Any:
        return pipeline.evaluate(self.be, self.spec, *arrays, labels_checked=labels_checked)

    def _value_and_gradients(
        self, arrays: list[Any], labels_checked: bool, positions: tuple[int, ...]
    ) -> tuple[Any, Sequence[Any]]:
        names = tuple(self.spec.definition.inputs[i] for i in positions)
        without = [name for name in names if name not in self.spec.definition.gradients]
        if without:
            raise NotImplementedError(
                f"{self.spec.name} has no closed-form gradient with respect to {', '.join(without)}, and the backend "
                f"{self.be.name!r} has no other; its loss object may override _value_and_gradients"
            )
        value, found = pipeline.value_and_gradients(
            self.be, self.spec, *arrays, wrt=names, labels_checked=labels_checked
        )
        return value, [found[name] for name in names]

    def _derivatives(self, y_true: Any, y_pred: Any, labels_checked: bool) -> tuple[Any, Any]:
        return pipeline.grad_and_hess(self.be, self.spec, y_true, y_pred, labels_checked)


class Loss(LossObject):
    """A loss without a backend: each call takes that of its arrays; lists go to NumPy."""

    backend: str | None = None

    def __init__(self, spec: Spec) -> None:
        self._take(spec)
        self._native: dict[str, Any] = {}
        if "torch" in sys.modules:  # torch.compile cannot make a module while it traces
            self._native["torch"] = make(spec, "torch")

    def _of(self, inputs: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The loss in the framework of the arrays, and its arguments by name."""
        definition = self.spec.definition
        names = (*definition.inputs, "sample_weight", "mask")
        given = dict(zip(names, bound(definition, inputs, named), strict=True))
        name = dispatch.backend_of(given)
        if name not in self._native:
            self._native[name] = make(self.spec, name)
        return self._native[name], {key: x for key, x in given.items() if x is not None}

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """The loss of its inputs, by place or by name, in the framework of the arrays."""
        native, given = self._of(inputs, named)
        return native(**given)

    def value_and_grad(self, *inputs: Any, wrt: Any = None, **named: Any) -> Any:
        """The loss and its gradient with respect to the second input (or what `wrt` names), in that framework."""
        native, given = self._of(inputs, named)
        return native.value_and_grad(**given, wrt=wrt)

    def grad_and_hess(self, y_true: Any, y_pred: Any) -> Any:
        """First and second derivative per element, in the framework of the arrays."""
        pipeline.require_derivatives(self.spec)
        return self._of((y_true, y_pred), {})[0].grad_and_hess(y_true, y_pred)


def make(spec: Spec, backend: str | None) -> Any:
    """The loss object of a spec: native to `backend`, or without one."""
    return Loss(spec) if backend is None else dispatch.backend(backend).loss(spec)

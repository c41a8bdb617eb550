"""Losses with a learned weight: which losses these are, and the arguments of the modules that hold the weight.

The loss takes the weight, one row for each class, as an argument: `arcface(labels, features, weight)`. The modules
(`multiloss.torch.WithWeight`, `multiloss.keras.WithWeight`, `multiloss.flax.WithWeight`) hold it as a trained
parameter, for every loss whose inputs have these names and shapes.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from multiloss.engine import options, registry
from multiloss.engine.definition import Definition
from multiloss.engine.formulas import formula_text
from multiloss.engine.loss import COMMON, MEANS, Spec, make_spec
from multiloss.engine.objects import FixedOptions
from multiloss.engine.options import Count
from multiloss.engine.page import EVERY_CALL, arguments, sections

_INPUTS = ("features", "weight")


@dataclasses.dataclass(frozen=True)
class Owner:
    """A loss, and the size of its weight; `feature_dim` is None if the first features tell it."""

    spec: Spec
    num_classes: Count
    feature_dim: Count | None
    bias: bool
    seed: int | None


_MEANS = {
    "loss": "its name",
    "num_classes": "how many classes there are, the rows of the weight",
    "feature_dim": "the length of a feature vector, the columns of the weight",
    "seed": "what the first weight is drawn with; None: the framework's own generator",
    "loss_weight": "the factor with which the loss is added to the model's; None: the layer gives the loss",
}


class FixedSize(FixedOptions):
    """The base of the modules: neither options of the loss nor arguments of the weight can be assigned."""

    def _spec(self) -> Spec | None:
        """The spec of the loss; None while the module is being made."""
        raise NotImplementedError

    def _sizes(self) -> Mapping[str, Any]:
        """The arguments of the weight, once the module is made."""
        raise NotImplementedError

    def _options(self) -> Mapping[str, Any]:
        spec = self._spec()
        return {} if spec is None else {"loss": spec.name, **self._sizes(), **spec.every_option()}

    def _definition(self) -> Definition | None:
        spec = self._spec()
        return None if spec is None else spec.definition

    def _means(self) -> Mapping[str, str]:
        return EVERY_CALL | MEANS | _MEANS

    def _another(self) -> str:
        return f"{type(self).__name__}(loss, ...) makes another one, with a weight of its own"

    def _fixed(self) -> Collection[str]:
        spec = self._spec()
        return () if spec is None else (*spec.kwargs, *COMMON, "loss", "num_classes", "feature_dim")

    def _instead(self, name: str, value: str) -> str:
        spec = self._spec()
        loss = "" if spec is None else repr(spec.name)
        return f"make a new one, {type(self).__name__}({loss}, ..., {name}={value}), and give it this weight"


def owns(definition: Definition) -> bool:
    """Whether a loss takes (labels, features, weight), and perhaps a bias, with a weight of one row a class."""
    named = definition.inputs[1:3] == _INPUTS and definition.inputs[3:] in ((), ("bias",))
    return named and definition.shapes["weight"].letters == ("C", "D")


def names() -> list[str]:
    """The losses that can own a weight."""
    return [name for name in registry.names() if owns(registry.find(name))]


def named(module: type, name: str) -> functools.partial[Any]:
    """The class of modules with its first argument given, and with help of that loss."""
    made, definition = functools.partial(module, name), registry.find(name)
    means = arguments(definition.doc)
    options = [f"    {option} = {default!r}: {means.get(option, '')}" for option, default in definition.options.items()]
    lead, about = formula_text(sections(definition.doc)[""]), inspect.cleandoc(module.__doc__ or "")
    listed = "\n".join(["Options of the loss:", *options])
    made.__doc__ = f"{lead}\n\n{listed}\n\nIt is {module.__name__}({name!r}, ...).\n\n{about}"
    return made


def option_names() -> set[str]:
    """The names of the arguments and options that some module has, but for those of its tensors."""
    of_losses = (registry.find(name).options for name in names())
    return {"loss", "num_classes", "feature_dim", "reduction", "validate"}.union(*of_losses)


def read(
    loss: str,
    num_classes: Any,
    feature_dim: Any,
    given: Mapping[str, Any],
    *,
    bias: Any = False,
    seed: Any = None,
) -> Owner:
    """The checked arguments of a module.

    Args:
        loss: name of a loss that owns a weight (`names()`).
        num_classes: rows of the weight.
        feature_dim: columns of the weight.
        given: the options of the loss, as of `multiloss.get`.
        bias: whether there is also a bias, (num_classes,).
        seed: the seed of the first weight; None: the framework's own generator.

    Returns:
        The same, checked.

    Raises:
        TypeError: an unknown option, or a size that is no integer.
        ValueError: an unknown loss, one that owns no weight or no bias, a size below 1, an option out of range.
    """
    definition = registry.find(loss)
    if not owns(definition):
        raise ValueError(f"{definition.name} owns no weight; those that do: {', '.join(names())}")
    bias = options.as_declared(Owner.__init__, "bias", bias)
    if bias and "bias" not in definition.inputs:
        having = [name for name in names() if "bias" in registry.find(name).inputs]
        raise ValueError(f"{definition.name} has no bias, got bias=True; those that do: {', '.join(having)}")
    return Owner(
        make_spec(definition.name, dict(given)),
        options.as_declared(Owner.__init__, "num_classes", num_classes),
        options.as_declared(Owner.__init__, "feature_dim", feature_dim),
        bias,
        options.as_declared(Owner.__init__, "seed", seed),
    )


def check_width(shape: Sequence[int | None], feature_dim: int) -> None:
    """Refuse features of another width than the weight's."""
    if not shape or shape[-1] not in (None, feature_dim):
        raise ValueError(f"features must have feature_dim = {feature_dim} columns, got shape {tuple(shape)}")

"""What a loss is: a pure function over an array namespace, its derivatives, and what the pipeline must know of it.

Four decorators say what a loss takes:

* `elementwise`: the function gives one value per element, and the pipeline averages over `axis`.
* `over_axis`: the function takes `axis` and gives one value per sample.
* `over_labels`: the same with integer labels, of the shape of `y_pred` without `axis`.
* `of_inputs`: a loss of other inputs; the decorator names them and their shapes (`engine.shapes`).
"""

from __future__ import annotations

import functools
import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from multiloss.engine import options as read
from multiloss.engine.checks import LABEL_SETS, class_weights
from multiloss.engine.shapes import InputShape, parse
from multiloss.engine.table import Table

Function = Callable[..., Any]
Domains = Callable[[Mapping[str, Any]], Mapping[str, Any]]
Arrange = Callable[[Any, list[Any], Mapping[str, Any]], list[Any]]


class Definition:
    """One loss: name, value, closed-form derivatives, options and the domain of its inputs.

    Args:
        value: `value(xp, y_true, y_pred, **options)`, pure, over any array namespace.
        kind: "elementwise", "over_axis", "over_labels" or "of_inputs".
        name: canonical long name; default: the function's.
        aliases: short names.
        domain: `options -> {input name: Domain}`, what the first call checks.
        axis: reader of the `axis` option.
        symmetric: whether swapping the arguments leaves the value (used by the property tests).
        residual: `(xp, y_true, y_pred) -> distance of each prediction from the one of least loss`, for a loss where a
            parabola of the curvature slope / residual leads there: gradient boosting takes such steps. The quotient
            must be finite at 0 and never grow with the distance.
        shapes: the shapes of the inputs of a loss "of_inputs", by name.
        whole_batch: whether a loss "of_inputs" has one value for a batch, and not one for each sample.
        holds_constant: whether its gradient takes parts of the formula as constants, and so is not that of the value.
        arrange: `(xp, inputs, options) -> inputs` as `shapes` has them, if an option lets them come otherwise.
        spread: inputs of the shape of the second that may also be one number, one for each row of it, or of length 1
            on some axes.
        example: inputs for the property tests, from a NumPy generator, if shapes and domains do not say enough.
        classes: whether `axis` holds the classes of a sample, of which there must be at least one.
        may_be_empty: letters of `shapes` whose length may be 0 (that of the samples always may).
        undershoot: `options -> number`, for a loss that is never negative for probabilities: by how much at most its
            value falls below 0 for each unit by which one exceeds 1; None if the options allow negative values. A lower
            value becomes nan, so that logits taken for probabilities do not train.
        is_root: whether it is a root of a mean over `axis`, which over one element is an absolute value.
        table: the table of centers of a loss that has one.
    """

    def __init__(
        self,
        value: Function,
        *,
        kind: str,
        name: str | None = None,
        aliases: Sequence[str] = (),
        domain: Domains | None = None,
        axis: read.Reader | None = read.axis,
        symmetric: bool = False,
        residual: Function | None = None,
        shapes: Mapping[str, str] | None = None,
        whole_batch: bool = False,
        holds_constant: bool = False,
        arrange: Arrange | None = None,
        spread: Sequence[str] = (),
        example: Callable[[Any], Mapping[str, Any]] | None = None,
        classes: bool = False,
        may_be_empty: str = "",
        undershoot: Callable[[Mapping[str, Any]], float | None] | None = None,
        is_root: bool = False,
        table: Table | None = None,
    ) -> None:
        self.value = value
        self.kind = kind
        self.name: str = name or value.__name__
        self.aliases: tuple[str, ...] = tuple(aliases)
        self.family: str = (value.__module__ or "").rpartition(".")[2]
        self.domain: Domains = domain or (lambda options: {})
        self.axis = axis
        self.symmetric = symmetric
        self.residual = residual
        self.gradients: dict[str, Function] = {}
        """The closed-form derivative by each input that has one."""
        self.hess: Function | None = None
        self.counts: Function | None = None
        self.has_labels: bool = kind == "over_labels"
        """Whether `y_true` holds one integer label a sample."""
        self.kernel: str | None = self.name
        """The name by which adapters look for kernels of their framework; None for a registered loss."""
        self.options: dict[str, Any] = _defaults(value, shapes)
        self.doc: str = _with_meanings(value, self.options)
        self.integer_targets: bool = self.has_labels or self.domain(self.options).get("y_true") is LABEL_SETS
        """Whether `y_true` holds integers: a label a sample, or sets of them."""
        parameters = inspect.signature(value).parameters
        self.shapes: dict[str, InputShape] = {
            name: parse(text) for name, text in (shapes or {"y_true": "...", "y_pred": "..."}).items()
        }
        self.inputs: tuple[str, ...] = tuple(self.shapes)
        """The names of what a call takes, in order."""
        self.optional: set[str] = {name for name in self.inputs if shapes and parameters[name].default is None}
        self.has_classes: bool = self.has_labels or any(shape.below is not None for shape in self.shapes.values())
        """Whether an input holds labels that must be below some number."""
        self.whole_batch = whole_batch
        self.holds_constant = holds_constant
        self.spread: tuple[str, ...] = tuple(spread)
        self.arrange: Arrange = arrange or (lambda xp, inputs, options: inputs)
        self.arranges: bool = arrange is not None
        self.example = example
        self.classes: bool = classes or self.has_labels
        self.may_be_empty = may_be_empty
        self.undershoot = undershoot
        self.is_root = is_root
        self.table = table
        self.own_step: Function | None = None
        self.takes_keep: bool = "keep" in parameters
        self.takes_axis: bool = "axis" in parameters if kind == "elementwise" else kind != "of_inputs"
        self.readers: dict[str, read.Reader] = {option: read.reader_of(value, option) for option in self.options}
        """How each option is read, as its annotation says (see `multiloss.engine.options`)."""
        self.__doc__ = self.doc
        self.__name__: str = self.name

    def is_integer(self, name: str) -> bool:
        """Whether an input holds integers: labels, sets of them, or lengths."""
        return self.shapes[name].integer or (self.integer_targets and name == "y_true")

    @property
    def grad(self) -> Function | None:
        """The closed-form derivative by the second input."""
        return self.gradients.get(self.inputs[1])

    def gradient(self, function: Function | str) -> Function:
        """Register the closed-form derivative of each value with respect to each element of the second input:
        `@loss.gradient`; of another input: `@loss.gradient("var")`. The function takes the options that it names.
        """
        if isinstance(function, str):
            return functools.partial(self._register, function)
        return self._register(self.inputs[1], function)

    def _register(self, name: str, function: Function) -> Function:
        if name not in self.inputs or self.is_integer(name):
            real = ", ".join(repr(one) for one in self.inputs if not self.is_integer(one))
            raise ValueError(f"a gradient of {self.name} must be by one of {real}, got {name!r}")
        if self.arranges:  # it would be the derivative by the arranged input, not by the one that came
            raise TypeError(f"{self.name} arranges its inputs, so its derivatives are left to the framework")
        self.gradients[name] = _with_what_it_takes(function)
        return function

    def hessian(self, function: Function) -> Function:
        """Register the closed-form second derivative of each value with respect to its own element."""
        self.hess = _with_what_it_takes(function)
        return function

    def counting(self, function: Function) -> Function:
        """Register how many each value counts for in a mean, 1 or 0. It depends on targets alone, not on
        predictions."""
        self.counts = _with_what_it_takes(function)
        return function

    def stepping(self, function: Function) -> Function:
        """Register what a loss adds to the step of its table: `(xp, Compared, features, sums, **options)`.

        It gives which samples the step of center loss counts, and what is added to each center, (C, D).
        `sums(labels, rows, keep)` gives for each class the sum of row - feature over its samples, and their number,
        both over all processes.
        """
        self.own_step = _with_what_it_takes(function)
        return function

    def __call__(self, xp: Any, y_true: Any, y_pred: Any, **options: Any) -> Any:
        """The bare value: no checks, no reduction."""
        return self.value(xp, y_true, y_pred, **options)

    def __repr__(self) -> str:
        return f"<definition {self.name}>"

    def __deepcopy__(self, memo: Any) -> Definition:
        # A copy of a loss keeps its definition, even if that name was registered anew.
        return self


def _defaults(value: Function, shapes: Mapping[str, str] | None) -> dict[str, Any]:
    """The options and their defaults: the keyword-only parameters, but for `axis` and `keep`, which the pipeline
    gives."""
    parameters = list(inspect.signature(value).parameters.values())
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    keywords = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in ("axis", "keep")]
    if shapes is not None:
        if [p.name for p in positional[1:]] != list(shapes):
            raise TypeError(f"{value.__name__} must take (xp, {', '.join(shapes)}), as its shapes say")
    elif len(positional) != 3 or any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
        raise TypeError(
            f"a loss takes (xp, y_true, y_pred) and its options as keywords after '*'; "
            f"{value.__name__}{inspect.signature(value)} does not"
        )
    for p in keywords:
        if p.default is p.empty:
            raise TypeError(f"option {p.name!r} of {value.__name__} has no default")
        if p.name in ("reduction", "validate", "backend", "name"):
            raise TypeError(f"option {p.name!r} of {value.__name__} is every loss's own; choose another name")
    return {p.name: p.default for p in keywords}


def _with_meanings(value: Function, options: Iterable[str]) -> str:
    """The docstring; `axis` and options that it leaves to annotations are explained at the end of its arguments."""
    doc = inspect.getdoc(value) or ""
    names = ["axis", *options] if "axis" in inspect.signature(value).parameters else options
    meanings = {name: read.meaning_of(value, name) for name in names if f"    {name}: " not in doc}
    lines = [
        textwrap.fill(f"{name}: {meaning}", 118, initial_indent=" " * 4, subsequent_indent=" " * 8)
        for name, meaning in meanings.items()
        if meaning
    ]
    arguments, returns, rest = doc.partition("\n\nReturns:")
    return "\n".join([arguments, *lines]) + returns + rest


def _with_what_it_takes(function: Function) -> Function:
    """A function that is called with all options of a loss, and passes on those that `function` names."""
    parameters = inspect.signature(function).parameters.values()
    names = frozenset(p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD))
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return function

    @functools.wraps(function)
    def chosen(xp: Any, *inputs: Any, **options: Any) -> Any:
        return function(xp, *inputs, **{name: x for name, x in options.items() if name in names})

    return chosen


def shared(part: Function) -> Function:
    """Decorates a part `(xp, *arrays, **options)` that the value and a derivative both need.

    Where both are asked for at the same arrays (`xp.sharing()`) it is computed once.
    """

    @functools.wraps(part)
    def once(xp: Any, *arrays: Any, **options: Any) -> Any:
        memo = getattr(xp, "memo", None)
        if memo is None:
            return part(xp, *arrays, **options)
        key = (part, *map(id, arrays), *sorted(options.items()))
        if key not in memo:
            memo[key] = part(xp, *arrays, **options), arrays  # kept alive, so that no other array gets their ids
        return memo[key][0]

    return once


PER_CLASS = ("class_weight", "pos_weight", "alpha")
"""Options that may hold a number for each class."""


def per_class(xp: Any, name: str, numbers: Any, like: Any, axis: Any) -> Any:
    """An option that is one number, or one per class along `axis` (the last, if that is `()` or None), as a factor."""
    if not isinstance(numbers, tuple):
        return numbers
    axes = axis if isinstance(axis, tuple) and axis else (axis if isinstance(axis, int) else -1,)
    if len(axes) > 1 or not len(like.shape):
        raise ValueError(f"{name} must be one number where no one axis is that of the classes, got {numbers}")
    class_weights(numbers, like.shape[axes[0]], name)
    return xp.constants(numbers, like, axes[0])


def elementwise(**about: Any) -> Callable[[Function], Definition]:
    """A loss of single elements, averaged over `axis` by the pipeline. It may take `axis`, for options by class."""
    return lambda value: Definition(value, kind="elementwise", **about)


def over_axis(**about: Any) -> Callable[[Function], Definition]:
    """A loss that consumes `axis` itself; `y_true` has the shape of `y_pred`.

    A parameter `keep` is the mask (of the samples, or None), for a loss that looks at the whole batch. It has no
    closed-form gradient, since those are computed in parts of a batch.
    """
    return lambda value: Definition(value, kind="over_axis", **about)


def over_labels(**about: Any) -> Callable[[Function], Definition]:
    """A loss of integer labels; `y_true` has the shape of `y_pred` without `axis`."""
    return lambda value: Definition(value, kind="over_labels", axis=read.single_axis, **about)


def of_inputs(shapes: Mapping[str, str], **about: Any) -> Callable[[Function], Definition]:
    """A loss of the named inputs, with these shapes (see `engine.shapes`). An optional input has the default None.

    The function gives one value per sample, or a pair: what each sample adds to the sum, and how many it counts for in
    a mean. A parameter `keep` is the mask (of the shape of the samples, or None); the function itself then leaves
    masked samples out of every pair and every statistic.
    """
    return lambda value: Definition(value, kind="of_inputs", shapes=shapes, axis=None, **about)

"""What a user gives to compare, a callable or a written form, as a `Side`: its order, its framework, its definition."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import sys
import types
from collections.abc import Iterable
from typing import Any

import numpy as np

from multiloss.catalogue import get
from multiloss.engine import loss as losses
from multiloss.engine import registry
from multiloss.engine.loss import Named
from multiloss.porting import objects, written
from multiloss.porting.sides import Side, parameters

_OF_ROOT = {
    "torch": "torch", "torchvision": "torch", "tensorflow": "tensorflow", "keras": "keras", "jax": "jax",
    "jaxlib": "jax", "optax": "jax", "flax": "jax", "numpy": "numpy", "scipy": "numpy",
}  # fmt: skip
_PREDICTED = {
    "y_pred", "input", "inputs", "pred", "preds", "prediction", "predictions", "logits", "output", "outputs", "y_hat",
    "log_input", "log_predictions",
}  # fmt: skip
_TRUE = {"y_true", "target", "targets", "label", "labels", "truth", "ground_truth"}
_PREDICTION_FIRST = ("y_pred", "y_true")
_TARGET_FIRST = ("y_true", "y_pred")


def _frames_first(call: Any) -> Any:
    """torch's ctc takes (T, N, C)."""
    return lambda y_pred, *others: call(y_pred.transpose(0, 1), *others)


def _paddings(call: Any) -> Any:
    """Optax' ctc takes 1 where a frame or a label is padding."""

    def padding(like: Any, length: int, lengths: Any) -> Any:
        behind = np.arange(length) >= np.asarray(lengths)[:, None]
        return like[:1, :1, :1].ravel() * 0 + behind

    def loss(y_pred: Any, input_lengths: Any, y_true: Any, label_lengths: Any) -> Any:
        of_frames = padding(y_pred, y_pred.shape[1], input_lengths)
        return call(y_pred, of_frames, y_true, padding(y_pred, y_true.shape[1], label_lengths))

    return loss


_LAYOUTS = {
    "torch.nn.CTCLoss": _frames_first,
    "torch.nn.functional.ctc_loss": _frames_first,
    "optax.losses.ctc_loss": _paddings,
}
"""What takes its arrays in another shape than the losses here, as a function of those here."""


def make(name: str, item: Any, order: str | None, arrays_of: str | None) -> Side:
    """A side of what the user gave; TypeError where that is no loss.

    Args:
        name: "a" or "b".
        item: a callable or a written form.
        order: names of the arrays in the order it takes them, or None for the usual one.
        arrays_of: the framework of the arrays that the user gave.
    """
    side = _written(name, item) if isinstance(item, str) else _live(name, item, arrays_of)
    if order is not None:
        side.order = tuple(order.replace(",", " ").split())
    return side


def _written(name: str, text: str) -> Side:
    from multiloss import porting

    dotted, args, kwargs = written.parse(text)
    if dotted == "multiloss.get":
        return _live(name, get(*args, **kwargs), None)
    if "." not in dotted and not args:
        return _live(name, get(dotted, **kwargs), None)
    known = porting.sources()
    source = known[written.canonical(dotted, known)]
    module, _, attribute = source.name.rpartition(".")
    library = module.partition(".")[0]
    if importlib.util.find_spec(library) is None:
        side = _live(name, porting.port(text), None)
        side.notes.append(f"{library} is not installed: this is multiloss' port of it")
        side.text = text
        return side
    given = source.arguments(args, kwargs)
    theirs = getattr(importlib.import_module(module), attribute)
    notes = [f"{library}'s own"]
    if library == "torch":
        tensor = importlib.import_module("torch").tensor
        given = {key: tensor(value, dtype=tensor([0.0]).double().dtype) if isinstance(value, list | tuple) else value
                 for key, value in given.items()}  # fmt: skip
    if library == "keras" and source.is_class and "dtype" not in given:
        given = {**given, "dtype": "float64"}
        notes.append("made with dtype='float64'")
    side = _live(name, theirs(**given) if source.is_class else functools.partial(theirs, **given), None)
    side.text, side.notes = text, notes
    if source.data:
        side.order = source.data
    return side


def _live(name: str, item: Any, arrays_of: str | None) -> Side:
    from multiloss import porting

    if inspect.isclass(item) and callable(item):
        raise TypeError(f"{name} is the class {item.__qualname__}: give an object of it, {item.__qualname__}()")
    if not callable(item):
        raise TypeError(f"{name} must be a callable or the written form of a loss, got {type(item).__name__}")
    if hasattr(item, "init_state") and hasattr(item, "step"):
        raise TypeError(f"{name} is {type(item).__name__}, which holds state that a comparison would move")
    if isinstance(item, Named):
        candidate = item.backend or arrays_of or "numpy"
        return Side(name, item, _call_of(item), item.spec.definition.inputs, (candidate,), item.spec.definition,
                    {**item.spec.kwargs, "axis": item.spec.axis}, "multiloss")  # fmt: skip
    inner = item.func if isinstance(item, functools.partial) else item
    root = _root(inner)
    text, order = _text(item), _order_of_names(item)
    definition, options, found = None, {}, objects.identify(item, porting.sources())
    if found is not None:
        source = porting.sources()[found[0]]
        order = source.data
        text = _text(item)
        item = _LAYOUTS.get(found[0], lambda call: call)(item)
        try:
            row = source.to_row(source.arguments((), found[1]))
            definition, options = registry.find(row.loss), row.options
        except (ValueError, TypeError):  # not portable: it still runs
            pass
    elif root in ("torch", "optax"):
        order = _PREDICTION_FIRST
    if root in _OF_ROOT and root != "numpy":
        return Side(name, item, text, order, (_OF_ROOT[root],), definition, options, root)
    for module, base, framework in (("torch", "nn.Module", "torch"), ("keras", "losses.Loss", "keras")):
        if module in sys.modules and _is_a(inner, sys.modules[module], base):
            return Side(name, item, text, order, (framework,))
    named = [found for found in _mentioned(inner) if found != "numpy"]
    tried = [*named, *([arrays_of] if arrays_of else []), "numpy", "torch", "jax", "tensorflow"]
    here = tuple(dict.fromkeys(framework for framework in tried if framework in sys.modules))
    return Side(name, item, text, order, here)


def _call_of(item: Named) -> str:
    """The `multiloss.get` of a loss, without what is its default."""
    usual = losses.make_spec(item.spec.name, {}).config()
    given = {key: value for key, value in item.config().items() if key not in usual or usual[key] != value}
    return f"multiloss.get({item.spec.name!r}{''.join(f', {key}={value!r}' for key, value in given.items())})"


def _is_a(item: Any, module: Any, base: str) -> bool:
    return isinstance(item, functools.reduce(getattr, base.split("."), module))


def _root(item: Any) -> str:
    module = getattr(item, "__module__", None) if inspect.isroutine(item) else type(item).__module__
    module = module or type(item).__module__
    return str(module).partition(".")[0]


def _text(item: Any) -> str:
    if isinstance(item, functools.partial):
        given = ", ".join(f"{key}={value!r}" for key, value in item.keywords.items())
        return f"{_text(item.func)}({' '.join(given.split())})"
    named = getattr(item, "__qualname__", None)
    if named is None:
        kind = type(item)
        return f"{kind.__module__.partition('.')[0]} {kind.__qualname__}" + (
            f"(reduction={item.reduction!r})" if hasattr(item, "reduction") else "()"
        )
    module = str(getattr(item, "__module__", "") or "")
    return f"{module}.{named}" if module.partition(".")[0] in _OF_ROOT else str(named)


def _order_of_names(item: Any) -> tuple[str, ...]:
    """Target first, as Keras and multiloss; the other way round where the parameters are named so."""
    names = parameters(item)[:2]
    if len(names) == 2 and names[0] in _PREDICTED and names[1] in _TRUE:
        return _PREDICTION_FIRST
    return _TARGET_FIRST


def _mentioned(item: Any) -> list[str]:
    """The frameworks whose modules, functions or objects the code of a function names."""
    function = getattr(item, "__func__", item)
    if not hasattr(function, "__code__"):
        function = getattr(type(item), "forward", None) or vars(type(item)).get("__call__")
    if not hasattr(function, "__code__"):
        return []
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=False))
    found = []
    for name in _names(function.__code__):
        thing = function.__globals__.get(name)
        if name in cells:
            try:
                thing = cells[name].cell_contents
            except ValueError:  # not filled yet
                continue
        module = thing.__name__ if isinstance(thing, types.ModuleType) else None
        module = module or getattr(thing, "__module__", None) or (name if thing is None else type(thing).__module__)
        framework = _OF_ROOT.get(str(module).partition(".")[0])
        if framework and framework not in found:
            found.append(framework)
    return found


def _names(code: types.CodeType) -> Iterable[str]:
    yield from code.co_names
    yield from code.co_freevars
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)

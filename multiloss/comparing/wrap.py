"""What a user gives to compare, a callable or a written form, as a `Side`: its order, its framework, its definition."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import importlib.util
import inspect
import sys
import types
from typing import Any

import numpy as np

from multiloss import porting
from multiloss.catalogue import get
from multiloss.comparing.run import Side, parameters
from multiloss.engine import registry
from multiloss.engine.loss import LossObject
from multiloss.porting import objects, parse

_OF_ROOT = {
    "torch": "torch", "torchvision": "torch", "tensorflow": "tensorflow", "keras": "keras", "jax": "jax",
    "jaxlib": "jax", "optax": "jax", "flax": "jax", "numpy": "numpy", "scipy": "numpy",
}  # fmt: skip
"""The framework whose arrays a package takes."""
_PREDICTED = {
    "y_pred", "input", "inputs", "pred", "preds", "prediction", "predictions", "logits", "output", "outputs", "y_hat",
    "log_input", "log_predictions",
}  # fmt: skip
_TRUE = {"y_true", "target", "targets", "label", "labels", "truth", "ground_truth"}


def _frames_first(call: Any) -> Any:
    """torch's ctc takes (T, N, C)."""
    return lambda y_pred, *others: call(y_pred.transpose(0, 1), *others)


def _paddings(call: Any) -> Any:
    """Optax' ctc takes 1 where a frame or a label is padding."""

    def padding(like: Any, length: int, lengths: Any) -> Any:
        return like[:1, :1, :1].ravel() * 0 + (np.arange(length) >= np.asarray(lengths)[:, None])

    def loss(y_pred: Any, input_lengths: Any, y_true: Any, label_lengths: Any) -> Any:
        of_frames = padding(y_pred, y_pred.shape[1], input_lengths)
        return call(y_pred, of_frames, y_true, padding(y_pred, y_true.shape[1], label_lengths))

    return loss


def _whole(call: Any) -> Any:
    """Keras' ctc takes all frames, and 0 where a label is padding."""

    def loss(y_true: Any, y_pred: Any, label_lengths: Any = None, input_lengths: Any = None) -> Any:
        if input_lengths is not None and (np.asarray(input_lengths) != y_pred.shape[1]).any():
            raise ValueError(f"Keras' CTC takes all {y_pred.shape[1]} frames of each sample, and no input_lengths")
        if label_lengths is not None:
            labels = np.asarray(y_true)
            y_true = np.where(np.arange(labels.shape[1]) < np.asarray(label_lengths)[:, None], labels, 0)
        return call(y_true, y_pred)

    return loss


_LAYOUTS = {
    "keras.losses.CTC": _whole,
    "keras.losses.ctc": _whole,
    "torch.nn.CTCLoss": _frames_first,
    "torch.nn.functional.ctc_loss": _frames_first,
    "optax.losses.ctc_loss": _paddings,
}
"""What takes its arrays in another shape than the losses here, as a function of those here."""


def make(name: str, item: Any, order: str | None, arrays_of: str | None) -> Side:
    """Side "a" or "b" of the callable or written form that a user gave; TypeError if that is no loss.

    `order` names the arrays in the order it takes them, if it is not the usual one; `arrays_of` is the framework of
    the arrays that the user gave.
    """
    side = _parsed(name, item) if isinstance(item, str) else _live(name, item, arrays_of)
    if order is not None:
        side.order = tuple(order.replace(",", " ").split())
    return side


def _parsed(name: str, text: str) -> Side:
    dotted, args, kwargs = parse.parse(text)
    if dotted == "multiloss.get" or ("." not in dotted and not args):
        return _live(name, get(*(args if "." in dotted else (dotted,)), **kwargs), None)
    source, given = porting.resolve(text)
    module, _, attribute = source.name.rpartition(".")
    library = module.partition(".")[0]
    if importlib.util.find_spec(library) is None:
        note = f"{library} is not installed: this is multiloss' port of it"
        return dataclasses.replace(_live(name, porting.port(text), None), text=text, notes=(note,))
    theirs = getattr(importlib.import_module(module), attribute)
    notes: tuple[str, ...] = (f"{library}'s own",)
    if library == "torch":
        torch = importlib.import_module("torch")
        given = {key: torch.tensor(value, dtype=torch.float64) if isinstance(value, list | tuple) else value
                 for key, value in given.items()}  # fmt: skip
    if library == "keras" and source.is_class and "dtype" not in given:
        given["dtype"] = "float64"
        notes += ("made with dtype='float64'",)
    side = _live(name, theirs(**given) if source.is_class else functools.partial(theirs, **given), None)
    return dataclasses.replace(side, text=text, notes=notes, order=source.data or side.order)


def _live(name: str, item: Any, arrays_of: str | None) -> Side:
    if inspect.isclass(item):
        raise TypeError(f"{name} is the class {item.__qualname__}: give an object of it, {item.__qualname__}()")
    if not callable(item):
        raise TypeError(f"{name} must be a callable or the written form of a loss, got {type(item).__name__}")
    if hasattr(item, "init_state") and hasattr(item, "step"):
        raise TypeError(f"{name} is {type(item).__name__}, which holds state that a comparison would move")
    if isinstance(item, LossObject):
        spec, text = item.spec, porting.code(item, item.backend)[0]
        options = {**spec.kwargs, "axis": spec.axis}
        frameworks = (item.backend or arrays_of or "numpy",)
        return Side(item, text, spec.definition.inputs, frameworks, spec.definition, options, "multiloss")
    inner = item.func if isinstance(item, functools.partial) else item
    root, names = _package(inner), parameters(item)[:2]
    side = Side(item, _text(item), ("y_true", "y_pred"), _frameworks(inner, arrays_of))
    side.library = root if _OF_ROOT.get(root, "numpy") != "numpy" else None
    if found := objects.identify(item, porting.sources()):
        source = porting.sources()[found[0]]
        side.call, side.order = _LAYOUTS.get(found[0], lambda call: call)(item), source.data
        with contextlib.suppress(ValueError, TypeError):  # not portable: it still runs
            row = source.to_row(source.arguments((), found[1]))
            side.definition, side.options = registry.find(row.loss), row.options
    elif root in ("torch", "optax") or (len(names) == 2 and names[0] in _PREDICTED and names[1] in _TRUE):
        side.order = ("y_pred", "y_true")
    return side


def _frameworks(item: Any, arrays_of: str | None) -> tuple[str, ...]:
    """Where it may run, the likeliest first: where it comes from; what its class or its code names; what is here."""
    own = [_OF_ROOT.get(_package(item)), *(_OF_ROOT.get(_package(base)) for base in type(item).__mro__)]
    found = next((framework for framework in own if framework not in (None, "numpy")), None)
    tried = [found] if found else [*_mentioned(item), arrays_of, "numpy", "torch", "jax", "tensorflow"]
    return tuple(dict.fromkeys(framework for framework in tried if framework in sys.modules))


def _package(thing: Any) -> str:
    """The package that a module, class, function or object is of."""
    module = thing.__name__ if isinstance(thing, types.ModuleType) else getattr(thing, "__module__", None)
    return str(module or type(thing).__module__).partition(".")[0]


def _mentioned(item: Any) -> list[str]:
    """The frameworks whose modules, functions or objects the code of a function names."""
    written = (getattr(item, "__func__", item), getattr(type(item), "forward", None), vars(type(item)).get("__call__"))
    function = next((one for one in written if hasattr(one, "__code__")), None)
    if function is None:
        return []
    known, codes = dict(function.__globals__), [function.__code__]
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # not filled yet
            known[name] = cell.cell_contents
    for code in codes:
        codes += [inner for inner in code.co_consts if isinstance(inner, types.CodeType)]
    names = [name for code in codes for name in (*code.co_names, *code.co_freevars)]
    # A name that is not known may be a module that the function imports.
    found = [_OF_ROOT.get(name if known.get(name) is None else _package(known[name]), "numpy") for name in names]
    return [framework for framework in found if framework != "numpy"]


def _text(item: Any) -> str:
    if isinstance(item, functools.partial):
        given = ", ".join(f"{key}={value!r}" for key, value in item.keywords.items())
        return f"{_text(item.func)}({' '.join(given.split())})"
    named = getattr(item, "__qualname__", None)
    if named is None:
        options = f"reduction={item.reduction!r}" if hasattr(item, "reduction") else ""
        return f"{_package(item)} {type(item).__qualname__}({options})"
    return f"{item.__module__}.{named}" if _package(item) in _OF_ROOT else str(named)

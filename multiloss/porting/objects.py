"""The name and arguments of a loss object or function of another library. No library is imported."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from multiloss.porting.rows import RefusedError

_LEGACY = ("size_average", "reduce", "device", "dtype")


def identify(item: Any, known: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """(canonical name, arguments) of a torch module, a Keras loss, a library function or a partial of one; or None.

    None of a subclass, too, as it may compute anything. The arguments mean what they mean in the tables.
    """
    found = _identify(item, known)
    return None if found is None else (found[0], exchanged(found[0], found[1]))


def exchanged(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments of an installed loss translated to those of the tables, or the other way round.

    Keras 3.16 exchanges alpha and beta of its Tversky loss; the tables have them as Keras up to 3.15.
    """
    if name not in ("keras.losses.Tversky", "keras.losses.tversky") or not {"alpha", "beta"} & arguments.keys():
        return arguments
    module, _, attribute = name.rpartition(".")
    if _weighs_misses(getattr(sys.modules[module], attribute)):
        return arguments
    other = {"alpha": "beta", "beta": "alpha"}
    return {other.get(key, key): value for key, value in arguments.items()}


@functools.cache
def _weighs_misses(tversky: Callable[..., Any]) -> bool:
    """Whether alpha of this class or function weighs false negatives, found from its value for one hit and one miss."""
    truth, found = np.array([[1.0, 1.0]], np.float32), np.array([[1.0, 0.0]], np.float32)
    given, is_class = {"alpha": 1.0, "beta": 0.0}, inspect.isclass(tversky)
    try:
        value = float(tversky(**given)(truth, found) if is_class else tversky(truth, found, **given))
    except Exception as error:
        raise RefusedError(f"Keras' Tversky did not answer which of alpha and beta weighs what: {error}") from error
    if not min(abs(value - 0.5), abs(value)) <= 0.01:  # nor is nan
        raise RefusedError(f"Keras' Tversky of a hit and a miss is {value:g}, which neither alpha nor beta explains")
    return value > 0.25


def _identify(item: Any, known: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    if isinstance(item, functools.partial):
        inner = _identify(item.func, known)
        if inner is None or item.args:
            return None
        return inner[0], {**inner[1], **item.keywords}
    same = [item]
    while type(same[-1]).__name__ == "PjitFunction":  # jax.jit changes no number, other wrappers may
        same.append(same[-1].__wrapped__)
    for name in known:
        module, _, attribute = name.rpartition(".")
        theirs = getattr(sys.modules.get(module), attribute, None)
        if theirs is None:
            continue
        if any(one is theirs for one in same):
            return name, {}
        if inspect.isclass(theirs) and type(item) is theirs:
            if getattr(item, "_forward_hooks", None) or getattr(item, "_forward_pre_hooks", None):
                raise RefusedError(f"{name} is not ported with its forward hooks, which may change anything")
            return name, _arguments(item)
    return None


def _arguments(item: Any) -> dict[str, Any]:
    """The arguments that a torch module or a Keras loss was made with."""
    if hasattr(item, "get_config"):
        # `get_config` of some losses leaves out arguments (`delta` of Huber), which are in `_fn_kwargs`. Keras does not
        # promise that attribute; without it a loss with arguments left out is refused.
        config = {**item.get_config(), **getattr(item, "_fn_kwargs", {})}
        config.pop("name", None)
        for name in inspect.signature(type(item).__init__).parameters:
            if name not in config and name not in ("self", "name", "dtype", "args", "kwargs"):
                raise RefusedError(f"{type(item).__name__} does not tell its {name} here; give its written form")
        if getattr(item, "dtype", "float32") != "float32":
            config["dtype"] = str(item.dtype)
        return config
    names = [name for name in inspect.signature(type(item).__init__).parameters if name not in ("self", *_LEGACY)]
    found = {name: getattr(item, name) for name in names if hasattr(item, name)}
    if _is_usual_distance(found.get("distance_function")):  # which torch makes if it is given None
        del found["distance_function"]
    return found


def _is_usual_distance(function: Any) -> bool:
    kind = getattr(sys.modules.get("torch.nn"), "PairwiseDistance", None)
    usual = (2.0, 1e-6, False)
    return kind is not None and type(function) is kind and (function.norm, function.eps, function.keepdim) == usual

"""A live loss of another library as its written form would be: name and arguments. Imports none of them."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Mapping
from typing import Any

from multiloss.porting.rows import RefusedError

_LEGACY = ("size_average", "reduce", "device", "dtype")


def identify(item: Any, known: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """(canonical name, arguments) of a torch module, a Keras loss, a function of theirs or a partial of one; or None.

    A subclass is none of them: it may compute anything.
    """
    if isinstance(item, functools.partial):
        inner = identify(item.func, known)
        if inner is None or item.args:
            return None
        return inner[0], {**inner[1], **item.keywords}
    same = [item]
    while type(same[-1]).__name__ == "PjitFunction":  # jax.jit changes no number; what else wraps a function may
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
    """What a module or a Keras loss was made with."""
    if hasattr(item, "get_config"):
        # The configuration of some leaves out arguments (`delta` of Huber), which what they wrap gets.
        config = {**item.get_config(), **getattr(item, "_fn_kwargs", {})}
        config.pop("name", None)
        if getattr(item, "dtype", "float32") != "float32":
            config["dtype"] = str(item.dtype)
        return config
    names = [name for name in inspect.signature(type(item).__init__).parameters if name not in ("self", *_LEGACY)]
    found = {name: getattr(item, name) for name in names if hasattr(item, name)}
    if _is_usual_distance(found.get("distance_function")):  # what torch makes of None
        del found["distance_function"]
    return found


def _is_usual_distance(function: Any) -> bool:
    kind = getattr(sys.modules.get("torch.nn"), "PairwiseDistance", None)
    usual = (2.0, 1e-6, False)
    return kind is not None and type(function) is kind and (function.norm, function.eps, function.keepdim) == usual

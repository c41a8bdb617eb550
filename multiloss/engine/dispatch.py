"""The backend of a call: by name, or from the arrays. No framework is imported before it is asked for."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from multiloss.engine import checks

# Each has the name of the framework that it needs, which is also that of the extra.
_OURS = ("numpy", "torch", "tensorflow", "jax", "keras")
_adapters: dict[str, Any] = {}


def backend(name: str) -> Any:
    """The adapter of a backend, imported at its first use.

    Raises:
        ValueError: no such backend.
        ImportError: its framework is not installed; names the extra.
    """
    if name in _adapters:
        return _adapters[name]
    if not isinstance(name, str):
        raise TypeError(f"backend must be one of {', '.join(map(repr, list_backends()))}, got {type(name).__name__}")
    _adapters[name] = _load_ours(name) if name in _OURS else _load_third_party(name)
    return _adapters[name]


def _load_ours(name: str) -> Any:
    if name not in sys.modules and importlib.util.find_spec(name) is None:
        raise ImportError(
            f"backend {name!r} needs {name}, which is not installed: pip install 'multiloss[{name}]'", name=name
        )
    if name == "keras":
        _import_keras()
    if name == "torch":  # a statement, since torch.compile cannot trace importlib
        import multiloss_torch

        return multiloss_torch
    return importlib.import_module(f"multiloss_{name}")


def _import_keras() -> None:
    try:
        importlib.import_module("keras")
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in ("tensorflow", "torch", "jax"):
            raise
        raise ImportError(
            f"Keras is installed, but its backend {missing} is not: pip install 'multiloss[keras,{missing}]', or set "
            f"KERAS_BACKEND to one that is installed",
            name=missing,
        ) from error


def _load_third_party(name: str) -> Any:
    from importlib.metadata import entry_points

    for point in entry_points(group="multiloss.backends"):
        if point.name == name:
            adapter = point.load()
            if not hasattr(adapter, "dtype_kind"):  # as it was called before
                adapter.dtype_kind = adapter.kind
            return adapter
    known = list_backends()
    near = difflib.get_close_matches(name.lower(), known, 1)
    meant = {"tf": "tensorflow", "pytorch": "torch", "np": "numpy"}.get(name.lower()) or "".join(near)
    hint = f" (did you mean {meant}?)" if meant else ""
    raise ValueError(f"unknown backend {name!r}{hint}; known are {', '.join(known)}")


def list_backends() -> dict[str, bool]:
    """Known backends, and whether each one's framework is installed (nothing is imported to find out).

    Example:
        >>> import multiloss
        >>> multiloss.list_backends()["numpy"]
        True
    """
    from importlib.metadata import entry_points

    modules = {name: name for name in _OURS}
    modules |= {point.name: point.module.partition(".")[0] for point in entry_points(group="multiloss.backends")}
    return {name: importlib.util.find_spec(module) is not None for name, module in modules.items()}


def framework_of(x: Any) -> str | None:
    """The framework that x is a tensor of, or the loaded backend of a third party; None for lists, numbers and
    others."""
    # torch first, no unions of types and no default of `next`: torch.compile traces this, also that of torch 2.7.
    modules = sys.modules
    torch = modules.get("torch")
    if torch is not None and isinstance(x, getattr(torch, "Tensor", ())):
        return "torch"
    if isinstance(x, (np.ndarray, np.generic)):
        return "numpy"
    jax, tensorflow, keras = (modules.get(name) for name in ("jax", "tensorflow", "keras"))
    # A framework that is still being imported lacks some names. Then x cannot be one of its tensors.
    if keras is not None and hasattr(keras, "KerasTensor") and isinstance(x, (keras.KerasTensor, keras.Variable)):
        return "keras"
    if jax is not None and isinstance(x, getattr(jax, "Array", ())):
        return "jax"
    loaded = tensorflow is not None and hasattr(tensorflow, "Variable")
    if loaded and isinstance(x, (tensorflow.Tensor, tensorflow.Variable)):  # type: ignore[union-attr]
        return "tensorflow"
    others = [name for name, adapter in _adapters.items() if name not in _OURS and adapter.is_native(x)]
    return others[0] if others else None


def backend_of(arrays: Mapping[str, Any]) -> str:
    """The backend of arguments: the framework of the tensors among them, else NumPy; two frameworks are refused."""
    found: dict[str, str] = {}
    for name, x in arrays.items():
        framework = framework_of(x)
        if framework not in (None, "numpy"):
            found.setdefault(str(framework), name)
    if "keras" in found:  # its variables may come together with tensors of the framework that it runs on
        found.pop(sys.modules["keras"].backend.backend(), None)
    if len(found) > 1:
        raise checks.two_frameworks(found)
    return next(iter(found)) if found else "numpy"


def native_arrays(arrays: Mapping[str, Any], kinds: str = "fiu") -> tuple[Any, dict[str, Any]]:
    """The adapter for arguments, and these as its arrays, on the device of the first tensor among them; TypeError if
    one holds no numbers of these kinds."""
    be = backend(backend_of(arrays))
    native = [x for x in arrays.values() if be.is_native(x)]
    like = native[0] if native else None
    found = {name: be.asarray(x, like, name) for name, x in arrays.items()}
    for name, x in found.items():
        if be.dtype_kind(x) not in kinds:
            raise checks.real_dtype(name, x.dtype)
    return be, found


def quiet(be: Any) -> AbstractContextManager[Any]:
    """A context in which NumPy does not warn of nan and inf; for NumPy only, as torch.compile cannot trace errstate."""
    return np.errstate(all="ignore") if be.name == "numpy" else nullcontext()


def to_numpy(x: Any, name: str, backend: str) -> np.ndarray:
    """Lists, numbers and NumPy arrays as a NumPy array; tensors of another framework than `backend` are refused."""
    framework = framework_of(x)
    if framework == "keras" and isinstance(x, sys.modules["keras"].KerasTensor):
        raise checks.placeholder(name)
    if framework not in (None, "numpy"):
        raise checks.foreign(name, backend, str(framework))
    if isinstance(x, np.ma.MaskedArray):
        raise checks.masked_array(name)
    if type(x).__module__ == "torch.fx.proxy":
        raise checks.symbolic(name)
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise ValueError(f"{name} must be an array or a regular nested list of numbers: {error}") from None
    if array.dtype.kind == "O" and getattr(x, "dtype", array.dtype) != array.dtype:  # a sparse or ragged tensor
        raise checks.not_dense(name, type(x).__name__)
    if array.dtype.kind in "OUSM":
        raise checks.real_dtype(name, array.dtype)
    if array.dtype.char == "g":  # longdouble, which no framework has
        array = array.astype(np.float64)
    elif not array.dtype.isnative:  # read from a file in the other byte order
        array = array.astype(array.dtype.newbyteorder("="))
    # torch takes no view with negative strides, such as x[::-1].
    return array.copy() if min(array.strides, default=0) < 0 else array


def to_host(x: Any) -> Any:
    """A tensor of any framework and device as a NumPy array; anything else as it is."""
    framework = framework_of(x)
    if framework in (None, "numpy"):
        return x
    values = backend(str(framework)).host(x)
    return np.asarray(x.detach().cpu() if hasattr(x, "cpu") else x) if values is None else values

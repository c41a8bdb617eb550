"""Every name of Keras that Keras does not promise, here and nowhere else in this adapter.

Each says what it is for, and what happens on a version of Keras where it is missing or behaves otherwise: a slower way
that is right, or an error that says what to do. What `tests/test_keras_compat.py` takes away is looked up at each call
through the functions below, never imported elsewhere.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras


def _found(module: str, name: str) -> Any:
    """An attribute of a module inside Keras; None where this version has none of that name."""
    try:
        return getattr(__import__(f"keras.src.{module}", fromlist=[name]), name, None)
    except ImportError:
        return None


_get_keras_mask = _found("backend", "get_keras_mask")
_get_global_attribute = _found("backend.common.global_state", "get_global_attribute")
_in_stateless_scope = _found("backend.common.stateless_scope", "in_stateless_scope")
_in_symbolic_scope = _found("backend.common.symbolic_scope", "in_symbolic_scope")
_auto_name = _found("utils.naming", "auto_name")
_is_compiling: Callable[[], bool] = lambda: False  # noqa: E731  (or torch's)
"""Whether torch.compile is tracing. It cannot trace a new layer, so what is asked once is left to an eager call."""

if keras.backend.backend() == "torch":
    import torch

    _is_compiling = torch.compiler.is_compiling


# --- the mask that layers such as Masking attach to a tensor


def mask_of(x: Any) -> Any:
    """The mask that Keras layers attached to a tensor, or None.

    Without Keras' own reader a layer is called with the tensor: Keras promises to hand it the mask, but that takes a
    hundred times as long.
    """
    if _get_keras_mask is not None and (_is_compiling() or _reads_masks(_get_keras_mask)):
        return _get_keras_mask(x)
    return _mask_by_layer(x)


@functools.cache
def _reads_masks(reader: Any) -> bool:
    """Whether the reader finds the mask of a Masking layer; asked once."""
    return reader(keras.layers.Masking(name="multiloss_probe")(keras.ops.ones((1, 1, 1)))) is not None


def _mask_by_layer(x: Any) -> Any:
    if not keras.ops.is_tensor(x):
        return None
    layer = _TakesMask()
    layer(x)
    found, layer.found = layer.found, None
    return found


class _TakesMask(keras.layers.Layer):
    """Keeps the mask that Keras hands it."""

    def __init__(self) -> None:
        super().__init__(name="multiloss_probe", autocast=False)
        self.supports_masking = True
        self.found: Any = None

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """The inputs, as they came."""
        self.found = mask
        return inputs


# --- where a call happens


def inside_a_call() -> bool:
    """Whether a layer or model is being called, which then tells the layers in it whether it trains.

    RuntimeError where this version of Keras does not show it: `training` then has to be given.
    """
    if _get_global_attribute is None or not (_is_compiling() or _sees_calls(_get_global_attribute)):
        raise RuntimeError(
            f"Keras {keras.__version__} does not show whether the center loss is called inside a model; "
            "pass the mode on: center(labels, features, training=training)"
        )
    return _is_set(_get_global_attribute)


def _is_set(read: Any) -> bool:
    return read("current_call_ctx") is not None


@functools.cache
def _sees_calls(read: Any) -> bool:
    """Whether a call is seen from inside a layer; asked once."""
    layer = _LooksOut(read)
    layer(keras.ops.ones((1,)))
    return layer.seen


class _LooksOut(keras.layers.Layer):
    def __init__(self, read: Any) -> None:
        super().__init__(name="multiloss_probe")
        self._read, self.seen = read, False

    def call(self, inputs: Any) -> Any:
        """The inputs, as they came."""
        self.seen = _is_set(self._read)
        return inputs


def in_stateless_scope() -> bool | None:
    """Whether variables may only be read and assigned by Keras' own methods (`keras.StatelessScope`).

    None where this version of Keras does not show it. The center loss then asks for `training`, assigns the whole
    table and never writes rows in place, and takes a table without values for a call that looks for shapes.
    """
    return None if _in_stateless_scope is None else bool(_in_stateless_scope())


def in_symbolic_scope() -> bool:
    """Whether Keras only looks for shapes. False where that is not shown: on JAX the center loss then asks for
    `training` one step earlier, when the model is built."""
    return _in_symbolic_scope is not None and bool(_in_symbolic_scope())


# --- names and variables of layers


def numbered(name: str) -> str | None:
    """A layer name that is not taken: "arcface_1". None, which is Keras' own choice, where it makes no names of a
    given one."""
    return None if _auto_name is None else _auto_name(name)


def unlock(layer: Any) -> None:
    """Let a layer that was called before take another variable, or take one away.

    RuntimeError where this version of Keras does not let it.
    """
    tracker: Any = getattr(layer, "_tracker", None)
    if hasattr(tracker, "unlock"):
        tracker.unlock()
    elif layer.built:
        raise _cannot_change("get")


def forget(layer: Any, variable: Any) -> None:
    """Take a variable away from a layer; RuntimeError where this version of Keras does not let it."""
    if not hasattr(layer, "_untrack_variable"):
        raise _cannot_change("lose")
    layer._untrack_variable(variable)


def _cannot_change(what: str) -> RuntimeError:
    return RuntimeError(
        f"a layer of Keras {keras.__version__} cannot {what} a table of centers once it is built; make the layer with "
        "num_classes and feature_dim, and another one for another number of classes"
    )


def sync(model: Any) -> None:
    """Give the variables of a model the values that they have in the middle of an epoch, where `fit` on JAX keeps
    these elsewhere. Without that method, which only Keras on JAX has, variables are where they are."""
    getattr(model, "jax_state_sync", lambda: None)()

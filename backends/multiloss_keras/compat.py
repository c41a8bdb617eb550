"""The names that Keras does not promise: their purpose, and what replaces one that is missing or behaves otherwise: a
slower way, or an error that says what to do. They are used through the functions below only, so that
`tests/test_keras_compat.py` can take them away.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras

if keras.backend.backend() == "torch":
    import torch


def _found(module: str, name: str) -> Any:
    """An attribute of a module inside Keras; None if this version lacks it."""
    try:
        return getattr(__import__(f"keras.src.{module}", fromlist=[name]), name, None)
    except ImportError:
        return None


_get_keras_mask = _found("backend", "get_keras_mask")
_get_global_attribute = _found("backend.common.global_state", "get_global_attribute")
_in_stateless_scope = _found("backend.common.stateless_scope", "in_stateless_scope")
_in_symbolic_scope = _found("backend.common.symbolic_scope", "in_symbolic_scope")
_auto_name = _found("utils.naming", "auto_name")


def _is_compiling() -> bool:
    """Whether torch.compile is tracing. It cannot trace a new layer, so trials wait for an eager call."""
    return keras.backend.backend() == "torch" and bool(torch.compiler.is_compiling())


# --- the mask that layers such as Masking attach to a tensor


def mask_of(x: Any) -> Any:
    """The mask that Keras layers attached to a tensor, or None. Without Keras' own reader a layer is called, which gets
    the mask by promise; that takes a hundred times as long."""
    if _get_keras_mask is not None and (_is_compiling() or _reads_masks(_get_keras_mask)):
        return _get_keras_mask(x)
    return _mask_by_layer(x)


@functools.cache
def _reads_masks(reader: Any) -> bool:
    """Whether the reader finds the mask of a Masking layer; tried once."""
    return reader(keras.layers.Masking(name="multiloss_probe")(keras.ops.ones((1, 1, 1)))) is not None


def _mask_by_layer(x: Any) -> Any:
    if not keras.ops.is_tensor(x):
        return None
    layer = _Probe(lambda mask: mask)
    layer(x)
    found, layer.found = layer.found, None
    return found


class _Probe(keras.layers.Layer):
    """A layer that keeps what `look` finds inside of its call, given the mask that Keras hands it."""

    def __init__(self, look: Callable[[Any], Any]) -> None:
        super().__init__(name="multiloss_probe", autocast=False)
        self.supports_masking = True
        self._look, self.found = look, None

    def call(self, inputs: Any, mask: Any = None) -> Any:
        self.found = self._look(mask)
        return inputs


# --- where a call happens


def inside_a_call(layer: Any) -> bool:
    """Whether a layer or model around `layer` is being called, which then tells inner layers the mode. RuntimeError if
    this version of Keras does not show it: then `training` has to be given."""
    if _get_global_attribute is None or not (_is_compiling() or _sees_calls(_get_global_attribute)):
        raise RuntimeError(
            f"Keras {keras.__version__} does not show whether the center loss is called inside a model; "
            "pass the mode on: center(labels, features, training=training)"
        )
    return _is_set(_get_global_attribute, layer)


def _is_set(read: Any, layer: Any) -> bool:
    context = read("current_call_ctx")
    # A context of the layer itself is left over from an interrupted call.
    return context is not None and getattr(context, "entry_layer", None) is not layer


@functools.cache
def _sees_calls(read: Any) -> bool:
    """Whether a call is seen from inside a layer; tried once."""
    layer = _Probe(lambda mask: _is_set(read, None))
    layer(keras.ops.ones((1,)))
    return bool(layer.found)


def in_stateless_scope() -> bool | None:
    """Whether variables may only be read and assigned by Keras' own methods (`keras.StatelessScope`).

    None if this version of Keras does not show it. Then the center loss asks for `training`, assigns the whole table
    instead of writing rows, and takes a table without values for a call that only asks for shapes.
    """
    return None if _in_stateless_scope is None else bool(_in_stateless_scope())


def in_symbolic_scope() -> bool:
    """Whether Keras only asks for shapes. False if that is not shown: then the center loss on JAX asks for `training`
    one step earlier, when the model is built."""
    return _in_symbolic_scope is not None and bool(_in_symbolic_scope())


# --- names and variables of layers


def numbered(name: str) -> str | None:
    """A free name for a layer, such as "arcface_1"; None, for which Keras chooses a name, if it cannot number one."""
    return None if _auto_name is None else _auto_name(name)


def unlock(layer: Any) -> None:
    """Let a built layer get or lose a variable; RuntimeError if this version of Keras does not."""
    tracker: Any = getattr(layer, "_tracker", None)
    if hasattr(tracker, "unlock"):
        tracker.unlock()
    elif layer.built:
        raise _cannot_change("get")


def forget(layer: Any, variable: Any) -> None:
    """Take a variable from a layer; RuntimeError if this version of Keras does not let it."""
    if not hasattr(layer, "_untrack_variable"):
        raise _cannot_change("lose")
    layer._untrack_variable(variable)


def _cannot_change(what: str) -> RuntimeError:
    return RuntimeError(
        f"a layer of Keras {keras.__version__} cannot {what} a table of centers once it is built; make the layer with "
        "num_classes and feature_dim, and another one for another number of classes"
    )


def sync(model: Any) -> None:
    """Update the variables of a model within an epoch: Keras on JAX keeps their values elsewhere during `fit`. Other
    backends lack the method, and need none."""
    getattr(model, "jax_state_sync", lambda: None)()

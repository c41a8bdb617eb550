"""The names that TensorFlow does not promise: what each is for, and what happens where it is missing or another.

All else that this adapter uses of TensorFlow is in its documentation.
"""

from __future__ import annotations

import sys
import threading
from functools import lru_cache
from types import FrameType
from typing import Any

import tensorflow as tf


def without_retracing_warning(compiled: Any) -> Any:
    """A `tf.function` that does not warn of many tracings: those of different losses are counted as one function's.

    `_omit_frequent_tracing_warning` is TensorFlow's own; without it the warning comes, and nothing else changes.
    """
    if hasattr(compiled, "_omit_frequent_tracing_warning"):
        compiled._omit_frequent_tracing_warning = True
    return compiled


def is_recomputed() -> bool:
    """Whether this runs inside a function of `tf.recompute_grad`, in its first pass or in the second.

    TensorFlow does not tell, but the Python stack does: `recompute_grad` has two inner functions there. Where a small
    trial, once a process, shows that they are called otherwise in this version, the tape tells: the first pass
    records nothing. (Nor does what is inside `tf.init_scope()` where no graph is, which is then refused, too.)
    """
    return _seen_on_stack() if _stack_tells() else _nothing_is_recorded()


def _seen_on_stack() -> bool:
    code = getattr(tf.recompute_grad, "__code__", None)
    if code is None:
        return False
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        here = frame.f_code
        if here.co_filename == code.co_filename and here.co_qualname.startswith("recompute_grad.<locals>"):
            return True
        frame = frame.f_back
    return False


def _nothing_is_recorded() -> bool:
    with tf.GradientTape() as tape:
        x = tf.zeros(())
        tape.watch(x)
        y = tf.identity(x)
    return tape.gradient(y, x) is None


@lru_cache(maxsize=1)
def _stack_tells() -> bool:
    """Whether both passes of a small function are seen, and what is outside of it is not."""
    seen = []

    def look(x: Any) -> Any:
        seen.append(_seen_on_stack())
        return tf.identity(x)

    def trial() -> None:
        with tf.GradientTape() as tape:
            x = tf.zeros(())
            tape.watch(x)
            look(x)
            y = tf.recompute_grad(look)(x)
        tape.gradient(y, x)

    # A thread has a stack, a tape and an eager mode of its own, whatever this call is inside of.
    thread = threading.Thread(target=trial)
    thread.start()
    thread.join()
    return seen == [False, True, True]

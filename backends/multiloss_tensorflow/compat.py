"""The names that TensorFlow does not promise: their purpose, and what happens where one is missing or changed."""

from __future__ import annotations

import sys
import threading
from functools import lru_cache
from types import FrameType
from typing import Any

import tensorflow as tf


def without_retracing_warning(compiled: Any) -> Any:
    """A `tf.function` that does not warn of many traces, which TensorFlow counts over all losses. Without the private
    attribute the warning comes, and nothing else changes."""
    if hasattr(compiled, "_omit_frequent_tracing_warning"):
        compiled._omit_frequent_tracing_warning = True
    return compiled


def is_recomputed() -> bool:
    """Whether this runs inside a function of `tf.recompute_grad`, in its first or second pass.

    The Python stack shows it, by two inner functions of `recompute_grad`. A small trial, once a process, tells whether
    they have these names in this version. If not, the tape shows it: the first pass records nothing. (Neither does an
    eager `tf.init_scope()`, which is then refused, too.)
    """
    return _seen_on_stack() if _stack_tells() else _nothing_is_recorded()


def refuse_recomputation() -> None:
    """RuntimeError inside `tf.recompute_grad`, which has no place to keep the rows of the first pass for the second."""
    if is_recomputed():
        raise RuntimeError(
            "tf.recompute_grad would compute the center loss again, and move the centers twice; call the loss "
            "outside of the recomputed function, or with training=False"
        )


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
    """Whether the stack shows both passes of a small function, and nothing outside of it."""
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

    # A new thread has its own stack and tape, and is in eager mode.
    thread = threading.Thread(target=trial)
    thread.start()
    thread.join()
    return seen == [False, True, True]

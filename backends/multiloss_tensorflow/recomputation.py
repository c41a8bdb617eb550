"""What `tf.recompute_grad` computes twice must not move centers, and it leaves no place to keep the rows of the first
pass for the second one: such a call is refused. Both passes are seen by the Python stack."""

from __future__ import annotations

import sys
from types import FrameType

import tensorflow as tf

_FILE = tf.recompute_grad.__code__.co_filename


def refuse_recomputation() -> None:
    """RuntimeError inside `tf.recompute_grad`."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code.co_filename == _FILE and code.co_qualname.startswith("recompute_grad.<locals>"):
            raise RuntimeError(
                "tf.recompute_grad would compute the center loss again, and move the centers twice; call the loss "
                "outside of the recomputed function, or with training=False"
            )
        frame = frame.f_back

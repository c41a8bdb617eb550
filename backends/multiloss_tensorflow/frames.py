"""`numerics.scan`, a loop over the frames of sequences, with a derivative that XLA compiles."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

Array = Any


def scan(step: Any, start: tuple[Array, ...], frames: tuple[Array, ...]) -> tuple[Array, ...]:
    if frames[0].shape[0] == 0:  # tf.scan refuses it
        return start
    return tuple(x[-1] for x in _states(step, start, frames))


def _states(step: Any, start: tuple[Array, ...], frames: tuple[Array, ...]) -> tuple[Array, ...]:
    """All states of `scan`, stacked."""
    # The derivative is a loop of this kind, too, over the states as plain tensors: TensorFlow's own derivative of a
    # loop keeps tensors that cannot leave a function compiled by XLA.
    kept: list[Any] = []

    @tf.custom_gradient
    def run(*arrays: Array) -> Any:
        first, xs = arrays[: len(start)], arrays[len(start) :]
        real = [i for i, x in enumerate(xs) if x.dtype.is_floating]

        def back(after: Any, at: Any) -> Any:
            upstream, state, frame = at[: len(first)], at[len(first) : 2 * len(first)], at[2 * len(first) :]
            by = [*state, *(frame[i] for i in real)]
            with tf.GradientTape() as tape:
                tape.watch(by)
                last = step(tuple(state), tuple(frame))
            slopes = [x + y for x, y in zip(after, upstream, strict=False)]
            return tuple(tape.gradient(last, by, slopes, unconnected_gradients="zero"))

        def gradient(*upstream: Array) -> Any:
            # `kept`, and not the states of the inner loop, has the derivative given here, and so a second one.
            before = [tf.concat([a[None], b[:-1]], 0) for a, b in zip(first, kept, strict=True)]
            none = [tf.zeros_like(x) for x in (*first, *(xs[i][0] for i in real))]
            reverse = tuple(tf.reverse(x, [0]) for x in (*upstream, *before, *xs))
            found = _states(back, tuple(none), reverse)
            by_frame = dict(zip(real, (tf.reverse(x, [0]) for x in found[len(first) :]), strict=True))
            return [x[-1] for x in found[: len(first)]] + [by_frame.get(i) for i in range(len(xs))]

        return tuple(tf.scan(step, xs, first)), gradient

    kept += run(*start, *frames)
    return tuple(kept)

"""What `tf.recompute_grad` computes twice must not move centers, and it leaves no place to keep the rows of the first
pass for the second one: such a call is refused."""

from __future__ import annotations

from multiloss_tensorflow import compat


def refuse_recomputation() -> None:
    """RuntimeError inside `tf.recompute_grad`."""
    if compat.is_recomputed():
        raise RuntimeError(
            "tf.recompute_grad would compute the center loss again, and move the centers twice; call the loss "
            "outside of the recomputed function, or with training=False"
        )

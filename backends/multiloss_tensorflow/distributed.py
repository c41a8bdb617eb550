"""Center loss over the replicas of `tf.distribute`."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

_MOST_SUMS = 1024
"""Up to so many classes the sums of classes travel, else the batch."""


class Replicas:
    """The replicas of a `tf.distribute` strategy, inside `strategy.run` (`protocol.Group`)."""

    def __init__(self, context: Any) -> None:
        self.context = context

    def gathers(self, classes: int, dim: int, samples: Any) -> bool:
        # The length of the batch does not count: it may differ between replicas, and all have to decide the same.
        return classes > _MOST_SUMS

    def gather(self, x: Any) -> Any:
        if x.dtype == tf.bool:
            return self.gather(tf.cast(x, tf.int32)) > 0
        # Every replica adds one zero row, which counts nowhere: all_gather crashes if all batches are empty.
        return self.context.all_gather(tf.concat([x, tf.zeros([1, *x.shape[1:]], x.dtype)], 0), axis=0)

    def sum(self, x: Any) -> Any:
        return self.context.all_reduce(tf.distribute.ReduceOp.SUM, x)


def write_rows(table: Any, labels: Any, rows: Any) -> None:
    """Write rows into a variable in place, under a strategy into the copy of each replica."""

    def write(copy: Any, labels: Any, rows: Any) -> None:
        copy.scatter_update(tf.IndexedSlices(rows, labels))

    together = group()
    if together is None:
        write(table, labels, rows)
        return

    def everywhere(strategy: Any, labels: Any, rows: Any, which: Any) -> None:
        if len(set(strategy.experimental_local_results(which))) > 1:
            raise ValueError(
                "the replicas call different center losses at the same time, so nothing has moved; call them in "
                "the same order in every replica"
            )
        strategy.extended.update(table, write, args=(labels, rows), group=False)

    together.context.merge_call(everywhere, args=(labels, rows, id(table)))


def group(table: Any = None, chosen: Any = None) -> Replicas | None:
    """The replicas of the strategy that this runs under; None if there is only one."""
    context = tf.distribute.get_replica_context()
    return Replicas(context) if context is not None and context.num_replicas_in_sync > 1 else None

"""Distances of all pairs, row by row, for the CPU: the rows stay in the processor's cache, and memory never holds the
N x N x D numbers that XLA makes for all rows at once."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

Array = Any


def pair_squares(x: Array) -> Array:
    return _of_each(lambda row: tf.reduce_sum(tf.square(row - x), -1), x)


# The derivatives of these two are loops over rows, too, since TensorFlow's own derivative of a loop keeps tensors that
# cannot leave a function compiled by XLA. `tf.identity` makes tensors of the present graph: inside of a derivative the
# arguments belong to the graph that is differentiated, where the next derivative would not find them.
@tf.custom_gradient
def pair_gaps(x: Array, factor: Array) -> Any:
    x, factor = tf.identity(x), tf.identity(factor)
    found = _of_each(lambda row, weights: tf.reduce_sum(weights[:, None] * (row - x), 0), x, factor)
    return found, lambda g: (_turned(factor, g), _along_gaps(x, g))


@tf.custom_gradient
def _along_gaps(x: Array, g: Array) -> Any:
    """(N, N): the inner product of g_i and x_i - x_j."""
    x, g = tf.identity(x), tf.identity(g)
    found = _of_each(lambda row, along: tf.reduce_sum(along * (row - x), -1), x, g)
    return found, lambda h: (_turned(h, g), pair_gaps(x, h))


def _turned(factor: Array, g: Array) -> Array:
    """(N, D): the sum over j of factor_ij g_i - factor_ji g_j."""
    # The second term is 0 for the factors of distances, which are symmetric; the first does not cancel.
    gaps: Array = pair_gaps(g, factor)
    return gaps + tf.matmul(factor - tf.transpose(factor), g)


def _of_each(function: Any, *arrays: Array) -> Array:
    """function(row, ...) of each row of the arrays."""
    # With one more row, since TensorFlow cannot stack an empty list.
    longer = [tf.pad(x, [[0, 1], [0, 0]]) for x in arrays]
    return tf.map_fn(lambda rows: function(*rows), longer, fn_output_signature=arrays[0].dtype)[:-1]

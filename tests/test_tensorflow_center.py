"""Center loss and what TensorFlow has of its own: functions and checkpoints."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import multiloss
import reference

C, D = 4, 2
LABELS = np.array([0, 2, 2, 1])
FEATURES = np.array([[1, 2], [3, -1], [1, 0], [0.5, 4]], np.float32)
Y, X = tf.constant(LABELS), tf.constant(FEATURES)
VALUES, MOVED = reference.center_step(np.zeros((C, D)), LABELS, FEATURES, 0.5)


def close(got: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-6)


def make(**options: Any) -> Any:
    return multiloss.get("center", backend="tensorflow", num_classes=C, feature_dim=D, **options)


def test_warns_of_functions_that_keep_the_old_table() -> None:
    center = make()
    function = tf.function(center)
    function(Y, X)
    with pytest.warns(UserWarning, match="make the function anew"):
        center.resize(7)
    assert np.isnan(function(Y, X))  # and not the old numbers, for ever
    center.resize(8)  # once is enough
    assert np.isfinite(tf.function(center)(Y, X))
    again = make()
    again.resize(7)
    assert again.centers.shape == (7, 2)


@pytest.mark.parametrize("xla", [False, True])
def test_function(xla: bool) -> None:
    center = make()

    @tf.function(jit_compile=xla)
    def step(y: Any, x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = center(y, x)
        return value, tape.gradient(value, x)

    value, gradient = step(Y, X)
    close(value, VALUES.mean())
    close(gradient, FEATURES / 4)
    close(center.centers, MOVED)
    value, _ = step(tf.constant([0, 9, 2, -1], tf.int64), X)
    assert np.isnan(value)
    close(center.centers, MOVED)
    evaluate = tf.function(lambda y, x: center(y, x, training=False), jit_compile=xla)
    close(
        evaluate(Y, X),
        reference.center_step(MOVED, LABELS, FEATURES, 0)[0].mean(),
    )
    close(center.centers, MOVED)


@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_batches_of_any_length(xla: bool, known: bool) -> None:
    center, centers = make(), np.zeros((C, D))
    rows = [tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, FEATURES.shape[1]], tf.float32)]
    step = tf.function(center, input_signature=None if known else rows, jit_compile=xla)
    for length in (1, 2, 0, 1, 4):
        y, x = LABELS[:length], FEATURES[:length]
        values, centers = reference.center_step(centers, y, x, 0.5)
        close(step(tf.constant(y, tf.int64), tf.constant(x, tf.float32)), values.mean() if length else 0)
        close(center.centers, centers)


def test_cannot_grow_in_a_function() -> None:
    center = multiloss.get("center", backend="tensorflow")
    for _ in range(2):  # and after eager steps: a new label could not be refused any more
        with pytest.raises(ValueError, match="pass num_classes"):
            tf.function(lambda y, x: center(y, x))(Y, X)
        center(LABELS, FEATURES)


def test_checkpoint(tmp_path: Path) -> None:
    center = make()
    center(LABELS, FEATURES)
    path = tf.train.Checkpoint(center=center).write(str(tmp_path / "checkpoint"))
    other = make()
    tf.train.Checkpoint(center=other).read(path).assert_consumed()
    close(other.centers, MOVED)
    with tf.GradientTape() as tape:
        other(LABELS, X)
    assert not tape.watched_variables() and not center.trainable_variables and len(center.variables) == 1

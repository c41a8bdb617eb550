"""TensorFlow with and without each name that it does not promise (`multiloss_tensorflow/compat.py`): the same, or
refused."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import multiloss
from multiloss_tensorflow import compat, objects


@pytest.fixture(params=["shown", "another file", "no code at all"])
def stack(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """TensorFlow as it is, and one whose `recompute_grad` is not found on the Python stack."""
    genuine = tf.recompute_grad

    class Wrapped:
        """Without `__code__`."""

        def __call__(self, f: Any) -> Any:
            return genuine(f)

    if request.param != "shown":
        wrapped = Wrapped() if request.param == "no code at all" else lambda f: genuine(f)
        monkeypatch.setattr(tf, "recompute_grad", wrapped)
    compat._stack_tells.cache_clear()
    assert compat._stack_tells() == (request.param == "shown")
    yield
    compat._stack_tells.cache_clear()


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize("how", ["call", "update", "value_and_grad"])
@pytest.mark.parametrize("graph", ["eager", "around", "inside"])
def test_a_recomputed_step_is_refused(graph: str, how: str) -> None:
    """By the stack or by the tape, before anything has moved; a step outside is one step."""
    center, x = multiloss.get("center", "tensorflow", num_classes=1, feature_dim=1, alpha=0.5), tf.constant([[4.0]])

    def part(x: Any) -> Any:
        x = tf.tanh(x)
        if how == "update":
            center.update([0], x)
        return {"call": center, "update": lambda _, x: x, "value_and_grad": center.value_and_grad}[how]([0], x)

    function = tf.recompute_grad(tf.function(part) if graph == "inside" else part)

    def gradient(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = function(x)
        return tape.gradient(value, x)

    with pytest.raises(RuntimeError, match="tf.recompute_grad would compute the center loss again"):
        (tf.function(gradient) if graph == "around" else gradient)(x)
    assert not center.centers.numpy().any()
    value, gradient_of_it = center.value_and_grad([0], x)  # c = 0: |4 - 0|^2 / 2, 4 - 0; then c = 0.5 * 4 / 2
    assert (value.numpy(), gradient_of_it.numpy().item(), center.centers.numpy().item()) == (8.0, 4.0, 1.0)
    tf.function(center)([0], x)
    np.testing.assert_allclose(center.centers, [[1.75]])  # 1 + 0.5 * 3 / 2


def test_what_moves_nothing_is_recomputed() -> None:
    center, x = multiloss.get("center", "tensorflow", num_classes=1, feature_dim=1), tf.constant([[4.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = tf.recompute_grad(lambda x: center([0], x, training=False))(x)
    assert tape.gradient(value, x).numpy().item() == 4.0 and not center.centers.numpy().any()


def test_what_tensorflow_does_not_show() -> None:
    """A function that was traced before runs twice without any Python, and moves twice: as the guide says."""
    center, x = multiloss.get("center", "tensorflow", num_classes=1, feature_dim=1, alpha=0.5), tf.constant([[4.0]])
    function = tf.function(lambda x: center([0], x))
    function(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = tf.recompute_grad(function)(x)
    tape.gradient(value, x)
    np.testing.assert_allclose(center.centers, [[4 * (1 - 0.75**3)]])  # three steps of a quarter of the way


def test_the_stack_is_tried_wherever_the_first_step_is() -> None:
    """Inside of a recomputed function, too, where no tape records and the stack has another such function."""
    compat._stack_tells.cache_clear()
    x = tf.ones(())
    with tf.GradientTape() as tape:
        tape.watch(x)
        tf.recompute_grad(lambda x: x * float(compat.is_recomputed()))(x)
    assert compat._stack_tells()
    with tf.init_scope():
        assert compat._nothing_is_recorded() and not compat.is_recomputed()


def test_without_the_attribute_that_quietens_a_warning() -> None:
    """It is not set where TensorFlow has none of this name."""

    class Function:
        __slots__ = ()

    plain = Function()
    assert compat.without_retracing_warning(plain) is plain
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert objects._function(lambda x: x + 1)(tf.constant(1)) == 2

"""Lovasz-softmax, a function of whole batches: masks, images and classes. Its values are in the catalogue."""

from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import to_native, to_numpy
from multiloss.definitions.lovasz import lovasz_softmax
from multiloss.engine import dispatch


def batch(axis: int) -> tuple[Any, Any]:
    """Two images, whose labels lack the last of three classes (the first image's the first, too), and distributions."""
    rng = np.random.default_rng(3)
    p = 0.05 + rng.random((2, 4, 3))
    labels = rng.integers(0, 2, (2, 4))
    labels[0] = 1
    p /= p.sum(-1, keepdims=True)
    return labels, np.moveaxis(p, -1, axis)


def value_and_gradient(backend: str, loss: Any, *arrays: Any, **arguments: Any) -> list[np.ndarray]:
    named = {key: to_native(backend, x) for key, x in arguments.items()}
    return [to_numpy(x) for x in loss.value_and_grad(*(to_native(backend, x) for x in arrays), **named)]


@pytest.mark.parametrize("classes", ["present", "all"])
def test_a_masked_pixel_is_as_one_that_is_not_there(backend: str, classes: str) -> None:
    labels, p = batch(-1)
    keep = np.random.default_rng(4).random(labels.shape) < 0.6
    loss = multiloss.get("lovasz_softmax", backend, classes=classes, validate=False)
    value, gradient = value_and_gradient(backend, loss, labels, np.where(keep[..., None], p, np.nan), mask=keep)
    wanted, slope = value_and_gradient(backend, loss, labels[keep], p[keep])
    np.testing.assert_allclose(value, wanted, rtol=1e-6)
    np.testing.assert_allclose(gradient[keep], slope, rtol=1e-6, atol=1e-9)
    assert not gradient[~keep].any()


@pytest.mark.parametrize("classes", ["present", "all"])
def test_each_image_has_the_loss_of_its_own(backend: str, classes: str) -> None:
    labels, p = batch(-1)
    one = multiloss.get("lovasz_softmax", backend, classes=classes)
    each = multiloss.get("lovasz_softmax", backend, classes=classes, per_image=True, reduction="none")
    value, gradient = value_and_gradient(backend, each, labels, p)
    for i in range(2):
        wanted, slope = value_and_gradient(backend, one, labels[i : i + 1], p[i : i + 1])
        np.testing.assert_allclose(value[i], wanted, rtol=1e-6)
        np.testing.assert_allclose(gradient[i], slope[0], rtol=1e-6, atol=1e-9)


@pytest.mark.graph
@pytest.mark.only("tensorflow")
@pytest.mark.parametrize("options", [{}, {"per_image": True}, {"class_axis": 1}], ids=str)
def test_a_batch_of_unknown_length(backend: str, options: dict[str, Any]) -> None:
    import tensorflow as tf

    labels, p = batch(options.get("class_axis", -1))
    loss = multiloss.get("lovasz_softmax", backend, **options)
    signature = [tf.TensorSpec([None, *x.shape[1:]], x.dtype) for x in (labels, p)]
    traced = tf.function(loss.value_and_grad, input_signature=signature)
    wanted = loss.to_backend("numpy").value_and_grad(labels, p)
    for one, other in zip(traced(to_native(backend, labels), to_native(backend, p)), wanted, strict=True):
        np.testing.assert_allclose(to_numpy(one), other, 1e-12)


def test_it_extends_the_jaccard_loss(backend: str) -> None:
    """Of predictions of 0 and 1, it is the mean over present classes of their Jaccard losses."""
    rng = np.random.default_rng(5)
    labels, predicted = rng.integers(0, 3, 40), np.eye(4)[rng.integers(0, 4, 40)]
    jaccard = multiloss.get("jaccard", backend=backend, axis=0)
    value = multiloss.get("lovasz_softmax", backend)(to_native(backend, labels), to_native(backend, predicted))
    one_hot = to_native(backend, np.eye(4)[labels][:, :3]), to_native(backend, predicted[:, :3])
    np.testing.assert_allclose(to_numpy(value), to_numpy(jaccard(*one_hot)), rtol=1e-6 if backend == "keras" else 1e-12)


@pytest.mark.reads
def test_classes_on_an_axis_of_their_own(backend: str) -> None:
    labels, moved = batch(1)
    keep = np.random.default_rng(6).random(labels.shape) < 0.6
    dirty = np.where(keep[:, None], moved, np.nan)
    for per_image in (False, True):
        first = multiloss.get("lovasz_softmax", backend, class_axis=1, per_image=per_image)
        last = multiloss.get("lovasz_softmax", backend, per_image=per_image)
        value, gradient = value_and_gradient(backend, first, labels, dirty, mask=keep)
        wanted, slope = value_and_gradient(backend, last, labels, np.moveaxis(dirty, 1, -1), mask=keep)
        np.testing.assert_allclose(value, wanted, rtol=1e-6)
        np.testing.assert_allclose(np.moveaxis(gradient, 1, -1), slope, rtol=1e-6, atol=1e-9)
    with pytest.raises(ValueError, match="axis 4 does not exist in y_pred"):
        multiloss.get("lovasz_softmax", backend, class_axis=4)(to_native(backend, labels), to_native(backend, moved))
    with pytest.raises(ValueError, match="y_true holds the label 3, but labels must be in"):
        first(to_native(backend, labels + 2), to_native(backend, moved))


def test_an_image_without_pixels_leaves_the_mean(backend: str) -> None:
    labels, p = batch(-1)
    keep = np.ones(labels.shape, bool)
    keep[1] = False
    loss = multiloss.get("lovasz_softmax", backend, per_image=True)
    value, gradient = value_and_gradient(backend, loss, labels, p, mask=keep)
    wanted, slope = value_and_gradient(backend, loss, labels[:1], p[:1])
    np.testing.assert_allclose(value, wanted, rtol=1e-6)
    np.testing.assert_allclose(gradient[:1], slope, rtol=1e-6, atol=1e-9)


def test_classes_that_there_are_not(backend: str) -> None:
    for wrong in ([], [0, 0], [-1], [0.5], 3, "some"):
        with pytest.raises((ValueError, TypeError), match="classes"):
            multiloss.get("lovasz_softmax", backend, classes=wrong)
    loss = multiloss.get("lovasz_softmax", backend, classes=np.array([0, 2]))
    assert loss.config()["classes"] == [0, 2]
    with pytest.raises(ValueError, match="classes must be among the 2 classes, got 2"):
        loss(to_native(backend, np.array([0, 1])), to_native(backend, np.full((2, 2), 0.5)))


def test_images_need_an_axis_of_their_own() -> None:
    with pytest.raises(ValueError, match="per_image"):
        lovasz_softmax(dispatch.backend("numpy").xp, np.zeros(3, int), np.ones((2, 3)), axis=0, per_image=True)

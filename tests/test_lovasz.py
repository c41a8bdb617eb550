"""Lovasz-softmax, a function of whole batches, on every backend: against the Lovasz extension of the Jaccard loss as
Berman et al. define it (50 digits), at worked points, compiled, and against the Jaccard loss that it extends."""

from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import framework, jit, native_grad, to_native, to_numpy
from multiloss.definitions.lovasz import lovasz_softmax, lovasz_softmax_gradient
from multiloss.engine import dispatch
from reference.catalogue import segmentation
from reference.catalogue.entry import Entry, exact

PREDICTIONS = {-1: (2, 3, 4, 3), 1: (2, 4, 3, 3), 0: (4, 2, 5)}
"""The class axis, and shapes."""
OPTIONS: list[dict[str, Any]] = [
    {},
    {"classes": "all"},
    {"axis": 1},
    {"axis": 1, "classes": "all"},
    {"axis": 0},
    {"per_image": True},
    {"per_image": True, "classes": "all", "axis": 1},
    {"per_image": True, "axis": -3},
]


def batch(axis: int) -> tuple[Any, Any]:
    """Labels that lack the last class (the first image lacks the first, too), and distributions."""
    shape = PREDICTIONS[1 if axis == -3 else axis]
    rng = np.random.default_rng(3)
    p = 0.05 + rng.random(shape)
    samples = tuple(n for i, n in enumerate(shape) if i != axis % len(shape))
    labels = rng.integers(0, shape[axis] - 1, samples)
    labels[0] = np.maximum(labels[0], 1)
    return labels, p / p.sum(axis, keepdims=True)


def entry(keep: Any) -> Entry:
    """The reference, which differentiates itself."""

    def formula(labels: Any, p: Any, **options: Any) -> Any:
        return segmentation.lovasz_softmax(labels, p, keep=keep, **options)

    return Entry("lovasz_softmax", formula, "batch", lambda _: ())


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_value_and_gradient(backend: str, options: dict[str, Any], masked: bool) -> None:
    labels, p = batch(options.get("axis", -1))
    keep = np.random.default_rng(4).random(labels.shape) < 0.6 if masked else None
    reference = entry(None if keep is None else keep.tolist())
    values, _, shape = reference.values(exact((labels, p)), options)
    wanted = np.array([float(v) for v in values]).reshape(shape)
    slope = reference.gradient((labels, p), 1, options, mean=False)
    xp = dispatch.backend(backend).xp
    native_labels = to_native(backend, labels)
    native_keep = None if keep is None else to_native(backend, keep)
    for dtype, bound in (("float64", 1e-12), ("float32", 2e-6)):
        given = p if keep is None else np.where(np.expand_dims(keep, options.get("axis", -1)), p, np.nan)
        native = to_native(backend, given, dtype)
        value = lovasz_softmax(xp, native_labels, native, keep=native_keep, **options)
        gradient = lovasz_softmax_gradient(xp, native_labels, native, keep=native_keep, **options)
        np.testing.assert_allclose(to_numpy(value), wanted, rtol=bound, err_msg=dtype)
        np.testing.assert_allclose(to_numpy(gradient), slope, rtol=bound, atol=bound, err_msg=dtype)


@pytest.mark.graph
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.only("torch", "tensorflow", "jax")
@pytest.mark.parametrize("options", [{}, {"per_image": True, "axis": 1}], ids=str)
def test_compiled(backend: str, options: dict[str, Any]) -> None:
    """Value and automatic derivative."""
    labels, p = batch(options.get("axis", -1))
    xp = dispatch.backend(backend).xp
    native_labels = to_native(backend, labels)

    def total(x: Any) -> Any:
        return xp.sum(lovasz_softmax(xp, native_labels, x, **options))

    if backend == "torch":
        import torch

        torch._dynamo.reset()
        compiled = torch.compile(total, fullgraph=True, backend="aot_eager")
    else:
        compiled = jit(backend, total)
    reference, x = entry(None), to_native(backend, p)
    wanted = float(reference.reduced(exact((labels, p)), options, mean=False))
    np.testing.assert_allclose(to_numpy(compiled(x)), wanted, rtol=1e-12)
    slope = reference.gradient((labels, p), 1, options, mean=False)
    np.testing.assert_allclose(native_grad(backend, compiled, x), slope, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(native_grad(backend, total, x), slope, rtol=1e-12, atol=1e-12)


@pytest.mark.graph
@pytest.mark.only("tensorflow")
@pytest.mark.parametrize("options", [{}, {"per_image": True}, {"axis": 1}], ids=str)
def test_a_batch_of_unknown_length(backend: str, options: dict[str, Any]) -> None:
    import tensorflow as tf

    labels, p = batch(options.get("axis", -1))
    xp = dispatch.backend(backend).xp
    signature = [tf.TensorSpec([None, *x.shape[1:]], x.dtype) for x in (labels, p)]

    @tf.function(input_signature=signature)
    def both(y: Any, x: Any) -> Any:
        return lovasz_softmax(xp, y, x, **options), lovasz_softmax_gradient(xp, y, x, **options)

    found = both(to_native(backend, labels), to_native(backend, p))
    for one, wanted in zip(found, (lovasz_softmax, lovasz_softmax_gradient), strict=True):
        np.testing.assert_allclose(to_numpy(one), wanted(dispatch.backend("numpy").xp, labels, p, **options), 1e-12)


NAN = float("nan")
WORKED: list[tuple[str, Any, Any, dict[str, Any], Any, Any]] = [
    ("a right prediction: every error 0, at the kink of each", [0, 1], [[1.0, 0.0], [0.0, 1.0]], {}, 0.0,
     [[0.0, 0.0], [0.0, 0.0]]),
    ("one pixel, one class of two: its error", [0], [[0.75, 0.25]], {}, 0.25, [[-1.0, 0.0]]),
    ("the absent class: its largest error", [0], [[0.75, 0.25]], {"classes": "all"}, 0.25, [[-0.5, 0.5]]),
    # class 0: errors .5 (inside), .25: steps 1 and 0, as J_1 = 1; class 1: errors .5 (outside), .25 (inside): steps
    # J_1 = 1 - 1/2, J_2 = 1
    ("two pixels", [0, 1], [[0.5, 0.5], [0.25, 0.75]], {}, (0.5 + 0.375) / 2, [[-0.5, 0.25], [0.0, -0.25]]),
    # three of class 0, errors .5 each, of equal rank: 1/3, 1/3, 1/3
    ("ties", [0, 0, 0], [[0.5], [0.5], [0.5]], {}, 0.5, [[-1 / 3]] * 3),
    # outside first in order: J = 1/2, 1/2, so the second pixel (inside) gets 1/2, too; the other order 1 and 0
    ("a tie of a pixel inside and one outside, in their order", [1, 0], [[0.5, 0.5], [0.5, 0.5]], {}, 0.5,
     [[0.25, -0.5], [-0.25, 0.0]]),
    ("nothing left", [0, 1], [[0.5, 0.5], [0.5, NAN]], {"keep": [False, False]}, 0.0, [[0.0, 0.0], [0.0, 0.0]]),
    ("nan", [0, 0], [[0.5, 0.5], [NAN, 0.5]], {}, NAN, None),
    ("nan in a class that is absent", [0, 0], [[0.5, 0.5], [0.5, NAN]], {}, NAN, None),
]  # fmt: skip


@pytest.mark.parametrize(("what", "labels", "p", "options", "value", "gradient"), WORKED, ids=[w[0] for w in WORKED])
def test_worked(backend: str, what: str, labels: Any, p: Any, options: Any, value: Any, gradient: Any) -> None:
    xp = dispatch.backend(backend).xp
    given = {k: to_native(backend, np.array(v)) if k == "keep" else v for k, v in options.items()}
    for dtype in ("float64", "float32"):
        arrays = to_native(backend, np.array(labels)), to_native(backend, p, dtype)
        found = to_numpy(lovasz_softmax(xp, *arrays, **given))
        np.testing.assert_allclose(found, value, rtol=1e-6, err_msg=what)
        if gradient is not None:
            slope = to_numpy(lovasz_softmax_gradient(xp, *arrays, **given))
            np.testing.assert_allclose(slope, gradient, rtol=1e-6, err_msg=what)
            if framework(backend) != "numpy":
                by = native_grad(backend, lambda x, y=arrays[0]: lovasz_softmax(xp, y, x, **given), arrays[1])
                np.testing.assert_allclose(by, gradient, rtol=1e-6, err_msg=what)


def test_it_extends_the_jaccard_loss(backend: str) -> None:
    """Of predictions of 0 and 1, it is the mean over present classes of their Jaccard losses."""
    rng = np.random.default_rng(5)
    labels, predicted = rng.integers(0, 3, 40), np.eye(4)[rng.integers(0, 4, 40)]
    xp = dispatch.backend(backend).xp
    jaccard = multiloss.get("jaccard", backend=backend, axis=0)
    one_hot = to_native(backend, np.eye(4)[labels][:, :3]), to_native(backend, predicted[:, :3])
    value = lovasz_softmax(xp, to_native(backend, labels), to_native(backend, predicted))
    np.testing.assert_allclose(to_numpy(value), to_numpy(jaccard(*one_hot)), rtol=1e-6 if backend == "keras" else 1e-12)


def test_images_need_an_axis_of_their_own() -> None:
    xp = dispatch.backend("numpy").xp
    with pytest.raises(ValueError, match="per_image"):
        lovasz_softmax(xp, np.zeros(3, int), np.ones((2, 3)), axis=0, per_image=True)


@pytest.mark.reads
def test_classes_on_an_axis_of_their_own(backend: str) -> None:
    """Of `get`: a mask leaves pixels out, nan among them, and the gradient has the layout of what came."""
    rng = np.random.default_rng(6)
    labels, p = batch(1)
    keep = rng.random(labels.shape) < 0.6
    dirty = np.where(np.expand_dims(keep, 1), p, np.nan)
    native = [to_native(backend, x) for x in (labels, dirty, keep)]
    for per_image in (False, True):
        first = multiloss.get("lovasz_softmax", backend, class_axis=1, per_image=per_image)
        last = multiloss.get("lovasz_softmax", backend, per_image=per_image)
        value, gradient = first.value_and_grad(*native[:2], mask=native[2])
        moved = to_native(backend, np.moveaxis(dirty, 1, -1))
        wanted, slope = last.value_and_grad(native[0], moved, mask=native[2])
        np.testing.assert_allclose(to_numpy(value), to_numpy(wanted), rtol=1e-6)
        np.testing.assert_allclose(np.moveaxis(to_numpy(gradient), 1, -1), to_numpy(slope), rtol=1e-6, atol=1e-9)
    with pytest.raises(ValueError, match="axis 4 does not exist in y_pred"):
        multiloss.get("lovasz_softmax", backend, class_axis=4)(*native[:2])
    with pytest.raises(ValueError, match="y_true holds the label 3, but labels must be in"):
        first(to_native(backend, labels + 1), to_native(backend, p[:, :3]))


def test_an_image_without_pixels_leaves_the_mean(backend: str) -> None:
    """One that is masked is as one that is not there, in the count too."""
    labels, p = batch(-1)
    keep = np.ones(labels.shape, bool)
    keep[1] = False
    loss = multiloss.get("lovasz_softmax", backend, per_image=True)
    value, gradient = loss.value_and_grad(*(to_native(backend, x) for x in (labels, p)), mask=to_native(backend, keep))
    rest = [np.delete(x, 1, axis=0) for x in (labels, p)]
    wanted, slope = loss.value_and_grad(*(to_native(backend, x) for x in rest))
    np.testing.assert_allclose(to_numpy(value), to_numpy(wanted), rtol=1e-6)
    np.testing.assert_allclose(np.delete(to_numpy(gradient), 1, axis=0), to_numpy(slope), rtol=1e-6, atol=1e-9)


def test_classes_that_there_are_not(backend: str) -> None:
    for wrong in ([], [0, 0], [-1], [0.5], 3, "some"):
        with pytest.raises((ValueError, TypeError), match="classes"):
            multiloss.get("lovasz_softmax", backend, classes=wrong)
    loss = multiloss.get("lovasz_softmax", backend, classes=np.array([0, 2]))
    assert loss.config()["classes"] == [0, 2]
    with pytest.raises(ValueError, match="classes must be among the 2 classes, got 2"):
        loss(to_native(backend, np.array([0, 1])), to_native(backend, np.full((2, 2), 0.5)))

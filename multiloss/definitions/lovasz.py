"""Lovasz-softmax: the Jaccard loss of classes, extended to probabilities. A loss of a whole batch, not of samples."""

from __future__ import annotations

import math
from typing import Any

from multiloss.checks import MEMBERSHIP
from multiloss.definition import of_inputs
from multiloss.options import flag, one_of

Array = Any


def lovasz_softmax(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    keep: Array | None = None,
    axis: int = -1,
    per_image: bool = False,
    classes: str = "present",
) -> Array:
    """Lovasz-softmax: the mean over classes of the Lovasz extension of the Jaccard loss.

    .. math:: \\tfrac{1}{|C|} \\sum_{c \\in C} \\sum_k m_{\\pi_k} (J_k - J_{k-1}), \\quad
        J_k = 1 - \\frac{|y = c| - |y = c \\cap \\{\\pi_1 \\dots \\pi_k\\}|}{|y = c \\cup \\{\\pi_1 \\dots \\pi_k\\}|}

    with the errors m = 1 - p_c where y = c, else p_c, which the permutation pi sorts, the largest first.

    Args:
        y_true: integer labels y in [0, C), the shape of `y_pred` without `axis`.
        y_pred: probabilities p over the C classes.
        axis: the axis of the classes (1 for N, C, H, W).
        keep: boolean, the shape of `y_true`; pixels where it is False are left out.
        per_image: one value for each index of the first axis, and not one of the whole batch.
        classes: "present" averages over the classes that the labels (of the image) have, "all" over all C.

    Returns:
        A number, or one for each image; 0 where no pixel is kept. Pixels of equal errors are taken in their order,
        which the value does not depend on, but the gradient does.

    Source: Berman et al. 2018, whose code has these defaults.
    """
    p, kept, inside, weights = _steps(xp, y_true, y_pred, keep, axis, per_image)
    errors = (p - inside) * xp.stop_gradient(xp.sign(p - inside))  # its derivative at 0 is 0 on every backend
    # A product, not `where`: a nan shows also in a class that is not counted.
    values = xp.sum(xp.sum(errors * weights, axis=-1) * _share(xp, inside, kept, classes), axis=-1)
    return values if per_image else xp.sum(values)


def lovasz_softmax_gradient(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    keep: Array | None = None,
    axis: int = -1,
    per_image: bool = False,
    classes: str = "present",
) -> Array:
    """The derivative by `y_pred` of the value that each element takes part in; 0 at an error of 0."""
    p, kept, inside, weights = _steps(xp, y_true, y_pred, keep, axis, per_image)
    slope = weights * xp.sign(p - inside) * xp.expand_dims(_share(xp, inside, kept, classes), axis=-1)
    order = _order(y_pred, axis, per_image)
    unknown = order.index(0) if axis % len(order) else 1  # the batch, whose length a graph may not know
    moved = xp.reshape(slope, tuple(-1 if i == unknown else y_pred.shape[a] for i, a in enumerate(order)))
    return xp.permute_dims(moved, tuple(order.index(i) for i in range(len(order))))


def _order(y_pred: Array, axis: int, per_image: bool) -> list[int]:
    """The axes of `y_pred` as they are worked on: the images where each has its value, the classes, the pixels."""
    rank = len(y_pred.shape)
    classes = axis % rank
    if per_image and classes == 0:
        raise ValueError("per_image needs the images on the first axis, but there are the classes")
    first = [0] if per_image else []
    return [*first, classes, *(i for i in range(rank) if i not in (classes, *first))]


def _steps(
    xp: Any, y_true: Array, y_pred: Array, keep: Array | None, axis: int, per_image: bool
) -> tuple[Array, Array | None, Array, Array]:
    """p, what is kept, 1 where the label is the class, and J_k - J_(k-1) of each pixel.

    All have shape (images, classes, pixels); what is kept has one class.
    """
    order = _order(y_pred, axis, per_image)
    labels_order = [i - (i > axis % len(order)) for i in order if i != axis % len(order)]
    rest = math.prod([y_pred.shape[i] for i in order[2:]]) if per_image else -1
    images = -1 if per_image else 1
    p = xp.reshape(xp.permute_dims(y_pred, tuple(order)), (images, y_pred.shape[axis], rest))

    def pixels(x: Array) -> Array:
        return xp.reshape(xp.permute_dims(x, tuple(labels_order)), (images, 1, rest))

    inside = xp.astype(pixels(y_true) == xp.class_range(p, 1), p.dtype)
    kept = None if keep is None else pixels(keep)
    if kept is not None:
        # Pixels of error 0 outside of the class are last, and change nothing.
        p, inside = xp.where(kept, p, xp.zeros_like(p)), xp.where(kept, inside, xp.zeros_like(inside))
    by_error = xp.argsort(-xp.abs(inside - p), axis=-1, stable=True)
    inside_sorted = xp.take_along_axis(inside, by_error, axis=-1)
    size = xp.sum(inside, axis=-1, keepdims=True)
    missed = size - xp.cumulative_sum(inside_sorted, axis=-1)
    union = size + xp.cumulative_sum(1 - inside_sorted, axis=-1)
    before = union - (1 - inside_sorted)
    # J_k - J_(k-1), without the difference: 1 / union inside, missed / (before union) outside; 1 for the first pixel
    # where the class has none.
    none = before == 0
    ratio = xp.where(none, xp.ones_like(before), missed / xp.where(none, xp.ones_like(before), before))
    steps = (inside_sorted + (1 - inside_sorted) * ratio) / union
    back = xp.argsort(by_error, axis=-1, stable=True)
    return p, kept, inside, xp.stop_gradient(xp.take_along_axis(steps, back, axis=-1))


def _share(xp: Any, inside: Array, kept: Array | None, classes: str) -> Array:
    """What each class counts for in the mean of an image, (images, classes)."""
    size = xp.sum(inside, axis=-1)
    if classes == "present":
        counted = xp.astype(size > 0, inside.dtype)
        return counted / xp.at_least(xp.sum(counted, axis=-1, keepdims=True), 1.0)
    return xp.ones_like(size) / xp.length(size, 1)


@of_inputs(
    {"y_true": "... int<C", "y_pred": "... C"},
    name="lovasz_softmax",
    readers={"per_image": flag, "classes": one_of("present", "all")},
    domain=lambda _: {"y_pred": MEMBERSHIP},
    whole_batch=True,
)
def lovasz_softmax_of_a_batch(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    keep: Array | None = None,
    per_image: bool = False,
    classes: str = "present",
) -> Array:
    """Lovasz-softmax: the mean over classes of the Lovasz extension of the Jaccard loss.

    .. math:: \\tfrac{1}{|C|} \\sum_{c \\in C} \\sum_k m_k (J_k - J_{k-1})

    with the errors m = 1 - p_c where y = c, else p_c, the largest first, and J_k the Jaccard loss of class c when the
    first k of them are wrong.

    Args:
        y_true: integer labels y in [0, C), (...): (N, H, W) for images.
        y_pred: probabilities p over the C classes, (..., C): the classes are the last axis.
        per_image: the mean of one value for each index of the first axis, and not one of the whole batch.
        classes: "present" averages over the classes that the labels (of the image) have, "all" over all C.

    Returns:
        One value for the batch (with `per_image` one for each image, before the reduction). A mask leaves pixels out.
        Pixels of equal errors are taken in their order, which the value does not depend on, but the gradient does.

    Source: Berman et al. 2018, whose code has these defaults.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("lovasz_softmax", backend="numpy")
        >>> float(loss([0, 1], [[1.0, 0.0], [0.0, 1.0]]))
        0.0
    """
    return lovasz_softmax(xp, y_true, y_pred, keep=keep, per_image=per_image, classes=classes)


lovasz_softmax_of_a_batch.family = "segmentation"

"""Lovasz-softmax: the Jaccard loss of classes, extended to probabilities. A loss of a whole batch, not of samples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from multiloss.engine.checks import MEMBERSHIP, axis_fits
from multiloss.engine.definition import of_inputs
from multiloss.engine.options import non_negative_integer, one_of

Array = Any


def lovasz_softmax(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    keep: Array | None = None,
    axis: int = -1,
    per_image: bool = False,
    classes: str | tuple[int, ...] = "present",
) -> Array:
    """The value of the whole batch, or one of each image (see `lovasz_softmax_of_a_batch`); 0 where no pixel is kept.
    The classes are on `axis`; `keep` has the shape of `y_true`."""
    p, inside, weights = _steps(xp, y_true, y_pred, keep, axis, per_image)
    errors = (p - inside) * xp.stop_gradient(xp.sign(p - inside))  # its derivative at 0 is 0 on every backend
    # A product, not `where`: a nan shows also in a class that is not counted.
    values = xp.sum(xp.sum(errors * weights, axis=-1) * _share(xp, inside, classes), axis=-1)
    return values if per_image else xp.sum(values)


def lovasz_softmax_gradient(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    keep: Array | None = None,
    axis: int = -1,
    per_image: bool = False,
    classes: str | tuple[int, ...] = "present",
) -> Array:
    """The derivative by `y_pred` of the value that each element takes part in; 0 at an error of 0."""
    p, inside, weights = _steps(xp, y_true, y_pred, keep, axis, per_image)
    slope = weights * xp.sign(p - inside) * xp.expand_dims(_share(xp, inside, classes), axis=-1)
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
) -> tuple[Array, Array, Array]:
    """p, 1 where the label is the class, and J_k - J_(k-1) of each pixel.

    All have shape (images, classes, pixels).
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
        p, inside = xp.where(kept, p, 0), xp.where(kept, inside, 0)
    by_error = xp.argsort(-xp.abs(inside - p), axis=-1, stable=True)
    inside_sorted = xp.take_along_axis(inside, by_error, axis=-1)
    size = xp.sum(inside, axis=-1, keepdims=True)
    missed = size - xp.cumulative_sum(inside_sorted, axis=-1)
    union = size + xp.cumulative_sum(1 - inside_sorted, axis=-1)
    before = union - (1 - inside_sorted)
    # J_k - J_(k-1), without the difference: 1 / union inside, missed / (before union) outside; 1 for the first pixel
    # where the class has none.
    none = before == 0
    ratio = xp.where(none, 1, missed / xp.where(none, 1, before))
    steps = (inside_sorted + (1 - inside_sorted) * ratio) / union
    back = xp.argsort(by_error, axis=-1, stable=True)
    return p, inside, xp.stop_gradient(xp.take_along_axis(steps, back, axis=-1))


def _share(xp: Any, inside: Array, classes: str | tuple[int, ...]) -> Array:
    """What each class counts for in the mean of an image, (images, classes)."""
    size = xp.sum(inside, axis=-1)
    if isinstance(classes, str):
        counted = size > 0 if classes == "present" else size >= 0
    else:
        number = xp.class_count(size, 1)
        if isinstance(number, int) and max(classes) >= number:
            raise ValueError(f"classes must be among the {number} classes, got {max(classes)}")
        counted = size < 0
        for one in classes:
            counted = counted | (xp.class_range(size, 1) == one)
    share = xp.astype(counted, inside.dtype)
    return share / xp.clamp_min(xp.sum(share, axis=-1, keepdims=True), 1.0)


def _classes(name: str, value: Any) -> str | tuple[int, ...]:
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return one_of("present", "all")(name, value)
    numbers = tuple(non_negative_integer(f"{name}[{i}]", item) for i, item in enumerate(value))
    if not numbers or len(set(numbers)) < len(numbers):
        raise ValueError(f"{name} must name classes, each once, got {numbers}")
    return numbers


def _classes_last(xp: Any, inputs: list[Array], options: Mapping[str, Any]) -> list[Array]:
    axis, rank = options["class_axis"], len(inputs[1].shape)
    axis_fits(axis, inputs[1].shape, "y_pred")
    if axis % rank == rank - 1:
        return inputs
    order = [i for i in range(rank) if i != axis % rank]
    return [inputs[0], xp.permute_dims(inputs[1], (*order, axis % rank))]


@of_inputs(
    {"y_true": "... int<C", "y_pred": "... C"},
    name="lovasz_softmax",
    domain=lambda _: {"y_pred": MEMBERSHIP},
    whole_batch=True,
    arrange=_classes_last,
)
def lovasz_softmax_of_a_batch(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    *,
    keep: Array | None = None,
    per_image: bool = False,
    classes: Annotated[str | tuple[int, ...], _classes] = "present",
    class_axis: int = -1,
) -> Array | tuple[Array, Array]:
    """Lovasz-softmax: the mean over classes of the Lovasz extension of the Jaccard loss.

    .. math:: \\tfrac{1}{|C|} \\sum_{c \\in C} \\sum_k m_k (J_k - J_{k-1})

    with the errors m = 1 - p_c where y = c, else p_c, the largest first, and J_k the Jaccard loss of class c when the
    first k of them are wrong.

    Args:
        y_true: integer labels y in [0, C), (...): (N, H, W) for images.
        y_pred: probabilities p over the C classes, (..., C), or with the classes on `class_axis`.
        per_image: the mean of one value for each index of the first axis, and not one of the whole batch.
        classes: "present" averages over the classes that the labels (of the image) have, "all" over all C, a list of
            classes over these.
        class_axis: the axis of the classes in `y_pred`: 1 for N, C, H, W.

    Returns:
        One value for the batch (with `per_image` one for each image, before the reduction). A mask leaves pixels out;
        an image without any left leaves the mean.
        Pixels of equal errors are taken in their order, which the value does not depend on, but the gradient does.

    Raises:
        ValueError: a label outside [0, C), where values can be read; a class or an axis that there is not.

    Source: Berman et al. 2018, whose code has these defaults.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("lovasz_softmax", backend="numpy")
        >>> float(loss([0, 1], [[1.0, 0.0], [0.0, 1.0]]))
        0.0
    """
    values = lovasz_softmax(xp, y_true, y_pred, keep=keep, per_image=per_image, classes=classes)
    if not per_image or keep is None:
        return values
    some = xp.any(keep, axis=tuple(range(1, len(keep.shape)))) if len(keep.shape) > 1 else keep
    return values, xp.where(some, xp.ones_like(values), xp.zeros_like(values))


lovasz_softmax_of_a_batch.family = "segmentation"

"""Lovasz-softmax: the Jaccard loss of classes, extended to probabilities. It has one value for a whole batch."""

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
    """See `lovasz_softmax_of_a_batch`: the value of the batch, or one per image; 0 where no pixel is kept. The classes
    are on `axis`; `keep` has the shape of `y_true`."""
    p, inside, steps = _jaccard_steps(xp, y_true, y_pred, keep, axis, per_image)
    errors = (p - inside) * xp.stop_gradient(xp.sign(p - inside))  # |p - inside|, whose derivative at 0 is 0 everywhere
    # The weight multiplies: `where` would hide a nan in a class that does not count.
    values = xp.sum(xp.sum(errors * steps, axis=-1) * _class_weight(xp, inside, classes), axis=-1)
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
    """The derivative by each element of `y_pred` of the value that it takes part in; 0 at an error of 0."""
    p, inside, steps = _jaccard_steps(xp, y_true, y_pred, keep, axis, per_image)
    slope = steps * xp.sign(p - inside) * xp.expand_dims(_class_weight(xp, inside, classes), axis=-1)
    order = _order(y_pred, axis, per_image)
    unknown = order.index(0) if axis % len(order) else 1  # one length may be left to `reshape`: that of the batch
    moved = xp.reshape(slope, tuple(-1 if i == unknown else xp.class_count(y_pred, a) for i, a in enumerate(order)))
    return xp.permute_dims(moved, tuple(order.index(i) for i in range(len(order))))


def _jaccard_steps(
    xp: Any, y_true: Array, y_pred: Array, keep: Array | None, axis: int, per_image: bool
) -> tuple[Array, Array, Array]:
    """p, 1 where the label is the class, and J_k - J_(k-1) of each pixel: (images, classes, pixels) each."""
    p, inside = _by_class(xp, y_true, y_pred, keep, axis, per_image)
    by_error = xp.argsort(-xp.abs(inside - p), axis=-1, stable=True)
    hit = xp.take_along_axis(inside, by_error, axis=-1)
    # If the first k pixels are wrong, the intersection lacks those of the class, and the union has the others besides:
    # J_k = 1 - I_k / U_k. So J_k - J_(k-1) is 1 / U_k for a pixel of the class, and I_k / (U_(k-1) U_k) for another.
    size = xp.sum(inside, axis=-1, keepdims=True)
    intersection = size - xp.cumulative_sum(hit, axis=-1)
    union = size + xp.cumulative_sum(1 - hit, axis=-1)
    before = union - (1 - hit)
    empty = before == 0  # the first pixel of a class that has none: J_1 = 1
    ratio = xp.where(empty, 1, intersection / xp.where(empty, 1, before))
    steps = (hit + (1 - hit) * ratio) / union
    back = xp.argsort(by_error, axis=-1, stable=True)
    return p, inside, xp.stop_gradient(xp.take_along_axis(steps, back, axis=-1))


def _by_class(
    xp: Any, y_true: Array, y_pred: Array, keep: Array | None, axis: int, per_image: bool
) -> tuple[Array, Array]:
    """p, and 1 where the label is the class: (images, classes, pixels) each."""
    order = _order(y_pred, axis, per_image)
    labels_order = [i - (i > axis % len(order)) for i in order if i != axis % len(order)]
    rest = math.prod([xp.class_count(y_pred, i) for i in order[2:]]) if per_image else -1
    images = -1 if per_image else 1
    p = xp.reshape(xp.permute_dims(y_pred, tuple(order)), (images, xp.class_count(y_pred, axis), rest))

    def pixels(x: Array) -> Array:
        return xp.reshape(xp.permute_dims(x, tuple(labels_order)), (images, 1, rest))

    inside = xp.astype(pixels(y_true) == xp.class_range(p, 1), p.dtype)
    if keep is None:
        return p, inside
    kept = pixels(keep)  # others have an error of 0 and no class: they come last, and change nothing
    return xp.where(kept, p, 0), xp.where(kept, inside, 0)


def _order(y_pred: Array, axis: int, per_image: bool) -> list[int]:
    """The axes of `y_pred` in the order images (if each has its value), classes, pixels."""
    rank = len(y_pred.shape)
    classes = axis % rank
    if per_image and classes == 0:
        raise ValueError("per_image needs the images on the first axis, but there are the classes")
    first = [0] if per_image else []
    return [*first, classes, *(i for i in range(rank) if i not in (classes, *first))]


def _class_weight(xp: Any, inside: Array, classes: str | tuple[int, ...]) -> Array:
    """1 / |C| for the classes C that are averaged, else 0, (images, classes)."""
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
    weight = xp.astype(counted, inside.dtype)
    return weight / xp.clamp_min(xp.sum(weight, axis=-1, keepdims=True), 1.0)


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

    The errors m are 1 - p_c where y = c, else p_c, the largest first. J_k is the Jaccard loss of class c if the first k
    pixels are wrong and the others right.

    Args:
        y_true: integer labels y in [0, C), (...): (N, H, W) for images.
        y_pred: probabilities p over the C classes, (..., C), or with the classes on `class_axis`.
        per_image: one value for each index of the first axis, and their mean, instead of one for the whole batch.
        classes: "present" averages over the classes among the labels (of the image), "all" over all C, a list of
            classes over these.
        class_axis: the axis of the classes in `y_pred`: 1 for N, C, H, W.

    Returns:
        One value for the batch, or with `per_image` one for each image. A mask leaves pixels out, and of the mean an
        image without any. Pixels of equal errors are taken in their order, on which the gradient depends, but not the
        value.

    Raises:
        ValueError: a label outside [0, C), where values can be read; a class or an axis that does not exist.

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

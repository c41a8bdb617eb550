"""Plain functions on any backend's arrays: softmax and the like, label smoothing, losses that take a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from multiloss.engine import checks, dispatch, options

Array = Any


def _ready(x: Any, axis: Any, name: str = "x", kinds: str = "fiu") -> tuple[Any, Array]:
    be, found = dispatch.native_arrays({name: x}, kinds)
    checks.axis_fits(axis, be.shape(found[name]), name)
    return be, found[name]


def _apply(function: str, x: Any, axis: Any, **keywords: Any) -> Array:
    be, array = _ready(x, axis)
    with dispatch.quiet(be):
        return _as_it_came(be, getattr(be.xp, function)(be.compute(array), axis=axis, **keywords), array)


def _as_it_came(be: Any, result: Array, array: Array) -> Array:
    """Cast the result to the dtype of the argument: half precision is computed in float32, but returned as it came."""
    return be.cast_like(result, array) if be.dtype_kind(array) == "f" else result


def softmax(x: Any, axis: int = -1) -> Array:
    """Softmax: probabilities of logits.

    .. math:: e^{x_k} / \\sum_j e^{x_j}

    Args:
        x: logits, any shape.
        axis: the axis of the classes.

    Returns:
        The shape and dtype of x; sums to 1 over `axis`.

    Example:
        >>> import multiloss
        >>> multiloss.softmax([1000.0, 1000.0]).tolist()
        [0.5, 0.5]
    """
    return _apply("softmax", x, options.single_axis("axis", axis))


def log_softmax(x: Any, axis: int = -1) -> Array:
    """The logarithm of softmax, without overflow.

    .. math:: x_k - \\log \\sum_j e^{x_j}

    Args:
        x: logits, any shape.
        axis: the axis of the classes.

    Returns:
        The shape and dtype of x.

    Example:
        >>> import multiloss
        >>> multiloss.log_softmax([0.0, 10000.0]).tolist()
        [-10000.0, 0.0]
    """
    return _apply("log_softmax", x, options.single_axis("axis", axis))


def logsumexp(x: Any, axis: int | tuple[int, ...] | None = -1, keepdims: bool = False) -> Array:
    """The logarithm of the sum of exponentials, without overflow.

    .. math:: \\log \\sum_j e^{x_j}

    Args:
        x: any shape.
        axis: the axis (or axes) to sum over; None for all.
        keepdims: keep it, of length 1.

    Returns:
        The shape of x without `axis`, in its dtype.

    Example:
        >>> import multiloss
        >>> f"{multiloss.logsumexp([1000.0, 1000.0]):.4f}"
        '1000.6931'
    """
    return _apply("logsumexp", x, options.axis("axis", axis), keepdims=options.flag("keepdims", keepdims))


def smooth_labels(y_true: Any, smoothing: float, axis: int = -1) -> Array:
    """Label smoothing: targets mixed with the uniform distribution over the classes.

    .. math:: (1 - s)\\, t + s / K

    Args:
        y_true: one-hot or soft targets t, any shape.
        smoothing: s in [0, 1].
        axis: the axis of the K classes.

    Returns:
        The shape of y_true, in its dtype; integers and booleans become the framework's default float.

    Source: Szegedy et al. 2016, section 7. `optax.losses.smooth_labels`; the `label_smoothing` of losses does the same.

    Example:
        >>> import multiloss
        >>> multiloss.smooth_labels([[0, 1]], 0.5).tolist()
        [[0.25, 0.75]]
    """
    axis, smoothing = options.single_axis("axis", axis), options.unit_interval("smoothing", smoothing)
    be, array = _ready(y_true, axis, "y_true", "fiub")
    with dispatch.quiet(be):
        t = be.compute(array)
        return _as_it_came(be, (1 - smoothing) * t + smoothing / be.xp.length(t, axis), array)


def fenchel_young(max_fun: Callable[[Array], Array], scores: Any, targets: Any) -> Array:
    """The Fenchel-Young loss of a convex function, up to a term that depends on the targets alone.

    .. math:: \\Omega^*(z) - \\langle t, z \\rangle

    Args:
        max_fun: a convex function Omega* of the scores, from (..., C) to (...), in the framework of `scores`; with
            :func:`multiloss.logsumexp` it is the softmax cross entropy.
        scores: z, (..., C).
        targets: t, (..., C), in the range of its gradient: probabilities, for logsumexp.

    Returns:
        One value per sample, (...). The term Omega(t) is left out, as its gradient by the scores is 0.

    Raises:
        ValueError: shapes that differ, or a function that gives no value per sample.

    Source: Blondel, Martins & Niculae 2020; Optax: `make_fenchel_young_loss`.

    Example:
        >>> import multiloss
        >>> value = multiloss.fenchel_young(multiloss.logsumexp, [[0.0, 0.0]], [[1.0, 0.0]])
        >>> f"{value[0]:.4f}"  # log 2
        '0.6931'
    """
    be, found = dispatch.native_arrays({"scores": scores, "targets": targets})
    z, t = found.values()
    if not checks.same(be.shape(z), be.shape(t)) or not be.shape(z):
        raise ValueError(f"scores and targets must have equal shapes (..., C), got {be.shape(z)} and {be.shape(t)}")
    wide = be.compute(z)
    top = max_fun(wide)
    if not checks.same(be.shape(top), be.shape(z)[:-1]):
        raise ValueError(f"max_fun must give one value per sample, {be.shape(z)[:-1]}, got {be.shape(top)}")
    with dispatch.quiet(be):
        return _as_it_came(be, top - be.xp.sum(be.cast_like(t, wide) * wide, axis=-1), z)


def triplet_margin(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance: Callable[[Array, Array], Array],
    margin: float = 1.0,
    swap: bool = False,
) -> Array:
    """The triplet loss of a distance function (for norms: `multiloss.get("triplet_margin")`).

    .. math:: \\max(0, d(a, p) - d(a, n) + m)

    Args:
        anchor: a, embeddings, (..., D).
        positive: p, of the anchor's class, (..., D).
        negative: n, of another class, (..., D).
        distance: d, a function of two arrays (..., D) of the embeddings' framework, which returns (...).
        margin: m, 0 or above.
        swap: use the smaller one of d(a, n) and d(p, n) in place of d(a, n).

    Returns:
        One value per triplet, (...). At the kink the gradient is 0.

    Raises:
        ValueError: shapes that differ, or a function that gives no value per triplet.

    Source: `torch.nn.TripletMarginWithDistanceLoss`, whose mean of these it is.

    Example:
        >>> import multiloss
        >>> def city_block(x, y):
        ...     return abs(x - y).sum(-1)
        >>> multiloss.triplet_margin([[0.0, 0.0]], [[3.0, 4.0]], [[0.0, 5.0]], distance=city_block).tolist()
        [3.0]
    """
    margin, swap = options.non_negative("margin", margin), options.flag("swap", swap)
    if not callable(distance):
        raise TypeError(f"distance must be a function of two arrays, got {distance!r}")
    be, arrays = dispatch.native_arrays({"anchor": anchor, "positive": positive, "negative": negative})
    shape = be.shape(arrays["anchor"])
    for name, x in arrays.items():
        if not checks.same(be.shape(x), shape) or not shape:
            raise ValueError(f"{name} must have the shape (..., D) of anchor, {shape}, got {be.shape(x)}")
    main = be.compute(arrays["anchor"])
    a, p, n = (be.cast_like(be.compute(x), main) for x in arrays.values())

    def apart(name: str, x: Array, y: Array) -> Array:
        d = distance(x, y)
        if not be.is_native(d) or not checks.same(be.shape(d), shape[:-1]):
            got = be.shape(d) if be.is_native(d) else repr(d)
            raise ValueError(f"distance must give one value per triplet, {shape[:-1]}, got {got} of {name}")
        return d

    near, far = apart("anchor and positive", a, p), apart("anchor and negative", a, n)
    with dispatch.quiet(be):
        if swap:
            other = apart("positive and negative", p, n)
            far = be.xp.where(other < far, other, far)
        return be.xp.hinge(near - far + margin)

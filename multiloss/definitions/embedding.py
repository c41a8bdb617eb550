"""Losses of embeddings whose pairs or triplets are given."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from multiloss.engine.checks import PROBABILITY, SIGN
from multiloss.engine.definition import of_inputs, shared
from multiloss.engine.options import NonNegative, real

Array = Any


@of_inputs(
    {"y_true": "...", "x1": "... D", "x2": "... D"},
    domain=lambda _: {"y_true": PROBABILITY},
)
def contrastive(xp: Any, y_true: Array, x1: Array, x2: Array, *, margin: NonNegative = 1.0) -> Array:
    """Contrastive loss: similar pairs are pulled together, others pushed apart up to a margin.

    .. math:: \\tfrac12 t d^2 + \\tfrac12 (1 - t) \\max(0, m - d)^2, \\quad d = \\lVert x_1 - x_2 \\rVert

    Args:
        y_true: t, 1 for a similar pair and 0 for a dissimilar one, (...); the paper's Y is 1 - t.
        x1: embeddings, (..., D).
        x2: the other of each pair, (..., D).
        margin: m, the distance from which a dissimilar pair counts no more.

    Returns:
        One value per pair, (...). The gradient of two equal points is 0.

    Source: Hadsell, Chopra & LeCun 2006.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("contrastive", backend="numpy", reduction="none")
        >>> loss([1.0, 0.0], [[0.0, 0.0], [0.0, 0.0]], [[3.0, 4.0], [0.0, 0.5]]).tolist()
        [12.5, 0.125]
    """
    d = _distance(xp, x1, x2)
    short = xp.clamp_min(margin - d, 0.0)
    return 0.5 * y_true * d * d + 0.5 * (1 - y_true) * short * short


@shared
def _distance(xp: Any, x: Array, y: Array) -> Array:
    """d, of the rows of x and y."""
    return xp.row_norm(x - y)


def _of_difference(xp: Any, y_true: Array, x1: Array, x2: Array, margin: float) -> Array:
    """The derivative by e = x1 - x2: t e - (1 - t) max(0, m - d) e / d."""
    e, short = x1 - x2, xp.clamp_min(margin - _distance(xp, x1, x2), 0.0)
    t, push = (xp.expand_dims(x, axis=-1) for x in (y_true, (1 - y_true) * short))
    return t * e - push * xp.unit_rows(e, _distance(xp, x1, x2))


@contrastive.gradient("x1")
def _(xp: Any, y_true: Array, x1: Array, x2: Array, *, margin: float) -> Array:
    return _of_difference(xp, y_true, x1, x2, margin)


@contrastive.gradient("x2")
def _(xp: Any, y_true: Array, x1: Array, x2: Array, *, margin: float) -> Array:
    return -_of_difference(xp, y_true, x1, x2, margin)


@contrastive.gradient("y_true")
def _(xp: Any, y_true: Array, x1: Array, x2: Array, *, margin: float) -> Array:
    d = _distance(xp, x1, x2)
    short = xp.clamp_min(margin - d, 0.0)
    return 0.5 * (d * d - short * short)


def _norm_power(name: str, value: Any) -> float:
    """A real number, 1 or above, which makes a norm."""
    number = real(name, value)
    if number < 1:
        raise ValueError(f"{name} must be at least 1, got {number:g}")
    return number


@of_inputs({"anchor": "... D", "positive": "... D", "negative": "... D"})
def triplet_margin(
    xp: Any,
    anchor: Array,
    positive: Array,
    negative: Array,
    *,
    margin: NonNegative = 1.0,
    power: Annotated[float, _norm_power] = 2.0,
    swap: bool = False,
    epsilon: NonNegative = 0.0,
    epsilon_in: Literal["difference", "root"] = "difference",
) -> Array:
    """Triplet loss of triplets that are given: the negative shall be farther than the positive, by a margin.

    .. math:: \\max(0, d(a, p) - d(a, n) + m), \\quad d(x, y) = \\lVert x - y \\rVert_k

    Args:
        anchor: a, embeddings, (..., D).
        positive: p, of the anchor's class, (..., D).
        negative: n, of another class, (..., D).
        margin: m, a distance, 0 or above.
        power: k of the norm, 1 or above; 2 is the Euclidean one.
        swap: whether the nearer of d(a, n) and d(p, n) stands for d(a, n).
        epsilon: what is added, 0 or above: to every difference (`epsilon_in="difference"`), or under the root, to
            the sum of powers (`"root"`).
        epsilon_in: where `epsilon` goes.

    Returns:
        One value per triplet, (...). The gradient of two equal points, and at the kink, is 0.

    Source: Schroff, Kalenichenko & Philbin 2015 have squared distances (`triplet`, squared=True); Balntas et al.
        2016 have these and the swap. torch's `TripletMarginLoss` is `epsilon=1e-6`; Optax's `triplet_margin_loss` is
        `epsilon=1e-6, epsilon_in="root"`, and takes no absolute value before an odd power. Not in Keras.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("triplet_margin", backend="numpy", reduction="none")
        >>> loss([[0.0, 0.0]] * 2, [[3.0, 4.0]] * 2, [[0.0, 5.5], [0.0, 9.0]]).tolist()
        [0.5, 0.0]
    """
    options = {"power": power, "swap": swap, "epsilon": epsilon, "epsilon_in": epsilon_in}
    return xp.hinge(_short(xp, anchor, positive, negative, margin=margin, **options)[0])


@shared
def _short(
    xp: Any,
    anchor: Array,
    positive: Array,
    negative: Array,
    *,
    margin: float,
    power: float,
    swap: bool,
    epsilon: float,
    epsilon_in: str,
) -> tuple[Array, list[tuple[Array, Array]], float, Array | None]:
    """d(a, p) - d(a, n) + m; the differences a - p, a - n and with `swap` p - n (each plus epsilon) and their norms;
    the epsilon under the root; and with `swap` whether p is nearer to n than a is."""
    e = [anchor - positive, anchor - negative, *([positive - negative] if swap else [])]
    e = [x + epsilon for x in e] if epsilon and epsilon_in == "difference" else e
    inside = epsilon if epsilon_in == "root" else 0.0
    near, far, *other = norms = [xp.power_norm(x, power, inside) for x in e]
    swapped = other[0] < far if swap else None
    short = near - (xp.where(swapped, other[0], far) if swap else far) + margin
    return short, list(zip(e, norms, strict=True)), inside, swapped


def _pull(xp: Any, inputs: tuple[Array, ...], i: int, *, power: float, **options: Any) -> Array:
    """The derivative by a - p (i = 0), and minus those by a - n (1) and p - n (2)."""
    short, e, inside, swapped = _short(xp, *inputs, power=power, **options)
    counts = xp.above_zero(short)
    if i and swapped is not None:
        counts = xp.where(swapped, 0, counts) if i == 1 else xp.where(swapped, counts, 0)
    x, norm = e[i]
    return xp.expand_dims(counts, axis=-1) * xp.power_norm_slope(x, norm, power, inside)


@triplet_margin.gradient("anchor")
def _(xp: Any, *inputs: Array, **options: Any) -> Array:
    return _pull(xp, inputs, 0, **options) - _pull(xp, inputs, 1, **options)


@triplet_margin.gradient("positive")
def _(xp: Any, *inputs: Array, swap: bool, **options: Any) -> Array:
    near = _pull(xp, inputs, 0, swap=swap, **options)
    return -near - _pull(xp, inputs, 2, swap=swap, **options) if swap else -near


@triplet_margin.gradient("negative")
def _(xp: Any, *inputs: Array, swap: bool, **options: Any) -> Array:
    far = _pull(xp, inputs, 1, swap=swap, **options)
    return far + _pull(xp, inputs, 2, swap=swap, **options) if swap else far


@of_inputs({"y_true": "...", "x1": "... D", "x2": "... D"}, domain=lambda _: {"y_true": SIGN})
def cosine_embedding(xp: Any, y_true: Array, x1: Array, x2: Array, *, margin: float = 0.0) -> Array:
    """Cosine embedding loss: similar pairs shall point the same way, others not, up to a margin.

    .. math:: 1 - c \\text{ for } t = 1, \\quad \\max(0, c - m) \\text{ for } t = -1, \\quad
        c = \\frac{x_1 \\cdot x_2}{\\lVert x_1 \\rVert \\lVert x_2 \\rVert}

    Args:
        y_true: t, 1 for a similar pair and -1 for a dissimilar one, (...).
        x1: embeddings, (..., D).
        x2: the other of each pair, (..., D).
        margin: m, the cosine up to which a dissimilar pair counts nothing.

    Returns:
        One value per pair, (...). With a vector of 0 the cosine is 0, and so is its gradient.

    Raises:
        ValueError: at the first call, for other targets than -1 and 1 (unchecked they give 0, as in torch).

    Source: torch's `CosineEmbeddingLoss`, which adds 1e-12 to each squared length; for similar pairs Optax's
        `cosine_distance`, and 1 plus Keras's `CosineSimilarity`.

    Example:
        >>> import multiloss
        >>> loss = multiloss.get("cosine_embedding", backend="numpy", reduction="none", margin=0.25)
        >>> loss([1.0, -1.0], [[0.0, 2.0], [2.0, 0.0]], [[3.0, 0.0], [3.0, 0.0]]).tolist()
        [1.0, 0.75]
    """
    _, _, apart, cosine, lost = _directions(xp, x1, x2)
    pull, push = xp.where(lost, 1, apart), xp.hinge(cosine - margin)
    return xp.where(y_true == 1, pull, xp.where(y_true == -1, push, 0 * y_true * pull))


@shared
def _directions(xp: Any, x1: Array, x2: Array) -> tuple[list[Array], list[Array], Array, Array, Array]:
    """The unit vectors u and v and u - v; both lengths; 1 - c; c; and whether one of both vectors is 0."""
    lengths = [xp.row_norm(x) for x in (x1, x2)]
    u, v = (xp.unit_rows(x, length) for x, length in zip((x1, x2), lengths, strict=True))
    gap = u - v
    # 1 - c is |u - v|^2 / 2, which keeps its digits where u and v are close.
    apart = 0.5 * xp.sum(gap * gap, axis=-1)
    return [u, v, gap], lengths, apart, xp.sum(u * v, axis=-1), (lengths[0] == 0) | (lengths[1] == 0)


def _turned(xp: Any, y_true: Array, x1: Array, x2: Array, margin: float, first: bool) -> Array:
    """The derivative by x1 (`first`), of 1 - c that is -(v - c u) / |x1|; or by x2."""
    (u, v, gap), lengths, apart, cosine, lost = _directions(xp, x1, x2)
    # -(v - c u) = (u - v) - (1 - c) u keeps the digits that c loses near 1.
    apart = xp.expand_dims(apart, axis=-1)
    turn = gap - apart * u if first else -gap - apart * v
    push = xp.where(cosine <= margin, xp.zeros_like(cosine), -1)
    side = xp.where(y_true == 1, 1, xp.where(y_true == -1, push, 0 * y_true))
    # The cosine of a vector of 0 is 0, whatever the other vector is.
    each = xp.where(lost, 0 * side, side) / xp.where(lost, 1, lengths[0 if first else 1])
    return xp.expand_dims(each, axis=-1) * turn


@cosine_embedding.gradient("x1")
def _(xp: Any, y_true: Array, x1: Array, x2: Array, *, margin: float) -> Array:
    return _turned(xp, y_true, x1, x2, margin, True)


@cosine_embedding.gradient("x2")
def _(xp: Any, y_true: Array, x1: Array, x2: Array, *, margin: float) -> Array:
    return _turned(xp, y_true, x1, x2, margin, False)

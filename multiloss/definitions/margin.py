"""Margin losses of two classes: targets -1 and 1, real scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from multiloss.engine.checks import BINARY, SIGN
from multiloss.engine.definition import elementwise

Array = Any
Labels = Annotated[Literal["+-1", "01"], '"01" takes the labels 0 and 1 instead, and makes them -1 and 1.']


def _domain(options: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"y_true": SIGN if options["labels"] == "+-1" else BINARY}


def _signs(t: Array, labels: str) -> Array:
    return t if labels == "+-1" else 2 * t - 1


def step(xp: Any, x: Array) -> Array:
    """1 above 0, else 0: the derivative of max(0, x), with 0 at its kink; nan stays nan."""
    return xp.clamp_min(xp.sign(x), 0.0)


@elementwise(domain=_domain)
def hinge(xp: Any, y_true: Array, y_pred: Array, *, labels: Labels = "+-1") -> Array:
    """Hinge loss.

    .. math:: \\max(0, 1 - t z)

    Args:
        y_true: targets t, -1 or 1, any shape.
        y_pred: scores z, the shape of `y_true`.

    Returns:
        One value per element, in the unit of the scores; averaged over `axis`. The gradient at t z = 1 is 0.

    Raises:
        ValueError: other targets than these, by the first call, where values can be read.

    Source: Cortes & Vapnik 1995. `keras.losses.Hinge` (which converts labels wherever a whole batch holds 0 and 1
    only), `optax.losses.hinge_loss`.

    Example:
        >>> import multiloss
        >>> float(multiloss.get("hinge", backend="numpy")([-1, 1], [-2.0, 0.5]))
        0.25
    """
    return xp.clamp_min(1 - xp.signed_margin(_signs(y_true, labels), y_pred), 0.0)


@hinge.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, labels: str) -> Array:
    t = _signs(y_true, labels)
    return xp.zero_times(step(xp, 1 - t * y_pred), -t)


@hinge.hessian
def _(xp: Any, y_true: Array, y_pred: Array) -> Array:
    return xp.zeros_like(y_pred)


@elementwise(domain=_domain)
def squared_hinge(xp: Any, y_true: Array, y_pred: Array, *, labels: Labels = "+-1") -> Array:
    """Squared hinge loss.

    .. math:: \\max(0, 1 - t z)^2

    Args:
        y_true: targets t, -1 or 1, any shape.
        y_pred: scores z, the shape of `y_true`.

    Returns:
        One value per element, in the squared unit of the scores; averaged over `axis`.

    Raises:
        ValueError: other targets than these, by the first call, where values can be read.

    Source: `keras.losses.SquaredHinge`.

    Example:
        >>> import multiloss
        >>> float(multiloss.get("squared_hinge", backend="numpy")([-1, 1], [-2.0, 0.5]))
        0.125
    """
    h = xp.clamp_min(1 - xp.signed_margin(_signs(y_true, labels), y_pred), 0.0)
    return h * h


@squared_hinge.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, labels: str) -> Array:
    t = _signs(y_true, labels)
    return xp.zero_times(xp.clamp_min(1 - t * y_pred, 0.0), -2 * t)


@squared_hinge.hessian
def _(xp: Any, y_true: Array, y_pred: Array, *, labels: str) -> Array:
    t = _signs(y_true, labels)
    return xp.zero_times(step(xp, 1 - t * y_pred), 2 * t * t)


@elementwise(domain=_domain)
def perceptron(xp: Any, y_true: Array, y_pred: Array, *, labels: Labels = "+-1") -> Array:
    """Perceptron loss.

    .. math:: \\max(0, -t z)

    Args:
        y_true: targets t, -1 or 1, any shape.
        y_pred: scores z, the shape of `y_true`.

    Returns:
        One value per element, in the unit of the scores; averaged over `axis`. The gradient at z = 0 is 0.

    Raises:
        ValueError: other targets than these, by the first call, where values can be read.

    Source: Rosenblatt 1958. `optax.losses.perceptron_loss`.

    Example:
        >>> import multiloss
        >>> float(multiloss.get("perceptron", backend="numpy")([-1, 1], [2.0, 0.5]))
        1.0
    """
    return xp.clamp_min(-xp.signed_margin(_signs(y_true, labels), y_pred), 0.0)


@perceptron.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, labels: str) -> Array:
    t = _signs(y_true, labels)
    return xp.zero_times(step(xp, -t * y_pred), -t)


@perceptron.hessian
def _(xp: Any, y_true: Array, y_pred: Array) -> Array:
    return xp.zeros_like(y_pred)


@elementwise(domain=_domain)
def soft_margin(xp: Any, y_true: Array, y_pred: Array, *, labels: Labels = "+-1") -> Array:
    """Logistic loss of a margin, in nats: binary cross entropy of logits, with targets -1 and 1.

    .. math:: \\log(1 + e^{-t z})

    Args:
        y_true: targets t, -1 or 1, any shape.
        y_pred: logits z, the shape of `y_true`.

    Returns:
        One value per element, in nats; averaged over `axis`. Right for logits of any size.

    Raises:
        ValueError: other targets than these, by the first call, where values can be read.

    Source: `torch.nn.SoftMarginLoss` (which overflows for -t z above 88 in float32).

    Example:
        >>> import multiloss
        >>> float(multiloss.get("soft_margin", backend="numpy")([-1], [1e4]))
        10000.0
    """
    margin = xp.signed_margin(_signs(y_true, labels), y_pred)
    return xp.log1p(xp.exp(-xp.abs(margin))) + xp.clamp_min(-margin, 0.0)


@soft_margin.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, labels: str) -> Array:
    t = _signs(y_true, labels)
    return xp.zero_times(xp.expit(-t * y_pred), -t)


@soft_margin.hessian
def _(xp: Any, y_true: Array, y_pred: Array, *, labels: str) -> Array:
    t = _signs(y_true, labels)
    return t * t * xp.expit(y_pred) * xp.expit(-y_pred)


@elementwise(domain=_domain)
def hinge_embedding(xp: Any, y_true: Array, y_pred: Array, *, margin: float = 1.0, labels: Labels = "+-1") -> Array:
    """Hinge loss of distances: small ones where the target is 1, at least the margin where it is -1.

    .. math:: d \\text{ if } t = 1, \\quad \\max(0, m - d) \\text{ if } t = -1

    Args:
        y_true: targets t, 1 for similar pairs and -1 for others, any shape.
        y_pred: distances d, the shape of `y_true`.
        margin: m, in the unit of the distances.

    Returns:
        One value per element, in the unit of the distances; averaged over `axis`. The gradient at d = m is 0.

    Raises:
        ValueError: other targets than these, by the first call, where values can be read.

    Source: `torch.nn.HingeEmbeddingLoss`.

    Example:
        >>> import multiloss
        >>> float(multiloss.get("hinge_embedding", backend="numpy")([1, -1], [0.5, 0.75]))
        0.375
    """
    similar = 0.5 * (1 + _signs(y_true, labels))
    return xp.mix(xp.clamp_min(margin - y_pred, 0.0), y_pred, similar)


@hinge_embedding.gradient
def _(xp: Any, y_true: Array, y_pred: Array, *, margin: float, labels: str) -> Array:
    similar = 0.5 * (1 + _signs(y_true, labels))
    return similar - (1 - similar) * step(xp, margin - y_pred)


@hinge_embedding.hessian
def _(xp: Any, y_true: Array, y_pred: Array) -> Array:
    return xp.zeros_like(y_pred)

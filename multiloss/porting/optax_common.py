"""Shared by the rows for Optax: kinds of rows, sentences of notes, and what to do instead of `where`."""

from __future__ import annotations

from typing import Any

from multiloss.engine.options import integer
from multiloss.porting.rows import RefusedError, Row, Rows, adder

ROWS: Rows = {}
source = adder(ROWS, "y_pred y_true")

INFINITE = "an infinite logit gives nan in Optax; here the limit, where there is one"
MASKED = (
    "a logit of -inf whose target is 0 gives nan in Optax (but in safe_softmax_cross_entropy); here it adds nothing"
)
LABELS = (
    "a label of -1 counts from the end in Optax, and one beyond the classes gives nan; here both are refused, and "
    "ignore_index leaves samples out"
)
ELEMENTS = "one value per element, not reduced"
_BROADCAST = "arrays of unequal shapes are broadcast in Optax, (N, 1) against (N,) to N x N; here they are refused"
KINK = "at the kink the gradient is 0 here, half the slope in JAX"


def row(loss: str, *notes: str, **options: Any) -> Row:
    """A row of `loss`, unreduced."""
    return Row(loss, *notes, **({"reduction": "none"} | options))


def of_two(loss: str, *notes: str, **options: Any) -> Row:
    """The same of two arrays of one shape."""
    return row(loss, *notes, _BROADCAST, **options)


def element(loss: str, *notes: str, **options: Any) -> Row:
    """The same of each element."""
    return of_two(loss, ELEMENTS, *notes, axis=(), **options)


def no_where(where: Any, instead: str) -> None:
    """Refuse `where`, and say what to do instead."""
    if where is not None:
        raise RefusedError(f"where is an array of each call: {instead}")


SAMPLES = "pass mask at the call to leave out whole samples"
CLASSES = f"set the logits that it leaves out to -inf, and their targets to 0, or {SAMPLES}"
LABELLED = (
    f"set the logits that it leaves out to -inf, but that of the label, which Optax reads in any case, or {SAMPLES}"
)
VECTORS = "set the entries that it leaves out to 0 in both arrays"
TARGETS = f"set the targets that it leaves out to 0, or {SAMPLES}"
LOG_TARGETS = f"set the log-targets that it leaves out to -inf, or {SAMPLES}"
AMOUNTS = f"set the targets that it leaves out to 0, and the log-predictions there to -inf, or {SAMPLES}"


def one_axis(axis: Any) -> int | None:
    """The axis of the classes; None if there are several."""
    if isinstance(axis, list | tuple) and len(axis) == 1:
        return integer("axis", axis[0])
    return None if axis is None or isinstance(axis, list | tuple) else integer("axis", axis)


_ZERO = "with epsilon=0, Optax gives nan for a vector of 0; here the cosine is 0, and its gradient"
_OVERFLOW = "Optax gives 0 for vectors whose squares overflow (1e20 in float32); here the cosine"


def cosine_notes(epsilon: Any) -> tuple[str, ...]:
    """What Optax does otherwise with vectors of 0, and with large ones."""
    if epsilon == 0:
        return _ZERO, _OVERFLOW
    return "epsilon is a floor of the squared norms; in torch and Keras of the norms", _OVERFLOW


_SMOOTH = "smooth is added to half of both terms of Dice's fraction, 1 by default; Keras adds 1e-7 below it"
_EMPTY = "with smooth=0, two empty regions give nan in Optax; here 0"


def dice_notes(smooth: Any) -> tuple[str, ...]:
    """What `smooth` is, and what Optax does otherwise without it."""
    return (_SMOOTH, _EMPTY) if smooth == 0 else (_SMOOTH,)

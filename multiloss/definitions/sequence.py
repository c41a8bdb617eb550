"""Losses of sequences whose labels are not aligned with their frames."""

from __future__ import annotations

import math
from typing import Any, Literal

from multiloss.engine.definition import of_inputs
from multiloss.engine.options import NonNegativeInteger

Array = Any

LOG_0 = -1e30
"""Stands for log 0: below any other logarithm, and finite, so that the difference of two is never nan."""


def _example(rng: Any) -> dict[str, Any]:
    """Labels without the blank, and lengths that leave an alignment."""
    return {
        "y_true": rng.integers(1, 4, (5, 2)),
        "y_pred": rng.normal(size=(5, 6, 4)),
        "label_lengths": rng.integers(0, 3, 5),
        "input_lengths": rng.integers(3, 7, 5),
    }


@of_inputs(
    {"y_true": "N L int<C", "y_pred": "N T C", "label_lengths": "N int<=L", "input_lengths": "N int<=T"},
    example=_example,
    may_be_empty="LT",
)
def ctc(
    xp: Any,
    y_true: Array,
    y_pred: Array,
    label_lengths: Array | None = None,
    input_lengths: Array | None = None,
    *,
    blank: NonNegativeInteger = 0,
    zero_infinity: bool = False,
    normalize: Literal["length"] | None = None,
) -> Array:
    """Connectionist temporal classification: minus the log probability of all alignments that spell the labels.

    .. math:: -\\log \\sum_{\\pi:\\, B(\\pi) = l} \\; \\prod_{t=1}^{T} \\operatorname{softmax}(z_t)_{\\pi_t}

    B merges repeats, then removes the blanks.

    Args:
        y_true: labels l, integers, (N, L). Entries behind a sample's length are not read, but must be classes.
        y_pred: logits z, (N, T, C), time second. Log-probabilities are logits, too, and give the same.
        label_lengths: how many labels each sample has, (N,); None: L.
        input_lengths: how many frames each sample has, (N,); None: T.
        blank: the class that says nothing.
        zero_infinity: count samples without any alignment as 0.
        normalize: "length" divides each sample's value by its number of labels (at least 1).

    Returns:
        One value per sample, (N,). Without any alignment (more labels, and blanks between equal ones, than frames; a
        blank among the labels; T may be 0) it is inf and its gradient 0. Costs N x T x L. Under
        `torch.compile` the frames are one loop from torch 2.13 on; older ones unroll it, which takes them minutes.

    Raises:
        ValueError: `blank` is no class.

    Source: Graves et al. 2006, in logarithms. torch: `ctc_loss`, which takes log-probabilities (T, N, C),
    gives such a sample a nan gradient, and whose mean is that of `normalize="length"`. Optax: `ctc_loss`, with paddings
    and 1e5 for inf. Keras: `CTC`, without input lengths, where a label of 0 is padding.

    Example:
        >>> import math, multiloss
        >>> loss = multiloss.get("ctc", backend="numpy")
        >>> round(math.exp(-loss([[1]], [[[0.0, 0.0], [0.0, 0.0]]])), 6)  # 3 of 4 alignments: "1-", "-1" and "11"
        0.75
    """
    classes = xp.class_count(y_pred, -1)
    if isinstance(classes, int) and blank >= classes:
        raise ValueError(f"blank must be one of the {classes} classes, got {blank}")
    frame = xp.class_range(y_pred, 1)
    active = None
    if input_lengths is not None:  # later frames reach neither value nor gradient
        active = frame < xp.expand_dims(xp.expand_dims(input_lengths, axis=1), axis=2)
        y_pred = xp.where(active, y_pred, 0)
    log_p = xp.log_softmax(y_pred, axis=-1)
    log_p = xp.where(log_p < LOG_0, LOG_0, log_p)
    of_labels = xp.take_along_axis(log_p, xp.expand_dims(y_true, axis=1) + 0 * frame, axis=2)
    of_labels = xp.where(xp.expand_dims(y_true == blank, axis=1), LOG_0, of_labels)
    frames = [log_p[:, :, blank : blank + 1], of_labels, *([] if active is None else [active])]
    frames = [xp.permute_dims(x, (1, 0, 2)) for x in frames]

    # Before the first frame every alignment is at the blank before the first label. Each frame's largest logarithm is
    # added to `total` and taken off the others, so that long sequences keep their digits.
    zero = xp.sum(log_p[:, :0, :1], axis=1)  # (N, 1), also of T = 0
    at_label = xp.full_like(xp.sum(of_labels[:, :0, :], axis=1), LOG_0)
    repeated = y_true == xp.concat([y_true[:, :1], y_true[:, :-1]], axis=1)
    start = (xp.concat([zero, at_label], axis=1), at_label, zero, xp.where(repeated, at_label, 0))
    at_blank, at_label, total, _ = xp.scan(lambda state, now: _forward(xp, state, *now), start, tuple(frames))

    # An alignment ends at the last label or at the blank behind it.
    ends = at_blank, xp.concat([xp.full_like(zero, LOG_0), at_label], axis=1)
    if label_lengths is None:
        at_end = [x[:, -1:] for x in ends]
    else:
        at_end = [xp.take_along_axis(x, xp.expand_dims(label_lengths, axis=1), axis=1) for x in ends]
    value = xp.squeeze(-total - xp.log_add(*at_end), axis=1)
    impossible = value > -LOG_0 / 10
    value = xp.where(impossible, xp.full_like(value, 0.0 if zero_infinity else math.inf), value)
    if normalize is None:
        return value
    if label_lengths is None:
        return value / xp.length(y_true, 1)
    return value / xp.astype(xp.where(label_lengths < 1, 1, label_lengths), value.dtype)


def _forward(
    xp: Any, state: tuple[Array, ...], of_blank: Array, of_label: Array, active: Array | None = None
) -> tuple[Array, ...]:
    """One frame of the forward algorithm (Graves et al. 2006, sec. 4.1), in logarithms.

    A state holds the probability to be at the blank before each label and behind the last, (N, L + 1), and at each
    label, (N, L); what was taken off both, (N, 1); and 0 for a label that may follow the one before it without a blank,
    log 0 for a repeated one, (N, L).
    """
    at_blank, at_label, total, skip = state
    before = xp.concat([xp.full_like(total, LOG_0), at_label], axis=1)  # at the label before each blank
    new_blank = of_blank + xp.log_add(at_blank, before)
    new_label = of_label + xp.log_add(at_label, at_blank[:, :-1], before[:, :-1] + skip)
    top = xp.max(xp.stop_gradient(xp.concat([new_blank, new_label], axis=1)), axis=1, keepdims=True)
    new = new_blank - top, new_label - top, total + top
    if active is not None:
        new = tuple(xp.where(active, x, y) for x, y in zip(new, state[:3], strict=True))
    return *new, skip

"""torch's own fused kernels, where they give what the definition gives.

`MEAN` has the mean of all values, of plain calls (no weights, no mask, labels that can be read, y_pred in a compute
dtype, not empty). What options and shapes decide is decided once, by a function of (options, axis, shape of y_pred)
that gives the call `(y_true, y_pred)`, or None. A call that finds values for which the kernel is another loss gives
None, too, and the definition answers. The mean of the means over an axis is the mean over everything. The functions of
`torch.nn.functional` stand before these ones, and check and broadcast what was checked here already.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from multiloss.engine.checks import rounding
from multiloss.engine.options import KERAS_WEIGHTED
from multiloss_torch import compat, mode

_nn = compat.nn_kernels
_EACH, _MEAN, _SUM = 0, 1, 2
_NO_LABEL = -0x4C61_6265_6C6C_6573
"""What torch may ignore: it refuses any other label out of range, and -100 has to be, too. Nothing is cast to it, as
nan is to -2**63."""
_FEW = 4096
"""Below so many elements another pass over them costs less than another node in the graph."""
_MODERATE = 40.0
"""The square of exp of it is finite in every dtype."""
_BEYOND = 80.0
"""exp of it is finite, and log(1 + exp) of what is above is that itself, in every dtype."""
_FAR = 1e4
"""Beyond such scores torch's sum of a margin and two of them loses the margin."""

COUNTED = ("sum", "batchmean", "mean", "weighted_mean", KERAS_WEIGHTED)
"""Reductions that divide the sum of the values by a number of values, where all samples count alike. Of others this
adapter's short ways know nothing, and the pipeline reduces."""

Call = Callable[[Tensor, Tensor], Tensor | None]
Both = tuple[Tensor, Tensor]


def _mean_squared_error(options: Any, axis: Any, shape: Any) -> Call:
    return lambda y_true, y_pred: _nn.mse_loss(y_pred, y_true, _MEAN)


def _mean_absolute_error(options: Any, axis: Any, shape: Any) -> Call:
    def call(y_true: Tensor, y_pred: Tensor) -> Tensor | None:
        value: Any = _nn.l1_loss(y_pred, y_true, _MEAN)
        return value if math.isfinite(value.item()) else None  # torch's derivative at nan is 0

    return call


def _huber(options: Any, axis: Any, shape: Any) -> Call:
    delta = options["delta"]
    return lambda y_true, y_pred: _nn.huber_loss(y_pred, y_true, _MEAN, delta)


def _smooth_l1(options: Any, axis: Any, shape: Any) -> Call | None:
    beta = options["beta"]
    if not 1 <= beta <= 1e18:  # torch's e * e / beta under- or overflows where the loss does not
        return None
    return lambda y_true, y_pred: _nn.smooth_l1_loss(y_pred, y_true, _MEAN, beta)


def _soft_margin(options: Any, axis: Any, shape: Any) -> Call | None:
    # Where exp is large, torch's second derivative is 0, and where it is infinite, all is nan.
    signs = options["labels"] == "+-1"

    def call(y_true: Tensor, y_pred: Tensor) -> Tensor | None:
        least, most = y_pred.detach().aminmax()
        if not (least.item() >= -_MODERATE and most.item() <= _MODERATE and _constant(y_true)):
            return None
        t = y_true if signs else torch.add(mode.constant(-1, y_true), y_true, alpha=2)
        value: Any = _nn.soft_margin_loss(y_pred, t, _MEAN)
        sound = math.isfinite(value.item()) and math.isfinite(t.sum().item())
        return value if sound else None  # targets that are none

    return call


def _binary_crossentropy(options: Any, axis: Any, shape: Any) -> Call | None:
    # torch stops the logarithms at -100 and the gradient's denominator at 1e-12, and refuses targets that are no
    # probabilities; where no probability is at the floor both are the same loss.
    epsilon, s = options["epsilon"], options["label_smoothing"]
    if options["pos_weight"] is not None:
        return None
    if options["from_logits"]:
        return _bits(shape) if s == 0 and math.prod(shape) < _FEW else None
    if epsilon < 1e-11 or math.prod(shape) >= 2 * _FEW:  # of many the definition takes half of the time
        return None

    def call(y_true: Tensor, y_pred: Tensor) -> Tensor | None:
        least, most = y_pred.detach().aminmax()
        if not (least.item() >= epsilon and 1 - most.item() >= epsilon):
            return None
        return _nn.binary_cross_entropy(y_pred, y_true if s == 0 else y_true * (1 - s) + s / 2, None, _MEAN)

    return _or_none(call)  # torch refuses targets that are no probabilities


def _bits(shape: Any) -> Call:
    """`_odds` of few: torch's own softplus takes fewer operations, but more time of many."""
    count = math.prod(shape)

    def call(y_true: Tensor, y_pred: Tensor) -> Tensor | None:
        zero, one = mode.constant(0, y_true), mode.constant(1, y_true)
        if not _constant(y_true) or not torch.equal(torch.heaviside(y_true, zero), y_true):
            return None
        each = _nn.softplus(torch.add(one, y_true, alpha=-2) * y_pred, 1, _BEYOND)
        return torch.dot(each.reshape(-1), _SHARES[count, y_true.dtype][0])

    return call


_SHARES = mode.Kept(lambda n, dtype: (torch.full((n,), 1 / n, dtype=dtype, device="cpu"),))
"""A mean's weights: the derivative of a product with them is one operation, that of a mean is two."""


def _categorical_crossentropy(options: Any, axis: Any, shape: Any) -> Call | None:
    native = _cross_entropy(options, axis, shape)
    if native is None:
        return None

    def call(y_true: Tensor, y_pred: Tensor) -> Tensor | None:
        # Where a logit is -inf and its target 0, torch gives nan for 0 log 0.
        value: Any = native(y_true, y_pred)
        return None if math.isnan(value.item()) else value

    return call


def _of_labels(options: Any, axis: Any, shape: Any) -> Call | None:
    """`nll` and sparse cross entropy, of labels that are known to be in range."""
    if options.get("from_logits"):
        return _or_none(_cross_entropy(options, axis, shape))
    log_p, top = _log_probabilities(options, axis, shape), 1 if "epsilon" in options else 0
    if log_p is None or (top == 1 and math.prod(shape) >= _FEW):  # of many the definition takes fewer logarithms
        return None

    def call(y_true: Tensor, y_pred: Tensor) -> Tensor | None:
        most = y_pred.detach().max().item()
        if not (most <= top or most <= top + rounding(y_pred.dtype)):  # nan elsewhere, or no probability
            return None
        return _nn.nll_loss_nd(log_p(y_pred), y_true, None, _MEAN, _NO_LABEL)

    return _or_none(call)


def _log_probabilities(options: Any, axis: Any, shape: Any) -> Callable[[Tensor], Tensor] | None:
    """What makes of predictions that of which `nll_loss` is the loss, without logits; None where none does."""
    if options["class_weight"] is not None or options["ignore_index"] is not None or not _on_axis_1(axis, shape):
        return None
    if "epsilon" not in options:
        return lambda y_pred: y_pred
    epsilon = options["epsilon"]
    if (
        options["normalize"] or options["label_smoothing"] != 0 or epsilon == 0
    ):  # the derivative of log 0 times 0 is nan
        return None
    return lambda y_pred: y_pred.clamp(min=epsilon).log()


def _or_none(call: Call | None) -> Call | None:
    """None instead of torch's error about labels out of range; the pipeline says it better."""

    def tried(y_true: Tensor, y_pred: Tensor) -> Tensor | None:
        try:
            return call(y_true, y_pred)  # type: ignore[misc]
        except (IndexError, RuntimeError):
            return None

    return None if call is None else tried


def _cross_entropy(options: Any, axis: int, shape: Any) -> Call | None:
    # torch gives a nan gradient to an ignored row of nan, so masks stay with the pipeline.
    if options["class_weight"] is not None or options.get("ignore_index") is not None:
        return None
    if not options["from_logits"] or not _on_axis_1(axis, shape):
        return None
    native, smoothing = _nn.cross_entropy_loss, options["label_smoothing"]
    return lambda y_true, y_pred: native(y_pred, y_true, None, _MEAN, _NO_LABEL, smoothing)


def _on_axis_1(axis: Any, shape: Any) -> bool:
    """Whether the classes are where torch wants them: on axis 1, on 0 for a single sample."""
    on_axis_1: bool = axis % len(shape) == min(1, len(shape) - 1)
    return on_axis_1


def _constant(x: Tensor) -> bool:
    """Whether nobody can ask for a derivative by x."""
    return not x.requires_grad and not compat.in_forward_mode()


def _distance(options: Any, reduction: str, rows: Tensor, features: Tensor) -> Tensor | None:
    """Center loss as half a squared error, of which torch has the derivative in one kernel, too."""
    if reduction not in COUNTED:
        return None
    return squares(features, rows) * distance_scale(options, reduction, features.shape)


def squares(x: Tensor, y: Tensor) -> Tensor:
    """The sum of all squared differences."""
    total: Tensor = _nn.mse_loss(x, y, _SUM)
    return total


def distance_scale(options: Any, reduction: str, shape: Any) -> float:
    """What multiplies the sum of all squares."""
    count = 1 if reduction == "sum" else math.prod(shape[:1] if reduction == "batchmean" else shape[:-1])
    scale: float = 0.5 * options["factor"] / (shape[-1] if options["per_feature"] else 1)
    return scale / max(count, 1)


REDUCED = {"center": _distance}
"""name -> function of (options, reduction, y_true, y_pred): the loss of samples that all count alike, or None."""


def _blind(options: Any, axis: Any, shape: Any) -> Call | None:
    """Sparse cross entropy from logits, of labels that nobody looked at: nan where one is out of range."""
    if _cross_entropy(options, axis, shape) is None:
        return None
    most, smoothing, count = shape[axis] - 1, options["label_smoothing"], math.prod(shape) // shape[axis]

    def call(y_true: Tensor, y_pred: Tensor) -> Tensor:
        wrong = y_true.clamp(0, most) != y_true
        known = y_true.masked_fill(wrong, _NO_LABEL)
        total = _nn.cross_entropy_loss(y_pred, known, None, _SUM, _NO_LABEL, smoothing)
        nothing, unknown = (mode.constant(number, total) for number in (0.0, math.nan))
        return torch.add(torch.where(wrong.any(), unknown, nothing), total, alpha=1 / count)

    return call


BLIND: dict[str | None, Callable[..., Call | None]] = {"sparse_categorical_crossentropy": _blind}
"""The same as `MEAN` where values cannot be read, labels neither: on accelerators, not compiled."""


def _unchecked(options: Any, axis: Any, shape: Any) -> Call | None:
    if options.get("from_logits"):
        return _or_none(_cross_entropy(options, axis, shape))
    log_p = _log_probabilities(options, axis, shape)
    if log_p is None:
        return None

    def call(y_true: Tensor, y_pred: Tensor) -> Tensor:
        # torch reads the entries at the labels alone. Clamped to 0 the sum of all is 0, or nan where one is.
        hidden = y_pred.detach().sum().clamp(0, 0)
        return _nn.nll_loss_nd(log_p(y_pred), y_true, None, _MEAN, _NO_LABEL) + hidden

    return _or_none(call)


UNCHECKED: dict[str | None, Callable[..., Call | None]] = {
    "nll": _unchecked,
    "sparse_categorical_crossentropy": _unchecked,
}
"""The same under `validate=False`, which asks for no look at labels and values, on every device."""

ANYWHERE = ("mean_squared_error", "huber")
"""Which of `MEAN` read no values: compiled, transformed and on accelerators, too."""

MEAN: dict[str | None, Callable[..., Call | None]] = {
    "binary_crossentropy": _binary_crossentropy,
    "nll": _of_labels,
    "smooth_l1": _smooth_l1,
    "soft_margin": _soft_margin,
    "mean_squared_error": _mean_squared_error,
    "mean_absolute_error": _mean_absolute_error,
    "huber": _huber,
    "categorical_crossentropy": _categorical_crossentropy,
    "sparse_categorical_crossentropy": _of_labels,
}


def _odds(options: Any, axis: Any, y_true: Tensor, y_pred: Tensor) -> Both | None:
    """log(1 + exp(-z)) for the target 1 and log(1 + exp(z)) for 0: one exp for value and derivative."""
    # F.binary_cross_entropy_with_logits loses the digits of confident answers: its gradient is sigmoid(z) - t.
    if not options.get("from_logits", True) or options.get("pos_weight") is not None:
        return None
    if options.get("label_smoothing", 0) != 0 or not mode.can_read(y_pred):
        return None
    least, most = torch.addcmul(y_true, y_true, y_true, value=-1).aminmax()
    if least.item() != 0 or most.item() != 0:  # targets of 0 and 1 alone
        return None
    side = torch.rsub(y_true, 1, alpha=2)
    away = side * y_pred
    if not away.max().item() <= _BEYOND:
        return None
    odds = away.exp_()
    return odds.log1p(), side.mul_(odds).div_(odds.add_(1))


def _multi_margin(options: Any, axis: Any, y_true: Tensor, y_pred: Tensor) -> Both | None:
    """Of few; of many the definition takes half of the time."""
    if options["power"] != 1 or axis % y_pred.ndim != y_pred.ndim - 1 or y_pred.numel() >= _FEW:
        return None
    z, labels = y_pred.reshape(-1, y_pred.shape[-1]), y_true.reshape(-1)
    if compat.multi_margin_loss_backward is None or not _near(z):
        return None
    how = 1, options["margin"], None, _EACH
    values = _nn.multi_margin_loss(z, labels, *how)
    derivative = compat.multi_margin_loss_backward(torch.ones_like(values), z, labels, *how)
    return values.reshape(y_true.shape), derivative.reshape(y_pred.shape)


def _multilabel_margin(options: Any, axis: Any, y_true: Tensor, y_pred: Tensor) -> Both | None:
    """Without pairs of classes in memory."""
    if compat.multilabel_margin_loss_backward is None or axis % y_pred.ndim != y_pred.ndim - 1:
        return None
    rows, numbers = (-1, y_pred.shape[-1]), y_true.long()
    if not _near(y_pred) or not torch.equal(numbers.to(y_true.dtype), y_true):
        return None
    z, numbers = y_pred.reshape(rows), numbers.reshape(rows)
    try:
        values, hits = compat.multilabel_margin_loss_forward(z, numbers, _EACH)
    except (IndexError, RuntimeError):  # no class numbers; the definition says it better
        return None
    derivative = compat.multilabel_margin_loss_backward(torch.ones_like(values), z, numbers, _EACH, hits)
    return values.reshape(y_pred.shape[:-1]), derivative.reshape(y_pred.shape)


def _near(scores: Tensor) -> bool:
    """Whether torch's margin losses hide no nan (which is not above 0) and lose no margin."""
    if not mode.can_read(scores):
        return False
    least, most = scores.aminmax()
    return least.item() >= -_FAR and most.item() <= _FAR


TOGETHER: dict[str | None, Callable[..., Both | None]] = {
    "binary_crossentropy": _odds,
    "multi_margin": _multi_margin,
    "multilabel_margin": _multilabel_margin,
    "multilabel_soft_margin": _odds,
}
"""name -> function of (options, axis, y_true, y_pred): the value of each element and the derivative by each, in new
memory: what `fast` asks first."""

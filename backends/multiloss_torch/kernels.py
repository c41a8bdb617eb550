"""torch's own fused kernels: name -> function of (options, axis, y_true, y_pred) that gives the mean of all values.

A kernel is asked only for a plain mean (no weights, no mask, labels in range, y_pred in a compute dtype, not empty);
F.binary_cross_entropy_with_logits is none of them: its gradient sigmoid(z) - t loses the digits of confident answers.
None hands the call to the definition. With one axis or another, the mean of the means is the mean over everything.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor


def _mean_squared_error(options: Any, axis: Any, y_true: Tensor, y_pred: Tensor) -> Tensor:
    return F.mse_loss(y_pred, y_true)


def _mean_absolute_error(options: Any, axis: Any, y_true: Tensor, y_pred: Tensor) -> Tensor:
    return F.l1_loss(y_pred, y_true)


def _huber(options: Any, axis: Any, y_true: Tensor, y_pred: Tensor) -> Tensor:
    return F.huber_loss(y_pred, y_true, delta=options["delta"])


def _categorical_crossentropy(options: Any, axis: Any, y_true: Tensor, y_pred: Tensor) -> Tensor | None:
    return None if options["class_weight"] is not None else _cross_entropy(options, axis, y_true, y_pred)


def _sparse_categorical_crossentropy(options: Any, axis: Any, y_true: Tensor, y_pred: Tensor) -> Tensor | None:
    # F.cross_entropy gives a nan gradient to an ignored row of nan, so masks stay with the pipeline.
    if options["class_weight"] is not None or options["ignore_index"] is not None:
        return None
    return _cross_entropy(options, axis, y_true, y_pred)


def _cross_entropy(options: Any, axis: int, y_true: Tensor, y_pred: Tensor) -> Tensor | None:
    # torch wants the classes on axis 1 (0 for a single sample).
    if not options["from_logits"] or axis % y_pred.ndim != min(1, y_pred.ndim - 1):
        return None
    return F.cross_entropy(y_pred, y_true, label_smoothing=options["label_smoothing"])


MEAN = {
    "mean_squared_error": _mean_squared_error,
    "mean_absolute_error": _mean_absolute_error,
    "huber": _huber,
    "categorical_crossentropy": _categorical_crossentropy,
    "sparse_categorical_crossentropy": _sparse_categorical_crossentropy,
}

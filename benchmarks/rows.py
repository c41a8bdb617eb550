"""What is measured: the losses, the data they get, and Keras' losses; the frameworks' own are in `own_*.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Function = Callable[[Any, Any], Any]

SIZES = ((32, 10), (256, 1000), (4096, 1000))


@dataclass(frozen=True)
class Row:
    """One loss with its options: `key` names it here and in the tables, `data` says what its inputs look like."""

    key: str
    name: str
    data: str
    options: dict[str, Any] = field(default_factory=dict)
    keras: str | None = None
    keras_options: dict[str, Any] = field(default_factory=dict)


_LOGITS = {"from_logits": True}

ROWS = {
    row.key: row
    for row in (
        Row("mse", "mean_squared_error", "real", {}, "MeanSquaredError"),
        Row("mae", "mean_absolute_error", "real", {}, "MeanAbsoluteError"),
        Row("mape", "mean_absolute_percentage_error", "positive", {}, "MeanAbsolutePercentageError"),
        Row("msle", "mean_squared_logarithmic_error", "positive", {}, "MeanSquaredLogarithmicError"),
        Row("rmse", "root_mean_squared_error", "real"),
        Row("rmsle", "root_mean_squared_logarithmic_error", "positive"),
        Row("log_cosh", "log_cosh", "real", {}, "LogCosh"),
        Row("huber", "huber", "real", {}, "Huber"),
        Row("kl", "kl_divergence", "distributions", {}, "KLDivergence"),
        Row("cce", "categorical_crossentropy", "distributions", {}, "CategoricalCrossentropy"),
        Row("cce_logits", "categorical_crossentropy", "logits", _LOGITS, "CategoricalCrossentropy", _LOGITS),
        Row("scce", "sparse_categorical_crossentropy", "label_probabilities", {}, "SparseCategoricalCrossentropy"),
        Row(
            "scce_logits", "sparse_categorical_crossentropy", "label_logits", _LOGITS, "SparseCategoricalCrossentropy",
            _LOGITS,
        ),
        Row("bce", "binary_crossentropy", "bit_probabilities", {}, "BinaryCrossentropy"),
        Row("bce_logits", "binary_crossentropy", "bit_logits", _LOGITS, "BinaryCrossentropy", _LOGITS),
    )
}  # fmt: skip


def inputs(data: str, shape: tuple[int, int], seed: int = 0) -> tuple[Array, Array]:
    """y_true and y_pred in float32 (labels: int64)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=shape)
    pred: Array = {
        "positive": np.exp(logits),
        "distributions": _softmax(logits),
        "label_probabilities": _softmax(logits),
        "bit_probabilities": 1 / (1 + np.exp(-logits)),
    }.get(data, logits)
    if data.startswith("label"):
        return rng.integers(0, shape[1], shape[0]), pred.astype(np.float32)
    true: Array = {
        "positive": np.exp(rng.normal(size=shape)),
        "distributions": _softmax(rng.normal(size=shape)),
        "logits": _softmax(rng.normal(size=shape)),
        "bit_probabilities": rng.integers(0, 2, shape),
        "bit_logits": rng.integers(0, 2, shape),
    }.get(data, rng.normal(size=shape))
    return true.astype(np.float32), pred.astype(np.float32)


def _softmax(logits: Array) -> Array:
    e = np.exp(logits)
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def keras_loss(row: Row) -> Function | None:
    """Keras' own loss object, on the framework that Keras runs on; None where Keras has none."""
    if row.keras is None:
        return None
    import keras

    loss: Function = getattr(keras.losses, row.keras)(**row.keras_options)
    return loss

"""Losses against the reference (`tests/reference/`): made, called, and their values and gradients checked.

Tolerances are counted, not guessed: `unit` is half the distance from 1 to the next float; a sum of n terms, each a few
units off, is off by at most (n + few) units of the sum of the terms' absolute values (`reference.tolerances`).
"""

from typing import Any

import numpy as np

import multiloss
import reference
from helpers.arrays import to_native
from reference.cases import OPTIONS, Case
from reference.losses import LOSSES
from reference.tolerances import gradient_magnitude, magnitude

UNIT = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 2.0**-24, "float64": 2.0**-53}
TINY = {"float16": 2.0**-24, "bfloat16": 2.0**-126, "float32": 2.0**-126, "float64": 2.0**-1022}
COMPUTE = {"float16": "float32", "bfloat16": "float32", "float32": "float32", "float64": "float64"}
FEW = 16
"""Roundings per term: about two per operation of the longest formula."""
ALL_OPTIONS = [(name, options) for name in LOSSES for options in OPTIONS.get(name, ({},))]


def label(options: dict[str, Any]) -> str:
    """Options in the name of a test."""
    return "-".join(f"{k}={v}" for k, v in options.items()) or "default"


def make(backend: str, name: str, dtype: str = "float64", **options: Any) -> Any:
    """The loss. A Keras loss computes in what Keras' floatx was when it was made."""
    if backend != "keras":
        return multiloss.get(name, backend=backend, **options)
    import keras

    before = keras.config.floatx()
    keras.config.set_floatx(COMPUTE[dtype])
    try:
        return multiloss.get(name, backend=backend, **options)
    finally:
        keras.config.set_floatx(before)


def native(backend: str, case: Case, dtype: str) -> tuple[Any, Any, dict[str, Any]]:
    """Targets, predictions, and weights and mask of the case."""
    labels = np.issubdtype(case.y_true.dtype, np.integer)
    y_true = to_native(backend, case.y_true, None if labels else dtype)
    arguments = {
        k: to_native(backend, v, None if v.dtype == bool else COMPUTE[dtype]) for k, v in case.arguments.items()
    }
    return y_true, to_native(backend, case.y_pred, dtype), arguments


def check_value(name: str, case: Case, dtype: str, got: Any) -> None:
    """|got - reference| <= (terms + few) units of the sum of the terms' absolute values."""
    expected = reference.loss(name, case.y_true, case.y_pred, **case.everything)
    own = {k: v for k, v in case.options.items() if k not in ("reduction", "class_weight", "ignore_index")}
    sizes = magnitude(name, case.y_true, case.y_pred, **own)
    weights, kept = weights_and_mask(name, case)
    total = reference.reduce(sizes, case.options.get("reduction", "mean"), np.abs(weights), kept)
    unit = UNIT[COMPUTE[dtype]]
    assert got.shape == expected.shape
    bound = (case.y_pred.size + FEW) * unit * total + TINY[COMPUTE[dtype]]
    error = np.abs(got.astype(np.float64) - expected)
    assert np.all(error <= bound), f"value {got}, reference {expected}, {np.max(error / bound) * FEW:.3g} x too far"


def weights_and_mask(name: str, case: Case) -> tuple[Any, Any]:
    return reference.losses.weight_and_mask(
        name,
        case.y_true,
        case.y_pred,
        case.options.get("axis", -1),
        case.arguments.get("sample_weight"),
        case.arguments.get("mask"),
        case.options.get("class_weight"),
        case.options.get("ignore_index"),
    )


def check_gradient(name: str, case: Case, dtype: str, got: Any) -> None:
    """The same per element; narrow dtypes add the rounding of the gradient to them, and float16 ends at 65504."""
    expected = reference.gradient(name, case.y_true, case.y_pred, **case.everything)
    assert got.shape == expected.shape
    if dtype == "float16":
        beyond = np.abs(expected) >= 65520.0
        assert np.all(got[beyond] == np.sign(expected[beyond]) * np.inf)
        expected, got = np.where(beyond, 0.0, expected), np.where(beyond, 0.0, got)
    own = {k: v for k, v in case.options.items() if k not in ("reduction", "class_weight", "ignore_index")}
    sizes = gradient_magnitude(name, case.y_true, case.y_pred, **own)
    weights, kept = weights_and_mask(name, case)
    factors = np.abs(reference.coefficients(weights.shape, case.options.get("reduction", "mean"), weights, kept))
    axes = reference.losses.axes(case.options.get("axis", -1), case.y_pred.ndim)
    sizes = np.where(np.expand_dims(kept, axes), sizes, 0.0)
    bound = sizes * np.expand_dims(factors, axes) * (case.y_pred.size + FEW) * UNIT[COMPUTE[dtype]]
    if dtype != COMPUTE[dtype]:
        bound = bound + np.abs(expected) * 1.01 * UNIT[dtype]
    bound = bound + TINY[dtype]
    error = np.abs(got.astype(np.float64) - expected)
    assert np.all(error <= bound), f"gradient\n{got}\nreference\n{expected}\ntimes too far\n{error / bound}"
    masked = ~np.broadcast_to(np.expand_dims(kept, axes), got.shape)
    assert np.all(got[masked] == 0.0)

"""The pipeline decides what options and reductions mean: an array as an option has a derivative too, and a reduction
that the pipeline learns is every backend's.
"""

import dataclasses
from typing import Any

import numpy as np
import pytest

from helpers.arrays import native_value_and_grad, to_native, to_numpy
from helpers.calls import good
from multiloss.engine import dispatch, pipeline
from multiloss.engine.loss import make, make_spec

Y, P = np.array([[0.0, 0.0, 0.0]]), np.array([[0.5, -3.0, 4.0]])


@pytest.mark.only("torch", "jax", "tensorflow")
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_an_array_as_option(backend: str, reduction: str) -> None:
    """Huber's delta, 2: of |e| - delta / 2, times delta, the derivative is |e| - delta beyond it, and 0 within."""
    be, spec = dispatch.backend(backend), make_spec("huber", {"reduction": reduction})
    arrays = [to_native(backend, x) for x in (Y, P)]

    def of_delta(delta: Any) -> Any:
        return pipeline.evaluate(be, spec, *arrays, None, None, labels_checked=True, options={"delta": delta})

    value, slope = native_value_and_grad(backend, of_delta, to_native(backend, np.array(2.0)))
    np.testing.assert_allclose(value.ravel(), [(0.125 + 4.0 + 6.0) / 3])
    np.testing.assert_allclose(slope, (1.0 + 2.0) / 3)

    def of_prediction(p: Any) -> Any:
        delta = to_native(backend, np.array(2.0))
        return pipeline.evaluate(be, spec, arrays[0], p, None, None, labels_checked=True, options={"delta": delta})

    _, gradient = native_value_and_grad(backend, of_prediction, arrays[1])
    np.testing.assert_allclose(to_numpy(gradient), [[0.5 / 3, -2 / 3, 2 / 3]])


@pytest.mark.parametrize("name", ["mean_squared_error", "charbonnier", "sparse_categorical_crossentropy", "ctc"])
def test_a_new_reduction(backend: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No kernel takes it for a mean: those that reduce by themselves leave it to the pipeline."""
    usual = pipeline._denominator

    def denominator(be: Any, spec: Any, *given: Any) -> Any:
        half = spec.reduction == "half of the mean"
        return 2 * usual(be, dataclasses.replace(spec, reduction="mean"), *given) if half else usual(be, spec, *given)

    monkeypatch.setattr(pipeline, "_denominator", denominator)
    spec = make_spec(name, {})
    inputs = {key: to_native(backend, x) for key, x in good(name).items()}
    mean = make(spec, backend).value_and_grad(**inputs)
    half = make(dataclasses.replace(spec, reduction="half of the mean"), backend)
    for wanted, found in zip(mean, half.value_and_grad(**inputs), strict=True):
        np.testing.assert_allclose(to_numpy(found), 0.5 * to_numpy(wanted), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(to_numpy(half(**inputs)), 0.5 * to_numpy(mean[0]), rtol=1e-6)

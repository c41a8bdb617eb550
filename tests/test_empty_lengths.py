"""Every axis of every loss's inputs, made of length 0: no samples cost nothing; no classes, no features and the like
are refused by name; never a framework's own error."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import native_grads, to_native, to_numpy
from helpers.calls import NAMES, good
from multiloss.engine import registry

Inputs = dict[str, np.ndarray]


def emptied(name: str) -> Iterator[tuple[str, str, Inputs]]:
    """The axis, which error is wanted (none: the loss has a value), the inputs."""
    definition, inputs = registry.find(name), good(name)
    if definition.kind != "of_inputs":
        yield "N", "", {key: x[:0] for key, x in inputs.items()}
        wanted = "y_pred must have at least one class on axis -1" if definition.classes else ""
        yield "C", wanted, {key: x[:, :0] if x.ndim > 1 else x for key, x in inputs.items()}
        yield "N C", wanted, {key: x[:0, :0] if x.ndim > 1 else x[:0] for key, x in inputs.items()}
        return
    places: dict[str, list[tuple[str, int]]] = {}
    for key, x in inputs.items():
        letters = definition.shapes[key].letters
        for axis, letter in enumerate(("...",) * (x.ndim - len(letters)) + letters):
            places.setdefault(letter, []).append((key, axis))
    for letter, found in places.items():
        cut = dict(inputs)
        for key, axis in found:
            cut[key] = np.take(cut[key], [], axis=axis)
        if letter in definition.may_be_empty:  # lengths within it
            for key in cut:
                cut[key] = cut[key] * 0 if definition.shapes[key].inclusive else cut[key]
        allowed = letter in ("...", "N", *definition.may_be_empty)
        yield letter, "" if allowed else rf" must have {letter} of at least 1, got \(", cut


CASES = [pytest.param(name, *rest, id=f"{name}-{axis}") for name in NAMES for axis, *rest in emptied(name)]


@pytest.mark.filterwarnings("ignore:.*absolute value.*")
@pytest.mark.parametrize(("name", "wanted", "inputs"), CASES)
def test_axis_of_length_0(backend: str, name: str, wanted: str, inputs: Inputs) -> None:
    loss = multiloss.get(name, backend=backend)
    given = {key: to_native(backend, x) for key, x in inputs.items()}
    for call in (loss, loss.value_and_grad):
        if wanted:
            with pytest.raises(ValueError, match=wanted):
                call(**given)
            continue
        found = call(**given)
        value, gradient = found if call is not loss else (found, None)
        if name != "ctc" or not inputs["y_true"].shape[0]:
            assert to_numpy(value) == 0
        if gradient is not None:
            assert gradient.shape == next(x.shape for key, x in inputs.items() if key == registry.find(name).inputs[1])
            assert not to_numpy(gradient).any() or name == "ctc"


@pytest.mark.only("numpy", "torch", "tensorflow", "keras")  # JAX knows no absent gradient
@pytest.mark.parametrize("what", ["no samples", "all masked"])
@pytest.mark.parametrize("name", [name for name in NAMES if registry.find(name).kind == "of_inputs"])
def test_where_nothing_is_left_every_gradient_is_zeros_and_not_none(backend: str, name: str, what: str) -> None:
    definition, inputs = registry.find(name), good(name)
    if name == "linear_cross_entropy":
        inputs["bias"] = np.ones(len(inputs["weight"]))
    n = 0 if what == "no samples" else 4
    cut = {key: x[:n] if definition.shapes[key].samples else x for key, x in inputs.items()}
    if not definition.whole_batch:
        cut["sample_weight"] = np.ones(n)
    given = {key: to_native(backend, x) for key, x in cut.items()}
    names = [key for key, x in cut.items() if x.dtype.kind == "f"]
    if n:
        given["mask"] = to_native(backend, np.zeros(n, bool))
    reductions = ("mean", "none", "weighted_mean", "sum", "batchmean")
    for reduction in reductions if backend in ("numpy", "torch") else reductions[:2]:  # the others take longer
        loss = multiloss.get(name, backend=backend, reduction=reduction)
        assert not to_numpy(loss(**given)).any()
        asked = tuple(key for key in names if key != "sample_weight")
        found = dict(zip(asked, loss.value_and_grad(**given, wrt=asked)[1], strict=True))
        pairs = list(found.items())
        if backend != "numpy":
            pairs += native_grads(backend, loss, given, names).items()
        for key, gradient in pairs:
            assert gradient is not None and gradient.shape == cut[key].shape, f"{reduction} {key}"
            assert not to_numpy(gradient).any(), f"{reduction} {key}"


def test_nothing_to_say(backend: str) -> None:
    loss = multiloss.get("ctc", backend=backend, reduction="none")
    logits = np.log(np.array([[[0.5, 0.5], [0.25, 0.75]]]))
    silent = loss(to_native(backend, np.zeros((1, 0), np.int64)), to_native(backend, logits))
    np.testing.assert_allclose(to_numpy(silent), [np.log(8)], rtol=1e-6)
    labels, lengths = np.ones((2, 1), np.int64), to_native(backend, np.array([0, 1]))
    none = loss(*(to_native(backend, x) for x in (labels, np.zeros((2, 0, 2)))), label_lengths=lengths)
    np.testing.assert_array_equal(to_numpy(none), [0, np.inf])


LENGTHS: list[Any] = [
    ("label_lengths", [1, 3], r"label_lengths must hold lengths in \[0, 2\] \(L of y_true\), got 3 for sample 1"),
    ("label_lengths", [-1, 3], r"label_lengths must hold lengths in \[0, 2\] \(L of y_true\), got -1 for sample 0"),
    ("input_lengths", [3, 4], r"input_lengths must hold lengths in \[0, 3\] \(T of y_pred\), got 4 for sample 1"),
]


@pytest.mark.reads
@pytest.mark.parametrize(("name", "lengths", "message"), LENGTHS)
def test_the_first_length_out_of_range_is_named_unless_masked(
    backend: str, name: str, lengths: list[int], message: str
) -> None:
    inputs = {"y_true": np.ones((2, 2), np.int64), "y_pred": np.zeros((2, 3, 4)), name: np.array(lengths)}
    given = {key: to_native(backend, x) for key, x in inputs.items()}
    with pytest.raises(ValueError, match=message):
        multiloss.get("ctc", backend=backend)(**given)
    wrong = np.array(lengths) != np.clip(lengths, 0, 2 if name == "label_lengths" else 3)
    masked = multiloss.get("ctc", backend=backend)(**given, mask=to_native(backend, ~wrong))
    assert np.isfinite(float(to_numpy(masked)))


@pytest.mark.parametrize("name", registry.CENTER)
def test_center_losses_take_no_samples_and_refuse_no_features(backend: str, name: str) -> None:
    center = multiloss.get(name, backend=backend, **({} if name == "ring" else {"num_classes": 3}))
    with pytest.raises(ValueError, match="features must have at least one feature"):
        center(to_native(backend, np.zeros(4, np.int64)), to_native(backend, np.zeros((4, 0), np.float32)))
    nothing = center(to_native(backend, np.zeros(0, np.int64)), to_native(backend, np.zeros((0, 2), np.float32)))
    assert float(to_numpy(nothing)) == 0

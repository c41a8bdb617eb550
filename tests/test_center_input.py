"""What options, labels and features a center loss takes, and what it says of others, on every backend."""

from typing import Any

import numpy as np
import pytest

import multiloss
import reference
from helpers.arrays import dtype_name, to_native, to_numpy
from helpers.centers import (
    FEATURES,
    FIRST,
    LABELS,
    MASK,
    MOVED,
    VALUES,
    C,
    D,
    N,
    close,
    make,
    native,
    same,
)

WRONG_OPTIONS = [
    ({"alpha": 1.5}, ValueError, r"alpha must be in \[0, 1\], got 1.5"),
    ({"alpha": -0.1}, ValueError, r"alpha must be in \[0, 1\], got -0.1"),
    ({"num_classes": 0}, ValueError, "num_classes must be at least 1, got 0"),
    ({"feature_dim": 2.5}, TypeError, "feature_dim must be an integer, got 2.5"),
    ({"update": "never"}, ValueError, "update must be one of 'auto', 'manual', got 'never'"),
    ({"reduction": "avg"}, ValueError, "reduction must be one of .*'avg'"),
    ({"lam": 0.1}, TypeError, "center has no option 'lam'.*alpha, num_classes, feature_dim"),
]


@pytest.mark.parametrize(("options", "error", "said"), WRONG_OPTIONS)
def test_wrong_options(backend: str, options: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        multiloss.get("center", backend=backend, **options)
    with pytest.raises(ValueError, match="center loss holds centers, so it needs a backend"):
        multiloss.get("center")


THREE, X = np.zeros(3, int), FEATURES[:3]
WRONG_CALLS: dict[str, tuple[Any, Any, dict[str, Any], type[Exception], str]] = {
    "label out of range": (np.array([0, 9, 1]), X, {}, ValueError, r"the label 9, .* in \[0, 5\)"),
    "negative label": (np.array([0, -1, 1]), X, {}, ValueError, "the label -1, .* pass a mask"),
    "float labels": (np.zeros(3, np.float32), X, {}, TypeError, "labels must hold integer labels, .*float32"),
    "bool labels": (np.zeros(3, bool), X, {}, TypeError, "labels must hold integer labels, .*bool"),
    "another number": (np.zeros(2, int), X, {}, ValueError, r"shape \(3,\) .*\(3, 3\), got shape \(2,\)"),
    "one-hot labels": (np.zeros((3, 5), int), X, {}, ValueError, r"one class per feature vector.*\(3, 5\)"),
    "other features": (THREE, X[:, :2], {}, ValueError, r"3 features, .* got shape \(3, 2\)"),
    "bool features": (THREE, np.ones((3, 3), bool), {}, TypeError, "features must hold real numbers, .*bool"),
    "weights": (THREE, X, {"sample_weight": np.ones(2)}, ValueError, r"sample_weight .*\(3,\)"),
    "mask": (THREE, X, {"mask": np.ones(3)}, TypeError, "mask must be boolean"),
}


@pytest.mark.reads
@pytest.mark.parametrize("what", WRONG_CALLS)
def test_a_wrong_call_leaves_the_centers(backend: str, what: str) -> None:
    labels, x, arguments, error, said = WRONG_CALLS[what]
    center = make(backend)
    labels, x = native(backend, labels, x)
    arguments = {key: to_native(backend, value) for key, value in arguments.items()}
    with pytest.raises(error, match=said):
        center(labels, x, **arguments)
    with pytest.raises(error, match=said):
        center.value_and_grad(labels, x, **arguments)
    if "weights" not in what:
        with pytest.raises(error, match=said):
            center.update(labels, x, **arguments)
    same(center.centers, FIRST)


def test_unchecked_labels_make_their_sample_nan_and_move_nothing(backend: str) -> None:
    center = make(backend, validate=False, reduction="none")
    labels, x = native(backend, np.array([0, 9, -1]), FEATURES[:3])
    np.testing.assert_array_equal(np.isnan(to_numpy(center(labels, x))), [False, True, True])
    value, gradient = center.value_and_grad(labels, x)
    np.testing.assert_array_equal(np.isnan(to_numpy(value)), [False, True, True])
    close(gradient, [FEATURES[0] - FIRST[0], [0] * D, [0] * D])
    same(center.centers, FIRST)


@pytest.mark.reads
def test_masked_labels_may_be_anything(backend: str) -> None:
    labels, x, mask = native(backend, np.array([1, 99, -5]), FEATURES[:3], np.array([True, False, False]))
    for center in (make(backend), multiloss.get("center", backend=backend)):
        center(labels, x, mask=mask)
        assert center.centers.shape[0] in (C, 2)
        assert to_numpy(center.value_and_grad(labels, x, mask=mask)[1])[1:].any() == np.False_


def test_nothing_left(backend: str) -> None:
    center = make(backend)
    labels, x, none = native(backend, LABELS, FEATURES, np.zeros(N, bool))
    for value, gradient in (center.value_and_grad(labels, x, mask=none), center.value_and_grad(labels[:0], x[:0])):
        same(value, 0.0)
        assert not to_numpy(gradient).any()
    same(center(labels[:0], x[:0]), 0.0)
    same(center.centers, FIRST)


def test_features_with_several_axes(backend: str) -> None:
    center = make(backend)
    close(center(*native(backend, LABELS.reshape(2, 4), FEATURES.reshape(2, 4, D))), VALUES.mean())
    close(center.centers, MOVED)


@pytest.mark.reads
def test_centers_are_float32_at_least(backend: str) -> None:
    for options in ({"num_classes": C, "feature_dim": D, "centers_init": FIRST}, {}):
        center = multiloss.get("center", backend=backend, **options)
        labels, x = to_native(backend, LABELS), to_native(backend, FEATURES, "float16")
        value, gradient = center.value_and_grad(labels, x)
        assert dtype_name(value) == "float32" and dtype_name(gradient) == "float16"
        assert dtype_name(center.centers) in ("float32", "float64")
        start = FIRST if options else np.zeros((3, D))
        _, moved = reference.center_step(start, LABELS, to_numpy(x).astype(np.float64), 0.5)
        close(center.centers, moved)


def test_lists_and_numpy(backend: str) -> None:
    center = make(backend)
    center(LABELS.tolist(), FEATURES.tolist(), mask=MASK.tolist())
    center(LABELS, FEATURES, sample_weight=np.ones(N), mask=MASK)
    _, moved = reference.center_step(FIRST, LABELS, FEATURES, 0.5, MASK)
    close(center.centers, reference.center_step(moved, LABELS, FEATURES, 0.5, MASK)[1])


@pytest.mark.reads
def test_growth_by_labels_of_any_integer_dtype(backend: str) -> None:
    for dtype in ("uint8", "int8", "int32"):
        center = multiloss.get("center", backend=backend)
        center(*native(backend, np.array([0, 3], dtype), np.ones((2, 2), np.float32)))
        assert to_numpy(center.centers).shape == (4, 2)


@pytest.mark.reads
@pytest.mark.parametrize("masked", [False, True])
def test_a_first_batch_with_nothing_in_it_makes_no_class(backend: str, masked: bool) -> None:
    center = multiloss.get("center", backend=backend)
    n = 2 if masked else 0
    labels, features = np.full(n, 5), np.ones((n, 2), np.float32)
    mask = to_native(backend, np.zeros(n, bool)) if masked else None
    assert to_numpy(center(to_native(backend, labels), to_native(backend, features), mask=mask)) == 0
    assert not to_numpy(center.centers).any()
    center(to_native(backend, [0, 2]), to_native(backend, np.ones((2, 2), np.float32)))
    assert to_numpy(center.centers).shape == (3, 2)

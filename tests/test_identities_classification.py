"""What holds between losses, on every backend: one is a multiple, a limit, or a special case of another."""

from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import native_second, native_second_forward, to_native, to_numpy
from helpers.losses import make

RNG = np.random.default_rng(7)
LOGITS = 3 * RNG.normal(size=(6, 4))
UNIT = RNG.uniform(0.05, 0.95, size=(6, 4))
TARGETS = RNG.dirichlet(np.ones(4), size=6)
BITS = RNG.integers(0, 2, size=(6, 4)).astype(np.float64)
LABELS = RNG.integers(0, 4, size=6)
HOT = np.eye(4)[LABELS]


def both(backend: str, name: str, y_true: Any, y_pred: Any, **options: Any) -> tuple[Any, Any]:
    """Values of the samples, and the gradient of their sum, in double precision."""
    true = to_native(backend, y_true, "float64" if y_true.dtype.kind == "f" else None)
    loss = make(backend, name, "float64", reduction="none", **options)
    return tuple(to_numpy(x) for x in loss.value_and_grad(true, to_native(backend, y_pred, "float64")))


def same(one: tuple[Any, Any], other: tuple[Any, Any], factor: float = 1.0, tolerance: float = 1e-12) -> None:
    """Value and gradient, one `factor` times the other."""
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, factor * np.asarray(b), rtol=tolerance, atol=tolerance)


FROM_LOGITS = {"from_logits": True}
EQUAL = {
    "focal gamma 0 is cross entropy": (
        ("binary_focal_crossentropy", BITS, LOGITS, {"gamma": 0.0, **FROM_LOGITS}),
        ("binary_crossentropy", BITS, LOGITS, FROM_LOGITS), 1.0),
    "focal alpha 1/2 halves": (
        ("binary_focal_crossentropy", BITS, UNIT, {"alpha": 0.5}), ("binary_focal_crossentropy", BITS, UNIT, {}), 0.5),
    "focal of classes, gamma 0": (
        ("categorical_focal_crossentropy", TARGETS, LOGITS, {"gamma": 0.0, **FROM_LOGITS}),
        ("categorical_crossentropy", TARGETS, LOGITS, FROM_LOGITS), 1.0),
    "focal, integer labels": (
        ("sparse_categorical_focal_crossentropy", LABELS, LOGITS, {"alpha": (1.0, 2.0, 3.0, 4.0), **FROM_LOGITS}),
        ("categorical_focal_crossentropy", HOT, LOGITS, {"alpha": (1.0, 2.0, 3.0, 4.0), **FROM_LOGITS}), 1.0),
    "focal, a number or the same for each": (
        ("categorical_focal_crossentropy", TARGETS, UNIT, {"alpha": (0.25,) * 4}),
        ("categorical_focal_crossentropy", TARGETS, UNIT, {"alpha": 0.25}), 1.0),
    "poly 0 is cross entropy": (
        ("sparse_poly_cross_entropy", LABELS, LOGITS, {"poly_epsilon": 0.0, **FROM_LOGITS}),
        ("sparse_categorical_crossentropy", LABELS, LOGITS, FROM_LOGITS), 1.0),
    "poly, integer labels": (
        ("sparse_poly_cross_entropy", LABELS, UNIT, {"label_smoothing": 0.1}),
        ("poly_cross_entropy", HOT, UNIT, {"label_smoothing": 0.1}), 1.0),
    "hinge of categories, integer labels": (
        ("multiclass_hinge", LABELS, LOGITS, {}), ("categorical_hinge", HOT, LOGITS, {}), 1.0),
    "Keras' hinge where a wrong score is positive": (
        ("multiclass_hinge", LABELS, np.abs(LOGITS), {}), ("multiclass_hinge", LABELS, np.abs(LOGITS), {"keras": True}),
        1.0),
    "labels 0 and 1": (("hinge", BITS, LOGITS, {"labels": "01"}), ("hinge", 2 * BITS - 1, LOGITS, {}), 1.0),
    "soft margin is binary cross entropy": (
        ("soft_margin", 2 * BITS - 1, LOGITS, {}), ("binary_crossentropy", BITS, LOGITS, FROM_LOGITS), 1.0),
    "soft margin of several labels, too": (
        ("multilabel_soft_margin", BITS, LOGITS, {}), ("binary_crossentropy", BITS, LOGITS, FROM_LOGITS), 1.0),
    "one right class": (
        ("multilabel_margin", np.stack([LABELS, *[np.full(6, -1)] * 3], axis=-1), LOGITS, {}),
        ("multi_margin", LABELS, LOGITS, {}), 1.0),
    "pos_weight 1 is none": (
        ("binary_crossentropy", BITS, LOGITS, {"pos_weight": 1.0, **FROM_LOGITS}),
        ("binary_crossentropy", BITS, LOGITS, FROM_LOGITS), 1.0),
}  # fmt: skip


@pytest.mark.parametrize("what", EQUAL)
def test_equal(backend: str, what: str) -> None:
    """One loss is a factor times another, value and gradient."""
    (name, t, p, options), (other, u, q, others), factor = EQUAL[what]
    same(both(backend, name, t, p, **options), both(backend, other, u, q, **others), factor)


def test_generalized_cross_entropy_ends(backend: str) -> None:
    """q near 0 is cross entropy, q = 1 the absolute error of one-hot targets, halved."""
    near = both(backend, "generalized_cross_entropy", LABELS, LOGITS, q=1e-9, from_logits=True)
    same(near, both(backend, "sparse_categorical_crossentropy", LABELS, LOGITS, from_logits=True), tolerance=1e-7)
    value, _ = both(backend, "generalized_cross_entropy", LABELS, UNIT, q=1.0)
    np.testing.assert_allclose(value, 1 - np.take_along_axis(UNIT, LABELS[:, None], 1)[:, 0], rtol=1e-13)


def test_nll_of_log_softmax(backend: str) -> None:
    """It is the cross entropy of logits; with weights of the classes torch's mean is weighted_mean."""
    logs = LOGITS - np.log(np.exp(LOGITS).sum(-1, keepdims=True))
    value, _ = both(backend, "nll", LABELS, logs, class_weight=(1.0, 2.0, 3.0, 4.0))
    wanted, _ = both(backend, "sparse_categorical_crossentropy", LABELS, LOGITS, from_logits=True,
                     class_weight=(1.0, 2.0, 3.0, 4.0))  # fmt: skip
    np.testing.assert_allclose(value, wanted, rtol=1e-12)


def test_binary_sparsemax_is_sparsemax_of_two(backend: str) -> None:
    """The loss of the logits 0 and z."""
    z = LOGITS.reshape(-1)
    value, slope = both(backend, "binary_sparsemax", BITS.reshape(-1), z, axis=())
    wanted, slopes = both(backend, "sparsemax", BITS.reshape(-1).astype(int), np.stack([0 * z, z], -1))
    np.testing.assert_allclose(value, wanted, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(slope, slopes[:, 1], rtol=1e-12, atol=1e-12)


SPARSE = {
    "nll": {}, "generalized_cross_entropy": {}, "sparse_poly_cross_entropy": {}, "squentropy": {},
    "sparse_categorical_focal_crossentropy": {"alpha": (1.0, 2.0, 3.0, 4.0)}, "multiclass_hinge": {},
    "multi_margin": {}, "multiclass_perceptron": {}, "sparsemax": {},
}  # fmt: skip


@pytest.mark.parametrize("name", [*SPARSE, "categorical_focal_crossentropy", "poly_cross_entropy", "categorical_hinge",
                                  "multilabel_margin"])  # fmt: skip
def test_classes_on_another_axis(backend: str, name: str) -> None:
    """Moving the classes to axis 1 moves the gradient, and nothing else."""
    p = UNIT.reshape(2, 3, 4) - (name == "nll")
    t: Any = LABELS.reshape(2, 3) if name in SPARSE else HOT.reshape(2, 3, 4)
    moved: Any = t if name in SPARSE else np.moveaxis(t, -1, 1)
    if name == "multilabel_margin":
        t = np.stack([t.argmax(-1), *[np.full((2, 3), -1)] * 3], -1)
        moved = np.moveaxis(t, -1, 1)
    options = SPARSE.get(name, {})
    value, gradient = both(backend, name, t, p, **options)
    there, slope = both(backend, name, moved, np.moveaxis(p, -1, 1), axis=1, **options)
    np.testing.assert_allclose(there, value, rtol=1e-12)
    np.testing.assert_allclose(np.moveaxis(slope, 1, -1), gradient, rtol=1e-12, atol=1e-15)


CURVED: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "binary_focal_crossentropy": (BITS, LOGITS, {"gamma": 1.5, "alpha": 0.25, **FROM_LOGITS}),
    "categorical_focal_crossentropy": (TARGETS, LOGITS, {"gamma": 1.5, "alpha": (1.0, 2.0, 3.0, 4.0), **FROM_LOGITS}),
    "sparse_categorical_focal_crossentropy": (LABELS, UNIT, {"gamma": 2.5}),
    "generalized_cross_entropy": (LABELS, LOGITS, FROM_LOGITS),
    "poly_cross_entropy": (TARGETS, LOGITS, FROM_LOGITS),
    "sparse_poly_cross_entropy": (LABELS, UNIT, {}),
    "squentropy": (LABELS, LOGITS, {}),
    "squared_hinge": (2 * BITS - 1, LOGITS, {}),
    "soft_margin": (2 * BITS - 1, LOGITS, {}),
    "multi_margin": (LABELS, LOGITS, {"power": 2}),
    "multilabel_soft_margin": (BITS, LOGITS, {}),
    "sparsemax": (LABELS, LOGITS / 9, {}),
    "binary_sparsemax": (BITS, LOGITS, {}),
    "binary_crossentropy": (BITS, LOGITS, {"pos_weight": 2.5, **FROM_LOGITS}),
    "hinge": (2 * BITS - 1, LOGITS, {}),
}


@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("name", CURVED)
def test_second_derivative(backend: str, name: str, unit: bool) -> None:
    """The closed form against differences of the closed gradient."""
    t, p, options = CURVED[name]
    if unit:
        if "from_logits" not in options:
            return
        p, options = UNIT, {**options, "from_logits": False}
    elementwise = {"axis": ()} if t.ndim == p.ndim and name not in ("categorical_focal_crossentropy",
                                                                   "poly_cross_entropy") else {}  # fmt: skip
    native = to_native(backend, t, "float64" if t.dtype.kind == "f" else None)
    loss = make(backend, name, "float64", **options, **elementwise)
    found = to_numpy(loss.grad_and_hess(native, to_native(backend, p, "float64"))[1])
    step, wanted = 1e-5, np.zeros(p.shape)
    for k in range(p.shape[1]):
        e = step * np.eye(p.shape[1])[k]
        up, down = (both(backend, name, t, p + s * e, **options, **elementwise)[1] for s in (1, -1))
        wanted[:, k] = ((up - down) / (2 * step))[:, k]
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-7)


@pytest.mark.only("torch", "tensorflow", "jax", "keras")  # NumPy differentiates nothing by itself
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_second_derivative_of_confident_logits(backend: str, dtype: str) -> None:
    """p (1 - p) by automatic differentiation, at 0 and in both tails, of wrong answers and of right ones."""
    z = np.array([-80.0, -30.0, -20.0, -1e-3, -0.0, 0.0, 0.5, 20.0, 30.0, 80.0])
    expected = np.exp(-np.abs(z)) / (1 + np.exp(-np.abs(z))) ** 2
    weight = to_native(backend, np.ones(2), dtype)  # by the definition; torch's softplus gives 0 for few
    for bits in (np.zeros_like(z), np.ones_like(z), np.full_like(z, 0.25)):
        loss = make(backend, "binary_crossentropy", dtype, from_logits=True, axis=-1, reduction="sum")
        t = to_native(backend, np.stack([bits, bits]), dtype)
        for second in (native_second, native_second_forward):
            found = second(
                backend,
                lambda x, t=t, loss=loss: len(z) * loss(t, x, sample_weight=weight),
                to_native(backend, np.stack([z, z]), dtype),
                to_native(backend, np.ones((2, len(z))), dtype),
            )
            np.testing.assert_allclose(found, [expected] * 2, rtol=2e-6)


def test_smooth_labels(backend: str) -> None:
    """What a loss's own option does; integers become floats; any axis."""
    smoothed = to_numpy(multiloss.smooth_labels(to_native(backend, HOT, "float64"), 0.3))
    np.testing.assert_allclose(smoothed, 0.7 * HOT + 0.3 / 4, rtol=1e-15)
    value, _ = both(backend, "categorical_crossentropy", smoothed, LOGITS, from_logits=True)
    wanted, _ = both(backend, "categorical_crossentropy", HOT, LOGITS, from_logits=True, label_smoothing=0.3)
    np.testing.assert_allclose(value, wanted, rtol=1e-13)
    across = to_numpy(multiloss.smooth_labels(to_native(backend, HOT.astype(np.int64)), 0.3, axis=0))
    np.testing.assert_allclose(across, 0.7 * HOT + 0.3 / 6, rtol=1e-6)
    with pytest.raises(ValueError, match=r"smoothing must be in \[0, 1\]"):
        multiloss.smooth_labels(to_native(backend, HOT), 1.5)


@pytest.mark.reads
@pytest.mark.parametrize("name", ["hinge", "squared_hinge", "perceptron", "soft_margin", "hinge_embedding"])
def test_targets_of_a_margin(backend: str, name: str) -> None:
    """0 and 1 are refused by the first call, with a hint; nothing but -1 and 1 is taken."""
    p = to_native(backend, LOGITS)
    with pytest.raises(ValueError, match=r"y_true must hold the targets -1 and 1, got 0; .*labels=\"01\""):
        multiloss.get(name, backend=backend)(to_native(backend, BITS), p)
    with pytest.raises(ValueError, match=r"y_true must hold the targets 0 and 1, got -1"):
        multiloss.get(name, backend=backend, labels="01")(to_native(backend, 2 * BITS - 1), p)


@pytest.mark.reads
def test_other_domains(backend: str) -> None:
    """Probabilities where logarithms are wanted; class numbers that are none; weights that do not fit."""
    with pytest.raises(ValueError, match="y_pred must hold log-probabilities.*log_softmax"):
        multiloss.get("nll", backend=backend)(to_native(backend, LABELS), to_native(backend, UNIT))
    wrong = np.array([[1, 4, -1, -1]])
    with pytest.raises(ValueError, match=r"y_true holds the label 4, but must hold class numbers in \[0, 4\)"):
        multiloss.get("multilabel_margin", backend=backend)(to_native(backend, wrong), to_native(backend, LOGITS[:1]))
    with pytest.raises(ValueError, match="alpha must hold one weight per class, 4, got 2"):
        both(backend, "categorical_focal_crossentropy", TARGETS, UNIT, alpha=[1, 2])

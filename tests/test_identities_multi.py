"""What one loss says in terms of another, or of itself, on every backend."""

import importlib
import itertools
from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import native_grad, native_second, to_native, to_numpy
from helpers.losses import make
from reference.information import CONTEXT as mp


def value(backend: str, name: str, *arrays: Any, lengths: Any = None, **options: Any) -> Any:
    """Unreduced, in float64; `lengths` are those of ctc's labels."""
    named = {} if lengths is None else {"label_lengths": to_native(backend, lengths)}
    ready = [None if x is None else np.asarray(x) for x in arrays]
    ready = [x if x is None else to_native(backend, x, "float64" if x.dtype.kind == "f" else None) for x in ready]
    return to_numpy(make(backend, name, "float64", reduction="none", **options)(*ready, **named))


def test_gaussian_nll_of_variance_one_is_half_the_squared_error(backend: str) -> None:
    """Also: of the variance s, it is that of all divided by sqrt(s), and half log s more."""
    rng = np.random.default_rng(0)
    t, p, v = rng.normal(size=(5,)), rng.normal(size=(5,)), rng.uniform(0.5, 2.0, 5)
    one = value(backend, "gaussian_nll", t, p, np.ones(5))
    np.testing.assert_allclose(one, (t - p) ** 2 / 2, rtol=1e-12)
    scaled = value(backend, "gaussian_nll", t / np.sqrt(v), p / np.sqrt(v), np.ones(5)) + np.log(v) / 2
    np.testing.assert_allclose(value(backend, "gaussian_nll", t, p, v), scaled, rtol=1e-12, atol=1e-12)


def test_margin_ranking_of_swapped_scores_is_that_of_the_other_target(backend: str) -> None:
    """max(0, m - t (a - b)) is that of (-t, b, a)."""
    rng = np.random.default_rng(0)
    t, a, b = np.array([1.0, -1.0, 1.0, -1.0]), rng.normal(size=4), rng.normal(size=4)
    found = [value(backend, "margin_ranking", *x, margin=0.5) for x in ((t, a, b), (-t, b, a))]
    np.testing.assert_array_equal(*found)


def test_crps_is_the_integral_of_the_squared_difference_of_the_distributions(backend: str) -> None:
    """The definition that the sum of distances follows from: of steps, so that the integral is a sum, too."""
    rng = np.random.default_rng(0)
    t, p = rng.normal(size=4), rng.normal(size=(4, 7))
    wanted = []
    for truth, members in zip(t, p, strict=True):
        points = np.sort([truth, *members])
        below = np.array([(members <= x).mean() - float(truth <= x) for x in points[:-1]])
        wanted.append(np.sum(below**2 * np.diff(points)))
    np.testing.assert_allclose(value(backend, "crps", t, p), wanted, rtol=1e-12)
    shuffled = rng.permuted(p, axis=1)
    np.testing.assert_allclose(value(backend, "crps", t, shuffled), wanted, rtol=1e-12)


def test_ctc_of_frames_that_are_all_labels_is_the_cross_entropy(backend: str) -> None:
    """As many labels as frames, no two alike in a row: one alignment."""
    z, labels = np.random.default_rng(0).normal(size=(2, 4, 5)), np.array([[1, 2, 1, 3], [4, 3, 4, 1]])
    log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
    wanted = -np.take_along_axis(log_p, labels[..., None], -1).sum((1, 2))
    np.testing.assert_allclose(value(backend, "ctc", labels, z), wanted, rtol=1e-12)


def test_ctc_of_all_labellings_are_probabilities_of_one_distribution(backend: str) -> None:
    """Of three frames and two classes beside the blank: those of 0 to 3 labels that fit sum to 1."""
    z = np.random.default_rng(0).normal(size=(3, 3))
    all_labels = [labels for length in range(4) for labels in itertools.product((1, 2), repeat=length)]
    padded = np.array([[*labels, *[0] * (3 - len(labels))] for labels in all_labels])
    lengths = np.array([len(labels) for labels in all_labels])
    values = value(backend, "ctc", padded, np.tile(z, (len(all_labels), 1, 1)), lengths=lengths)
    np.testing.assert_allclose(np.exp(-values).sum(), 1.0, rtol=1e-12)


def test_fenchel_young_of_logsumexp_is_the_cross_entropy(backend: str) -> None:
    """And of half the squared norm it is half the squared distance, less half the targets' squared norm."""
    z, t = np.random.default_rng(0).normal(size=(2, 3, 4))
    t = np.exp(t) / np.exp(t).sum(-1, keepdims=True)
    native = [to_native(backend, x, "float64") for x in (z, t)]
    got = to_numpy(multiloss.fenchel_young(multiloss.logsumexp, *native))
    np.testing.assert_allclose(got, -(t * (z - np.log(np.exp(z).sum(-1, keepdims=True)))).sum(-1), rtol=1e-12)
    got = to_numpy(multiloss.fenchel_young(lambda x: (x * x)[..., 0] * 0.5, *(x[..., :1] for x in native)))
    np.testing.assert_allclose(got, ((z - t) ** 2 - t**2)[..., 0] / 2, rtol=1e-12)
    with pytest.raises(ValueError, match="max_fun must give one value per sample"):
        multiloss.fenchel_young(lambda x: x, *native)
    with pytest.raises(ValueError, match="scores and targets must have equal shapes"):
        multiloss.fenchel_young(multiloss.logsumexp, native[0], native[1][..., :1])


@pytest.mark.only("torch", "tensorflow", "jax")
def test_ctc_has_second_derivatives(backend: str) -> None:
    """Of a loop over frames, by two tapes around the plain call: as differences of its gradient."""
    rng = np.random.default_rng(4)
    z, along = rng.normal(size=(3, 4, 3)), rng.normal(size=(3, 4, 3))
    loss = multiloss.get("ctc", backend)
    others = [to_native(backend, np.array(x)) for x in ([[1, 2], [1, 1], [2, 1]], [2, 2, 0], [4, 3, 2])]

    def of(x: Any) -> Any:
        return loss(others[0], x, *others[1:])

    step = 1e-5
    ahead, behind = (native_grad(backend, of, to_native(backend, z + s * along)) for s in (step, -step))
    second = native_second(backend, of, *(to_native(backend, x) for x in (z, along)))
    np.testing.assert_allclose(second, (ahead - behind) / (2 * step), atol=1e-9)


def test_poisson_nll_in_full_has_a_gradient_by_the_counts(backend: str) -> None:
    """log t! differentiated: digamma(t + 1), which is the harmonic number of t less Euler's constant."""
    t, z = np.array([[0.0, 1.0, 4.0, 30.0]]), np.array([[0.5, -1.0, 2.0, 3.0]])
    harmonic = np.array([[sum(1 / k for k in range(1, int(n) + 1)) for n in row] for row in t])
    arrays = [to_native(backend, x, "float64") for x in (t, z)]
    _, gradient = make(backend, "poisson_nll", "float64", full=True, axis=()).value_and_grad(*arrays, wrt="y_true")
    np.testing.assert_allclose(4 * to_numpy(gradient), harmonic - np.euler_gamma - z, rtol=1e-12)


@pytest.mark.only("numpy")
def test_digamma(backend: str) -> None:
    """On both sides of 0."""
    ops = importlib.import_module("multiloss_numpy.ops")
    x = np.array([1e-3, 0.25, 0.49, 0.51, 1.0, 2.5, 10.0, 170.0, 1e10])
    x = np.concatenate([x, -x[1:4]])
    np.testing.assert_allclose(ops.digamma(x), [float(mp.digamma(a)) for a in x], rtol=1e-13)


def test_sets_of_labels_are_integers(backend: str) -> None:
    """As labels are: whole numbers of a real dtype are refused, checked or not, and there is no gradient by them."""
    scores = to_native(backend, np.array([[0.1, 0.2, 0.4, 0.8]]))
    for validate in (None, False):
        loss = multiloss.get("multilabel_margin", backend, validate=validate)
        for sets in (np.array([[3.0, 0.0, -1.0, 1.0]]), np.array([[True, False, True, False]])):
            with pytest.raises(TypeError, match="y_true must hold integer labels, got dtype"):
                loss(to_native(backend, sets), scores)
    sets = to_native(backend, np.array([[3, 0, -1, 1]]))
    np.testing.assert_allclose(to_numpy(loss(sets, scores)), 0.85, rtol=1e-6)
    with pytest.raises(ValueError, match="has integer labels, which have no gradient"):
        loss.value_and_grad(sets, scores, wrt="y_true")


@pytest.mark.parametrize("name", ["dice", "tversky", "focal_tversky", "jaccard"])
def test_regions_of_rows_unless_the_axes_are_told(backend: str, name: str) -> None:
    """The default axis takes N, H, W for rows; (1, 2) is that of flattened images."""
    rng = np.random.default_rng(5)
    t, p = rng.uniform(size=(2, 2, 3, 4))
    rows = value(backend, name, t.reshape(6, 4), p.reshape(6, 4))
    np.testing.assert_allclose(value(backend, name, t, p), rows.reshape(2, 3), rtol=1e-12)
    images = value(backend, name, t.reshape(2, 12), p.reshape(2, 12))
    np.testing.assert_allclose(value(backend, name, t, p, axis=(1, 2)), images, rtol=1e-12)

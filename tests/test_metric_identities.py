"""What losses of embeddings are of each other, on every backend."""

from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import framework, native_grad, native_second, native_second_forward, to_native, to_numpy
from helpers.losses import make
from multiloss.engine import dispatch
from multiloss.engine.loss import make_spec
from multiloss.testing.strategies import draw_inputs

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 4))
Y = RNG.normal(size=(6, 4))
PAIRED = np.array([0, 1, 2, 0, 1, 2])
"""One positive for each."""
CLASSES = np.array([0, 0, 1, 0, 1, 2])


def gradients(backend: str, name: str, inputs: dict[str, Any], wrt: tuple[str, ...], **options: Any) -> tuple[Any, Any]:
    """The value and the gradients, in double precision (Keras: in its own)."""
    arrays = {k: to_native(backend, x, "float64" if x.dtype.kind == "f" else None) for k, x in inputs.items()}
    value, found = multiloss.get(name, backend=backend, **options).value_and_grad(**arrays, wrt=wrt)
    return to_numpy(value), [to_numpy(g) for g in found]


def equal(backend: str, one: Any, other: Any) -> None:
    bound = 2e-5 if backend == "keras" else 1e-11
    np.testing.assert_allclose(one, other, rtol=bound, atol=bound)


def test_ntxent_is_cross_entropy(backend: str) -> None:
    """With one positive an anchor: of the similarities without the anchor's own, whose label is the positive's place;
    and so is the supervised contrastive loss.
    """
    z = X / np.linalg.norm(X, axis=-1, keepdims=True)
    scores = (z @ z.T / 0.5)[~np.eye(6, dtype=bool)].reshape(6, 5)
    place = np.array([2, 3, 4, 0, 1, 2])
    entropy = multiloss.get("sparse_categorical_crossentropy", backend=backend, from_logits=True)
    wanted = to_numpy(entropy(to_native(backend, place), to_native(backend, scores, "float64")))
    inputs = {"labels": PAIRED, "features": X}
    value, (slope,) = gradients(backend, "ntxent", inputs, ("features",), temperature=0.5)
    equal(backend, value, wanted)
    same, (other,) = gradients(backend, "supervised_contrastive", inputs, ("features",), temperature=0.5)
    equal(backend, value, same)
    equal(backend, slope, other)


def test_info_nce_is_cross_entropy(backend: str) -> None:
    """Of the similarities, whose labels are 0, 1, ...; both ways it is the mean of the one and the other."""
    u, v = (a / np.linalg.norm(a, axis=-1, keepdims=True) for a in (X, Y))
    entropy = multiloss.get("sparse_categorical_crossentropy", backend=backend, from_logits=True)
    wanted = entropy(to_native(backend, np.arange(6)), to_native(backend, u @ v.T / 0.3, "float64"))
    names = ("x1", "x2")
    value, there = gradients(backend, "info_nce", {"x1": X, "x2": Y}, names, temperature=0.3)
    equal(backend, value, to_numpy(wanted))
    back_value, back = gradients(backend, "info_nce", {"x1": Y, "x2": X}, names, temperature=0.3)
    both_value, both = gradients(backend, "info_nce", {"x1": X, "x2": Y}, names, temperature=0.3, symmetric=True)
    equal(backend, both_value, (value + back_value) / 2)
    equal(backend, both[0], (there[0] + back[1]) / 2)
    equal(backend, both[1], (there[1] + back[0]) / 2)


@pytest.mark.parametrize("mining", ["hard", "semihard", "all"])
def test_triplet_of_one_candidate(backend: str, mining: str) -> None:
    """Two samples of a class and one of another make two triplets, whatever is mined: those of `triplet_margin`."""
    x = X[:3]
    value, (slope,) = gradients(
        backend, "triplet", {"labels": np.array([0, 0, 1]), "features": x}, ("features",), mining=mining, margin=9.0
    )
    names = ("anchor", "positive", "negative")
    given = {"anchor": x[[0, 1]], "positive": x[[1, 0]], "negative": x[[2, 2]]}
    wanted, (anchor, positive, negative) = gradients(backend, "triplet_margin", given, names, margin=9.0)
    equal(backend, value, wanted)
    equal(backend, slope, np.stack([anchor[0] + positive[1], anchor[1] + positive[0], negative[0] + negative[1]]))


@pytest.mark.parametrize("squared", [False, True])
def test_triplet_of_all(backend: str, squared: bool) -> None:
    """All triplets written out; the mean of those above 0."""
    triples = [
        (i, p, n)
        for i in range(6)
        for p in range(6)
        for n in range(6)
        if p != i and CLASSES[p] == CLASSES[i] and CLASSES[n] != CLASSES[i]
    ]
    d = np.linalg.norm(X[:, None] - X[None], axis=-1) ** (2 if squared else 1)
    values = np.array([max(0.0, d[i, p] - d[i, n] + 0.4) for i, p, n in triples])
    value, _ = gradients(
        backend,
        "triplet",
        {"labels": CLASSES, "features": X},
        ("features",),
        mining="all",
        margin=0.4,
        squared=squared,
    )
    equal(backend, value, values[values > 0].mean())


def test_wide_features(backend: str) -> None:
    """Distances are summed in strides: as many features as make several of them, some left over."""
    x = np.random.default_rng(1).normal(size=(6, 75))
    d = np.linalg.norm(x[:, None] - x[None], axis=-1)
    same = CLASSES[:, None] == CLASSES[None]
    farthest = np.where(same, d, -np.inf)[:5].max(-1)
    nearest = np.where(same, np.inf, d)[:5].min(-1)
    value, _ = gradients(backend, "triplet", {"labels": CLASSES, "features": x}, ("features",), margin=2.0)
    equal(backend, value, np.maximum(farthest - nearest + 2.0, 0).mean())


@pytest.mark.parametrize("mining", ["hard", "semihard", "all"])
def test_scale_of_triplets(backend: str, mining: str) -> None:
    """Squared distances of rows of unit length are 2 - 2 cos: lengths are without influence."""
    inputs = {"labels": CLASSES, "features": X}
    longer = {"labels": CLASSES, "features": X * np.arange(1.0, 7.0)[:, None]}
    options = {"mining": mining, "squared": True, "normalize": True, "margin": 0.5}
    one, (slope,) = gradients(backend, "triplet", inputs, ("features",), **options)
    other, (shorter,) = gradients(backend, "triplet", longer, ("features",), **options)
    equal(backend, one, other)
    equal(backend, slope, shorter * np.arange(1.0, 7.0)[:, None])


def test_circle_detached(backend: str) -> None:
    """The value is the same, the gradient is not."""
    inputs = {"labels": CLASSES, "features": X}
    one, (slope,) = gradients(backend, "circle", inputs, ("features",), gamma=4.0)
    other, (full,) = gradients(backend, "circle", inputs, ("features",), gamma=4.0, detach=False)
    equal(backend, one, other)
    assert np.abs(slope - full).max() > 1e-3


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ntxent", {}),
        ("multi_similarity", {}),
        ("circle", {}),
        ("triplet", {}),
        ("triplet", {"mining": "semihard"}),
        ("triplet", {"mining": "all"}),
    ],
)
def test_nan_is_not_hidden(backend: str, name: str, options: dict[str, Any]) -> None:
    """Nor by maxima and sorting, not even of a sample that is alone in its class."""
    for row in (0, 5):
        x = X.copy()
        x[row, 1] = np.nan
        loss = multiloss.get(name, backend=backend, **options)
        assert np.isnan(to_numpy(loss(to_native(backend, CLASSES), to_native(backend, x, "float64"))))


def test_other_numbers_of_features(backend: str) -> None:
    """One loss, batches of other sizes and features of other lengths: TensorFlow's tracing forgot the latter."""
    loss, truth = (multiloss.get("triplet", backend=name) for name in (backend, "numpy"))
    for number, features in ((6, 3), (5, 3), (6, 5), (4, 2)):
        x = np.random.default_rng(number).normal(size=(number, features)).astype(np.float32)
        got = loss(to_native(backend, CLASSES[:number]), to_native(backend, x))
        np.testing.assert_allclose(to_numpy(got), truth(CLASSES[:number], x), rtol=1e-5)


DIRECTIONS = [
    ("arcface", {}), ("cosface", {}), ("proxy_anchor", {}), ("proxy_nca", {}), ("circle", {}), ("info_nce", {}),
    ("multi_similarity", {}), ("ntxent", {}), ("supervised_contrastive", {}), ("cosine_embedding", {}),
    ("cosine_distance", {}), ("triplet", {"normalize": True}),
]  # fmt: skip
"""Losses to which only directions count."""


@pytest.mark.parametrize(("name", "options"), DIRECTIONS)
def test_lengths_do_not_count(backend: str, name: str, options: dict[str, Any]) -> None:
    """Of directions: not even where a square, or the reciprocal of a length, is no normal number of float32."""
    spec = make_spec(name, options)
    inputs = (
        {"y_true": X, "y_pred": Y}
        if spec.definition.kind != "of_inputs"
        else draw_inputs(spec, np.random.default_rng(0), (6,), 4)
    )
    loss = multiloss.get(name, backend=backend, **options)
    vectors = [key for key in inputs if inputs[key].ndim == 2]

    def at(power: int) -> Any:
        """The value and the gradient for vectors of which the largest entry is 2^power."""
        arrays = dict(inputs)
        for key in vectors:
            arrays[key] = np.ldexp(inputs[key] / np.abs(inputs[key]).max(), power)
        dtypes = {key: "float32" if x.dtype.kind == "f" else None for key, x in arrays.items()}
        found = loss.value_and_grad(**{key: to_native(backend, x, dtypes[key]) for key, x in arrays.items()})
        return [to_numpy(x).astype(float) for x in found]

    value, slope = at(0)
    for power in (-60, 100, 127):
        there, gradient = at(power)
        np.testing.assert_allclose(there, value, rtol=1e-6)
        if power < 100:  # where it is a normal number itself
            np.testing.assert_allclose(np.ldexp(gradient, power), slope, rtol=1e-4, atol=1e-6 * np.abs(slope).max())


@pytest.mark.parametrize("swap", [False, True])
def test_triplets_of_any_distance(backend: str, swap: bool) -> None:
    """That of the Euclidean distance is the loss of that name, value and gradient; what the function gives is looked
    at."""
    xp = dispatch.backend(backend).xp

    def euclidean(x: Any, y: Any) -> Any:
        return xp.sqrt(xp.sum((x - y) * (x - y), axis=-1))

    near = X + 0.5 * Y[::-1]
    arrays = [to_native(backend, x, "float64") for x in (X, near, Y)]
    options = {"margin": 2.0, "swap": swap}
    loss = make(backend, "triplet_margin", "float64", reduction="none", **options)

    def of(x: Any) -> Any:
        return multiloss.triplet_margin(x, *arrays[1:], distance=euclidean, **options)

    value, slope = loss.value_and_grad(*arrays, wrt="anchor")
    np.testing.assert_allclose(to_numpy(of(arrays[0])), to_numpy(value), rtol=1e-12)
    assert np.any(to_numpy(value) > 0)
    if framework(backend) != "numpy":
        np.testing.assert_allclose(native_grad(backend, of, arrays[0]), to_numpy(slope), rtol=1e-11)
    with pytest.raises(ValueError, match=r"distance must give one value per triplet, \(6,\), got \(6, 4\)"):
        multiloss.triplet_margin(*arrays, distance=lambda x, y: x - y)
    with pytest.raises(ValueError, match=r"negative must have the shape .* of anchor, \(6, 4\), got \(6, 3\)"):
        multiloss.triplet_margin(arrays[0], arrays[1], arrays[2][:, :3], distance=euclidean)
    with pytest.raises(TypeError, match="distance must be a function of two arrays, got 'cosine'"):
        multiloss.triplet_margin(*arrays, distance="cosine")


MINED = [
    ("circle", {}), ("multi_similarity", {}), ("ntxent", {}), ("supervised_contrastive", {}),
    *(("triplet", {"mining": mining}) for mining in ("hard", "semihard", "all")),
]  # fmt: skip


@pytest.mark.parametrize("labels", [[0], [0, 1], [0, 0], [0, 0, 1]], ids=str)
@pytest.mark.parametrize(("name", "options"), MINED)
def test_what_is_not_finite_shows_without_pairs_too(
    backend: str, name: str, options: dict[str, Any], labels: list[int]
) -> None:
    """A finite value would come with a gradient of nan."""
    loss = multiloss.get(name, backend=backend, **options)
    for bad in (np.nan, np.inf):
        features = np.array(X[: len(labels)])
        features[0, 1] = bad
        value, _ = loss.value_and_grad(to_native(backend, np.array(labels)), to_native(backend, features))
        assert not np.isfinite(to_numpy(value))
        mask = np.arange(len(labels)) > 0
        arrays = [to_native(backend, x) for x in (np.array(labels), features, mask)]
        value, slope = loss.value_and_grad(*arrays[:2], mask=arrays[2])
        assert np.isfinite(to_numpy(value))
        assert np.all(np.isfinite(to_numpy(slope)))


@pytest.mark.only("torch", "tensorflow", "jax")
def test_squared_distances_of_equal_embeddings_have_a_curvature(backend: str) -> None:
    """The loss is d_01 - (d_02 + d_12) / 2 + 3 with d_ij = |x_i - x_j|^2: its Hessian is that of the first, too."""
    loss = multiloss.get("triplet", backend=backend, squared=True, margin=3.0)
    labels = to_native(backend, np.array([0, 0, 1]))
    x = to_native(backend, np.array([[1.0, 2.0], [1.0, 2.0], [1.5, 2.5]]))
    direction = to_native(backend, np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]))
    expected = [[1.0, 0.0], [-2.0, 0.0], [1.0, 0.0]]
    for second in (native_second, native_second_forward):
        got = second(backend, lambda z: loss(labels, z), x, direction)
        np.testing.assert_allclose(got, expected, atol=1e-12, err_msg=second.__name__)

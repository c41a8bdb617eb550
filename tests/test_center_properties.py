"""Properties of the centers' step, for any batch: Eq. 4 of the loops of `reference.center_step`, on every backend."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import multiloss
import reference
from helpers.arrays import to_native, to_numpy
from multiloss import center as core
from multiloss.engine import dispatch

C, D = 6, 3
ALPHAS = st.sampled_from([0.0, 0.3, 0.5, 1.0])


@st.composite
def batches(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n = draw(st.sampled_from([0, 1, 4, 8]))  # few lengths: JAX compiles each one
    labels = draw(st.lists(st.integers(0, C - 1), min_size=n, max_size=n))
    seed = draw(st.integers(0, 2**20))
    scale = draw(st.sampled_from([1.0, 100.0]))
    return np.array(labels, np.int64), np.random.default_rng(seed).normal(size=(n, D)) * scale


def table(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(C, D))


def stepped(
    backend: str, centers: np.ndarray, labels: Any, features: Any, alpha: float, **arguments: Any
) -> np.ndarray:
    center = multiloss.get("center", backend=backend, num_classes=C, feature_dim=D, alpha=alpha)
    state = {"centers": to_native(backend, centers, "float64")}
    labels, features = to_native(backend, labels), to_native(backend, features, "float64")
    return np.array(to_numpy(center.step(state, labels, features, **arguments)[1]["centers"]))


@settings(max_examples=25)
@given(batch=batches(), alpha=ALPHAS, data=st.data())
def test_any_order_and_repetition(backend: str, batch: Any, alpha: float, data: st.DataObject) -> None:
    """The step is the reference's, whatever the order; absent classes stay bit for bit, with alpha 0 all do."""
    labels, features = batch
    centers = table()
    _, expected = reference.center_step(centers, labels, features, alpha)
    got = stepped(backend, centers, labels, features, alpha)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-10)
    absent = [j for j in range(C) if alpha == 0 or j not in labels]
    np.testing.assert_array_equal(got[absent], centers[absent])
    order = np.array(data.draw(st.permutations(range(len(labels)))), np.int64)
    again = stepped(backend, centers, labels[order], features[order], alpha)
    np.testing.assert_allclose(again, got, rtol=1e-12, atol=1e-10)


@settings(max_examples=15)
@given(n=st.sampled_from([1, 2, 7, 64, 300]), alpha=ALPHAS, seed=st.integers(0, 99))
def test_one_class_contracts(backend: str, n: int, alpha: float, seed: int) -> None:
    """However often one class repeats, its center comes nearer to its mean and never beyond: no 1 - alpha n."""
    x = np.random.default_rng(seed).normal(size=(n, D))
    centers = table(seed + 1)
    got = stepped(backend, centers, np.full(n, 2), x, alpha)
    left = 1 - alpha * n / (1 + n)
    np.testing.assert_allclose(got[2] - x.mean(0), left * (centers[2] - x.mean(0)), rtol=1e-9, atol=1e-12)


class Parts:
    """Several processes' batches in one process (`protocol.Group`): what they send is known beforehand."""

    def __init__(self, be: Any, gathers: bool) -> None:
        self.be, self.how, self.sent, self.answers = be, gathers, [], None

    def gathers(self, classes: int, dim: int, samples: int) -> bool:
        return self.how

    def gather(self, x: Any) -> Any:
        return self._exchange(x, lambda parts: self.be.xp.concat(parts, axis=0))

    def sum(self, x: Any) -> Any:
        return self._exchange(x, lambda parts: sum(parts[1:], parts[0]))

    def _exchange(self, x: Any, join: Any) -> Any:
        self.sent.append(x)
        return x if self.answers is None else join([sent[len(self.sent) - 1] for sent in self.answers])


@pytest.mark.parametrize("preset", ["paper", "kaiyangzhou"])
@pytest.mark.parametrize("gathers", [True, False])
@settings(max_examples=10)
@given(batch=batches(), cuts=st.lists(st.sampled_from([0, 1, 4]), min_size=1, max_size=2), seed=st.integers(0, 9))
def test_a_batch_over_several_processes_moves_the_centers_as_in_one(
    backend: str, preset: str, gathers: bool, batch: Any, cuts: list[int], seed: int
) -> None:
    be = dispatch.backend(backend)
    labels, features = batch
    chosen = core.read_options({"num_classes": C, "feature_dim": D, "preset": preset})
    centers = to_native(backend, table(seed), "float64")
    edges = [0, *sorted(min(cut, len(labels)) for cut in cuts), len(labels)]
    parts = [
        (to_native(backend, labels[a:b]), to_native(backend, features[a:b], "float64"))
        for a, b in itertools.pairwise(edges)
    ]

    def run(group: Any, y: Any, x: Any) -> np.ndarray:
        _, where_to, rows = core.step(
            be, chosen, centers, y, x, None, None, training=True, labels_checked=True, group=group
        )  # fmt: skip
        return np.array(to_numpy(be.xp.put_rows(centers, where_to, rows)))

    everyone = []
    for y, x in parts:  # first what each one sends, then what each one makes of it
        group = Parts(be, gathers)
        run(group, y, x)
        everyone.append(group.sent)
    whole = run(None, to_native(backend, labels), to_native(backend, features, "float64"))
    for y, x in parts:
        group = Parts(be, gathers)
        group.answers = everyone
        np.testing.assert_allclose(run(group, y, x), whole, rtol=1e-12, atol=1e-10)

"""Presets: three steps of each popular implementation, replayed by its own formulas in float64, and `describe`."""

from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import to_native, to_numpy

C, D, B = 5, 3, 8
RNG = np.random.default_rng(5)
LABELS = np.array([0, 2, 2, 1, 0, 2, 1, 2])
STEPS = [RNG.normal(size=(B, D)) for _ in range(3)]
FIRST = RNG.normal(size=(C, D))


def paper(c: Any, x: Any, alpha: float) -> tuple[float, Any]:
    new = c.copy()
    for j in set(LABELS):
        mine = x[j == LABELS]
        new[j] -= alpha * sum(c[j] - v for v in mine) / (1 + len(mine))
    return sum(0.5 * np.sum((v - c[y]) ** 2) for y, v in zip(LABELS, x, strict=True)), new


def tensorflow(c: Any, x: Any, alpha: float) -> tuple[float, Any]:
    """l2_loss (a sum / 2) over the feature dimension; scatter_sub of alpha * diff / (1 + appear times)."""
    value, new = paper(c, x, alpha)
    return value / D, new


def caffe(c: Any, x: Any, alpha: float) -> tuple[float, Any]:
    """The layer's loss is over 2 M, its center gradient Eq. 4's, and SGD's rate the alpha."""
    value, new = paper(c, x, alpha)
    return value / B, new


def facenet(c: Any, x: Any, alpha: float) -> tuple[float, Any]:
    """diff = (1 - alfa) (c - x); scatter_sub adds up what repeats; reduce_mean(square(features - centers_batch))."""
    new = c.copy()
    for y, v in zip(LABELS, x, strict=True):
        new[y] -= alpha * (c[y] - v)
    return float(np.mean((x - c[LABELS]) ** 2)), new


def kaiyangzhou(c: Any, x: Any, alpha: float) -> tuple[float, Any]:
    """sum of squared distances / batch size; SGD with rate alpha on its gradient by the centers."""
    slope = np.zeros_like(c)
    for y, v in zip(LABELS, x, strict=True):
        slope[y] += 2 * (c[y] - v) / B
    return sum(float(np.sum((v - c[y]) ** 2)) for y, v in zip(LABELS, x, strict=True)) / B, c - alpha * slope


def jxgu1016(c: Any, x: Any, alpha: float) -> tuple[float, Any]:
    """Half the sum / batch size; the centers' gradient is Eq. 4's over the batch size."""
    value, moved = paper(c, x, 1.0)
    return value / B, c - alpha * (c - moved) / B


REPLAYED = {f.__name__: f for f in (paper, tensorflow, caffe, facenet, kaiyangzhou, jxgu1016)}
RATES = {"caffe": 0.01, "facenet": 0.05}


@pytest.mark.parametrize("name", REPLAYED)
def test_three_steps(backend: str, name: str) -> None:
    center = multiloss.get("center", backend=backend, preset=name, num_classes=C, feature_dim=D, centers_init=FIRST)
    dtype = str(to_numpy(center.centers).dtype)
    tolerance = 1e-12 if dtype == "float64" else 2e-5
    centers = FIRST
    for x in STEPS:
        expected, moved = REPLAYED[name](centers, x, RATES.get(name, 0.5))
        slope = np.zeros_like(x)
        for i in np.ndindex(x.shape):  # the loss is quadratic in x: a central difference is exact but for rounding
            near = [x.copy(), x.copy()]
            near[0][i] -= 0.5
            near[1][i] += 0.5
            slope[i] = np.subtract(*(REPLAYED[name](centers, v, 0.5)[0] for v in near[::-1]))
        value, gradient = center.value_and_grad(to_native(backend, LABELS), to_native(backend, x, dtype))
        np.testing.assert_allclose(to_numpy(value), expected, rtol=tolerance)
        np.testing.assert_allclose(to_numpy(gradient), slope, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(to_numpy(center.centers), moved, rtol=tolerance, atol=tolerance)
        centers = moved
    np.testing.assert_array_equal(to_numpy(center.centers)[3:], FIRST[3:].astype(dtype))  # absent classes


WEIGHT, RATE, SHARED = 0.1, 0.5, 0.05
SCRIPTS = [  # rate of the optimizer that holds the centers, what multiplies their gradient before its step, alpha here
    ("the README's: divided by the weight", RATE, 1 / WEIGHT, RATE),
    ("not divided", RATE, None, RATE * WEIGHT),
    ("the README's of one optimizer", SHARED, RATE / (WEIGHT * SHARED), RATE),
    ("one optimizer, not divided", SHARED, None, SHARED * WEIGHT),
]


@pytest.mark.only("torch")
@pytest.mark.parametrize(("script", "rate", "scale", "alpha"), SCRIPTS, ids=[s[0] for s in SCRIPTS])
def test_scripts_of_kaiyangzhou(script: str, rate: float, scale: float | None, alpha: float) -> None:
    """Ten steps of its `CenterLoss`, centers and features under SGD, in float64, against the preset."""
    import torch

    def its_loss(x: Any, labels: Any, centers: Any) -> Any:
        squares = torch.pow(x, 2).sum(1, keepdim=True) + torch.pow(centers, 2).sum(1)
        distances = squares - 2 * x @ centers.t()
        mask = labels[:, None] == torch.arange(len(centers))
        return (distances * mask).clamp(min=1e-12, max=1e12).sum() / len(x)

    labels = torch.tensor(LABELS)
    data, first = torch.tensor(np.stack(STEPS)), torch.tensor(FIRST)
    weights = [torch.eye(D, dtype=torch.float64, requires_grad=True) for _ in range(2)]  # the model, twice
    theirs = first.clone().requires_grad_()
    one = torch.optim.SGD([{"params": [weights[0]], "lr": 0.01}, {"params": [theirs], "lr": rate}], lr=rate)
    center = multiloss.get("center", backend="torch", preset="kaiyangzhou", num_classes=C, feature_dim=D, alpha=alpha)
    center.double().load_state_dict({"centers": first})
    other = torch.optim.SGD([weights[1]], lr=0.01)
    for step in range(10):
        x = data[step % len(data)]
        one.zero_grad()
        (WEIGHT * its_loss(x @ weights[0], labels, theirs)).backward()
        if scale is not None:
            assert theirs.grad is not None
            theirs.grad.data *= scale
        one.step()
        other.zero_grad()
        (WEIGHT * center(labels, x @ weights[1])).backward()
        other.step()
    np.testing.assert_allclose(center.centers.numpy(), theirs.detach().numpy(), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(weights[1].detach().numpy(), weights[0].detach().numpy(), rtol=1e-9)


@pytest.mark.parametrize("name", REPLAYED)
def test_effective_alpha(name: str) -> None:
    center = multiloss.get("center", backend="numpy", preset=name, num_classes=2, feature_dim=1, validate=False)
    labels, x = np.r_[np.zeros(13, int), np.ones(115, int)], np.full((128, 1), 0.7)
    center.update(labels, x)
    start = multiloss.get("center", backend="numpy", preset=name, num_classes=2, feature_dim=1).centers
    alpha = float((start - center.centers)[0, 0] / (np.sum(start[0, 0] - x[:13]) / 14))
    said = next(line for line in center.describe().splitlines() if line.startswith("effective alpha"))
    assert float(said.split()[2].rstrip(",")) == pytest.approx(alpha, rel=1e-3)


def test_describe(backend: str) -> None:
    center = multiloss.get("center", backend=backend, preset="kaiyangzhou", num_classes=C, feature_dim=D)
    said = center.describe()
    for part in ("KaiyangZhou", "mean over the samples of 1 |x - c_y|^2", "sum(c_j - x_i) / B", "(5, 3), float",
                 "synchronisation: none"):  # fmt: skip
        assert part in said
    assert f"{'64' if backend in ('numpy', 'jax') else '32'}, no gradient" in said  # JAX's default under x64
    unknown = multiloss.get("center", backend=backend).describe()
    assert "not known before the first batch" in unknown and "effective alpha: 0.5" in unknown


def test_options_override_a_preset(backend: str) -> None:
    center = multiloss.get("center", backend=backend, preset="tensorflow", reduction="mean", alpha=0.1)
    config = center.config()
    assert (config["preset"], config["reduction"], config["alpha"], config["per_feature"]) == (
        "tensorflow", "mean", 0.1, True,
    )  # fmt: skip
    assert multiloss.get(**config).config() == config
    with pytest.raises(ValueError, match=r"preset must be .*'paper'.*got 'pytorch'"):
        multiloss.get("center", backend=backend, preset="pytorch")

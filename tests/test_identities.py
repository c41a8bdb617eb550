"""What losses are of each other, on every backend."""

from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import to_native, to_numpy

MASKS = (np.random.default_rng(0).random((2, 3, 4, 3)) < 0.4).astype(np.float64)
ONE_HOT = np.eye(3)[np.random.default_rng(1).integers(0, 3, (2, 3, 4))]
CHANCES = 0.05 + 0.9 * np.random.default_rng(2).random((2, 3, 4, 3))
RELEVANCES = np.random.default_rng(3).integers(0, 4, (3, 5)).astype(np.float64)
SCORES = 2 * np.random.default_rng(4).normal(size=(3, 5))
SPACE = {"axis": (1, 2)}


def both(backend: str, name: str, t: Any, p: Any, **options: Any) -> tuple[Any, Any]:
    """Values and gradient, in double precision (Keras: in its own)."""
    loss = multiloss.get(name, backend=backend, **({"reduction": "none"} | options))
    value, gradient = loss.value_and_grad(to_native(backend, t, "float64"), to_native(backend, p, "float64"))
    return to_numpy(value).astype(np.float64), to_numpy(gradient).astype(np.float64)


def equal(backend: str, one: Any, other: Any) -> None:
    """Both the values and the gradients."""
    bound = 2e-5 if backend == "keras" else 1e-12
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=bound, atol=bound)


@pytest.mark.parametrize(
    ("name", "options", "other", "other_options"),
    [
        ("tversky", {}, "dice", {}),
        ("tversky", {"alpha": 1.0, "beta": 1.0}, "jaccard", {}),
        ("focal_tversky", {"alpha": 0.2, "beta": 0.6, "gamma": 1.0}, "tversky", {"alpha": 0.2, "beta": 0.6}),
    ],
)
def test_one_region_loss_is_another(backend: str, name: str, options: Any, other: str, other_options: Any) -> None:
    one = both(backend, name, MASKS, CHANCES, **SPACE, **options)
    equal(backend, one, both(backend, other, MASKS, CHANCES, **SPACE, **other_options))


def test_jaccard_of_dice(backend: str) -> None:
    """J = 2 D / (1 + D), and so their gradients."""
    d, slope = both(backend, "dice", MASKS, CHANCES, **SPACE)
    chain = 2 / (1 + d[:, None, None, :]) ** 2
    equal(backend, both(backend, "jaccard", MASKS, CHANCES, **SPACE), (2 * d / (1 + d), chain * slope))


def test_dice_squares_of_masks(backend: str) -> None:
    """A mask's squares are the mask: of two masks both forms are one."""
    value, _ = both(backend, "dice", MASKS, ONE_HOT, **SPACE)
    equal(backend, (value,), (both(backend, "dice", MASKS, ONE_HOT, **SPACE, squared=True)[0],))


def test_generalized_dice_of_one_class(backend: str) -> None:
    t, p = MASKS[..., :1], CHANCES[..., :1]
    equal(backend, both(backend, "generalized_dice", t, p, axis=(1, 2, 3)), both(backend, "dice", t, p, axis=(1, 2, 3)))


def test_generalized_dice_of_equal_classes(backend: str) -> None:
    """Classes of one size have one weight: then it is the Dice loss of all of them together."""
    t = np.eye(3)[np.arange(12).reshape(1, 12) % 3]
    p = CHANCES.reshape(2, 12, 3)[:1]
    one = both(backend, "generalized_dice", t, p, axis=(1, 2))
    equal(backend, one, both(backend, "dice", t, p, axis=(1, 2)))


def test_ranknet_of_two_items(backend: str) -> None:
    """One pair is the logistic loss of the difference of both scores."""
    z = SCORES[:, :2]
    value, gradient = both(backend, "ranknet", np.tile([1.0, 0.0], (3, 1)), z)
    logistic, slope = both(
        backend, "binary_crossentropy", np.ones((3, 1)), z[:, :1] - z[:, 1:], from_logits=True, reduction="none"
    )
    equal(backend, (value, gradient), (logistic, np.concatenate([slope, -slope], -1)))


def test_ranknet_mean_and_sum(backend: str) -> None:
    number = (RELEVANCES[:, :, None] > RELEVANCES[:, None, :]).sum((1, 2))
    value, gradient = both(backend, "ranknet", RELEVANCES, SCORES)
    total = both(backend, "ranknet", RELEVANCES, SCORES, pairs="sum")
    equal(backend, total, (value * number, gradient * number[:, None]))


def test_listwise_losses_are_cross_entropies(backend: str) -> None:
    chances = np.exp(RELEVANCES) / np.exp(RELEVANCES).sum(-1, keepdims=True)
    cross_entropy = both(backend, "categorical_crossentropy", chances, SCORES, from_logits=True)
    equal(backend, both(backend, "listnet", RELEVANCES, SCORES), cross_entropy)
    equal(backend, both(backend, "ranking_softmax", chances, SCORES), cross_entropy)


@pytest.mark.parametrize(
    ("name", "t", "p", "options"),
    [
        ("dice", MASKS, CHANCES, SPACE),
        ("dice", MASKS, CHANCES, SPACE | {"squared": True, "smooth": 0.5}),
        ("generalized_dice", ONE_HOT, CHANCES, {"axis": (1, 2, 3)}),
        ("tversky", MASKS, CHANCES, SPACE | {"alpha": 0.2}),
        ("focal_tversky", MASKS, CHANCES, SPACE),
        ("focal_tversky", MASKS, CHANCES, SPACE | {"gamma": 1.0}),
        ("focal_tversky", MASKS, CHANCES, SPACE | {"gamma": 1.5}),
        ("jaccard", MASKS, CHANCES, SPACE),
        ("ranknet", RELEVANCES, SCORES, {}),
        ("ranknet", RELEVANCES, SCORES, {"pairs": "sum"}),
        ("listnet", RELEVANCES, SCORES, {}),
        ("ranking_softmax", RELEVANCES, SCORES, {}),
    ],
)
def test_second_derivatives(name: str, t: Any, p: Any, options: Any) -> None:
    """The closed form of the diagonal is what the closed-form gradient's own element changes by."""
    loss = multiloss.get(name, backend="numpy", reduction="none", **options)
    first, second = loss.grad_and_hess(t, p)
    np.testing.assert_array_equal(first, loss.value_and_grad(t, p)[1])
    for index in list(np.ndindex(p.shape))[::3]:
        ends = [p.copy(), p.copy()]
        ends[0][index] += 1e-5
        ends[1][index] -= 1e-5
        up, down = (loss.value_and_grad(t, x)[1][index] for x in ends)
        np.testing.assert_allclose(second[index], (up - down) / 2e-5, rtol=1e-6, atol=1e-8)

"""`pos_weight` of binary cross entropy: one number per class, along the axis of the classes."""

import json
from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import to_native, to_numpy

RNG = np.random.default_rng(5)
BITS = RNG.integers(0, 2, (4, 3)).astype(np.float64)
LOGITS = 3 * RNG.normal(size=(4, 3))
UNIT = RNG.uniform(0.1, 0.9, (4, 3))
EACH = (0.5, 1.0, 3.0)


def each_class_on_its_own(t: np.ndarray, p: np.ndarray, **options: Any) -> list[np.ndarray]:
    found = []
    for k, weight in enumerate(EACH):
        loss = multiloss.get("bce", backend="numpy", pos_weight=weight, axis=(), reduction="none", **options)
        pair = t[:, k], p[:, k]
        found.append([loss(*pair), *loss.grad_and_hess(*pair)])
    return [np.stack(parts, -1) for parts in zip(*found, strict=True)]


@pytest.mark.parametrize("options", [{"from_logits": True}, {}, {"label_smoothing": 0.2}], ids=str)
@pytest.mark.parametrize("axis", [-1, 1, 0, (1,), (), None], ids=str)
def test_each_class_has_its_own(backend: str, axis: Any, options: dict[str, Any]) -> None:
    t, p = BITS, LOGITS if options.get("from_logits") else UNIT
    wanted = each_class_on_its_own(t, p, **options)
    if axis == 0:
        t, p, wanted = t.T, p.T, [x.T for x in wanted]
    value, slope, bend = wanted
    loss = multiloss.get("bce", backend=backend, pos_weight=EACH, axis=axis, **options)
    given = to_native(backend, t), to_native(backend, p)
    found, gradient = loss.value_and_grad(*given)
    tolerance = {"rtol": 1e-5 if backend == "keras" else 1e-12, "atol": 1e-6 if backend == "keras" else 1e-14}
    np.testing.assert_allclose(to_numpy(loss(*given)), value.mean(), **tolerance)
    np.testing.assert_allclose(to_numpy(found), value.mean(), **tolerance)
    np.testing.assert_allclose(to_numpy(gradient), slope / slope.size, **tolerance)
    for got, want in zip(loss.grad_and_hess(*given), (slope, bend), strict=True):
        np.testing.assert_allclose(to_numpy(got), want, **tolerance)


def test_many_samples(backend: str) -> None:
    t, z = np.tile(BITS, (60_000, 1)), np.tile(LOGITS, (60_000, 1))
    value, slope, _ = each_class_on_its_own(BITS, LOGITS, from_logits=True)
    loss = multiloss.get("bce", backend=backend, pos_weight=EACH, from_logits=True)
    found, gradient = loss.value_and_grad(to_native(backend, t), to_native(backend, z))
    np.testing.assert_allclose(to_numpy(found), value.mean(), rtol=1e-5 if backend == "keras" else 1e-11)
    np.testing.assert_allclose(to_numpy(gradient)[-4:] * len(t), slope / 3, rtol=1e-4 if backend == "keras" else 1e-11)


def test_arrays_become_lists_and_the_config_is_json(backend: str) -> None:
    loss = multiloss.get("bce", backend=backend, pos_weight=to_native(backend, np.array(EACH)))
    config = json.loads(json.dumps(loss.config()))
    assert config["pos_weight"] == list(EACH)
    assert multiloss.get(**config).config() == loss.config()


BAD: list[Any] = [
    ((0.5, 1.0), -1, "pos_weight must hold one weight per class, 3, got 2"),
    ((0.5, 1.0), None, "pos_weight must hold one weight per class, 3, got 2"),
    (EACH, (0, 1), "pos_weight must be one number where no one axis is that of the classes"),
    ((1.0, -2.0, 1.0), -1, r"pos_weight\[1\] must not be negative"),
    ((), -1, "pos_weight must not be empty"),
]


@pytest.mark.parametrize(("numbers", "axis", "message"), BAD)
def test_is_refused(backend: str, numbers: Any, axis: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        multiloss.get("bce", backend=backend, pos_weight=numbers, axis=axis)(
            to_native(backend, BITS), to_native(backend, UNIT)
        )


def test_ports_of_torch_are_the_plain_loss() -> None:
    """Whose numbers, one per class of the last axis, are torch's; the others stay what they were."""
    written = "torch.nn.BCEWithLogitsLoss(pos_weight={})"
    assert multiloss.port(written.format([0.5, 1.0, 3.0]), to="numpy").config()["name"] == "binary_crossentropy"
    ported = multiloss.port(written.format([0.5, 1.0, 3.0]), to="numpy")
    np.testing.assert_allclose(
        ported(BITS, LOGITS), each_class_on_its_own(BITS, LOGITS, from_logits=True)[0].mean(), rtol=1e-12
    )
    for numbers in ([-1.0, 1.0], [[1.0], [2.0]]):
        config = multiloss.port(written.format(numbers), to="numpy").config()
        assert config["name"] == "torch.binary_cross_entropy_with_logits"

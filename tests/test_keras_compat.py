"""Other versions of Keras: what Keras does not promise is taken away, one name after another, or behaves otherwise."""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

import multiloss
import multiloss.keras
from helpers.arrays import to_numpy
from helpers.keras_models import centers, fit, network, with_center
from multiloss_keras import compat

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 4)).astype(np.float32)
Y = np.array([0, 1, 2, 0, 1, 2])


def absent(*_: Any) -> None:
    """A name that is there, and answers nothing."""


@functools.cache
def trained() -> tuple[float, Any]:
    """Loss and centers after a step, with all names there."""
    return stepped()


def stepped() -> tuple[float, Any]:
    model, x = with_center(network(masking=True)), X.copy()
    x[1] = 0.0
    return fit(model, x, Y), centers(model)


NAMES = ["_get_keras_mask", "_get_global_attribute", "_in_stateless_scope", "_in_symbolic_scope", "_auto_name"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("instead", [None, absent], ids=["missing", "answers nothing"])
def test_fit_without(name: str, instead: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step with a mask has the same loss and centers."""
    loss, expected = trained()
    monkeypatch.setattr(compat, name, instead)
    found, moved = stepped()
    assert found == pytest.approx(loss, rel=1e-6)
    np.testing.assert_allclose(moved, expected, rtol=1e-6)


@pytest.mark.parametrize("reader", [None, absent], ids=["missing", "answers nothing"])
def test_masks_without_a_reader(reader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer is asked instead: the same numbers, of every kind of loss."""
    x, keep = X.copy(), np.arange(6) != 1
    x[1] = 0.0
    steps = np.stack([x, x])
    center, arcface = multiloss.keras.CenterLoss(num_classes=3, feature_dim=4), multiloss.keras.ArcFace(3, 4, seed=0)
    numpy = multiloss.get("arcface", backend="numpy")
    monkeypatch.setattr(compat, "_get_keras_mask", reader)
    masked = keras.layers.Masking(0.0)(x)
    for loss, expected in (
        (multiloss.get("circle", backend="keras"), multiloss.get("circle", backend="numpy")(Y, x, mask=keep)),
        (arcface, numpy(Y, x, to_numpy(arcface.weight), mask=keep)),
        (center, (x[keep] ** 2).sum() / 2 / 5),
    ):
        np.testing.assert_allclose(to_numpy(loss(Y, masked)), expected, rtol=1e-5)
    mse = multiloss.get("mse", backend="keras")
    kept = (np.stack([keep, keep])[..., None] * (steps - 1) ** 2).sum() / 40
    np.testing.assert_allclose(to_numpy(mse(np.ones_like(steps), keras.layers.Masking(0.0)(steps))), kept, rtol=1e-5)
    assert compat.mask_of(keras.ops.ones((2, 3))) is None and compat.mask_of(np.ones((2, 3))) is None


@pytest.mark.parametrize("reader", [None, absent], ids=["missing", "answers nothing"])
def test_the_mode_without_a_view_of_the_call(reader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a model trains could only be guessed: `training` is asked for, and nothing has moved."""
    center = multiloss.keras.CenterLoss(num_classes=3, feature_dim=4)
    monkeypatch.setattr(compat, "_get_global_attribute", reader)
    with pytest.raises(RuntimeError, match=r"Keras \S+ does not show .* training=training"):
        center(Y, X)
    assert not to_numpy(center.centers).any()
    center(Y, X, training=True)
    assert to_numpy(center.centers).any()


def test_the_mode_without_a_view_of_the_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    """On its own, too; rows are then not written in place."""
    center, plain = (multiloss.keras.CenterLoss(num_classes=3, feature_dim=4) for _ in range(2))
    plain(Y, X)
    monkeypatch.setattr(compat, "_in_stateless_scope", None)
    with pytest.raises(ValueError, match=r"pass it on .* training=training"):
        center(Y, X)
    center(Y, X, training=True)
    np.testing.assert_allclose(to_numpy(center.centers), to_numpy(plain.centers), rtol=1e-6)


def test_names_without_the_maker_of_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat, "_auto_name", None)
    assert multiloss.keras.ArcFace(3, 4).name.startswith("with_weight")
    assert multiloss.keras.ArcFace(3, 4, name="head").name == "head"


def test_growth_without_a_way_to_change_a_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused, and the centers are as they were; a layer that was never called may still get its table."""
    center = multiloss.keras.CenterLoss(num_classes=3, feature_dim=4)
    center(Y, X)
    before = to_numpy(center.centers).copy()
    monkeypatch.delattr(keras.layers.Layer, "_untrack_variable")
    with pytest.raises(RuntimeError, match=r"a layer of Keras \S+ cannot lose a table .* num_classes and feature_dim"):
        center.resize(5)
    np.testing.assert_array_equal(to_numpy(center.centers), before)
    assert len(center.weights) == 1
    with pytest.raises(RuntimeError, match=r"a layer of Keras \S+ cannot get a table of centers once it is built"):
        compat.unlock(SimpleNamespace(built=True, _tracker=object()))
    compat.unlock(SimpleNamespace(built=False))
    multiloss.keras.CenterLoss(num_classes=3, feature_dim=4)


def test_a_model_without_a_state_elsewhere() -> None:
    """Only Keras on JAX keeps the state of `fit` apart from the variables."""
    compat.sync(SimpleNamespace())
    model, called = with_center(), []
    object.__setattr__(model, "jax_state_sync", lambda: called.append(1))
    assert model.weight == 0.05 and called


# --- ports of live objects


def tversky(y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Any = None) -> Any:
    """As Keras has it up to 3.15: alpha weighs what is missed."""
    hit, missed, false = (
        keras.ops.sum(x, axis=axis) for x in (y_true * y_pred, y_true * (1 - y_pred), y_pred * (1 - y_true))
    )
    return 1 - hit / (hit + alpha * missed + beta * false + 1e-7)


def other_tversky(y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Any = None) -> Any:
    """As Keras 3.16 has it."""
    return tversky(y_true, y_pred, alpha=beta, beta=alpha, axis=axis)


def class_of(function: Any) -> Any:
    class Tversky:
        def __init__(self, alpha: float = 0.5, beta: float = 0.5, reduction: Any = "sum_over_batch_size",
                     name: Any = None, axis: Any = None, dtype: Any = None) -> None:  # fmt: skip
            self.config = {"alpha": alpha, "beta": beta, "reduction": reduction, "axis": axis}

        def get_config(self) -> dict[str, Any]:
            return {"name": "tversky", **self.config}

        def __call__(self, y_true: Any, y_pred: Any) -> Any:
            return function(y_true, y_pred, **{key: self.config[key] for key in ("alpha", "beta", "axis")})

    return Tversky


TRUTH, FOUND = np.array([[1.0, 1.0, 1.0, 0.0]]), np.array([[1.0, 0.0, 0.0, 1.0]])
"""One hit, two misses, one false alarm."""


@pytest.mark.parametrize(("function", "expected"), [(tversky, 1 - 1 / 7.5), (other_tversky, 0.8)])
def test_tversky_is_asked(function: Any, expected: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of alpha=3 and beta=0.5 the object's own order counts, there and back; a written form means Keras 3.15."""
    monkeypatch.setattr(keras.losses, "Tversky", class_of(function))
    monkeypatch.setattr(keras.losses, "tversky", function)
    given = {"alpha": 3.0, "beta": 0.5}
    for live in (keras.losses.Tversky(**given), functools.partial(keras.losses.tversky, **given)):
        for to in ("numpy", "keras"):
            assert float(to_numpy(multiloss.port(live, to=to)(TRUTH, FOUND))) == pytest.approx(expected, rel=1e-5)
    for one in ({"alpha": 3.0}, {"beta": 3.0}):
        found = multiloss.port(keras.losses.Tversky(**one), to="numpy")(TRUTH, FOUND)
        assert found == pytest.approx(float(function(TRUTH, FOUND, **one)), rel=1e-5)
    ours = multiloss.port(keras.losses.Tversky(**given))
    back = multiloss.port(ours, to="keras.losses")
    assert isinstance(back, keras.losses.Tversky)
    assert float(back(TRUTH, FOUND)) == pytest.approx(expected, rel=1e-5)
    written = multiloss.port("keras.losses.Tversky(alpha=3.0, beta=0.5)", to="numpy")
    assert written(TRUTH, FOUND) == pytest.approx(1 - 1 / 7.5, rel=1e-5)
    assert any("Keras 3.16 exchanges alpha and beta" in note for note in written.notes)
    assert float(multiloss.port(written, to="keras.losses")(TRUTH, FOUND)) == pytest.approx(1 - 1 / 7.5, rel=1e-5)


@pytest.mark.parametrize("answer", [0.3, float("nan")])
def test_tversky_that_is_neither(answer: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.losses, "Tversky", class_of(lambda *_, **__: answer))
    with pytest.raises(ValueError, match="Tversky of a hit and a miss is .*, which neither alpha nor beta explains"):
        multiloss.port(keras.losses.Tversky(alpha=0.3), to="numpy")


def test_a_loss_that_does_not_tell_its_options() -> None:
    """Keras' Huber leaves delta out of its configuration: never the default instead."""
    loss = keras.losses.Huber(delta=2.0)
    assert multiloss.port(loss, to="numpy")([[0.0]], [[3.0]]) == 4.0
    del loss._fn_kwargs
    with pytest.raises(ValueError, match="Huber does not tell its delta here; give its written form"):
        multiloss.port(loss, to="numpy")

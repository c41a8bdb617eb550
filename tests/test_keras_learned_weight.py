"""Losses that own their weight, as Keras layers: what `test_learned_weight.py` does not hold for all frameworks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import multiloss
import multiloss.keras
from helpers.arrays import dtype_name, to_native, to_numpy
from multiloss.keras import ArcFace, WithWeight

# what Keras' own backends do on import and in `fit`
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:.*os.fork:RuntimeWarning"
)

C, D, N = 3, 4, 24
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, C, N)
FEATURES = RNG.normal(size=(N, D)).astype(np.float32)


def made(loss: str = "arcface", **options: Any) -> Any:
    return WithWeight(loss, C, D, **{"seed": 0} | options)


def pure(layer: Any) -> Any:
    """The value, by NumPy."""
    loss = multiloss.get(layer.made.spec.name, "numpy", **layer.made.spec.kwargs)
    held = [to_numpy(x) for x in (layer.weight, layer.bias) if x is not None]
    return lambda y, x, **given: loss(y, x, *held, **given)


def functional(layer: Any, width: int = D) -> keras.Model:
    """A model of x and the labels, whose one loss is the layer's."""
    x, y = keras.Input((4,)), keras.Input((), dtype="int32")
    features = keras.layers.Dense(width, name="features")(x)
    model = keras.Model([x, y], layer(y, features))
    model.compile(keras.optimizers.SGD(0.02))
    return model


@pytest.mark.parametrize(
    ("name", "options"), [("arcface", {}), ("linear_cross_entropy", {"bias": True}), ("proxy_anchor", {})]
)
def test_in_a_functional_model(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    """`fit` trains the weight, and `evaluate` reports lambda x loss, after saving and loading, too."""
    keras.utils.set_random_seed(0)
    layer = WithWeight(name, C, loss_weight=0.5, **options)
    model = functional(layer)
    features = keras.Model(model.inputs[0], model.get_layer("features").output)
    embedded = features.predict(FEATURES, verbose=0)
    expected = 0.5 * pure(layer)(LABELS, embedded)
    assert model.evaluate([FEATURES, LABELS], verbose=0, batch_size=N) == pytest.approx(expected, rel=1e-4)
    before = to_numpy(layer.weight).copy()
    history = model.fit([FEATURES, LABELS], epochs=25, batch_size=N, verbose=0, shuffle=False).history["loss"]
    assert history[0] == pytest.approx(expected, rel=1e-4) and history[-1] < history[0] - 0.01
    assert len(layer.trainable_weights) == 1 + options.get("bias", False) and (to_numpy(layer.weight) != before).any()
    assert model.predict([FEATURES, LABELS], verbose=0).shape == (N, D)  # the features

    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    value = model.evaluate([FEATURES, LABELS], verbose=0, batch_size=N)
    assert again.evaluate([FEATURES, LABELS], verbose=0, batch_size=N) == pytest.approx(value, rel=1e-6)
    other = next(one for one in again.layers if isinstance(one, WithWeight))
    np.testing.assert_array_equal(to_numpy(other.weight), to_numpy(layer.weight))
    assert other.get_config() == layer.get_config()
    model.save_weights(tmp_path / "model.weights.h5")
    fresh = functional(WithWeight(name, C, loss_weight=0.5, **options))
    fresh.load_weights(tmp_path / "model.weights.h5")
    assert fresh.evaluate([FEATURES, LABELS], verbose=0, batch_size=N) == pytest.approx(value, rel=1e-6)


def test_besides_a_compiled_loss() -> None:
    """The layer's loss is added to the one that `compile` got, once; a second output goes on from the features."""
    keras.utils.set_random_seed(0)
    x, y = keras.Input((4,)), keras.Input((), dtype="int32")
    layer = ArcFace(C, loss_weight=0.25)
    features = layer(y, keras.layers.Dense(D, name="features")(x))
    model = keras.Model([x, y], keras.layers.Dense(C)(features))
    ce = multiloss.get("scce", "keras", from_logits=True)
    model.compile("sgd", loss=ce)
    logits = model.predict([FEATURES, LABELS], verbose=0)
    embedded = keras.Model(x, model.get_layer("features").output).predict(FEATURES, verbose=0)
    expected = float(ce.to_backend("numpy")(LABELS, logits)) + 0.25 * pure(layer)(LABELS, embedded)
    found = model.evaluate([FEATURES, LABELS], LABELS, verbose=0, batch_size=N)
    assert found == pytest.approx(float(expected), rel=1e-4)


def test_what_the_first_weight_is_drawn_with() -> None:
    """Keras' generator, or a seed of its own."""

    def drawn(seed: int | None) -> np.ndarray:
        keras.utils.set_random_seed(1)
        return to_numpy(made(seed=seed).weight)

    np.testing.assert_array_equal(drawn(None), drawn(None))
    assert (drawn(None) != to_numpy(made(seed=None).weight)).any()
    np.testing.assert_array_equal(drawn(7), drawn(7))
    assert (drawn(7) != drawn(8)).any()


def test_config() -> None:
    layer = made("linear_cross_entropy", bias=True, label_smoothing=0.1, loss_weight=2, name="head", trainable=False)
    again = WithWeight.from_config(layer.get_config())
    assert again.get_config() == layer.get_config() and again.made == layer.made
    assert again.name == "head" and again.loss_weight == 2.0 and not again.trainable_weights
    np.testing.assert_array_equal(to_numpy(again.weight), to_numpy(layer.weight))  # by the seed


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16", "float16", "float64"])
def test_the_dtype_of_the_layer(dtype: str) -> None:
    """The weight and what is computed with it are float32 under half precision, and float64 where that is chosen."""
    layer, wide = made(dtype=dtype), "float64" if dtype == "float64" else "float32"
    x = to_native("keras", FEATURES, dtype.removeprefix("mixed_"))
    value = layer(to_native("keras", LABELS), x)
    assert dtype_name(value) == keras.backend.standardize_dtype(layer.weight.dtype) == wide
    expected = pure(layer)(LABELS, to_numpy(x).astype(wide))
    np.testing.assert_allclose(to_numpy(value), expected, rtol=1e-5 if wide == "float32" else 1e-12)


@pytest.mark.parametrize("how", ["mixed_bfloat16"] if keras.backend.backend() == "torch" else ["mixed_bfloat16", "xla"])
def test_trained_in_half_precision_and_by_xla(how: str) -> None:
    keras.utils.set_random_seed(0)
    x, y = keras.Input((4,)), keras.Input((), dtype="int32")
    dtype = "float32" if how == "xla" else how
    layer = ArcFace(C, loss_weight=1.0, scale=8.0, dtype=dtype)
    model = keras.Model([x, y], layer(y, keras.layers.Dense(D, dtype=dtype)(x)))
    model.compile(keras.optimizers.SGD(0.02), jit_compile=how == "xla")
    history = model.fit([FEATURES, LABELS], epochs=20, batch_size=N, verbose=0).history["loss"]
    assert history[-1] < history[0] - 0.1


def test_labels_are_read_exactly() -> None:
    """Also those that float16 and float32 do not hold, and those of a column; a mixed policy does not cast them."""
    layer = WithWeight("linear_cross_entropy", 4100, 2, seed=0, dtype="mixed_float16")
    y = np.array([4097, 4099, 2049])
    x = np.ones((3, 2), np.float32)
    expected = pure(layer)(y, x)
    for labels in (y, y[:, None], y.tolist(), y.astype(np.int32)):
        np.testing.assert_allclose(to_numpy(layer(labels, x)), expected, rtol=1e-6)


def test_a_mask_of_keras() -> None:
    """What a Masking layer leaves out counts for nothing."""
    layer = made("linear_cross_entropy", bias=True)
    x = FEATURES.reshape(6, 4, D).copy()
    x[1, 2:] = 0.0
    masked = keras.layers.Masking()(x)
    expected = pure(layer)(LABELS.reshape(6, 4), x, mask=x.any(axis=-1))
    np.testing.assert_allclose(to_numpy(layer(LABELS.reshape(6, 4), masked)), expected, rtol=1e-5)


def test_without_a_reduction() -> None:
    """One value for each sample, as output of a model, too."""
    layer = made(reduction="none")
    x, y = keras.Input((D,)), keras.Input((), dtype="int32")
    model = keras.Model([x, y], layer(y, x))
    assert model.output.shape == (None,)
    got, wanted = model.predict([FEATURES, LABELS], verbose=0), to_numpy(layer(LABELS, FEATURES))
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)  # two units of logits of 64
    assert made("proxy_anchor", reduction="none")(y, x).shape == ()


def test_loss_weight_is_fixed() -> None:
    """A step that was compiled would not see another one."""
    layer = made(loss_weight=0.5)
    with pytest.raises(AttributeError, match=r"loss_weight is fixed when the layer is made, got 10\.0; make another"):
        layer.loss_weight = 10.0
    assert layer.loss_weight == 0.5 and layer.get_config()["loss_weight"] == 0.5


def test_bad_placeholders() -> None:
    """What cannot fit is refused when the functional model is made."""
    y = keras.Input((), dtype="int32")
    with pytest.raises(ValueError, match=r"features must have feature_dim = 4 columns, got shape \(None, 5\)"):
        made()(y, keras.Input((5,)))
    with pytest.raises(
        ValueError, match=r"features must have a known last axis, or pass feature_dim; got \(None, None\)"
    ):
        WithWeight("arcface", C)(y, keras.Input((None,)))
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'num_classes'"):
        ArcFace()

"""Losses that own their weight, as Keras layers, on whichever backend Keras runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import multiloss
import multiloss.keras
from helpers.arrays import dtype_name, framework, native_grad, to_native, to_numpy
from multiloss.engine import learned_weight as owners
from multiloss.keras import ArcFace, LinearCrossEntropy, WithWeight

# what Keras' own backends do on import and in `fit`
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:.*os.fork:RuntimeWarning"
)

C, D, N = 3, 4, 24
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, C, N)
FEATURES = RNG.normal(size=(N, D)).astype(np.float32)
EVERY = [(name, {}) for name in owners.names()] + [
    ("linear_cross_entropy", {"bias": True}),
    ("arcface", {"scale": 8.0}),
]


def made(loss: str = "arcface", **options: Any) -> Any:
    return WithWeight(loss, C, D, **{"seed": 0} | options)


def pure(layer: Any) -> Any:
    """The value, by NumPy."""
    loss = multiloss.get(layer.made.spec.name, "numpy", **layer.made.spec.kwargs)
    held = [to_numpy(x) for x in (layer.weight, layer.bias) if x is not None]
    return lambda y, x, **given: loss(y, x, *held, **given)


def gradients(layer: Any, y: Any, x: Any, **given: Any) -> list[np.ndarray]:
    """Of each weight of the layer, by the framework that Keras runs on."""
    if framework("keras") == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            value = layer(y, x, **given)
        return [g.numpy() for g in tape.gradient(value, [w.value for w in layer.trainable_weights])]
    if framework("keras") == "torch":
        import torch

        value = layer(y, x, **given)
        return [g.numpy() for g in torch.autograd.grad(value, [w.value for w in layer.trainable_weights])]
    import jax

    def value_of(weights: Any) -> Any:
        return layer.stateless_call(weights, [], y, x, **given)[0]

    return [np.asarray(g) for g in jax.grad(value_of)([w.value for w in layer.trainable_weights])]


@pytest.mark.parametrize(("name", "options"), EVERY)
def test_value_and_gradients_are_the_pure_forms(name: str, options: dict[str, Any]) -> None:
    """Of the features, the weight and the bias; with weights and a mask."""
    layer = made(name, **options)
    if layer.bias is not None:
        layer.bias.assign([0.5, -1.0, 0.25])
    y, x, mask = to_native("keras", LABELS), to_native("keras", FEATURES), to_native("keras", np.arange(N) != 3)
    given = {"mask": mask}
    if name != "proxy_anchor":
        given["sample_weight"] = to_native("keras", np.linspace(0.5, 2.0, N, dtype=np.float32))
    expected = pure(layer)(LABELS, FEATURES, **{key: to_numpy(value) for key, value in given.items()})
    np.testing.assert_allclose(to_numpy(layer(y, x, **given)), expected, rtol=1e-5)
    loss = multiloss.get(name, "keras", **{k: v for k, v in options.items() if k != "bias"})
    held = {key: w for key, w in (("weight", layer.weight), ("bias", layer.bias)) if w is not None}
    _, wanted = loss.value_and_grad(y, x, **held, **given, wrt=("features", *held))
    got = [native_grad("keras", lambda x: layer(y, x, **given), x), *gradients(layer, y, x, **given)]
    for one, other in zip(got, map(to_numpy, wanted), strict=True):
        assert other.any()
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("plain", "name"),
    [
        ("ArcFace", "arcface"),
        ("CosFace", "cosface"),
        ("SphereFace", "sphereface"),
        ("ProxyNCA", "proxy_nca"),
        ("ProxyAnchor", "proxy_anchor"),
        ("LinearCrossEntropy", "linear_cross_entropy"),
    ],
)
def test_plain_names(plain: str, name: str) -> None:
    layer = getattr(multiloss.keras, plain)(C, D, seed=3)
    assert isinstance(layer, WithWeight) and layer.name.startswith(name)
    np.testing.assert_array_equal(
        to_numpy(layer(LABELS, FEATURES)), to_numpy(made(name, seed=3)(LABELS, FEATURES))
    )  # fmt: skip


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


class Subclassed(keras.Model):
    """A model with `add_loss` of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.loss_of = keras.layers.Dense(D), ArcFace(C)

    def call(self, inputs: Any) -> Any:
        x, labels = inputs
        features = self.features(x)
        self.add_loss(0.5 * self.loss_of(labels, features))
        return features


def test_in_a_subclassed_model() -> None:
    keras.utils.set_random_seed(0)
    model = Subclassed()
    model.compile(keras.optimizers.SGD(0.02))
    history = model.fit([FEATURES, LABELS], epochs=20, batch_size=N, verbose=0).history["loss"]
    assert history[-1] < history[0] - 0.1 and len(model.trainable_weights) == 3
    expected = 0.5 * pure(model.loss_of)(LABELS, to_numpy(model.features(FEATURES)))
    assert model.evaluate([FEATURES, LABELS], verbose=0, batch_size=N) == pytest.approx(float(expected), rel=1e-4)


def test_the_first_weight() -> None:
    """Glorot-uniform, by Keras' generator or a seed of its own."""
    large = LinearCrossEntropy(400, 200, bias=True)
    weight, bound = to_numpy(large.weight), (6 / 600) ** 0.5
    assert abs(weight).max() <= bound and abs(weight.std() / bound - 3**-0.5) < 0.01
    assert not to_numpy(large.bias).any()

    def drawn(**options: Any) -> np.ndarray:
        keras.utils.set_random_seed(1)
        return to_numpy(made(**options).weight)

    np.testing.assert_array_equal(drawn(seed=None), drawn(seed=None))
    assert (drawn(seed=None) != to_numpy(made(seed=None).weight)).any()
    np.testing.assert_array_equal(made(seed=7).weight, made(seed=7).weight)
    assert (to_numpy(made(seed=7).weight) != to_numpy(made(seed=8).weight)).any()


def test_config() -> None:
    layer = made("linear_cross_entropy", bias=True, label_smoothing=0.1, loss_weight=2, name="head", trainable=False)
    again = WithWeight.from_config(layer.get_config())
    assert again.get_config() == layer.get_config() and again.made == layer.made
    assert again.name == "head" and again.loss_weight == 2.0 and not again.trainable_weights
    np.testing.assert_array_equal(to_numpy(again.weight), to_numpy(layer.weight))  # by the seed


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_mixed_precision(dtype: str) -> None:
    """Half-precision features are computed with in float32; the weight and its gradient are float32."""
    half = FEATURES.astype(np.float16)
    layer = made(dtype=dtype)
    assert keras.backend.standardize_dtype(layer.weight.dtype) == "float32"
    name = "bfloat16" if "bfloat16" in dtype else "float16"
    y, x = to_native("keras", LABELS), to_native("keras", half, name)
    expected = pure(layer)(LABELS, to_numpy(x).astype(np.float32))
    value = layer(y, x)
    assert dtype_name(value) == "float32"
    np.testing.assert_allclose(to_numpy(value), expected, rtol=1e-5)
    assert gradients(layer, y, x)[0].dtype == np.float32


def test_a_model_in_mixed_precision() -> None:
    keras.utils.set_random_seed(0)
    layer = ArcFace(C, loss_weight=1.0, scale=8.0, dtype="mixed_bfloat16")
    x, y = keras.Input((4,)), keras.Input((), dtype="int32")
    model = keras.Model([x, y], layer(y, keras.layers.Dense(D, dtype="mixed_bfloat16")(x)))
    model.compile(keras.optimizers.SGD(0.02))
    history = model.fit([FEATURES, LABELS], epochs=20, batch_size=N, verbose=0).history["loss"]
    assert history[-1] < history[0] - 0.1


def test_double_precision() -> None:
    layer = made(dtype="float64")
    value = layer(to_native("keras", LABELS), to_native("keras", FEATURES, "float64"))
    assert dtype_name(value) == keras.backend.standardize_dtype(layer.weight.dtype) == "float64"
    np.testing.assert_allclose(to_numpy(value), pure(layer)(LABELS, FEATURES.astype(np.float64)), rtol=1e-12)


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="XLA is not what Keras on torch compiles with")
def test_xla() -> None:
    keras.utils.set_random_seed(0)
    model = functional(ArcFace(C, loss_weight=1.0))
    expected = model.evaluate([FEATURES, LABELS], verbose=0, batch_size=N)
    model.compile(keras.optimizers.SGD(0.02), jit_compile=True)
    history = model.fit([FEATURES, LABELS], epochs=20, batch_size=N, verbose=0).history["loss"]
    assert history[0] == pytest.approx(expected, rel=1e-4) and history[-1] < history[0] - 0.1


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


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"loss": "arcfase"}, ValueError, "unknown loss 'arcfase'; did you mean arcface"),
        ({"loss": "mse"}, ValueError, "mean_squared_error owns no weight; those that do: arcface, cosface, linear"),
        ({"num_classes": 0}, ValueError, "num_classes must be at least 1, got 0"),
        ({"num_classes": 2.5}, TypeError, r"num_classes must be an integer, got 2\.5"),
        ({"feature_dim": 0}, ValueError, "feature_dim must be at least 1, got 0"),
        ({"scala": 3.0}, TypeError, r"arcface has no option 'scala'; did you mean 'scale'\?"),
        ({"bias": True}, ValueError, "arcface has no bias, got bias=True; those that do: linear_cross_entropy"),
        ({"loss_weight": "much"}, TypeError, "loss_weight must be a number, got 'much'"),
    ],
)
def test_bad_options(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        WithWeight(**{"loss": "arcface", "num_classes": C, "feature_dim": D} | options)


def test_loss_weight_is_fixed() -> None:
    """A step that was compiled would not see another one."""
    layer = made(loss_weight=0.5)
    with pytest.raises(AttributeError, match=r"loss_weight is fixed when the layer is made, got 10\.0; make another"):
        layer.loss_weight = 10.0
    assert layer.loss_weight == 0.5 and layer.get_config()["loss_weight"] == 0.5


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ((LABELS, FEATURES[:, :3]), ValueError, r"features must have feature_dim = 4 columns, got shape \(24, 3\)"),
        (
            (LABELS[:3], FEATURES),
            ValueError,
            r"features of shape \(N D\) must have N = 3, as labels has, got \(24, 4\)",
        ),
        ((LABELS + 3, FEATURES), ValueError, r"labels holds the label \d, but labels must be in \[0, 3\)"),
        ((LABELS * 1.0, FEATURES), TypeError, "labels must hold integer labels, got dtype .*float"),
    ],
)
def test_bad_input(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        made()(*given)


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

"""What an error advises, followed to the letter: the number that was asked for comes out, worked out beside it.

What refused ports advise is in `test_port_advice.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import multiloss
from multiloss.engine import registry

RNG = np.random.default_rng(7)
Z = RNG.normal(size=(4, 3))
SOFT = np.exp(RNG.normal(size=(4, 3)))
SOFT /= SOFT.sum(-1, keepdims=True)


def log_softmax(z: Any) -> Any:
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def raised(call: Any) -> str:
    """What the error says."""
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    return str(caught.value)


def get(name: str, **options: Any) -> Any:
    return multiloss.get(name, backend="numpy", **options)


DEFINITIONS = {name: registry.find(name) for name in multiloss.list_losses() if name not in registry.CENTER}
LABELLED = [name for name, definition in DEFINITIONS.items() if definition.has_labels]
LOGITS = [name for name, definition in DEFINITIONS.items() if "from_logits" in definition.options]


@pytest.mark.parametrize("name", LOGITS)
def test_logits(name: str) -> None:
    assert "pass from_logits=True" in raised(lambda: get(name)([0, 2, 1, 1] if name in LABELLED else SOFT, 5 * Z))
    p = 1 / (1 + np.exp(-Z)) if name.startswith("binary") else np.exp(log_softmax(Z))
    y_true = [0, 2, 1, 1] if name in LABELLED else SOFT
    np.testing.assert_allclose(get(name, from_logits=True)(y_true, Z), get(name)(y_true, p), rtol=1e-6)


def test_log_probabilities() -> None:
    """-(log 0.2 + log 0.5) / 2, of probabilities and of logits for them."""
    p, right = np.array([[0.2, 0.8], [0.5, 0.5]]), -(np.log(0.2) + np.log(0.5)) / 2
    for given in (p, np.log(3 * p) + 5):
        said = raised(lambda given=given: get("nll")([0, 1], given))
        assert "of logits, log_softmax gives them; of probabilities, log" in said
    assert get("nll")([0, 1], np.log(p)) == pytest.approx(right)
    assert get("nll")([0, 1], multiloss.log_softmax(np.log(3 * p) + 5)) == pytest.approx(right)


@pytest.mark.parametrize("name", [name for name, d in DEFINITIONS.items() if d.options.get("labels") == "+-1"])
def test_signs(name: str) -> None:
    bits, z = np.array([0.0, 1.0, 1.0]), np.array([0.5, 0.25, -2.0])
    said = raised(lambda: get(name)(bits, z))
    assert '2 * y - 1 makes them of 0 and 1, as does the option labels="01"' in said
    signs = np.array([-1.0, 1.0, 1.0])
    right = {"hinge": np.maximum(0, 1 - signs * z), "squared_hinge": np.maximum(0, 1 - signs * z) ** 2,
             "perceptron": np.maximum(0, -signs * z), "soft_margin": np.log1p(np.exp(-signs * z)),
             "hinge_embedding": np.where(bits == 1, z, np.maximum(0, 1 - z))}[name].mean()  # fmt: skip
    assert get(name)(2 * bits - 1, z) == pytest.approx(right)
    assert get(name, labels="01")(bits, z) == pytest.approx(right)


SUMMED = ["categorical_crossentropy", "categorical_focal_crossentropy", "poly_cross_entropy", "kl_divergence",
          "js_divergence", "wasserstein_1d", *(name for name in LABELLED if name in LOGITS)]  # fmt: skip


@pytest.mark.parametrize("name", SUMMED)
def test_sums(name: str) -> None:
    """What makes a sum 1 is an option of some, for predictions."""
    y_true = [0, 2, 1, 1] if name in LABELLED else SOFT[::-1].copy()
    loss, right = get(name, validate=True), get(name)(y_true, SOFT)
    said = raised(lambda: loss(y_true, SOFT / 2))
    np.testing.assert_allclose(loss(y_true, SOFT / 2 / (SOFT / 2).sum(-1, keepdims=True)), right)
    if "normalize" in DEFINITIONS[name].options:
        assert said.endswith("normalize=True divides by it")
        np.testing.assert_allclose(get(name, normalize=True)(y_true, SOFT / 2), right)
    else:
        assert said.endswith("; divide by it")
    if name not in LABELLED:
        assert raised(lambda: loss(SOFT / 2, SOFT)).endswith("; divide by it")


def test_sums_of_logarithms() -> None:
    z = np.log(SOFT / 2)
    assert raised(lambda: get("nll", validate=True)([0, 2, 1, 1], z)).endswith("log_softmax makes it 1")
    assert get("nll", validate=True)([0, 2, 1, 1], multiloss.log_softmax(z)) == pytest.approx(
        get("nll")([0, 2, 1, 1], np.log(SOFT))
    )
    said = raised(lambda: get("kl_divergence", validate=True, log_input=True)(SOFT, z))
    assert said.endswith("normalize=True divides by it")
    assert get("kl_divergence", log_input=True, normalize=True)(SOFT, z) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("name", LABELLED)
def test_labels(name: str) -> None:
    """Labels that stand for nothing, and one-hot targets."""
    options: dict[str, Any] = {"from_logits": True} if name in LOGITS else {}
    z, labels, hot = log_softmax(Z), np.array([0, -1, 1, 1]), np.eye(3, dtype=int)[[0, 2, 1, 1]]
    assert raised(lambda: get(name, **options)(labels, z)).endswith("pass ignore_index=-1")
    kept = np.array([0, 2, 3])
    assert get(name, ignore_index=-1, **options)(labels, z) == pytest.approx(
        get(name, **options)(labels[kept], z[kept])
    )
    said, right = raised(lambda: get(name, **options)(hot, z)), get(name, **options)([0, 2, 1, 1], z)
    if name.startswith("sparse_"):
        other = said.rpartition("for one-hot or soft targets there is ")[2].split()[0]
        assert get(other, **options)(hot, z) == pytest.approx(right)
    else:
        assert said.endswith("argmax over axis -1 makes labels of one-hot targets")
        assert get(name, **options)(hot.argmax(-1), z) == pytest.approx(right)


MASKED = ["arcface", "cosface", "sphereface", "proxy_nca", "proxy_anchor"]


@pytest.mark.parametrize("name", MASKED)
def test_labels_of_owners(name: str) -> None:
    labels, features, weight = np.array([0, -1, 1, 2]), RNG.normal(size=(4, 5)), RNG.normal(size=(3, 5))
    loss, keep = get(name), np.array([True, False, True, True])
    assert raised(lambda: loss(labels, features, weight)).endswith("to leave such samples out pass a mask")
    right = loss(labels[keep], features[keep], weight)
    assert loss(labels, features, weight, mask=keep) == pytest.approx(right)


@pytest.mark.parametrize("name", [name for name in dict.fromkeys(registry.CENTER.values()) if name != "ring"])
@pytest.mark.parametrize("grows", [True, False])
def test_labels_of_centers(name: str, grows: bool) -> None:
    labels, features, keep = np.array([0, -1, 1, 2]), RNG.normal(size=(4, 5)), np.array([True, False, True, True])
    loss, other = (get(name, seed=3, **({} if grows else {"num_classes": 3})) for _ in range(2))
    assert raised(lambda: loss(labels, features)).endswith("to leave such samples out pass a mask")
    assert loss(labels, features, mask=keep) == pytest.approx(other(labels[keep], features[keep]))
    np.testing.assert_allclose(loss.centers, other.centers)


def test_labels_of_sequences() -> None:
    labels, z = np.array([[1, 2, -1], [2, -1, -1]]), RNG.normal(size=(2, 6, 3))
    said = raised(lambda: get("ctc")(labels, z))
    assert said.endswith("pad with a class, such as 0, and pass label_lengths: the padding is not read then")
    right = [float(get("ctc")(labels[:1, :2], z[:1])), float(get("ctc")(labels[1:, :1], z[1:]))]
    padded = np.where(labels < 0, 0, labels)
    np.testing.assert_allclose(get("ctc", reduction="none")(padded, z, label_lengths=[2, 1]), right)
    keras = get("keras.ctc", reduction="none")
    assert raised(lambda: keras(labels, z)).endswith("pad with 0, which is no label here")
    np.testing.assert_allclose(keras(padded, z), right)


def test_shapes() -> None:
    """A trailing axis of 1, and weights of the elements of one sample."""
    y_true, y_pred = np.array([1.0, 2.0, 3.0]), np.array([[1.0], [1.0], [1.0]])
    said = raised(lambda: get("mse")(y_true, y_pred))
    assert "add or drop the trailing axis of 1" in said
    assert get("mse")(y_true[:, None], y_pred) == get("mse")(y_true, y_pred[:, 0]) == pytest.approx(5 / 3)
    weight = np.array([1.0, 2.0, 3.0])
    assert "pass axis=() to make every element a value of its own" in raised(
        lambda: get("mse")(y_true, np.ones(3), sample_weight=weight)
    )
    assert get("mse", axis=())(y_true, np.ones(3), sample_weight=weight) == pytest.approx((0 + 2 + 12) / 3)


@pytest.mark.parametrize("name", [name for name, definition in DEFINITIONS.items() if definition.whole_batch])
def test_a_mask_for_a_whole_batch(name: str) -> None:
    keep = np.array([True, True, False, True])
    if name == "lovasz_softmax":
        arrays: list[Any] = [np.array([[0, 1], [2, 1], [0, 0], [1, 2]]), np.stack([SOFT, SOFT[::-1]], 1)]
        keep = np.broadcast_to(keep[:, None], (4, 2))
    elif name == "proxy_anchor":
        arrays = [np.array([0, 1, 1, 0]), RNG.normal(size=(4, 5))]
    else:
        arrays = [RNG.normal(size=(4, 3)), RNG.normal(size=(4, 3))]
    more = [RNG.normal(size=(2, 5))] if name == "proxy_anchor" else []
    loss = get(name)
    said = raised(lambda: loss(*arrays, *more, sample_weight=np.ones(keep.shape)))
    assert "a mask may leave samples out" in said
    rows = keep[:, 0] if keep.ndim == 2 else keep
    assert loss(*arrays, *more, mask=keep) == pytest.approx(loss(*(x[rows] for x in arrays), *more))


def test_masked_arrays() -> None:
    y_true = np.ma.masked_array([[1.0], [2.0], [9.0]], mask=[[False], [False], [True]])
    y_pred = np.ones((3, 1))
    assert "as mask= which samples to keep (True keeps)" in raised(lambda: get("mse")(y_true, y_pred))
    assert get("mse")(y_true.data, y_pred, mask=~y_true.mask[:, 0]) == 0.5


FOREIGN = [
    ("scce", "ignore_class", "ignore_index"), ("bce", "eps", "epsilon"), ("scce", "smoothing", "label_smoothing"),
    ("mse", "dim", "axis"), ("mse", "size_average", "reduction"), ("scce", "weight", "class_weight, or sample_weight"),
    ("mse", "weight", "sample_weight, given to the call"), ("mse", "where", "mask, given to the call"),
    ("mse", "ignore_class", None), ("mse", "eps", None), ("mse", "smoothing", None), ("arcface", "dim", None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "option", "here"), FOREIGN)
def test_options_of_other_libraries(name: str, option: str, here: str | None) -> None:
    """LossObject where the loss has it."""
    said = raised(lambda: get(name, **{option: 1}))
    assert (f"; what you mean is called {here}" in said) if here else ("what you mean" not in said)
    if here is not None and "given" not in here and "or" not in here.split():
        assert here in get(name).config()

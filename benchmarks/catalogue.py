"""The losses of the catalogue that another library has, too: their inputs, and the libraries' own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Rng = np.random.Generator

PAIRS = ((32, 10), (256, 128), (1024, 128))
"""Of losses that compare all samples of a batch."""
SEQUENCES = ((8, 30), (32, 100))
"""Of ctc: sequences and letters; 50 frames, 10 letters each."""


@dataclass(frozen=True)
class Row:
    """One loss: its inputs in its own order, its options, and the written forms of the others that are the same.

    A call of the others takes the inputs in the order that `order` names ("10": the second, then the first).
    """

    name: str
    inputs: Callable[[Rng, int, int], tuple[Array, ...]]
    others: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    sizes: tuple[tuple[int, int], ...] = ((32, 10), (256, 1000), (4096, 1000))
    key: str = ""


def _real(rng: Rng, n: int, c: int) -> tuple[Array, ...]:
    return rng.normal(size=(n, c)), rng.normal(size=(n, c))


def _positive(rng: Rng, n: int, c: int) -> tuple[Array, ...]:
    return rng.poisson(2.0, size=(n, c)).astype(float), np.exp(rng.normal(size=(n, c)))


def _counts(rng: Rng, n: int, c: int) -> tuple[Array, ...]:
    return rng.poisson(2.0, size=(n, c)).astype(float), rng.normal(size=(n, c))


def _signs(rng: Rng, n: int, c: int) -> tuple[Array, ...]:
    return np.where(rng.random((n, c)) < 0.5, 1.0, -1.0), rng.normal(size=(n, c))


def _bits(rng: Rng, n: int, c: int) -> tuple[Array, ...]:
    return (rng.random((n, c)) < 0.5).astype(float), rng.normal(size=(n, c))


def _labels(rng: Rng, n: int, c: int) -> tuple[Array, ...]:
    return rng.integers(0, c, n), rng.normal(size=(n, c))


def _log_chances(rng: Rng, n: int, c: int) -> tuple[Array, ...]:
    x = rng.normal(size=(n, c))
    return rng.integers(0, c, n), x - np.log(np.exp(x).sum(-1, keepdims=True))


def _label_chances(rng: Rng, n: int, c: int) -> tuple[Array, ...]:
    labels, log_p = _log_chances(rng, n, c)
    return labels, np.exp(log_p)


def _one_hot(rng: Rng, n: int, c: int) -> tuple[Array, ...]:
    return np.eye(c)[rng.integers(0, c, n)], rng.normal(size=(n, c))


def _sets(rng: Rng, n: int, c: int) -> tuple[Array, ...]:
    sets = np.full((n, c), -1)
    sets[:, :3] = np.argsort(rng.random((n, c)), -1)[:, :3]
    return sets, rng.normal(size=(n, c))


def _masks(rng: Rng, n: int, c: int) -> tuple[Array, ...]:
    return (rng.random((n, c)) < 0.5).astype(float), rng.random((n, c))


def _variances(rng: Rng, n: int, c: int) -> tuple[Array, ...]:
    return *_real(rng, n, c), np.exp(rng.normal(size=(n, c)))


def _ranked(rng: Rng, n: int, c: int) -> tuple[Array, ...]:
    signs = np.where(rng.random(n * c) < 0.5, 1.0, -1.0)
    return signs, rng.normal(size=n * c), rng.normal(size=n * c)


def _paired(rng: Rng, n: int, c: int) -> tuple[Array, ...]:
    return np.where(rng.random(n) < 0.5, 1.0, -1.0), *_real(rng, n, c)


def _triplets(rng: Rng, n: int, c: int) -> tuple[Array, ...]:
    return *_real(rng, n, c), rng.normal(size=(n, c))


def _embedded(rng: Rng, n: int, c: int) -> tuple[Array, ...]:
    features = rng.normal(size=(n, c))
    return np.arange(n) // 2, features / np.linalg.norm(features, axis=-1, keepdims=True)


def _sequences(rng: Rng, n: int, c: int) -> tuple[Array, ...]:
    return rng.integers(1, c, (n, 10)), rng.normal(size=(n, 50, c))


_KERAS = {"from_logits": True}
ROWS = {
    row.key or row.name: row
    for row in (
        Row("smooth_l1", _real, {"torch": ("smooth_l1_loss", "10", {})}),
        Row("poisson", _positive,
            {"torch": ("poisson_nll_loss", "10", {"log_input": False, "eps": 1e-7}), "keras": ("Poisson", {})}),
        Row("poisson_nll", _counts, {"torch": ("poisson_nll_loss", "10", {})}),
        Row("gaussian_nll", _variances, {"torch": ("gaussian_nll_loss", "102", {})}),
        Row("hinge", _signs, {"optax": ("hinge_loss", "10", {}), "keras": ("Hinge", {})}),
        Row("squared_hinge", _signs, {"keras": ("SquaredHinge", {})}),
        Row("perceptron", _signs, {"optax": ("perceptron_loss", "10", {})}),
        Row("soft_margin", _signs, {"torch": ("soft_margin_loss", "10", {})}),
        Row("hinge_embedding", _signs, {"torch": ("hinge_embedding_loss", "10", {})}, {"axis": ()}),
        Row("multilabel_soft_margin", _bits, {"torch": ("multilabel_soft_margin_loss", "10", {})}),
        Row("binary_focal_crossentropy", _bits,
            {"optax": ("sigmoid_focal_loss", "10", {}), "keras": ("BinaryFocalCrossentropy", _KERAS)}, _KERAS),
        Row("categorical_focal_crossentropy", _one_hot,
            {"keras": ("CategoricalFocalCrossentropy", _KERAS)}, {"alpha": 0.25, **_KERAS}),
        Row("poly_cross_entropy", _one_hot, {"optax": ("poly_loss_cross_entropy", "10", {})}, _KERAS),
        Row("generalized_cross_entropy", _label_chances,
            {"keras": ("CategoricalGeneralizedCrossEntropy", {"q": 0.5})}, {"q": 0.5}),
        Row("categorical_hinge", _one_hot, {"keras": ("CategoricalHinge", {})}, {"keras": True}),
        Row("multiclass_hinge", _labels, {"optax": ("multiclass_hinge_loss", "10", {})}),
        Row("multiclass_perceptron", _labels, {"optax": ("multiclass_perceptron_loss", "10", {})}),
        Row("sparsemax", _labels, {"optax": ("multiclass_sparsemax_loss", "10", {})}),
        Row("nll", _log_chances, {"torch": ("nll_loss", "10", {})}),
        Row("multi_margin", _labels, {"torch": ("multi_margin_loss", "10", {})}),
        Row("multilabel_margin", _sets, {"torch": ("multilabel_margin_loss", "10", {})}, sizes=PAIRS),
        Row("cosine_similarity", _real,
            {"optax": ("cosine_similarity", "10", {}), "keras": ("CosineSimilarity", {})}),
        Row("dice", _masks, {"keras": ("Dice", {})}, {"axis": None}),
        Row("tversky", _masks, {"keras": ("Tversky", {})}, {"axis": None}),
        Row("margin_ranking", _ranked, {"torch": ("margin_ranking_loss", "120", {})}),
        Row("cosine_embedding", _paired, {"torch": ("cosine_embedding_loss", "120", {})}),
        Row("triplet_margin", _triplets,
            {"torch": ("triplet_margin_loss", "012", {}), "optax": ("triplet_margin_loss", "012", {})}),
        Row("ntxent", _embedded, {"optax": ("ntxent", "10", {})}, sizes=PAIRS),
        Row("circle", _embedded, {"keras": ("Circle", {})}, sizes=PAIRS),
        Row("supervised_contrastive", _embedded, sizes=PAIRS),
        Row("triplet", _embedded, sizes=PAIRS),
        Row("multi_similarity", _embedded, sizes=PAIRS),
        Row("ctc", _sequences, {"torch": ("ctc_loss", "", {}), "optax": ("ctc_loss", "", {}), "keras": ("CTC", {})},
            sizes=SEQUENCES),
    )
}  # fmt: skip


def inputs(row: Row, size: tuple[int, int], seed: int = 0) -> list[Array]:
    """Real numbers in float32, integers as they are."""
    arrays = row.inputs(np.random.default_rng(seed), *size)
    return [x.astype(np.float32) if x.dtype.kind == "f" else x for x in arrays]


def keras_loss(row: Row) -> Callable[..., Any] | None:
    """Keras' own object."""
    if "keras" not in row.others:
        return None
    import keras

    name, options = row.others["keras"]
    made: Callable[..., Any] = getattr(keras.losses, name)(**options)
    return made


def own_loss(row: Row, backend: str) -> tuple[str, Callable[..., Any] | None]:
    """The framework's own loss, as a function of the inputs in our order."""
    library = {"torch": "torch", "jax": "optax"}.get(backend, "")
    if library not in row.others:
        return "-", None
    name, order, options = row.others[library]
    if row.name == "ctc":
        return name, _torch_ctc if library == "torch" else _optax_ctc
    if library == "torch":
        import torch.nn.functional

        function = getattr(torch.nn.functional, name)
        return name, lambda *x: function(*(x[int(i)] for i in order), **options)
    import optax

    function = getattr(optax.losses, name)
    return name, lambda *x: function(*(x[int(i)] for i in order), **options).mean()


def _torch_ctc(y: Any, p: Any) -> Any:
    import torch

    n, t = p.shape[:2]
    log_p = torch.log_softmax(p, -1).transpose(0, 1)
    full, long = torch.full((n,), t), torch.full((n,), y.shape[1])
    return torch.nn.functional.ctc_loss(log_p, y, full, long, reduction="sum") / n


def _optax_ctc(y: Any, p: Any) -> Any:
    import jax.numpy as jnp
    import optax

    return optax.losses.ctc_loss(p, jnp.zeros(p.shape[:2]), y, jnp.zeros(y.shape)).mean()

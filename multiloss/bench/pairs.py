"""The one table of what is timed: each loss here, and the losses of other libraries that are the same."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from multiloss import catalogue
from multiloss.bench import arrays
from multiloss.bench.arrays import Array
from multiloss.comparing import samples

Inputs = Callable[[np.random.Generator, int, int], tuple[Array, ...]]
Size = tuple[int, int]

SIZES = ((32, 10), (256, 1000), (4096, 1000))
OF_PAIRS = ((32, 10), (256, 128), (1024, 128))
"""Of losses that compare all samples of a batch."""
OF_SEQUENCES = ((8, 30), (32, 100))
"""Of ctc: sequences and letters."""


@dataclass(frozen=True)
class Row:
    """One loss with its options: the name of this row, its inputs, and what is the same elsewhere.

    `others` maps a library to its function, the order of the inputs in a call of it ("10": the second, then the first;
    "L": the logarithm of the second, which is kept from 0), and its options; "keras" to a class and its options.
    """

    name: str
    inputs: Inputs
    others: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    sizes: tuple[Size, ...] = SIZES
    key: str = ""


_LOGITS = {"from_logits": True}
_MEAN = {"log_input": False, "eps": 1e-7}


def _keras(name: str, **options: Any) -> dict[str, Any]:
    return {"keras": (name, options)}


CORE = tuple(
    Row(name, inputs, others, options, key=key)
    for key, name, inputs, options, others in (
        ("mse", "mean_squared_error", arrays.real, {},
            {"torch": ("mse_loss", "10", {}), "optax": ("squared_error", "10", {}), **_keras("MeanSquaredError")}),
        ("mae", "mean_absolute_error", arrays.real, {},
            {"torch": ("l1_loss", "10", {}), **_keras("MeanAbsoluteError")}),
        ("mape", "mean_absolute_percentage_error", arrays.positive, {}, _keras("MeanAbsolutePercentageError")),
        ("msle", "mean_squared_logarithmic_error", arrays.positive, {}, _keras("MeanSquaredLogarithmicError")),
        ("rmse", "root_mean_squared_error", arrays.real, {}, {}),
        ("rmsle", "root_mean_squared_logarithmic_error", arrays.positive, {}, {}),
        ("log_cosh", "log_cosh", arrays.real, {}, {"optax": ("log_cosh", "10", {}), **_keras("LogCosh")}),
        ("huber", "huber", arrays.real, {},
            {"torch": ("huber_loss", "10", {}), "optax": ("huber_loss", "10", {}), **_keras("Huber")}),
        ("kl", "kl_divergence", arrays.distributions, {},
            {"torch": ("kl_div", "L0", {"reduction": "batchmean"}), "optax": ("kl_divergence", "L0", {}),
             **_keras("KLDivergence")}),
        ("cce", "categorical_crossentropy", arrays.distributions, {}, _keras("CategoricalCrossentropy")),
        ("cce_logits", "categorical_crossentropy", arrays.distribution_logits, _LOGITS,
            {"torch": ("cross_entropy", "10", {}), "optax": ("softmax_cross_entropy", "10", {}),
             "tensorflow": ("softmax_cross_entropy_with_logits", "01", {}),
             **_keras("CategoricalCrossentropy", from_logits=True)}),
        ("scce", "sparse_categorical_crossentropy", arrays.labels, {},
            {"torch": ("nll_loss", "L0", {}), **_keras("SparseCategoricalCrossentropy")}),
        ("scce_logits", "sparse_categorical_crossentropy", arrays.label_logits, _LOGITS,
            {"torch": ("cross_entropy", "10", {}), "optax": ("softmax_cross_entropy_with_integer_labels", "10", {}),
             "tensorflow": ("sparse_softmax_cross_entropy_with_logits", "01", {}),
             **_keras("SparseCategoricalCrossentropy", from_logits=True)}),
        ("bce", "binary_crossentropy", arrays.bits, {},
            {"torch": ("binary_cross_entropy", "10", {}), **_keras("BinaryCrossentropy")}),
        ("bce_logits", "binary_crossentropy", arrays.bit_logits, _LOGITS,
            {"torch": ("binary_cross_entropy_with_logits", "10", {}),
             "optax": ("sigmoid_binary_cross_entropy", "10", {}),
             "tensorflow": ("sigmoid_cross_entropy_with_logits", "01", {}),
             **_keras("BinaryCrossentropy", from_logits=True)}),
    )
)  # fmt: skip
"""What is timed if no loss is named."""

CATALOGUE = (
    Row("smooth_l1", arrays.real, {"torch": ("smooth_l1_loss", "10", {})}),
    Row("poisson", arrays.rates, {"torch": ("poisson_nll_loss", "10", _MEAN), **_keras("Poisson")}),
    Row("poisson_nll", arrays.log_rates, {"torch": ("poisson_nll_loss", "10", {})}),
    Row("gaussian_nll", arrays.variances, {"torch": ("gaussian_nll_loss", "102", {})}),
    Row("hinge", arrays.signs, {"optax": ("hinge_loss", "10", {}), **_keras("Hinge")}),
    Row("squared_hinge", arrays.signs, _keras("SquaredHinge")),
    Row("perceptron", arrays.signs, {"optax": ("perceptron_loss", "10", {})}),
    Row("soft_margin", arrays.signs, {"torch": ("soft_margin_loss", "10", {})}),
    Row("hinge_embedding", arrays.signs, {"torch": ("hinge_embedding_loss", "10", {})}, {"axis": ()}),
    Row("multilabel_soft_margin", arrays.bit_logits, {"torch": ("multilabel_soft_margin_loss", "10", {})}),
    Row("binary_focal_crossentropy", arrays.bit_logits,
        {"optax": ("sigmoid_focal_loss", "10", {}), **_keras("BinaryFocalCrossentropy", from_logits=True)}, _LOGITS),
    Row("categorical_focal_crossentropy", arrays.one_hot,
        _keras("CategoricalFocalCrossentropy", from_logits=True), {"alpha": 0.25, **_LOGITS}),
    Row("poly_cross_entropy", arrays.one_hot, {"optax": ("poly_loss_cross_entropy", "10", {})}, _LOGITS),
    Row("generalized_cross_entropy", arrays.labels, _keras("CategoricalGeneralizedCrossEntropy", q=0.5), {"q": 0.5}),
    Row("categorical_hinge", arrays.one_hot, _keras("CategoricalHinge"), {"keras": True}),
    Row("multiclass_hinge", arrays.label_logits, {"optax": ("multiclass_hinge_loss", "10", {})}),
    Row("multiclass_perceptron", arrays.label_logits, {"optax": ("multiclass_perceptron_loss", "10", {})}),
    Row("sparsemax", arrays.label_logits, {"optax": ("multiclass_sparsemax_loss", "10", {})}),
    Row("nll", arrays.label_logarithms, {"torch": ("nll_loss", "10", {})}),
    Row("multi_margin", arrays.label_logits, {"torch": ("multi_margin_loss", "10", {})}),
    Row("multilabel_margin", arrays.label_sets, {"torch": ("multilabel_margin_loss", "10", {})}, sizes=OF_PAIRS),
    Row("cosine_similarity", arrays.real, _keras("CosineSimilarity")),
    Row("cosine_distance", arrays.real, {"optax": ("cosine_distance", "10", {})}),
    Row("dice", arrays.masks, _keras("Dice"), {"axis": None}),
    Row("tversky", arrays.masks, _keras("Tversky"), {"axis": None}),
    Row("margin_ranking", arrays.ordered, {"torch": ("margin_ranking_loss", "120", {})}),
    Row("cosine_embedding", arrays.pairs, {"torch": ("cosine_embedding_loss", "120", {})}),
    Row("triplet_margin", arrays.triplets,
        {"torch": ("triplet_margin_loss", "012", {}), "optax": ("triplet_margin_loss", "012", {})}),
    Row("ntxent", arrays.features, {"optax": ("ntxent", "10", {})}, sizes=OF_PAIRS),
    Row("circle", arrays.features, _keras("Circle"), sizes=OF_PAIRS),
    *(Row(name, arrays.features, sizes=OF_PAIRS) for name in ("supervised_contrastive", "triplet", "multi_similarity")),
    Row("ctc", arrays.sequences,
        {"torch": ("ctc_loss", "ctc", {}), "optax": ("ctc_loss", "ctc", {}), **_keras("CTC")}, sizes=OF_SEQUENCES),
    *(Row(name, arrays.weighted) for name in
        ("arcface", "cosface", "sphereface", "linear_cross_entropy", "proxy_nca", "proxy_anchor")),
    *(Row(name, arrays.real, sizes=OF_PAIRS) for name in ("info_nce", "barlow_twins", "vicreg")),
    Row("contrastive", arrays.similar),
    Row("crps", arrays.ensembles),
    Row("lovasz_softmax", arrays.labels),
)  # fmt: skip
ROWS = {row.key or row.name: row for row in (*CORE, *CATALOGUE)}


def row_of(name: str, options: Mapping[str, Any] | None = None) -> tuple[str, Row]:
    """The row of a loss with these options, and how it is called; of a loss that no other library has a new one.

    Args:
        name: of a row (`bce_logits`), of a loss, or an alias.
        options: of the loss.

    Raises:
        ValueError: there is no such loss, or it holds centers.
    """
    given = dict(options or {})
    if name in ROWS and not given:
        return name, ROWS[name]
    definition = catalogue.definition(name)
    if definition.table is not None:
        raise ValueError(f"{definition.name} loss holds centers, and bench times losses without a state only")
    rows = [(key, row) for key, row in ROWS.items() if row.name == definition.name]
    for key, row in rows:
        if given == dict(row.options) or (not given and key == rows[0][0]):
            return key, row
    label = definition.name + "".join(f",{key}={value}" for key, value in given.items())
    if rows:  # other options: the same arrays, unless they are to be logits, and no peers
        likest = next((row for _, row in rows if _is_from_logits(row.options) == _is_from_logits(given)), rows[0][1])
        return label, Row(definition.name, likest.inputs, {}, given, likest.sizes)
    return label, Row(definition.name, _made_for(definition, given), {}, given)


def _is_from_logits(options: Mapping[str, Any]) -> bool:
    return bool(options.get("from_logits"))


def _made_for(definition: Any, options: Mapping[str, Any]) -> Inputs:
    """Arrays that a loss of (y_true, y_pred) takes."""

    def make(rng: np.random.Generator, n: int, c: int) -> tuple[Array, ...]:
        _, found = next(samples.candidates([(definition, options)], 0, (n, c)))
        return tuple(found.values())

    return make


def inputs(row: Row, size: Size, seed: int = 0) -> list[Array]:
    """The arrays of a row: real numbers in float32, integers as they are."""
    made = row.inputs(np.random.default_rng(seed), *size)
    return [x.astype(np.float32) if x.dtype.kind == "f" else x for x in made]


def keras_loss(row: Row) -> Callable[..., Any] | None:
    """Keras' own object; None if it has none, or is not installed."""
    if "keras" not in row.others or importlib.util.find_spec("keras") is None:
        return None
    import keras

    name, options = row.others["keras"]
    made: Callable[..., Any] = getattr(keras.losses, name)(**options)
    return made


def own_loss(row: Row, framework: Any) -> tuple[str, Callable[..., Any] | None]:
    """The framework's own loss as a function of the inputs in our order; without one, the operations that a user would
    write ("ops"); None where neither is known.

    Args:
        row: of the table.
        framework: the module of this folder.
    """
    if framework.LIBRARY in row.others:
        name, order, options = row.others[framework.LIBRARY]
        if order == "ctc":
            return name, framework.ctc
        function = framework.function(name, options)
        if function is not None:
            return name, lambda *x: function(*(framework.log(x[1]) if i == "L" else x[int(i)] for i in order))
    operations = framework.OPERATIONS.get(next((key for key, one in ROWS.items() if one is row), ""))
    return ("-", None) if operations is None else ("ops", operations)

"""What making a loss with a wrong name or option gets, on every backend: each test reads the message."""

from typing import Any

import pytest

import multiloss
from helpers.errors import says
from reference.losses import SPARSE

BOUNDED = ("binary_crossentropy", "categorical_crossentropy", SPARSE)  # those with from_logits


# --- making a loss: (name, options, error, what its message says)

WRONG_MAKING: list[tuple[str, dict[str, Any], type[Exception], tuple[str, ...]]] = [
    ("hubber", {}, ValueError, ("unknown loss 'hubber'", "huber")),
    ("mean_sqaured_error", {}, ValueError, ("unknown loss", "mean_squared_error")),
    ("zzzz", {}, ValueError, ("unknown loss 'zzzz'", "list_losses")),
    *[
        (name, {}, ValueError, (repr(name), "categorical_crossentropy", "sparse_", "binary_crossentropy"))
        for name in ("cross_entropy", "crossentropy", "log_loss")
    ],
    ("huber", {"delt": 1.0}, TypeError, ("huber has no option 'delt'", "'delta'", "delta, reduction, axis, validate")),
    ("mse", {"delta": 1.0}, TypeError, ("mean_squared_error has no option 'delta'", "reduction, axis, validate")),
    (SPARSE, {"ignore_class": 1}, TypeError, ("ignore_class", "ignore_index here", "class_weight")),
    ("mse", {"where": 1}, TypeError, ("'where'", "mask, given to the call")),
    ("mse", {"size_average": True}, TypeError, ("'size_average'", "reduction here")),
    ("pos_weight", {}, ValueError, ("no loss, but an option of binary_crossentropy",)),
    ("fenchel_young", {}, ValueError, ("no loss, but a function of a function", "multiloss.fenchel_young(")),
    ("mse", {"reduce": True}, TypeError, ("'reduce'", "reduction here")),
    ("mse", {"sample_weight": 1}, TypeError, ("'sample_weight'", "given to the call")),
    (
        "mse",
        {"reduction": "avg"},
        ValueError,
        ("reduction", "'mean', 'weighted_mean', 'sum', 'batchmean', 'none'", "'avg'"),
    ),
    ("mse", {"reduction": "sum_over_batch_size"}, ValueError, ("reduction", "'mean' here")),
    ("mse", {"reduction": "mean_with_sample_weight"}, ValueError, ("reduction", "'weighted_mean' here")),
    ("mse", {"reduction": None}, ValueError, ("reduction", "None", "'none' here")),
    ("mse", {"axis": 0.5}, TypeError, ("axis must be an integer", "0.5")),
    ("mse", {"axis": (0, 0)}, ValueError, ("axis", "twice")),
    (SPARSE, {"axis": (0, 1)}, TypeError, ("axis must be one integer",)),
    ("mse", {"validate": "yes"}, TypeError, ("validate", "True or False", "'yes'")),
    ("huber", {"delta": 0}, ValueError, ("delta must be positive", "0")),
    ("huber", {"delta": -1.0}, ValueError, ("delta must be positive", "-1")),
    ("huber", {"delta": float("nan")}, ValueError, ("delta must be finite",)),
    ("huber", {"delta": "1"}, TypeError, ("delta must be a number", "'1'")),
    ("huber", {"delta": [1.0, 2.0]}, TypeError, ("delta must be a number",)),
    ("mape", {"epsilon": -1.0}, ValueError, ("epsilon", "-1")),
    ("quantile", {"q": 1.5}, ValueError, ("q",)),
    ("tweedie", {"power": 2.0}, ValueError, ("power",)),
    ("tweedie", {"power": 1.0}, ValueError, ("power",)),
    ("charbonnier", {"epsilon": 0}, ValueError, ("epsilon",)),
    ("smooth_l1", {"beta": -1.0}, ValueError, ("beta",)),
    ("js_divergence", {"epsilon": 0.5}, ValueError, ("epsilon",)),
    ("wasserstein_1d", {"positions": [0.0, 1.0, 1.0]}, ValueError, ("positions must be increasing",)),
    *[(name, {"epsilon": 0.5}, ValueError, ("epsilon", "[0, 0.5)", "0.5")) for name in (*BOUNDED, "kl")],
    *[(name, {"epsilon": -1e-9}, ValueError, ("epsilon", "[0, 0.5)", "-1e-09")) for name in (*BOUNDED, "kl")],
    *[(name, {"label_smoothing": 1.1}, ValueError, ("label_smoothing", "[0, 1]", "1.1")) for name in BOUNDED],
    *[(name, {"label_smoothing": -0.1}, ValueError, ("label_smoothing", "[0, 1]", "-0.1")) for name in BOUNDED],
    *[(name, {"from_logits": "no"}, TypeError, ("from_logits", "True or False", "'no'")) for name in BOUNDED],
    ("cce", {"class_weight": []}, ValueError, ("class_weight", "empty")),
    ("cce", {"class_weight": 3.0}, TypeError, ("class_weight must be a list of numbers",)),
    ("cce", {"class_weight": [1.0, float("inf")]}, ValueError, ("class_weight[1] must be finite",)),
    (SPARSE, {"ignore_index": 1.5}, TypeError, ("ignore_index must be an integer", "1.5")),
    (SPARSE, {"ignore_index": True}, TypeError, ("ignore_index must be an integer", "True")),
]


@pytest.mark.parametrize(("name", "options", "error", "parts"), WRONG_MAKING)
def test_making_a_loss(backend: str, name: str, options: Any, error: type[Exception], parts: tuple[str, ...]) -> None:
    for chosen in (backend, None):
        with says(error, *parts):
            multiloss.get(name, backend=chosen, **options)


def test_names_that_are_no_strings(backend: str) -> None:
    with says(TypeError, "name must be a string", "int"):
        multiloss.get(3, backend=backend)  # type: ignore[arg-type]
    with says(ValueError, "unknown backend 'pytorch'", "did you mean torch?", backend):
        multiloss.get("mse", backend="pytorch")
    with says(TypeError, "backend must be one of", "int"):
        multiloss.get("mse", backend=3)  # type: ignore[arg-type]

"""Values outside a loss's domain: refused at the first call of each object, by name, with what would be right."""

import re
from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import dtypes, native_grad, to_native
from helpers.calls import good
from reference.losses import LOSSES, SPARSE

BOUNDED = ("binary_crossentropy", "categorical_crossentropy", SPARSE)  # those with from_logits
LOGITS = "y_pred must hold probabilities in [0, 1].*{}.*from_logits=True"
CHANCES = "{} must hold probabilities in [0, 1].*{}"
OUTSIDE: list[tuple[str, dict[str, Any], str, float, str]] = [
    # loss, options, which input holds what, and what the message says
    *[(name, {}, "y_pred", value, LOGITS.format(value)) for name in BOUNDED for value in (1.5, -2)],
    ("kl_divergence", {}, "y_pred", 1.5, CHANCES.format("y_pred", 1.5)),
    ("kl_divergence", {}, "y_true", -0.5, CHANCES.format("y_true", -0.5)),
    ("categorical_crossentropy", {}, "y_true", 2, CHANCES.format("y_true", 2)),
    ("binary_crossentropy", {}, "y_true", -1, CHANCES.format("y_true", -1)),
    ("mean_squared_logarithmic_error", {}, "y_pred", -1, "y_pred must hold values above -1.*-1"),
    ("root_mean_squared_logarithmic_error", {}, "y_true", -3, "y_true must hold values above -1.*-3"),
    *[(name, {}, "y_true", 0, 'y_true must hold the targets -1 and 1, got 0; .*labels="01"')
      for name in ("hinge", "squared_hinge", "perceptron", "soft_margin", "hinge_embedding")],
    ("hinge", {"labels": "01"}, "y_true", -1, "y_true must hold the targets 0 and 1, got -1"),
    ("margin_ranking", {}, "y_true", 0, "y_true must hold the targets -1 and 1, got 0; 2 * y - 1 makes them"),
    ("gaussian_nll", {}, "var", 0, "var must hold values above 0, got 0"),
    ("nll", {}, "y_pred", 0.5, "y_pred must hold log-probabilities.*log_softmax"),
    ("poisson", {}, "y_pred", -1, "y_pred must hold"),
    ("poisson_nll", {}, "y_true", -1, "y_true must hold"),
    ("tweedie", {}, "y_pred", 0, "y_pred must hold"),
    ("kl_divergence", {"log_input": True}, "y_pred", 0.5, "y_pred must hold"),
    ("kl_divergence", {"log_input": True, "log_target": True}, "y_true", 0.5, "y_true must hold"),
    ("generalized_kl_divergence", {}, "y_pred", -0.7, "y_pred must hold"),
    ("js_divergence", {}, "y_pred", 1.5, "y_pred must hold"),
]  # fmt: skip


def pattern(said: str) -> str:
    return ".*".join(map(re.escape, said.split(".*")))


def inputs_inside(name: str, options: dict[str, Any]) -> dict[str, np.ndarray]:
    found = {key: x if x.dtype.kind == "i" else x.astype(np.float32) for key, x in good(name).items()}
    if options.get("labels") == "01":
        found["y_true"] = (found["y_true"] + 1) / 2
    for key, option in (("y_pred", "log_input"), ("y_true", "log_target")):
        found[key] = np.log(found[key]) if options.get(option) else found.get(key, np.zeros(1))
    if name == "nll":
        found["y_pred"] = multiloss.log_softmax(found["y_pred"])
    return {key: x for key, x in found.items() if key in good(name)}


@pytest.mark.reads
@pytest.mark.filterwarnings("ignore:.*absolute value.*")
@pytest.mark.parametrize(("name", "options", "argument", "value", "said"), OUTSIDE)
def test_values_outside_are_refused_at_the_first_call_or_at_each(
    backend: str, name: str, options: dict[str, Any], argument: str, value: float, said: str
) -> None:
    inside = inputs_inside(name, options)
    changed = inside[argument].copy()
    changed.reshape(-1)[1] = value
    fine, outside = ({key: to_native(backend, x) for key, x in given.items()}
                     for given in (inside, inside | {argument: changed}))  # fmt: skip
    for _ in range(2):  # each object anew
        with pytest.raises(ValueError, match=pattern(said)):
            multiloss.get(name, backend=backend, **options)(**outside)
    loss = multiloss.get(name, backend=backend, **options)
    loss(**fine)
    loss(**outside)
    if backend in ("torch", "tensorflow", "jax") and argument == "y_true" and "y_pred" in fine:
        weight = to_native(backend, np.ones(len(changed)))  # the targets can be read while the other is traced
        for more in ({}, {"sample_weight": weight}):
            native_grad(backend, lambda p, more=more: loss(outside["y_true"], p, **more), fine["y_pred"])
    multiloss.get(name, backend=backend, validate=False, **options)(**outside)
    strict = multiloss.get(name, backend=backend, validate=True, **options)
    strict(**fine)
    with pytest.raises(ValueError, match=pattern(said)):
        strict(**outside)
    if argument == "y_pred" and name in BOUNDED:
        multiloss.get(name, backend=backend, from_logits=True)(**outside)


@pytest.mark.reads
def test_lists_of_numbers_that_do_not_fit(backend: str) -> None:
    scores, chances = to_native(backend, np.zeros((1, 4))), to_native(backend, np.full((2, 3), 1 / 3))
    with pytest.raises(ValueError, match=r"y_true holds the label 4, but must hold class numbers in \[0, 4\)"):
        multiloss.get("multilabel_margin", backend=backend)(to_native(backend, np.array([[1, 4, -1, -1]])), scores)
    for name, option, said in (
        ("categorical_focal_crossentropy", "alpha", "alpha must hold one weight per class, 3, got 2"),
        ("categorical_crossentropy", "class_weight", "class_weight must hold one weight per class, 3, got 2"),
        ("wasserstein_1d", "positions", "positions must be one for each outcome"),
    ):
        with pytest.raises(ValueError, match=said):
            multiloss.get(name, backend=backend, **{option: [1.0, 2.0]})(chances, chances)


@pytest.mark.parametrize("name", LOSSES)
def test_masked_values_and_nan_are_inside_any_domain(backend: str, name: str) -> None:
    given = inputs_inside(name, {})
    given["y_pred"][1] = -7.0
    given["y_pred"][0, 0] = np.nan
    arrays = {key: to_native(backend, x) for key, x in given.items()}
    multiloss.get(name, backend=backend)(**arrays, mask=to_native(backend, np.arange(4) != 1))


@pytest.mark.reads
@pytest.mark.parametrize("name", ["categorical_crossentropy", "kl_divergence", SPARSE])
def test_validate_reads_the_sums_that_count(backend: str, name: str) -> None:
    y_pred = to_native(backend, np.array([[0.5, 0.25, 0.25], [0.5, 0.1, 0.1]], np.float32))
    y_true = np.zeros(2, int) if name == SPARSE else np.eye(3, dtype=np.float32)[[0, 0]]
    arrays = to_native(backend, y_true), y_pred
    strict = multiloss.get(name, backend=backend, validate=True)
    multiloss.get(name, backend=backend)(*arrays)
    with pytest.raises(ValueError, match=r"y_pred must sum to 1.*0\.7.*normalize=True"):
        strict(*arrays, mask=to_native(backend, np.array([True, True])))
    strict(*arrays, mask=to_native(backend, np.array([True, False])))


@pytest.mark.reads
def test_validate_reads_the_sums_of_logarithms(backend: str) -> None:
    strict = multiloss.get("kl_divergence", backend=backend, log_input=True, validate=True)
    half, good_logs, bad = (to_native(backend, np.array([x])) for x in ([0.5, 0.5], [-np.log(2)] * 2, [-1.0, -1.0]))
    strict(half, good_logs)
    with pytest.raises(ValueError, match="must sum to 1"):
        strict(half, bad)


@pytest.mark.reads
def test_ignored_samples_are_inside_any_domain(backend: str) -> None:
    y_pred = to_native(backend, np.array([[0.5, 0.5], [7.0, -3.0], [9.0, 0.5]], np.float32))
    labels, mask = to_native(backend, np.array([0, -1, 1])), to_native(backend, np.array([True, True, False]))
    for validate in (None, True):
        loss = multiloss.get(SPARSE, backend=backend, ignore_index=-1, validate=validate)
        loss(labels, y_pred, mask=mask)
        loss(to_native(backend, np.array([0, -1, -1])), y_pred)
    multiloss.get(SPARSE, backend, ignore_index=255)(to_native(backend, np.array([0, 255, 255], np.uint8)), y_pred)
    with pytest.raises(ValueError, match=r"y_pred must hold probabilities in \[0, 1\].*got 9"):
        multiloss.get(SPARSE, backend, ignore_index=-1)(labels, y_pred)


@pytest.mark.reads
def test_half_precision_sums_to_one_by_rounding(backend: str) -> None:
    """[1/3] * 3 is 1.002 in bfloat16; what is no rounding error is refused there, too."""
    for dtype in dtypes(backend):
        strict = multiloss.get("cce", backend=backend, validate=True)
        one, third = (to_native(backend, np.array(row), dtype) for row in ([[1.0, 0, 0]], [[1 / 3] * 3]))
        strict(one, third)
        with pytest.raises(ValueError, match="y_pred must sum to 1"):
            strict(one, to_native(backend, np.array([[0.5, 0.25, 0.125]]), dtype))
        if "16" not in dtype:
            with pytest.raises(ValueError, match=r"y_pred must sum to 1.*1\.002"):
                strict(one, to_native(backend, np.array([[0.334] * 3]), dtype))


def test_nan_among_targets_of_two_values_shows_in_the_value() -> None:
    assert np.isnan(multiloss.get("margin_ranking", "numpy")([1.0, np.nan], [1.0, 1.0], [1.0, 1.0]))

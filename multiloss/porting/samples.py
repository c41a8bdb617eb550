"""Arrays for a comparison where the user gave none: of the domains that both sides take, generated from a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from multiloss.engine import checks

Maker = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
SHAPE = (8, 5)


def _softmax(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    powers = np.exp(rng.normal(size=shape))
    return powers / powers.sum(axis=-1, keepdims=True)


def _one_hot(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.eye(shape[-1])[_labels(rng, shape)]


def _labels(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    count = int(np.prod(shape[:-1]))
    return rng.permutation(np.arange(count) % shape[-1]).reshape(shape[:-1])


def _sets(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    classes = rng.permuted(np.broadcast_to(np.arange(shape[-1]), shape), axis=-1)
    return np.where(np.arange(shape[-1]) < 2, classes, -1)  # two each, then the end


_MAKERS: dict[str, Maker] = {
    "real numbers": lambda rng, shape: rng.normal(size=shape),
    "positive numbers": lambda rng, shape: np.exp(rng.normal(size=shape) * 0.5),
    "probabilities": _softmax,
    "memberships": lambda rng, shape: rng.uniform(0.05, 0.95, size=shape),
    "log-probabilities": lambda rng, shape: np.log(_softmax(rng, shape)),
    "logits": lambda rng, shape: 2 * rng.normal(size=shape),
    "labels": _labels,
    "sets of labels": _sets,
    "one-hot targets": _one_hot,
    "0 and 1": lambda rng, shape: rng.permutation(np.arange(int(np.prod(shape))) % 2).reshape(shape).astype(float),
    "-1 and 1": lambda rng, shape: (
        2.0 * rng.permutation(np.arange(int(np.prod(shape))) % 2).reshape(shape).astype(float) - 1
    ),
}
_PAIRS = (
    ("real numbers", "real numbers"),
    ("labels", "logits"),
    ("0 and 1", "logits"),
    ("one-hot targets", "logits"),
    ("0 and 1", "memberships"),
    ("labels", "probabilities"),
    ("one-hot targets", "probabilities"),
    ("probabilities", "probabilities"),
    ("probabilities", "log-probabilities"),
    ("labels", "log-probabilities"),
    ("positive numbers", "positive numbers"),
    ("-1 and 1", "real numbers"),
)
_KIND_OF_DOMAIN = (
    (checks.PROBABILITY, "probabilities"),
    (checks.MEMBERSHIP, "memberships"),
    (checks.LOG_PROBABILITY, "log-probabilities"),
    (checks.NON_NEGATIVE, "positive numbers"),
    (checks.POSITIVE, "positive numbers"),
    (checks.ABOVE_MINUS_ONE, "positive numbers"),
    (checks.SIGN, "-1 and 1"),
    (checks.BINARY, "0 and 1"),
    (checks.LABEL_SETS, "sets of labels"),
)
_NARROWNESS = (
    "real numbers",
    "logits",
    "positive numbers",
    "log-probabilities",
    "memberships",
    "probabilities",
    "one-hot targets",
    "0 and 1",
    "-1 and 1",
    "labels",
    "sets of labels",
)


def candidates(
    definitions: list[tuple[Any, Mapping[str, Any]]], seed: int, shape: tuple[int, ...]
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """What may fit both sides, the likeliest first, each with its description.

    `definitions` are those known of the sides, with their options.
    """
    known = [_kinds(definition, options) for definition, options in definitions]
    inputs = [definition for definition, _ in definitions if definition.kind == "of_inputs"]
    if inputs:
        made = _of_inputs(inputs[0], seed)
        yield ", ".join(made), made
        return
    tried = []
    if known:
        narrow = tuple(max(kinds, key=_NARROWNESS.index) for kinds in zip(*known, strict=True))
        y_preds = {y_pred for _, y_pred in known}
        if (
            len(y_preds) == 2 and "log-probabilities" in y_preds
        ):  # on arrays of the other kind it shows which takes them
            other = next(iter(y_preds - {"log-probabilities"}))
            narrow = (narrow[0], "probabilities" if narrow[0] == "probabilities" else other)
        tried = [narrow, *known]
    for y_true, y_pred in dict.fromkeys([*tried, *_PAIRS]):
        rng = np.random.default_rng(seed)
        yield f"{y_true} and {y_pred}", {"y_true": _MAKERS[y_true](rng, shape), "y_pred": _MAKERS[y_pred](rng, shape)}


def _kinds(definition: Any, options: Mapping[str, Any]) -> tuple[str, str]:
    domain = definition.domain({**definition.options, **options})
    found = {name: next((kind for known, kind in _KIND_OF_DOMAIN if domain[name] is known), "real numbers")
             for name in ("y_true", "y_pred") if name in domain}  # fmt: skip
    logits = "from_logits" in definition.options or "logits" in definition.doc[:600]
    y_pred = found.get("y_pred") or ("logits" if logits else "real numbers")
    if definition.has_labels:
        return "labels", y_pred
    y_true = found.get("y_true", "real numbers")
    if "binary" in definition.name and y_pred == "probabilities":
        y_pred = "memberships"
    if y_true in ("probabilities", "memberships"):
        y_true = (
            "0 and 1" if "binary" in definition.name else "one-hot targets" if "categ" in definition.name else y_true
        )
    return y_true, y_pred


def _of_inputs(definition: Any, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    if definition.example is not None:
        found = {name: np.asarray(array) for name, array in definition.example(rng).items()}
        if definition.name == "ctc":  # log-probabilities are logits, too, so that those suit all
            found["y_pred"] = found["y_pred"] - np.log(np.exp(found["y_pred"]).sum(-1, keepdims=True))
        return found
    sizes = {"N": 8, "C": 4, "D": 5}
    domain = definition.domain(definition.options)
    made = {}
    for name, wanted in definition.shapes.items():
        if name not in definition.optional:
            lengths = (8,) * wanted.leading + tuple(sizes.setdefault(letter, 3) for letter in wanted.letters)
            below = sizes.setdefault(wanted.below, 3) if wanted.below else 3
            kind = next((kind for known, kind in _KIND_OF_DOMAIN if _alike(domain.get(name), known)), "real numbers")
            made[name] = rng.integers(0, below, size=lengths) if wanted.integer else _MAKERS[kind](rng, lengths)
    return made


def _alike(domain: Any, known: checks.Domain) -> bool:
    return domain is known or (domain is not None and bool(domain.values) and domain.values == known.values)

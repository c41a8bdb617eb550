"""Arrays for a comparison where the user gave none: of the domains that both sides take, generated from a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from multiloss.engine import checks

SHAPE = (8, 5)


_Shape = tuple[int, ...]


def _softmax(rng: np.random.Generator, shape: _Shape) -> np.ndarray:
    powers = np.exp(rng.normal(size=shape))
    return powers / powers.sum(axis=-1, keepdims=True)


def _classes(rng: np.random.Generator, shape: _Shape, count: int) -> np.ndarray:
    """Integers below `count`, each as often as the others."""
    return rng.permutation(np.arange(int(np.prod(shape))) % count).reshape(shape)


def _sets(rng: np.random.Generator, shape: _Shape) -> np.ndarray:
    classes = rng.permuted(np.broadcast_to(np.arange(shape[-1]), shape), axis=-1)
    return np.where(np.arange(shape[-1]) < 2, classes, -1)  # two each, then the end


_MAKERS: dict[str, Callable[[np.random.Generator, _Shape], np.ndarray]] = {
    "real numbers": lambda rng, shape: rng.normal(size=shape),
    "logits": lambda rng, shape: 2 * rng.normal(size=shape),
    "positive numbers": lambda rng, shape: np.exp(rng.normal(size=shape) * 0.5),
    "log-probabilities": lambda rng, shape: np.log(_softmax(rng, shape)),
    "memberships": lambda rng, shape: rng.uniform(0.05, 0.95, size=shape),
    "probabilities": _softmax,
    "one-hot targets": lambda rng, shape: np.eye(shape[-1])[_classes(rng, shape[:-1], shape[-1])],
    "0 and 1": lambda rng, shape: _classes(rng, shape, 2) * 1.0,
    "-1 and 1": lambda rng, shape: _classes(rng, shape, 2) * 2.0 - 1,
    "labels": lambda rng, shape: _classes(rng, shape[:-1], shape[-1]),
    "sets of labels": _sets,
}
"""What can be generated. A later kind is one of the earlier kinds, too, if two losses take both."""
_PAIRS = (
    ("real numbers", "real numbers"), ("labels", "logits"), ("0 and 1", "logits"), ("one-hot targets", "logits"),
    ("0 and 1", "memberships"), ("labels", "probabilities"), ("one-hot targets", "probabilities"),
    ("probabilities", "probabilities"), ("probabilities", "log-probabilities"), ("labels", "log-probabilities"),
    ("positive numbers", "positive numbers"), ("-1 and 1", "real numbers"),
)  # fmt: skip
"""What losses take that are not known, in the order in which they are tried."""
_KINDS = {
    checks.PROBABILITY: "probabilities", checks.MEMBERSHIP: "memberships", checks.SIGN: "-1 and 1",
    checks.LOG_PROBABILITY: "log-probabilities", checks.BINARY: "0 and 1",
    checks.LABEL_SETS: "sets of labels", checks.NON_NEGATIVE: "positive numbers",
    checks.POSITIVE: "positive numbers", checks.ABOVE_MINUS_ONE: "positive numbers",
}  # fmt: skip
_KINDS_OF_VALUES = {domain.values: kind for domain, kind in _KINDS.items() if domain.values}


def _kind(domain: checks.Domain | None) -> str | None:
    """What is generated for a domain; of an unknown one, for the few values that it may have."""
    return None if domain is None else _KINDS.get(domain, _KINDS_OF_VALUES.get(domain.values))


def candidates(
    definitions: list[tuple[Any, Mapping[str, Any]]], seed: int, shape: _Shape
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """What may fit both sides, the likeliest first, each with its description.

    `definitions` are those known of the sides, with their options.
    """
    of_inputs = [definition for definition, _ in definitions if definition.kind == "of_inputs"]
    if of_inputs:
        made = _of_inputs(max(of_inputs, key=_knows), seed)
        if "input_lengths" in made:
            made = _without_blanks(made, {options.get("blank", 0) for _, options in definitions}, seed)
        yield ", ".join(made), made
        if "input_lengths" in made:  # Keras takes whole sequences alone
            frames = np.full_like(made["input_lengths"], made["y_pred"].shape[1])
            yield f"{', '.join(made)} (all frames)", {**made, "input_lengths": frames}
        return
    pairs = [_kinds_of(definition, options) for definition, options in definitions]
    if pairs:
        y_true, y_pred = (max(kinds, key=list(_MAKERS).index) for kinds in zip(*pairs, strict=True))
        others = {kind for _, kind in pairs} - {"log-probabilities"}
        if y_pred == "log-probabilities" and others:  # on arrays of the other kind it shows which side takes them
            y_pred = "probabilities" if y_true == "probabilities" else others.pop()
        pairs = [(y_true, y_pred), *pairs]
    for y_true, y_pred in dict.fromkeys([*pairs, *_PAIRS]):
        rng = np.random.default_rng(seed)
        yield f"{y_true} and {y_pred}", {"y_true": _MAKERS[y_true](rng, shape), "y_pred": _MAKERS[y_pred](rng, shape)}


def _kinds_of(definition: Any, options: Mapping[str, Any]) -> tuple[str, str]:
    """What the targets and predictions of a loss are."""
    domain = definition.domain({**definition.options, **options})
    y_true, y_pred = (_kind(domain.get(name)) for name in ("y_true", "y_pred"))
    binary, logits = "binary" in definition.name, "from_logits" in definition.options
    if not y_pred:
        y_pred = "logits" if logits or "logits" in definition.doc[:600] else "real numbers"
    if definition.has_labels:
        return "labels", y_pred
    if y_true in ("probabilities", "memberships") and (binary or "categ" in definition.name):
        y_true = "0 and 1" if binary else "one-hot targets"
    return y_true or "real numbers", "memberships" if binary and y_pred == "probabilities" else y_pred


def _knows(definition: Any) -> tuple[bool, int]:
    """Which of two losses knows better what it takes: a ported one may take anything, as its library does."""
    return definition.example is not None, len(definition.domain(definition.options))


def _without_blanks(made: dict[str, np.ndarray], blanks: set[int], seed: int) -> dict[str, np.ndarray]:
    """Labels that are the blank of neither side, and as many classes as that takes."""
    count = max(made["y_pred"].shape[-1], *(blank + 1 for blank in blanks))
    labels = np.array([label for label in range(count) if label not in blanks])
    y_pred = made["y_pred"]
    if count > y_pred.shape[-1]:
        logits = np.random.default_rng(seed).normal(size=(*y_pred.shape[:-1], count))
        y_pred = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return {**made, "y_true": labels[(made["y_true"] - 1) % len(labels)], "y_pred": y_pred}


def _of_inputs(definition: Any, seed: int) -> dict[str, np.ndarray]:
    """The arrays of a loss that takes others than (y_true, y_pred)."""
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
            make = _MAKERS[_kind(domain.get(name)) or "real numbers"]
            made[name] = rng.integers(0, below, size=lengths) if wanted.integer else make(rng, lengths)
    return made

"""A call of each loss in each of the five frameworks: small inputs that fit what the loss takes, and the code of a tab.

The value that a page shows is computed with NumPy when the pages are built; tests/test_loss_pages.py runs the code of
every tab and compares.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

import multiloss
from multiloss.engine import checks
from multiloss.engine.definition import Definition

BACKENDS = {"torch": "PyTorch", "tensorflow": "TensorFlow", "jax": "JAX", "keras": "Keras", "numpy": "NumPy"}
Inputs = Mapping[str, Any]

_LOGITS = [[2.0, 0.5, -1.0], [0.2, 1.4, 0.3]]
_PROBABILITIES = [[0.7, 0.2, 0.1], [0.1, 0.5, 0.4]]
_BATCH = {
    "labels": [0, 0, 1, 1],
    "features": [[0.9, 0.3], [0.6, 0.8], [-0.5, 0.6], [0.1, -1.0]],
    "weight": [[1.0, 0.1], [-0.3, 0.9]],
}
_VIEWS = {"x1": [[1.0, 0.2], [0.1, 0.9], [-0.8, 0.4]], "x2": [[0.9, 0.4], [0.3, 0.8], [-0.5, -0.6]]}

_BY_NAME: dict[str, Inputs] = {
    "wasserstein_1d": {"y_true": [[0.0, 1.0, 0.0], [0.0, 0.5, 0.5]], "y_pred": _PROBABILITIES},
    "gaussian_nll": {"y_true": [1.0, 2.5], "y_pred": [1.5, 2.0], "var": [0.5, 2.0]},
    "crps": {"y_true": [1.0, 2.5], "y_pred": [[0.8, 1.5, 1.1], [2.0, 4.0, 3.1]]},
    "margin_ranking": {"y_true": [1.0, 1.0, -1.0], "x1": [0.9, 0.2, 0.5], "x2": [0.4, 0.6, 0.1]},
    "hinge_embedding": {"y_true": [[1.0, -1.0], [-1.0, 1.0]], "y_pred": [[0.3, 0.4], [1.6, 0.1]]},
    "multilabel_margin": {"y_true": [[0, 2, -1], [1, -1, -1]], "y_pred": _LOGITS},
    "ctc": {
        "y_true": [[1, 2]],
        "y_pred": [[[0.1, 2.0, 0.3], [1.5, 0.2, 0.1], [0.4, 0.3, 1.8], [0.9, 0.1, 1.1]]],
    },
    "lovasz_softmax": {
        "y_true": [[0, 1], [1, 1]],
        "y_pred": [[[0.8, 0.2], [0.4, 0.6]], [[0.7, 0.3], [0.1, 0.9]]],
    },
    "contrastive": {"y_true": [1.0, 0.0], "x1": [[0.9, 0.1], [0.2, 0.5]], "x2": [[0.6, 0.5], [0.4, 0.1]]},
    "cosine_embedding": {"y_true": [1.0, -1.0], "x1": [[0.9, 0.1], [0.2, 0.5]], "x2": [[0.6, 0.5], [0.4, 0.1]]},
    "triplet_margin": {
        "anchor": [[0.9, 0.1], [0.2, 0.5]],
        "positive": [[0.6, 0.5], [0.4, 0.1]],
        "negative": [[-0.2, 0.8], [0.9, 1.3]],
    },
    "linear_cross_entropy": {"y_true": _BATCH["labels"], "features": _BATCH["features"], "weight": _BATCH["weight"]},
    "ranknet": {"y_true": [[3.0, 0.0, 1.0]], "y_pred": [[1.2, 0.4, 0.9]]},
    "listnet": {"y_true": [[3.0, 0.0, 1.0]], "y_pred": [[1.2, 0.4, 0.9]]},
    "ranking_softmax": {"y_true": [[1.0, 0.0, 1.0]], "y_pred": [[1.2, 0.4, 0.9]]},
    "cosine_similarity": {"y_true": [[1.0, 0.0], [0.6, 0.8]], "y_pred": [[2.0, 1.0], [0.5, 0.5]]},
    "cosine_distance": {"y_true": [[1.0, 0.0], [0.6, 0.8]], "y_pred": [[2.0, 1.0], [0.5, 0.5]]},
}
_OPTIONS: dict[str, Inputs] = {
    "lovasz_softmax": {"classes": "all"},
    "quantile": {"q": 0.9},
    "ring": {"weight": 1.0, "radius": 1.0},
}
"""Options that an example gives, as one who uses the loss does."""


def options(definition: Definition) -> dict[str, Any]:
    """The options that the example gives: logits where a loss takes them, the sizes of a table of centers."""
    if definition.table is not None:
        sizes = {} if definition.table.one_row else {"num_classes": 2, "feature_dim": 2}
        return sizes | dict(_OPTIONS.get(definition.name, {}))
    return ({"from_logits": True} if "from_logits" in definition.options else {}) | dict(
        _OPTIONS.get(definition.name, {})
    )


def inputs(definition: Definition) -> dict[str, Any]:
    """The inputs of the example, as nested lists of numbers; integers where the loss takes integers."""
    if definition.name in _BY_NAME:
        return dict(_BY_NAME[definition.name])
    if definition.table is not None:
        return {name: _BATCH[name] for name in ("labels", "features")}
    if definition.kind == "of_inputs":
        known: Inputs = _BATCH | _VIEWS
        return {name: known[name] for name in definition.inputs if name not in definition.optional}
    domain = definition.domain(definition.options | options(definition))
    true, pred = domain.get("y_true"), domain.get("y_pred")
    if definition.has_labels or (definition.kind == "over_axis" and definition.classes):
        y_pred = {checks.PROBABILITY: _PROBABILITIES, checks.LOG_PROBABILITY: _logs(_PROBABILITIES)}.get(pred, _LOGITS)
        return {"y_true": [0, 2] if definition.has_labels else [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], "y_pred": y_pred}
    if true is checks.SIGN:
        return {"y_true": [[1.0, -1.0], [-1.0, 1.0]], "y_pred": [[0.8, 0.3], [-1.5, -0.2]]}
    if true in (checks.BINARY, checks.PROBABILITY, checks.MEMBERSHIP):
        one_hot = definition.family == "divergence"
        y_true = [[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]] if one_hot else [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
        return {"y_true": y_true, "y_pred": _PROBABILITIES if pred is not None else _LOGITS}
    if true is not None:  # amounts: counts, prices
        return {"y_true": [[1.0, 4.0], [0.0, 2.0]], "y_pred": [[1.5, 3.0], [0.5, 2.0]]}
    return {"y_true": [[1.0, 2.0], [0.5, 4.0]], "y_pred": [[1.5, 2.0], [3.0, 3.2]]}


def _logs(probabilities: Any) -> list[list[float]]:
    return np.round(np.log(probabilities), 2).tolist()


def value(definition: Definition) -> float:
    """What the loss gives for the example, by NumPy in float64."""
    loss = multiloss.get(definition.name, backend="numpy", **options(definition))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(loss(**{name: np.asarray(x) for name, x in inputs(definition).items()}))


def _digits(definition: Definition) -> int:
    """How many decimals are shown: what float32 holds."""
    return 4 if abs(value(definition)) < 10 else 2


def code(definition: Definition, backend: str) -> str:
    """The lines of a tab, as a doctest."""
    given = inputs(definition)
    changing = "features" if "features" in given else list(given)[1]
    told = "".join(f", {name}={x!r}" for name, x in options(definition).items())
    lines = [f">>> {line}" for line in (*_IMPORTS[backend], "import multiloss")]
    lines.append(f'>>> loss = multiloss.get("{definition.name}", backend="{backend}"{told})')
    lines += [f">>> {name} = {_array(backend, x, name == changing)}" for name, x in given.items()]
    arguments = ", ".join(given)
    if definition.table is not None:
        return "\n".join([*lines, *_with_centers(backend, arguments, definition)])
    digits = _digits(definition)
    shown = f"{round(value(definition), digits)}"
    if backend == "numpy":
        lines += [f">>> round(float(loss({arguments})), {digits})", shown]
        if definition.grad is not None:
            lines.append(f">>> value, gradient = loss.value_and_grad({arguments})  # the gradient by {changing}")
    elif backend == "torch":
        lines += [f">>> value = loss({arguments})", f">>> round(value.item(), {digits})", shown]
        lines.append(f">>> value.backward()  # now {changing}.grad has the gradient")
    elif backend == "tensorflow":
        lines += [">>> with tf.GradientTape() as tape:", f"...     value = loss({arguments})"]
        lines += [f">>> round(float(value), {digits})", shown, f">>> gradient = tape.gradient(value, {changing})"]
    elif backend == "jax":
        lines += [f">>> round(float(loss({arguments})), {digits})", shown]
        lines.append(f">>> gradient = jax.grad(loss, argnums={list(given).index(changing)})({arguments})")
    else:
        lines += [f">>> round(float(loss({arguments})), {digits})", shown]
    return "\n".join(lines)


_IMPORTS = {
    "torch": ["import torch"],
    "tensorflow": ["import tensorflow as tf"],
    "jax": ["import jax", "import jax.numpy as jnp"],
    "keras": ["import keras"],
    "numpy": ["import numpy as np"],
}


def _array(backend: str, x: Any, changing: bool) -> str:
    text, integer = repr(x), np.asarray(x).dtype.kind == "i"
    return {
        "torch": f"torch.tensor({text}{', requires_grad=True' if changing and not integer else ''})",
        "tensorflow": f"tf.{'Variable' if changing else 'constant'}({text})",
        "jax": f"jnp.array({text})",
        "keras": f'keras.ops.array({text}, dtype="{"int32" if integer else "float32"}")',
        "numpy": f"np.array({text})",
    }[backend]


def _with_centers(backend: str, arguments: str, definition: Definition) -> list[str]:
    """A training step of a loss that holds centers: they start at 0, and the call moves them."""
    digits = _digits(definition)
    shown = f"{round(value(definition), digits)}"
    how = ", training=True" if backend in ("tensorflow", "keras") else ""
    call = f">>> value = loss({arguments}{how})  # training: the centers move, once"
    number = "value.item()" if backend == "torch" else "float(value)"
    rows = "the radius, 1 x 1" if getattr(definition.table, "one_row", False) else "one row a class"
    return [call, f">>> round({number}, {digits})", shown, f">>> centers = loss.centers  # {rows}"]

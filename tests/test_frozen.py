"""Every loss gives what it gave before the engine became one: values and gradients against `frozen.npz`.

`python tests/test_frozen.py` has written that file (NumPy, float64) from the state before; this file goes when the
issue is done. Each loss of `helpers.calls`, and each formula of another library, in every reduction, with and
without weights and a mask; the center losses with the table after a step.
"""

from __future__ import annotations

import importlib
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import framework, to_native, to_numpy
from helpers.calls import calls
from multiloss.engine import registry
from multiloss.engine.loss import make_spec
from multiloss.engine.options import REDUCTIONS
from multiloss.porting import variants
from multiloss.testing.strategies import draw_inputs

STORED = Path(__file__).with_name("frozen.npz")
WAYS = list(product(REDUCTIONS, (False, True), (False, True)))
"""Reduction, whether there are weights, whether there is a mask."""
FEW = [("mean", False, False), ("weighted_mean", True, True), ("none", True, True)]
"""Where each call takes long."""


def losses() -> dict[str, tuple[str, dict[str, Any], dict[str, np.ndarray]]]:
    """Name, options and inputs, by a name of the case."""
    found = {}
    for case in (*calls(True), *calls(False)):
        if not str(case.id).endswith("-alone"):
            found[str(case.id)] = case.values
    for library in variants.LIBRARIES:
        importlib.import_module(f"multiloss.porting.{library}_variants")
    for name, definition in variants.DEFINITIONS.items():
        rng, spec = np.random.default_rng(1), make_spec(name, {})
        if definition.kind == "of_inputs":
            inputs = draw_inputs(spec, rng, (4,), 5)
        else:
            inputs = {"y_true": rng.uniform(0.1, 0.9, (4, 3)), "y_pred": rng.uniform(0.1, 0.9, (4, 3))}
            inputs |= {"y_true": rng.integers(0, 3, 4)} if definition.has_labels else {}
        found[name] = (name, {}, inputs)
    return found


LOSSES = losses()
CENTERS: dict[str, tuple[str, dict[str, Any]]] = {
    "center": ("center", {}),
    "center, per feature": ("center", {"per_feature": True, "alpha": 0.3}),
    **{
        f"center, {preset}": ("center", {"preset": preset})
        for preset in ("caffe", "facenet", "kaiyangzhou", "jxgu1016")
    },
    "contrastive_center": ("contrastive_center", {"delta": 0.5}),
    "triplet_center": ("triplet_center", {"margin": 1.5, "push": False}),
    "triplet_center, push": ("triplet_center", {"margin": 1.5, "push": True}),
    "island": ("island", {"weight": 0.3}),
    "git": ("git", {"weight": 0.7}),
    "ring": ("ring", {"radius": 1.5}),
    "ring, unknown": ("ring", {}),
}


def flat(*arrays: Any) -> np.ndarray:
    return np.concatenate([np.ravel(to_numpy(x)).astype(float) for x in arrays])


def of_loss(backend: str, key: str, reduction: str, weighted: bool, masked: bool) -> np.ndarray | None:
    """Value and gradients; None where it has no such weights."""
    name, options, inputs = LOSSES[key]
    real = tuple(one for one, x in inputs.items() if x.dtype.kind == "f")
    given = {one: to_native(backend, x) for one, x in inputs.items()}
    definition = registry.find(name)
    unreduced = multiloss.get(name, backend="numpy", validate=False, **options | {"reduction": "none"})
    samples = np.shape(unreduced(**inputs))
    if definition.whole_batch or not samples:
        if weighted:
            return None
        samples = next(iter(inputs.values())).shape[:1]
        if masked and not definition.whole_batch:
            return None
    more = {}
    if weighted:
        more["sample_weight"] = to_native(backend, np.linspace(0.5, 2.0, samples[0]))
    if masked:
        more["mask"] = to_native(backend, np.arange(samples[0]) % 3 != 1)
    loss = multiloss.get(name, backend=backend, validate=False, **options | {"reduction": reduction})
    # The gradient by the second input is the definition's; by others it is often the framework's.
    wrt = real if definition.kind == "of_inputs" else "y_pred"
    value, gradients = loss.value_and_grad(**given, **more, wrt=wrt)
    gradients = (gradients,) if isinstance(wrt, str) else gradients
    return flat(loss(**given, **more), value, *gradients)


def of_center(backend: str, key: str, reduction: str, weighted: bool, masked: bool) -> np.ndarray:
    """Value, gradient, and the table after two steps."""
    name, options = CENTERS[key]
    rng = np.random.default_rng(2)
    table = {} if name == "ring" else {"centers_init": rng.normal(size=(4, 3))}
    center = multiloss.get(name, backend=backend, **{**options, "reduction": reduction, **table})
    y, x = np.array([0, 3, 0, 1, 3, 0]), rng.normal(size=(6, 3)).astype(np.float32)
    more = {}
    if weighted:
        more["sample_weight"] = to_native(backend, np.linspace(0.5, 2.0, 6))
    if masked:
        more["mask"] = to_native(backend, np.arange(6) % 3 != 1)
    given = [to_native(backend, y), to_native(backend, x)]
    value, gradient = center.value_and_grad(*given, **more)
    return flat(value, gradient, center(*given, **more), center.centers)


KEYS = (*LOSSES, *(f"center loss: {key}" for key in CENTERS))
OTHERS = {str(case.id) for case in calls(False)}


def ways(key: str) -> list[tuple[str, bool, bool]]:
    """All of them, of a loss with its first options."""
    return FEW if key in OTHERS else WAYS


def calculated(backend: str, key: str, *way: Any) -> np.ndarray | None:
    try:
        if key.startswith("center loss: "):
            return of_center(backend, key.removeprefix("center loss: "), *way)
        return of_loss(backend, key, *way)
    except ValueError:
        return None


@pytest.fixture(scope="module")
def stored() -> dict[Any, np.ndarray]:
    with np.load(STORED) as file:
        lengths, values = file["lengths"], file["values"]
    parts = iter(np.split(values, np.cumsum(lengths)[:-1]))
    found = {(key, way): next(parts) for key in KEYS for way in ways(key)}
    return {case: x for case, x in found.items() if x.size}


@pytest.mark.only("numpy", "torch", "tensorflow", "jax")
@pytest.mark.filterwarnings("ignore:.*absolute value.*")
@pytest.mark.parametrize("key", KEYS)
def test_as_before(backend: str, key: str, stored: dict[Any, np.ndarray]) -> None:
    rtol, atol = (2e-5, 1e-5) if key in KEYS[len(LOSSES) :] else (1e-9, 1e-11)  # tables are float32 on most backends
    for way in FEW if framework(backend) in ("jax", "tensorflow") else ways(key):
        found, before = calculated(backend, key, *way), stored.get((key, way))
        assert (found is None) == (before is None)
        if found is not None:
            np.testing.assert_allclose(found, before, rtol=rtol, atol=atol, err_msg=str(way))


if __name__ == "__main__":
    every = [calculated("numpy", key, *way) for key in KEYS for way in ways(key)]
    arrays = [np.array([]) if x is None else x for x in every]
    np.savez_compressed(STORED, lengths=[len(x) for x in arrays], values=np.concatenate(arrays))

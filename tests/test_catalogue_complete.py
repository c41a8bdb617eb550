"""The catalogue has every loss that the installed PyTorch, Keras and Optax export; `peers.py` is the table."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterable
from types import ModuleType

import pytest

import multiloss
from helpers import peers
from multiloss import catalogue, definitions
from multiloss.engine import registry
from multiloss.engine.definition import Definition
from reference import center
from reference.catalogue import ENTRIES


def exported(module: ModuleType, wanted: str = "") -> set[str]:
    """The public functions and classes of a module, those that have one of `wanted` in their names."""
    return {
        name
        for name, item in vars(module).items()
        if not name.startswith("_") and (inspect.isclass(item) or callable(item)) and not inspect.ismodule(item)
        if not wanted or any(word in name.lower() for word in wanted.split())
    }


@pytest.mark.only("torch")
def test_torch(backend: str) -> None:
    import torch

    found = {name for name in exported(torch.nn, "loss") if inspect.isclass(vars(torch.nn)[name])}
    found |= exported(torch.nn.functional, "loss cross_entropy kl_div")
    assert found == set(peers.TORCH)


@pytest.mark.only("keras")
def test_keras(backend: str) -> None:
    import keras

    assert exported(keras.losses) == set(peers.KERAS)


@pytest.mark.only("jax")
def test_optax(backend: str) -> None:
    import optax.losses

    assert exported(optax.losses) == set(peers.OPTAX)


@pytest.mark.parametrize("table", [peers.TORCH, peers.KERAS, peers.OPTAX], ids=["torch", "keras", "optax"])
def test_each_row_is_a_loss_here_or_a_sentence(table: dict[str, str]) -> None:
    here = set(multiloss.list_losses())
    assert {name: ours for name, ours in table.items() if " " not in ours and ours not in here} == {}


def unlisted(families: Iterable[str]) -> dict[str, list[str]]:
    """The files of `multiloss/definitions/` that define losses and are not among these: their losses."""
    found = {}
    for one in pkgutil.iter_modules(definitions.__path__):
        module = importlib.import_module(f"{definitions.__name__}.{one.name}")
        losses = [x for x in vars(module).values() if isinstance(x, Definition)]
        if names := [x.name for x in losses if x.value.__module__ == module.__name__ and one.name not in families]:
            found[one.name] = names
    return found


def test_each_family_is_listed() -> None:
    """`FAMILIES` is the only list; `multiloss list`, the pages of the documentation and all tests follow it."""
    told = "add the name of the file to FAMILIES in multiloss/definitions/__init__.py"
    assert unlisted(definitions.FAMILIES) == {}, told
    assert unlisted({*definitions.FAMILIES} - {"pairwise"}) == {"pairwise": ["margin_ranking"]}


def test_tasks_are_declared() -> None:
    """Of each family, in words that are explained; each task has losses."""
    declared = [*definitions.FAMILIES.values(), *definitions.OF_A_LOSS.values()]
    assert all(declared)
    assert {task for tasks in declared for task in tasks} == {*definitions.TASKS}
    assert {*definitions.OF_A_LOSS} <= {*multiloss.list_losses()}
    assert catalogue.tasks("kld") == catalogue.tasks("kl_divergence") == ("distribution matching", "classification")
    assert "metric learning" in catalogue.tasks("center")


def without_a_reference(names: set[str]) -> set[str]:
    with_centers = {"center", *center.VALUES, "ring"}  # test_ring.py has the loops of the last
    return names - {*ENTRIES} - with_centers


def test_each_has_an_independent_reference() -> None:
    """What users registered (`family`) is theirs to test."""
    ours = {name for name in registry.names() if registry.find(name).family != "registered"} | {*registry.TABLES}
    told = "write its formula in tests/reference/catalogue/ (of one with centers: tests/reference/center.py)"
    assert without_a_reference(ours) == set(), told
    assert without_a_reference({*ours, "new_loss"}) == {"new_loss"}

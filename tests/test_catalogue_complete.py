"""The catalogue has every loss that the installed PyTorch, Keras and Optax export; `peers.py` is the table."""

import inspect
from types import ModuleType

import pytest

import multiloss
from helpers import peers
from multiloss.engine import registry
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


def without_a_reference(names: set[str]) -> set[str]:
    return names - {*ENTRIES} - {*registry.TABLES}


def test_each_has_an_independent_reference() -> None:
    """Losses with a state have theirs in `test_center*.py`; what users registered (`family`) is theirs to test."""
    ours = {name for name in registry.names() if registry.find(name).family != "registered"}
    assert without_a_reference(ours) == set()
    assert without_a_reference({*ours, "new_loss"}) == {"new_loss"}

"""An option that is assigned is refused: it is read when an object is made, and a change would be ignored silently."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import framework, to_native, to_numpy
from multiloss.engine import learned_weight as owners
from multiloss.engine import registry

FAMILY = sorted(set(registry.CENTER.values()))
CENTER_OPTIONS = ("alpha", "num_classes", "feature_dim", "centers_init", "seed", "reduction", "update",
                  "max_classes", "validate", "preset", "process_group", "axis_name", "sharded", "loss")  # fmt: skip


def refused(thing: Any, name: str, value: Any, said: str) -> None:
    before = getattr(thing, name, None)
    with pytest.raises(AttributeError, match=f"^{name} is read when .*{said}"):
        setattr(thing, name, value)
    assert getattr(thing, name, None) == before


@pytest.mark.parametrize("name", multiloss.list_losses())
def test_options_of_every_loss_are_fixed_and_other_names_are_not(backend: str, name: str) -> None:
    if name in FAMILY:
        return
    loss, definition = multiloss.get(name, backend), registry.find(name)
    for option in (*definition.options, "reduction", "axis", "validate"):
        for one in (loss, multiloss.get(name)):
            refused(one, option, 0.25, rf"multiloss\.get\(\*\*loss\.config\(\) \| {{'{option}': 0\.25}}\) makes")
    loss.remark = "mine"
    assert loss.remark == "mine" and loss == multiloss.get(name, backend)
    again = pickle.loads(pickle.dumps(copy.deepcopy(loss)))
    assert again == loss and type(again) is type(loss)


def test_the_number_stays_and_the_advice_gives_the_other(backend: str) -> None:
    y, x = (to_native(backend, np.array(v)) for v in ([[0.0], [0.0]], [[1.0], [5.0]]))
    for name, option, value, before, after in (
        ("huber", "delta", 3.0, 2.5, 5.5),  # |e| - 1/2, 3 |e| - 9/2, at errors of 1 and 5
        ("quantile", "q", 0.75, 1.5, 0.75),  # (1 - q) * 3
        ("mse", "reduction", "sum", 13.0, 26.0),
        ("mse", "axis", 0, 13.0, 13.0),
    ):
        loss = multiloss.get(name, backend)
        with pytest.raises(AttributeError, match="makes another loss"):
            setattr(loss, option, value)
        np.testing.assert_allclose(to_numpy(loss(y, x)), before, rtol=1e-6)
        new = multiloss.get(**loss.config() | {option: value})
        np.testing.assert_allclose(to_numpy(new(y, x)), after, rtol=1e-6)


def test_ports_have_fixed_options_and_keep_their_notes(backend: str) -> None:
    loss = multiloss.port("torch.nn.HuberLoss(delta=2.0)", to=backend)
    refused(loss, "delta", 3.0, "makes another loss")
    loss.notes = ("mine",)
    assert loss.to_backend(backend).notes == ("mine",)


@pytest.mark.parametrize("name", FAMILY)
def test_options_of_center_losses_are_fixed(backend: str, name: str) -> None:
    center = multiloss.get(name, backend) if name == "ring" else multiloss.get(name, backend, num_classes=3)
    own = set(center.config()) - {"name", "backend"}
    assert own <= {*CENTER_OPTIONS, *dict(center.options.own)}
    ways = {"num_classes": r"center\.resize\(0\.0\) changes", "centers_init": r"center\.centers = array sets"}
    for option in {*CENTER_OPTIONS, *own}:
        refused(center, option, 0.0, ways.get(option, rf"\| {{'{option}': 0\.0}}\) makes another center loss"))
    assert callable(center.update) and center.config() == multiloss.get(**center.config()).config()


def test_what_frameworks_assign_themselves(backend: str) -> None:
    loss, center = multiloss.get("huber", backend), multiloss.get("center", backend, num_classes=2, feature_dim=1)
    kind = "keras" if backend == "keras" else framework(backend)
    if kind == "torch":
        import torch

        for module in (loss, center):
            assert not module.eval().training and module.train().training
            module.to(torch.float64).requires_grad_(False).zero_grad()
            module.register_forward_hook(lambda *_: None)
            assert type(copy.copy(module)) is type(module)
            net = torch.nn.Sequential(module)
            net[0] = module
            assert torch.fx.symbolic_trace(torch.nn.Sequential(torch.nn.Identity())) is not None
    if kind == "keras":
        import keras

        loss.name, center.trainable = "mine", False
        assert loss.name == "mine" and keras.losses.deserialize(keras.losses.serialize(loss)) == loss
        again = type(center).from_config(center.get_config())
        assert again.options == center.options
    if kind == "tensorflow" and backend != "keras":
        import tensorflow as tf

        tf.train.Checkpoint(center=center)
        assert [variable.name for variable in center.variables] == ["centers:0"]


@pytest.mark.only("torch", "keras", "jax")
@pytest.mark.parametrize("name", owners.names())
def test_modules_that_own_a_weight_have_fixed_options_but_the_weight(backend: str, name: str) -> None:
    if backend == "torch":
        import torch

        import multiloss.torch as module

        more: dict[str, Any] = {"seed": 0}
        loss = module.WithWeight(name, 3, 2, **more)
        loss.weight = torch.nn.Parameter(torch.zeros(3, 2))
        loss.seed = 1
        loss.reset_parameters()
        torch.testing.assert_close(loss.weight, module.WithWeight(name, 3, 2, seed=1).weight)
    elif backend == "keras":
        import multiloss.keras as module

        loss = module.WithWeight(name, 3, 2)
        refused(loss, "seed", 2, r"make a new one, WithWeight\(")
        loss.trainable = False
        assert module.WithWeight.from_config(loss.get_config()).get_config() == loss.get_config()
    else:
        from flax import nnx

        import multiloss.flax as module

        loss = module.WithWeight(name, 3, 2, rngs=nnx.Rngs(0))
        loss.weight = nnx.Param(np.zeros((3, 2), np.float32))
        graph, state = nnx.split(loss)
        loss = nnx.merge(graph, state)
        assert not loss.weight[...].any()
    definition = registry.find(name)
    for option in (*definition.options, "reduction", "axis", "validate", "num_classes", "feature_dim", "loss"):
        refused(loss, option, 0.0, rf"make a new one, WithWeight\('{name}', \.\.\., {option}=0\.0\)")
    if backend != "keras":  # which copies by saving
        assert type(copy.deepcopy(loss)) is type(loss)


def test_options_of_an_objective_are_fixed() -> None:
    objective = multiloss.objective("huber", library="xgboost", delta=2.0)
    for option in ("delta", "reduction", "axis", "validate", "hessian", "library"):
        said = rf"multiloss\.objective\('huber', \.\.\., {option}='constant'\)"
        with pytest.raises(AttributeError, match=f"^{option} is read when .*{said}"):
            setattr(objective, option, "constant")
    gradient, _ = pickle.loads(pickle.dumps(objective))([0.0, 0.0], [1.0, 5.0])
    assert gradient.tolist() == [1.0, 2.0]


@pytest.mark.only("jax")
def test_flax_center(backend: str) -> None:
    import multiloss.flax

    center = multiloss.flax.CenterLoss(num_classes=2, feature_dim=1)
    for option in set(CENTER_OPTIONS) - {"centers_init"}:
        refused(center, option, 0.0, rf"make a new one, multiloss\.flax\.CenterLoss\(\.\.\., {option}=0\.0\)")
    refused(center, "centers_init", 0.0, r"center\.centers = array")
    center.eval()
    assert center.deterministic


@pytest.mark.only("keras")
def test_keras_model(backend: str) -> None:
    import keras

    import multiloss.keras

    x = keras.Input((2,))
    features = keras.layers.Dense(1, name="features")(x)
    net = keras.Model(x, keras.layers.Dense(2)(features))
    model = multiloss.keras.WithCenterLoss(net, features="features", num_classes=2)
    ways = {"num_classes": r"model\.center\.resize", "centers_init": r"model\.center\.centers = array"}
    for option in {*CENTER_OPTIONS, "features"} - {"loss"}:
        said = ways.get(option, rf"make a new one: multiloss\.keras\.WithCenterLoss\(.*{option}=0\.0\)")
        with pytest.raises(AttributeError, match=f"^{option} is read when .*{said}"):
            setattr(model, option, 0.0)
    model.compile("sgd", loss="mse")
    model.name, model.trainable = "mine", True
    assert type(model).from_config(model.get_config()).features == "features"

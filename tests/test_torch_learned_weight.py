"""Losses that own their weight, as torch modules: what `test_learned_weight.py` does not hold for all frameworks."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import numpy as np
import pytest
import torch
import torch._functorch.config as functorch

import multiloss
from multiloss.engine import learned_weight, registry
from multiloss.engine.definition import of_inputs
from multiloss.torch import WithWeight

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.compile's own imports

C, D, N = 5, 4, 12
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, C, N)
FEATURES = RNG.normal(size=(N, D)).astype(np.float32)
NAMES = learned_weight.names()
EVERY = [*((name, {}) for name in NAMES), ("linear_cross_entropy", {"bias": True})]


def made(name: str = "arcface", **options: Any) -> Any:
    return WithWeight(name, C, D, **{"seed": 0} | options)


def data() -> tuple[Any, Any]:
    return torch.tensor(LABELS), torch.tensor(FEATURES, requires_grad=True)


@pytest.mark.parametrize(("name", "options"), EVERY)
@pytest.mark.parametrize("samples", [0, 3])
def test_parameters_stay_in_the_graph(name: str, options: dict[str, Any], samples: int) -> None:
    """Without samples, or with all of them masked, their gradient is zeros, which DistributedDataParallel waits for."""
    loss, x = made(name, **options), torch.ones(samples, D, requires_grad=True)
    mask = torch.zeros(samples, dtype=torch.bool) if samples else None
    loss(torch.zeros(samples, dtype=torch.int64), x, mask=mask).backward()
    for parameter in (x, *loss.parameters()):
        torch.testing.assert_close(parameter.grad, torch.zeros(parameter.shape), rtol=0, atol=0)


def test_what_the_first_weight_is_drawn_with() -> None:
    """torch's generator, or a seed, which leaves it alone."""

    def drawn(seed: int | None) -> Any:
        torch.manual_seed(1)
        return made(seed=seed).weight

    assert drawn(None).equal(drawn(None)) and not drawn(None).equal(made(seed=None).weight)
    torch.manual_seed(1)
    following = torch.rand(1)
    assert drawn(7).equal(drawn(7)) and not drawn(7).equal(drawn(8))
    assert torch.rand(1) == following
    with torch.device("meta"):
        later = made(seed=7)
    later.to_empty(device="cpu").reset_parameters()
    assert later.weight.equal(drawn(7))


def test_copies_and_checkpoints() -> None:
    y, x = data()
    loss = made("linear_cross_entropy", bias=True)
    assert list(loss.state_dict()) == ["weight", "bias"]
    expected = loss(y, x)
    file = io.BytesIO()
    torch.save(loss.state_dict(), file)
    file.seek(0)
    other = made("linear_cross_entropy", bias=True, seed=1)
    other.load_state_dict(torch.load(file, weights_only=True))
    for same in (other, copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert same(y, x) == expected
        with torch.no_grad():
            same.weight *= 2.0
        assert same(y, x) != expected and loss(y, x) == expected  # nothing is shared
    with pytest.raises(RuntimeError, match=r"size mismatch for weight.*\[5, 4\].*\[6, 4\]"):
        type(loss)("arcface", 6, D).load_state_dict({"weight": loss.weight})


def test_in_a_model() -> None:
    """Two equal losses are two modules, with a weight each; what prints says sizes and options."""
    net = torch.nn.ModuleList([made(), made()])
    assert len(list(net.parameters())) == 2
    assert "num_classes=5, feature_dim=4" in repr(net) and "scale=64.0" in repr(net)


def test_double_precision() -> None:
    y, x = data()
    loss = made().double()
    value = loss(y, x.double())
    value.backward()
    assert value.dtype == loss.weight.grad.dtype == torch.float64
    torch.testing.assert_close(value.float(), made()(y, x))


@pytest.mark.parametrize("default", [torch.float16, torch.bfloat16, torch.float64])
def test_the_weight_under_another_default_dtype(default: torch.dtype) -> None:
    torch.set_default_dtype(default)
    try:
        assert made().weight.dtype == (torch.float64 if default == torch.float64 else torch.float32)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_autocast(name: str, dtype: str) -> None:
    """It changes nothing about the loss, which computes in float32; so for the pure form."""
    loss, (y, x) = made(name), data()
    expected = loss(y, x)
    (gradient,) = torch.autograd.grad(expected, loss.weight)
    with torch.autocast("cpu", dtype=getattr(torch, dtype)):
        value = loss(y, x)
        half = loss(y, x.to(getattr(torch, dtype)))
        assert loss.pure(y, x, loss.weight) == expected
    value.backward()
    assert value == expected and loss.weight.grad.dtype == torch.float32
    assert loss.weight.grad.equal(gradient)
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(expected.item(), rel=0.02)


AS_FORWARD = {"backward_pass_autocast": "off"} if hasattr(functorch, "backward_pass_autocast") else {}


@pytest.mark.parametrize(
    ("name", "options", "autocast"),
    [("arcface", {}, True), ("linear_cross_entropy", {"bias": True}, True), ("linear_cross_entropy", {}, False)],
)
def test_compile(name: str, options: dict[str, Any], autocast: bool) -> None:
    """The pure form of every loss is compiled in `test_catalogue.py`."""
    if autocast and not AS_FORWARD:
        pytest.skip("this torch has no switch for autocast of compiled backward passes")
    torch._dynamo.reset()
    loss, (y, x) = made(name, **options), data()
    expected = torch.autograd.grad(loss(y, x), (x, *loss.parameters()))
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    # By default torch traces a compiled backward pass under autocast, whatever the forward pass switched off.
    with functorch.patch(AS_FORWARD):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            value = compiled(y, x)
        torch.testing.assert_close(value, loss(y, x))
        gradients = torch.autograd.grad(value, (x, *loss.parameters()))
    for got, wanted in zip(gradients, expected, strict=True):
        torch.testing.assert_close(got, wanted)
    assert compiled(y.clone().fill_(C), x).isnan()


def test_features_of_many_axes() -> None:
    loss = made("linear_cross_entropy")
    y, x = data()
    torch.testing.assert_close(loss(y.reshape(3, 4), x.reshape(3, 4, D)), loss(y, x))


def test_a_new_loss_needs_no_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever takes (labels, features, weight) in these shapes."""

    @of_inputs({"labels": "N int<C", "features": "N D", "weight": "C D"})
    def own_softmax(xp: Any, labels: Any, features: Any, weight: Any, *, scale: float = 2.0) -> Any:
        cosines = xp.matmul(xp.unit_rows(features), xp.matrix_transpose(xp.unit_rows(weight)))
        return xp.sum(scale * xp.gather(weight, labels), axis=-1) - xp.logsumexp(cosines, axis=-1)

    monkeypatch.setattr(registry, "_definitions", registry._definitions | {"own_softmax": own_softmax})
    loss, (y, x) = made("own_softmax", scale=3.0), data()
    expected = multiloss.get("own_softmax", "torch", scale=3.0)(y, x, loss.weight)
    torch.testing.assert_close(loss(y, x), expected)


def test_two_devices() -> None:
    y, x = data()
    with pytest.raises(ValueError, match="features is on meta, but the loss's weight is on cpu; move one of them"):
        made()(y, x.to("meta"))

"""Losses that own their weight, as torch modules."""

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
from multiloss.engine import learned_weight as owners
from multiloss.engine import registry
from multiloss.engine.definition import of_inputs
from multiloss.torch import ArcFace, WithWeight

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.compile's own imports

C, D, N = 5, 4, 12
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, C, N)
FEATURES = RNG.normal(size=(N, D)).astype(np.float32)
NAMES = ["arcface", "cosface", "linear_cross_entropy", "proxy_anchor", "proxy_nca", "sphereface"]
PLAIN = {
    "ArcFace": "arcface",
    "CosFace": "cosface",
    "SphereFace": "sphereface",
    "ProxyNCA": "proxy_nca",
    "ProxyAnchor": "proxy_anchor",
    "LinearCrossEntropy": "linear_cross_entropy",
}
EVERY = [(name, {}) for name in NAMES] + [("linear_cross_entropy", {"bias": True}), ("arcface", {"scale": 8.0})]


def made(name: str = "arcface", **options: Any) -> Any:
    return WithWeight(name, C, D, **{"seed": 0} | options)


def data() -> tuple[Any, Any]:
    return torch.tensor(LABELS), torch.tensor(FEATURES, requires_grad=True)


def test_which_losses_own_a_weight() -> None:
    assert owners.names() == NAMES


@pytest.mark.parametrize(("name", "options"), EVERY)
@pytest.mark.parametrize("samples", [0, 3])
def test_parameters_stay_in_the_graph(name: str, options: dict[str, Any], samples: int) -> None:
    """Without samples, or with all of them masked, their gradient is zeros, which DistributedDataParallel waits for."""
    loss, x = made(name, **options), torch.ones(samples, D, requires_grad=True)
    mask = torch.zeros(samples, dtype=torch.bool) if samples else None
    loss(torch.zeros(samples, dtype=torch.int64), x, mask=mask).backward()
    for parameter in (x, *loss.parameters()):
        torch.testing.assert_close(parameter.grad, torch.zeros(parameter.shape), rtol=0, atol=0)


@pytest.mark.parametrize(("name", "options"), EVERY)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_value_and_gradients_are_the_pure_forms(name: str, options: dict[str, Any], reduction: str) -> None:
    """Of the features, the weight and the bias; with weights and a mask."""
    loss = made(name, reduction=reduction, **options)
    if loss.bias is not None:
        torch.nn.init.normal_(loss.bias)
    y, x = data()
    sample_weight = None if name == "proxy_anchor" else torch.linspace(0.5, 2.0, N)
    mask = torch.arange(N) != 3
    value = loss(y, x, sample_weight, mask)
    value.sum().backward()
    pure = multiloss.get(name, "torch", reduction=reduction, **{k: v for k, v in options.items() if k != "bias"})
    held = dict(loss.named_parameters())
    expected, gradients = pure.value_and_grad(
        y, x, sample_weight=sample_weight, mask=mask, wrt=("features", *held), **held
    )
    torch.testing.assert_close(value, expected)
    for got, wanted in zip((x, *held.values()), gradients, strict=True):
        assert wanted.any()
        torch.testing.assert_close(got.grad, wanted)


@pytest.mark.parametrize("plain", PLAIN)
def test_plain_names(plain: str) -> None:
    y, x = data()
    loss = getattr(multiloss.torch, plain)(C, D, seed=3)
    assert isinstance(loss, multiloss.torch.WithWeight) and loss.pure.spec.name == PLAIN[plain]
    assert loss(y, x) == made(PLAIN[plain], seed=3)(y, x)


@pytest.mark.parametrize(("name", "options"), EVERY)
def test_training_lowers_the_loss(name: str, options: dict[str, Any]) -> None:
    """With the features fixed, by the weight alone."""
    loss = made(name, **options)
    assert len(list(loss.parameters())) == 1 + options.get("bias", False)
    optimizer = torch.optim.SGD(loss.parameters(), 0.02)
    y, x = data()
    values = []
    for _ in range(40):
        optimizer.zero_grad()
        value = loss(y, x.detach())
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < values[0] - 0.01


def test_the_first_weight() -> None:
    """Xavier-uniform, by torch's generator or a seed of its own."""
    large = multiloss.torch.LinearCrossEntropy(400, 200, bias=True)
    bound = (6 / 600) ** 0.5
    assert large.weight.abs().max() <= bound and abs(large.weight.std().item() / bound - 3**-0.5) < 0.01
    assert not large.bias.any() and large.weight.dtype == torch.float32

    def drawn(**options: Any) -> Any:
        torch.manual_seed(1)
        return made(**options).weight

    assert drawn(seed=None).equal(drawn(seed=None)) and not drawn(seed=None).equal(made(seed=None).weight)
    torch.manual_seed(1)
    following = torch.rand(1)
    drawn(seed=7)
    assert torch.rand(1) == following  # a seed leaves torch's generator as it is
    assert made(seed=7).weight.equal(made(seed=7).weight) and not made(seed=7).weight.equal(made(seed=8).weight)
    with torch.device("meta"):
        later = made(seed=7)
    later.to_empty(device="cpu").reset_parameters()
    assert later.weight.equal(made(seed=7).weight)


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


def test_dtypes() -> None:
    y, x = data()
    expected = made()(y, x)
    loss = made().double()
    value = loss(y, x.double())
    value.backward()
    assert value.dtype == loss.weight.grad.dtype == torch.float64
    torch.testing.assert_close(value.float(), expected)
    for dtype in (torch.float16, torch.bfloat16):
        loss = made()
        half = x.detach().to(dtype).requires_grad_()
        value = loss(y, half)
        value.backward()
        torch.testing.assert_close(value, made()(y, half.float()), rtol=1e-6, atol=0.0)
        assert value.dtype == loss.weight.grad.dtype == torch.float32 and half.grad.dtype == dtype
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            assert made().weight.dtype == torch.float32
        finally:
            torch.set_default_dtype(before)
    torch.set_default_dtype(torch.float64)
    try:
        assert made().weight.dtype == torch.float64
    finally:
        torch.set_default_dtype(before)


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


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize(("name", "options"), EVERY)
def test_compile(name: str, options: dict[str, Any], autocast: bool) -> None:
    torch._dynamo.reset()
    loss, (y, x) = made(name, **options), data()
    expected = torch.autograd.grad(loss(y, x), (x, *loss.parameters()))
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    # By default torch traces a compiled backward pass under autocast, whatever the forward pass switched off.
    with functorch.patch(backward_pass_autocast="off"):
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


def test_lists_and_arrays() -> None:
    loss, (y, x) = made(), data()
    assert loss(LABELS.tolist(), FEATURES.tolist()) == loss(LABELS, FEATURES) == loss(y, x)


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


BAD_OPTIONS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"loss": "arcfase"}, ValueError, "unknown loss 'arcfase'; did you mean arcface"),
    ({"loss": "mse"}, ValueError, "mean_squared_error owns no weight; those that do: arcface, cosface, linear_cross"),
    ({"loss": "triplet"}, ValueError, "triplet owns no weight; those that do: arcface, .*, sphereface"),
    ({"num_classes": 0}, ValueError, "num_classes must be at least 1, got 0"),
    ({"num_classes": None}, TypeError, "num_classes must be an integer, got None"),
    ({"num_classes": 2.5}, TypeError, "num_classes must be an integer, got 2.5"),
    ({"feature_dim": -1}, ValueError, "feature_dim must be at least 1, got -1"),
    ({"feature_dim": True}, TypeError, "feature_dim must be an integer, got True"),
    ({"scala": 3.0}, TypeError, r"arcface has no option 'scala'; did you mean 'scale'\? \(its options: scale, margin"),
    ({"margin": 4.0}, ValueError, r"margin is an angle in radians and must be in \[0, pi\], got 4"),
    ({"bias": True}, ValueError, "arcface has no bias, got bias=True; those that do: linear_cross_entropy$"),
    ({"bias": "yes"}, TypeError, "bias must be True or False, got 'yes'"),
]


@pytest.mark.parametrize(("options", "error", "message"), BAD_OPTIONS)
def test_bad_options(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        WithWeight(**{"loss": "arcface", "num_classes": C, "feature_dim": D} | options)


def test_bad_seeds_and_missing_sizes() -> None:
    with pytest.raises(TypeError, match=r"seed must be an integer, got 1\.5"):
        made(seed=1.5)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'feature_dim'"):
        ArcFace(num_classes=3)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'num_classes'"):
        ArcFace(feature_dim=3)
    with pytest.raises(TypeError, match="feature_dim must be an integer, got None"):
        made().__class__("arcface", 3, None)


def test_bad_input() -> None:
    loss, (y, x) = made(), data()
    for given, error, message in (
        ((y, x[:, :3]), ValueError, r"features must have feature_dim = 4 columns, got shape \(12, 3\)"),
        ((y, x[0, 0]), ValueError, r"features must have feature_dim = 4 columns, got shape \(\)"),
        ((y, x[0]), ValueError, r"features must have the shape \(N D\), N = 12, got \(4,\)"),
        ((y[:3], x), ValueError, r"features of shape \(N D\) must have N = 3, as labels has, got \(12, 4\)"),
        ((y + 3, x), ValueError, r"labels holds the label \d, but labels must be in \[0, 5\)"),
        ((y - C, x), ValueError, r"labels holds the label -\d, but labels must be in \[0, 5\)"),
        ((y.float(), x), TypeError, "labels must hold integer labels, got dtype torch.float32"),
        ((y, x > 0), TypeError, "features must hold real numbers, got dtype torch.bool"),
        ((y, x, torch.ones(3)), ValueError, r"sample_weight must have the shape .* \(12,\).* got \(3,\)"),
        ((y, x, None, torch.ones(N)), TypeError, "mask must be boolean"),
        ((y, x.to("meta")), ValueError, "features is on meta, but the loss's weight is on cpu; move one of them"),
    ):
        with pytest.raises(error, match=message):
            loss(*given)

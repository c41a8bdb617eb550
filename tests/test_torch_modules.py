"""What users do with a loss as an `nn.Module`: hooks, another `forward`, a compiler, a tracer, copies and modes.

That hooks run at every call, and what `loss.compile` made, is in `test_torch_compat.py`.
"""

import math
from typing import Any

import pytest
import torch

import multiloss

pytestmark = pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # while torch traces
MSE = multiloss.get("mse", backend="torch")


class Doubled(type(MSE)):  # type: ignore[misc]
    """A subclass of a user."""

    def forward(self, *inputs: Any, **named: Any) -> Any:
        return 2 * super().forward(*inputs, **named)


@pytest.mark.parametrize("name", ["mse", "msle", "bce"])
@pytest.mark.parametrize("size", [4, 10_000])  # below and above what goes to torch's kernels
def test_value_and_grad_is_of_the_forward_and_with_the_hooks(name: str, size: int) -> None:
    t, p = torch.linspace(0.1, 0.9, size), torch.linspace(0.8, 0.2, size)
    loss = multiloss.get(name, backend="torch", axis=())
    value, gradient = loss.value_and_grad(t, p)
    torch.testing.assert_close(Doubled(loss.spec).value_and_grad(t, p), (2 * value, 2 * gradient))
    loss.register_forward_hook(lambda module, inputs, value: 3 * value)
    torch.testing.assert_close(loss.value_and_grad(t, p), (3 * value, 3 * gradient))


@pytest.mark.parametrize("how", ["subclass", "instance", "class"])
@pytest.mark.parametrize("name", ["mse", "msle"])
def test_another_forward_is_what_is_called(name: str, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every call of a kind that was seen before, and in what was compiled before."""
    loss, x = multiloss.get(name, backend="torch"), torch.ones(2, 3)
    if how == "subclass":
        loss = Doubled(loss.spec)
    compiled = torch.compile(loss, backend="eager", fullgraph=True)
    plain = [call(x, x + 1).item() for call in (loss, loss, compiled)]
    if how == "subclass":
        expected = 2 * multiloss.get(name, backend="torch")(x, x + 1).item()
        assert plain == pytest.approx([expected] * 3)
        return
    assert loss._direct  # such arrays go to a kernel or plan at once now
    monkeypatch.setattr(loss if how == "instance" else type(loss), "forward", lambda *_, **__: torch.tensor(9.0))
    assert loss(x, x).item() == loss(x, x).item() == 9
    if how == "class":  # what was compiled before is not compiled anew
        torch._dynamo.reset()
    assert compiled(x, x).item() == 9


def test_compiled_losses_have_hooks() -> None:
    loss, x = multiloss.get("mse", backend="torch"), torch.ones(2, 3)
    loss.register_forward_hook(lambda module, inputs, value: value + 1)
    assert torch.compile(loss, backend="eager", fullgraph=True)(x, x).item() == 1


def test_pickles_hold_no_kernels() -> None:
    """Nor needs what was saved before there was one."""
    loss, x = multiloss.get("mse", backend="torch"), torch.ones(2, 3)
    state = loss.__getstate__()
    assert not {"_kernel", "_anywhere", "_direct"} & set(state)
    other = type(loss).__new__(type(loss))
    other.__setstate__(state | {"_kernel": None, "_direct": {}})
    assert other(x, x + 2).item() == 4 and other._direct


@pytest.mark.parametrize("name", ["mse", "msle", "bce", "scce", "triplet_margin", "gaussian_nll", "arcface", "center"])
def test_eager_calls_between_compiled_ones_compile_nothing_anew(name: str) -> None:
    compiled = []

    def backend(graph: Any, inputs: Any) -> Any:
        compiled.append(graph)
        return graph

    options = {"num_classes": 2, "feature_dim": 2, "alpha": 0.0} if name == "center" else {}
    loss = multiloss.get(name, backend="torch", **options)
    t, p = torch.tensor([[0.25, 0.75], [0.5, 0.5]]), torch.tensor([[0.5, 0.5], [0.25, 0.75]], requires_grad=True)
    t = torch.tensor([0, 1]) if name in ("scce", "arcface", "center") else t
    inputs = (t, p, p.detach() + 1) if name in ("triplet_margin", "gaussian_nll", "arcface") else (t, p)
    fast = torch.compile(loss, backend=backend, fullgraph=True)
    values = [call(*inputs).item() for call in (fast, loss, fast, loss, loss, fast)]
    assert len(compiled) == 1 and values == pytest.approx(values[:1] * 6, rel=1e-6)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_what_one_mode_keeps_serves_the_others(mode: Any) -> None:
    loss = multiloss.get("bce", backend="torch", from_logits=True)
    t, z = torch.tensor([[0.0, 1.0, 1.0]]), torch.tensor([[-90.0, 90.0, -90.0]])
    with mode():
        loss(t.clone(), z.clone())
    leaf = z.clone().requires_grad_()
    (first,) = torch.autograd.grad(loss(t, leaf), leaf, create_graph=True)
    torch.testing.assert_close(first, torch.tensor([[math.exp(-90), -math.exp(-90), -1.0]]) / 3, rtol=1e-5, atol=0)
    assert not torch.autograd.grad(first.sum(), leaf)[0].isnan().any()

"""Eager torch: value and gradient in one pass, whole and in blocks, and what autograd may ask of it afterwards."""

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx

import multiloss
from helpers.arrays import to_numpy
from helpers.calls import good
from helpers.losses import check_gradient, check_value, make, native
from multiloss.engine import registry
from multiloss_torch import fast
from reference.cases import cases, fixed
from reference.losses import LOSSES, SPARSE

NO_KERNEL = ("log_cosh", "mean_squared_logarithmic_error", "root_mean_squared_error", "kl_divergence")


@pytest.fixture(scope="module", autouse=True)
def small_blocks() -> Any:
    """Blocks of a few elements, so that small cases are several of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast, "BLOCK", 4)
        yield


@pytest.mark.filterwarnings("ignore:.*absolute value.*")
@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=20)
@given(data=st.data())
def test_blocks(name: str, data: st.DataObject) -> None:
    """Every reduction, axis, option, weight and mask, by `backward` and by `value_and_grad`."""
    dtype = data.draw(st.sampled_from(["float16", "float32", "float64"]))
    case = data.draw(cases(name, dtype))
    y_true, y_pred, arguments = native("torch", case, dtype)
    loss = make("torch", name, dtype, **case.options)
    loss._kernel = None  # torch's own kernels do not come here
    value, gradient = loss.value_and_grad(y_true, y_pred, **arguments)
    check_value(name, case, dtype, to_numpy(value))
    check_gradient(name, case, dtype, to_numpy(gradient))
    y_pred.requires_grad_()
    loss(y_true, y_pred, **arguments).sum().backward()
    check_gradient(name, case, dtype, to_numpy(y_pred.grad))


@pytest.mark.parametrize("shape", [(5, 3), (3, 5, 2), (12,)])
@pytest.mark.parametrize("name", LOSSES)
def test_blocks_are_taken(name: str, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows in memory are split, and give what the whole gives; a transposed array is not split."""
    rng = np.random.default_rng(0)
    y_pred = torch.from_numpy(rng.uniform(0.1, 0.9, shape))
    y_true = torch.from_numpy(
        rng.integers(0, shape[-1], shape[:-1]) if name == SPARSE else rng.uniform(0.1, 0.9, shape)
    )
    blocks = []
    one = fast._values_and_derivatives
    monkeypatch.setattr(fast, "_values_and_derivatives", lambda *a: blocks.append(a[2]) or one(*a))
    loss = multiloss.get(name, backend="torch")
    loss._kernel = None
    value, gradient = loss.value_and_grad(y_true, y_pred)
    one_sample = len(shape) == 1 and loss.spec.definition.kind != "elementwise"
    assert (len(blocks) == 1) == one_sample
    monkeypatch.setattr(fast, "BLOCK", 10**6)
    blocks.clear()
    whole, slope = loss.value_and_grad(y_true, y_pred)
    assert len(blocks) == 1
    torch.testing.assert_close(value, whole, rtol=1e-14, atol=0)
    torch.testing.assert_close(gradient, slope, rtol=1e-14, atol=0)


def test_inputs_changed_before_backward() -> None:
    """The gradient is that of what the forward pass saw; what it cannot be computed from any more is refused."""
    loss = multiloss.get("log_cosh", backend="torch")
    y_true, leaf = torch.zeros(3, 4), torch.ones(3, 4, requires_grad=True)
    _, expected = loss.value_and_grad(y_true, 2 * leaf)
    hidden = leaf * 2
    value = loss(y_true, hidden)
    hidden.detach().add_(1)
    hidden.add_(1)
    value.backward(retain_graph=True)
    torch.testing.assert_close(leaf.grad, 2 * expected)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


@pytest.mark.parametrize(("name", "from_logits"), [("bce", True), ("bce", False), ("kl", None)])
def test_gradient_by_the_targets(name: str, from_logits: bool | None) -> None:
    """Of hard targets, too, for which another formula has the same value; in reverse and in forward mode."""
    p = torch.tensor([[0.2, 0.8], [0.5, 0.5]], dtype=torch.float64)
    t = torch.tensor([[0.5, 1.0], [1.0, 1.0]] if name == "kl" else [[0.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    loss = multiloss.get(name, backend="torch", **({} if from_logits is None else {"from_logits": from_logits}))
    expected = {
        None: (t.log() + 1 - p.log()) / 2,
        True: -p / 4,
        False: (torch.log1p(-p) - p.log()) / 4,
    }[from_logits]
    torch.testing.assert_close(loss.value_and_grad(t, p, wrt="y_true")[1], expected)
    with forward_ad.dual_level():
        value = loss(forward_ad.make_dual(t, torch.ones_like(t)), p)
        torch.testing.assert_close(forward_ad.unpack_dual(value).tangent, expected.sum())
    torch.testing.assert_close(torch.func.jacfwd(loss)(t, p), expected)
    torch.testing.assert_close(torch.func.grad(loss)(t, p), expected)
    by_both = loss.value_and_grad(t, p)[1].sum() + expected.sum()
    ones = torch.ones_like(t)
    torch.testing.assert_close(torch.func.jvp(loss, (t, p), (ones, ones))[1], by_both)


@pytest.mark.parametrize("name", LOSSES)
def test_value_and_gradient_in_inference_mode(name: str) -> None:
    """Of tensors made there, and of others."""
    loss = multiloss.get(name, backend="torch")
    case = fixed(name, "float32")
    outside = [torch.from_numpy(x) for x in (case.y_true, case.y_pred)]
    expected = loss.value_and_grad(*outside)
    with torch.inference_mode():
        inside = [torch.from_numpy(x) for x in (case.y_true, case.y_pred)]
        for arrays in (outside, inside):
            torch.testing.assert_close(loss.value_and_grad(*arrays), expected)
            torch.testing.assert_close(loss(*arrays), expected[0])


def test_without_a_backend_named_in_compiled_code() -> None:
    """Losses that take their backend from the arrays, and the functions, as the first that is called in a process."""
    code = """
import multiloss, torch
torch.manual_seed(0)
p, q = torch.rand(3, 4).softmax(-1), torch.rand(3, 4).softmax(-1)
labels = torch.tensor([0, 1, 2])
calls = [
    (multiloss.get("huber"), (p, q)), (multiloss.get("scce"), (labels, p)), (multiloss.softmax, (p,)),
    (multiloss.log_softmax, (p,)), (multiloss.logsumexp, (p,)), (multiloss.info.entropy, (p,)),
    (multiloss.info.cross_entropy, (p, q)), (multiloss.info.kl_divergence, (p, q)),
]
for function, arrays in calls:
    compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(*arrays), function(*arrays))
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


TWO = [n for n in multiloss.list_losses() if n not in registry.CENTER and registry.find(n).kind != "of_inputs"]


@pytest.mark.parametrize("name", TWO)
def test_forward_over_reverse(name: str) -> None:
    """`torch.func.jvp` of `torch.func.grad`, which torch's kernels of huber and mse lack."""
    y_true, y_pred = (torch.from_numpy(x) for x in good(name).values())
    y_pred = y_pred.double() * torch.linspace(0.6, 1.0, y_pred.numel(), dtype=torch.float64).view(y_pred.shape)
    y_true = y_true if registry.find(name).integer_targets else y_true.double()
    direction = torch.linspace(-1.0, 1.0, y_pred.numel(), dtype=torch.float64).view(y_pred.shape)
    loss = multiloss.get(name, backend="torch")
    loss(y_true, y_pred)  # its kernel is known from now on
    forward = torch.func.jvp(torch.func.grad(lambda x: loss(y_true, x)), (y_pred,), (direction,))[1]
    leaf = y_pred.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(y_true, leaf), leaf, create_graph=True)
    if slope.requires_grad:
        (reverse,) = torch.autograd.grad((slope * direction).sum(), leaf, materialize_grads=True)
    else:
        reverse = torch.zeros_like(leaf)
    torch.testing.assert_close(forward, reverse, rtol=1e-9, atol=1e-12)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own, while it traces
def test_compiled_infinities() -> None:
    """What stands in for isinf, isnan, sinh and tanh under inductor gives nan and infinity where they do."""
    x = torch.tensor([-torch.inf, -50.0, -0.6, -1e-3, -0.0, 0.0, 0.5, 0.52, 3.0, 90.0, torch.inf, torch.nan])
    rows = torch.stack([x, x.flip(0)], dim=1)
    hot, labels = torch.tensor([[1.0, 0.0]]).expand_as(rows), torch.arange(len(x)) % 2
    options = {"reduction": "none", "validate": False}
    bits = multiloss.get("bce", backend="torch", from_logits=True, **options)
    classes = multiloss.get("cce", backend="torch", from_logits=True, **options)
    sparse = multiloss.get("scce", backend="torch", **options)
    curve = multiloss.get("log_cosh", backend="torch", **options)
    margins = multiloss.get("multi_margin", backend="torch", **options)

    for function in (
        lambda z: bits(hot, z),
        lambda z: classes(hot, z),
        lambda z: sparse(labels, z),
        lambda z: curve(torch.zeros_like(z), z),
        lambda z: margins(labels, z),
    ):
        torch._dynamo.reset()
        found, expected = (with_gradient(f, rows) for f in (torch.compile(function, fullgraph=True), function))
        torch.testing.assert_close(found, expected, rtol=4e-7, atol=1e-37, equal_nan=True)


def with_gradient(function: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """All values and the gradient of their sum."""
    leaf = x.clone().requires_grad_()
    values = function(leaf)
    return values.detach(), torch.autograd.grad(values.sum(), leaf)[0]


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own, while it traces
@pytest.mark.parametrize("name", ["mae", "huber", "quantile"])
def test_a_traced_gradient_hides_no_nan(name: str) -> None:
    """torch's kernel of the absolute error has the derivative 0 at nan, and so have `abs` and `sign`."""
    t, p = torch.zeros(3), torch.tensor([math.nan, 2.0, -3.0])
    loss = multiloss.get(name, "torch", reduction="sum", axis=())
    loss(t, torch.ones(3))

    def gradient(t: Any, p: Any) -> Any:
        leaf = p.detach().requires_grad_()
        return torch.autograd.grad(loss(t, leaf), leaf)[0]

    slope = 0.5 if name == "quantile" else 1.0
    for tracing_mode in ("real", "symbolic"):
        traced = make_fx(gradient, tracing_mode=tracing_mode)(t, torch.tensor([1.0, 2.0, 3.0]))
        np.testing.assert_array_equal(traced(t, p).numpy(), [math.nan, slope, -slope])
    if name != "mae":  # of the others torch's compiler has its own
        return
    torch._dynamo.reset()
    compiled, leaf = torch.compile(lambda p: loss(t, p), fullgraph=True), p.clone().requires_grad_()
    compiled(leaf).backward()
    np.testing.assert_array_equal(leaf.grad.numpy(), [math.nan, slope, -slope])


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_nor_that_of_a_norm() -> None:
    loss = multiloss.get("triplet_margin", "torch", power=1, reduction="sum")
    a, n = torch.zeros(2, 2), torch.ones(2, 2)
    for call in (loss, torch.compile(loss)):
        leaf = torch.tensor([[math.nan, 1.0], [1.0, -2.0]], requires_grad=True)
        call(a, leaf, n).backward()
        assert leaf.grad is not None and leaf.grad[0, 0].isnan() and leaf.grad[1].tolist() == [1.0, -1.0]


@pytest.mark.parametrize("name", ["mse", "bce", "log_cosh", "kl_divergence", "gaussian_nll"])
def test_nothing_more_by_place(name: str) -> None:
    """`sample_weight` and `mask` by place, as in Keras, at the second call, which goes to a kernel or plan, too."""
    loss = multiloss.get(name, backend="torch")
    inputs = [torch.from_numpy(x) for x in good(name).values()]
    more = [] if loss.spec.definition.kind == "of_inputs" else [None, None]
    expected = loss.to_backend("numpy").value_and_grad(*(x.numpy() for x in inputs))
    for _ in range(3):
        for call in (inputs, inputs + more[:1], inputs + more):
            value, gradient = loss.value_and_grad(*call)
            torch.testing.assert_close((value, gradient), tuple(map(torch.as_tensor, expected)))
            inputs[1].grad = None
            loss(call[0], inputs[1].requires_grad_(), *call[2:]).backward()
            torch.testing.assert_close(inputs[1].grad, gradient)
            inputs[1].requires_grad_(False)
    weight = torch.full(loss(*inputs).shape, 2.0)
    if more:
        torch.testing.assert_close(loss(*inputs, weight), 2 * loss(*inputs))


@pytest.mark.parametrize(
    "name", ["mse", "huber", "log_cosh", "cce", "kl", "bce", "dice", "hinge", "linear_cross_entropy"]
)
def test_forward_mode_over_forward_mode(name: str) -> None:
    loss, func = multiloss.get(name, backend="torch", validate=False), torch.func
    t, p = torch.rand(2, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.8 + 0.1
    if name == "linear_cross_entropy":
        labels = torch.tensor([0, 1])

        def f(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
            return loss(labels, x, w)
    else:
        f = loss
    for inner in (0, 1) if name == "linear_cross_entropy" else (1,):
        wanted = func.jacrev(func.jacrev(f, inner), 1)(t, p)
        torch.testing.assert_close(func.jacfwd(func.jacfwd(f, inner), 1)(t, p), wanted)


def test_one_sample_of_linear_cross_entropy() -> None:
    loss = multiloss.get("linear_cross_entropy", backend="torch")
    x, w = torch.linspace(-1, 1, 3), torch.linspace(-1, 2, 12).view(4, 3).requires_grad_()
    found = torch.autograd.grad(loss(torch.tensor(0), x, w), w)[0]
    torch.testing.assert_close(found, torch.autograd.grad(loss(torch.tensor([0]), x[None], w), w)[0])

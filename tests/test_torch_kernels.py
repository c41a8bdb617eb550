"""torch's kernels and closed forms of the catalogue against the definitions, which a weight of 1 makes answer: values,
first and second derivatives, at random and at ties, zeros, extremes and nan."""

import dataclasses
from typing import Any

import pytest
import torch
from torch.autograd import forward_ad

import multiloss
from multiloss_torch import fast, kernels

RNG = torch.Generator().manual_seed(0)
NAN, INF = float("nan"), float("inf")
CHANCES = (0.0, 1e-8, 1e-7, 1.5e-7, 1e-3, 0.5, 1 - 1e-6, 1.0)


@dataclasses.dataclass(frozen=True)
class Case:
    """A loss, how its targets are drawn, options, and scores that are edges."""

    name: str
    kind: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    edges: tuple[float, ...] = (0.0, 1.0, -1.0, 1e-30, 1e4, -1e4, 50.0, -50.0, 90.0, -90.0)


PLAIN = (
    Case("smooth_l1", "real"),
    Case("smooth_l1", "real", {"beta": 0.0}),
    Case("smooth_l1", "real", {"beta": 0.25}),
    Case("smooth_l1", "real", {"beta": 2.0}),
    Case("poisson", "count", edges=(0.0, 1.0, 1e-30, 1e4, 1e30)),
    Case("poisson", "count", {"epsilon": 0.0}, edges=(0.0, 1.0, 1e4, 1e30)),
    Case("poisson_nll", "count", edges=(0.0, 1.0, -1.0, 80.0, -1e4)),
    Case("poisson_nll", "count", {"full": True}, edges=(0.0, 1.0, -1.0, 80.0, -1e4)),
    Case("poisson_nll", "count", {"log_input": False}, edges=(0.0, 1.0, 1e-30, 1e4, 1e30)),
    Case("soft_margin", "sign"),
    Case("soft_margin", "bit", {"labels": "01"}),
    Case("hinge_embedding", "sign"),
    Case("hinge_embedding", "bit", {"labels": "01", "margin": 0.5}),
    Case("multilabel_soft_margin", "bit"),
    Case("multilabel_soft_margin", "chance"),
    Case("binary_crossentropy", "bit", {"from_logits": True}),
    Case("binary_crossentropy", "chance", {"from_logits": True}),
    Case("nll", "label"),
    Case("multi_margin", "label"),
    Case("multi_margin", "label", {"margin": 0.5, "power": 2}, edges=(0.0, 1.0, -1.0, 1e4, -1e4)),
    Case("multilabel_margin", "set"),
    Case("dice", "chance", {"smooth": 0.5}, edges=(0.0, 1.0, 1e-30, 0.5)),
    Case("dice", "bit", edges=(0.0, 1.0, 1e-30, 0.5)),
    Case("tversky", "chance", {"alpha": 0.3, "beta": 0.7}, edges=(0.0, 1.0, 1e-30, 0.5)),
    Case("tversky", "bit", {"alpha": 1.0, "beta": 0.0}, edges=(0.0, 1.0, 1e-30, 0.5)),
)  # fmt: skip
FLOORED = (
    Case("binary_crossentropy", "bit", edges=CHANCES),
    Case("binary_crossentropy", "chance", {"label_smoothing": 0.2}, edges=CHANCES),
)
"""Whose second derivative torch's kernel has to nine digits only."""
INPUTS = (
    Case("gaussian_nll", "variance"),
    Case("gaussian_nll", "variance", {"full": True, "epsilon": 1e-3}),
    Case("margin_ranking", "ranked", {"margin": 0.5}),
    Case("cosine_embedding", "paired", {"margin": 0.1}),
    Case("triplet_margin", "triplet"),
    Case("triplet_margin", "triplet", {"epsilon": 1e-6}),
)


def named(cases: tuple[Case, ...]) -> list[Any]:
    return [pytest.param(case, id=f"{case.name}-{case.options}-{case.kind}") for case in cases]


OF_INPUTS, EVERY = named(INPUTS), named(PLAIN + INPUTS)


def draw(case: Case, dtype: torch.dtype, n: int = 6, c: int = 4) -> list[torch.Tensor]:
    """Inputs in order."""

    def real(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=RNG, dtype=dtype)

    bits = (torch.rand((n, c), generator=RNG) < 0.5).to(dtype)
    first = {
        "real": real(n, c),
        "count": torch.arange(n * c).reshape(n, c).remainder(4).to(dtype),
        "sign": 2 * bits - 1,
        "bit": bits,
        "chance": torch.rand((n, c), generator=RNG, dtype=dtype),
        "label": torch.arange(n) % c,
        "set": torch.tensor([[1, 3, -1, 0], [2, 2, 0, -1], [-1, 0, 1, 2]]).repeat(n // 3, 1),  # one named twice; none
        "variance": real(n, c),
        "ranked": 2 * bits - 1,
        "paired": 2 * (torch.arange(n) % 2).to(dtype) - 1,
        "triplet": real(n, c),
    }[case.kind]
    scores = real(n, c)
    if case.kind == "count" and case.options.get("log_input", case.name == "poisson_nll") is False:
        scores = scores.exp()
    if case.name in ("dice", "tversky") or case.edges is CHANCES:
        scores = scores.sigmoid()
    if case.name == "nll":
        scores = scores.log_softmax(-1)
    more = {"variance": [real(n, c).exp() + 0.1]} | {kind: [real(n, c)] for kind in ("ranked", "paired", "triplet")}
    return [first, scores, *more.get(case.kind, [])]


def make(case: Case, **options: Any) -> Any:
    return multiloss.get(case.name, backend="torch", **case.options, **options)


def by_definition(loss: Any, *inputs: torch.Tensor) -> torch.Tensor:
    """A weight of 1 changes nothing but the way."""
    return loss(*inputs, sample_weight=torch.ones((), dtype=inputs[1].dtype))


def derivatives(loss: Any, call: Any, inputs: list[torch.Tensor], positions: tuple[int, ...] = (1,)) -> list[Any]:
    """The value, the gradients, and those of a function of them."""
    ready = [x.clone().requires_grad_(i in positions) for i, x in enumerate(inputs)]
    by = [ready[i] for i in positions]
    value = call(loss, *ready)
    first = torch.autograd.grad(3 * value, by, create_graph=True, materialize_grads=True)
    total = sum((x * torch.arange(1.0, x.numel() + 1, dtype=x.dtype).reshape(x.shape)).sum() for x in first)
    total = total + sum((0 * x).sum() for x in by)  # a constant gradient has no graph
    second = torch.autograd.grad(total, by, materialize_grads=True)
    return [value.detach(), *(x.detach() for x in first), *second]


def ours(loss: Any, *inputs: torch.Tensor) -> torch.Tensor:
    return loss(*inputs)


def few(dtype: torch.dtype, count: float = 16) -> dict[str, Any]:
    return {"rtol": count * torch.finfo(dtype).eps, "equal_nan": True}


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    """Whichever tests run."""
    RNG.manual_seed(0)


@pytest.fixture(params=["few", "many", "blocks"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Kernels for few elements; what is for many, whole; the same in blocks of two rows."""
    if request.param != "few":
        monkeypatch.setattr(kernels, "_FEW", 0)
    if request.param == "blocks":
        monkeypatch.setattr(fast, "BLOCK", 8 // torch.get_num_threads())
    return str(request.param)


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", EVERY)
def test_as_the_definition(case: Case, dtype: torch.dtype) -> None:
    """Called twice: the second call of a kind goes to the kernel at once."""
    loss, inputs = make(case), draw(case, dtype)
    wanted = derivatives(loss, by_definition, inputs)
    for _ in range(2):
        for got, expected in zip(derivatives(loss, ours, inputs), wanted, strict=True):
            torch.testing.assert_close(got, expected, atol=8 * torch.finfo(dtype).eps, **few(dtype))
        with torch.no_grad():
            torch.testing.assert_close(loss(*inputs), wanted[0], atol=0.0, **few(dtype))
        value, gradient = loss.value_and_grad(*inputs)
        torch.testing.assert_close(value, wanted[0], atol=0.0, **few(dtype))
        torch.testing.assert_close(3 * gradient, wanted[1], atol=torch.finfo(dtype).eps, **few(dtype))


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize("reduction", ["sum", "batchmean", "weighted_mean", "none"])
@pytest.mark.parametrize("case", EVERY)
def test_other_reductions(case: Case, reduction: str) -> None:
    loss, inputs = make(case, reduction=reduction), draw(case, torch.float64)
    call = (lambda *x: by_definition(*x).sum()), (lambda *x: ours(*x).sum())
    wanted, got = (derivatives(loss, one, inputs) for one in call)
    torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-13)


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize("case", [c for c in EVERY if c.values[0].kind not in ("label", "set")])
def test_by_every_input(case: Case) -> None:
    """The closed forms give each derivative that is asked for, alone and together; where a target is to be
    differentiated by, and there is none by it, the definition's expression gives it."""
    loss, inputs = make(case), draw(case, torch.float64)
    for positions in ((0,), (0, 1)) if len(inputs) == 2 else ((2,), (1, 2), (0, 1), (0, 1, 2)):
        wanted = derivatives(loss, by_definition, inputs, positions)
        torch.testing.assert_close(derivatives(loss, ours, inputs, positions), wanted, rtol=1e-12, atol=1e-14)
    if len(inputs) == 2:
        with forward_ad.dual_level():
            dual = forward_ad.make_dual(inputs[0], torch.ones_like(inputs[0]))
            got, wanted = (
                forward_ad.unpack_dual(call(loss, dual, inputs[1])).tangent for call in (ours, by_definition)
            )
            torch.testing.assert_close(got, wanted)


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", named(PLAIN + FLOORED))
def test_edges(case: Case, dtype: torch.dtype) -> None:
    """Every edge alone among ordinary scores, and all scores at it: ties, zeros, extremes, nan and infinity."""
    differs = case.kind == "count" or case.name in ("dice", "tversky") or case in FLOORED
    few_bits = 16 if case.kind != "label" or case.name == "nll" else 64
    for edge in (*case.edges, NAN, INF, -INF):
        for alone in (True, False):
            loss, inputs = make(case, validate=False), draw(case, dtype)  # a new one, which knows no way yet
            if alone:
                inputs[1][1, 2] = edge
            else:
                inputs[1][:] = edge
            ready = [[inputs[0], inputs[1].clone().requires_grad_()] for _ in range(2)]
            values = [call(loss, *x) for call, x in zip((ours, by_definition), ready, strict=True)]
            slopes = [torch.autograd.grad(v, x[1])[0] for v, x in zip(values, ready, strict=True)]
            least = 8 * torch.finfo(dtype).eps if alone else 0.0  # values of both signs
            torch.testing.assert_close(*values, atol=least, **few(dtype, few_bits), msg=f"value at {edge}")
            # Against the larger of its terms where the derivative is a difference: of a rate and a count, of shares.
            tiny = few_bits * torch.finfo(dtype).eps / 6 if differs else torch.finfo(dtype).tiny
            torch.testing.assert_close(*slopes, atol=tiny, **few(dtype, few_bits), msg=f"gradient at {edge}")


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize(
    ("name", "y_true", "y_pred", "gradient"),
    [
        ("smooth_l1", [0.0, 0.0, 1.0], [1.0, -1.0, 1.0], [1 / 3, -1 / 3, 0.0]),
        ("hinge_embedding", [-1.0, -1.0, 1.0], [1.0, 0.5, 0.0], [0.0, -1 / 3, 1 / 3]),
        ("multi_margin", 0, [1.0, 0.0, 0.5], [-1 / 3, 0.0, 1 / 3]),
        ("multilabel_margin", [0, -1, 1], [1.0, 0.0, 0.5], [-1 / 3, 0.0, 1 / 3]),
    ],
)
def test_kinks(name: str, y_true: Any, y_pred: list[float], gradient: list[float]) -> None:
    """The gradient there is 0, or between both sides for a smooth one."""
    loss = multiloss.get(name, backend="torch")
    for _ in range(2):
        _, got = loss.value_and_grad(torch.tensor(y_true), torch.tensor(y_pred))
        torch.testing.assert_close(got, torch.tensor(gradient))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", OF_INPUTS)
def test_edges_of_closed_forms(case: Case, dtype: torch.dtype) -> None:
    """Equal points, vectors of 0, those whose squares are no numbers, a kink, nan: what the definition gives."""
    loss = make(case, validate=False)
    large = 1e30 if dtype == torch.float32 else 1e200
    for edge in (0.0, 1e-30, large, -large, NAN, INF):
        inputs = draw(case, dtype)
        inputs[1][2] = edge
        if edge == 0:
            inputs[2][2] = inputs[0][2] if case.kind == "triplet" else 0.0
        wanted, got = (derivatives(loss, call, inputs, (1, 2))[:3] for call in (by_definition, ours))
        torch.testing.assert_close(got, wanted, atol=8 * torch.finfo(dtype).eps, **few(dtype))


@pytest.mark.parametrize("axis", [None, 0, (0, 1), ()])
@pytest.mark.parametrize("name", ["dice", "tversky", "multi_margin", "multilabel_margin", "soft_margin"])
def test_other_axes(name: str, axis: Any) -> None:
    """The same axes as the definition's, where it takes them; also of more than two."""
    if axis != 0 and name in ("multi_margin", "multilabel_margin"):
        return
    case = next(c for c in PLAIN if c.name == name)
    inputs = draw(case, torch.float64, 6, 4)
    loss = make(case, axis=axis)
    if name == "multi_margin":
        inputs[0] = torch.tensor([0, 5, 2, 3])
    for arrays in (inputs, [x.expand(2, *x.shape).contiguous() for x in inputs] if axis is None else inputs):
        wanted, got = (derivatives(loss, call, arrays) for call in (by_definition, ours))
        torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("case", EVERY)
def test_what_autograd_asks(case: Case) -> None:
    """A graph used twice, a batch of factors, a result that is nobody else's memory; `torch.func`."""
    loss, (first, second, *more) = make(case), draw(case, torch.float64)
    _, once = loss.value_and_grad(first, second, *more)
    leaf = second.clone().requires_grad_()
    value = loss(first, leaf, *more)
    (one,) = torch.autograd.grad(value, leaf, retain_graph=True)
    one.zero_()
    (two,) = torch.autograd.grad(value, leaf, retain_graph=True)
    torch.testing.assert_close(two, once)
    factors = torch.tensor([1.0, -2.0], dtype=torch.float64)
    (several,) = torch.autograd.grad(value, leaf, factors, is_grads_batched=True, retain_graph=True)
    torch.testing.assert_close(several, torch.stack([once, -2 * once]))
    (2 * value).backward()
    torch.testing.assert_close(leaf.grad, 2 * once)
    torch.testing.assert_close(torch.func.grad(lambda x: loss(first, x, *more))(second), once)
    if case in PLAIN:
        ones = torch.ones_like(second)
        torch.testing.assert_close(torch.func.jvp(lambda x: loss(first, x), (second,), (ones,))[1], once.sum())


def test_they_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call of each comes to its kernel: what is tested above is not the definition twice."""
    by_definition = {"hinge_embedding", "poisson", "poisson_nll", "dice", "tversky"}
    assert {case.name for case in PLAIN} - kernels.MEAN.keys() - kernels.TOGETHER.keys() == by_definition
    asked = []
    for name, one in list(kernels.TOGETHER.items()):
        monkeypatch.setitem(kernels.TOGETHER, name, lambda *x, one=one, name=name: asked.append(name) or one(*x))
    for case in PLAIN:
        loss, inputs = make(case), draw(case, torch.float32)
        loss.value_and_grad(*inputs)
        soft = case.name == "binary_crossentropy" and case.kind == "chance"
        unlike = soft or case.options in ({"beta": 0.0}, {"beta": 0.25})
        if case.name in kernels.MEAN:
            assert any(not isinstance(call, fast.Plan) for call in loss._direct.values()) == (not unlike), case
    assert set(asked) == kernels.TOGETHER.keys()
    taken = []
    one_pass = fast.Plan.value_and_gradients
    monkeypatch.setattr(
        fast.Plan, "value_and_gradients", lambda plan, *a: taken.append(plan.spec.name) or one_pass(plan, *a)
    )
    for case in INPUTS:
        loss, inputs = make(case), draw(case, torch.float32)
        inputs[1].requires_grad_()
        loss(*inputs)
    assert taken == [case.name for case in INPUTS]

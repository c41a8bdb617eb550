"""PyTorch's own losses of the same meaning, in float64."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch._dynamo.backends.debugging import aot_eager

import multiloss

RNG = np.random.default_rng(0)


def reals(*shape: int) -> torch.Tensor:
    """Normal numbers, to differentiate by."""
    return torch.tensor(RNG.normal(size=shape), requires_grad=True)


def same(ours: torch.Tensor, theirs: torch.Tensor, *by: torch.Tensor) -> None:
    """Values and gradients."""
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    got, wanted = (torch.autograd.grad(x.sum(), by, retain_graph=True) for x in (ours, theirs))
    torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-10)


def loss(name: str, **options: Any) -> Any:
    """Unreduced."""
    return multiloss.get(name, "torch", reduction="none", validate=False, **options)


def test_gaussian_nll() -> None:
    """`eps` is our epsilon; the third argument is the variance in both. 0 and 0.001 are below the floor."""
    t, p = reals(4, 3), reals(4, 3)
    v = torch.tensor(RNG.uniform(0.1, 2.0, (4, 3)))
    v[0, 0], v[1, 1] = 0.0, 0.001
    v.requires_grad_()
    for full, floor in ((False, 1e-6), (True, 0.01)):
        ours = loss("gaussian_nll", full=full, epsilon=floor)(t, p, v)
        theirs = F.gaussian_nll_loss(p, t, v, full=full, eps=floor, reduction="none")
        same(ours, theirs, t, p, v)


def test_margin_ranking() -> None:
    """Other places of the arguments."""
    a, b, t = reals(6), reals(6), torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    for margin in (0.0, 0.5):
        same(
            loss("margin_ranking", margin=margin)(t, a, b),
            F.margin_ranking_loss(a, b, t, margin=margin, reduction="none"),
            a,
            b,
        )


def test_ctc() -> None:
    """Log-probabilities, time first; its mean is that of values divided by the labels' lengths."""
    z, labels = reals(4, 9, 5), torch.tensor([[1, 2, 2], [3, 3, 1], [4, 1, 2], [2, 2, 2]])
    label_lengths, input_lengths = torch.tensor([3, 2, 0, 3]), torch.tensor([9, 4, 5, 6])
    log_p = F.log_softmax(z, -1).transpose(0, 1)
    for blank, t in ((0, labels), (4, labels - 1)):
        ours = loss("ctc", blank=blank)(t, z, label_lengths, input_lengths)
        same(ours, F.ctc_loss(log_p, t, input_lengths, label_lengths, blank, "none"), z)
    mean = multiloss.get("ctc", "torch", normalize="length")(labels, z, label_lengths, input_lengths)
    same(mean, F.ctc_loss(log_p, labels, input_lengths, label_lengths), z)
    short = torch.tensor([9, 2, 5, 6])  # 3 3 needs three frames; torch's gradient of inf is nan
    assert torch.isinf(loss("ctc")(labels, z, label_lengths, short)[1])
    same(
        loss("ctc", zero_infinity=True)(labels, z, label_lengths, short),
        F.ctc_loss(log_p, labels, short, label_lengths, reduction="none", zero_infinity=True),
        z,
    )


def test_ctc_of_many_frames_in_float32() -> None:
    """The gradient keeps float32's digits over 600 frames, of which torch's own loses two more."""
    z, labels = (
        torch.tensor(RNG.normal(size=(2, 600, 8)), dtype=torch.float32),
        torch.tensor(RNG.integers(1, 8, (2, 100))),
    )
    lengths = torch.full((2,), 100), torch.full((2,), 600)

    def slope(x: torch.Tensor, ours: bool) -> torch.Tensor:
        x = x.clone().requires_grad_()
        log_p = F.log_softmax(x, -1).transpose(0, 1)
        theirs = F.ctc_loss(log_p, labels, lengths[1], lengths[0], reduction="none")
        return torch.autograd.grad((loss("ctc")(labels, x, *lengths) if ours else theirs).sum(), x)[0].double()

    exact = slope(z.double(), True)
    torch.testing.assert_close(exact, slope(z.double(), False), rtol=0.0, atol=1e-10)
    off = (slope(z, True) - exact).abs().max()
    assert off < 2e-5
    assert off < (slope(z, False) - exact).abs().max() / 10


def test_ctc_compiles_one_loop_and_not_a_copy_for_each_frame() -> None:
    """The graph of fifty frames is no longer than that of five, and both are the loss and its gradient."""
    labels, label_lengths = torch.tensor([[1, 2, 2], [3, 3, 1]]), torch.tensor([3, 2])
    ours, sizes = loss("ctc"), []

    def counted(graph: torch.fx.GraphModule, inputs: Any) -> Any:
        sizes.append(len(graph.graph.nodes))
        return aot_eager(graph, inputs)

    for frames in (5, 50):
        z, lengths = reals(2, frames, 5), torch.tensor([frames, frames - 1])
        torch._dynamo.reset()
        compiled = torch.compile(lambda x, n: ours(labels, x, label_lengths, n), fullgraph=True, backend=counted)
        same(compiled(z, lengths), ours(labels, z, label_lengths, lengths), z)
    assert sizes[0] == sizes[1]

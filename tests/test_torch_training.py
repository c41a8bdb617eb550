"""Center loss in torch's training loops: one update a step, the gradient of the plain loop, whatever is around it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop

import multiloss
import multiloss.torch
import reference
from multiloss_torch import checkpointing

C, D = 4, 3
RNG = np.random.default_rng(0)
BATCHES = [(torch.from_numpy(RNG.integers(0, C, 6)), torch.from_numpy(RNG.normal(size=(6, D)))) for _ in range(3)]


def make(loss: str = "center", **options: Any) -> Any:
    if loss == "ring":
        return multiloss.get(loss, backend="torch", alpha=0.5, **options)
    first = np.ones((C, D)) if loss == "center" else np.eye(C, D) + 0.5
    return multiloss.get(loss, backend="torch", num_classes=C, feature_dim=D, centers_init=first, **options)


def train(wrap: Callable[[Any], Any], calls: int = 1, loss: str = "center") -> tuple[list[Any], list[Any], Any]:
    """Values, gradients by the weights, and the centers of three steps; `calls` forward passes before each backward."""
    torch.manual_seed(0)
    layer, center = torch.nn.Linear(D, D).double(), make(loss).double()

    def forward(x: Any, y: Any) -> Any:
        features = torch.tanh(layer(x))
        # used twice and squared, so that what autograd saves depends on the value
        return (center(y, features) * features.mean()).exp()

    run, values, gradients = wrap(forward), [], []
    for y, x in BATCHES:
        layer.zero_grad()
        total = sum(run(x.clone().requires_grad_() + k, (y + k) % C) for k in range(calls))
        values.append(total.item())
        total.backward()
        gradients.append(layer.weight.grad.clone())
    return values, gradients, center.centers


def checkpointed(forward: Any, **options: Any) -> Any:
    return lambda x, y: checkpoint(forward, x, y, **options)


KINDS = {
    "not reentrant": lambda f: checkpointed(f, use_reentrant=False),
    "reentrant": lambda f: checkpointed(f, use_reentrant=True),
    "not reentrant, twice": lambda f: checkpointed(checkpointed(f, use_reentrant=False), use_reentrant=False),
    "reentrant, twice": lambda f: checkpointed(checkpointed(f, use_reentrant=True), use_reentrant=True),
    "reentrant in the other": lambda f: checkpointed(checkpointed(f, use_reentrant=True), use_reentrant=False),
    "the other in reentrant": lambda f: checkpointed(checkpointed(f, use_reentrant=False), use_reentrant=True),
    "without early stop": lambda f: to_the_end(checkpointed(f, use_reentrant=False)),
}
MARKED = {"use_reentrant": False, "context_fn": multiloss.torch.checkpoint_contexts}
MARKED_KINDS = {
    "marked": lambda f: checkpointed(f, **MARKED),
    "marked, twice": lambda f: checkpointed(checkpointed(f, **MARKED), **MARKED),
    "marked in the other": lambda f: checkpointed(checkpointed(f, **MARKED), use_reentrant=False),
    "the other in marked": lambda f: checkpointed(checkpointed(f, use_reentrant=False), **MARKED),
    "marked, without early stop": lambda f: to_the_end(checkpointed(f, **MARKED)),
}
KINDS |= MARKED_KINDS


def to_the_end(run: Any) -> Any:
    def without_early_stop(*arrays: Any) -> Any:
        with set_checkpoint_early_stop(False):
            return run(*arrays)

    return without_early_stop


@pytest.mark.parametrize("calls", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_activation_checkpointing(kind: str, calls: int) -> None:
    """Value, gradient and count are those of the run without it."""
    values, gradients, centers = train(lambda f: f, calls)
    again, slopes, moved = train(KINDS[kind], calls)
    assert again == values and torch.equal(moved, centers)
    torch.testing.assert_close(slopes, gradients, rtol=1e-12, atol=0)


@pytest.mark.parametrize("loss", ["contrastive_center", "triplet_center", "island", "git", "ring"])
@pytest.mark.parametrize("kind", ["not reentrant", "reentrant"])
def test_activation_checkpointing_of_the_family(kind: str, loss: str) -> None:
    """Those that compare with all centers see those of the first pass, too."""
    values, gradients, centers = train(lambda f: f, loss=loss)
    again, slopes, moved = train(KINDS[kind], loss=loss)
    assert again == values and torch.equal(moved, centers)
    torch.testing.assert_close(slopes, gradients, rtol=1e-12, atol=0)


REGIONS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "two calls": lambda center, x, y: center(y, x).exp() + center((y + 1) % C, x * 2).exp(),
    # torch leaves a recomputation once it has what the backward pass needs: the last call does not come again
    "one that needs no gradient": lambda center, x, y: center(y, x).exp() + center((y + 1) % C, x.detach()),
    "one that records nothing": lambda center, x, y: unrecorded(center, x, y) * center(y, x).exp(),
    "value_and_grad": lambda center, x, y: center.value_and_grad(y, x)[0] * center(y, x).exp(),
}


def unrecorded(center: Any, x: Any, y: Any) -> Any:
    with torch.no_grad():
        return center(y, x)


@pytest.mark.parametrize("kind", ["not reentrant", "not reentrant, twice", "without early stop", *MARKED_KINDS])
@pytest.mark.parametrize("region", REGIONS)
def test_backward_passes_over_a_retained_graph(kind: str, region: str) -> None:
    """Each has the gradient of the run without checkpointing, and none moves anything."""
    gradients, centers = [], []
    for wrap in (lambda f: f, KINDS[kind]):
        center, (y, x) = make().double(), BATCHES[0]
        run = wrap(lambda x, y, center=center: REGIONS[region](center, torch.tanh(x), y))
        leaf = x.clone().requires_grad_()
        value = run(leaf, y) + run(leaf * 2, y)
        moved = center.centers.clone()
        gradients.append([torch.autograd.grad(value, [leaf], retain_graph=True)[0] for _ in range(3)])
        assert torch.equal(center.centers, moved)
        centers.append(moved)
    assert torch.equal(*centers) and not torch.equal(centers[0], torch.ones(C, D))
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", ["reentrant", "reentrant, twice", "reentrant in the other", "the other in reentrant"])
@pytest.mark.parametrize("region", ["two calls", "one that needs no gradient", "value_and_grad"])
def test_regions_that_record_nothing_at_first(kind: str, region: str) -> None:
    """A reentrant one runs without gradients before it is recomputed: `value_and_grad` counts there, too."""
    gradients, centers = [], []
    for wrap in (lambda f: f, KINDS[kind]):
        center, (y, x) = make().double(), BATCHES[0]
        leaf = x.clone().requires_grad_()
        wrap(lambda x, y, center=center: REGIONS[region](center, torch.tanh(x), y))(leaf, y).backward()
        gradients.append(leaf.grad)
        centers.append(center.centers)
    assert torch.equal(*centers) and not torch.equal(centers[0], torch.ones(C, D))
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", ["not reentrant", "reentrant"])
@pytest.mark.parametrize("how", ["manual", "evaluation"])
def test_centers_that_move_before_the_backward_pass(kind: str, how: str) -> None:
    """Not in the region, but before it is recomputed: it reads the rows of its first pass all the same."""
    gradients = []
    for wrap in (lambda f: f, KINDS[kind]):
        center, (y, x) = make(update="manual" if how == "manual" else "auto").double(), BATCHES[0]
        center.train(how == "manual")
        leaf = x.clone().requires_grad_()
        value = wrap(lambda x, y, center=center: center(y, torch.tanh(x)))(leaf, y)
        center.update(y, x)
        value.backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-12, atol=0)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("loss", ["center", "island"])
@pytest.mark.parametrize("kind", ["not reentrant", "reentrant"])
def test_a_label_out_of_range_that_is_not_read(kind: str, loss: str, masked: bool) -> None:
    """The value is nan and the sample has no gradient, as without checkpointing; a masked one is no matter."""
    gradients, centers = [], []
    for wrap in (lambda f: f, KINDS[kind]):
        center, (y, x) = make(loss, validate=False).double(), BATCHES[0]
        y = y.index_fill(0, torch.tensor([1]), C + 3)
        mask = torch.arange(len(y)) != 1 if masked else None
        leaf = x.clone().requires_grad_()
        value = wrap(lambda x, y, center=center, mask=mask: center(y, torch.tanh(x), mask=mask))(leaf, y)
        assert value.isnan() != masked
        value.backward()
        gradients.append(leaf.grad)
        centers.append(center.centers)
    assert not gradients[0][1].any() and gradients[0].any()
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-12, atol=0)
    assert torch.equal(*centers)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad:UserWarning")  # torch's own
@pytest.mark.parametrize("kind", ["not reentrant", "reentrant"])
def test_checkpointing_in_a_validation_loop(kind: str) -> None:
    """Nothing is recorded, so nothing moves; in evaluation mode neither."""
    center, (y, x) = make(), BATCHES[0]
    run = KINDS[kind](lambda x, y: center(y, x))
    with torch.no_grad():
        run(x, y)
    center.eval()
    run(x.clone().requires_grad_(), y).backward()
    assert torch.equal(center.centers, torch.ones(C, D))


def test_checkpointing_keeps_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered goes with the graph."""
    center, (y, x), kept, remember = make(), BATCHES[0], [], checkpointing.remember

    def watched(regions: Any, owner: Any, read: Any) -> None:
        kept.append(weakref.ref(read.table))
        remember(regions, owner, read)

    monkeypatch.setattr(checkpointing, "remember", watched)
    checkpoint(lambda x: center(y, x), x.clone().requires_grad_(), use_reentrant=False).backward()
    gc.collect()
    assert len(kept) == 2 and not any(rows() is not None for rows in kept)


def test_gradient_accumulation() -> None:
    """Each forward pass in training mode is one update, in its order."""
    center, centers = make(), np.ones((C, D))
    for y, x in BATCHES:
        leaf = x.float().requires_grad_()
        (center(y, leaf) / len(BATCHES)).backward()
        _, moved = reference.center_step(centers, y, x, 0.5)
        np.testing.assert_allclose(leaf.grad, (x.numpy() - centers[y]) / len(y) / len(BATCHES), rtol=1e-5, atol=1e-6)
        centers = moved
    np.testing.assert_allclose(center.centers, centers, rtol=1e-5)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_autocast_and_grad_scaler(half: torch.dtype) -> None:
    """Half-precision features: float32 centers, one update; scaling the loss changes no step."""
    torch.manual_seed(0)
    layer, center, (y, x) = torch.nn.Linear(D, D), make(), BATCHES[0]
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    with torch.autocast("cpu", dtype=half):
        features = layer(x.float())
        assert features.dtype == half
        value = center(y, features)
    assert value.dtype == torch.float32 and center.centers.dtype == torch.float32
    values, moved = reference.center_step(np.ones((C, D)), y, features.detach().double(), 0.5)
    np.testing.assert_allclose(value.item(), values.mean(), rtol=1e-5)
    np.testing.assert_allclose(center.centers, moved, rtol=1e-6)
    scaler.scale(value).backward()
    scaler.unscale_(optimizer)
    slope = (features.detach().double() - 1).T @ x / len(y)
    np.testing.assert_allclose(layer.weight.grad, slope, rtol=2e-2, atol=2e-2)
    scaler.step(optimizer)
    np.testing.assert_allclose(center.centers, moved, rtol=1e-6)


def test_scaled_to_overflow() -> None:
    """A step that GradScaler skips has moved the centers by finite numbers: the scale is not in them."""
    center, (y, x) = make(), BATCHES[0]
    leaf = x.half().requires_grad_()
    (center(y, leaf) * 1e38).backward()
    assert not leaf.grad.isfinite().all() and center.centers.isfinite().all()
    np.testing.assert_allclose(
        center.centers, reference.center_step(np.ones((C, D)), y, x.half().double(), 0.5)[1], rtol=1e-6
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of torch.compile itself
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("inside", ["the checkpoint", "the compiled"])
def test_compiled_and_checkpointed(inside: str, training: bool) -> None:
    """What would read moved centers, or move them twice, is refused; centers that stay are no matter."""
    torch._dynamo.reset()
    torch.manual_seed(0)
    center = make()
    layer, (y, x) = torch.nn.Linear(D, D).double(), BATCHES[0]

    def loss(x: Any) -> Any:
        return center(y, layer(x).sin())

    def compiled(function: Any) -> Any:
        return torch.compile(function, backend="aot_eager", fullgraph=True)

    if inside == "the compiled":
        run = compiled(lambda x: checkpoint(loss, x, use_reentrant=False))
    else:
        once = compiled(loss)
        run = lambda x: checkpoint(once, x, use_reentrant=False)  # noqa: E731
    x = x.clone().requires_grad_()
    center.eval()
    (expected,) = torch.autograd.grad(loss(x), [x])
    center.train(training)
    value = run(x)
    if training:
        with pytest.raises(RuntimeError, match="activation checkpointing computes a compiled center loss again"):
            value.backward()
    else:
        value.backward()
        torch.testing.assert_close(x.grad, expected)

"""What only a GPU shows: nothing waits for it, a CUDA graph can be captured, and its own half precision, compiler and
collectives. Collected with `pytest --backends torch --device cuda` alone."""

from __future__ import annotations

import contextlib
import copy
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist

import multiloss
import reference
from helpers.arrays import to_native, to_numpy
from helpers.calls import calls
from multiloss_torch import distributed

C, D, ALPHA = 6, 4, 0.5
GPU = "cuda"
CENTER = ("center", "contrastive_center", "triplet_center", "island", "git", "ring")
ALL = [*calls(True), *calls(False)]


def batch(n: int = 8, dtype: torch.dtype = torch.float32, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    return (torch.tensor(rng.integers(0, C, n), device=GPU),
            torch.tensor(rng.normal(size=(n, D)), dtype=dtype, device=GPU).requires_grad_())  # fmt: skip


def made(loss: str = "center", **options: Any) -> Any:
    if loss == "ring":
        return multiloss.get(loss, backend="torch", alpha=ALPHA, radius=1.0, **options).to(GPU)
    chosen = {"num_classes": C, "feature_dim": D, "centers_init": np.eye(C, D) + 0.5, "alpha": ALPHA} | options
    return multiloss.get(loss, backend="torch", **chosen).to(GPU)


class Waits:
    """Whatever waits for the GPU is an error."""

    def __enter__(self) -> None:
        torch.cuda.synchronize()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "a prototype feature"
            torch.cuda.set_sync_debug_mode("error")

    def __exit__(self, *_: object) -> None:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(("name", "options", "inputs"), ALL)
def test_no_loss_waits(name: str, options: dict[str, Any], inputs: dict[str, Any]) -> None:
    """Value and gradients of the whole catalogue, once all is set up; equal to those of the CPU."""
    loss = multiloss.get(name, backend="torch", **options)
    host = {key: torch.tensor(x.astype(np.float32) if x.dtype.kind == "f" else x) for key, x in inputs.items()}
    there = {key: x.to(GPU) for key, x in host.items()}
    real = [key for key, x in host.items() if x.is_floating_point() and key != "y_true"]
    answers = []
    for given in (host, there):
        for key in real:
            given[key].requires_grad_()
        loss(**given).backward()  # checks that are made once; kernels that are loaded
        for key in real:
            given[key].grad = None
    for given, watched in ((host, contextlib.nullcontext()), (there, Waits())):
        with watched:
            value = loss(**given)
            value.backward()
        answers.append([value, *(given[key].grad for key in real)])
    for here, far in zip(*answers, strict=True):
        scale = np.abs(to_numpy(here)).max(initial=0)
        np.testing.assert_allclose(to_numpy(far), to_numpy(here), rtol=1e-4, atol=1e-5 * max(scale, 1e-3))


@pytest.mark.parametrize("loss", CENTER)
@pytest.mark.parametrize("masked", [False, True])
def test_no_center_step_waits(loss: str, masked: bool) -> None:
    center, (y, x) = made(loss), batch()
    mask = (y > 0) if masked else None
    twin = copy.deepcopy(center).cpu()
    for turn in range(3):
        with Waits() if turn else contextlib.nullcontext():  # once all is set up
            center(y, x, mask=mask).backward()
        twin(y.cpu(), x.detach().cpu().requires_grad_(), mask=None if mask is None else mask.cpu())
    np.testing.assert_allclose(to_numpy(center.centers), to_numpy(twin.centers), rtol=2e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:The AccumulateGrad node's stream")
@pytest.mark.parametrize("loss", CENTER)
def test_a_cuda_graph_moves_the_centers_once_a_replay(loss: str) -> None:
    center, (y, x) = made(loss), batch()
    twin = copy.deepcopy(center)

    def step(owner: Any) -> Any:
        x.grad = None
        value = owner(y, x)
        value.backward()
        return value

    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(3):
            step(center)
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        value = step(center)
    for _ in range(2):
        graph.replay()
    torch.cuda.synchronize()
    replayed = value.item(), x.grad.clone()
    for _ in range(5):
        last = step(twin)
    torch.testing.assert_close(center.centers, twin.centers, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(replayed[1], x.grad, rtol=1e-4, atol=1e-6)
    assert replayed[0] == pytest.approx(last.item(), rel=1e-5)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_autocast_and_grad_scaler(half: torch.dtype) -> None:
    torch.manual_seed(0)
    layer, center, (y, x) = torch.nn.Linear(D, D).to(GPU), made(), batch()
    optimizer, scaler = torch.optim.SGD(layer.parameters(), lr=0.1), torch.amp.GradScaler(GPU, init_scale=2.0**10)
    before = to_numpy(center.centers).copy()
    with torch.autocast(GPU, dtype=half):
        features = layer(x.detach())
        value = center(y, features)
    assert features.dtype == half and value.dtype == center.centers.dtype == torch.float32
    values, moved = reference.center_step(before, to_numpy(y), to_numpy(features.double()), ALPHA)
    assert value.item() == pytest.approx(values.mean(), rel=1e-5)
    np.testing.assert_allclose(to_numpy(center.centers), moved, rtol=1e-5, atol=1e-6)
    scaler.scale(value).backward()
    scaler.step(optimizer)
    scaler.update()
    assert layer.weight.grad.isfinite().all()
    np.testing.assert_allclose(to_numpy(center.centers), moved, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("loss", [name for name in CENTER if name != "ring"])  # which uses no labels
def test_what_cannot_be_read_is_nan_and_moves_nothing(loss: str) -> None:
    """A label out of range, and features that are no numbers."""
    center, (y, x) = made(loss, reduction="none"), batch()
    bad = y.clone()
    bad[2] = C + 3
    before = center.centers.clone()
    value = center(bad, x)
    assert value.isnan().tolist() == [i == 2 for i in range(len(y))]
    assert torch.equal(center.centers, before)
    spoilt = x.detach().clone()
    spoilt[5] = torch.nan
    center(y, spoilt.requires_grad_())
    assert torch.equal(center.centers[y[5]], before[y[5]]) and center.centers.isfinite().all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of torch.compile itself
@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
@pytest.mark.parametrize("classes", [C, 100_000])
def test_compiled(mode: str, classes: int) -> None:
    torch._dynamo.reset()
    first = np.random.default_rng(1).normal(size=(classes, D))
    center, twin = (made(num_classes=classes, centers_init=first) for _ in range(2))
    layer = torch.nn.Linear(D, D).to(GPU)

    def loss(y: Any, x: Any) -> Any:
        return center(y, layer(x))

    compiled = torch.compile(loss, mode=mode, fullgraph=True)
    for seed in range(4):
        y, x = batch(seed=seed)
        y, x = y * (classes // C), x.detach()
        layer.zero_grad()
        value = compiled(y, x)
        value.backward()
        got, slope = value.item(), layer.weight.grad.clone()
        layer.zero_grad()
        plain = twin(y, layer(x))
        plain.backward()
        assert got == pytest.approx(plain.item(), rel=1e-4)
        torch.testing.assert_close(slope, layer.weight.grad, rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(center.centers, twin.centers, rtol=1e-4, atol=1e-5)


def test_a_state_travels_between_devices(tmp_path: Path) -> None:
    center, (y, x) = made(), batch()
    center(y, x)
    center.save_centers(tmp_path / "centers.safetensors")
    there = made()
    there.load_centers(tmp_path / "centers.safetensors")
    assert there.centers.device.type == GPU and torch.equal(there.centers, center.centers)
    here = made().cpu()
    here.load_state_dict(center.state_dict())
    assert here.centers.device.type == "cpu" and torch.equal(here.centers, center.centers.cpu())
    here(y.cpu(), x.detach().cpu().requires_grad_())
    copy.deepcopy(center)(y, x)


def test_two_devices_are_refused() -> None:
    y, x = batch()
    for loss, arguments in ((made(), (y.cpu(), x)), (multiloss.get("mse", backend="torch"), (x.detach().cpu(), x))):
        with pytest.raises(ValueError, match="is on cpu, but .* is on cuda:0; move one of them"):
            loss(*arguments)


def test_lists_go_to_the_device_of_the_prediction() -> None:
    _, x = batch()
    value = multiloss.get("cce", backend="torch", from_logits=True, class_weight=[1.0, 2.0, 3.0, 4.0])(
        np.eye(8, D), x, sample_weight=[1.0] * 8
    )
    assert value.device.type == GPU


@pytest.mark.parametrize("loss", CENTER)
@pytest.mark.parametrize("classes", [C, 300])
def test_a_group_of_one_on_nccl(loss: str, classes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every collective of a step exists there; NCCL takes one process a device."""

    def processes(self: Any, device: torch.device) -> Any:
        return distributed.Processes(self, 0, device)

    for key, value in {"MASTER_ADDR": "127.0.0.1", "RANK": "0", "WORLD_SIZE": "1"}.items():
        monkeypatch.setitem(os.environ, key, value)
    dist.init_process_group("nccl", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    try:
        first = np.random.default_rng(1).normal(size=(classes, D))
        alone = made(loss, **({} if loss == "ring" else {"num_classes": classes, "centers_init": first}))
        together = copy.deepcopy(alone)
        monkeypatch.setattr(distributed.Choice, "processes", processes)
        for seed in range(2):
            together(*batch(seed=seed)).backward()
        bad = torch.tensor([0, 1], device=GPU), torch.ones(2, D + 1, device=GPU)
        if loss != "ring":
            with pytest.raises(ValueError, match=f"{D + 1}"):
                together(*bad)
        monkeypatch.undo()
        for seed in range(2):
            alone(*batch(seed=seed)).backward()
        torch.testing.assert_close(together.centers, alone.centers, rtol=1e-5, atol=1e-6)
    finally:
        dist.destroy_process_group()


def _one_of_two(rank: int, folder: str, device: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    for classes in (C, 300):  # the batch travels, or one sum a class
        center = made(num_classes=classes, centers_init=np.random.default_rng(1).normal(size=(classes, D))).to(device)
        for seed in range(3):
            y, x = batch(seed=seed)
            part = slice(0, 3) if rank == 0 else slice(3, None)
            center(y[part], x[part])
        np.save(f"{folder}/{classes}-{rank}.npy", to_numpy(center.centers))
    dist.destroy_process_group()


def test_two_processes_on_one_gpu(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_one_of_two, (str(tmp_path), GPU), nprocs=2)
    for classes in (C, 300):
        alone = made(num_classes=classes, centers_init=np.random.default_rng(1).normal(size=(classes, D)))
        for seed in range(3):
            alone(*batch(seed=seed))
        first, second = (np.load(tmp_path / f"{classes}-{rank}.npy") for rank in range(2))
        np.testing.assert_array_equal(first, second)
        np.testing.assert_allclose(first, to_numpy(alone.centers), rtol=1e-5, atol=1e-6)


def test_native_arrays_are_there() -> None:
    assert to_native("torch", [1.0]).device.type == GPU

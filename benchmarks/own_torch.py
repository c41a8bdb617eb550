"""PyTorch: `torch.nn.functional`, or the plain operations a user would write ("ops"), and how they are timed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from rows import Array, Function
from torch import Tensor

MODES = ("eager", "value_and_grad", "compile")
VERSION = f"torch {torch.__version__.partition('+')[0]}"


def threads(number: int) -> None:
    """Compute with this many threads."""
    torch.set_num_threads(number)


_device = "cpu"


def place(device: str) -> None:
    """Make tensors there."""
    global _device
    _device = device


def array(x: Array) -> Tensor:
    """x as a tensor."""
    return torch.from_numpy(x).to(_device)


def _log_ratio(y: Tensor, p: Tensor) -> Tensor:
    return torch.log1p(p) - torch.log1p(y)


def _log_cosh(y: Tensor, p: Tensor) -> Tensor:
    e = p - y
    return (e + F.softplus(-2 * e) - math.log(2)).mean()


OWN: dict[str, tuple[str, Function]] = {
    "mse": ("mse_loss", lambda y, p: F.mse_loss(p, y)),
    "mae": ("l1_loss", lambda y, p: F.l1_loss(p, y)),
    "mape": ("ops", lambda y, p: 100 * ((p - y).abs() / y.abs().clamp(min=1e-7)).mean()),
    "msle": ("ops", lambda y, p: _log_ratio(y, p).square().mean()),
    "rmse": ("ops", lambda y, p: (p - y).square().mean(-1).sqrt().mean()),
    "rmsle": ("ops", lambda y, p: _log_ratio(y, p).square().mean(-1).sqrt().mean()),
    "log_cosh": ("ops", _log_cosh),
    "huber": ("huber_loss", lambda y, p: F.huber_loss(p, y)),
    "kl": ("kl_div", lambda y, p: F.kl_div(p.clamp(min=1e-7).log(), y, reduction="batchmean")),
    "cce": ("ops", lambda y, p: -(y * p.clamp(min=1e-7).log()).sum(-1).mean()),
    "cce_logits": ("cross_entropy", lambda y, p: F.cross_entropy(p, y)),
    "scce": ("nll_loss", lambda y, p: F.nll_loss(p.clamp(min=1e-7).log(), y)),
    "scce_logits": ("cross_entropy", lambda y, p: F.cross_entropy(p, y)),
    "bce": ("binary_cross_entropy", lambda y, p: F.binary_cross_entropy(p, y)),
    "bce_logits": ("binary_cross_entropy_with_logits", lambda y, p: F.binary_cross_entropy_with_logits(p, y)),
}


def runner(mode: str, f: Any, ours: bool, y_true: Tensor, y_pred: Tensor, *more: Tensor) -> Callable[[], Any]:
    """One call of what is timed: value and gradient of `f` at the given arrays."""
    if mode == "value_and_grad" and ours:
        return lambda: f.value_and_grad(y_true, y_pred, *more)
    if mode == "compile":
        f = torch.compile(f, dynamic=False)
    leaf = y_pred.clone().requires_grad_()

    def run() -> Tensor | None:
        leaf.grad = None
        f(y_true, leaf, *more).backward()
        return leaf.grad

    return run


def wait(result: Any) -> None:
    """On an accelerator until all is done; torch on the CPU returns when it is."""
    if _device != "cpu":
        torch.accelerator.synchronize()


def forget() -> None:
    """Drop compiled functions."""
    torch.compiler.reset()

"""PyTorch: `torch.nn.functional`, the operations that a user writes where it has no loss, and how calls are timed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F

LIBRARY = "torch"
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


def array(x: Any) -> Any:
    """An array as a tensor."""
    return torch.from_numpy(x).to(_device)


def function(name: str, options: Mapping[str, Any]) -> Callable[..., Any] | None:
    """A loss of the library, reduced to one number."""
    own = getattr(F, name)
    return lambda *x: own(*x, **options)


def ctc(y: Any, p: Any) -> Any:
    """Its ctc, of logits (N, T, C)."""
    n, t = p.shape[:2]
    log_p = torch.log_softmax(p, -1).transpose(0, 1)
    full, long = torch.full((n,), t), torch.full((n,), y.shape[1])
    return F.ctc_loss(log_p, y, full, long, reduction="sum") / n


def log(p: Any) -> Any:
    """The logarithm, kept from 0."""
    return p.clamp(min=1e-7).log()


def _log_ratio(y: Any, p: Any) -> Any:
    return torch.log1p(p) - torch.log1p(y)


def _log_cosh(y: Any, p: Any) -> Any:
    e = p - y
    return (e + F.softplus(-2 * e) - math.log(2)).mean()


OPERATIONS: dict[str, Callable[..., Any]] = {
    "mape": lambda y, p: 100 * ((p - y).abs() / y.abs().clamp(min=1e-7)).mean(),
    "msle": lambda y, p: _log_ratio(y, p).square().mean(),
    "rmse": lambda y, p: (p - y).square().mean(-1).sqrt().mean(),
    "rmsle": lambda y, p: _log_ratio(y, p).square().mean(-1).sqrt().mean(),
    "log_cosh": _log_cosh,
    "cce": lambda y, p: -(y * log(p)).sum(-1).mean(),
}


def runner(mode: str, f: Any, ours: bool, y_true: Any, y_pred: Any, *more: Any) -> Callable[[], Any]:
    """One call of what is timed: value and gradient of `f` at the given arrays."""
    if mode == "value_and_grad" and ours:
        return lambda: f.value_and_grad(y_true, y_pred, *more)
    if mode == "compile":
        f = torch.compile(f, dynamic=False)
    leaf = y_pred.clone().requires_grad_()

    def run() -> Any:
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

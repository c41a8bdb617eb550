"""What may be done with a tensor before its values are used: whether it has any, and whether they can be looked at."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from multiloss_torch import compat

_TENSORS, _DENSE = (Tensor, torch.nn.Parameter), torch.strided
_transformed = compat.transform


def is_plain(x: Tensor) -> bool:
    """Whether x is a dense tensor with values: not while compiling, not under torch.func, no subclass, not meta, not
    nested."""
    if torch.compiler.is_compiling() or type(x) not in _TENSORS or x.layout is not _DENSE or x.is_meta or x.is_nested:
        return False
    return _transformed() is None


def can_read(x: Tensor) -> bool:
    """Whether x has values that cost no wait: on the CPU, and plain."""
    return x.device.type == "cpu" and is_plain(x)


def is_finite(x: Tensor) -> bool:
    """Whether the values can be read and none is infinite or nan: then there is nothing to replace."""
    try:
        return can_read(x) and math.isfinite(x.detach().sum().item())
    except RuntimeError:  # traced by make_fx, which refuses to read
        return False


def kind_of(x: Any, y: Any) -> Any:
    """The same for arrays for which a kernel does the same; None under torch.func, and of others. Not for use while
    compiling."""
    if type(x) not in _TENSORS or type(y) not in _TENSORS or _transformed() is not None:
        return None
    if x.layout is not _DENSE or y.layout is not _DENSE:
        return None
    try:
        return x.shape, y.shape, x.dtype, y.dtype, x.is_cpu or x.device, y.is_cpu or y.device
    except RuntimeError:  # nested tensors have no shape; what is checked later refuses them
        return None


_MOST_KEPT = 256


class Kept(dict[Any, tuple[Tensor, ...]]):
    """Constant tensors by a key, made when they are first asked for and kept if they are plain.

    The first call may be under `FakeTensorMode` or `torch.func`, or on another default device: what is made there must
    not be what later calls get.
    """

    def __init__(self, make: Callable[..., tuple[Tensor, ...]]) -> None:
        self._make = make  # of the key's parts; it names the device

    def __missing__(self, key: tuple[Any, ...]) -> tuple[Tensor, ...]:
        with torch.inference_mode(False):  # what is made in inference mode cannot be saved for a backward pass
            made = self._make(*key)
        if all(map(is_plain, made)):
            if len(self) >= _MOST_KEPT:
                self.clear()
            self[key] = made
        return made

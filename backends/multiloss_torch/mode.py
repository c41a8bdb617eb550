"""Whether a tensor has values, and whether they can be read without a wait."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from multiloss_torch import compat

_TENSORS, _DENSE = (Tensor, torch.nn.Parameter), torch.strided
_transformed = compat.transform


def is_plain(x: Tensor) -> bool:
    """Whether x is a dense tensor with values: neither traced nor transformed, no subclass, not meta, not nested."""
    if torch.compiler.is_compiling() or type(x) not in _TENSORS or x.layout is not _DENSE or x.is_meta or x.is_nested:
        return False
    return _transformed() is None and not compat.is_recorded()


def is_eager(*arrays: Tensor | None) -> bool:
    """Whether these are plain, outside forward mode: value and gradients may then be computed together."""
    return not compat.in_forward_mode() and all(x is None or is_plain(x) for x in arrays)


def can_read(x: Tensor) -> bool:
    """Whether the values of x can be read without a wait: it is plain, and on the CPU."""
    return x.device.type == "cpu" and is_plain(x)


def is_finite(x: Tensor) -> bool:
    """Whether the values can be read, and none is infinite or nan."""
    return can_read(x) and math.isfinite(x.detach().sum().item())


def kind_of(arrays: Sequence[Any]) -> Any:
    """A key that is equal for arrays which the same kernel or plan serves; None for arrays that are not plain. Never
    called while compiling."""
    found: list[Any] = []
    for x in arrays:
        if x is None:
            found.append(None)
            continue
        if type(x) not in _TENSORS or x.layout is not _DENSE or x.is_nested:
            return None
        found += x.shape, x.dtype, x.is_cpu or x.device
    return None if _transformed() is not None or compat.is_recorded() else tuple(found)


def as_leaf(module: torch.nn.Module, inputs: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    """One node for a whole module in the graph that `torch.fx.symbolic_trace` builds, as for the modules of `torch.nn`;
    None where no argument is symbolic."""
    proxy = next((x for x in (*inputs, *named.values()) if isinstance(x, torch.fx.Proxy)), None)
    if proxy is None:
        return None
    return proxy.tracer.create_proxy("call_module", proxy.tracer.path_of_module(module), inputs, dict(named))


_MOST_KEPT = 256


class Kept(dict[Any, tuple[Tensor, ...]]):
    """Constant tensors by a key, made when they are first asked for, and kept if they are plain.

    The first call may be under `FakeTensorMode` or `torch.func`: what is made there must not reach later calls.
    """

    def __init__(self, make: Callable[..., tuple[Tensor, ...]]) -> None:
        self._make = make  # takes the parts of the key, and names the device, whatever the default one is

    def __missing__(self, key: tuple[Any, ...]) -> tuple[Tensor, ...]:
        with torch.inference_mode(False):  # a tensor made in inference mode cannot be saved for a backward pass
            made = self._make(*key)
        if all(map(is_plain, made)):
            if len(self) >= _MOST_KEPT:
                self.clear()
            self[key] = made
        return made


def constant(values: Any, like: Tensor) -> Tensor:
    """Numbers in the dtype of `like`, on its device."""
    if not is_plain(like):
        return torch.tensor(values, dtype=like.dtype, device=like.device)
    return _CONSTANTS[_hashable(values), like.dtype, like.device][0]


def _hashable(values: Any) -> Any:
    listed = values.tolist() if isinstance(values, np.ndarray) else values
    return tuple(map(_hashable, listed)) if isinstance(listed, list | tuple) else listed


_CONSTANTS = Kept(lambda values, dtype, device: (torch.tensor(values, dtype=dtype, device=device),))
"""Kept, since a copy to an accelerator waits for all that was sent there before, and cannot be in a CUDA graph."""


@lru_cache
def before(bound: float, dtype: torch.dtype) -> float:
    """The largest number of that dtype below `bound`, which is first rounded to the dtype."""
    kind = np.float32 if dtype == torch.float32 else np.float64
    return float(np.nextafter(kind(bound), kind(-np.inf)))

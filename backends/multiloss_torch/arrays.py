"""What the engine asks about tensors of torch (`multiloss.engine.protocol.Adapter` says it)."""

from __future__ import annotations

from typing import Any

import array_api_compat.torch as array_api
import numpy as np
import torch

from multiloss.center import state
from multiloss.engine import checks, dispatch
from multiloss.engine.protocol import namespace
from multiloss_torch import finite, geometry, kernels, mode, ops
from multiloss_torch.autograd import closed_form as closed_form

name = "torch"
xp = namespace(array_api, ops, finite.BETTER | geometry.BETTER)
is_compiling = torch.compiler.is_compiling

_HALF = (torch.float16, torch.bfloat16)
_SIGNED = (torch.int64, torch.int32, torch.int16, torch.int8)


def is_native(x: Any) -> bool:
    return isinstance(x, torch.Tensor)


def asarray(x: Any, like: torch.Tensor | None, name: str) -> torch.Tensor:
    if isinstance(x, torch.Tensor):
        if x.layout is not torch.strided:
            raise checks.not_dense(name, f"a tensor of layout {x.layout}")
        # Operations on these fail late, or leave out some numbers.
        packed = not is_compiling() and (x.is_nested or x.is_quantized or isinstance(x, torch.masked.MaskedTensor))
        if packed:
            raise checks.not_dense(name, "a nested, quantized or masked tensor")
        if hasattr(type(x), "full_tensor"):  # a DTensor, whose own mean is wrong for parts of unequal length
            raise checks.distributed(name, x.placements)
        if like is not None and x.device != like.device and x.ndim:
            raise checks.two_devices(name, x.device, like.device)
        return x
    array = dispatch.to_numpy(x, name, "torch")
    if like is None and array.dtype == "float64" and not isinstance(x, (np.ndarray, np.generic)):
        array = array.astype(str(_default_float()).removeprefix("torch."))  # a list of Python numbers
    return torch.tensor(array, device=None if like is None else like.device)


def shape(x: torch.Tensor) -> tuple[int, ...]:
    return tuple(x.shape)


def dtype_kind(x: torch.Tensor) -> str:
    dtype = x.dtype
    if dtype.is_floating_point:
        return "f"
    return "b" if dtype is torch.bool else "c" if dtype.is_complex else "i"


def signature(x: torch.Tensor) -> Any:
    # None while compiling, under torch.func, for subclasses, and on the meta device.
    return (x.shape, x.dtype, x.device) if mode.is_plain(x) else None


def compute(x: torch.Tensor) -> torch.Tensor:
    if x.dtype in (torch.float32, torch.float64):
        return x
    return x.to(torch.float32 if x.dtype.is_floating_point else _default_float())


def _default_float() -> torch.dtype:
    """torch's default dtype, float32 where that is half precision."""
    dtype = torch.get_default_dtype()
    return torch.float32 if dtype in _HALF else dtype


def cast_like(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return x.to(like.dtype)


def labels(x: torch.Tensor) -> torch.Tensor:
    return x.to(torch.int64)


def host(x: torch.Tensor) -> Any:
    # None while compiling, under torch.func, for fake tensors, and on an accelerator.
    if not mode.can_read(x):
        return None
    x = x.detach()
    return (x.float() if x.dtype in _HALF else x).numpy()


def own_value(spec: Any, *inputs: torch.Tensor) -> torch.Tensor | None:
    kernel = kernels.REDUCED.get(spec.definition.kernel)
    return None if kernel is None else kernel(spec.kwargs, spec.reduction, *inputs)


def labels_fit(x: torch.Tensor, classes: int) -> bool:
    if not mode.can_read(x) or x.dtype not in _SIGNED:
        return False
    if x.numel() == 0:
        return True
    least, most = torch.aminmax(x)  # NumPy takes three times as long for a batch
    return least.item() >= 0 and most.item() < classes


def centers_array(centers: Any, like: torch.Tensor | None = None) -> torch.Tensor:
    dtype, device = (_default_float(), None) if like is None else (compute(like).dtype, like.device)
    if state.is_zeros(centers):
        return torch.zeros(centers.shape, dtype=dtype, device=device)
    return torch.tensor(centers, dtype=dtype, device=device)


def write_rows(table: torch.Tensor, labels: torch.Tensor, rows: torch.Tensor) -> None:
    with torch.no_grad():
        table[labels] = rows.detach()

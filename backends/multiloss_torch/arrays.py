"""What the engine asks about tensors of torch."""

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


_HALF = (torch.float16, torch.bfloat16)
_SIGNED = (torch.int64, torch.int32, torch.int16, torch.int8)


def _is_packed(x: torch.Tensor) -> bool:
    """Whether a tensor of dense layout holds its numbers in another way: operations on it fail late, or drop some."""
    return x.is_nested or x.is_quantized or isinstance(x, torch.masked.MaskedTensor)


def is_native(x: Any) -> bool:
    """Whether x is a tensor."""
    return isinstance(x, torch.Tensor)


def asarray(x: Any, like: torch.Tensor | None, name: str) -> torch.Tensor:
    """A tensor on the device of `like`."""
    if isinstance(x, torch.Tensor):
        if x.layout is not torch.strided:
            raise checks.not_dense(name, f"a tensor of layout {x.layout}")
        if not torch.compiler.is_compiling() and _is_packed(x):
            raise checks.not_dense(name, "a nested, quantized or masked tensor")
        if hasattr(type(x), "full_tensor"):  # a DTensor: torch's own mean of parts of unequal length is wrong
            raise checks.distributed(name, x.placements)
        if like is not None and x.device != like.device and x.ndim:
            raise checks.two_devices(name, x.device, like.device)
        return x
    array = dispatch.to_numpy(x, name, "torch")
    if like is None and array.dtype == "float64" and not isinstance(x, np.ndarray | np.generic):
        array = array.astype(str(_default_float()).removeprefix("torch."))  # a list of Python numbers
    return torch.tensor(array, device=None if like is None else like.device)


def shape(x: torch.Tensor) -> tuple[int, ...]:
    """The shape."""
    return tuple(x.shape)


def dtype_kind(x: torch.Tensor) -> str:
    """NumPy's letter of the dtype."""
    dtype = x.dtype
    if dtype.is_floating_point:
        return "f"
    return "b" if dtype is torch.bool else "c" if dtype.is_complex else "i"


def signature(x: torch.Tensor) -> Any:
    """Shape, dtype and device; None while compiling, under torch.func, of subclasses, and on the meta device."""
    return (x.shape, x.dtype, x.device) if mode.is_plain(x) else None


def compute(x: torch.Tensor) -> torch.Tensor:
    """float32 for half precision; for integers torch's default, float32 at least."""
    if x.dtype in (torch.float32, torch.float64):
        return x
    return x.to(torch.float32 if x.dtype.is_floating_point else _default_float())


def _default_float() -> torch.dtype:
    """torch's default dtype, float32 where that is half precision."""
    dtype = torch.get_default_dtype()
    return torch.float32 if dtype in _HALF else dtype


def cast_like(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """x in the dtype of `like`."""
    return x.to(like.dtype)


def labels(x: torch.Tensor) -> torch.Tensor:
    """Labels as int64."""
    return x.to(torch.int64)


def is_compiling() -> bool:
    """Whether this is compiled now, and not run."""
    return torch.compiler.is_compiling()


def host(x: torch.Tensor) -> Any:
    """The values of a real tensor on the CPU; None while compiling, under torch.func, fake, or on an accelerator."""
    if not mode.can_read(x):
        return None
    x = x.detach()
    return (x.float() if x.dtype in _HALF else x).numpy()


def own_value(spec: Any, *inputs: torch.Tensor) -> torch.Tensor | None:
    """The loss by torch's own kernels, where all samples count alike."""
    kernel = kernels.REDUCED.get(spec.definition.kernel)
    return None if kernel is None else kernel(spec.kwargs, spec.reduction, *inputs)


def labels_fit(x: torch.Tensor, classes: int) -> bool:
    """Whether all labels can be read, and are in range."""
    if not mode.can_read(x) or x.dtype not in _SIGNED:
        return False
    if x.numel() == 0:
        return True
    least, most = torch.aminmax(x)  # NumPy takes three times as long for a batch
    return least.item() >= 0 and most.item() < classes


def centers_array(centers: Any, like: torch.Tensor | None = None) -> torch.Tensor:
    """A table of centers on the device of `like`: float64 for features in double precision, else float32."""
    dtype = compute(like).dtype if like is not None else _default_float()
    device = None if like is None else like.device
    if state.is_zeros(centers):
        return torch.zeros(centers.shape, dtype=dtype, device=device)
    return torch.tensor(centers, dtype=dtype, device=device)


def write_rows(table: torch.Tensor, labels: torch.Tensor, rows: torch.Tensor) -> None:
    """Rows of a table in place."""
    with torch.no_grad():
        table[labels] = rows.detach()

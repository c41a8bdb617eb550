"""Center loss over the processes of `torch.distributed`: what travels, and that bad input is an error everywhere.

Nothing here is specific to a communication backend: tensors travel on the device of the centers.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from multiloss.center import CenterOptions
from multiloss.definitions.center import PRESETS
from multiloss.registry import CENTER
from multiloss_torch import compat

_MESSAGE = 240


class Choice:
    """The `process_group` that a user chose: None finds the default one, False is none. Copies keep it; a pickled
    loss finds the default one again, since a group belongs to its process."""

    def __init__(self, group: Any) -> None:
        if group is not None and group is not False and not isinstance(group, dist.ProcessGroup):
            raise TypeError(f"process_group must be a torch ProcessGroup, None or False, got {type(group).__name__}")
        self.group = group

    def __deepcopy__(self, memo: Any) -> Choice:
        return self

    def __reduce__(self) -> Any:
        return Choice, (False if self.group is False else None,)

    def processes(self, device: torch.device) -> Processes | None:
        """The processes to update with; None where this one is alone."""
        if self.group is False or not (dist.is_available() and dist.is_initialized()):
            return None
        return Processes(self.group, device) if dist.get_world_size(self.group) > 1 else None


class Processes:
    """One updating call of all processes of a group (`protocol.Group`)."""

    def __init__(self, group: Any, device: torch.device) -> None:
        self.group, self.device = group, device
        self.size, self.rank = dist.get_world_size(group), dist.get_rank(group)
        self.lengths: list[int] = []

    def agree(self, error: Exception | None, length: int, trusted: bool, **facts: float) -> bool:
        """Tell each other whether all is well: an error on one process, or facts that differ, is one on every process.

        Args:
            error: what went wrong here, if anything did.
            length: the number of samples here.
            trusted: whether the labels here are known to be in range.
            facts: what must be the same everywhere.

        Returns:
            Whether the labels are known to be in range everywhere.
        """
        text = "" if error is None else f"{type(error).__name__}: {error}"
        layout = f"<qq{len(facts)}d{_MESSAGE}s"
        mine = struct.pack(layout, -1 if error else length, trusted, *facts.values(), text.encode()[:_MESSAGE])
        sent = torch.frombuffer(bytearray(mine), dtype=torch.uint8).to(self.device)
        received = [torch.empty_like(sent) for _ in range(self.size)]
        dist.all_gather(received, sent, group=self.group)
        if error is not None:
            raise error
        told = [struct.unpack(layout, x.cpu().numpy().tobytes()) for x in received]
        for rank, each in enumerate(told):
            if each[0] < 0:
                said = each[-1].rstrip(b"\0").decode(errors="replace")
                raise ValueError(f"the center loss of rank {rank} refused its batch: {said}")
        for i, name in enumerate(facts):
            values = [each[2 + i] for each in told]
            if len(set(values)) > 1:
                raise ValueError(f"{name} must be the same in all processes, got {', '.join(f'{v:g}' for v in values)}")
        self.lengths = [each[0] for each in told]
        return all(each[1] for each in told)

    def check(
        self,
        chosen: CenterOptions,
        check: Callable[[], tuple[tuple[Any, ...], bool]],
        table: Callable[[], Tensor],
        shape: Callable[[], tuple[int, int]],
        checksum: Callable[[], int] | None,
    ) -> tuple[tuple[Any, ...], bool]:
        """What `check` gives, in all processes or in none.

        Args:
            chosen: the options.
            check: gives the arrays of a call, labels first, and whether these are known to be in range.
            table: the centers here, once they are checked. shape: that of the whole table.
            checksum: of centers that the processes have not agreed on yet.
        """
        if torch.compiler.is_compiling():  # in all processes: they run one program
            raise RuntimeError(
                "a center loss cannot update with other processes inside a compiled function; call it outside of that "
                "(a group of processes needs num_classes, too), or pass process_group=False"
            )
        checked, trusted, error, own = (None,), False, None, dict(chosen.own)
        try:
            if chosen.num_classes is None:
                raise ValueError(
                    "the processes of a group cannot let the centers grow; pass num_classes to "
                    "multiloss.get('center', ...)"
                )
            checked, trusted = check()
        except (RuntimeError, TypeError, ValueError) as caught:
            error = caught
        known = self.agree(
            error,
            0 if checked[0] is None else checked[0].numel(),
            trusted,
            num_classes=shape()[0],
            feature_dim=shape()[1],
            alpha=chosen.alpha,
            preset=list(PRESETS).index(chosen.preset),
            loss=list(CENTER.values()).index(chosen.loss),
            sharded=chosen.sharded,
            moves_all=chosen.moves_all,
            **{name: float(own.get(name, 0)) for name in ("weight", "margin", "delta")},
            float_bits=0 if error else torch.finfo(table().dtype).bits,
            checksum_of_centers=0 if error or checksum is None else checksum(),
        )
        return checked, known

    def gathers(self, classes: int, dim: int, samples: int) -> bool:
        """Whether the batch travels (its rows to every process), and not one sum a class (there and back)."""
        return sum(self.lengths) <= 2 * classes

    def gather(self, x: Tensor) -> Tensor:
        """The batches of all processes, one after the other."""
        if x.dtype == torch.bool:
            return self.gather(x.to(torch.uint8)).to(torch.bool)
        longest = max(self.lengths)
        padded = x.new_zeros((longest, *x.shape[1:]))
        padded[: x.shape[0]] = x.detach()
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(parts, padded, group=self.group)
        return torch.cat([part[:n] for part, n in zip(parts, self.lengths, strict=True)])

    def sum(self, x: Tensor) -> Tensor:
        """The sum over all processes."""
        total = x.detach().clone()
        dist.all_reduce(total, group=self.group)
        return total


def checksum(centers: np.ndarray) -> int:
    """Of a table."""
    return zlib.crc32(np.ascontiguousarray(centers).data)


def group(table: Any = None, chosen: Any = None) -> Processes | None:
    """The processes that a table moves together with, for Keras' layer; `chosen` is a `process_group`."""
    return Choice(chosen).processes(torch.device("cpu") if table is None else table.device)


def keep_out_of_broadcast(model: torch.nn.Module) -> torch.nn.Module:
    """Before `DistributedDataParallel(model)`: it shall not broadcast the centers in every forward pass.

    The centers are the same in all processes after every step, so the broadcast of a large table is time for nothing.
    DistributedDataParallel offers no other way for a module that is part of the model; a center loss that stands
    outside of it, as criteria do, needs nothing.

    Args:
        model: holds one center loss or more.

    Returns:
        The model.

    Example:
        >>> model = DistributedDataParallel(multiloss.torch.keep_out_of_broadcast(model))  # doctest: +SKIP
    """
    from multiloss_torch.center import TorchCenter

    names = [
        f"{name}.centers" if name else "centers"
        for name, module in model.named_modules()
        if isinstance(module, TorchCenter)
    ]
    compat.keep_out_of_broadcast(model, names)
    return model

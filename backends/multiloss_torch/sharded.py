"""Center loss whose classes are divided among the processes of a group, for tables that one device cannot hold."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from multiloss.center import CenterOptions, files, state, step
from multiloss.definitions import center as formula
from multiloss.engine.layout import trailing
from multiloss_torch import arrays as be
from multiloss_torch import checkpointing, compat
from multiloss_torch.center import TorchCenter


class ShardedCenter(TorchCenter):
    """Each process owns a block of classes: `centers` holds rows `first` to `first + len(centers)` of the table.

    Only rows of the batch travel. Every value needs rows of other processes, so evaluation, too, is a call of all.
    """

    def __init__(self, chosen: CenterOptions) -> None:
        for name in ("num_classes", "feature_dim"):
            if getattr(chosen, name) is None:
                raise ValueError(f"sharded centers need {name}: multiloss.get('center', sharded=True, {name}=...)")
        super().__init__(chosen)
        block = self.centers
        del self.centers  # no buffer: DistributedDataParallel would send rank 0's block to all
        self._hold(block)
        self.register_state_dict_post_hook(_save_block)

    def _converted(self, fn: Any, recurse: bool) -> Any:
        moved = fn(self.centers)
        compat.Table._converted(self, fn, recurse)
        self._hold(self.centers.to(moved.device) if moved.dtype in (torch.float16, torch.bfloat16) else moved)
        return self

    def _loaded(
        self, state_dict: Any, prefix: str, metadata: Any, strict: bool, missing: Any, unexpected: Any, errors: Any
    ) -> None:
        """Take the block of this process; the block of another one is refused."""
        names = [f"{prefix}{name}" for name in ("centers", "block")]
        unexpected += [key for key in state_dict if strict and key.startswith(prefix) and key not in names]
        saved, block = (state_dict.get(name) for name in names)
        wanted = [*self._block(), self._shape()[0]]
        if saved is None or block is None:
            missing += [name for name in names if strict and name not in state_dict]
        elif block.tolist() != wanted or saved.shape != self.centers.shape:
            errors.append(
                f"{names[0]} holds the classes {block[0]} to {block[1] - 1} of {block[2]}, in shape "
                f"{tuple(saved.shape)}, but this process has {wanted[0]} to {wanted[1] - 1} of {wanted[2]}, in shape "
                f"{tuple(self.centers.shape)}; each process loads its own, or load_centers shares them out anew"
            )
        else:
            with torch.no_grad():
                self.centers.copy_(saved)

    def _block(self) -> tuple[int, int]:
        """The first class of this process, and the one after its last."""
        group, classes = self._choice.processes(torch.device("cpu")), int(self.options.num_classes or 0)
        size, rank = (1, 0) if group is None else (group.size, group.rank)
        length = -(-classes // size)
        return min(rank * length, classes), min((rank + 1) * length, classes)

    def _set(self, centers: np.ndarray, like: Tensor | None) -> None:
        super()._set(centers, like)
        self._owned = self._block()
        """The block that the table holds. `_block` is another one once the group has changed."""

    def _own_block(self) -> tuple[int, int]:
        """`_block`, if it is the one that the table holds."""
        (first, stop), (held, until) = self._block(), self._owned
        if (first, stop) != (held, until):
            raise RuntimeError(
                f"this process holds the classes {held} to {until - 1} and should hold {first} to {stop - 1}: the "
                "process group is another one than when the center loss was made; make it after torch.distributed "
                "is initialised, and save it before that is destroyed"
            )
        return first, stop

    def _checked(self, given: tuple[Any, ...], leaf: bool, group: Any = None) -> tuple[tuple[Any, ...], bool]:
        if group is None:
            self._own_block()
        return super()._checked(given, leaf, group)

    @property
    def first(self) -> int:
        """The first class of this process."""
        return self._block()[0]

    def _first(self, rows: int, dim: int) -> np.ndarray:
        first, stop = self._block()
        if self.options.initial is not None:
            return np.asarray(self.options.initial[first:stop])
        return state.first_centers(self.options.centers_init, self.options.seed, stop, dim, np.float64, first)

    def _shape(self) -> tuple[int, int]:
        return int(self.options.num_classes or 0), int(self.options.feature_dim or 0)

    def _step(
        self, given: tuple[Any, ...], updates: bool, leaf: bool = False, first_passes: Sequence[Any] = ()
    ) -> tuple[Any, Any, Any, Tensor]:
        group = self._choice.processes(self.centers.device)
        if group is None:
            return super()._step(given, updates, leaf, first_passes)
        (labels, features, sample_weight, mask), _ = self._checked(given, leaf, group)
        (classes, dim), (first, stop) = self._shape(), self._owned
        with torch.no_grad():
            everyone = group.gather(labels.to(torch.int64).reshape(-1))
            known = (everyone >= 0) & (everyone < classes)
            mine = torch.nonzero((everyone >= first) & (everyone < stop))[:, 0]
            own = everyone[mine] - first
            rows = self.centers.new_zeros(len(everyone), dim)
            rows[mine] = self.centers[own]
            rows = group.sum(rows).where(known[:, None], torch.nan)  # each row is that of its owner, plus zeros
        table = rows[sum(group.lengths[: group.rank]) :][: labels.numel()]
        place = torch.arange(labels.numel(), device=labels.device).reshape(labels.shape)
        if first_passes:  # a recomputation is alone, and reads the rows that came
            checkpointing.remember(first_passes, self, checkpointing.Read(table, place, True))
        rest = features, sample_weight, mask
        value, _, _ = step(be, self.options, table, place, *rest, training=False, labels_checked=True)
        if not updates:
            self._choice.exchanged()
            return value, None, None, features
        with torch.no_grad():
            keep = torch.ones_like(labels, dtype=torch.bool)
            keep = group.gather((keep if mask is None else keep & trailing(mask, mask.ndim, keep.ndim)).reshape(-1))
            keep = keep & (known | ~keep).all()  # no center moves if one label is out of range
            x = group.gather(features.to(rows.dtype).reshape(-1, dim))
            moving, total, n = formula.class_sums(be.xp, rows[mine], own, x[mine], keep[mine])
            count, before = keep.sum().to(rows.dtype), self.centers[moving]
            new = formula.moved(be.xp, before, total, n, count, self.options.alpha, self.options.rule)
        return value, moving, new, features

    def _synchronisation(self) -> str:
        first, stop = self._block()
        return f"classes shared out over the processes; this one owns {first} to {stop - 1}"

    def save_centers(self, path: str | os.PathLike[str]) -> None:
        """Write this process's block as one of the files `path.FIRST-of-CLASSES`; all processes call it.

        Raises:
            RuntimeError: another process could not write its block; the files are not to be used then.
        """
        first, _ = self._own_block()
        with self._alone():
            block = self._host_centers()
        group, drawn = self._choice.processes(self.centers.device), secrets.randbits(48)
        if group is not None:  # one number for all processes
            drawn = int(group.sum(torch.tensor(drawn, device=self.centers.device)))
        error: BaseException | None = None
        try:
            files.save_piece(path, first, self._shape()[0], block, f"{drawn:016x}")
        except BaseException as raised:
            error = raised
        failed = (
            0 if group is None else int(group.sum(torch.tensor(error is not None, device=self.centers.device).int()))
        )
        if error is not None:
            raise error
        if failed:
            raise RuntimeError(f"{failed} of the processes could not write their pieces of {os.fspath(path)}")

    def load_centers(
        self, path: str | os.PathLike[str], *, resize: bool = False, classes: Sequence[int] | None = None
    ) -> None:
        """Take this process's block out of a file, or out of the pieces that any number of processes wrote.

        Raises:
            ValueError: they hold other classes or dimensions, or a piece is missing.
        """
        if resize or classes is not None:
            raise NotImplementedError("sharded centers take no other class set; load it unsharded, and save it")
        first, stop = self._block()
        rows = files.load_rows(path, first, stop, self._shape())
        with self._alone():
            self._set(rows, None)

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError(
            "sharded centers do not change their class set, framework or values; save and load them"
        )

    resize = select = to_backend = write_centers = _assign = _refuse


def _save_block(center: ShardedCenter, state_dict: Any, prefix: str, metadata: Any) -> None:
    """Put the block into a state dict: the centers, and which of all classes they are."""
    state_dict[f"{prefix}centers"] = center.centers.detach()
    state_dict[f"{prefix}block"] = torch.tensor([*center._owned, center._shape()[0]])

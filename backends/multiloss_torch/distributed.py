"""Center loss over the processes of `torch.distributed`: what travels, and how bad input becomes an error everywhere.

Tensors travel on the device of the centers, by any communication backend.

At the start of each updating call every process sends all others one small message (`Processes._told`): the error that
its batch raised, or facts that have to be the same everywhere. So all processes raise an error where one fails, where
they call different center losses (`Agreed.refusal`), and where their tables are not the same any more (`alike`).
"""

from __future__ import annotations

import json
import math
import traceback
import warnings
import weakref
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from multiloss_torch import mode

_LENGTH = 2048
"""Bytes of a message. The longest facts need some 800, the longest text of an error 850."""
_TEXT = 200
"""Characters of an error that are sent."""
_CHECKSUM = "checksum_of_centers"
_PART = 4096
"""How many numbers of the table are compared at each step, the next ones at the next step. This costs the same for any
table, and finds a change in one process after at most size / _PART steps."""
_SUMS = 32
"""How many sums these numbers are compared by. The rounding of one sum would hide more."""
_ROUNDING = 1e-5
"""Sums that differ by less than this part of the largest sum of magnitudes are the same: GPUs and processors may round
a step differently."""
_WEIGHTS = mode.Kept(
    lambda length, dtype, device: (torch.from_numpy(1 + np.arange(length) * ((5**0.5 - 1) / 2) % 1).to(device, dtype),)
)
"""A weight from 1 to 2 for each number, all different, neighbours far apart: so a swap of two numbers is seen."""
_Told = list[dict[str, Any]]


class Agreed:
    """What the processes of one group have agreed on so far. It is the same in all of them."""

    def __init__(self) -> None:
        self.under_way = False
        """Whether an exchange has begun and not ended. If it still is when the next one begins, it broke off."""
        self.places: dict[int, list[int]] = {}
        """For the number of each center loss that they call together: its `Choice.place` in each process; empty if some
        processes have replaced it."""

    def refusal(self, told: _Told) -> str | None:
        """Why this step cannot be one of all processes: they call different center losses, or with different options.

        Center losses that have exchanged before are told apart by their numbers; a copy that replaced one in some
        processes has none there. New ones are told apart by the order in which they were made. That is the same in all
        processes if these have made the same ones so far. If some have made more, such as one to evaluate with, the
        order of any two that exchange is still the same.
        """
        numbers, places, histories = ([said[name] for said in told] for name in ("number", "place", "history"))
        if any(numbers):
            is_one = len({*numbers} - {0}) == 1
        else:
            earlier = [zip(places, other, strict=True) for other in self.places.values() if other]
            is_one = all(len({place < before for place, before in pairs}) == 1 for pairs in earlier)
            is_one = is_one and (len({*places}) == 1 or len({*histories}) > 1)
        if not is_one:
            which = ", ".join(map(str, numbers if any(numbers) else places))
            return (
                f"the processes call different center losses at the same time (by rank, number {which}), so "
                "this step has moved nothing: make them and call them in the same order in all processes"
            )
        facts = [said["facts"] for said in told]
        return next(filter(None, (_difference(facts, name) for name in facts[0])), None)

    def settle(self, choice: Choice, told: _Told) -> None:
        """Number the center loss, by its place in the first process."""
        numbers, places = ([said[name] for said in told] for name in ("number", "place"))
        choice.number = max(numbers) or places[0]
        choice.steps = max(said["steps"] for said in told) + 1
        if 0 in numbers:
            self.places[choice.number] = [] if any(numbers) else places


_GROUPS: weakref.WeakKeyDictionary[Any, Agreed] = weakref.WeakKeyDictionary()


class Choice:
    """The `process_group` that one center loss's user chose: None finds the default one, False is none.

    Copies choose the same group; a pickled loss finds the default one again, since a group belongs to its process.
    Every center loss, copies too, has a choice of its own, which identifies it.
    """

    count = 0
    """How many there are so far that may exchange. The count when one is made is its `place`."""
    history = 0
    """A checksum of how each of them came to be: made, copied or unpickled."""

    def __init__(self, group: Any, origin: str = "made") -> None:
        if group is not None and group is not False and not isinstance(group, dist.ProcessGroup):
            raise TypeError(f"process_group must be a torch ProcessGroup, None or False, got {type(group).__name__}")
        self.group = group
        if group is not False:
            Choice.count += 1
            Choice.history = zlib.crc32(origin.encode(), Choice.history)
        self.place = Choice.count
        self._agreed: Agreed | None = None

    def __deepcopy__(self, memo: Any) -> Choice:
        return Choice(self.group, "copied")

    def __reduce__(self) -> Any:
        return Choice, (False if self.group is False else None, "unpickled")

    def processes(self, device: torch.device) -> Processes | None:
        """The processes to update with; None if this process is alone.

        Raises:
            RuntimeError: the group that was chosen has been destroyed.
        """
        is_ready = dist.is_available() and dist.is_initialized()
        if self.group is False or (self.group is None and not is_ready):
            if self._agreed is not None:
                self._agreed = None
                warnings.warn(
                    "the default process group was destroyed: this center loss moves its centers alone from now on",
                    stacklevel=2,
                )
            return None
        try:
            rank = dist.get_rank(self.group) if is_ready else -1
        except (KeyError, RuntimeError, ValueError):  # which of them depends on the version
            rank = -1
        if rank < 0:
            raise RuntimeError(
                "the process_group of this center loss was destroyed, so its centers cannot move with those "
                "of the other processes any more; make a new center loss with centers_init=center.centers, "
                "and with another group, or with process_group=False to go on alone"
            )
        return Processes(self, rank, device) if dist.get_world_size(self.group) > 1 else None

    def begin(self) -> Agreed:
        """Begin an exchange with the group.

        Raises:
            RuntimeError: the one before, of this or another center loss, broke off in this process.
        """
        agreed = _GROUPS.setdefault(dist.group.WORLD if self.group is None else self.group, Agreed())
        if agreed is not self._agreed:
            # Which center loss of the group this is (0: a new one), and how many steps it has taken there.
            self._agreed, self.number, self.steps = agreed, 0, 0
        if agreed.under_way:
            raise RuntimeError(
                "an exchange of a center loss with the other processes broke off in this process (it was "
                "interrupted, or the communication failed), and the others may have taken that step: start "
                "again from a saved state, with a new process group"
            )
        return agreed

    def exchanged(self) -> None:
        """Note that an exchange has ended, and the centers have moved."""
        if self._agreed is not None:
            self._agreed.under_way = False


def _difference(told: _Told, name: str, hint: str = "") -> str | None:
    """The error where not all processes said the same."""
    values = [said.get(name) for said in told]
    if values == values[:1] * len(values):
        return None
    return f"{name} must be the same in all processes, got {', '.join(map(str, values))}{hint}"


def part(table: Tensor, step: int) -> list[float]:
    """Weighted sums over some rows, other ones at each step; then the largest weighted sum of magnitudes."""
    rows = max(1, _PART // table.shape[1])
    first = step % -(-len(table) // rows) * rows
    x = table.detach()[first : first + rows].reshape(-1)
    weighted = x * _WEIGHTS[x.numel(), x.dtype, x.device][0]
    weighted = torch.nn.functional.pad(weighted, (0, -x.numel() % _SUMS)).view(_SUMS, -1)
    found: list[float] = torch.cat([weighted.sum(1), weighted.abs().sum(1).max()[None]]).tolist()
    return found


def alike(parts: list[list[float]]) -> bool:
    """Whether `part` gave the same in all processes, but for rounding."""
    scale = max(each[-1] for each in parts)
    least = _ROUNDING * scale if math.isfinite(scale) else 0.0
    return np.allclose(parts, parts[0], rtol=0, atol=least, equal_nan=True)


class Processes:
    """One updating call of all processes of a group (`protocol.Group`)."""

    def __init__(self, choice: Choice, rank: int, device: torch.device) -> None:
        self.group, self.device, self._choice = choice.group, device, choice
        self.size, self.rank = dist.get_world_size(self.group), rank
        self.lengths: list[int] = []

    def _told(self, say: Callable[[], dict[str, Any]], refusal: Callable[[_Told], str | None]) -> _Told:
        """What `say` gives in each process, by rank. If it fails in one process, or `refusal` finds a reason, all of
        them raise an error, and the exchange has ended."""
        error: BaseException | None = None
        try:
            said = say()
        except BaseException as caught:  # interrupts, too, or the others would wait for this process
            error, did = caught, "refused" if isinstance(caught, Exception) else "broke off"
            text = "".join(traceback.format_exception_only(caught)).strip()
            said = {"error": f"{did} its batch: {text[:_TEXT]}"}
        message = bytearray(json.dumps(said, ensure_ascii=False).encode(errors="replace").ljust(_LENGTH))
        sent = torch.frombuffer(message, dtype=torch.uint8).to(self.device)
        received = [torch.empty_like(sent) for _ in range(self.size)]
        self._agreed.under_way = True  # until all know the same again
        try:
            dist.all_gather(received, sent, group=self.group)
            told = [json.loads(x.cpu().numpy().tobytes()) for x in received]
        except Exception as lost:
            if error is not None:
                raise error from lost
            raise
        errors = (f"the center loss of rank {rank} {x['error']}" for rank, x in enumerate(told) if "error" in x)
        why = next(errors, None) or refusal(told)
        if why is not None:
            self._agreed.under_way = False
            raise error or ValueError(why)
        return told

    def check(
        self,
        center: Any,
        check: Callable[[], tuple[tuple[Any, ...], bool]],
    ) -> tuple[tuple[Any, ...], bool]:
        """What `check` gives, in all processes or in none.

        The exchange is under way from here on until `Choice.exchanged()`.

        Args:
            center: the center loss. Its `_agreed` becomes True once all processes are known to have the same centers;
                where it is False, or a part of the table differs, the whole tables are compared.
            check: gives the arrays of a call, labels first, and whether these are known to be in range. The table fits
                the batch then.
        """
        if torch.compiler.is_compiling():  # in all processes: they run one program
            raise RuntimeError(
                "a center loss cannot update with other processes inside a compiled function; call it outside of that "
                "(a group of processes needs num_classes, too), or pass process_group=False"
            )
        self._agreed, choice, chosen = self._choice.begin(), self._choice, center.options
        checked: tuple[Any, ...] = ()

        def say() -> dict[str, Any]:
            nonlocal checked
            if chosen.num_classes is None:
                raise ValueError(
                    "the processes of a group cannot let the centers grow; pass num_classes to "
                    "multiloss.get('center', ...)"
                )
            checked, labels_checked = check()
            facts = {
                "loss": chosen.loss,
                **dict(zip(("num_classes", "feature_dim"), center._shape(), strict=True)),
                "alpha": chosen.alpha,
                "preset": chosen.preset,
                "sharded": chosen.sharded,
                "moves_all": chosen.moves_all,
                "float_bits": torch.finfo(center._held().dtype).bits,
                **dict(chosen.own),
            }
            return {
                "facts": facts,
                "length": checked[0].numel(),
                "labels_checked": labels_checked,
                "number": choice.number,
                "steps": choice.steps,
                "place": choice.place,
                "history": Choice.history,
                # Where the classes are divided among the processes, each holds another block.
                "same": chosen.sharded or (center._agreed and choice.number > 0),
                "part": [] if chosen.sharded else part(center._held(), choice.steps),
            }

        told = self._told(say, self._agreed.refusal)
        self.lengths = [said["length"] for said in told]
        same = chosen.sharded or alike([said["part"] for said in told])
        center._agreed = same and all(said["same"] for said in told)
        if not center._agreed:
            hint = "; load the same centers in all of them, and change them in none alone"
            self._told(
                lambda: {_CHECKSUM: zlib.crc32(np.ascontiguousarray(center._host_centers()).data)},
                lambda told: _difference(told, _CHECKSUM, hint),
            )
            center._agreed = True
        self._agreed.settle(choice, told)
        return checked, all(said["labels_checked"] for said in told)

    def gathers(self, classes: int, dim: int, samples: int) -> bool:
        return sum(self.lengths) <= 2 * classes

    def gather(self, x: Tensor) -> Tensor:
        if x.dtype == torch.bool:
            return self.gather(x.to(torch.uint8)).to(torch.bool)
        padded = x.new_zeros((max(self.lengths), *x.shape[1:]))
        padded[: len(x)] = x.detach()
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(parts, padded, group=self.group)
        return torch.cat([part[:n] for part, n in zip(parts, self.lengths, strict=True)])

    def sum(self, x: Tensor) -> Tensor:
        total = x.detach().clone()
        dist.all_reduce(total, group=self.group)
        return total


def group(table: Any = None, chosen: Any = None) -> Processes | None:
    """The processes that Keras' layer moves its table with; `chosen` is its `Choice`."""
    return chosen.processes(torch.device("cpu") if table is None else table.device)

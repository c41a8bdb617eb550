"""Center loss over the processes of `torch.distributed`: what travels, and that bad input is an error everywhere.

Nothing here is specific to a communication backend: tensors travel on the device of the centers.

Each updating call starts with one small message of every process to all: what failed there, or the
facts that have to be the same everywhere. So an error of one process's batch, whatever it is, is an
error of all, and so are calls that do not belong together (another center loss, another step:
`turns`) and tables that are not the same any more (`comparison`).
"""

from __future__ import annotations

import struct
import traceback
import warnings
import zlib
from collections.abc import Callable
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from torch import Tensor

from multiloss.center import CenterOptions
from multiloss.registry import TABLES
from multiloss_torch import comparison, compat, turns
from multiloss_torch.comparison import checksum as checksum

_MESSAGE = 240
_FACTS = (
    "num_classes", "feature_dim", "alpha", "preset", "loss", "sharded", "moves_all", "weight", "margin", "delta",
    "float_bits",
)  # fmt: skip
"""What must be the same in all processes, and is told by name where it is not."""


class Choice:
    """The `process_group` that one center loss's user chose: None finds the default one, False is none.

    Copies choose the same group; a pickled loss finds the default one again, since a group belongs to its process. Each
    center loss, a copy too, has a choice of its own, by which it is told from the others.
    """

    count = 0
    """How many there are so far that may exchange; of each, when it was made, its `place`."""
    history = 0
    """A checksum of how each of them came to be."""

    def __init__(self, group: Any, origin: str = "made") -> None:
        if group is not None and group is not False and not isinstance(group, dist.ProcessGroup):
            raise TypeError(f"process_group must be a torch ProcessGroup, None or False, got {type(group).__name__}")
        self.group = group
        if group is not False:
            Choice.count += 1
            Choice.history = zlib.crc32(origin.encode(), Choice.history)
        self.place = Choice.count
        self._turns: turns.Turns | None = None

    def __deepcopy__(self, memo: Any) -> Choice:
        return Choice(self.group, "copied")

    def __reduce__(self) -> Any:
        return Choice, (False if self.group is False else None, "unpickled")

    def processes(self, device: torch.device) -> Processes | None:
        """The processes to update with; None where this one is alone.

        Raises:
            RuntimeError: the group that was chosen has been destroyed.
        """
        is_ready = dist.is_available() and dist.is_initialized()
        if self.group is False or (self.group is None and not is_ready):
            if self._turns is not None:
                self._turns = None
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

    def turns(self) -> turns.Turns:
        """Those of the group, which this process and this center loss exchange in."""
        self._turns = turns.of_group(dist.group.WORLD if self.group is None else self.group)
        return self._turns

    def exchanged(self) -> None:
        """Note that an exchange has ended with all that it was for: the centers have moved."""
        if self._turns is not None:
            self._turns.under_way = False


class Processes:
    """One updating call of all processes of a group (`protocol.Group`)."""

    def __init__(self, choice: Choice, rank: int, device: torch.device) -> None:
        self.group, self.device, self._choice = choice.group, device, choice
        self.size, self.rank = dist.get_world_size(self.group), rank
        self.lengths: list[int] = []

    def _tell(self, error: BaseException | None, **numbers: float) -> dict[str, list[float]]:
        """The numbers of each process, by rank: what failed in one process is an error in all of them."""
        text, failed = "", 0
        if error is not None:
            text, failed = "".join(traceback.format_exception_only(error)).strip(), 1 + isinstance(error, Exception)
        layout = f"<B{len(numbers)}d{_MESSAGE}s"
        mine = struct.pack(layout, failed, *numbers.values(), text.encode(errors="replace")[:_MESSAGE])
        sent = torch.frombuffer(bytearray(mine), dtype=torch.uint8).to(self.device)
        received = [torch.empty_like(sent) for _ in range(self.size)]
        self._turns.under_way = True  # until all know the same again
        try:
            dist.all_gather(received, sent, group=self.group)
            told = [struct.unpack(layout, x.cpu().numpy().tobytes()) for x in received]
        except Exception as lost:
            if error is not None:
                raise error from lost
            raise
        if error is not None:
            self._call_off(error)
        for rank, (failed, *_, said) in enumerate(told):
            if failed:
                why = said.rstrip(b"\0").decode(errors="replace")
                did = "refused" if failed == 2 else "broke off"
                self._call_off(ValueError(f"the center loss of rank {rank} {did} its batch: {why}"))
        return {name: [each[1 + i] for each in told] for i, name in enumerate(numbers)}

    def _call_off(self, error: BaseException) -> NoReturn:
        """The end of an exchange by an error in all processes."""
        self._turns.under_way = False
        self._turn.step -= 1
        raise error

    def check(
        self,
        chosen: CenterOptions,
        check: Callable[[], tuple[tuple[Any, ...], bool]],
        table: Callable[[], Tensor],
        shape: Callable[[], tuple[int, int]],
        checksum: Callable[[], int],
        agreed: bool,
    ) -> tuple[tuple[Any, ...], bool]:
        """What `check` gives, in all processes or in none.

        The exchange is under way from here on until `Choice.exchanged()`.

        Args:
            chosen: the options.
            check: gives the arrays of a call, labels first, and whether these are known to be in range.
            table: the centers here, once they are checked. shape: that of the whole table.
            checksum: of all centers here.
            agreed: whether the processes have compared that since these centers came from outside.
        """
        if torch.compiler.is_compiling():  # in all processes: they run one program
            raise RuntimeError(
                "a center loss cannot update with other processes inside a compiled function; call it outside of that "
                "(a group of processes needs num_classes, too), or pass process_group=False"
            )
        self._turns = self._choice.turns()
        self._turn = turn = self._turns.begin(self._choice)
        checked, trusted, error, own = (None,), False, None, dict(chosen.own)
        facts, part = dict.fromkeys(_FACTS, 0.0), [0.0] * (comparison.SUMS + 1)
        try:
            if chosen.num_classes is None:
                raise ValueError(
                    "the processes of a group cannot let the centers grow; pass num_classes to "
                    "multiloss.get('center', ...)"
                )
            checked, trusted = check()
            facts |= {name: float(own.get(name, 0)) for name in ("weight", "margin", "delta")}
            facts |= {
                "num_classes": shape()[0],
                "feature_dim": shape()[1],
                "alpha": chosen.alpha,
                "preset": list(chosen.table.presets).index(chosen.preset),
                "loss": list(TABLES).index(chosen.loss),
                "sharded": chosen.sharded,
                "moves_all": chosen.moves_all,
                "float_bits": torch.finfo(table().dtype).bits,
            }
            if not chosen.sharded:  # of which each process holds another block
                part = comparison.part(table(), turn.step)
        except BaseException as caught:  # an interrupt, too: the others shall not wait for this process
            error = caught
        told = self._tell(
            error,
            length=0 if checked[0] is None else checked[0].numel(),
            trusted=trusted,
            number=turn.number,
            step=turn.step,
            place=self._choice.place,
            history=Choice.history,
            same=agreed and turn.same,
            **facts,
            **{f"part {i}": x for i, x in enumerate(part)},
        )
        names = ("length", "number", "step", "place", "history")
        self.lengths, numbers, steps, places, histories = ([int(n) for n in told[name]] for name in names)
        try:
            number, step = self._turns.agreed(numbers, steps, places, histories)
        except ValueError as refusal:
            self._call_off(refusal)
        for name in _FACTS:
            self._compare(name, told[name])
        parts = zip(*(told[f"part {i}"] for i in range(len(part))), strict=True)
        turn.same = turn.same and comparison.alike([list(each) for each in parts])
        if not (turn.same and all(told["same"])):
            turn.same = False  # until it is known
            self._compare_tables(checksum)
            turn.same = True
        self._turns.settle(turn, number, step, numbers, places)
        return checked, all(told["trusted"])

    def _compare(self, name: str, values: list[float], hint: str = "") -> None:
        if len(set(values)) > 1:
            got = ", ".join(f"{value:.12g}" for value in values)
            self._call_off(ValueError(f"{name} must be the same in all processes, got {got}{hint}"))

    def _compare_tables(self, checksum: Callable[[], int]) -> None:
        """Refuse tables that are not equal."""
        error, found = None, 0
        try:
            found = checksum()
        except BaseException as caught:
            error = caught
        told = self._tell(error, checksum=found)["checksum"]
        self._compare(
            "checksum_of_centers", told, "; load the same centers in all of them, and change them in none alone"
        )

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


def group(table: Any = None, chosen: Any = None) -> Processes | None:
    """The processes that a table moves together with, for Keras' layer; `chosen` is its `Choice`."""
    return chosen.processes(torch.device("cpu") if table is None else table.device)


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

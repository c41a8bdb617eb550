"""Which center losses of this process exchange with the other processes of a group, and at which step each of them is.

All processes of a group find the same numbers here as long as they call the same center losses in
the same order.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any


class Turn:
    """One center loss among those of a group."""

    def __init__(self) -> None:
        self.number = 0
        """It was the first, the second, ... that the processes agreed on; 0 before they have."""
        self.step = 0
        """How many exchanges it has begun and not called off."""
        self.same = False
        """Whether the whole tables were equal when they were compared, and nothing told otherwise since."""


class Turns:
    """The center losses of one group."""

    def __init__(self) -> None:
        self.of: weakref.WeakKeyDictionary[Any, Turn] = weakref.WeakKeyDictionary()
        self.places: list[Sequence[int]] = []
        """By number: which one each process made it as. Empty of one that was replaced in some processes."""
        self.under_way = False
        """Whether an exchange has begun and not ended; if so when the next one begins, it broke off."""

    def begin(self, member: Any) -> Turn:
        """The turn of a center loss that exchanges now; it is told by its own `member` object."""
        if self.under_way:
            raise RuntimeError(
                "an exchange of a center loss with the other processes broke off in this process (it was "
                "interrupted, or the communication failed), and the others may have taken that step: start "
                "again from a saved state, with a new process group"
            )
        turn = self.of.setdefault(member, Turn())
        turn.step += 1
        return turn

    def agreed(
        self, numbers: Sequence[int], steps: Sequence[int], places: Sequence[int], histories: Sequence[int]
    ) -> tuple[int, int]:
        """Number and step of the center loss that all processes call, from what each said of its own.

        Those that only evaluate, or only in one process, never come here, and so change no number. One that is new in
        some processes, such as a copy that took the place of the old one there, takes the number it has elsewhere.

        Args:
            numbers: by process; 0 of one that is new there.
            steps: likewise.
            places: which one that process made it as, of all that it made.
            histories: equal where processes made equally many, in the same ways.

        Raises:
            ValueError: the processes call different ones, or are at different steps.
        """
        old = {number for number in numbers if number}
        if len(old) > 1 or (not old and self._is_out_of_order(places, histories)):
            which = ", ".join(map(str, numbers if old else places))
            raise ValueError(
                f"the processes call different center losses at the same time (by rank, number {which}), so "
                "this step has moved nothing: make them and call them in the same order in all processes"
            )
        at = {step for step, number in zip(steps, numbers, strict=True) if number or not old}
        if len(at) > 1:
            raise ValueError(
                f"the processes are at different steps of this center loss (by rank, step "
                f"{', '.join(map(str, steps))}), so this step has moved nothing: a call was left out or broke "
                "off in one of them; start again from a saved state"
            )
        return max(old, default=len(self.places) + 1), max(at)

    def _is_out_of_order(self, places: Sequence[int], histories: Sequence[int]) -> bool:
        """Whether new center losses, which have no number yet, are told apart by the order in which they were made.

        Where all processes have made the same ones so far, it is the same for all; where some have made more, such as
        one to evaluate with, two that exchange still follow each other.
        """
        if len(set(histories)) == 1 and len(set(places)) > 1:
            return True
        return any(
            len({place < earlier for place, earlier in zip(places, other, strict=True)}) > 1
            for other in self.places
            if other
        )

    def settle(self, turn: Turn, number: int, step: int, numbers: Sequence[int], places: Sequence[int]) -> None:
        """Note what the processes agreed on."""
        turn.number, turn.step = number, step
        if number > len(self.places):
            self.places.append(places)
        elif 0 in numbers:
            self.places[number - 1] = ()


_GROUPS: weakref.WeakKeyDictionary[Any, Turns] = weakref.WeakKeyDictionary()


def of_group(group: Any) -> Turns:
    """Those of a process group, for as long as it is there."""
    return _GROUPS.setdefault(group, Turns())

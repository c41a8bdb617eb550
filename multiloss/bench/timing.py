"""How calls are timed beside each other."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

Clock = Callable[[], float]


def once(call: Callable[[], Any], wait: Callable[[Any], None], repeats: int, clock: Clock) -> float:
    """Microseconds a call."""
    start = clock()
    for _ in range(repeats):
        result = call()
    wait(result)
    return (clock() - start) / repeats * 1e6


def interleaved(
    calls: dict[str, Callable[[], Any]],
    wait: Callable[[Any], None],
    seconds: float,
    clock: Clock = time.perf_counter,
) -> dict[str, list[float]]:
    """Times of all contenders, in turn, for about `seconds` each.

    Each is first as often as the others, and each timed call follows one that is not counted: one that always came
    after a slow one, and so always found the memory given back, took a third longer than in another place.
    """
    repeats = {}
    for name, call in calls.items():
        once(call, wait, 3, clock)  # compiles, allocates
        guess = min(once(call, wait, 1, clock) for _ in range(3))
        repeats[name] = max(1, round(2000 / guess))  # a round of 2 ms, or of one call
    slowest = max(once(call, wait, repeats[name], clock) * (repeats[name] + 1) for name, call in calls.items())
    rounds = min(max(round(seconds * 1e6 / slowest), 7), 101)
    rounds += -rounds % len(calls)
    times: dict[str, list[float]] = {name: [] for name in calls}
    gc.collect()
    gc.disable()
    try:
        for turn in range(rounds):
            first = turn % len(calls)
            for name, call in [*calls.items()][first:] + [*calls.items()][:first]:
                once(call, wait, 1, clock)  # what another one left of the caches and the heap is not this one's
                times[name].append(once(call, wait, repeats[name], clock))
    finally:
        gc.enable()
    return times

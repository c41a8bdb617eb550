"""One training step of center loss (value, gradient, update) as the number of classes grows, beside what peers do.

    python benchmarks/center.py --framework torch --classes 10 --classes 100000
    python benchmarks/center.py --json center.json

Batch 256, 128 features, float32. Beside ours: "by hand", a gather and a scatter, as short as that framework allows
with the counts of the batch's classes only, the gradient by the framework, so that it reaches the network that made the
features (on JAX in closed form: its compiler makes that of it anyway); for torch and TensorFlow the same with the
gradient in closed form, which reaches no network; for torch also the formulas of two popular implementations, a dense
matrix of distances (batch x classes) with the centers under an optimizer, and counts and sums in tables as long as the
centers. All are timed in turn, round after round. Memory is what one step after the first adds to the resident size of
a process that does nothing else (Linux).
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from multiloss.bench import BACKENDS as FRAMEWORKS
from multiloss.bench.timing import interleaved

ROOT = Path(__file__).resolve().parent.parent

BATCH, DIM, ALPHA = 256, 128, 0.5
DENSE = ("matrix of distances", "counts in a table")
CLASSES = (10, 1_000, 100_000, 1_000_000)
MANY = 1_000_000
"""Beyond it two tables at a time, of 5 GB each at 10,000,000 classes: ours and "by hand" in turn, the others alone;
those leave that make a second table as large."""
Step = Callable[[], Any]
Made = dict[str, Callable[[], Step]]
"""What makes each contender, and its table."""


def data(classes: int) -> tuple[Any, Any]:
    """Labels and features."""
    rng = np.random.default_rng(0)
    return rng.integers(0, classes, BATCH), rng.normal(size=(BATCH, DIM)).astype(np.float32)


def torch_steps(classes: int, device: str) -> Made:
    """PyTorch, eager."""
    import torch

    import multiloss

    labels, features = data(classes)
    y, x = torch.from_numpy(labels).to(device), torch.from_numpy(features).to(device)
    leaf = x.clone().requires_grad_()

    def ours() -> Step:
        center = multiloss.get("center", backend="torch", num_classes=classes, feature_dim=DIM).to(device)

        def step() -> None:
            leaf.grad = None
            center(y, leaf).backward()

        return step

    def with_table(step: Callable[[torch.Tensor], Any]) -> Callable[[], Step]:
        return lambda: partial(step, torch.zeros(classes, DIM, device=device))

    def move(table: torch.Tensor, difference: torch.Tensor) -> None:
        found, place, n = torch.unique(y, return_inverse=True, return_counts=True)
        sums = torch.zeros(len(found), DIM, device=device).index_add_(0, place, difference)
        table.index_add_(0, found, sums / (1 + n)[:, None], alpha=-ALPHA)

    def by_hand(table: torch.Tensor) -> None:
        leaf.grad = None
        difference = table[y] - leaf
        move(table, difference.detach())
        (0.5 * difference.square().sum(1).mean()).backward()

    def without_autograd(table: torch.Tensor) -> tuple[Any, Any]:
        difference = table[y] - x
        value = 0.5 * difference.square().sum(1).mean()
        move(table, difference)
        return value, difference / -BATCH

    def distances(table: torch.Tensor) -> None:  # |x|^2 + |c|^2 - 2 x c, masked by class; SGD on the centers
        leaf.grad = None
        centers = table.requires_grad_()
        squares = leaf.square().sum(1, keepdim=True) + centers.square().sum(1)[None] - 2 * leaf @ centers.T
        mask = y[:, None] == torch.arange(classes, device=device)[None]
        (squares * mask).clamp(1e-12, 1e12).sum().div(BATCH).backward()
        with torch.no_grad():
            table.sub_(ALPHA * table.grad)
        table.grad = None

    def tables(table: torch.Tensor) -> tuple[Any, Any]:  # counts and sums as long as the centers
        difference = table[y] - x
        value = 0.5 * difference.square().sum() / BATCH
        counts = torch.ones(classes, device=device).scatter_add_(0, y, torch.ones(BATCH, device=device))
        sums = torch.zeros_like(table).scatter_add_(0, y[:, None].expand(-1, DIM), difference)
        table.sub_(ALPHA * sums / counts[:, None])
        return value, difference / -BATCH

    made = {
        "ours": ours,
        "by hand": with_table(by_hand),
        "by hand, no autograd": with_table(without_autograd),
        "counts in a table": with_table(tables),
        "matrix of distances": with_table(distances),
    }
    largest = {"counts in a table": MANY, "matrix of distances": 100_000}
    return {name: make for name, make in made.items() if classes <= largest.get(name, classes)}


def jax_steps(classes: int, device: str) -> Made:
    """JAX, jitted, the state donated; the object that holds the table, too."""
    import jax
    import jax.numpy as jnp

    import multiloss

    y, x = map(jnp.asarray, data(classes))

    def kept(compiled: Any, state: Any) -> Step:  # (value, gradient, state) of the state before
        held = [state]

        def step() -> Any:
            *result, held[0] = compiled(held[0], y, x)  # the batch as arguments: what a closure holds is folded once
            return *result, held[0]

        return step

    def ours() -> Step:
        center = multiloss.get("center", backend="jax", num_classes=classes, feature_dim=DIM)

        def run(state: Any, y: Any, x: Any) -> Any:
            (value, state), gradient = jax.value_and_grad(lambda x: center.step(state, y, x), has_aux=True)(x)
            return value, gradient, state

        return kept(jax.jit(run, donate_argnums=0), center.init_state())

    def hand(table: Any, y: Any, x: Any) -> Any:
        difference = table[y] - x
        order = jnp.argsort(y)
        place = jnp.cumsum(jnp.diff(y[order], prepend=y[order[:1]]) != 0)
        sums = jax.ops.segment_sum(difference[order], place, BATCH, indices_are_sorted=True)
        n = jax.ops.segment_sum(jnp.ones(BATCH), place, BATCH, indices_are_sorted=True)
        rows = table[y[order]] - ALPHA * (sums / (1 + n)[:, None])[place]
        return 0.5 * jnp.square(difference).sum(1).mean(), difference / -BATCH, table.at[y[order]].set(rows)

    def by_hand() -> Step:
        return kept(jax.jit(hand, donate_argnums=0), jnp.zeros((classes, DIM)))

    def held() -> Step:
        center = multiloss.get("center", backend="jax", num_classes=classes, feature_dim=DIM)
        return lambda: center.value_and_grad(y, x)

    return {"ours": ours, "by hand": by_hand, "ours, object": held}


def tensorflow_steps(classes: int, device: str) -> Made:
    """TensorFlow in a `tf.function`."""
    import tensorflow as tf

    import multiloss

    y, x = map(tf.constant, data(classes))

    def ours() -> Step:
        center = multiloss.get("center", backend="tensorflow", num_classes=classes, feature_dim=DIM)

        @tf.function
        def step(y: Any, x: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(x)
                value = center(y, x)
            return value, tape.gradient(value, x)

        return lambda: step(y, x)

    def move(table: Any, y: Any, difference: Any) -> None:
        found, place, n = tf.unique_with_counts(y)
        sums = tf.math.unsorted_segment_sum(difference, place, tf.size(found))
        moves = ALPHA * sums / (1 + tf.cast(n, tf.float32))[:, None]
        table.scatter_sub(tf.IndexedSlices(moves, found))

    def by_hand() -> Step:
        table = tf.Variable(tf.zeros((classes, DIM)), trainable=False)

        @tf.function
        def step(y: Any, x: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(x)
                difference = tf.gather(table, y) - x
                value = 0.5 * tf.reduce_mean(tf.reduce_sum(tf.square(difference), 1))
            move(table, y, difference)
            return value, tape.gradient(value, x)

        return lambda: step(y, x)

    def without_tape() -> Step:
        table = tf.Variable(tf.zeros((classes, DIM)))

        @tf.function
        def step(y: Any, x: Any) -> Any:
            difference = tf.gather(table, y) - x
            move(table, y, difference)
            return 0.5 * tf.reduce_mean(tf.reduce_sum(tf.square(difference), 1)), difference / -BATCH

        return lambda: step(y, x)

    return {"ours": ours, "by hand": by_hand, "by hand, no tape": without_tape}


STEPS = {"torch": torch_steps, "jax": jax_steps, "tensorflow": tensorflow_steps}


def wait(result: Any) -> None:
    """Until a JAX result is there, and what torch sent to a GPU."""
    if "torch" in sys.modules and sys.modules["torch"].cuda.is_initialized():
        sys.modules["torch"].cuda.synchronize()
    for part in result if isinstance(result, tuple) else ():
        if hasattr(part, "block_until_ready"):
            part.block_until_ready()


def megabytes(framework: str, classes: int, name: str) -> float:
    """What steps add to the largest resident size, in a process of their own."""
    command = [sys.executable, __file__, "--framework", framework, "--classes", str(classes), "--peak", name]
    return float(subprocess.run(command, check=True, capture_output=True, text=True, env=environment()).stdout)


def peak(framework: str, classes: int, name: str) -> None:
    """Print it. (`ru_maxrss` will not do: a child starts with its parent's.)"""
    step = STEPS[framework](classes, "cpu")[name]()
    wait(step())  # what is compiled is no part of it
    Path("/proc/self/clear_refs").write_text("5")  # the largest size from now on
    before = resident("VmRSS")
    for _ in range(3):
        wait(step())
    print((resident("VmHWM") - before) / 1024)


def resident(which: str) -> int:
    """A line of Linux's account of this process, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(which)).split()[1])


def environment() -> dict[str, str]:
    """With the checkout on the path."""
    paths = [str(ROOT), str(ROOT / "backends"), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def measure(framework: str, classes: int, seconds: float, memory: bool, device: str) -> list[dict[str, Any]]:
    """The lines of one number of classes."""
    made = STEPS[framework](classes, device)
    # What works on whole tables empties the caches: it takes its turns after the others, not between them.
    groups = [[name for name in made if (name in DENSE) == dense] for dense in (False, True)]
    if classes > MANY:
        groups = [["ours", "by hand"], *([name] for name in made if name not in ("ours", "by hand"))]
    times: dict[str, list[float]] = {}
    for group in groups:
        times |= interleaved({name: made[name]() for name in group}, wait, seconds) if group else {}
        gc.collect()  # the tables of these
    hand = statistics.median(times["by hand"])
    lines = []
    for name, samples in times.items():
        in_turn = any({name, "by hand"} <= set(group) for group in groups)
        pairs = zip(samples, times["by hand"], strict=True) if in_turn else ((x, hand) for x in samples)
        ratio = statistics.median(a / b for a, b in pairs)
        line = {"framework": framework, "classes": classes, "step": name,
                "us": round(statistics.median(samples), 1), "to by hand": round(ratio, 2)}  # fmt: skip
        lines.append(line | ({"peak MB": round(megabytes(framework, classes, name), 1)} if memory else {}))
    return lines


def main(argv: list[str]) -> None:
    """Run what the command line asks for."""
    parse = argparse.ArgumentParser(description="a training step of center loss")
    parse.add_argument("--framework", action="append", choices=FRAMEWORKS, help="default: all; may be repeated")
    parse.add_argument("--classes", action="append", type=int, help="default: 10, 1000, 100000, 1000000")
    parse.add_argument("--seconds", type=float, default=0.3, help="about how long each contender of a line is timed")
    parse.add_argument("--memory", action="store_true", help="measure the peak memory, a process each")
    parse.add_argument("--device", default="cpu", help="of torch's tensors; JAX and TensorFlow take what they find")
    parse.add_argument("--json", type=Path, help="write the results here")
    parse.add_argument("--peak", help=argparse.SUPPRESS)
    parse.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parse.parse_args(argv)
    if arguments.peak:
        peak(arguments.framework[0], arguments.classes[0], arguments.peak)
        return
    if not arguments.worker:  # with the path set, and each framework in a process of its own
        for framework in arguments.framework or FRAMEWORKS:
            command = [sys.executable, __file__, *argv, "--framework", framework, "--worker"]
            subprocess.run(command, check=True, env=environment())
        return
    results = []
    for classes in arguments.classes or CLASSES:
        for line in measure(arguments.framework[-1], classes, arguments.seconds, arguments.memory, arguments.device):
            results.append(line)
            print("  ".join(f"{key} {value}" for key, value in line.items()), flush=True)
    if arguments.json:
        known = json.loads(arguments.json.read_text()) if arguments.json.exists() else []
        arguments.json.write_text(json.dumps(known + results, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])

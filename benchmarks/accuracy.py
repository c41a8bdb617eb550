"""Largest error of each loss in units in the last place, value and gradient: here on each backend, and in the peers.

    python benchmarks/accuracy.py --backend numpy --loss log_cosh
    python benchmarks/accuracy.py --json accuracy.json --markdown accuracy.md

Errors from 1e-6 to 1e4, logits to +-1e4, float32 and float64, against mpmath; a value that is a difference of terms
is measured against the largest term (`exact.py` says which). Elementwise losses are to be within 8. "own" is the
framework's own function (torch.nn.functional, optax) or, without one, plain operations; "keras" is Keras on it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from exact import CLASS_LOSSES, ROOT, Right, points, right, ulps

from multiloss.bench import pairs
from multiloss.bench.arrays import Array
from multiloss.bench.pairs import Row

ROWS = {row.key: row for row in pairs.CORE}
BACKENDS = ("numpy", "torch", "jax", "tensorflow", "keras")
LIMIT = 8
Result = dict[str, Any]
Answer = tuple[Array, Array]  # values (samples,), gradients (samples, elements)


def host(x: Any) -> Array:
    """A native array as NumPy."""
    return np.asarray(x.detach() if hasattr(x, "detach") else x)


def ours(row: Row, backend: str, native: Callable[[Array], Any], t: Array, p: Array) -> list[Answer]:
    """All samples in one call, unreduced; and each in a call of its own, reduced, which may take another path."""
    import multiloss

    axis: Any = -1 if row.name in CLASS_LOSSES or row.name.startswith("root") else ()
    loss = multiloss.get(row.name, backend=backend, reduction="none", axis=axis, validate=False, **row.options)
    values, gradients = loss.value_and_grad(native(t), native(p))
    single = multiloss.get(row.name, backend=backend, **row.options)  # labels are read, so that kernels are taken
    pairs = [single.value_and_grad(native(t[i : i + 1]), native(p[i : i + 1])) for i in range(len(p))]
    return [
        (host(values).reshape(len(p)), host(gradients)),
        (np.stack([host(v) for v, _ in pairs]), np.concatenate([host(g) for _, g in pairs])),
    ]


def of_function(framework: str, f: Callable[[Any, Any], Any], t: Array, p: Array) -> Answer:
    """Values and gradients, sample for sample, of a function of the framework that gives one value per call."""
    if framework == "torch":
        import torch

        each = torch.func.grad_and_value(lambda p, t: f(t[None], p[None]).sum())
        gradients, values = torch.func.vmap(each)(torch.from_numpy(p), torch.from_numpy(t))
    elif framework == "jax":
        import jax

        one = jax.value_and_grad(lambda p, t: f(t[None], p[None]).sum())
        values, gradients = jax.jit(jax.vmap(one))(p, t)
    else:
        import tensorflow as tf

        x = tf.convert_to_tensor(p)
        with tf.GradientTape() as tape:
            tape.watch(x)
            values = f(tf.convert_to_tensor(t), x)
        gradients = tape.gradient(values, x)
    return host(values).reshape(len(p)), host(gradients)


def keras_answer(row: Row, framework: str, dtype: str, t: Array, p: Array) -> Answer | None:
    """What Keras gives."""
    if "keras" not in row.others:
        return None
    import keras

    name, options = row.others["keras"]
    loss = getattr(keras.losses, name)(reduction="none", dtype=dtype, **options)
    return of_function(framework, loss, t, p)


def worst(answer: Answer, rights: list[Right], dtype: str) -> tuple[float, float]:
    """Largest errors of the values and of the gradients."""
    value = gradient = 0.0
    for v, g, (v_right, g_right, v_term, g_terms) in zip(*answer, rights, strict=True):
        value = max(value, ulps(v, v_right, v_term, dtype))
        for triple in zip(np.atleast_1d(g), g_right, g_terms, strict=True):
            gradient = max(gradient, ulps(*triple, dtype))
    return value, gradient


def measure(backend: str, row: Row, dtype: str, number: int, peers: bool) -> list[Result]:
    """One line each for us, the framework's own, and Keras."""
    if backend == "keras":
        import keras

        keras.config.set_floatx(dtype)  # a Keras loss computes in it, whatever it is given
    samples = list(points(row, dtype, number))
    t, p = np.stack([t for t, _ in samples]), np.stack([p for _, p in samples])
    rights = [right(row, a, b) for a, b in samples]
    framework = os.environ["KERAS_BACKEND"] if backend == "keras" else backend
    own = None if framework == "numpy" else importlib.import_module(f"multiloss.bench.own_{framework}")
    native = own.array if own else np.asarray
    found: dict[str, list[Answer]] = {"ours": ours(row, backend, native, t, p)}
    if peers and backend in ("torch", "jax"):
        found["own"] = [of_function(backend, pairs.own_loss(row, own)[1], t, p)]
    if peers and backend not in ("numpy", "keras"):
        answer = keras_answer(row, framework, dtype, t, p)
        found |= {} if answer is None else {"keras": [answer]}
    results = []
    for who, answers in found.items():
        errors = [worst(answer, rights, dtype) for answer in answers]
        value, gradient = (max(pair[i] for pair in errors) for i in (0, 1))
        results.append(
            {"backend": backend, "who": who, "loss": row.key, "dtype": dtype, "value": value, "gradient": gradient}
        )
    return results


def shown(ulp: float) -> str:
    """A number of units."""
    return f"{ulp:.1f}" if ulp < 100 else f"{ulp:.0e}"


def table(results: list[Result]) -> list[tuple[str, ...]]:
    """A line per loss and dtype, a column per implementation: value / gradient."""
    columns = list(dict.fromkeys((r["backend"], r["who"]) for r in results))
    columns.sort(key=lambda c: (("ours", "own", "keras").index(c[1]), BACKENDS.index(c[0])))
    cell = {(r["loss"], r["dtype"], r["backend"], r["who"]): r for r in results}
    names = {"own": {"torch": "torch.nn.functional", "jax": "optax"}, "keras": {}, "ours": {}}
    heads = [
        names[who].get(backend, f"{'ours, ' if who == 'ours' else 'keras on '}{backend}") for backend, who in columns
    ]
    lines = [("loss", "dtype", *heads)]
    for loss, dtype in dict.fromkeys((r["loss"], r["dtype"]) for r in results):
        found = [cell.get((loss, dtype, *column)) for column in columns]
        lines.append((loss, dtype, *(f"{shown(r['value'])} / {shown(r['gradient'])}" if r else "-" for r in found)))
    return lines


def markdown(results: list[Result]) -> str:
    """The table as Markdown."""
    head, *lines = table(results)
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, tuple("---" for _ in head), *lines)) + "\n"


def in_own_process(backend: str, arguments: list[str]) -> list[Result]:
    """`measure` in a process with that Keras backend (Keras takes it at import) and JAX in float64."""
    paths = [str(ROOT), str(ROOT / "backends"), os.environ.get("PYTHONPATH", "")]
    keras_backend = {"numpy": "numpy", "keras": os.environ.get("KERAS_BACKEND", "tensorflow")}.get(backend, backend)
    environment = os.environ | {
        "KERAS_BACKEND": keras_backend,
        "JAX_ENABLE_X64": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "results.json")
        command = [sys.executable, __file__, *arguments, "--backend", backend, "--worker", str(out)]
        subprocess.run(command, env=environment, check=True)
        results: list[Result] = json.loads(out.read_text())
    return results


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parse = argparse.ArgumentParser(description="largest error in units in the last place")
    parse.add_argument("--backend", action="append", choices=BACKENDS, help="default: all; may be repeated")
    parse.add_argument("--loss", action="append", choices=list(ROWS), help="default: all; may be repeated")
    parse.add_argument("--dtype", action="append", choices=("float32", "float64"), help="default: both")
    parse.add_argument("--number", type=int, default=41, help="sizes tried between 1e-6 and 1e4")
    parse.add_argument("--no-peers", action="store_true", help="measure this library only")
    parse.add_argument("--json", type=Path, help="write the results here")
    parse.add_argument("--markdown", type=Path, help="write the table here")
    parse.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    return parse


def main(argv: list[str]) -> int:
    """Run what the command line asks for; 1 if an elementwise loss of ours is above the limit."""
    arguments = parser().parse_args(argv)
    if arguments.worker:
        warnings.simplefilter("ignore")
        results = [
            result
            for key in arguments.loss or ROWS
            for dtype in arguments.dtype or ("float32", "float64")
            for result in measure(arguments.backend[-1], ROWS[key], dtype, arguments.number, not arguments.no_peers)
        ]
        arguments.worker.write_text(json.dumps(results))
        return 0
    results = [r for backend in arguments.backend or BACKENDS for r in in_own_process(backend, argv)]
    lines = table(results)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(item.ljust(width) for item, width in zip(line, widths, strict=True)).rstrip())
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    if arguments.markdown:
        arguments.markdown.write_text(markdown(results))
    bad = [
        r
        for r in results
        if r["who"] == "ours" and ROWS[r["loss"]].name not in CLASS_LOSSES and max(r["value"], r["gradient"]) > LIMIT
    ]
    for r in bad:
        print(f"above {LIMIT}: {r['backend']} {r['loss']} {r['dtype']} {shown(r['value'])} / {shown(r['gradient'])}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

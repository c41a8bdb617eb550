"""Adapters take what frameworks do not promise in one file each, `compat.py`, and nowhere else.

Read off the source, so that no framework is needed: names under a framework that begin with an underscore or are known
to be its inside, attributes with an underscore that this project does not define itself, methods that override one of
a framework's own, and Python frames.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ADAPTERS = sorted((ROOT / "backends").glob("multiloss_*"))
FRAMEWORKS = ("torch", "jax", "jaxlib", "keras", "tensorflow", "flax")
INSIDE = re.compile(r"\b(torch|jax|jaxlib|keras|tensorflow|tf|flax)\.((\w+\.)*_[a-z]\w*|src\b|python\b|_C\b)")
OVERRIDDEN = {"_apply", "_save_to_state_dict", "_load_from_state_dict", "_call_impl", "_replicate_for_data_parallel"}
"""Methods of the frameworks that a definition with the same name would override."""
UNPROMISED = {
    "_getframe", "currentframe", "f_back", "f_locals", "f_globals", "f_code", "gi_frame", "getgeneratorlocals",
    "jax_state_sync",
}  # fmt: skip
"""Frames, and what Keras says nothing of."""


def sources(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*.py")) if path.name != "compat.py"]


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def own_names() -> set[str]:
    """What this project defines: functions, classes, attributes and variables that are assigned somewhere."""
    names: set[str] = set()
    for folder in (*ADAPTERS, ROOT / "multiloss"):
        for path in folder.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef | ast.ClassDef):
                    names.add(node.name)
                elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    names.add(node.id)
                elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                    names.add(node.attr)
    return names - OVERRIDDEN


OWN = own_names()


def dotted(node: ast.AST) -> str:
    """`a.b.c`, as far as it is only names."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def taken(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Lines and names that no framework promises."""
    imported: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                imported[name.asname or name.name.split(".")[0]] = name.name if name.asname else name.name.split(".")[0]
                if INSIDE.search(name.name):
                    yield node.lineno, name.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for name in node.names:
                full = f"{node.module}.{name.name}"
                imported[name.asname or name.name] = full
                if INSIDE.search(full):
                    yield node.lineno, full
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            first, _, rest = dotted(node).partition(".")
            full = f"{imported.get(first, first)}.{rest}"
            if full.startswith(tuple(f"{name}." for name in FRAMEWORKS)) and INSIDE.search(full):
                yield node.lineno, full
            elif node.attr in UNPROMISED or (private(node.attr) and node.attr not in OWN):
                yield node.lineno, node.attr
        elif isinstance(node, ast.FunctionDef) and node.name in OVERRIDDEN:
            yield node.lineno, f"def {node.name}"
        elif isinstance(node, ast.Call) and dotted(node.func) in ("getattr", "hasattr", "setattr", "delattr"):
            named = node.args[1] if len(node.args) > 1 else None
            if isinstance(named, ast.Constant) and (
                named.value in UNPROMISED or (private(str(named.value)) and named.value not in OWN)
            ):
                yield node.lineno, str(named.value)


@pytest.mark.parametrize("folder", ADAPTERS, ids=lambda folder: folder.name)
def test_no_private_names(folder: Path) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in sources(folder)
        for line, name in taken(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not found, "not promised by a framework; take it in compat.py:\n" + "\n".join(found)


def test_all_adapters_are_read() -> None:
    assert [folder.name.removeprefix("multiloss_") for folder in ADAPTERS] == [
        "jax", "keras", "numpy", "tensorflow", "torch",
    ]  # fmt: skip
    assert all(sources(folder) for folder in ADAPTERS)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("import torch\ntorch._C._functorch.peek()", "torch._C._functorch.peek"),
        (
            "from torch.autograd import forward_ad\nforward_ad._current_level",
            "torch.autograd.forward_ad._current_level",
        ),
        ("from torch.nn.modules import module as _every\n_every._global_forward_hooks", "_global_forward_hooks"),
        ("def f():\n    from torch._higher_order_ops.scan import scan", "torch._higher_order_ops.scan.scan"),
        ("from torch import nn\nnn.Module._apply(self, fn)", "torch.nn.Module._apply"),
        ("class A:\n    def _apply(self, fn): ...", "def _apply"),
        ("super()._load_from_state_dict(x)", "_load_from_state_dict"),
        ("self._forward_hooks", "_forward_hooks"),
        ("module._compiled_call_impl", "_compiled_call_impl"),
        ('getattr(model, "_ddp_params_and_buffers_to_ignore", ())', "_ddp_params_and_buffers_to_ignore"),
        ("import sys\nsys._getframe(1)", "_getframe"),
        ("frame.f_locals", "f_locals"),
        ('getattr(model, "jax_state_sync")', "jax_state_sync"),
        ("import keras.src.backend", "keras.src.backend"),
        ("from keras.src import backend", "keras.src.backend"),
        ("import keras\nkeras.src.losses", "keras.src.losses"),
        ("from jax._src import core", "jax._src.core"),
        ("import jax\njax._src.core", "jax._src.core"),
        ("from tensorflow.python.framework import ops", "tensorflow.python.framework.ops"),
        ("import tensorflow as tf\ntf.python.framework", "tensorflow.python.framework"),
        ("import tensorflow as tf\ntf.Variable._handle", "tensorflow.Variable._handle"),
    ],
)
def test_what_is_found(code: str, name: str) -> None:
    assert any(name in found for _, found in taken(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "import torch\ntorch.autograd.forward_ad.unpack_dual(x)",
        "import keras\nkeras.ops.sum(x)",
        "import jax\njax.lax.psum(x, 'i')",
        "import tensorflow as tf\ntf.distribute.get_replica_context()",
        "self._inputs(be)",
        "x.__class__",
    ],
)
def test_what_is_not(code: str) -> None:
    assert list(taken(ast.parse(code))) == []

"""The rooms of the library: nothing imports upwards, and nothing imports what imports it; in the tests, too."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import multiloss
from multiloss.engine import numerics

FLOORS = (
    {"engine", "version"},
    {"definitions", "info", "options", "protocol"},
    {"boosting", "center", "functions"},
    {"catalogue"},
    {"porting"},
    {"comparing", "pictures", "testing", "typing"},
    {"multiloss"},
    {"flax", "keras", "torch"},
    {"bench", "demo"},
    {"cli"},
    {"__main__"},
)
"""From the ground up; `multiloss` is the package itself, with the public names."""


def modules() -> dict[str, Path]:
    import importlib.util

    found = {}
    for name in ("multiloss", *(f"multiloss_{b}" for b in ("numpy", "torch", "tensorflow", "jax", "keras"))):
        spec = importlib.util.find_spec(name)
        folder = Path(spec.origin).parent
        for path in folder.rglob("*.py"):
            found[".".join((name, *path.relative_to(folder).with_suffix("").parts)).removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imported(name: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            each = {f"{node.module}.{one.name}" for one in node.names}
            found |= {one if one in MODULES else str(node.module) for one in each}
    return found & MODULES.keys() - {name}


def floor(name: str) -> int:
    parts = name.split(".")
    room = parts[1] if len(parts) > 1 else "multiloss"
    return next(i for i, rooms in enumerate(FLOORS) if room in rooms)


OLD_PLACES = {"multiloss.porting.compare"}
"""Names that users have imported from there."""


@pytest.mark.parametrize("name", [n for n in MODULES if n.split(".")[0] == "multiloss" and n not in OLD_PLACES])
def test_nothing_imports_upwards(name: str) -> None:
    """A module imports its own room and lower ones. Adapters are loaded by name (`engine/dispatch.py`); the demo
    and the public names of one framework are above them."""
    for other in imported(name):
        if other.split(".")[0] == "multiloss":
            assert floor(other) < floor(name) or other.split(".")[1:2] == name.split(".")[1:2], other
        else:
            assert name == "multiloss.engine.dispatch" or floor(name) >= floor("multiloss.torch"), other


def test_there_is_no_circle() -> None:
    """Of all modules, the adapters' too; only `dispatch` loads what is above it, by name."""
    graph = {name: imported(name) for name in MODULES}
    graph["multiloss.engine.dispatch"] -= {"multiloss_torch"}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle
    assert order.index("multiloss.engine.pipeline") < order.index("multiloss.catalogue") < order.index("multiloss")


def test_the_engine_knows_no_loss_by_name() -> None:
    """Nor do the adapters: but for the names of kernels and modules, and what a name can mean that is none."""
    names = {*multiloss.list_losses()} - {"center"} - {*numerics.DEFAULTS}  # primitives that are called like a loss
    for module, path in MODULES.items():
        package, *parts = module.split(".")
        above = package == "multiloss" and parts[:1] != ["engine"]
        if above or parts[-1:] in (["kernels"], ["sequence"], ["learned_weight"], ["owners"], ["registry"]):
            continue
        texts = {x.value for x in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(x, ast.Constant)}
        assert not {text for text in texts if text in names}, module


def test_no_test_file_imports_another() -> None:
    folder = Path(__file__).parent
    tests = {path.stem for path in folder.glob("test_*.py")}
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [str(getattr(node, "module", "")), *(one.name for one in node.names)]
                assert not tests & {part for name in names for part in name.split(".")}, f"{path.name}: {names}"

"""Which backends a run tests, and what has to be set before a framework is imported.

`pytest --backends torch,jax` tests those two; without the option, every backend of this library that is installed. A
backend that was asked for and cannot be imported is an error, never a skip. A backend of another distribution, which an
entry point names, is tested where it is asked for: `tests/test_verify.py` alone, which needs no more than its name.

* A test with an argument `backend` runs once for every backend under test.
* `@pytest.mark.only("torch", "jax")`: a test of what those backends alone have.
* `tests/test_torch_*.py` (likewise for the others) is collected only where torch is tested, so it may import torch at
  its top. An argument `backend` of its tests is that backend alone.
* `@pytest.mark.cross`: a test that takes several frameworks at once; it runs only where all five are tested.
  `tests/test_port_torch*.py`, `test_port_keras*.py` and `test_port_optax*.py` are collected there only.
* `@pytest.mark.reads`: a test of what has to read values, which is not done on an accelerator (`--device`).
* `@pytest.mark.graph`: a test for which TensorFlow compiles; in others it runs op by op, in a tenth of the time.
* Any other test needs no framework, and runs only where numpy is tested: once, and not in every environment.

What tests share is in `tests/helpers/`, and the formulas that they expect in `tests/reference/`.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.metadata
import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("helpers")  # a failing assertion there shows its values, too

BACKENDS = ("numpy", "torch", "tensorflow", "jax", "keras")
_PORTS = ("test_port_torch", "test_port_keras", "test_port_optax")
KERAS_RUNS_ON = ("tensorflow", "torch", "jax")

# One thread for each process: the two workers of `-n 2` share two cores. Libraries read these when they are imported.
for _name in (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
):
    os.environ.setdefault(_name, "1")
_XLA = "--xla_cpu_multi_thread_eigen=false"
_XLA_WITHOUT_OPTIMISER = (
    f"{_XLA} --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_parallel_codegen_split_count=1"
)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["JAX_ENABLE_X64"] = "1"  # float64 everywhere, so that the reference can be compared with

settings.register_profile(
    "ci", derandomize=True, deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow]
)
# On Keras the arithmetic is another backend's, whose tests draw more.
settings.register_profile("few", settings.get_profile("ci"), max_examples=9)
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


def _present(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _choose_keras_backend() -> str | None:
    """What Keras will run on: KERAS_BACKEND, else its configuration file, else whichever framework is installed."""
    if os.environ.get("KERAS_BACKEND"):
        choice = os.environ["KERAS_BACKEND"]
        return choice if choice in KERAS_RUNS_ON and _present(choice) else None
    try:
        home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
        configured = [json.loads((home / "keras.json").read_text())["backend"]]
    except (OSError, ValueError, KeyError):
        configured = []
    return next((name for name in (*configured, *KERAS_RUNS_ON) if name in KERAS_RUNS_ON and _present(name)), None)


_keras_on = _choose_keras_backend() if _present("keras") else None
if _keras_on is not None:
    os.environ["KERAS_BACKEND"] = _keras_on

INSTALLED = tuple(name for name in BACKENDS if (_keras_on is not None if name == "keras" else _present(name)))
OTHERS = tuple(point.name for point in importlib.metadata.entry_points(group="multiloss.backends"))
KNOWN = (*BACKENDS, *OTHERS)


def _missing(name: str) -> str:
    if name == "keras" and _present("keras"):
        choice = os.environ.get("KERAS_BACKEND")
        wanted = f"KERAS_BACKEND={choice}" if choice else "torch, tensorflow or jax"
        return f"keras has nothing to run on: {wanted} is not installed"
    return f"{name} is not installed"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backends",
        default=None,
        metavar="NAMES",
        help=f"comma-separated, of {', '.join(KNOWN)}; default: the first five, if they are installed",
    )
    parser.addoption(
        "--device",
        default="cpu",
        metavar="NAME",
        help="where torch's and JAX's arrays are, as `cuda`; `unread`: on the CPU, but as on an accelerator, where "
        "reading a value would wait",
    )
    parser.addoption(
        "--xla-optimised",
        action="store_true",
        help="compile as users do; without it XLA leaves out its optimiser, and compiles in a quarter of the time",
    )
    parser.addoption(
        "--ecosystems",
        action="store_true",
        help="run the pages of the docs that need Lightning, transformers and the like; a missing one is an error",
    )


def pytest_configure(config: pytest.Config) -> None:
    _choose_device(config.getoption("--device"), config.getoption("--xla-optimised"))
    config.addinivalue_line(
        "markers", "cross: takes several frameworks at once; runs only where all five backends are tested"
    )
    config.addinivalue_line("markers", "reads: expects what only values that are read can tell, not on an accelerator")
    config.addinivalue_line("markers", "graph(*backends): TensorFlow compiles (on those backends), as for users")
    config.addinivalue_line("markers", "only(*backends): a test of what those backends alone have")
    asked = config.getoption("--backends")
    if asked is None:
        config.selected_backends = INSTALLED
        return
    names = [name.strip() for name in asked.split(",") if name.strip()]
    for name in names:
        if name not in KNOWN:
            raise pytest.UsageError(f"--backends: no backend is called {name!r}; there are {', '.join(KNOWN)}")
        if name in BACKENDS and name not in INSTALLED:
            raise pytest.UsageError(f"--backends: {_missing(name)}")
    if not names:
        raise pytest.UsageError("--backends: no backend was named")
    config.selected_backends = tuple(name for name in KNOWN if name in names)


def _newer_flags() -> str:
    """What TensorFlow 2.19 does not know, and dies of."""
    for name in ("tensorflow", "tensorflow-cpu"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            if importlib.metadata.version(name).startswith("2.19."):
                return ""
    return " --xla_cpu_use_fusion_emitters=false"


def _choose_device(name: str, xla_optimised: bool) -> None:
    if name in ("cpu", "unread"):
        os.environ.setdefault("XLA_FLAGS", _XLA if xla_optimised else f"{_XLA_WITHOUT_OPTIMISER}{_newer_flags()}")
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
        return
    from helpers import arrays  # imports NumPy, for which the threads have to be set

    arrays.DEVICE = name
    os.environ.setdefault("JAX_PLATFORMS", name)
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # all workers share the memory


def pytest_report_header(config: pytest.Config) -> str:
    line = f"backends: {', '.join(config.selected_backends)}"
    if "keras" in config.selected_backends:
        line += f" (keras on {os.environ['KERAS_BACKEND']})"
    if not _all_frameworks(config):
        line += "; tests that take all frameworks at once are left out"
    return line


def _all_frameworks(config: pytest.Config) -> bool:
    return set(BACKENDS) <= set(config.selected_backends)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if collection_path.name == "test_torch_cuda.py" and config.getoption("--device") != "cuda":
        return True
    if collection_path.name.startswith(_PORTS) and not _all_frameworks(config):
        return True
    owner = _owner(collection_path)
    return True if owner is not None and owner not in config.selected_backends else None


def _owner(path: Path) -> str | None:
    """The backend that a test file is about, by its name."""
    return next((b for b in BACKENDS if path.name == f"test_{b}.py" or path.name.startswith(f"test_{b}_")), None)


def _narrowed(node: pytest.Item | pytest.FunctionDefinition) -> set[str]:
    """The backends that a test's file name and its `only` marks leave."""
    owner = _owner(node.path)
    left = set(BACKENDS) if owner is None else {owner}
    if node.path.name == "test_verify.py":
        left |= set(OTHERS)
    for mark in node.iter_markers("only"):
        if unknown := set(mark.args) - left.union(BACKENDS):
            raise pytest.UsageError(f"{node.nodeid}: only() names {', '.join(sorted(unknown))}")
        left &= set(mark.args)
    return left


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" not in metafunc.fixturenames:
        return
    allowed = _narrowed(metafunc.definition)
    here = [name for name in metafunc.config.selected_backends if name in allowed]
    # where nothing is left the test is deselected below, and not reported as a skip
    metafunc.parametrize("backend", here or sorted(allowed), scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    selected = set(config.selected_backends)

    def runs(item: pytest.Item) -> bool:
        if item.get_closest_marker("reads") and config.getoption("--device") != "cpu":
            return False
        if item.get_closest_marker("cross"):
            return _all_frameworks(config)
        if "backend" in getattr(item, "fixturenames", ()) or item.get_closest_marker("only"):
            return bool(_narrowed(item) & selected)
        return _owner(item.path) is not None or "numpy" in selected

    if left_out := [item for item in items if not runs(item)]:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if runs(item)]


@pytest.fixture(scope="session", autouse=True)
def _keras_policy(request: pytest.FixtureRequest) -> None:
    """Keras takes its global dtype policy from floatx when it is first asked for: not in a test that has changed it."""
    if "keras" in request.config.selected_backends:
        import keras

        keras.config.dtype_policy()


@pytest.fixture(scope="session", autouse=True)
def _device(request: pytest.FixtureRequest) -> None:
    """`--device unread`: what looks at values gets none; another device: modules are moved there, as a user's are."""
    device = request.config.getoption("--device")
    if device not in ("cpu", "unread"):
        import multiloss

        get = multiloss.get
        multiloss.get = lambda *args, **options: _moved(get(*args, **options), device)
    if device != "unread":
        return
    selected = {_keras_on if name == "keras" else name for name in request.config.selected_backends}
    if "torch" in selected:
        from multiloss_torch import mode

        mode.can_read = lambda x: False
    if "jax" in selected:
        import multiloss_jax
        import multiloss_jax.arrays

        multiloss_jax.host = multiloss_jax.arrays.host = lambda x: None


def _moved(loss: Any, device: str) -> Any:
    return loss.to(device) if type(loss).__module__.startswith("multiloss_torch") else loss


@pytest.fixture(autouse=True)
def _tensorflow_op_by_op(request: pytest.FixtureRequest) -> Iterator[None]:
    """TensorFlow runs without its compiler, but in tests marked `graph` and in files of TensorFlow or Keras alone.

    XLA takes a fifth of a second for each loss, option and shape, and never gives back the 2 MB of a program.
    """
    backend = request.getfixturevalue("backend") if "backend" in request.fixturenames else None
    on = _keras_on if backend == "keras" else backend
    many = request.node.get_closest_marker("cross") or request.path.name.startswith(_PORTS)
    takes_it = on == "tensorflow" or (backend is None and many)
    graph = request.node.get_closest_marker("graph")
    in_graph = (graph and backend in (graph.args or (backend,))) or _owner(request.path) in ("tensorflow", "keras")
    if not takes_it or in_graph or request.config.getoption("--xla-optimised"):
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers, the next one does not see."""
    from multiloss.engine import registry

    for table in ("_definitions", "_aliases"):
        monkeypatch.setattr(registry, table, dict(getattr(registry, table)))


@pytest.fixture(scope="module", autouse=True)
def _forget_compiled_programs() -> Iterator[None]:
    """Programs that XLA compiled for losses of earlier files are of no use any more, but take 2 MB each and some of the
    65,530 memory maps that Linux gives a process: at that limit it dies."""
    yield
    maps = Path("/proc/self/maps")
    if "multiloss_jax" not in sys.modules or not maps.exists() or maps.read_bytes().count(b"\n") < 6_000:
        return
    import jax

    for name, module in list(sys.modules.items()):
        if name.startswith("multiloss_jax"):
            for function in vars(module).values():
                if hasattr(function, "cache_clear"):
                    function.cache_clear()
    jax.clear_caches()
    gc.collect()

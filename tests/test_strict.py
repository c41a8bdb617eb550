"""The sixth backend (`multiloss_strict.py`): every loss over the array API standard alone gives NumPy's numbers."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import array_api_strict
import numpy as np
import pytest

import multiloss
import multiloss.testing
import multiloss_strict
from helpers.calls import calls
from multiloss.engine import dispatch, registry
from multiloss.testing.strategies import layout_of

CASES = [*calls(True), *calls(False)]
REDUCTIONS = ("mean", "weighted_mean", "sum", "batchmean", "none")


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(dispatch._adapters, "strict", multiloss_strict)


def native(arrays: dict[str, Any]) -> dict[str, Any]:
    return {name: array_api_strict.asarray(x) for name, x in arrays.items()}


@pytest.mark.parametrize(("name", "options", "inputs"), CASES)
def test_values_and_gradients(name: str, options: dict[str, Any], inputs: dict[str, Any]) -> None:
    loss = multiloss.get(name, backend="strict", **options)
    same = loss.to_backend("numpy")
    np.testing.assert_allclose(np.asarray(loss(**native(inputs))), same(**inputs), rtol=1e-12, atol=1e-14)
    by = [one for one in registry.find(name).gradients if one in inputs]
    if by:
        found = loss.value_and_grad(**native(inputs), wrt=by)[1]
        for one, other in zip(found, same.value_and_grad(**inputs, wrt=by)[1], strict=True):
            assert isinstance(one, type(array_api_strict.asarray(0.0)))
            np.testing.assert_allclose(np.asarray(one), other, rtol=1e-10, atol=1e-12)


def weights_and_masks(loss: Any, inputs: dict[str, Any]) -> Iterator[dict[str, Any]]:
    rng, samples = np.random.default_rng(1), layout_of(loss.spec, inputs).samples
    weight = 1.5 if loss.spec.definition.whole_batch else rng.uniform(0, 2, samples)
    yield {"sample_weight": np.asarray(weight)}
    if samples:
        mask = rng.uniform(size=samples) > 0.3
        yield {"mask": mask}
        yield {"sample_weight": np.asarray(weight), "mask": mask}


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("name", "options", "inputs"), [*calls(True)])
def test_weights_masks_and_reductions(name: str, options: Any, inputs: dict[str, Any], reduction: str) -> None:
    loss = multiloss.get(name, backend="strict", **options, reduction=reduction)
    for more in weights_and_masks(loss, inputs):
        expected = loss.to_backend("numpy")(**inputs, **more)
        found = loss(**native(inputs), **native(more))
        np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-12, atol=1e-14)


def test_all_losses_are_tried() -> None:
    tried = {case.values[0] for case in CASES}
    ours = {name for name in registry.names() if registry.find(name).family != "registered"}
    assert tried >= ours


def test_a_loss_without_a_backend_stays_in_theirs() -> None:
    x = array_api_strict.asarray([[1.0, 2.0]])
    assert isinstance(multiloss.get("mse")(x, x + 1), type(x))
    with pytest.raises(TypeError, match="y_pred is a strict tensor, but this is a loss for numpy"):
        multiloss.get("mse", backend="numpy")(x, x)


@pytest.mark.parametrize("name", ["huber", "sparse_categorical_crossentropy", "gaussian_nll", "arcface"])
def test_the_public_suite(name: str) -> None:
    """It asks for what a backend has: no float16, and no gradients but those of closed forms."""
    multiloss.testing.check(name, backends=["strict"], examples=10)


def test_the_public_suite_sees_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    value = multiloss_strict.loss._value
    monkeypatch.setattr(multiloss_strict.loss, "_value", lambda *given: value(*given) * 2)
    with pytest.raises(AssertionError, match="value of the call on strict"):
        multiloss.testing.check("huber", backends=["strict"], examples=10)
    monkeypatch.setattr(multiloss_strict.loss, "_value", lambda *given: np.asarray(value(*given)))
    with pytest.raises(AssertionError, match="value or gradient on strict is ndarray, which is none of its arrays"):
        multiloss.testing.check("huber", backends=["strict"], examples=10)


@pytest.fixture
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a distribution that declares the entry point makes it known; nothing has imported it yet."""
    monkeypatch.delitem(dispatch._adapters, "strict")
    point = EntryPoint("strict", "multiloss_strict", "multiloss.backends")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [point])


@pytest.mark.usefixtures("_installed")
def test_an_entry_point_names_a_backend() -> None:
    assert multiloss.list_backends()["strict"] is True
    assert multiloss.get("mse").to_backend("strict").backend == "strict"


def test_an_entry_point_without_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("gone", "multiloss_gone.adapter", "multiloss.backends")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [point])
    assert multiloss.list_backends()["gone"] is False


def test_a_gradient_that_no_one_knows(own_registry: None) -> None:
    """The array API standard differentiates nothing, and a registered function brings no derivative."""
    multiloss.register("cube")(lambda xp, y_true, y_pred: (y_true - y_pred) ** 3)
    x = array_api_strict.asarray([[1.0, 2.0]])
    with pytest.raises(NotImplementedError, match="cube has no closed-form .* y_pred, and the backend 'strict'"):
        multiloss.get("cube", backend="strict").value_and_grad(x, x)


@pytest.mark.usefixtures("_installed")
@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: multiloss.get("mse", backend="strcit"), ValueError("known are numpy, .*, strict$")),
        (lambda: multiloss.get("mse", backend=3), TypeError("must be one of 'numpy', .*, 'strict', got int")),
        (lambda: multiloss.port("nn.MSELoss()", to="strcit"), ValueError("must be one of 'numpy', .*, 'strict', ")),
        (lambda: multiloss.get("center", backend="strict"), ValueError("'strict' has no losses that hold centers")),
    ],
)
def test_messages_know_it(call: Any, error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        call()


@pytest.mark.parametrize(("named", "wanted"), [("strict", "2 passed"), ("strcit", "numpy, .*, strict")])
def test_pytest_knows_it(named: str, wanted: str, tmp_path: Path) -> None:
    """`pytest --backends strict` holds it to the public suite, where a distribution declares it."""
    folder = tmp_path / "multiloss_strict-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: multiloss-strict\nVersion: 1\n")
    (folder / "entry_points.txt").write_text("[multiloss.backends]\nstrict = multiloss_strict\n")
    tests = Path(__file__).parent
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--backends", named, "-k", "huber or command"]
    done = subprocess.run(
        [sys.executable, *words, "tests/test_verify.py", "tests/test_losses.py"],
        cwd=tests.parent, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert re.search(wanted, done.stdout + done.stderr), done.stdout + done.stderr

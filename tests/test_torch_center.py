"""Center loss and what torch has of its own: modules, checkpoints, compilation, torch.func."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import multiloss
import reference
from helpers import groups
from helpers.arrays import told_by_compiler

C, D = 4, 2
LABELS = np.array([0, 2, 2, 1])
FEATURES = np.array([[1, 2], [3, -1], [1, 0], [0.5, 4]], np.float32)
Y, X = torch.tensor(LABELS), torch.tensor(FEATURES)
VALUES, MOVED = reference.center_step(np.zeros((C, D)), LABELS, FEATURES, 0.5)


def close(got: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-6)


def make(**options: Any) -> Any:
    return multiloss.get("center", backend="torch", num_classes=C, feature_dim=D, **options)


def test_module() -> None:
    center = make()
    assert isinstance(center, torch.nn.Module) and not list(center.parameters())
    assert list(dict(center.named_buffers())) == ["centers"] and type(center.centers) is torch.Tensor
    x = torch.tensor(FEATURES, requires_grad=True)
    center(Y, x).backward()
    close(x.grad, FEATURES / 4)
    assert not center.centers.requires_grad and center.centers.grad_fn is None
    close(center.centers, MOVED)


def test_checkpoints(tmp_path: Path) -> None:
    center = make()
    center(Y, X)
    torch.save(center.state_dict(), tmp_path / "center.pt")
    saved = torch.load(tmp_path / "center.pt", weights_only=True)
    for fresh in (multiloss.get("center", backend="torch"), make()):
        net = torch.nn.ModuleDict({"center": fresh})
        net.load_state_dict({f"center.{key}": value for key, value in saved.items()})
        close(fresh.centers, MOVED)
    wrong = multiloss.get("center", backend="torch", num_classes=3, feature_dim=D)
    with pytest.raises(RuntimeError, match=r"size mismatch for centers.*\[4, 2\].*\[3, 2\]"):
        wrong.load_state_dict(saved)


def test_dtypes_and_devices() -> None:
    for convert in (torch.nn.Module.half, torch.nn.Module.bfloat16, lambda m: m.to(torch.float16)):
        center = make(centers_init=np.full((C, D), 1 / 3))
        convert(torch.nn.Sequential(center))
        assert center.centers.dtype == torch.float32
        close(center.centers, np.full((C, D), np.float32(1 / 3)))
    assert make().double().centers.dtype == torch.float64
    there = make().to("meta")
    assert there.centers.device.type == there.init_state()["centers"].device.type == "meta"
    with pytest.raises(ValueError, match="features is on cpu, but the loss's table of centers is on meta; move one"):
        there(torch.tensor([0]), torch.ones(1, D))
    with pytest.raises(ValueError, match="features is on cpu, but the state's table of centers is on meta; move one"):
        there.step(there.init_state(), torch.tensor([0]), torch.ones(1, D))
    assert there([0], [[1.0] * D]).device.type == "meta"


def test_a_table_on_meta_is_put_where_assigned_values_are() -> None:
    with torch.device("meta"):
        there = make()
    with pytest.raises(ValueError, match="center.resize first"):
        there.centers = torch.ones(C + 1, D)
    assert there.centers.is_meta
    there.centers = torch.full((C, D), 2.0)  # as transformers' from_pretrained does with each tensor of a checkpoint
    close(there.centers, np.full((C, D), 2.0))
    assert dict(there.named_buffers())["centers"].device.type == "cpu"


def test_autocast_changes_nothing() -> None:
    center = make()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = center(Y, X)
    close(value, VALUES.mean())
    close(center.centers, MOVED)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of torch.compile itself
@pytest.mark.parametrize("compiler", ["aot_eager", "inductor"])
def test_compile(compiler: str) -> None:
    torch._dynamo.reset()
    center = make()
    compiled = torch.compile(center, fullgraph=True, backend=compiler)
    x = torch.tensor(FEATURES, requires_grad=True)
    value = compiled(Y, x)
    value.backward()
    close(value.detach(), VALUES.mean())
    close(x.grad, FEATURES / 4)
    close(center.centers, MOVED)
    bad = compiled(torch.tensor([0, 9, 2, -1]), x)
    assert bad.isnan()
    close(center.centers, MOVED)
    unknown = multiloss.get("center", backend="torch")
    for _ in range(2):  # and after eager steps: a new label could not be refused any more
        with pytest.raises(Exception, match=told_by_compiler("pass num_classes")):
            torch.compile(unknown, fullgraph=True, backend="eager")(Y, x)
        unknown(Y, x)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of torch.compile itself
@pytest.mark.parametrize("compiler", ["aot_eager", "aot_eager_decomp_partition"])
@pytest.mark.parametrize(("name", "classes", "options"), groups.CENTER[::2] + groups.FAMILY)
def test_compiled_gradients(name: str, classes: int, options: dict[str, Any], compiler: str) -> None:
    """Of the centers before the step: a compiled backward pass that reads the buffer again finds the moved ones."""
    torch._dynamo.reset()
    eager, compiled = (groups.made("torch", classes, 2, **options) for _ in range(2))
    run = torch.compile(compiled, fullgraph=True, backend=compiler)
    for first in (1.0, -3.0, np.nan, np.inf):
        x, again = X.clone(), X.clone()
        x[0, 0] = again[0, 0] = first
        x.requires_grad_(), again.requires_grad_()
        eager(Y, x).backward()
        run(Y, again).backward()
        torch.testing.assert_close(again.grad, x.grad, rtol=1e-5, atol=1e-6, equal_nan=True)
        torch.testing.assert_close(compiled.centers, eager.centers, rtol=1e-5, atol=1e-6, equal_nan=True)
    assert compiled.centers.isfinite().all()


@pytest.mark.parametrize("assign", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_a_checkpoint_in_half_precision(known: bool, assign: bool) -> None:
    """Whatever the file holds, the centers are float32 at least."""
    saved = {"centers": torch.arange(6.0).reshape(3, 2).half()}
    shape = {"num_classes": 3, "feature_dim": 2} if known else {}
    center = multiloss.get("center", backend="torch", **shape)
    center.load_state_dict(saved, assign=assign)
    assert center.centers.dtype == torch.float32
    close(center.centers, np.arange(6.0).reshape(3, 2))
    assert dict(center.named_buffers())["centers"] is center.centers


def test_first_batch_in_inference_mode() -> None:
    """As the sanity check of a trainer before the first epoch: what it makes can be trained."""
    center = multiloss.get("center", backend="torch")
    with torch.inference_mode():
        center(Y, X)
    center(Y, X)
    assert center.centers.any()


def test_func() -> None:
    center = make()
    with pytest.raises(RuntimeError, match=r"torch.func .* init_state\(\) and step\(\)"):
        torch.func.grad(lambda x: center(Y, x))(X)
    assert not center.centers.any()
    state = center.init_state()
    gradient, new = torch.func.grad(lambda x: center.step(state, Y, x), has_aux=True)(X)
    close(gradient, FEATURES / 4)
    close(new["centers"], MOVED)

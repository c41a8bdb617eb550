"""Losses in what records a program by running it: `torch.jit.trace`, `make_fx`, `torch.fx`, ONNX; and pickled."""

from __future__ import annotations

import io
import pickle
from typing import Any

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

import multiloss
import multiloss.torch
from helpers.calls import NAMES, good
from multiloss.engine import registry

# torch warns that its recorder is old, and of shapes that were read.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*torch.jit.trace.*:DeprecationWarning", "ignore::torch.jit.TracerWarning"
)
BY_CLASS = [name for name in NAMES if "class_weight" in registry.find(name).options]
LABELS, FEATURES = torch.tensor([0, 2, 1, 0]), torch.randn(4, 5, generator=torch.Generator().manual_seed(0))


def tensors(name: str) -> list[Any]:
    given = good(name)
    return [torch.tensor(given[one]) if one in given else None for one in registry.find(name).inputs]


@pytest.mark.parametrize("name", BY_CLASS)
def test_class_weights_compile_and_export_without_a_break_or_warning(name: str) -> None:
    loss = multiloss.get(name, backend="torch", class_weight=[1.0, 2.0, 3.0])
    inputs = tensors(name)
    torch._dynamo.reset()
    torch.testing.assert_close(torch.compile(loss, fullgraph=True, backend="eager")(*inputs), loss(*inputs))
    torch.export.export(loss, tuple(inputs), strict=True)


@pytest.mark.parametrize("name", NAMES)
def test_every_loss_is_recorded(name: str) -> None:
    """The first call of a loss looks at values, later ones at labels: neither is part of what is recorded."""
    loss, inputs = multiloss.get(name, backend="torch"), tensors(name)
    given = [x for x in inputs if x is not None]
    expected = loss(*given)
    for recorder in (make_fx, torch.jit.trace):
        fresh = multiloss.get(name, backend="torch")
        for one in (fresh, loss):  # before and after a first call
            graph = make_fx(one)(*given) if recorder is make_fx else torch.jit.trace(one, tuple(given))
            torch.testing.assert_close(graph(*given), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("options", [{"ignore_index": -100}, {"from_logits": True, "ignore_index": 1}])
def test_jit_trace_of_ignored_labels(options: dict[str, Any]) -> None:
    p = torch.rand(4, 3, generator=torch.Generator().manual_seed(1)).softmax(-1)
    loss = multiloss.get("sparse_categorical_crossentropy", backend="torch", **options)
    torch.testing.assert_close(torch.jit.trace(loss, (LABELS, p))(LABELS, p), loss(LABELS, p))


def test_jit_trace_keeps_the_precision_of_label_smoothing() -> None:
    """Lengths are tensors there, and a number over an integer tensor is float32."""
    p, t = (torch.rand(4, 3, dtype=torch.float64).softmax(-1) for _ in range(2))
    loss = multiloss.get("categorical_crossentropy", backend="torch", label_smoothing=0.3)
    torch.testing.assert_close(torch.jit.trace(loss, (t, p))(t, p), loss(t, p), rtol=1e-13, atol=0)


def test_jit_trace_of_a_module_that_owns_its_weight() -> None:
    loss = multiloss.torch.ArcFace(num_classes=3, feature_dim=5, seed=0)
    torch.testing.assert_close(torch.jit.trace(loss, (LABELS, FEATURES))(LABELS, FEATURES), loss(LABELS, FEATURES))


@pytest.mark.parametrize("name", ["binary_crossentropy", "sparse_categorical_crossentropy", "mean_absolute_error"])
def test_make_fx_records_gradients(name: str) -> None:
    loss, (y_true, y_pred) = multiloss.get(name, backend="torch"), tensors(name)

    def gradient(y_true: Any, y_pred: Any) -> Any:
        return torch.autograd.grad(loss(y_true, y_pred), y_pred)[0]

    expected = gradient(y_true, y_pred.requires_grad_())
    torch.testing.assert_close(make_fx(gradient)(y_true, y_pred)(y_true, y_pred), expected)


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(5, 3, dtype=torch.float64)
        self.loss = multiloss.get("sparse_categorical_crossentropy", backend="torch", from_logits=True)
        self.triplet = multiloss.get("triplet_margin", backend="torch")
        self.center = multiloss.get("center", backend="torch", num_classes=3, feature_dim=3)
        self.arcface = multiloss.torch.ArcFace(num_classes=3, feature_dim=3, seed=0)

    def forward(self, x: Any, y: Any) -> Any:
        z = self.layer(x)
        return self.loss(y, y_pred=z) + self.triplet(z, z, z) + self.center(y, z) + self.arcface(y, z)


def test_symbolic_trace_keeps_losses_as_modules() -> None:
    model = Model().eval()
    graph, x = torch.fx.symbolic_trace(model), FEATURES.double()
    calls = [node.target for node in graph.graph.nodes if node.op == "call_module"]
    assert calls == ["layer", "loss", "triplet", "center", "arcface"]
    torch.testing.assert_close(graph(x, LABELS), model(x, LABELS))


def test_a_compiled_loss_is_pickled_and_saved() -> None:
    for loss in (multiloss.get("mse", backend="torch"), multiloss.get("center", backend="torch", num_classes=3)):
        loss.compile()
        assert pickle.loads(pickle.dumps(loss)).config() == loss.config()
        torch.save(loss, io.BytesIO())


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_nested_tensors_of_both_layouts_are_refused_alike() -> None:
    parts = [torch.randn(2, 3), torch.randn(4, 3)]
    for layout in (torch.strided, torch.jagged):
        nested = torch.nested.nested_tensor(parts, layout=layout)
        with pytest.raises(TypeError, match="y_pred must be a dense array of numbers"):
            multiloss.get("mse", backend="torch")(nested, nested)


ONNX = [
    ("binary_crossentropy", {"from_logits": True}),
    ("binary_focal_crossentropy", {"from_logits": True}),
    ("mean_squared_logarithmic_error", {}),
    ("sparse_categorical_crossentropy", {"class_weight": [1.0, 2.0, 3.0]}),
    ("lovasz_softmax", {}),
    ("crps", {}),
]


@pytest.mark.parametrize(("name", "options"), ONNX)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_onnx_export_gives_the_same_numbers(name: str, options: dict[str, Any]) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime, of the group onnx, is not installed")
    loss = multiloss.get(name, backend="torch", **options)
    given = [x.float() if x.is_floating_point() else x for x in tensors(name)]
    program: Any = torch.onnx.export(Holding(loss), tuple(given), dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    named = {one.name: x.numpy() for one, x in zip(session.get_inputs(), given, strict=True)}
    assert session.run(None, named)[0] == pytest.approx(loss(*given).item(), rel=1e-5)


class Holding(torch.nn.Module):
    def __init__(self, loss: Any) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, y_true: Any, y_pred: Any) -> Any:
        return self.loss(y_true, y_pred)

"""Each name that torch does not promise taken away in turn, or made to answer otherwise: every number stays right, or
the error says what to do. Expected values are worked by hand, on the numbers below."""

from __future__ import annotations

import ast
import math
import types
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.checkpoint import checkpoint

import multiloss
import multiloss.torch
from multiloss_torch import checkpointing, compat, kernels, mode

pytestmark = pytest.mark.reads  # a label out of range is an error where values can be read
SOURCE = Path(compat.__file__).read_text(encoding="utf-8")


def on_another_version(monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> None:
    """Run with what `compat.py` finds where torch calls `old` otherwise."""
    assert old in SOURCE
    found = types.ModuleType(compat.__name__)
    exec(compile(SOURCE.replace(old, new), compat.__file__, "exec"), vars(found))
    for name in vars(compat):
        if not name.startswith("__") and name != "Table":
            monkeypatch.setattr(compat, name, getattr(found, name))
    monkeypatch.setattr(mode, "_transformed", found.transform)
    monkeypatch.setattr(kernels, "_nn", found.nn_kernels)
    monkeypatch.setattr(checkpointing, "frames_are_right", cache(checkpointing.frames_are_right.__wrapped__))


X = [[0.25, 0.75]]
MEANS: list[tuple[str, dict[str, Any], Any, float, list[float]]] = [
    ("mse", {}, [[0.0, 1.0]], 0.0625, [0.25, -0.25]),
    ("mae", {}, [[0.0, 1.0]], 0.25, [0.5, -0.5]),
    ("huber", {"delta": 0.125}, [[0.0, 1.0]], 0.125 * (0.25 - 0.0625), [0.0625, -0.0625]),
    ("smooth_l1", {"beta": 2.0}, [[0.0, 1.0]], 0.0625 / 4, [0.0625, -0.0625]),
    ("log_cosh", {}, [[0.0, 1.0]], math.log(math.cosh(0.25)), [math.tanh(0.25) / 2, -math.tanh(0.25) / 2]),
    ("bce", {}, [[0.0, 1.0]], -math.log(0.75), [1 / 1.5, -1 / 1.5]),
    ("soft_margin", {}, [[-1.0, 1.0]], (math.log1p(math.exp(0.25)) + math.log1p(math.exp(-0.75))) / 2,
     [0.5 / (1 + math.exp(-0.25)), -0.5 / (1 + math.exp(0.75))]),
    ("multilabel_soft_margin", {}, [[0.0, 1.0]], (math.log1p(math.exp(0.25)) + math.log1p(math.exp(-0.75))) / 2,
     [0.5 / (1 + math.exp(-0.25)), -0.5 / (1 + math.exp(0.75))]),
    ("multi_margin", {"margin": 1.0}, [1], 0.25, [0.5, -0.5]),
    ("multilabel_margin", {}, [[1, -1]], 0.25, [0.5, -0.5]),
    ("nll", {"validate": False}, [1], -0.75, [0.0, -1.0]),
    ("scce", {"from_logits": True}, [1], math.log1p(math.exp(-0.5)),
     [1 / (1 + math.exp(0.5)), -1 / (1 + math.exp(0.5))]),
    ("scce", {}, [1], -math.log(0.75), [0.0, -1 / 0.75]),
    ("cce", {"from_logits": True}, [[0.0, 1.0]], math.log1p(math.exp(-0.5)),
     [1 / (1 + math.exp(0.5)), -1 / (1 + math.exp(0.5))]),
]  # fmt: skip


def close(got: Any, wanted: Any) -> None:
    torch.testing.assert_close(torch.as_tensor(got), torch.as_tensor(wanted), rtol=1e-5, atol=1e-6, check_dtype=False)


def the_losses() -> None:
    """Twice: a second call of the same kind of arrays goes to the kernel at once."""
    for name, options, target, value, slope in MEANS:
        loss, y = multiloss.get(name, "torch", **options), torch.tensor(target)
        for _ in range(2):
            x = torch.tensor(X, requires_grad=True)
            got = loss(y, x)
            got.backward()
            close(got.item(), value)
            close(x.grad, [slope])
        close(loss.value_and_grad(y, torch.tensor(X))[1], [slope])
    with pytest.raises(ValueError, match="y_true holds the label 2"):
        multiloss.get("scce", "torch", from_logits=True)(torch.tensor([2]), torch.tensor(X))
    big = torch.tensor(X).repeat(3000, 1).requires_grad_()  # more than a few: `kernels.TOGETHER`
    multiloss.get("multilabel_margin", "torch")(torch.tensor([[1, -1]]).repeat(3000, 1), big).backward()
    close(big.grad[:1] * 3000, [[0.5, -0.5]])


def under_transformations() -> None:
    square, each, y = multiloss.get("mse", "torch"), multiloss.get("log_cosh", "torch"), torch.tensor(X[0])
    close(torch.func.grad(square, argnums=1)(torch.zeros(2), y), X[0])
    close(torch.func.vmap(square)(torch.zeros(2, 2), torch.stack([y, 2 * y])), [0.3125, 1.25])
    curvature = torch.diag(1 / torch.cosh(y) ** 2) / 2
    one = torch.func.jacfwd(torch.func.jacfwd(each, argnums=1), argnums=1)(torch.zeros(2), y)
    other = torch.func.jacfwd(torch.func.jacrev(each, argnums=1), argnums=1)(torch.zeros(2), y)
    close(one, curvature)
    close(other, curvature)
    center = multiloss.get("center", "torch", num_classes=2, feature_dim=2)
    with pytest.raises(RuntimeError, match="holds state, which torch.func cannot see"):
        torch.func.grad(lambda x: center(torch.tensor([0]), x))(torch.ones(1, 2))


def in_forward_mode() -> None:
    """Of (y_true, y_pred) by one or the other, in closed form or by a kernel; of other inputs; ctc."""
    tangent = torch.tensor([[1.0, 0.0]])
    for name, options, target, _, slope in MEANS:
        with forward_ad.dual_level():
            x = forward_ad.make_dual(torch.tensor(X), tangent)
            got = forward_ad.unpack_dual(multiloss.get(name, "torch", **options)(torch.tensor(target), x))
            close(got.tangent, slope[0])
    with forward_ad.dual_level():
        x = forward_ad.make_dual(torch.tensor(X), tangent)
        value = multiloss.get("gaussian_nll", "torch", full=False)(torch.zeros(1, 2), x, torch.ones(1, 2))
        close(forward_ad.unpack_dual(value).tangent, 0.125)
        logits = forward_ad.make_dual(torch.zeros(1, 1, 2), torch.tensor([[[0.0, 1.0]]]))
        close(forward_ad.unpack_dual(multiloss.get("ctc", "torch")(torch.tensor([[1]]), logits)).tangent, -0.5)


def hooks() -> None:
    """Those of a loss, and those of all modules, before the kernel and after it was taken at once."""
    y, x = torch.tensor([[0.0, 1.0]]), torch.tensor(X)
    for register in (
        lambda loss, hook: loss.register_forward_hook(hook),
        lambda loss, hook: loss.register_forward_pre_hook(lambda *_: hook()),
        lambda loss, hook: nn.modules.module.register_module_forward_hook(hook),
        lambda loss, hook: nn.modules.module.register_module_forward_pre_hook(lambda *_: hook()),
    ):
        loss, seen = multiloss.get("mse", "torch"), []
        loss(y, x), loss(y, x)
        handle = register(loss, lambda *_, seen=seen: seen.append(1))
        close(loss(y, x), 0.0625)
        handle.remove()
        assert seen == [1]
    loss = multiloss.get("mse", "torch")
    loss(y, x), loss(y, x)
    loss.compile(backend=lambda graph, _: lambda *given: (torch.tensor(7.0),))
    close(loss(y, x), 7.0)
    torch._dynamo.reset()


def one_class(**options: Any) -> Any:
    return multiloss.get("center", "torch", num_classes=1, feature_dim=1, centers_init="zeros", **options)


LABELS, FEATURES = torch.tensor([0, 0]), torch.tensor([[1.0], [3.0]])


def the_center() -> None:
    """Values 2.5, then 25 / 18 from the center 2 / 3; it ends at 10 / 9."""
    center = one_class()
    for value in (2.5, 25 / 18):
        close(center(LABELS, FEATURES.clone().requires_grad_()), value)
    close(center.half().centers, [[10 / 9]])
    assert center.centers.dtype == torch.float32
    growing = multiloss.get("center", "torch")
    growing.load_state_dict(center.state_dict())
    close(growing.centers, [[10 / 9]])
    sharded = one_class(sharded=True)
    assert sorted(sharded.state_dict()) == ["block", "centers"]


def hooks_that_are_no_checkpointing() -> None:
    with torch.autograd.graph.save_on_cpu():
        close(one_class()(LABELS, FEATURES.clone().requires_grad_()), 2.5)


def checkpointed(context_fn: Any = None, reentrant: bool = False) -> None:
    center, x = one_class(), FEATURES.clone().requires_grad_()
    given = {} if context_fn is None else {"context_fn": context_fn}
    value = checkpoint(lambda x: center(LABELS, x) * center(LABELS, x), x, use_reentrant=reentrant, **given)
    close(value, 2.5 * 25 / 18)
    for times in (1, 2):
        value.backward(retain_graph=True)
        close(x.grad, [[times * 10 / 9], [times * 5.0]])
    close(center.centers, [[10 / 9]])


def checkpointing_by_itself() -> None:
    for reentrant in (False, True):
        checkpointed(reentrant=reentrant)


def checkpointing_with_contexts() -> None:
    checkpointed(multiloss.torch.checkpoint_contexts)


def recorded() -> None:
    """A loss that looks at its value, after a call that was no recording."""
    loss, given = multiloss.get("mae", "torch"), (torch.zeros(1, 2), torch.tensor(X))
    close(loss(*given), 0.5)
    close(make_fx(loss)(*given)(*given), 0.5)


def kept_out_of_broadcast() -> None:
    model = multiloss.torch.keep_out_of_broadcast(nn.ModuleDict({"center": one_class()}))
    assert "center.centers" in model._ddp_params_and_buffers_to_ignore


ALL = (
    the_losses, under_transformations, in_forward_mode, hooks, the_center, hooks_that_are_no_checkpointing,
    checkpointing_by_itself, checkpointing_with_contexts, kept_out_of_broadcast, recorded,
)  # fmt: skip
OTHERWISE = {
    "no _len_torch_dispatch_stack": ("._len_torch_dispatch_stack", "._gone"),
    "_len_torch_dispatch_stack sees nothing": ("_len_torch_dispatch_stack()", "_len_torch_dispatch_stack() * 0"),
    "no peek_interpreter_stack": (".peek_interpreter_stack", ".gone"),
    "peek_interpreter_stack sees nothing": ("_functorch.peek_interpreter_stack", "_functorch.maybe_current_level"),
    "peek_interpreter_stack always": ("_functorch.peek_interpreter_stack", "_functorch.peek_interpreter_stack.__str__"),
    "no _functorch": ("torch._C._functorch", "torch._C._gone"),
    "no get_interpreter_stack": ("get_interpreter_stack", "gone"),
    "no TransformType": ("TransformType", "Gone"),
    "TransformType has other names": ("TransformType.Jvp", "TransformType.Grad"),
    "no _current_level": ("forward_ad._current_level", "forward_ad._gone"),
    "_current_level elsewhere": ("forward_ad._current_level", "-1"),
    "no _nn": ("torch._C._nn", "torch._C._gone"),
    **{f"no {name}": ("(torch._C._nn, name)", f"(torch._C._nn, name + '_gone' * (name == {name!r}))")
       for name in compat._TWINS},
    "kernels give other numbers":
        ("getattr(torch._C._nn, name)", "(lambda *given, name=name: 2 * getattr(torch._C._nn, name)(*given))"),
    **{f"no {name}": (f'"{name}"', '"_gone"') for name in compat._HOOKS},
    "no hooks of all modules": ("_global{name}", "_gone{name}"),
    "hooks are kept elsewhere": ("getattr(module, name, True)", "{}"),
    "no _compiled_call_impl": ("_compiled_call_impl", "_gone"),
    "no aten operators": ("torch.ops.aten", "torch.ops.gone"),
    "no scan": ("torch._higher_order_ops.scan", "torch._gone"),
    "no _autograd": ("torch._C._autograd", "torch._C._gone"),
    "no _top_saved_tensors_default_hooks": ("_top_saved_tensors_default_hooks", "_gone"),
    "_top_saved_tensors_default_hooks sees nothing":
        ("torch._C._autograd._top_saved_tensors_default_hooks(True)", "None"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # forward mode's own, of torch.jit
@pytest.mark.parametrize("what", ["nothing", *OTHERWISE])
def test_a_slower_right_way(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if what != "nothing":
        on_another_version(monkeypatch, *OTHERWISE[what])
    for check in ALL:
        check()


FRAMES = {
    "the frame of the generator": ('here.get("gen")', 'here.get("gone")'),
    "its region": ('.get("new_frame")', '.get("gone")'),
    "unpack_hook": ('"unpack_hook"', '"gone"'),
    "its region ": ('here.get("frame")', 'here.get("gone")'),
    "forward": ('name == "forward"', 'name == "gone"'),
    "backward": ('name == "backward"', 'name == "gone"'),
    "ctx of a first pass": ('here.get("ctx") if', 'here.get("gone") if'),
    "ctx": ('here.get("ctx"), ', 'here.get("gone"), '),
    "which recomputation": ('here.get("inputs")', 'here.get("gone")'),
    "which recomputation ": ('here.get("gid")', 'here.get("gone")'),
    "the file": ("vars(torch.utils.checkpoint)", "{}"),
    "the stack": ("inspect.currentframe()", "None"),
}


@pytest.mark.parametrize("what", FRAMES)
def test_frames_that_look_otherwise(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused, with nothing moved, and the message names the way that works."""
    on_another_version(monkeypatch, *FRAMES[what])
    center, x = one_class(), FEATURES.clone().requires_grad_()
    with pytest.raises(RuntimeError, match="pass context_fn=multiloss.torch.checkpoint_contexts to each torch.utils"):
        checkpoint(lambda x: center(LABELS, x), x, use_reentrant=False)
    assert center.centers.item() == 0
    with pytest.raises(RuntimeError, match="pass context_fn=multiloss.torch.checkpoint_contexts to each torch.utils"):
        checkpoint(lambda x: center(LABELS, x), x, use_reentrant=True).backward()
    assert center.centers.item() == 0
    for check in ALL:
        if check is hooks_that_are_no_checkpointing:  # nobody tells a region from what else saves tensors its own way
            with pytest.raises(RuntimeError, match="pass context_fn=multiloss.torch.checkpoint_contexts"):
                check()
        elif check is not checkpointing_by_itself:
            check()


@pytest.mark.parametrize("name", ["_apply", "_load_from_state_dict"])
def test_modules_that_are_not_asked(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A center loss could lose its centers, so none is made; all else works."""
    on_another_version(monkeypatch, f'"{name}"', '"_gone"')
    for sharded in (False, True):
        with pytest.raises(RuntimeError, match="could lose its centers; take another version of torch"):
            one_class(sharded=sharded)
    the_losses()


@pytest.mark.parametrize(
    "name", ["_set_params_and_buffers_to_ignore_for_model", "model._ddp_params_and_buffers_to_ignore"]
)
def test_a_wrapper_that_does_not_listen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    on_another_version(monkeypatch, name, f"{name}_gone")
    with pytest.raises(RuntimeError, match="pass broadcast_buffers=False, or let it broadcast"):
        multiloss.torch.keep_out_of_broadcast(nn.ModuleDict({"center": one_class()}))


def test_modes_that_cannot_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any region may be one of selective checkpointing then, and is refused; outside of regions nothing changes."""
    on_another_version(monkeypatch, "_get_current_dispatch_mode_stack", "_gone")
    center, x = one_class(), FEATURES.clone().requires_grad_()
    with pytest.raises(RuntimeError, match="selective activation checkpointing"):
        checkpoint(lambda x: center(LABELS, x), x, use_reentrant=False)
    assert center.centers.item() == 0
    center(LABELS, x).backward()
    assert center.centers.item() != 0
    the_losses()


def test_every_name_is_taken_away() -> None:
    """What `compat.py` asks torch for, read off its source, is in a test above."""
    tree = list(ast.walk(ast.parse(SOURCE)))
    own = {node.name for node in tree if isinstance(node, ast.FunctionDef)}
    own |= {node.id for node in tree if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    private = {x.attr for x in tree if isinstance(x, ast.Attribute) and x.attr.startswith("_")}
    taken = "".join(old for old, _ in [*OTHERWISE.values(), *FRAMES.values()]) + Path(__file__).read_text()
    assert {name for name in private - own if not name.startswith("__") and name not in taken} == set()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of torch.compile itself
@pytest.mark.parametrize("compiler", ["eager", "aot_eager"])
@pytest.mark.parametrize("what", ["no _nn", "no _forward_hooks", "no _compiled_call_impl", "no peek_interpreter_stack"])
def test_compiled(what: str, compiler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    on_another_version(monkeypatch, *OTHERWISE[what])
    torch._dynamo.reset()
    for name, options, target, value, slope in MEANS[:5]:
        x = torch.tensor(X, requires_grad=True)
        got = torch.compile(multiloss.get(name, "torch", **options), fullgraph=True, backend=compiler)(
            torch.tensor(target), x
        )
        got.backward()
        close(got.item(), value)
        close(x.grad, [slope])

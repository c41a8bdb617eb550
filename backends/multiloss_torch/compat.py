"""All names that this adapter takes from torch without torch's promise: those with an underscore, and frames.

Each comes with its purpose, and with what replaces it where it is missing or behaves otherwise: a slower way by
promised names, or an error that says what to do. Most are tried on a few numbers when this module is imported
(`_answers`), those of `torch.func` and activation checkpointing when they are first needed.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import warnings
from collections.abc import Callable, Iterable
from functools import cache, partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
import torch.utils.checkpoint
from torch import Tensor, nn
from torch.autograd import forward_ad, graph
from torch.nn.modules import module as _modules


def _answers(probe: Callable[[], Any]) -> bool:
    """Whether a name exists and behaves as it should."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return bool(probe())
        except Exception:
            return False


# 1. torch.func: under its transformations no kernel is chosen and no value is read. No promised name shows them. The
# replacement is a Function without `setup_context`, which torch refuses there; trying costs some microseconds a call.


class _OnlyOutside(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)


def _is_refused(function: Callable[..., Any], *given: Any) -> bool:
    try:
        function(*given)
    except RuntimeError:
        return True
    return False


def _refused_transform() -> bool | None:
    return _is_refused(_OnlyOutside.apply, torch.zeros((), device="cpu")) or None


def _peeks() -> bool:
    peek, inside = torch._C._functorch.peek_interpreter_stack, []
    torch.func.vjp(lambda x: (inside.append(peek()), x * 1)[1], torch.zeros((), device="cpu"))  # type: ignore
    return (peek() is None) == (_refused_transform() is None) and inside[0] is not None


transform: Callable[[], Any] = torch._C._functorch.peek_interpreter_stack if _answers(_peeks) else _refused_transform
"""What runs this call under `torch.func`; None outside."""


def is_transformed(x: Tensor) -> bool:
    """Whether a tensor is one of `torch.func`'s, which have no address in memory."""
    return transform() is not None and _is_refused(x.data_ptr)


def nests_forward_mode() -> bool:
    """Whether forward mode runs over forward mode (`jacfwd` of `jacfwd`). There all torch versions so far take the
    `jvp` of a Function for a constant, so the formula itself is differentiated. If levels cannot be counted, True under
    any transformation."""
    return transform() is not None and (not _counts_levels() or _forward_levels() > 1)


def _forward_levels() -> int:
    levels = torch._C._functorch.get_interpreter_stack()
    return sum(level.key() == torch._C._functorch.TransformType.Jvp for level in levels or ())


@cache
def _counts_levels() -> bool:
    """Tried under the first transformation, since forward mode takes a second to import."""
    one = (torch.ones((), device="cpu"),)

    def probe() -> bool:
        counted = [_forward_levels()]
        torch.func.jvp(lambda x: (counted.append(_forward_levels()), x * 1)[1], one, one)  # type: ignore
        return counted[1] == counted[0] + 1

    return _answers(probe)


# 2. `torch.jit.trace` and `make_fx` (in its real mode) record what is done with ordinary tensors: what was read would
# be the same for ever, and `make_fx` refuses it. Without the name below only asking takes longer.


def _counts_modes() -> bool:
    from torch.utils._python_dispatch import TorchDispatchMode

    class Nothing(TorchDispatchMode):
        def __torch_dispatch__(self, *_: Any) -> None:
            pass

    before = torch._C._len_torch_dispatch_stack()
    with Nothing():
        return bool(before == 0 and torch._C._len_torch_dispatch_stack() == 1)


_modes: Callable[[], int] = torch._C._len_torch_dispatch_stack if _answers(_counts_modes) else lambda: 1


def is_recorded() -> bool:
    """Whether `torch.jit.trace` or `make_fx` records this call; whoever calls the latter has imported its module."""
    if torch.jit.is_tracing():
        return True
    proxies = sys.modules.get("torch.fx.experimental.proxy_tensor") if _modes() else None
    return proxies is not None and proxies.get_proxy_mode() is not None


# 3. Forward mode: values and gradients that are computed together have no derivative along a tangent. What torch
# promises is that no dual tensor can be made outside of it; trying that takes longer.


def _has_level() -> bool:
    return forward_ad._current_level >= 0


def _makes_dual() -> bool:
    zero = torch.zeros((), device="cpu")
    return not _is_refused(forward_ad.make_dual, zero, zero)


def _knows_level() -> bool:
    # Fails if this module is imported inside of a level: then the slow way is taken.
    with forward_ad.dual_level():
        inside = _has_level()
    return inside and not _has_level()


in_forward_mode: Callable[[], bool] = _has_level if _answers(_knows_level) else _makes_dual
"""Whether a level of `torch.autograd.forward_ad` is open."""


# 4. Kernels below `torch.nn.functional`, whose functions check and broadcast what was checked here already. Those
# functions replace a kernel that is missing or gives another number.


def _of(function: Callable[..., Tensor], *names: str) -> Callable[..., Tensor]:
    """A promised function that takes the arguments of the kernel: by place, and `reduction` as a number."""

    def call(*given: Any) -> Tensor:
        named = dict(zip(names, given, strict=True))
        return function(**{**named, "reduction": ("none", "mean", "sum")[named["reduction"]]})

    return call


_PAIR, _WEIGHTED = ("input", "target", "reduction"), ("input", "target", "weight", "reduction")
_MORE = ("ignore_index", "label_smoothing")
_MARGIN = ("input", "target", "p", "margin", *_WEIGHTED[2:])
_X, _Y = (torch.tensor([x], dtype=torch.float64, device="cpu") for x in ((0.25, 0.75), (0.0, 1.0)))
_LABELS = torch.tensor([1], device="cpu")
_TWINS: dict[str, tuple[Callable[..., Tensor], tuple[Any, ...]]] = {
    "mse_loss": (_of(F.mse_loss, *_PAIR), (_X, _Y, 1)),
    "l1_loss": (_of(F.l1_loss, *_PAIR), (_X, _Y, 1)),
    "huber_loss": (_of(F.huber_loss, *_PAIR, "delta"), (_X, _Y, 1, 0.25)),
    "smooth_l1_loss": (_of(F.smooth_l1_loss, *_PAIR, "beta"), (_X, _Y, 1, 2.0)),
    "soft_margin_loss": (_of(F.soft_margin_loss, *_PAIR), (_X, _Y, 1)),
    "softplus": (F.softplus, (_X, 1, 80.0)),
    "binary_cross_entropy": (_of(F.binary_cross_entropy, *_WEIGHTED), (_X, _Y, None, 1)),
    "nll_loss_nd": (_of(F.nll_loss, *_WEIGHTED, _MORE[0]), (_X, _LABELS, None, 1, -7)),
    "multi_margin_loss": (_of(F.multi_margin_loss, *_MARGIN), (_X, _LABELS, 1, 1.0, None, 1)),
    "cross_entropy_loss": (_of(F.cross_entropy, *_WEIGHTED, *_MORE), (_X, _LABELS, None, 1, -7, 0.25)),
}
"""name -> the promised function, as above, and arguments to try both with."""


def _is_twin(name: str) -> bool:
    twin, given = _TWINS[name]
    return torch.equal(getattr(torch._C._nn, name)(*given), twin(*given))


_sound = {name: _answers(partial(_is_twin, name)) for name in _TWINS}
nn_kernels: Any
if all(_sound.values()):
    nn_kernels = torch._C._nn
else:
    _best = {n: getattr(torch._C._nn, n) if _sound[n] else twin for n, (twin, _) in _TWINS.items()}
    nn_kernels = SimpleNamespace(**_best)
"""torch's kernels of losses by the names of `torch._C._nn`."""


# 5. `nn.Module`: a loss without hooks that was not compiled by `.compile()` need not go through torch's `__call__`.
# Where hooks are not shown, every call does.

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def _may_have_hooks(module: nn.Module) -> bool:
    """Whether this module or all modules have hooks; True where torch keeps hooks elsewhere."""
    of_all = (getattr(_modules, f"_global{name}", True) for name in _HOOKS)
    return any(of_all) or any(getattr(module, name, True) for name in _HOOKS)


def _shows_hooks() -> bool:
    module = nn.Module()
    with module.register_forward_hook(print):
        return _may_have_hooks(module)


_hooks_are_shown = _answers(_shows_hooks)


def is_wrapped(module: nn.Module) -> bool:
    """Whether a call of a module may do more than its `forward`."""
    if not _hooks_are_shown or _may_have_hooks(module):
        return True
    return getattr(module, "_compiled_call_impl", True) is not None


# 6. `nn.Module` again: center losses keep their table in float32 at least, and take the shape of a checkpoint, by
# overriding these methods. Where torch does not call them, no center loss can be made.


def _asks_modules() -> bool:
    names, asked = ("_apply", "_load_from_state_dict"), []

    def noting(name: str) -> Any:
        return lambda self, *args: (asked.append(name), getattr(nn.Module, name)(self, *args))[1]  # type: ignore

    module = type("Noting", (nn.Module,), {name: noting(name) for name in names})()
    module.half().load_state_dict(module.state_dict())
    return asked == list(names)


_is_asked = _answers(_asks_modules)


class Table(nn.Module):
    """A module whose subclasses say how its tensors are converted (`.to()`, `.half()` and the like), loaded from a
    state dict, and replicated by `nn.DataParallel`. These methods do what torch does."""

    _converted: Any = getattr(nn.Module, "_apply", None)
    _loaded: Any = getattr(nn.Module, "_load_from_state_dict", None)
    _replicated: Any = getattr(nn.Module, "_replicate_for_data_parallel", None)

    def __init__(self) -> None:
        if not _is_asked:
            raise RuntimeError(
                f"torch {torch.__version__} does not ask modules how their tensors are moved and loaded, so a center "
                "loss could lose its centers; take another version of torch, or the backend 'numpy' or 'jax'"
            )
        super().__init__()

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        return self._converted(fn, recurse)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        self._loaded(state_dict, prefix, *args)

    def _replicate_for_data_parallel(self) -> Any:
        return self._replicated()


def keep_out_of_broadcast(model: nn.Module, names: Iterable[str]) -> None:
    """Keep `DistributedDataParallel(model)` from broadcasting these tensors. For a module that is part of the model
    there is no promised way, so it is an error where torch ignores this one."""
    wanted = {*getattr(model, "_ddp_params_and_buffers_to_ignore", ()), *names}
    try:
        parallel: Any = nn.parallel.DistributedDataParallel
        parallel._set_params_and_buffers_to_ignore_for_model(model, [*wanted])
        listens = wanted == set(model._ddp_params_and_buffers_to_ignore)
    except AttributeError:
        listens = False
    if not listens:
        raise RuntimeError(
            f"torch {torch.__version__} cannot keep tensors out of DistributedDataParallel's broadcast; keep the "
            "center loss out of the wrapped model, pass broadcast_buffers=False, or let it broadcast: it takes time"
        )


# 7. Operators of the registry `torch.ops.aten` that no function of torch calls alone. Where one is missing (None), the
# definition computes the loss.


def _operator(name: str) -> Any:
    return getattr(getattr(torch.ops.aten, name, None), "default", None)


multi_margin_loss_backward: Any = _operator("multi_margin_loss_backward")
multilabel_margin_loss_forward: Any = _operator("multilabel_margin_loss_forward")
multilabel_margin_loss_backward: Any = _operator("multilabel_margin_loss_backward")


# 8. A loop as one operation, for torch.compile. Without it the loop is unrolled, and compiling takes minutes.

COMPILES_LOOPS: bool = torch.__version__ >= (2, 13) and _answers(
    lambda: importlib.util.find_spec("torch._higher_order_ops.scan")
)
"""Whether torch has a scan with derivatives. It was tried from this version on."""


def compiled_scan(step: Any, start: tuple[Tensor, ...], frames: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The last state of state = step(state, frame), where `COMPILES_LOOPS`."""
    from torch._higher_order_ops.scan import scan

    # It refuses an argument as a result, so the states are copied.
    last, _ = scan(lambda state, x: (tuple(y.clone() for y in step(state, x)), ()), start, frames)
    return tuple(last)


# 9. Activation checkpointing: both passes of a region have the same object in the frames of `torch.utils.checkpoint` on
# the Python stack. `checkpointing.py` tries on small regions whether these look as expected; where they do not, users
# pass its `checkpoint_contexts`.


def _shows_top_hooks() -> bool:
    return torch._C._autograd._top_saved_tensors_default_hooks(True) is not None


def _refuses_to_disable_hooks() -> bool:
    return _is_refused(graph.disable_saved_tensors_hooks("asked by multiloss")(lambda: None))


def _sees_hooks() -> bool:
    with graph.saved_tensors_hooks(lambda x: x, lambda x: x):
        return _shows_top_hooks()


has_saved_tensor_hooks: Callable[[], bool] = _shows_top_hooks if _answers(_sees_hooks) else _refuses_to_disable_hooks
"""Whether hooks, such as those of checkpointing, handle what autograd saves. torch promises that saving hooks cannot be
disabled then."""


class Recomputation(NamedTuple):
    """One recomputation of a region. A retained graph may have several, and not each of them runs to the region's
    end."""

    region: Any
    """The autograd context of a reentrant region, the `_CheckpointFrame` of another, or what the user marked."""
    number: Any
    """An object that tells this recomputation of the region from others."""


def look_for_regions() -> list[Any]:
    """What `torch.utils.checkpoint` runs around this call, from the inside out: the region of a first pass, or a
    `Recomputation`; None if it does not show which of them it is."""
    found: list[Any] = []
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_globals is vars(torch.utils.checkpoint):
            here, name = frame.f_locals, frame.f_code.co_name
            if name == "unpack_hook":
                found.append(Recomputation(here.get("frame"), here.get("gid")))
            elif name == "backward":
                found.append(Recomputation(here.get("ctx"), here.get("inputs")))
            # `checkpoint` until torch 2.13, `_checkpoint_impl` in 2.14.
            elif inspect.isgenerator(here.get("gen")):
                found.append(inspect.getgeneratorlocals(here["gen"]).get("new_frame"))
            else:
                found.append(here.get("ctx") if name == "forward" else None)
        frame = frame.f_back
    return found


def replays_results() -> bool:
    """Whether selective checkpointing runs, which keeps results of operations by their order. Where that is not shown,
    any region counts."""
    try:
        dispatching: Any = importlib.import_module("torch.utils._python_dispatch")
        modes = dispatching._get_current_dispatch_mode_stack()
    except (ImportError, AttributeError):
        return bool(look_for_regions())
    return any(type(mode).__module__ == torch.utils.checkpoint.__name__ for mode in modes)


def has_ended(region: Any) -> bool:
    """Whether the first pass has ended. Gradients asked for inside of it recompute the region before that. Where this
    is not shown, it counts as ended."""
    return bool(getattr(region, "forward_completed", True))

"""What torch users hold: `nn.Module`s."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from multiloss.engine import pipeline
from multiloss.engine.call import bound
from multiloss.engine.loss import LossBase, Spec
from multiloss.engine.page import shown
from multiloss_torch import arrays as be
from multiloss_torch import compat, fast, kernels, mode, sequence
from multiloss_torch.center import TorchCenter

__all__ = ["TorchCenter", "TorchLoss"]

_PLAIN = (torch.float32, torch.float64)
_MOST_KINDS = 64
_AUTOCAST = frozenset(
    kind for kind in ("cpu", "cuda", "xpu", "mps", "hpu", "mtia", "xla") if torch.amp.is_autocast_available(kind)
)
"""Determined once, since some versions of torch.compile cannot trace `is_autocast_available`."""
_is_compiling = torch.compiler.is_compiling


class TorchLoss(LossBase, nn.Module):
    """A loss as an `nn.Module` without parameters: `loss(y_true, y_pred)` is a differentiable tensor.

    Losses are equal by value, so `named_modules()` of a module that holds two equal ones lists only one of them. That
    hides nothing, as they have no parameters.
    """

    backend: str | None = "torch"
    be = be

    def __init__(self, spec: Spec) -> None:
        nn.Module.__init__(self)
        super().__init__(spec)
        self._choose_kernels()

    def _choose_kernels(self) -> None:
        name, means = self.spec.definition.kernel, self.spec.reduction in ("mean", "weighted_mean")
        self._kernel = kernels.MEAN.get(name) if means else None
        self._anywhere: Any = self._kernel if name in kernels.ANYWHERE else None
        self._direct: dict[Any, kernels.Call] = {}
        """The kernel or plan that served arrays of a kind before; further ones go to it without checks."""

    def __getstate__(self) -> dict[str, Any]:
        # Without kernels and without what `.compile()` made, which are functions and cannot be pickled.
        state = super().__getstate__()
        return {key: x for key, x in state.items() if key not in ("_kernel", "_anywhere", "_direct")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._choose_kernels()

    def _is_bare(self) -> bool:
        """True if no hooks are registered and `forward` is not overridden."""
        return not compat.is_wrapped(self) and getattr(self.forward, "__func__", None) is _FORWARD

    if TYPE_CHECKING:  # torch says of calls of a module only that they take anything

        def __call__(self, *inputs: Any, **named: Any) -> Tensor: ...

    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        """The loss of its inputs, by place or by name, on the device of the second; `sample_weight` and `mask` by
        name."""
        if _is_compiling():
            return self._traced(bound(self.spec.definition, inputs, named))
        key = self._kind(inputs, named)
        call = self._direct.get(key)
        value = None if call is None else call(*inputs)
        if value is not None:
            return value
        leaf = mode.as_leaf(self, inputs, named) if key is None else None
        if leaf is not None:
            return leaf
        return self._value(*self._checked(be, bound(self.spec.definition, inputs, named)), key)

    def _kind(self, inputs: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """The key of `_direct` for these arrays; None for a call with more than the inputs, or by names."""
        definition = self.spec.definition
        if len(inputs) != len(definition.inputs) or named or (definition.spread and len(set(map(_shape, inputs))) > 1):
            return None
        return mode.kind_of(inputs)

    def _value(self, arrays: list[Any], labels_checked: bool, key: Any = None) -> Tensor:
        *inputs, weight, mask = arrays
        if weight is None and mask is None:
            value = self._native(inputs, labels_checked, key)
            if value is not None:
                return value
        plan = fast.plan(self.spec, labels_checked, arrays)
        value = None if plan is None else plan.loss(arrays)
        if plan is None or value is None:
            return self._by_definition(arrays, labels_checked)
        if plan.is_kept:
            self._keep(key, plan)
        return value

    def _keep(self, key: Any, call: kernels.Call) -> None:
        """Let `call` serve arrays of this kind from now on, without checks; it gives None where these are needed."""
        if key is not None and not self.spec.validate:
            if len(self._direct) >= _MOST_KINDS:
                self._direct.clear()
            self._direct[key] = call

    def _by_definition(self, arrays: list[Any], labels_checked: bool) -> Tensor:
        device = arrays[1].device.type
        if device in _AUTOCAST and torch.is_autocast_enabled(device):
            with torch.autocast(device, enabled=False):  # it would compute products of float32 inputs in half precision
                return pipeline.evaluate(be, self.spec, *arrays, labels_checked=labels_checked)
        return pipeline.evaluate(be, self.spec, *arrays, labels_checked=labels_checked)

    def _traced(self, given: list[Any]) -> Tensor:
        """Under torch.compile, which checks every name that is used here again at each call: so few are."""
        arrays, labels_checked = self._checked(be, given, first=True)
        true, pred, *_ = arrays
        plain = self._anywhere is not None and arrays[-1] is None and arrays[-2] is None
        if plain and (pred.dtype == torch.float32 or pred.dtype == torch.float64) and pred.numel():
            target = true if true.dtype == pred.dtype else true.to(pred.dtype)
            value: Tensor = self._anywhere(self.spec.kwargs, self.spec.axis, pred.shape)(target, pred)
            return value
        return self._by_definition(arrays, labels_checked)

    def _native(self, inputs: list[Any], labels_checked: bool, key: Any) -> Tensor | None:
        """The loss by a kernel of torch, or None; the kernel is remembered for arrays of the kind `key`."""
        spec = self.spec
        whole = sequence.KERNELS.get(spec.definition.kernel)
        if whole is not None:
            return whole(spec, inputs) if labels_checked else None
        call = self._kernel_of(inputs[1], labels_checked)
        if call is None:
            return None
        y_true, y_pred = inputs
        dtype = torch.int64 if spec.definition.integer_targets else y_pred.dtype
        target = y_true if y_true.dtype == dtype else y_true.to(dtype)
        value = call(target, y_pred)
        if value is not None and target is y_true:
            self._keep(key, call)
        return value

    def _kernel_of(self, y_pred: Tensor, labels_checked: bool) -> kernels.Call | None:
        """The kernel of torch for a call without weights and mask, or None."""
        if self._kernel is None or y_pred.dtype not in _PLAIN or not y_pred.numel():
            return None
        # Under torch.func some of torch's kernels have no forward over reverse mode.
        anywhere = self._anywhere is not None and compat.transform() is None
        kernel: Any = None
        if labels_checked and (anywhere or mode.can_read(y_pred)):
            kernel = self._kernel
        elif mode.is_plain(y_pred) and self.spec.validate is False:
            kernel = kernels.UNCHECKED.get(self.spec.definition.kernel)
        elif mode.is_plain(y_pred) and not mode.can_read(y_pred):
            kernel = kernels.BLIND.get(self.spec.definition.kernel)
        return None if kernel is None else kernel(self.spec.kwargs, self.spec.axis, y_pred.shape)

    def value_and_grad(self, *inputs: Any, wrt: Any = None, **named: Any) -> tuple[Any, Any]:
        """The loss, and its gradient with respect to the second input (or what `wrt` names): detached, no `.grad`
        touched."""
        eager = wrt is None and not _is_compiling() and torch.is_grad_enabled()
        if eager and self._kind(inputs, named) in self._direct and not any(map(_is_inference, inputs)):
            value, (gradient,) = self._differentiated(inputs, (1,))  # nothing to convert or check
            return value, gradient
        return super().value_and_grad(*inputs, wrt=wrt, **named)

    def _value_and_gradients(
        self, arrays: list[Any], labels_checked: bool, positions: tuple[int, ...]
    ) -> tuple[Any, Sequence[Any]]:
        arrays = [x if x is None else x.detach() for x in arrays]
        names = tuple(self.spec.definition.inputs[i] for i in positions)
        plain = arrays[-1] is None and arrays[-2] is None
        if self._is_bare() and all(name in self.spec.definition.gradients for name in names):
            plan = fast.plan(self.spec, labels_checked, arrays)
            if plan is not None and not (plain and self._kernel_of(arrays[1], labels_checked)):
                return plan.value_and_gradients(names, arrays)
        with torch.inference_mode(False), torch.enable_grad():
            arrays = [x.clone() if _is_inference(x) else x for x in arrays]
            return self._differentiated(arrays[:-2], positions, arrays[-2:])

    def _differentiated(
        self, inputs: Sequence[Any], positions: tuple[int, ...], more: Sequence[Any] = (None, None)
    ) -> tuple[Any, Any]:
        """The loss, and its gradients by the inputs at these positions, by torch. `more`: `sample_weight`, `mask`."""
        leaves: list[Any] = [x if x is None else x.detach() for x in inputs]
        for i in positions:
            leaves[i].requires_grad_()
        named = dict(zip(("sample_weight", "mask"), more, strict=True))
        value = self(*leaves, **{name: x for name, x in named.items() if x is not None})
        total = value.sum() if value.ndim else value
        gradients = torch.autograd.grad(total, [leaves[i] for i in positions], materialize_grads=True)
        return value.detach(), gradients

    def _derivatives(self, y_true: Tensor, y_pred: Tensor, labels_checked: bool) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            pair = pipeline.grad_and_hess(be, self.spec, y_true.detach(), y_pred.detach(), labels_checked)
        dtype = y_pred.dtype if y_pred.dtype.is_floating_point else pair[0].dtype
        return pair[0].to(dtype), pair[1].to(dtype)

    def extra_repr(self) -> str:
        """The options, in `print(model)`."""
        return ", ".join(f"{key}={shown(value)}" for key, value in self.spec.config().items())


def _shape(x: Any) -> Any:
    return getattr(x, "shape", None)


def _is_inference(x: Tensor | None) -> bool:
    return x is not None and x.is_inference()


_FORWARD = TorchLoss.forward

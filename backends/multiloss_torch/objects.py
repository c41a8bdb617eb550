"""What torch users hold: `nn.Module`s."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import multiloss_torch as be
from multiloss import general, pipeline
from multiloss.general import General, GeneralInputs
from multiloss.inputs import Inputs
from multiloss.loss import Named, Spec, wanted
from multiloss_torch import closed, compat, fused, kernels, reading, sequence
from multiloss_torch.center import TorchCenter

__all__ = ["TorchCenter", "TorchGeneral", "TorchLoss"]

_PLAIN = (torch.float32, torch.float64)
_MOST_KINDS = 64
_AUTOCAST = frozenset(
    kind for kind in ("cpu", "cuda", "xpu", "mps", "hpu", "mtia", "xla") if torch.amp.is_autocast_available(kind)
)
"""Asked once: some versions of torch.compile cannot trace the question."""
_is_compiling = torch.compiler.is_compiling


class TorchLoss(Named, nn.Module):
    """A loss as an `nn.Module` without parameters: `loss(y_true, y_pred)` is a differentiable tensor.

    Losses are equal by value, so a module that holds two equal ones lists one of them in `named_modules()`; they hold
    nothing that could be missed there.
    """

    backend = "torch"

    def __init__(self, spec: Spec) -> None:
        nn.Module.__init__(self)
        self.spec = spec
        self._inputs = Inputs(spec)
        self._choose_kernels()

    def _choose_kernels(self) -> None:
        name, means = self.spec.definition.kernel, self.spec.reduction in ("mean", "weighted_mean")
        self._kernel = kernels.MEAN.get(name) if means else None
        self._anywhere: Any = self._kernel if name in kernels.ANYWHERE else None
        self._direct: dict[Any, kernels.Call] = {}
        """Kernels that took arrays like these before: such arrays go to them at once."""

    def __getstate__(self) -> dict[str, Any]:
        # Kernels are no data.
        return {key: x for key, x in self.__dict__.items() if key not in ("_kernel", "_anywhere", "_direct")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._choose_kernels()

    def __call__(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """The loss, on the device of `y_pred`."""
        # Small arrays take less time than `nn.Module.__call__` and `forward`, which are for all other calls.
        if _is_compiling():
            if not compat.is_hooked(self):
                return self.forward(y_true, y_pred, sample_weight, mask)
        elif sample_weight is None and mask is None and self._direct and self._is_bare():
            call = self._direct.get(reading.kind_of(y_true, y_pred))
            if call is not None:
                value = call(y_true, y_pred)
                if value is not None:
                    return value
        found: Tensor = super().__call__(y_true, y_pred, sample_weight, mask)
        return found

    def _is_bare(self) -> bool:
        """Whether a call does nothing but the `forward` below: no hooks, no other one of a subclass or this object."""
        return not compat.is_wrapped(self) and getattr(self.forward, "__func__", None) is _FORWARD

    def forward(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """The loss, on the device of `y_pred`."""
        if _is_compiling():
            return self._traced(y_true, y_pred, sample_weight, mask)
        key = None
        if self._kernel is not None and sample_weight is None and mask is None:
            key = reading.kind_of(y_true, y_pred)
        spec = self.spec
        *inputs, trusted = self._inputs(be, y_true, y_pred, sample_weight, mask)
        y_true, y_pred, sample_weight, mask = inputs
        call = self._kernel_of(y_pred, sample_weight, mask, trusted)
        if call is not None:
            dtype = torch.int64 if spec.definition.integer_targets else y_pred.dtype
            target = y_true if y_true.dtype == dtype else y_true.to(dtype)
            value = call(target, y_pred)
            if value is not None:
                if key is not None and target is y_true and self._inputs.knows(be, y_true, y_pred):
                    if len(self._direct) >= _MOST_KINDS:
                        self._direct.clear()
                    self._direct[key] = call
                return value
        reduced = spec.reduction != "none"
        if reduced and y_pred.requires_grad and torch.is_grad_enabled() and fused.applies(spec, *inputs[:3]):
            return fused.differentiable(spec, trusted, *inputs)
        return pipeline.evaluate(be, spec, *inputs, trusted=trusted)

    def _traced(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None, mask: Tensor | None) -> Tensor:
        """Under torch.compile, which looks at every name that was used here again at every call: as few as can be."""
        *inputs, trusted = self._inputs(be, y_true, y_pred, sample_weight, mask, first=True)
        if self._anywhere is not None and sample_weight is None and mask is None:
            true, pred = inputs[:2]
            if (pred.dtype == torch.float32 or pred.dtype == torch.float64) and pred.numel():
                target = true if true.dtype == pred.dtype else true.to(pred.dtype)
                value: Tensor = self._anywhere(self.spec.kwargs, self.spec.axis, pred.shape)(target, pred)
                return value
        return pipeline.evaluate(be, self.spec, *inputs, trusted=trusted)

    def _kernel_of(
        self, y_pred: Tensor, sample_weight: Tensor | None, mask: Tensor | None, trusted: bool
    ) -> kernels.Call | None:
        """torch's own kernel for such a call."""
        if self._kernel is None or sample_weight is not None or mask is not None:
            return None
        if y_pred.dtype not in _PLAIN or not y_pred.numel():
            return None
        # Under torch.func some of torch's kernels have no forward over reverse mode.
        anywhere = self._anywhere is not None and compat.transform() is None
        kernel: Any = None
        if trusted and (anywhere or reading.can_read(y_pred)):
            kernel = self._kernel
        elif reading.is_plain(y_pred) and not reading.can_read(y_pred):
            kernel = kernels.BLIND.get(self.spec.definition.kernel)
        return None if kernel is None else kernel(self.spec.kwargs, self.spec.axis, y_pred.shape)

    def _goes_by_definition(self, inputs: list[Any], trusted: bool) -> bool:
        """Whether value and gradient are computed together, and no kernel of torch's is faster."""
        _, y_pred, sample_weight, mask = inputs
        native = self._kernel_of(y_pred, sample_weight, mask, trusted)
        return native is None and fused.applies(self.spec, *inputs[:3])

    def _goes_direct(self, y_true: Any, y_pred: Any) -> bool:
        """Whether such arrays went to a kernel before and a graph can be recorded: nothing to convert or check."""
        if _is_compiling() or not self._direct or not torch.is_grad_enabled():
            return False
        if reading.kind_of(y_true, y_pred) not in self._direct:
            return False
        return not (y_true.is_inference() or y_pred.is_inference())

    def value_and_grad(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, mask: Any = None, *, wrt: Any = "y_pred"
    ) -> tuple[Any, Any]:
        """The loss, and its gradient with respect to `y_pred` (or what `wrt` names): detached, no `.grad` touched."""
        if wrt == "y_pred" and sample_weight is None and mask is None and self._goes_direct(y_true, y_pred):
            leaf = y_pred.detach().requires_grad_()
            value = self(y_true.detach(), leaf)
            (gradient,) = torch.autograd.grad(value, leaf, materialize_grads=True)
            return value.detach(), gradient
        positions = wanted(wrt, self.spec.definition)
        *inputs, trusted = self._inputs(be, y_true, y_pred, sample_weight, mask)
        inputs = [x if x is None else x.detach() for x in inputs]
        if positions == (1,) and self._is_bare() and self._goes_by_definition(inputs, trusted):
            value, gradient = fused.value_and_gradient(self.spec, trusted, *inputs)
            return value, gradient if isinstance(wrt, str) else (gradient,)
        with torch.inference_mode(False), torch.enable_grad():
            for i in range(2):
                # What was made in inference mode cannot be differentiated; a copy can.
                inputs[i] = inputs[i].clone() if inputs[i].is_inference() else inputs[i].detach()
                if i in positions:
                    if not inputs[i].dtype.is_floating_point:
                        inputs[i] = be.compute(inputs[i])
                    inputs[i].requires_grad_()
            value = self(*inputs)
            gradients = torch.autograd.grad(
                value.sum() if value.ndim else value, [inputs[i] for i in positions], materialize_grads=True
            )
        return value.detach(), gradients[0] if isinstance(wrt, str) else gradients

    def grad_and_hess(self, y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
        """First and second derivative of each value with respect to each element, unreduced."""
        pipeline.require_derivatives(self.spec)
        y_true, y_pred, _, _, trusted = self._inputs(be, y_true, y_pred, None, None)
        with torch.no_grad():
            pair = pipeline.grad_and_hess(be, self.spec, y_true.detach(), y_pred.detach(), trusted)
        dtype = y_pred.dtype if y_pred.dtype.is_floating_point else pair[0].dtype
        return pair[0].to(dtype), pair[1].to(dtype)

    def extra_repr(self) -> str:
        """The options, in `print(model)`."""
        return ", ".join(f"{key}={value!r}" for key, value in self.spec.config().items())


_FORWARD = TorchLoss.forward


class TorchGeneral(General, nn.Module):
    """A loss of other inputs, as an `nn.Module` without parameters."""

    backend = "torch"
    be = be

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """The loss of its inputs, by place or by name, on the device of the second."""
        return nn.Module.__call__(self, *inputs, **named)

    def __init__(self, spec: Spec) -> None:
        nn.Module.__init__(self)
        self.spec = spec
        self._inputs = GeneralInputs(spec)
        self._seen: set[Any] = set()
        """Kinds of plain inputs for which there is nothing more to check."""

    def forward(self, *inputs: Any, sample_weight: Any = None, mask: Any = None, **named: Any) -> Tensor:
        """The loss of its inputs, by place or by name, on the device of the second."""
        plain = sample_weight is None and mask is None and not named
        kind = closed.kind_of(self.spec, inputs) if plain else None
        seen = kind is not None and kind in self._seen
        value = closed.differentiable(self.spec, inputs) if seen else None
        if value is not None:
            return value
        # torch.compile, whose arrays nobody can read, compiles anew once what was looked at has changed.
        first = True if _is_compiling() else None
        arrays, trusted = self._inputs(be, inputs, named, sample_weight, mask, first=first)
        if kind is not None and not self.spec.validate and len(self._seen) < _MOST_KINDS:
            self._seen.add(kind)
        return self._by_definition(arrays, trusted) if seen else self._value(arrays, trusted)

    def _value(self, arrays: list[Any], trusted: bool) -> Tensor:
        *inputs, weight, mask = arrays
        if weight is None and mask is None and closed.kind_of(self.spec, inputs) is not None:
            value = closed.differentiable(self.spec, inputs)
            if value is not None:
                return value
        if weight is None and mask is None and trusted and self.spec.definition.kernel == "ctc":
            value = sequence.ctc(self.spec, inputs)
            if value is not None:
                return value
        return self._by_definition(arrays, trusted)

    def _by_definition(self, arrays: list[Any], trusted: bool) -> Tensor:
        device = arrays[1].device.type
        if device in _AUTOCAST and torch.is_autocast_enabled(device):
            with torch.autocast(device, enabled=False):  # which would make half-precision products of float32 inputs
                return general.evaluate(be, self.spec, *arrays, trusted=trusted)
        return general.evaluate(be, self.spec, *arrays, trusted=trusted)

    def _value_and_gradients(self, arrays: list[Any], trusted: bool, positions: tuple[int, ...]) -> tuple[Any, Any]:
        with torch.inference_mode(False), torch.enable_grad():
            ready: list[Any] = [x if x is None else x.clone() if x.is_inference() else x.detach() for x in arrays]
            for i in positions:
                ready[i] = ready[i].detach().requires_grad_()
            value = self._value(ready, trusted)
            gradients = torch.autograd.grad(
                value.sum() if value.ndim else value, [ready[i] for i in positions], materialize_grads=True
            )
        return value.detach(), gradients

    def extra_repr(self) -> str:
        """The options, in `print(model)`."""
        return ", ".join(f"{key}={value!r}" for key, value in self.spec.config().items())

"""Center loss as an `nn.Module`: the centers are a buffer that no optimizer and no autograd ever sees."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import multiloss_torch as be
from multiloss import inputs
from multiloss.center import CenterOptions, step
from multiloss.center_methods import CenterMethods


class TorchCenter(CenterMethods, nn.Module):
    """`center(labels, features)` is differentiable by the features; in training mode the centers move, once a call.

    Nothing moves in evaluation mode (`.eval()`) or where torch records no gradients (`no_grad`, `inference_mode`).
    """

    backend = "torch"
    centers: Tensor

    def __init__(self, chosen: CenterOptions) -> None:
        nn.Module.__init__(self)
        self.options = chosen
        self.register_buffer("centers", torch.zeros(0, 0))
        if chosen.num_classes is not None and chosen.feature_dim is not None:
            self._set(self._first(chosen.num_classes, chosen.feature_dim), None)

    def forward(self, labels: Any, features: Any, sample_weight: Any = None, mask: Any = None) -> Tensor:
        """The value with the centers from before; then, in training mode, they move once by Eq. 4."""
        moves = self.training and torch.is_grad_enabled() and self.options.update == "auto"
        value, where_to, rows = self._step(labels, features, sample_weight, mask, moves)
        if where_to is not None:
            self._commit(where_to, rows)
        return value

    def update(self, labels: Any, features: Any, mask: Any = None) -> None:
        """Move the centers once by Eq. 4, whatever `update` and the mode say."""
        with torch.no_grad():
            _, where_to, rows = self._step(labels, features, None, mask, True)
            self._commit(where_to, rows)

    def value_and_grad(
        self, labels: Any, features: Any, sample_weight: Any = None, mask: Any = None, *, wrt: Any = "features"
    ) -> tuple[Tensor, Any]:
        """The value, and its gradient with respect to the features; in training mode the centers move once."""
        if wrt not in ("features", ("features",), ["features"]):
            raise ValueError(f"wrt must be 'features' (centers get no gradient), got {wrt!r}")
        labels, features, sample_weight, mask = inputs.convert(be, labels, features, sample_weight, mask)
        features = be.compute(features) if be.kind(features) == "i" else features.detach()
        with torch.enable_grad():
            if features.is_floating_point():  # what is not is refused by the call
                features.requires_grad_()
            value = self(labels, features, sample_weight, mask)
            (gradient,) = torch.autograd.grad(value.sum(), [features])
        return value.detach(), gradient if isinstance(wrt, str) else (gradient,)

    def _step(self, labels: Any, features: Any, sample_weight: Any, mask: Any, moves: bool) -> tuple[Any, Any, Any]:
        labels, features, sample_weight, mask = inputs.convert(be, labels, features, sample_weight, mask)
        if _transformed(features) or _transformed(labels):
            raise RuntimeError(
                "a center loss holds state, which torch.func cannot see; use the pure init_state() and step() there"
            )
        self._check(labels, features, sample_weight, mask, self._shape()[1])
        self._fit(labels, features, mask, not torch.compiler.is_compiling())
        trusted = self._labels_known(labels, mask, self.centers.shape[0])
        return step(
            be, self.options, self.centers, labels, features, sample_weight, mask, training=moves, trusted=trusted
        )

    def _commit(self, labels: Tensor, rows: Tensor) -> None:
        with torch.no_grad():
            self.centers[labels] = rows.detach()

    def _shape(self) -> tuple[int, int]:
        return tuple(self.centers.shape)

    def _set(self, centers: np.ndarray, like: Tensor | None) -> None:
        new = be.centers_array(centers, like if self.centers.numel() == 0 else self.centers)
        self.centers = new.to(self.centers.device) if like is None else new

    def _host_centers(self) -> np.ndarray:
        return self.centers.detach().cpu().numpy().copy()

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """`.to()`, `.half()` and the like: the centers move, but stay float32 at least."""
        before = self.centers
        super()._apply(fn, recurse)
        if self.centers.dtype in (torch.float16, torch.bfloat16):
            self.centers = before.to(self.centers.device)
        return self

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        """Take the shape of the checkpoint while there are no centers yet."""
        saved = state_dict.get(f"{prefix}centers")
        if saved is not None and self.centers.numel() == 0 and saved.ndim == 2:
            wanted = (self.options.num_classes or saved.shape[0], self.options.feature_dim or saved.shape[1])
            if tuple(saved.shape) == wanted:
                self.centers = torch.zeros_like(saved, device=self.centers.device)
        super()._load_from_state_dict(state_dict, prefix, *args)


def _transformed(x: Tensor) -> bool:
    return not torch.compiler.is_compiling() and torch._C._functorch.is_functorch_wrapped_tensor(x)

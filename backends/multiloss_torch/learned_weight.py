"""Losses with a learned weight, as `nn.Module`s."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from multiloss.engine import checks, options
from multiloss.engine import learned_weight as owners
from multiloss.engine.loss import Spec
from multiloss.engine.objects import with_options
from multiloss.engine.options import Count
from multiloss_torch import arrays as be
from multiloss_torch import mode
from multiloss_torch.objects import TorchLoss


@with_options(owners.option_names())
class WithWeight(owners.FixedSize, nn.Module):
    """A loss of labels and features with a learned weight, one row for each class, as an `nn.Parameter`.

    The weight is drawn Xavier-uniform, in float32 (float64 where that is the default dtype), and computed with in
    float32 at least, under autocast too. `ArcFace`, `CosFace`, `SphereFace`, `ProxyNCA`, `ProxyAnchor` and
    `LinearCrossEntropy` are this class with its first argument given.

    Args:
        loss: its name, such as "arcface".
        num_classes: C, the number of classes.
        feature_dim: D, the length of a feature vector.
        bias: whether there is a bias (C,), too, zero at first (`linear_cross_entropy` only).
        seed: what the weight is drawn with; None: torch's own generator (`torch.manual_seed`).
        given: options of the loss, as of `multiloss.get`: scale, margin, reduction, ...

    Raises:
        ValueError: an unknown loss, or one without such a weight; a size below 1; an option out of range.
        TypeError: an unknown option; a size that is no integer.

    Example:
        >>> import torch, multiloss.torch
        >>> loss = multiloss.torch.ArcFace(num_classes=10, feature_dim=4, scale=30.0, seed=0)
        >>> loss(torch.tensor([3, 7]), torch.ones(2, 4)).backward()
        >>> loss.weight.grad.shape
        torch.Size([10, 4])
    """

    weight: nn.Parameter
    """(num_classes, feature_dim)."""
    bias: nn.Parameter | None

    def __init__(
        self,
        loss: str,
        num_classes: Count,
        feature_dim: Count,
        *,
        bias: bool = False,
        seed: int | None = None,
        **given: Any,
    ) -> None:
        super().__init__()
        feature_dim = options.as_declared(WithWeight.__init__, "feature_dim", feature_dim)
        made = owners.read(loss, num_classes, feature_dim, given, bias=bias, seed=seed)
        with_options(made.spec.kwargs)(WithWeight)  # a loss that was registered later
        self.pure = TorchLoss(made.spec)
        """The loss that takes the weight as an argument."""
        self.seed = made.seed
        dtype = torch.promote_types(torch.get_default_dtype(), torch.float32)
        self.weight = nn.Parameter(torch.empty(made.num_classes, made.feature_dim, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(made.num_classes, dtype=dtype)) if made.bias else None
        self.reset_parameters()

    def _spec(self) -> Spec | None:
        return getattr(getattr(self, "pure", None), "spec", None)

    def _sizes(self) -> Mapping[str, Any]:
        classes, dim = self.weight.shape
        return {"num_classes": classes, "feature_dim": dim}

    def _signature(self) -> inspect.Signature:
        return inspect.signature(self.forward)

    def reset_parameters(self) -> None:
        """Draw the weight anew; the bias becomes zero."""
        with torch.no_grad():
            generator = None if self.seed is None else torch.Generator().manual_seed(self.seed)
            # With a seed on the CPU, so that it gives the same weight on every device.
            drawn = torch.empty_like(self.weight, device=None if generator is None else "cpu")
            self.weight.copy_(nn.init.xavier_uniform_(drawn, generator=generator))
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    if TYPE_CHECKING:  # torch says of calls of a module only that they take anything

        def __call__(
            self, labels: Any, features: Any, sample_weight: Tensor | None = None, mask: Tensor | None = None
        ) -> Tensor: ...

    def forward(
        self, labels: Tensor, features: Tensor, sample_weight: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """The loss.

        Args:
            labels: integer classes in [0, C), (N,).
            features: (N, D).
            sample_weight: (N,), or None.
            mask: boolean, (N,), True keeps; or None.

        Returns:
            The reduced loss, differentiable by the features and the weight.

        Raises:
            ValueError: features of another width or on another device than the weight; a label outside [0, C).
            TypeError: labels that are no integers.
        """
        leaf = (
            None if torch.compiler.is_compiling() else mode.as_leaf(self, (labels, features, sample_weight, mask), {})
        )
        if leaf is not None:
            return leaf
        device = self.weight.device
        if not isinstance(features, Tensor):
            features = be.asarray(features, None, "features").to(device)
        elif features.device != device:
            raise checks.two_devices("features", features.device, device, "the loss's weight")
        owners.check_width(features.shape, self.weight.shape[1])
        held = (self.weight,) if self.bias is None else (self.weight, self.bias)
        return self.pure(labels, features, *held, sample_weight=sample_weight, mask=mask)

    def extra_repr(self) -> str:
        """The sizes, in `print(model)`; the options are those of `pure`."""
        classes, dim = self.weight.shape
        return f"num_classes={classes}, feature_dim={dim}, bias={self.bias is not None}"


ArcFace = owners.named(WithWeight, "arcface")
CosFace = owners.named(WithWeight, "cosface")
SphereFace = owners.named(WithWeight, "sphereface")
ProxyNCA = owners.named(WithWeight, "proxy_nca")
ProxyAnchor = owners.named(WithWeight, "proxy_anchor")
LinearCrossEntropy = owners.named(WithWeight, "linear_cross_entropy")
